// Command launcher is the outer k3s: it carries the tools as an archive behind its own code, unpacks them once below
// data/<checksum>/ and hands over to the program that was asked for.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"

	"holdfast/lab/k3s/internal/paths"
	"holdfast/lab/k3s/internal/version"
)

// programs are the names that are executables of the bundle; everything else is the inner k3s's business.
var programs = map[string]string{"ctr": "ctr", "crictl": "crictl"}

func main() {
	name, args := filepath.Base(os.Args[0]), os.Args[1:]
	if name == "k3s" && len(args) > 0 {
		switch args[0] {
		case "--version", "-v":
			fmt.Printf("k3s version %s (%s)\ngo version %s\n", version.Version, version.Commit, runtime.Version())
			return
		case "ctr", "crictl":
			name, args = args[0], args[1:]
		}
	}
	if err := handOver(name, args); err != nil {
		fmt.Fprintf(os.Stderr, "k3s: %v\n", err)
		os.Exit(1)
	}
}

// handOver unpacks the bundle where it is missing and replaces this process with one of its programs.
func handOver(name string, args []string) error {
	layout := paths.New(dataDir(args))
	self, err := os.Executable()
	if err != nil {
		return err
	}
	directory, err := unpack(self, layout, name == "k3s" && len(args) > 0 && args[0] == "server")
	if err != nil {
		return fmt.Errorf("extracting data: %w", err)
	}
	program, known := programs[name]
	if !known {
		program = "k3s"
	}
	setDefaults(name, layout)
	path := filepath.Join(directory, "bin", program)
	return syscall.Exec(path, append([]string{name}, args...), os.Environ())
}

// setDefaults points the tools at this node, unless the environment says otherwise; their own flags win over both.
func setDefaults(name string, layout paths.Paths) {
	switch name {
	case "crictl":
		setDefault("CRI_CONFIG_FILE", layout.CrictlConfig)
	case "ctr":
		setDefault("CONTAINERD_ADDRESS", paths.ContainerdSocket)
		setDefault("CONTAINERD_NAMESPACE", "k8s.io")
	}
}

// setDefault gives the environment a value where it has none.
func setDefault(name, value string) {
	if os.Getenv(name) == "" {
		os.Setenv(name, value)
	}
}
