// Package airgap brings the images of agent/images into containerd, at the start and whenever a file there changes.
package airgap

import (
	"archive/tar"
	"bufio"
	"compress/bzip2"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// form is what a file in agent/images holds.
type form int

const (
	other form = iota
	plain
	gzipped
	bzipped
	zstandard
	pullList
)

func formOf(name string) form {
	for suffix, found := range map[string]form{
		".tar": plain, ".tar.gz": gzipped, ".tgz": gzipped, ".tar.bz2": bzipped, ".tbz": bzipped,
		".tar.zst": zstandard, ".tzst": zstandard, ".txt": pullList,
	} {
		if strings.HasSuffix(name, suffix) {
			return found
		}
	}
	return other
}

// maxWindow is what the release's own archives need (zstd --long=25) and some more.
const maxWindow = 1 << 27

// open gives the plain tar of an archive.
func open(path string) (io.ReadCloser, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	var reader io.Reader = file
	switch formOf(path) {
	case gzipped:
		reader, err = gzip.NewReader(file)
	case bzipped:
		reader = bzip2.NewReader(file)
	case zstandard:
		var decoder *zstd.Decoder
		if decoder, err = zstd.NewReader(file, zstd.WithDecoderMaxWindow(maxWindow)); err == nil {
			reader = decoder.IOReadCloser()
		}
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return &archive{Reader: reader, file: file}, nil
}

type archive struct {
	io.Reader
	file *os.File
}

// Close closes the file; the decoders hold nothing that outlives it.
func (a *archive) Close() error {
	if decoder, ok := a.Reader.(io.Closer); ok {
		_ = decoder.Close()
	}
	return a.file.Close()
}

// check reads the archive's first header, so that a file that is being written or is no archive is named as such.
func check(path string) error {
	reader, err := open(path)
	if err != nil {
		return err
	}
	defer reader.Close()
	if _, err := tar.NewReader(reader).Next(); err != nil {
		return fmt.Errorf("not an image archive: %w", err)
	}
	return nil
}

// readPullList gives the images that a .txt file names, one a line.
func readPullList(path string) ([]string, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var images []string
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		if line := strings.TrimSpace(lines.Text()); line != "" && !strings.HasPrefix(line, "#") {
			images = append(images, line)
		}
	}
	return images, lines.Err()
}
