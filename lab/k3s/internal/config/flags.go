package config

import "strings"

// kind is the type of an option's value.
type kind int

const (
	text kind = iota
	boolean
	list
)

// option is one flag of `k3s server`, which is a key of config.yaml as well.
type option struct {
	kind     kind
	fallback string // default value; lists have none
}

// options are the flags of `k3s server` that the stand-in knows: those it honours, and those it accepts without effect.
var options = merge(
	group(boolean, `cluster-init cluster-reset debug disable-apiserver disable-cloud-controller
		disable-controller-manager disable-default-registry-endpoint disable-etcd disable-helm-controller
		disable-kube-proxy disable-network-policy disable-scheduler docker embedded-registry enable-pprof
		etcd-disable-snapshots etcd-expose-metrics etcd-s3 etcd-snapshot-compress flannel-external-ip flannel-ipv6-masq
		kine-tls nonroot-devices prefer-bundled-bin protect-kernel-defaults rootless secrets-encryption selinux
		supervisor-metrics`),
	group(text, `advertise-address advertise-port agent-token agent-token-file bind-address cluster-dns
		cluster-reset-restore-path config container-runtime-endpoint data-dir datastore-cafile datastore-certfile
		datastore-endpoint datastore-keyfile default-local-storage-path default-runtime egress-selector-mode
		etcd-snapshot-dir etcd-snapshot-name etcd-snapshot-retention etcd-snapshot-schedule-cron flannel-conf
		flannel-cni-conf flannel-iface helm-job-image image-service-endpoint lb-server-port log node-name resolv-conf
		server servicelb-namespace system-default-registry token token-file v vmodule vpn-auth vpn-auth-file
		write-kubeconfig write-kubeconfig-group write-kubeconfig-mode`),
	group(list, `airgap-extra-registry cluster-cidr disable etcd-arg kube-apiserver-arg
		kube-cloud-controller-manager-arg kube-controller-manager-arg kube-proxy-arg kube-scheduler-arg kubelet-arg
		node-external-dns node-external-ip node-internal-dns node-ip node-label node-taint service-cidr tls-san`),
	map[string]option{
		"cluster-dns":                       {text, "10.43.0.10"},
		"cluster-domain":                    {text, "cluster.local"},
		"https-listen-port":                 {text, "6443"},
		"flannel-backend":                   {text, "vxlan"},
		"image-credential-provider-bin-dir": {text, "/var/lib/rancher/credentialprovider/bin"},
		"image-credential-provider-config":  {text, "/var/lib/rancher/credentialprovider/config.yaml"},
		"pause-image":                       {text, "rancher/mirrored-pause:3.10.2"},
		"private-registry":                  {text, "/etc/rancher/k3s/registries.yaml"},
		"secrets-encryption-provider":       {text, "aescbc"},
		"service-node-port-range":           {text, "30000-32767"},
		"snapshotter":                       {text, "overlayfs"},
		"tls-san-security":                  {boolean, "true"},
		"with-node-id":                      {boolean, ""},
		"alsologtostderr":                   {boolean, ""},
	},
)

// aliases are other spellings of an option.
var aliases = map[string]string{
	"c": "config", "d": "data-dir", "t": "token", "o": "write-kubeconfig", "l": "log", "s": "server",
}

func group(of kind, names string) map[string]option {
	found := map[string]option{}
	for _, name := range strings.Fields(names) {
		found[name] = option{kind: of}
	}
	return found
}

func merge(groups ...map[string]option) map[string]option {
	all := map[string]option{}
	for _, group := range groups {
		for name, option := range group {
			all[name] = option
		}
	}
	return all
}

func canonical(name string) string {
	if full, ok := aliases[name]; ok {
		return full
	}
	return name
}
