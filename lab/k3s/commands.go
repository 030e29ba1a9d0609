package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sort"
	"strings"

	"github.com/sirupsen/logrus"

	"holdfast/lab/k3s/internal/certcheck"
	"holdfast/lab/k3s/internal/checkconfig"
	"holdfast/lab/k3s/internal/components"
	"holdfast/lab/k3s/internal/config"
	"holdfast/lab/k3s/internal/server"
	"holdfast/lab/k3s/internal/version"
)

// commands maps a subcommand to its code, which gets the arguments behind it and returns the exit code.
var commands map[string]func(args []string) int

func init() {
	commands = map[string]func(args []string) int{
		"--version": printVersion, "-v": printVersion, "--help": help, "-h": help, "help": help,
		"kubectl": components.Kubectl,
		"server":  runServer,
		"agent":   refuseAgent,
		"check-config": func(args []string) int {
			return checkconfig.Command(dataDir(), os.Stdout)
		},
		"token":           tokenCommand,
		"secrets-encrypt": encryptCommand,
		"etcd-snapshot":   snapshotCommand,
		"certificate": func(args []string) int {
			if len(args) == 0 {
				return topics("certificate", "Manage K3s certificates", "check", "rotate")
			}
			if args[0] != "check" && args[0] != "rotate" {
				return unknownTopic(args[0])
			}
			return report(certcheck.Command(dataDir(), args, os.Stdout))
		},
	}
}

func runServer(args []string) int {
	err := server.Run(args)
	if errors.Is(err, server.ErrShutdown) {
		return 1
	}
	return report(err)
}

func refuseAgent([]string) int {
	return report(errors.New("agent: joining a server is not supported by this build, which is a single server"))
}

// report turns an error into k3s's fatal line and exit code.
func report(err error) int {
	if err != nil {
		logrus.Fatalf("Error: %v", err)
	}
	return 0
}

// dataDir is the data directory that config.yaml or the environment name, for commands other than server.
func dataDir() string {
	settings, err := config.Load(nil)
	if err != nil {
		return ""
	}
	return settings.Paths().DataDir
}

func printVersion([]string) int {
	fmt.Printf("k3s version %s (%s)\ngo version %s\n", version.Version, version.Commit, runtime.Version())
	return 0
}

func help([]string) int {
	names := make([]string, 0, len(commands))
	for name := range commands {
		if !strings.HasPrefix(name, "-") {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	fmt.Printf("NAME:\n   k3s - Kubernetes, but small and simple\n\nUSAGE:\n   k3s [global options] command [command options]\n\nCOMMANDS:\n")
	for _, name := range names {
		fmt.Printf("   %s\n", name)
	}
	return 0
}
