// Package checkconfig is `k3s check-config`: whether this host's kernel and limits suit Kubernetes.
package checkconfig

import (
	"bufio"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"strings"
)

var errNoKernelConfig = errors.New("cannot find kernel config")

// needed options count as failures when they are missing; optional ones are only shown.
var needed = []string{
	"NAMESPACES", "NET_NS", "PID_NS", "IPC_NS", "UTS_NS", "CGROUPS", "CGROUP_PIDS", "CGROUP_CPUACCT", "CGROUP_DEVICE", "CGROUP_FREEZER",
	"CGROUP_SCHED", "CPUSETS", "MEMCG", "SECCOMP", "KEYS", "VETH", "BRIDGE", "BRIDGE_NETFILTER", "IP_NF_FILTER",
	"IP_NF_TARGET_MASQUERADE", "IP_NF_TARGET_REJECT", "NETFILTER_XT_MATCH_ADDRTYPE", "NETFILTER_XT_MATCH_CONNTRACK",
	"NETFILTER_XT_MATCH_IPVS", "NETFILTER_XT_MATCH_COMMENT", "NETFILTER_XT_MATCH_MULTIPORT", "NETFILTER_XT_MATCH_STATISTIC",
	"IP_NF_NAT", "NF_NAT", "POSIX_MQUEUE",
}

var optional = []string{
	"USER_NS", "BLK_CGROUP", "BLK_DEV_THROTTLING", "CGROUP_PERF", "CGROUP_HUGETLB", "NET_CLS_CGROUP", "CGROUP_NET_PRIO",
	"CFS_BANDWIDTH", "FAIR_GROUP_SCHED", "RT_GROUP_SCHED", "IP_NF_TARGET_REDIRECT", "IP_SET", "IP_VS", "IP_VS_NFCT",
	"IP_VS_PROTO_TCP", "IP_VS_PROTO_UDP", "IP_VS_RR", "EXT4_FS", "EXT4_FS_POSIX_ACL", "EXT4_FS_SECURITY",
}

// drivers are the options of network and storage drivers, listed behind the optional ones.
var drivers = []struct {
	group, driver string
	options       []string
}{
	{"Network Drivers", "overlay", []string{"VXLAN", "CRYPTO", "CRYPTO_AEAD", "CRYPTO_GCM", "CRYPTO_SEQIV", "CRYPTO_GHASH", "XFRM", "XFRM_USER", "XFRM_ALGO", "INET_ESP"}},
	{"Storage Drivers", "overlay", []string{"OVERLAY_FS"}},
}

// kernelConfigPaths are the places where a kernel's configuration may lie, best first; CONFIG names another one.
func kernelConfigPaths(release string) []string {
	paths := []string{
		"/proc/config.gz", "/boot/config-" + release, "/usr/src/linux-" + release + "/.config", "/usr/src/linux/.config",
		"/usr/lib/modules/" + release + "/config", "/usr/lib/ostree-boot/config-" + release, "/usr/lib/kernel/config-" + release,
		"/usr/src/linux-headers-" + release + "/.config", "/lib/modules/" + release + "/build/.config",
	}
	if given := os.Getenv("CONFIG"); given != "" {
		return append([]string{given}, paths...)
	}
	return paths
}

// readKernelConfig finds and parses the kernel's configuration: option without CONFIG_ → "y" or "m".
func readKernelConfig(paths []string) (path string, options map[string]string, err error) {
	for _, path := range paths {
		file, err := os.Open(path)
		if err != nil {
			continue
		}
		defer file.Close()
		var reader io.Reader = file
		if strings.HasSuffix(path, ".gz") {
			if reader, err = gzip.NewReader(file); err != nil {
				return path, nil, err
			}
		}
		options, err := parseKernelConfig(reader)
		return path, options, err
	}
	return "", nil, errNoKernelConfig
}

func parseKernelConfig(reader io.Reader) (map[string]string, error) {
	options := map[string]string{}
	lines := bufio.NewScanner(reader)
	for lines.Scan() {
		name, value, found := strings.Cut(strings.TrimSpace(lines.Text()), "=")
		if found && strings.HasPrefix(name, "CONFIG_") {
			options[strings.TrimPrefix(name, "CONFIG_")] = value
		}
	}
	return options, lines.Err()
}
