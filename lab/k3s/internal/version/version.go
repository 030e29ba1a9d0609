// Package version holds what the build stamps into the binary.
package version

var (
	// Version is the release that the stand-in answers to.
	Version = "v1.36.3+k3s1"
	// Commit is the first 8 hex digits of the checksum of the stand-in's sources.
	Commit = "00000000"
)
