package airgap

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/klauspost/compress/zstd"
)

func tarball(t *testing.T) []byte {
	t.Helper()
	var content bytes.Buffer
	writer := tar.NewWriter(&content)
	if err := writer.WriteHeader(&tar.Header{Name: "manifest.json", Mode: 0o644, Size: 2}); err != nil {
		t.Fatal(err)
	}
	if _, err := writer.Write([]byte("[]")); err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	return content.Bytes()
}

func write(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestArchivesAreReadWhateverTheirForm(t *testing.T) {
	plainTar := tarball(t)
	var zipped bytes.Buffer
	gzipWriter := gzip.NewWriter(&zipped)
	if _, err := gzipWriter.Write(plainTar); err != nil {
		t.Fatal(err)
	}
	if err := gzipWriter.Close(); err != nil {
		t.Fatal(err)
	}
	encoder, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		"a.tar": plainTar, "a.tar.gz": zipped.Bytes(), "a.tgz": zipped.Bytes(), "a.tar.zst": encoder.EncodeAll(plainTar, nil),
	} {
		if err := check(write(t, name, content)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := check(write(t, "a.tar", []byte("no archive"))); err == nil {
		t.Error("a file that is no archive was taken for one")
	}
}

func TestForms(t *testing.T) {
	for name, want := range map[string]form{
		"a.tar": plain, "a.tar.gz": gzipped, "a.tgz": gzipped, "a.tar.bz2": bzipped, "a.tar.zst": zstandard, "a.txt": pullList, "a.json": other, "a.zst": other,
	} {
		if got := formOf(name); got != want {
			t.Errorf("%s: %d", name, got)
		}
	}
}

func TestPullListLeavesOutCommentsAndEmptyLines(t *testing.T) {
	images, err := readPullList(write(t, "a.txt", []byte("docker.io/a:1\n\n# no\n  b:2  \n")))
	if err != nil || !reflect.DeepEqual(images, []string{"docker.io/a:1", "b:2"}) {
		t.Errorf("got %v, %v", images, err)
	}
}

func TestImportedNames(t *testing.T) {
	output := "unpacking docker.io/rancher/mirrored-pause:3.10.2 (sha256:abc)...done\nunpacking localhost:5000/a:1 (sha256:def)...done\nelapsed\n"
	if got := importedNames(output); !reflect.DeepEqual(got, []string{"docker.io/rancher/mirrored-pause:3.10.2", "localhost:5000/a:1"}) {
		t.Errorf("got %v", got)
	}
}

func TestCacheIsOnlyKeptWhereAskedFor(t *testing.T) {
	path := filepath.Join(t.TempDir(), cacheName)
	if err := writeCache(path, map[string]seen{"a.tar": {Size: 1}}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a cache nobody asked for was written")
	}
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := writeCache(path, map[string]seen{"a.tar": {Size: 1}}); err != nil {
		t.Fatal(err)
	}
	if got := readCache(path); got["a.tar"].Size != 1 {
		t.Errorf("got %v", got)
	}
}
