// Package paths names every file and directory of a k3s data directory and of the host around it.
package paths

import "path/filepath"

// Fixed places outside the data directory.
const (
	DefaultDataDir   = "/var/lib/rancher/k3s"
	ConfigFile       = "/etc/rancher/k3s/config.yaml"
	Registries       = "/etc/rancher/k3s/registries.yaml"
	Kubeconfig       = "/etc/rancher/k3s/k3s.yaml"
	NodePassword     = "/etc/rancher/node/password"
	ContainerdState  = "/run/k3s/containerd"
	ContainerdSocket = "/run/k3s/containerd/containerd.sock"
	CNIState         = "/var/lib/cni"
	KubeletRoot      = "/var/lib/kubelet"
	CredProviderDir  = "/var/lib/rancher/credentialprovider/bin"
	CredProviderFile = "/var/lib/rancher/credentialprovider/config.yaml"
)

// Paths is the layout below one data directory. Build it with New.
type Paths struct {
	DataDir string // the data directory itself

	Data    string // data/: unpacked tools, one directory per release of the binary
	Current string // data/current, a link to the tools in use
	Bin     string // data/current/bin
	CNIBin  string // data/cni

	Server    string // server/, the server's working directory
	Token     string // server/token
	NodeToken string // server/node-token, a link to Token
	AgentTok  string // server/agent-token, a link to Token
	DB        string // server/db
	StateDB   string // server/db/state.db
	KineSock  string // server/kine.sock
	Manifests string // server/manifests
	ServerEtc string // server/etc
	TLS       string // server/tls
	Cred      string // server/cred

	Passwd           string // server/cred/passwd
	IPSecKey         string // server/cred/ipsec.psk
	EncryptionConfig string // server/cred/encryption-config.json
	EncryptionState  string // server/cred/encryption-state.json

	AdminKubeconfig      string // server/cred/admin.kubeconfig
	SupervisorKubeconfig string // server/cred/supervisor.kubeconfig
	APIServerKubeconfig  string // server/cred/api-server.kubeconfig
	ControllerKubeconfig string // server/cred/controller.kubeconfig
	SchedulerKubeconfig  string // server/cred/scheduler.kubeconfig
	CloudKubeconfig      string // server/cred/cloud-controller.kubeconfig

	Agent                string // agent/
	Images               string // agent/images
	StaticPods           string // agent/pod-manifests
	ContainerdRoot       string // agent/containerd
	ContainerdLog        string // agent/containerd/containerd.log
	ContainerdEtc        string // agent/etc/containerd
	ContainerdConfig     string // agent/etc/containerd/config.toml
	ContainerdTemplate   string // agent/etc/containerd/config-v3.toml.tmpl
	ContainerdDropins    string // agent/etc/containerd/config-v3.toml.d
	RegistryHosts        string // agent/etc/containerd/certs.d
	CrictlConfig         string // agent/etc/crictl.yaml
	KubeletDropins       string // agent/etc/kubelet.conf.d
	KubeletDefaults      string // agent/etc/kubelet.conf.d/00-k3s-defaults.conf
	CNIConf              string // agent/etc/cni/net.d
	KubeletKubeconfig    string // agent/kubelet.kubeconfig
	ProxyKubeconfig      string // agent/kubeproxy.kubeconfig
	K3sControllerKubecfg string // agent/k3scontroller.kubeconfig

	Storage string // storage/, where local-path volumes live
}

// New lays out dataDir; an empty dataDir means DefaultDataDir.
func New(dataDir string) Paths {
	if dataDir == "" {
		dataDir = DefaultDataDir
	}
	in := func(parts ...string) string { return filepath.Join(append([]string{dataDir}, parts...)...) }
	return Paths{
		DataDir: dataDir,

		Data:    in("data"),
		Current: in("data", "current"),
		Bin:     in("data", "current", "bin"),
		CNIBin:  in("data", "cni"),

		Server:    in("server"),
		Token:     in("server", "token"),
		NodeToken: in("server", "node-token"),
		AgentTok:  in("server", "agent-token"),
		DB:        in("server", "db"),
		StateDB:   in("server", "db", "state.db"),
		KineSock:  in("server", "kine.sock"),
		Manifests: in("server", "manifests"),
		ServerEtc: in("server", "etc"),
		TLS:       in("server", "tls"),
		Cred:      in("server", "cred"),

		Passwd:           in("server", "cred", "passwd"),
		IPSecKey:         in("server", "cred", "ipsec.psk"),
		EncryptionConfig: in("server", "cred", "encryption-config.json"),
		EncryptionState:  in("server", "cred", "encryption-state.json"),

		AdminKubeconfig:      in("server", "cred", "admin.kubeconfig"),
		SupervisorKubeconfig: in("server", "cred", "supervisor.kubeconfig"),
		APIServerKubeconfig:  in("server", "cred", "api-server.kubeconfig"),
		ControllerKubeconfig: in("server", "cred", "controller.kubeconfig"),
		SchedulerKubeconfig:  in("server", "cred", "scheduler.kubeconfig"),
		CloudKubeconfig:      in("server", "cred", "cloud-controller.kubeconfig"),

		Agent:                in("agent"),
		Images:               in("agent", "images"),
		StaticPods:           in("agent", "pod-manifests"),
		ContainerdRoot:       in("agent", "containerd"),
		ContainerdLog:        in("agent", "containerd", "containerd.log"),
		ContainerdEtc:        in("agent", "etc", "containerd"),
		ContainerdConfig:     in("agent", "etc", "containerd", "config.toml"),
		ContainerdTemplate:   in("agent", "etc", "containerd", "config-v3.toml.tmpl"),
		ContainerdDropins:    in("agent", "etc", "containerd", "config-v3.toml.d"),
		RegistryHosts:        in("agent", "etc", "containerd", "certs.d"),
		CrictlConfig:         in("agent", "etc", "crictl.yaml"),
		KubeletDropins:       in("agent", "etc", "kubelet.conf.d"),
		KubeletDefaults:      in("agent", "etc", "kubelet.conf.d", "00-k3s-defaults.conf"),
		CNIConf:              in("agent", "etc", "cni", "net.d"),
		KubeletKubeconfig:    in("agent", "kubelet.kubeconfig"),
		ProxyKubeconfig:      in("agent", "kubeproxy.kubeconfig"),
		K3sControllerKubecfg: in("agent", "k3scontroller.kubeconfig"),

		Storage: in("storage"),
	}
}
