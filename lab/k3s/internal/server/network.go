package server

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/sirupsen/logrus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// conflist is the pods' network: a bridge with the names that k3s's flannel gives it, which is all that a single
// machine needs of flannel.
const conflist = `{
  "name": "cbr0",
  "cniVersion": "1.0.0",
  "plugins": [
    {
      "type": "bridge",
      "bridge": "cni0",
      "isDefaultGateway": true,
      "hairpinMode": true,
      "forceAddress": true,
      "ipMasq": true,
      "ipam": {
        "type": "host-local",
        "ranges": [[{"subnet": "%s"}]],
        "routes": [{"dst": "%s"}]
      }
    },
    {"type": "portmap", "capabilities": {"portMappings": true}},
    {"type": "bandwidth", "capabilities": {"bandwidth": true}}
  ]
}
`

// managesNetwork tells whether the pods' network is k3s's to configure, as with every backend but none.
func (s *server) managesNetwork() bool { return s.config.String("flannel-backend") != "none" }

// configureNetwork writes the CNI configuration once the node has been given its part of the cluster's network; from
// the second start on it is there already.
func (s *server) configureNetwork(ctx context.Context, client *kubernetes.Clientset) error {
	for {
		node, err := client.CoreV1().Nodes().Get(ctx, s.node.name, metav1.GetOptions{})
		if err == nil && node.Spec.PodCIDR != "" {
			return s.writeConflist(node.Spec.PodCIDR)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (s *server) writeConflist(subnet string) error {
	if err := os.MkdirAll(s.paths.CNIConf, 0o700); err != nil {
		return err
	}
	path := filepath.Join(s.paths.CNIConf, "10-flannel.conflist")
	content := fmt.Sprintf(conflist, subnet, s.node.clusterCIDR)
	if current, err := os.ReadFile(path); err == nil && string(current) == content {
		return nil
	}
	logrus.Infof("Writing the CNI configuration for %s to %s", subnet, path)
	return writeFile(path, content, 0o600)
}
