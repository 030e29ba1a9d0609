// Command bundler hangs a directory of tools behind the launcher: bundler LAUNCHER DIRECTORY OUT.
package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"

	"github.com/klauspost/compress/zstd"

	"holdfast/lab/k3s/internal/bundle"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: bundler LAUNCHER DIRECTORY OUT")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(launcher, directory, out string) error {
	archive, err := pack(directory)
	if err != nil {
		return err
	}
	code, err := os.ReadFile(launcher)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(out, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return err
	}
	if _, err := file.Write(append(code, archive...)); err != nil {
		return err
	}
	if err := bundle.WriteTrailer(file, uint64(len(archive)), sha256.Sum256(archive)); err != nil {
		return err
	}
	return file.Close()
}

// pack makes the same archive of the same files, whenever and by whomever they were built.
func pack(directory string) ([]byte, error) {
	var paths []string
	err := filepath.Walk(directory, func(path string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	sort.Strings(paths)
	var archive bytes.Buffer
	zipped, err := zstd.NewWriter(&archive, zstd.WithEncoderLevel(zstd.SpeedDefault))
	if err != nil {
		return nil, err
	}
	entries := tar.NewWriter(zipped)
	for _, path := range paths {
		if err := add(entries, directory, path); err != nil {
			return nil, err
		}
	}
	if err := entries.Close(); err != nil {
		return nil, err
	}
	if err := zipped.Close(); err != nil {
		return nil, err
	}
	return archive.Bytes(), nil
}

func add(entries *tar.Writer, directory, path string) error {
	name, err := filepath.Rel(directory, path)
	if err != nil {
		return err
	}
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	header := &tar.Header{Name: name, Mode: 0o755, Typeflag: tar.TypeReg, Size: info.Size(), Format: tar.FormatPAX}
	if info.Mode()&os.ModeSymlink != 0 {
		if header.Linkname, err = os.Readlink(path); err != nil {
			return err
		}
		header.Typeflag, header.Size = tar.TypeSymlink, 0
		return entries.WriteHeader(header)
	}
	if err := entries.WriteHeader(header); err != nil {
		return err
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.Copy(entries, file)
	return err
}
