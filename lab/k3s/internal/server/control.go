package server

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"holdfast/lab/k3s/internal/components"
	"holdfast/lab/k3s/internal/supervise"
)

const tlsCipherSuites = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384," +
	"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256," +
	"TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305,TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305"

// startComponent runs one Kubernetes component, a re-exec of this program under the component's name.
func (s *server) startComponent(component, calledOnExit string, flags []string) error {
	logrus.Infof("Running %s %s", component, strings.Join(flags, " "))
	return s.start(supervise.Spec{
		Name: calledOnExit, Path: executable(), Argv: append([]string{component}, flags...), Dir: s.paths.Server,
		Env: []string{"PATH=" + s.searchPath()},
	})
}

// searchPath puts the bundled tools before those of the host.
func (s *server) searchPath() string {
	host := firstOf(os.Getenv("PATH"), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	return s.paths.Bin + ":" + host
}

func (s *server) startAPIServer(_ context.Context) error {
	tls := func(name string) string { return filepath.Join(s.paths.TLS, name) }
	issuer := "https://kubernetes.default.svc." + s.config.String("cluster-domain")
	flags := map[string]string{
		"advertise-port":                     s.config.String("https-listen-port"),
		"allow-privileged":                   "true",
		"anonymous-auth":                     "false",
		"api-audiences":                      issuer + ",k3s",
		"authorization-mode":                 "Node,RBAC",
		"bind-address":                       "127.0.0.1",
		"cert-dir":                           tls("temporary-certs"),
		"client-ca-file":                     tls("client-ca.crt"),
		"egress-selector-config-file":        s.egressConfig(),
		"enable-admission-plugins":           "NodeRestriction",
		"enable-aggregator-routing":          "true",
		"enable-bootstrap-token-auth":        "true",
		"etcd-servers":                       "unix://kine.sock",
		"kubelet-certificate-authority":      tls("server-ca.crt"),
		"kubelet-client-certificate":         tls("client-kube-apiserver.crt"),
		"kubelet-client-key":                 tls("client-kube-apiserver.key"),
		"kubelet-preferred-address-types":    "InternalIP,ExternalIP,Hostname",
		"profiling":                          "false",
		"proxy-client-cert-file":             tls("client-auth-proxy.crt"),
		"proxy-client-key-file":              tls("client-auth-proxy.key"),
		"requestheader-allowed-names":        "system:auth-proxy",
		"requestheader-client-ca-file":       tls("request-header-ca.crt"),
		"requestheader-extra-headers-prefix": "X-Remote-Extra-",
		"requestheader-group-headers":        "X-Remote-Group",
		"requestheader-username-headers":     "X-Remote-User",
		"secure-port":                        "6444",
		"service-account-issuer":             issuer,
		"service-account-key-file":           tls("service.key"),
		"service-account-signing-key-file":   tls("service.current.key"),
		"service-cluster-ip-range":           s.node.serviceCIDR,
		"service-node-port-range":            s.config.String("service-node-port-range"),
		"storage-backend":                    "etcd3",
		"tls-cert-file":                      tls("serving-kube-apiserver.crt"),
		"tls-cipher-suites":                  tlsCipherSuites,
		"tls-private-key-file":               tls("serving-kube-apiserver.key"),
	}
	if address := s.config.String("advertise-address"); address != "" {
		flags["advertise-address"] = address
	}
	if s.encrypts() {
		flags["encryption-provider-config"] = s.paths.EncryptionConfig
		flags["encryption-provider-config-automatic-reload"] = "true"
	}
	return s.startComponent(components.APIServer, "apiserver", renderFlags(flags, s.config.List("kube-apiserver-arg")))
}

// waitForAPIServer waits until the API server says that it is ready; it gives up only when the start does.
func (s *server) waitForAPIServer(ctx context.Context) error {
	rest, err := clientcmd.BuildConfigFromFlags("", s.paths.AdminKubeconfig)
	if err != nil {
		return err
	}
	rest.Timeout = 5 * time.Second
	client, err := kubernetes.NewForConfig(rest)
	if err != nil {
		return err
	}
	started, lastWord := time.Now(), time.Now()
	for {
		_, err := client.RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
		if err == nil {
			return nil
		}
		if time.Since(lastWord) > 20*time.Second {
			lastWord = time.Now()
			logrus.Infof("Waiting for API server to become available for %s", time.Since(started).Round(time.Second))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (s *server) startScheduler(_ context.Context) error {
	if s.config.Bool("disable-scheduler") {
		return nil
	}
	flags := map[string]string{
		"authentication-kubeconfig": s.paths.SchedulerKubeconfig,
		"authorization-kubeconfig":  s.paths.SchedulerKubeconfig,
		"bind-address":              "127.0.0.1",
		"kubeconfig":                s.paths.SchedulerKubeconfig,
		"leader-elect":              "false",
		"profiling":                 "false",
		"secure-port":               "10259",
		"tls-cert-file":             filepath.Join(s.paths.TLS, "kube-scheduler", "kube-scheduler.crt"),
		"tls-private-key-file":      filepath.Join(s.paths.TLS, "kube-scheduler", "kube-scheduler.key"),
	}
	return s.startComponent(components.Scheduler, "scheduler", renderFlags(flags, s.config.List("kube-scheduler-arg")))
}

func (s *server) startControllerManager(_ context.Context) error {
	if s.config.Bool("disable-controller-manager") {
		return nil
	}
	tls := func(name string) string { return filepath.Join(s.paths.TLS, name) }
	flags := map[string]string{
		"allocate-node-cidrs":       "true",
		"authentication-kubeconfig": s.paths.ControllerKubeconfig,
		"authorization-kubeconfig":  s.paths.ControllerKubeconfig,
		"bind-address":              "127.0.0.1",
		"cluster-cidr":              s.node.clusterCIDR,
		"cluster-signing-kube-apiserver-client-cert-file": tls("client-ca.nochain.crt"),
		"cluster-signing-kube-apiserver-client-key-file":  tls("client-ca.key"),
		"cluster-signing-kubelet-client-cert-file":        tls("client-ca.nochain.crt"),
		"cluster-signing-kubelet-client-key-file":         tls("client-ca.key"),
		"cluster-signing-kubelet-serving-cert-file":       tls("server-ca.nochain.crt"),
		"cluster-signing-kubelet-serving-key-file":        tls("server-ca.key"),
		"cluster-signing-legacy-unknown-cert-file":        tls("server-ca.nochain.crt"),
		"cluster-signing-legacy-unknown-key-file":         tls("server-ca.key"),
		"configure-cloud-routes":                          "false",
		"controllers":                                     "*,tokencleaner,-service,-route,-cloud-node-lifecycle",
		"kubeconfig":                                      s.paths.ControllerKubeconfig,
		"leader-elect":                                    "false",
		"profiling":                                       "false",
		"root-ca-file":                                    tls("server-ca.crt"),
		"secure-port":                                     "10257",
		"service-account-private-key-file":                tls("service.current.key"),
		"service-cluster-ip-range":                        s.node.serviceCIDR,
		"tls-cert-file":                                   tls("kube-controller-manager/kube-controller-manager.crt"),
		"tls-private-key-file":                            tls("kube-controller-manager/kube-controller-manager.key"),
		"use-service-account-credentials":                 "true",
	}
	return s.startComponent(components.ControllerManager, "controller-manager", renderFlags(flags, s.config.List("kube-controller-manager-arg")))
}

// adminClient is a client with every right, for the supervisor's own upkeep.
func (s *server) adminClient() (*kubernetes.Clientset, error) {
	rest, err := clientcmd.BuildConfigFromFlags("", s.paths.SupervisorKubeconfig)
	if err != nil {
		return nil, fmt.Errorf("supervisor kubeconfig: %w", err)
	}
	rest.QPS, rest.Burst = 50, 100
	return kubernetes.NewForConfig(rest)
}
