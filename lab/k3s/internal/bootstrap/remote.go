package bootstrap

import (
	"github.com/k3s-io/kine/pkg/client"
	"github.com/k3s-io/kine/pkg/endpoint"

	"holdfast/lab/k3s/internal/paths"
)

// Open connects to the datastore of a running server, for commands that change its identity.
func Open(p paths.Paths) (client.Client, error) {
	return client.New(endpoint.ETCDConfig{Endpoints: []string{"unix://" + p.KineSock}})
}
