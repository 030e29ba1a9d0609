package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/sirupsen/logrus"
	"k8s.io/client-go/kubernetes"

	"holdfast/lab/k3s/internal/config"
	"holdfast/lab/k3s/internal/encrypt"
	"holdfast/lab/k3s/internal/server"
	"holdfast/lab/k3s/internal/token"
)

// unknownTopic is how a command line without sense ends.
func unknownTopic(name string) int {
	fmt.Fprintf(os.Stderr, "No help topic for '%s'\n", name)
	return 3
}

// topics prints what a command consists of.
func topics(command, purpose string, names ...string) int {
	fmt.Printf("NAME:\n   k3s %s - %s\n\nUSAGE:\n   k3s %s [command options]\n\nCOMMANDS:\n   %s\n", command, purpose, command, strings.Join(names, "\n   "))
	return 0
}

func tokenCommand(args []string) int {
	if len(args) == 0 {
		return topics("token", "Manage tokens", "create", "delete", "generate", "list", "rotate")
	}
	if !token.Known(args[0]) {
		return unknownTopic(args[0])
	}
	settings, err := config.Load(nil)
	if err != nil {
		return report(err)
	}
	p := settings.Paths()
	return report(token.Command(token.Cluster{
		Client: func(kubeconfig string) (kubernetes.Interface, error) { return server.Client(p, kubeconfig) },
		Prefix: func() (string, error) { return server.TokenPrefix(p) },
		Rotate: func(ctx context.Context, current, replacement string) error {
			return server.RotateToken(ctx, p, current, replacement)
		},
	}, args[0], args[1:], os.Stdout))
}

func encryptCommand(args []string) int {
	if len(args) == 0 {
		return topics("secrets-encrypt", "Control secrets encryption and keys rotation", "status", "enable", "disable", "prepare", "rotate", "reencrypt", "rotate-keys")
	}
	if !encrypt.Known(args[0]) {
		return unknownTopic(args[0])
	}
	settings, err := config.Load(nil)
	if err != nil {
		return report(err)
	}
	node, err := server.NodeName(settings)
	if err != nil {
		return report(err)
	}
	p := settings.Paths()
	err = encrypt.Command(encrypt.Cluster{
		Paths: p, Node: node, Save: server.SaveIdentity,
		Client: func() (kubernetes.Interface, error) { return server.Client(p, "") },
	}, args[0], args[1:], os.Stdout)
	if reason := errors.Unwrap(errors.Unwrap(err)); reason != nil {
		logrus.Debugf("Reason: %v", reason)
	}
	return report(err)
}

// snapshotFlags are the keys of config.yaml that etcd-snapshot has as well; it warns about every other one.
var snapshotFlags = map[string]bool{
	"data-dir": true, "debug": true, "token": true, "server": true, "node-name": true, "config": true, "log": true, "v": true,
}

// snapshotCommand refuses: snapshots are taken of etcd, and this server keeps SQLite.
func snapshotCommand(args []string) int {
	settings, err := config.Load(nil)
	if err != nil {
		return report(err)
	}
	for _, arg := range settings.Args {
		name, _, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		if !snapshotFlags[name] && !strings.HasPrefix(name, "etcd-") {
			logrus.Warnf("Unknown flag --%s found in config.yaml, skipping\n", name)
		}
	}
	if len(args) == 0 {
		return topics("etcd-snapshot", "Manage etcd snapshots", "delete", "list, ls", "prune", "save")
	}
	switch args[0] {
	case "save", "ls", "list", "l", "delete", "prune":
		return report(errors.New("see server log for details: etcd datastore disabled"))
	}
	return unknownTopic(args[0])
}
