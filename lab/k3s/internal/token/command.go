package token

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"k8s.io/client-go/kubernetes"
)

const timeout = 30 * time.Second

// Cluster is the running server that the subcommands work on.
type Cluster struct {
	Client func(kubeconfig string) (kubernetes.Interface, error)        // with the rights of kubeconfig, the administrator's when empty
	Prefix func() (string, error)                                       // K10 and the hash of the server's CA
	Rotate func(ctx context.Context, current, replacement string) error // changes the server's token
}

// Known tells whether name is a subcommand.
func Known(name string) bool {
	switch name {
	case "create", "delete", "generate", "list", "rotate":
		return true
	}
	return false
}

// Command runs `k3s token NAME ARGS…`.
func Command(cluster Cluster, name string, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("token "+name, flag.ContinueOnError)
	wanted := request{}
	var groups, usages, format, current, replacement, kubeconfig string
	flags.StringVar(&wanted.description, "description", "", "what the token is for")
	flags.StringVar(&groups, "groups", defaultGroup, "extra groups, comma-separated")
	flags.StringVar(&usages, "usages", "signing,authentication", "what the token may be used for, comma-separated")
	flags.DurationVar(&wanted.lifetime, "ttl", 24*time.Hour, "lifetime; 0 for ever")
	for _, flag := range []string{"output", "o"} {
		flags.StringVar(&format, flag, "text", "text, json or yaml")
	}
	for _, flag := range []string{"token", "t"} {
		flags.StringVar(&current, flag, "", "the token in use; default: the server's file")
	}
	flags.StringVar(&replacement, "new-token", "", "the token to use from now on; made up when empty")
	flags.StringVar(&kubeconfig, "kubeconfig", "", "kubeconfig to use")
	if err := flags.Parse(args); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	switch name {
	case "generate":
		made, err := Generate()
		if err == nil {
			fmt.Fprintln(out, made)
		}
		return err
	case "rotate":
		return rotate(ctx, cluster, current, replacement, out)
	}
	client, err := cluster.Client(kubeconfig)
	if err != nil {
		return err
	}
	switch name {
	case "create":
		wanted.token, wanted.groups, wanted.usages = flags.Arg(0), commaList(groups), commaList(usages)
		return createAndPrint(ctx, cluster, client, wanted, out)
	case "delete":
		return remove(ctx, client, flags.Args(), out)
	default:
		entries, err := list(ctx, client)
		if err != nil {
			return err
		}
		return printList(out, entries, format)
	}
}

func createAndPrint(ctx context.Context, cluster Cluster, client kubernetes.Interface, wanted request, out io.Writer) error {
	prefix, err := cluster.Prefix()
	if err != nil {
		return err
	}
	made, err := create(ctx, client, wanted)
	if err == nil {
		fmt.Fprintf(out, "%s::%s\n", prefix, made)
	}
	return err
}

func rotate(ctx context.Context, cluster Cluster, current, replacement string, out io.Writer) error {
	if replacement == "" {
		made, err := randomText(32)
		if err != nil {
			return err
		}
		replacement = made
	}
	if strings.ContainsAny(replacement, ": \t\n") {
		return errors.New("the new token must not hold white space or colons")
	}
	fmt.Fprintf(out, "\033[33mWARNING\033[0m: Recommended to keep a record of the old token. If restoring from a snapshot, "+
		"you must use the token associated with that snapshot.\n")
	if err := cluster.Rotate(ctx, current, replacement); err != nil {
		return fmt.Errorf("see server log for details: %w", err)
	}
	fmt.Fprintln(out, "Token rotated, restart k3s nodes with new token")
	return nil
}

func commaList(text string) []string {
	var parts []string
	for _, part := range strings.Split(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, part)
		}
	}
	return parts
}
