package server

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"holdfast/lab/k3s/internal/config"
)

// node is what this machine is called in the cluster, and the networks of the cluster.
type node struct {
	name        string
	hostname    string
	ip          string
	clusterCIDR string
	serviceCIDR string
	serviceIP   string // address of the kubernetes Service: the first of serviceCIDR
}

func describeNode(settings *config.Config) (node, error) {
	hostname, err := os.Hostname()
	if err != nil {
		return node{}, err
	}
	this := node{
		name: strings.ToLower(firstOf(settings.String("node-name"), hostname)), hostname: hostname,
		clusterCIDR: firstOf(strings.Join(settings.List("cluster-cidr"), ","), "10.42.0.0/16"),
		serviceCIDR: firstOf(strings.Join(settings.List("service-cidr"), ","), "10.43.0.0/16"),
	}
	if this.ip = firstOf(append(settings.SplitList("node-ip"), "")...); this.ip == "" {
		if this.ip, err = defaultAddress(); err != nil {
			return node{}, err
		}
	}
	_, network, err := net.ParseCIDR(strings.Split(this.serviceCIDR, ",")[0])
	if err != nil {
		return node{}, fmt.Errorf("invalid service-cidr: %w", err)
	}
	first := network.IP.Mask(network.Mask)
	first[len(first)-1]++
	this.serviceIP = first.String()
	return this, nil
}

func firstOf(values ...string) string {
	for _, value := range values {
		if value != "" {
			return value
		}
	}
	return ""
}

// defaultAddress is the first IPv4 address of the interface that holds the default route.
func defaultAddress() (string, error) {
	file, err := os.Open("/proc/net/route")
	if err != nil {
		return "", err
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 8 || fields[1] != "00000000" {
			continue
		}
		device, err := net.InterfaceByName(fields[0])
		if err != nil {
			continue
		}
		addresses, err := device.Addrs()
		if err != nil {
			continue
		}
		for _, address := range addresses {
			if network, ok := address.(*net.IPNet); ok && network.IP.To4() != nil {
				return network.IP.String(), nil
			}
		}
	}
	return "", errors.New("unable to select an IP from default routes")
}
