// Package bundle describes how the tools hang behind the launcher's own code: archive, then a trailer of fixed size.
package bundle

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
)

var magic = [8]byte{'h', 'f', 'b', 'u', 'n', 'd', 'l', 'e'}

// Trailer is the end of the executable.
type Trailer struct {
	Size  uint64   // bytes of the archive before it
	Sum   [32]byte // SHA-256 of the archive
	Magic [8]byte
}

// Open finds the archive (tar, zstd) behind an executable.
func Open(file *os.File) (Trailer, io.Reader, error) {
	var trailer Trailer
	length := int64(binary.Size(trailer))
	end, err := file.Seek(-length, io.SeekEnd)
	if err != nil {
		return trailer, nil, err
	}
	if err := binary.Read(file, binary.BigEndian, &trailer); err != nil {
		return trailer, nil, err
	}
	if trailer.Magic != magic || int64(trailer.Size) > end {
		return trailer, nil, errors.New("this executable carries no tools; build it with build.sh")
	}
	return trailer, io.NewSectionReader(file, end-int64(trailer.Size), int64(trailer.Size)), nil
}

// WriteTrailer ends an executable whose last bytes are the archive.
func WriteTrailer(w io.Writer, size uint64, sum [32]byte) error {
	return binary.Write(w, binary.BigEndian, Trailer{Size: size, Sum: sum, Magic: magic})
}
