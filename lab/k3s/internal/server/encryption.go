package server

import (
	"context"
	"time"

	"k8s.io/client-go/kubernetes"

	"holdfast/lab/k3s/internal/encrypt"
)

func (s *server) encrypts() bool { return s.config.Bool("secrets-encryption") }

// prepareEncryption makes the files of secrets encryption where they are missing.
func (s *server) prepareEncryption() error {
	if !s.encrypts() {
		return nil
	}
	return encrypt.Prepare(s.paths, time.Now())
}

// annotateEncryption tells on the node which configuration it works with.
func (s *server) annotateEncryption(ctx context.Context, client *kubernetes.Clientset) error {
	if !s.encrypts() {
		return nil
	}
	return encrypt.Annotate(ctx, s.paths, client, s.node.name)
}
