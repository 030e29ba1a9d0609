package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"holdfast/lab/k3s/internal/bootstrap"
	"holdfast/lab/k3s/internal/certs"
	"holdfast/lab/k3s/internal/config"
	"holdfast/lab/k3s/internal/paths"
)

// What follows serves the commands that work on a running server from another process.

// NodeName is what this machine is called in the cluster.
func NodeName(settings *config.Config) (string, error) {
	this, err := describeNode(settings)
	return this.name, err
}

// Client connects with the rights of kubeconfig, or with every right when that is empty.
func Client(p paths.Paths, kubeconfig string) (kubernetes.Interface, error) {
	rest, err := clientcmd.BuildConfigFromFlags("", firstOf(kubeconfig, p.SupervisorKubeconfig))
	if err != nil {
		return nil, err
	}
	return kubernetes.NewForConfig(rest)
}

// TokenPrefix is what stands before "::" in a token of this cluster.
func TokenPrefix(p paths.Paths) (string, error) {
	hash, err := certs.Hash(filepath.Join(p.TLS, "server-ca.crt"))
	return "K10" + hash, err
}

// SaveIdentity stores changed files with the cluster's identity, so that the next start does not find them newer.
func SaveIdentity(ctx context.Context, p paths.Paths) error {
	content, err := os.ReadFile(p.Token)
	if err != nil {
		return err
	}
	store, err := bootstrap.Open(p)
	if err != nil {
		return err
	}
	defer store.Close()
	return bootstrap.Save(ctx, store, p, trimmedPassword(content))
}

// RotateToken replaces the server's token on disk and encrypts the stored identity anew. An empty current is the one
// on disk.
func RotateToken(ctx context.Context, p paths.Paths, current, replacement string) error {
	content, err := os.ReadFile(p.Token)
	if err != nil {
		return err
	}
	former := trimmedPassword(content)
	if current != "" && Password(current) != former {
		return errors.New("the given token is not the server's")
	}
	store, err := bootstrap.Open(p)
	if err != nil {
		return err
	}
	defer store.Close()
	fresh := &server{paths: p, secret: secret{Password(replacement)}}
	if err := fresh.writeSecrets(); err != nil {
		return err
	}
	if err := bootstrap.Rotate(ctx, store, p, former, fresh.secret.password); err != nil {
		old := &server{paths: p, secret: secret{former}}
		return errors.Join(fmt.Errorf("store the identity: %w", err), old.writeSecrets())
	}
	return nil
}
