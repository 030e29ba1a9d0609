package encrypt

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"holdfast/lab/k3s/internal/paths"
)

// timeout is how long one subcommand may take; a rotation waits for the API server's next look at its configuration.
const timeout = 90 * time.Second

// Cluster is the running server that the subcommands work on.
type Cluster struct {
	Paths  paths.Paths
	Node   string                                             // this node's name
	Client func() (kubernetes.Interface, error)               // with every right
	Save   func(ctx context.Context, files paths.Paths) error // stores the changed files with the cluster's identity
}

// Known tells whether name is a subcommand.
func Known(name string) bool {
	switch name {
	case "status", "enable", "disable", "prepare", "rotate", "reencrypt", "rotate-keys":
		return true
	}
	return false
}

// Command runs `k3s secrets-encrypt NAME ARGS…`. Whatever the server would refuse carries only a number: the reason
// is in the log, here in the error behind it.
func Command(cluster Cluster, name string, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("secrets-encrypt "+name, flag.ContinueOnError)
	var format string
	flags.StringVar(&format, "output", "text", "text or json")
	flags.StringVar(&format, "o", "text", "same as --output")
	flags.Bool("f", false, "accepted for compatibility")
	flags.Bool("force", false, "accepted for compatibility")
	if err := flags.Parse(args); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	client, err := cluster.Client()
	if err != nil {
		return err
	}
	node, err := client.CoreV1().Nodes().Get(ctx, cluster.Node, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if name == "status" {
		found, err := inspect(cluster.Paths, node.Annotations[HashAnnotation])
		if err != nil {
			return fmt.Errorf("see server log for details: Internal error occurred: %w", refusal(err))
		}
		return printStatus(out, cluster.Paths, found, format)
	}
	message, err := change(ctx, cluster, client, name)
	if err != nil {
		return fmt.Errorf("see server log for details: %w", refusal(err))
	}
	if err := cluster.Save(ctx, cluster.Paths); err != nil {
		return fmt.Errorf("save bootstrap data: %w", err)
	}
	fmt.Fprintln(out, message)
	return nil
}

// change runs one of the subcommands that write, and returns what it says at the end.
func change(ctx context.Context, cluster Cluster, client kubernetes.Interface, name string) (string, error) {
	now := time.Now()
	switch name {
	case "enable":
		return "secrets-encryption enabled", enable(cluster.Paths)
	case "disable":
		return "secrets-encryption disabled", disable(cluster.Paths)
	case "prepare":
		if err := prepare(cluster.Paths, now); err != nil {
			return "", err
		}
		return "prepare completed successfully", Annotate(ctx, cluster.Paths, client, cluster.Node)
	case "rotate-keys":
		if err := rotateKeys(ctx, cluster.Paths, client, now); err != nil {
			return "", err
		}
		return "keys rotated, reencryption finished", Annotate(ctx, cluster.Paths, client, cluster.Node)
	default: // rotate, reencrypt: the steps that rotate-keys takes by itself
		return "", fmt.Errorf("%s is a step of the classic rotation, which this build does not take: use rotate-keys", name)
	}
}

// refused hides the reason behind a number, as the server does.
type refused struct {
	reason error
	number int
}

func refusal(reason error) error { return &refused{reason: reason, number: 10000 + rand.IntN(90000)} }

func (r *refused) Error() string { return fmt.Sprintf("secret-encrypt error ID %d", r.number) }

// Unwrap gives the reason.
func (r *refused) Unwrap() error { return r.reason }
