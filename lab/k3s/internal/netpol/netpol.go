// Package netpol enforces NetworkPolicies on this node with kube-router's controller, as k3s does.
package netpol

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/cloudnativelabs/kube-router/v2/pkg/controllers/netpol"
	"github.com/cloudnativelabs/kube-router/v2/pkg/healthcheck"
	"github.com/cloudnativelabs/kube-router/v2/pkg/options"
	"github.com/sirupsen/logrus"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
)

// Options describe the node's network.
type Options struct {
	Node          string // this node's name
	ServiceCIDR   string
	NodePortRange string // first-last
}

// Run enforces policies until ctx ends; it returns early with an error when the controller cannot be set up.
// The node must have registered. iptables and ipset are called by name.
func Run(ctx context.Context, client kubernetes.Interface, given Options) error {
	config := options.NewKubeRouterConfig()
	config.EnableIPv4 = true
	config.RunFirewall = true
	config.HostnameOverride = given.Node
	config.ClusterIPCIDRs = []string{given.ServiceCIDR}
	config.NodePortRange = given.NodePortRange
	config.IPTablesSyncPeriod = 5 * time.Minute

	iptables, ipsets, err := netpol.NewIPTablesHandlers(config)
	if err != nil {
		return fmt.Errorf("iptables: %w", err)
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	pods, namespaces := factory.Core().V1().Pods().Informer(), factory.Core().V1().Namespaces().Informer()
	policies := factory.Networking().V1().NetworkPolicies().Informer()
	factory.Start(ctx.Done())
	for kind, synced := range factory.WaitForCacheSync(ctx.Done()) {
		if !synced {
			return fmt.Errorf("list %s: %w", kind, ctx.Err())
		}
	}
	logrus.Info("Starting network policy controller")
	controller, err := netpol.NewNetworkPolicyController(client, config, pods, policies, namespaces, &sync.Mutex{}, nil, iptables, ipsets)
	if err != nil {
		return err
	}
	if _, err := pods.AddEventHandler(controller.PodEventHandler); err != nil {
		return err
	}
	if _, err := namespaces.AddEventHandler(controller.NamespaceEventHandler); err != nil {
		return err
	}
	if _, err := policies.AddEventHandler(controller.NetworkPolicyEventHandler); err != nil {
		return err
	}
	heartbeats := make(chan *healthcheck.ControllerHeartbeat, 10)
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-heartbeats: // nobody asks for the controller's health; the channel must only not fill up
			}
		}
	}()
	group := &sync.WaitGroup{}
	group.Add(1)
	controller.Run(heartbeats, ctx.Done(), group)
	return ctx.Err()
}
