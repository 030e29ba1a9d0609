package server

import (
	"context"
	"errors"
	"time"

	"github.com/sirupsen/logrus"

	"holdfast/lab/k3s/internal/deploy"
)

// keepUp starts what runs beside the components for as long as the server lives.
func (s *server) keepUp() {
	client, err := s.adminClient()
	if err != nil {
		s.failed <- err
		return
	}
	if s.managesNetwork() {
		s.retry("configure the pod network", func(ctx context.Context) error { return s.configureNetwork(ctx, client) })
	}
	s.retry("describe the node", func(ctx context.Context) error { return s.describe(ctx, client) })
	s.retry("deploy manifests", func(ctx context.Context) error {
		if err := s.stageAddons(); err != nil {
			return err
		}
		return deploy.Run(ctx, deploy.Options{
			Kubeconfig: s.paths.SupervisorKubeconfig, Manifests: s.paths.Manifests,
			Disables: s.config.SplitList("disable"), Node: s.node.name,
		})
	})
	s.keepNodeHosts(client)
	s.startNetworkPolicies(client)
}

// retry runs work until it succeeds or the server ends.
func (s *server) retry(what string, work func(context.Context) error) {
	go func() {
		for s.life.Err() == nil {
			err := work(s.life)
			if err == nil || errors.Is(err, context.Canceled) {
				return
			}
			logrus.Errorf("Failed to %s, will retry: %v", what, err)
			select {
			case <-s.life.Done():
			case <-time.After(2 * time.Second):
			}
		}
	}()
}
