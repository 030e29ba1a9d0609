package airgap

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
)

const (
	namespace    = "k8s.io"
	pollInterval = 3 * time.Second
)

// pinned keeps kubelet's image collection away from images that could not be had again.
var pinned = []string{"io.cri-containerd.pinned=pinned", "io.cattle.k3s.pinned=pinned"}

// Importer watches one directory for one containerd.
type Importer struct {
	directory string
	ctr       string // the program
	crictl    string // for the images of a pull list
	socket    string
	done      map[string]seen
}

// New makes an importer of directory (agent/images); tools is the directory of ctr and crictl.
func New(directory, tools, socket string) *Importer {
	return &Importer{
		directory: directory, ctr: filepath.Join(tools, "ctr"), crictl: filepath.Join(tools, "crictl"), socket: socket, done: map[string]seen{},
	}
}

// ImportAll imports every file that is there; with a .cache.json only those that changed since they were imported.
// A file that fails is logged and tried again by Watch.
func (i *Importer) ImportAll(ctx context.Context) {
	cachePath := filepath.Join(i.directory, cacheName)
	for name, known := range readCache(cachePath) {
		i.done[name] = known
	}
	i.scan(ctx, false)
	if err := writeCache(cachePath, i.done); err != nil {
		logrus.Errorf("Failed to write image import cache: %v", err)
	}
}

// Watch imports files as they appear or change, until ctx ends.
func (i *Importer) Watch(ctx context.Context) {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if i.scan(ctx, true) > 0 {
				if err := writeCache(filepath.Join(i.directory, cacheName), i.done); err != nil {
					logrus.Errorf("Failed to write image import cache: %v", err)
				}
			}
		}
	}
}

// scan imports what is new and tells how many files that were. With settle, a file that was written to within the
// last interval waits for the next scan.
func (i *Importer) scan(ctx context.Context, settle bool) (imported int) {
	for _, path := range i.candidates() {
		if ctx.Err() != nil {
			return imported
		}
		info, err := os.Stat(path)
		name, relErr := filepath.Rel(i.directory, path)
		if err != nil || relErr != nil || info.Size() == 0 || i.done[name].matches(info) {
			continue
		}
		if settle && time.Since(info.ModTime()) < pollInterval {
			continue
		}
		started := time.Now()
		count, err := i.importFile(ctx, path)
		if err != nil {
			logrus.Errorf("Error encountered while importing %s: %v", path, err)
			if settle {
				i.done[name] = seen{info.Size(), info.ModTime()} // again only when it changes
			}
			continue
		}
		logrus.Infof("Imported %d images from %s in %s", count, path, time.Since(started).Round(time.Millisecond))
		i.done[name] = seen{info.Size(), info.ModTime()}
		imported++
	}
	return imported
}

func (i *Importer) candidates() []string {
	var paths []string
	_ = filepath.Walk(i.directory, func(path string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() && !strings.HasPrefix(info.Name(), ".") && formOf(path) != other {
			paths = append(paths, path)
		}
		return nil
	})
	sort.Strings(paths)
	return paths
}

func (i *Importer) importFile(ctx context.Context, path string) (int, error) {
	if formOf(path) == pullList {
		return i.pull(ctx, path)
	}
	if err := check(path); err != nil {
		return 0, err
	}
	logrus.Infof("Importing images from %s", path)
	reader, err := open(path)
	if err != nil {
		return 0, err
	}
	defer reader.Close()
	arguments := []string{"--address", i.socket, "-n", namespace, "images", "import", "--local", "--all-platforms", "-"}
	command := exec.CommandContext(ctx, i.ctr, arguments...)
	command.Stdin = reader
	output, err := command.CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("%w: %s", err, lastLine(output))
	}
	names := importedNames(string(output))
	return len(names), i.pin(ctx, names)
}

// importedNames reads ctr's report: "unpacking NAME (DIGEST)...done" for each image.
func importedNames(output string) []string {
	var names []string
	for _, line := range strings.Split(output, "\n") {
		if rest, found := strings.CutPrefix(strings.TrimSpace(line), "unpacking "); found {
			name, _, _ := strings.Cut(rest, " ")
			names = append(names, name)
		}
	}
	return names
}

func (i *Importer) pin(ctx context.Context, names []string) error {
	for _, name := range names {
		arguments := append([]string{"--address", i.socket, "-n", namespace, "images", "label", name}, pinned...)
		if output, err := exec.CommandContext(ctx, i.ctr, arguments...).CombinedOutput(); err != nil {
			return fmt.Errorf("pin %s: %w: %s", name, err, lastLine(output))
		}
	}
	return nil
}

func (i *Importer) pull(ctx context.Context, path string) (int, error) {
	images, err := readPullList(path)
	if err != nil {
		return 0, err
	}
	for _, image := range images {
		logrus.Infof("Pulling image %s", image)
		command := exec.CommandContext(ctx, i.crictl, "--runtime-endpoint", "unix://"+i.socket, "pull", image)
		if output, err := command.CombinedOutput(); err != nil {
			return 0, fmt.Errorf("pull %s: %w: %s", image, err, lastLine(output))
		}
	}
	return len(images), nil
}

func lastLine(output []byte) string {
	lines := bytes.Split(bytes.TrimSpace(output), []byte("\n"))
	return string(lines[len(lines)-1])
}
