// Package certcheck is `k3s certificate`: what the certificates on disk are worth, and how they are made anew.
package certcheck

import (
	"fmt"
	"path/filepath"
	"sort"
	"strings"
)

// leafFiles names the certificates (without .crt) of each service, below the data directory.
var leafFiles = map[string][]string{
	"admin":              {"server/tls/client-admin"},
	"api-server":         {"server/tls/client-kube-apiserver", "server/tls/serving-kube-apiserver"},
	"auth-proxy":         {"server/tls/client-auth-proxy"},
	"cloud-controller":   {"server/tls/client-k3s-cloud-controller"},
	"controller-manager": {"server/tls/client-controller", "server/tls/kube-controller-manager/kube-controller-manager"},
	"etcd":               {"server/tls/etcd/client", "server/tls/etcd/server-client", "server/tls/etcd/peer-server-client"},
	"k3s-controller":     {"server/tls/client-k3s-controller", "agent/client-k3s-controller"},
	"k3s-server":         {},
	"kube-proxy":         {"server/tls/client-kube-proxy", "agent/client-kube-proxy"},
	"kubelet": {
		"server/tls/client-kubelet", "server/tls/serving-kubelet", "agent/client-kubelet", "agent/serving-kubelet",
	},
	"scheduler":  {"server/tls/client-scheduler", "server/tls/kube-scheduler/kube-scheduler"},
	"supervisor": {"server/tls/client-supervisor"},
}

// Services lists every service whose certificates can be named, sorted.
func Services() []string {
	names := make([]string, 0, len(leafFiles))
	for name := range leafFiles {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// selectServices checks the names given with --service (comma lists, repeated); none means all.
func selectServices(given []string) ([]string, error) {
	var names []string
	for _, list := range given {
		for _, name := range strings.Split(list, ",") {
			if name == "" {
				continue
			}
			if _, known := leafFiles[name]; !known {
				return nil, fmt.Errorf("service %s is not recognized", name)
			}
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return Services(), nil
	}
	return names, nil
}

// pathsOf gives the paths of a service's certificates and keys, whether they exist or not.
func pathsOf(dataDir, service string) (certificates, keys []string) {
	for _, name := range leafFiles[service] {
		path := filepath.Join(dataDir, name)
		certificates = append(certificates, path+".crt")
		keys = append(keys, path+".key")
	}
	if service == "k3s-server" {
		keys = append(keys, filepath.Join(dataDir, "server/tls/dynamic-cert.json"))
	}
	return certificates, keys
}
