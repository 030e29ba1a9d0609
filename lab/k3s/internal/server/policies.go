package server

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"holdfast/lab/k3s/internal/netpol"
)

// startNetworkPolicies enforces NetworkPolicies once the node has registered.
func (s *server) startNetworkPolicies(client *kubernetes.Clientset) {
	if s.config.Bool("disable-network-policy") {
		return
	}
	s.retry("enforce network policies", func(ctx context.Context) error {
		if err := s.waitForNode(ctx, client); err != nil {
			return err
		}
		return netpol.Run(ctx, client, netpol.Options{
			Node: s.node.name, ServiceCIDR: s.node.serviceCIDR, NodePortRange: s.config.String("service-node-port-range"),
		})
	})
}

// waitForNode waits until kubelet has registered this node.
func (s *server) waitForNode(ctx context.Context, client *kubernetes.Clientset) error {
	return wait.PollUntilContextCancel(ctx, time.Second, true, func(ctx context.Context) (bool, error) {
		_, err := client.CoreV1().Nodes().Get(ctx, s.node.name, metav1.GetOptions{})
		return err == nil, nil
	})
}
