// Package addons holds the manifests that come with k3s and puts them where the deploy loop finds them.
package addons

import (
	"embed"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

//go:embed manifests
var packaged embed.FS

// Values fill the placeholders of the manifests.
type Values struct {
	ClusterDNS            string // address of the cluster's DNS service
	ClusterDomain         string
	LocalStorage          string // where local-path volumes live
	SystemDefaultRegistry string // host to pull the add-ons' images from; empty for the default one
}

// Stage writes the packaged manifests to directory (server/manifests), over whatever is there. A disabled one (by
// file or directory name) is written as well: the deploy loop uninstalls what it finds disabled, and removes it.
// One with a .skip file beside it is left alone.
func Stage(directory string, values Values, skip func(name string) bool) error {
	registry := ""
	if values.SystemDefaultRegistry != "" {
		registry = values.SystemDefaultRegistry + "/"
	}
	placeholders := strings.NewReplacer(
		"%{CLUSTER_DNS}%", values.ClusterDNS, "%{CLUSTER_DOMAIN}%", values.ClusterDomain,
		"%{DEFAULT_LOCAL_STORAGE_PATH}%", values.LocalStorage, "%{SYSTEM_DEFAULT_REGISTRY}%", registry,
	)
	return fs.WalkDir(packaged, "manifests", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := packaged.ReadFile(path)
		if err != nil {
			return err
		}
		relative := strings.TrimPrefix(path, "manifests/")
		target := filepath.Join(directory, filepath.FromSlash(relative))
		if _, err := os.Stat(target + ".skip"); err == nil || skip(relative) {
			return nil
		}
		if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
			return err
		}
		return write(target, placeholders.Replace(string(content)))
	})
}

func write(path, content string) error {
	temporary := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".new")
	if err := os.WriteFile(temporary, []byte(content), 0o600); err != nil {
		return err
	}
	return errors.Join(os.Chmod(temporary, 0o600), os.Rename(temporary, path))
}
