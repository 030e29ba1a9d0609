package addons

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"sort"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

const hostsInterval = 2 * time.Second

// KeepNodeHosts keeps the names of the nodes in the NodeHosts key of the coredns ConfigMap, without which CoreDNS's
// pod does not start, until ctx ends.
func KeepNodeHosts(ctx context.Context, client kubernetes.Interface) error {
	ticker := time.NewTicker(hostsInterval)
	defer ticker.Stop()
	for {
		if err := updateNodeHosts(ctx, client); err != nil && ctx.Err() == nil {
			logrus.Debugf("Failed to update NodeHosts, will retry: %v", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

func updateNodeHosts(ctx context.Context, client kubernetes.Interface) error {
	config, err := client.CoreV1().ConfigMaps(metav1.NamespaceSystem).Get(ctx, "coredns", metav1.GetOptions{ResourceVersion: "0"})
	if apierrors.IsNotFound(err) {
		return nil // not there yet, or disabled
	}
	if err != nil {
		return err
	}
	nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{ResourceVersion: "0"})
	if err != nil {
		return err
	}
	wanted := nodeHosts(nodes.Items)
	if config.Data["NodeHosts"] == wanted {
		return nil
	}
	patch, err := json.Marshal(map[string]any{"data": map[string]string{"NodeHosts": wanted}})
	if err != nil {
		return err
	}
	_, err = client.CoreV1().ConfigMaps(metav1.NamespaceSystem).Patch(ctx, "coredns", types.MergePatchType, patch, metav1.PatchOptions{})
	if err == nil {
		logrus.Infof("Synced coredns NodeHosts entries")
	}
	return err
}

// nodeHosts renders the lines "address name" in the order of the addresses.
func nodeHosts(nodes []core.Node) string {
	var lines []string
	for _, node := range nodes {
		var name string
		var addresses []string
		for _, address := range node.Status.Addresses {
			switch address.Type {
			case core.NodeInternalIP:
				addresses = append(addresses, net.ParseIP(address.Address).String())
			case core.NodeHostName:
				name = address.Address
			}
		}
		for _, address := range addresses {
			if name != "" {
				lines = append(lines, fmt.Sprintf("%s %s\n", address, name))
			}
		}
	}
	sort.Strings(lines)
	return strings.Join(lines, "")
}
