package server

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/sirupsen/logrus"

	"holdfast/lab/k3s/internal/paths"
)

// apiServer is where components find the API server itself; everyone else goes through the supervisor's port.
const apiServer = "https://127.0.0.1:6444"

const kubeconfigTemplate = `apiVersion: v1
clusters:
- cluster:
    %s
    server: %s
  name: %s
contexts:
- context:
    cluster: %s
    %suser: %s
  name: %s
current-context: %s
kind: Config
preferences: {}
users:
- name: %s
  user:
    %s
    %s
`

// writeKubeconfigs writes the kubeconfigs of the components, which name their certificates' files.
func (s *server) writeKubeconfigs() error {
	server := func(name string) string { return filepath.Join(s.paths.TLS, name) }
	agent := func(name string) string { return filepath.Join(s.paths.Agent, name) }
	files := []struct{ path, authority, certificate, key string }{
		{s.paths.AdminKubeconfig, server("server-ca.crt"), server("client-admin.crt"), server("client-admin.key")},
		{s.paths.SupervisorKubeconfig, server("server-ca.crt"), server("client-supervisor.crt"), server("client-supervisor.key")},
		{s.paths.APIServerKubeconfig, server("server-ca.crt"), server("client-kube-apiserver.crt"), server("client-kube-apiserver.key")},
		{s.paths.ControllerKubeconfig, server("server-ca.crt"), server("client-controller.crt"), server("client-controller.key")},
		{s.paths.SchedulerKubeconfig, server("server-ca.crt"), server("client-scheduler.crt"), server("client-scheduler.key")},
		{s.paths.CloudKubeconfig, server("server-ca.crt"), server("client-k3s-cloud-controller.crt"), server("client-k3s-cloud-controller.key")},
		{s.paths.KubeletKubeconfig, agent("server-ca.crt"), agent("client-kubelet.crt"), agent("client-kubelet.key")},
		{s.paths.ProxyKubeconfig, agent("server-ca.crt"), agent("client-kube-proxy.crt"), agent("client-kube-proxy.key")},
		{s.paths.K3sControllerKubecfg, agent("server-ca.crt"), agent("client-k3s-controller.crt"), agent("client-k3s-controller.key")},
	}
	for _, file := range files {
		content := fmt.Sprintf(kubeconfigTemplate,
			"certificate-authority: "+file.authority, apiServer, "local", "local", "namespace: default\n    ", "user", "Default", "Default", "user",
			"client-certificate: "+file.certificate, "client-key: "+file.key)
		if err := writeFile(file.path, content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// writeUserKubeconfig writes the administrator's kubeconfig with everything embedded, anew at every start.
func (s *server) writeUserKubeconfig(context.Context) error {
	embedded := map[string]string{}
	for field, name := range map[string]string{
		"certificate-authority-data": "server-ca.crt", "client-certificate-data": "client-admin.crt", "client-key-data": "client-admin.key",
	} {
		content, err := os.ReadFile(filepath.Join(s.paths.TLS, name))
		if err != nil {
			return err
		}
		embedded[field] = field + ": " + base64.StdEncoding.EncodeToString(content)
	}
	content := fmt.Sprintf(kubeconfigTemplate,
		embedded["certificate-authority-data"], "https://127.0.0.1:"+s.config.String("https-listen-port"), "default", "default", "",
		"default", "default", "default", "default", embedded["client-certificate-data"], embedded["client-key-data"])
	target := firstOf(s.config.String("write-kubeconfig"), paths.Kubeconfig)
	mode := os.FileMode(0o600)
	if text := s.config.String("write-kubeconfig-mode"); text != "" {
		parsed, err := strconv.ParseUint(text, 8, 32)
		if err != nil {
			logrus.Errorf("Failed to set %s to mode %s: %v", target, text, err)
		} else {
			mode = os.FileMode(parsed)
		}
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	if err := writeFile(target, content, mode); err != nil {
		return err
	}
	s.giveToGroup(target)
	if target != paths.Kubeconfig {
		_ = os.Remove(paths.Kubeconfig)
		if err := os.Symlink(target, paths.Kubeconfig); err != nil {
			return err
		}
	}
	logrus.Infof("Wrote kubeconfig %s", target)
	return nil
}

func (s *server) giveToGroup(path string) {
	name := strings.TrimSpace(s.config.String("write-kubeconfig-group"))
	if name == "" {
		return
	}
	id, err := strconv.Atoi(name)
	if err != nil {
		group, lookup := user.LookupGroup(name)
		if lookup != nil {
			logrus.Errorf("Failed to change group of %s: %v", path, lookup)
			return
		}
		id, _ = strconv.Atoi(group.Gid)
	}
	if err := os.Chown(path, -1, id); err != nil {
		logrus.Errorf("Failed to change group of %s: %v", path, err)
	}
}
