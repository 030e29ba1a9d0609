package certs

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"time"

	"holdfast/lab/k3s/internal/paths"
)

// Options are the names that the certificates must carry.
type Options struct {
	NodeName      string
	NodeIP        string
	ClusterDomain string
	ServiceIP     string   // address of the kubernetes Service
	ExtraNames    []string // tls-san
}

// Authorities are the files of the CAs and of the token key, below server/tls, without their ending. They are the
// cluster's identity and part of the bootstrap record.
const (
	ServerCA        = "server-ca"
	ClientCA        = "client-ca"
	RequestHeaderCA = "request-header-ca"
)

// Ensure makes what is missing and renews what nears its end at the moment now.
func Ensure(p paths.Paths, options Options, now time.Time) error {
	tls := func(parts ...string) string { return filepath.Join(append([]string{p.TLS}, parts...)...) }
	for _, directory := range []string{"etcd", "kube-scheduler", "kube-controller-manager"} {
		if err := os.MkdirAll(tls(directory), 0o755); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(tls("temporary-certs"), 0o700); err != nil {
		return err
	}
	authorities := map[string]*authority{}
	for _, name := range []string{ServerCA, ClientCA, RequestHeaderCA} {
		made, err := loadOrMakeAuthority(tls(name), "k3s-"+name, now)
		if err != nil {
			return err
		}
		authorities[name] = made
	}
	for _, name := range []string{ServerCA, ClientCA} {
		block := certificateBlock(authorities[name].certificate)
		if err := writePEM(tls(name+".nochain.crt"), 0o644, block); err != nil {
			return err
		}
		if err := writePEM(filepath.Join(p.Agent, name+".crt"), 0o600, block); err != nil {
			return err
		}
	}
	if err := makeServiceKey(tls("service.key"), tls("service.current.key")); err != nil {
		return err
	}
	for _, file := range serverLeaves(options) {
		if err := authorities[file.by].ensure(tls(file.name+".crt"), tls(file.name+".key"), 0o644, file.leaf, now); err != nil {
			return err
		}
	}
	for _, file := range agentLeaves(options) {
		if err := ensureAgentLeaf(p, authorities[file.by], file, now); err != nil {
			return err
		}
	}
	return nil
}

// ensureAgentLeaf makes a certificate of the agent directory, whose key lies in server/tls too.
func ensureAgentLeaf(p paths.Paths, signer *authority, file file, now time.Time) error {
	kept := filepath.Join(p.TLS, file.name+".key")
	if _, err := loadOrMakeKey(kept); err != nil {
		return err
	}
	key, err := os.ReadFile(kept)
	if err != nil {
		return err
	}
	used := filepath.Join(p.Agent, file.name+".key")
	if err := os.WriteFile(used, key, 0o600); err != nil {
		return err
	}
	return signer.ensure(filepath.Join(p.Agent, file.name+".crt"), used, 0o600, file.leaf, now)
}

// file is a leaf, the name of its file and the authority that signs it.
type file struct {
	name string
	by   string
	leaf leaf
}

func serverLeaves(o Options) []file {
	masters := []string{"system:masters"}
	local := []string{"localhost", "127.0.0.1", "::1"}
	return []file{
		{"client-admin", ClientCA, leaf{commonName: "system:admin", groups: masters}},
		{"client-supervisor", ClientCA, leaf{commonName: "system:k3s-supervisor", groups: masters}},
		{"client-controller", ClientCA, leaf{commonName: "system:kube-controller-manager"}},
		{"client-scheduler", ClientCA, leaf{commonName: "system:kube-scheduler"}},
		{"client-kube-apiserver", ClientCA, leaf{commonName: "system:apiserver", groups: masters}},
		{"client-k3s-cloud-controller", ClientCA, leaf{commonName: "k3s-cloud-controller-manager"}},
		{"client-auth-proxy", RequestHeaderCA, leaf{commonName: "system:auth-proxy"}},
		{"serving-kube-apiserver", ServerCA, leaf{commonName: "kube-apiserver", names: append(o.apiNames(), o.ExtraNames...)}},
		{"kube-scheduler/kube-scheduler", ServerCA, leaf{commonName: "kube-scheduler", names: local}},
		{"kube-controller-manager/kube-controller-manager", ServerCA, leaf{commonName: "kube-controller-manager", names: local}},
	}
}

func agentLeaves(o Options) []file {
	return []file{
		{"client-kubelet", ClientCA, leaf{commonName: "system:node:" + o.NodeName, groups: []string{"system:nodes"}}},
		{"client-kube-proxy", ClientCA, leaf{commonName: "system:kube-proxy"}},
		{"client-k3s-controller", ClientCA, leaf{commonName: "system:k3s-controller"}},
		{"serving-kubelet", ServerCA, leaf{commonName: o.NodeName, names: []string{o.NodeName, "localhost", "127.0.0.1", "::1", o.NodeIP}}},
	}
}

// apiNames are what clients call the API server.
func (o Options) apiNames() []string {
	return []string{
		"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc." + o.ClusterDomain,
		"localhost", "127.0.0.1", "::1", o.NodeName, o.NodeIP, o.ServiceIP,
	}
}

// Hash is the hex SHA-256 of a file, as the token carries it of server-ca.crt.
func Hash(path string) (string, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:]), nil
}
