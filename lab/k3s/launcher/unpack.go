package main

import (
	"archive/tar"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/klauspost/compress/zstd"

	"holdfast/lab/k3s/internal/bundle"
	"holdfast/lab/k3s/internal/paths"
)

// dataDir is the data directory that the command line, the environment or nobody names.
func dataDir(args []string) string {
	for i, arg := range args {
		if value, found := strings.CutPrefix(arg, "--data-dir="); found {
			return value
		}
		if (arg == "--data-dir" || arg == "-d") && i+1 < len(args) && len(args) > 0 && args[0] == "server" {
			return args[i+1]
		}
	}
	return os.Getenv("K3S_DATA_DIR")
}

// unpack makes sure that the bundle's tools lie below data/ and returns their directory. Users other than root use
// what root has unpacked. With adopt it becomes data/current too.
func unpack(self string, layout paths.Paths, adopt bool) (string, error) {
	file, err := os.Open(self)
	if err != nil {
		return "", err
	}
	defer file.Close()
	trailer, archive, err := bundle.Open(file)
	if err != nil {
		return "", err
	}
	directory := filepath.Join(layout.Data, hex.EncodeToString(trailer.Sum[:]))
	if _, err := os.Stat(filepath.Join(directory, "bin", "k3s")); err == nil && !adopt {
		return directory, nil
	}
	if err := os.MkdirAll(layout.Data, 0o755); err != nil {
		return "", err
	}
	lock, err := os.OpenFile(filepath.Join(layout.Data, ".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", err
	}
	if _, err := os.Stat(filepath.Join(directory, "bin", "k3s")); errors.Is(err, os.ErrNotExist) {
		if err := extract(archive, directory); err != nil {
			return "", err
		}
	}
	return directory, link(layout, directory)
}

func extract(archive io.Reader, directory string) error {
	temporary := directory + "-tmp"
	if err := os.RemoveAll(temporary); err != nil {
		return err
	}
	unzipped, err := zstd.NewReader(archive)
	if err != nil {
		return err
	}
	defer unzipped.Close()
	for entries := tar.NewReader(unzipped); ; {
		header, err := entries.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		target := filepath.Join(temporary, filepath.Clean("/"+header.Name))
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		if header.Typeflag == tar.TypeSymlink {
			if err := os.Symlink(header.Linkname, target); err != nil {
				return err
			}
			continue
		}
		if err := writeProgram(target, entries); err != nil {
			return fmt.Errorf("%s: %w", header.Name, err)
		}
	}
	// A loss of power must not leave a directory that looks whole but holds empty programs.
	syscall.Sync()
	return os.Rename(temporary, directory)
}

func writeProgram(path string, content io.Reader) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(file, content); err != nil {
		file.Close()
		return err
	}
	return file.Close()
}

// link points data/current at the tools in use, data/previous at those before, and keeps data/cni at a fixed place.
func link(layout paths.Paths, directory string) error {
	if current, err := os.Readlink(layout.Current); err == nil && current == directory {
		return nil
	} else if err == nil {
		if err := replaceLink(filepath.Join(layout.Data, "previous"), current); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(layout.CNIBin, 0o755); err != nil {
		return err
	}
	plugins, err := filepath.Glob(filepath.Join(directory, "cni", "*"))
	if err != nil {
		return err
	}
	for _, plugin := range plugins {
		if err := replaceLink(filepath.Join(layout.CNIBin, filepath.Base(plugin)), plugin); err != nil {
			return err
		}
	}
	return replaceLink(layout.Current, directory)
}

func replaceLink(path, target string) error {
	temporary := path + ".new"
	_ = os.Remove(temporary)
	if err := os.Symlink(target, temporary); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}
