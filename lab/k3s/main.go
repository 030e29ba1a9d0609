// Command k3s is the lab's stand-in for k3s: see README.md for what in it is real.
//
// The process looks at its own name first, so that links named kubectl or kube-apiserver work, and then at its first
// argument. Programs of the bundle (containerd, ctr, crictl) are executables of their own below data/current/bin.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"holdfast/lab/k3s/internal/components"
)

func main() { os.Exit(run(filepath.Base(os.Args[0]), os.Args[1:])) }

func run(name string, args []string) int {
	if components.Is(name) {
		return components.Run(name, args)
	}
	if command, ok := commands[name]; ok && name != "k3s" {
		return command(args)
	}
	if len(args) == 0 {
		args = []string{"help"}
	}
	command, ok := commands[args[0]]
	if !ok {
		fmt.Fprintf(os.Stderr, "No help topic for '%s'\n", args[0])
		return 3
	}
	return command(args[1:])
}
