// Package deploy keeps the cluster in step with the files of server/manifests, as k3s's deploy controller does:
// every 15 s, with one AddOn object for each file.
package deploy

import (
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"
)

const skipSuffix = ".skip"

// file is one manifest file as it lies on disk.
type file struct {
	path     string
	modified time.Time
	disabled bool
}

// baseName is the name a file is disabled by: what stands before its first dot.
func baseName(path string) string {
	name, _, _ := strings.Cut(filepath.Base(path), ".")
	return name
}

// scan lists the manifests below root, sorted by path. Files with a .skip file beside any file of that name are
// left out; disabled ones (by base name or by the directory they lie in) are marked.
func scan(root string, disables map[string]bool) ([]file, error) {
	var files []file
	skips := map[string]bool{}
	visit := func(path string, info fs.FileInfo) {
		name := info.Name()
		if strings.HasSuffix(name, skipSuffix) {
			skips[strings.TrimSuffix(name, skipSuffix)] = true
			return
		}
		if info.Size() > 0 && isManifest(name) {
			files = append(files, file{path: path, modified: info.ModTime(), disabled: isDisabled(root, path, disables)})
		}
	}
	if err := walk(root, visit); err != nil {
		return nil, err
	}
	kept := files[:0]
	for _, candidate := range files {
		if !skips[filepath.Base(candidate.path)] {
			kept = append(kept, candidate)
		}
	}
	sort.Slice(kept, func(i, j int) bool { return kept[i].path < kept[j].path })
	return kept, nil
}

func isManifest(name string) bool {
	if strings.HasPrefix(name, ".") {
		return false
	}
	switch filepath.Ext(name) {
	case ".yaml", ".yml", ".json":
		return true
	}
	return false
}

func isDisabled(root, path string, disables map[string]bool) bool {
	if disables[baseName(path)] || disables[filepath.Base(path)] {
		return true
	}
	relative, err := filepath.Rel(root, filepath.Dir(path))
	if err != nil {
		return false
	}
	for _, part := range strings.Split(relative, string(filepath.Separator)) {
		if disables[part] {
			return true
		}
	}
	return false
}

// walk visits every regular file below root; directories linked from its top level are followed.
func walk(root string, visit func(path string, info fs.FileInfo)) error {
	entries, err := os.ReadDir(root)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		path := filepath.Join(root, entry.Name())
		info, err := os.Stat(path)
		if err != nil {
			continue // gone meanwhile, or a dangling link
		}
		if !info.IsDir() {
			visit(path, info)
			continue
		}
		target := path
		if entry.Type()&os.ModeSymlink != 0 {
			target += string(filepath.Separator)
		}
		if err := filepath.Walk(target, func(inner string, info fs.FileInfo, err error) error {
			if err == nil && info.Mode().IsRegular() {
				visit(filepath.Clean(inner), info)
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}
