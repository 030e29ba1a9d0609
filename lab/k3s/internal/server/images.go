package server

import (
	"context"

	"holdfast/lab/k3s/internal/airgap"
	"holdfast/lab/k3s/internal/paths"
)

// importImages brings the air-gap images in before kubelet needs them, and keeps watching for more.
func (s *server) importImages(ctx context.Context) {
	importer := airgap.New(s.paths.Images, s.tools(), paths.ContainerdSocket)
	importer.ImportAll(ctx)
	go importer.Watch(s.life)
}
