package server

import (
	"context"
	"strings"

	"k8s.io/client-go/kubernetes"

	"holdfast/lab/k3s/internal/addons"
)

// stageAddons writes the packaged manifests for the deploy loop.
func (s *server) stageAddons() error {
	storage := s.config.String("default-local-storage-path")
	if storage == "" {
		storage = s.paths.Storage
	}
	values := addons.Values{
		ClusterDNS: s.config.String("cluster-dns"), ClusterDomain: s.config.String("cluster-domain"),
		LocalStorage: storage, SystemDefaultRegistry: s.config.String("system-default-registry"),
	}
	servicelb := true
	for _, name := range s.config.SplitList("disable") {
		servicelb = servicelb && name != "servicelb"
	}
	return addons.Stage(s.paths.Manifests, values, func(name string) bool {
		return strings.HasPrefix(name, "ccm.") && s.config.Bool("disable-cloud-controller") && !servicelb
	})
}

func (s *server) keepNodeHosts(client *kubernetes.Clientset) {
	s.retry("keep NodeHosts", func(ctx context.Context) error { return addons.KeepNodeHosts(ctx, client) })
}
