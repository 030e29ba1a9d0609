package airgap

import (
	"encoding/json"
	"os"
	"time"
)

// cacheName is the file whose presence turns on skipping: unchanged files are not imported again after a restart.
const cacheName = ".cache.json"

// seen is what is remembered of a file.
type seen struct {
	Size    int64     `json:"size"`
	ModTime time.Time `json:"modTime"`
}

func (s seen) matches(info os.FileInfo) bool {
	return s.Size == info.Size() && s.ModTime.Equal(info.ModTime())
}

// readCache gives nil when the administrator has not asked for one; an empty file is an empty cache.
func readCache(path string) map[string]seen {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	cache := map[string]seen{}
	if len(content) > 0 {
		_ = json.Unmarshal(content, &cache)
	}
	return cache
}

func writeCache(path string, cache map[string]seen) error {
	if _, err := os.Stat(path); err != nil {
		return nil
	}
	content, err := json.Marshal(cache)
	if err != nil {
		return err
	}
	return os.WriteFile(path, content, 0o644)
}
