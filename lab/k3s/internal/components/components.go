// Package components starts the Kubernetes programs that the binary contains. Each runs in a process of its own,
// a re-exec of the same binary: in one process their global flag sets and signal handlers get in each other's way.
package components

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"
	"k8s.io/component-base/cli"
	"k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"

	"holdfast/lab/k3s/internal/paths"
	"holdfast/lab/k3s/internal/supervise"

	// log formats and client metrics, as the programs' own main packages load them
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
)

// Names of the components, as argv[0] of their processes and in the journal.
const (
	APIServer         = "kube-apiserver"
	Scheduler         = "kube-scheduler"
	ControllerManager = "kube-controller-manager"
	Proxy             = "kube-proxy"
	Kubelet           = "kubelet"
)

var commands = map[string]func() *cobra.Command{
	APIServer:         func() *cobra.Command { return apiserver.NewAPIServerCommand(untilStopped()) },
	Scheduler:         func() *cobra.Command { return scheduler.NewSchedulerCommand(untilStopped()) },
	ControllerManager: controllermanager.NewControllerManagerCommand,
	Proxy:             proxy.NewProxyCommand,
	Kubelet:           func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) },
}

// untilStopped is closed by the first SIGTERM. The API server's own handler cannot be used: its command takes it already.
func untilStopped() <-chan struct{} {
	ctx, _ := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	return ctx.Done()
}

// Is tells whether name is a component that this binary contains.
func Is(name string) bool {
	_, ok := commands[name]
	return ok
}

// Run runs the component name with args until it ends, and returns its exit code.
func Run(name string, args []string) int {
	supervise.KeepReportPrivate()
	command := commands[name]()
	command.SetArgs(args)
	if err := cli.RunNoErrOutput(command); err != nil {
		supervise.ReportError(err)
		return 1
	}
	return 0
}

// Kubectl runs kubectl with args and returns its exit code. Without KUBECONFIG it takes the administrator's kubeconfig.
func Kubectl(args []string) int {
	if os.Getenv("KUBECONFIG") == "" {
		os.Setenv("KUBECONFIG", paths.Kubeconfig)
		if file, err := os.Open(paths.Kubeconfig); err == nil {
			file.Close()
		} else if !os.IsNotExist(err) {
			logrus.Warnf("Unable to read %s, please start server with --write-kubeconfig-mode or --write-kubeconfig-group "+
				"to modify kube config permissions", paths.Kubeconfig)
		}
	}
	os.Args = append([]string{"kubectl"}, args...)
	return cli.Run(cmd.NewDefaultKubectlCommand())
}
