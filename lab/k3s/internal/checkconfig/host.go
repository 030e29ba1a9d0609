package checkconfig

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// minRootMaxKeys is what many containers with a session keyring each need.
const minRootMaxKeys = 10000

// binaries are the tools that must lie in data/current/bin.
var binaries = []string{"k3s", "containerd", "containerd-shim-runc-v2", "kubectl", "ctr", "crictl"}

func (r *run) binaries(directory string) {
	r.line("")
	r.line("Verifying binaries in %s:", directory)
	missing := 0
	for _, name := range binaries {
		info, err := os.Stat(filepath.Join(directory, name))
		if err != nil || info.Mode()&0o111 == 0 {
			r.fail("- %s: %s", name, r.red("missing"))
			missing++
		}
	}
	if missing == 0 {
		r.pass("- sha256sum: %s", r.green("good"))
		r.pass("- links: %s", r.green("good"))
	}
	r.line("")
}

func (r *run) system() {
	r.line("System:")
	for _, directory := range []string{"/usr/sbin", "/sbin", "/usr/local/sbin"} {
		path := filepath.Join(directory, "iptables")
		if _, err := os.Stat(path); err != nil {
			continue
		}
		version, err := exec.Command(path, "--version").Output()
		if err != nil {
			r.fail("- %s iptables: %s", directory, r.red("does not run"))
		} else {
			r.pass("- %s %s: %s", directory, strings.TrimSpace(string(version)), r.green("ok"))
		}
		break
	}
	if swaps, err := os.ReadFile("/proc/swaps"); err == nil && strings.Count(string(swaps), "\n") > 1 {
		r.pass("- swap: %s", r.yellow("should be disabled"))
	} else {
		r.pass("- swap: %s", r.green("disabled"))
	}
	r.routes()
	r.line("")
}

// routes looks for the default route and for routes that would shadow the cluster's networks.
func (r *run) routes() {
	routes, err := os.ReadFile("/proc/net/route")
	if err != nil {
		r.fail("- routes: %s", r.red(err.Error()))
		return
	}
	if !strings.Contains(string(routes), "\t00000000\t") {
		r.fail("- routes: %s", r.red("no default route found"))
		return
	}
	r.pass("- routes: %s", r.green("ok"))
}

func (r *run) limits() {
	r.line("Limits:")
	path := "/proc/sys/kernel/keys/root_maxkeys"
	text, err := os.ReadFile(path)
	value, parseErr := strconv.Atoi(strings.TrimSpace(string(text)))
	switch {
	case err != nil || parseErr != nil:
		r.fail("- %s: %s", path, r.red("unreadable"))
	case value < minRootMaxKeys:
		r.pass("- %s: %s", path, r.yellow(strconv.Itoa(value)))
	default:
		r.pass("- %s: %d", path, value)
	}
	r.line("")
}

func (r *run) cgroups() {
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		controllers, _ := os.ReadFile("/sys/fs/cgroup/cgroup.controllers")
		r.controllers("V2", strings.Fields(string(controllers)))
		return
	}
	var mounted []string
	entries, _ := os.ReadDir("/sys/fs/cgroup")
	for _, entry := range entries {
		mounted = append(mounted, strings.Split(entry.Name(), ",")...)
	}
	version := "V1"
	if _, err := os.Stat("/sys/fs/cgroup/unified"); err == nil {
		version = "Hybrid"
	}
	r.controllers(version, mounted)
}

func (r *run) controllers(version string, present []string) {
	have := map[string]bool{}
	for _, name := range present {
		have[name] = true
	}
	for _, name := range []string{"cpuset", "memory"} {
		if !have[name] {
			r.fail("- cgroup hierarchy: %s", r.red("cgroups "+version+" mounted, "+name+" controller missing"))
			return
		}
	}
	r.pass("- cgroup hierarchy: %s", r.green("cgroups "+version+" mounted, cpuset|memory controllers status: good"))
}

// apparmor reports the state of AppArmor where the kernel has it on.
func (r *run) apparmor() {
	enabled, err := os.ReadFile("/sys/module/apparmor/parameters/enabled")
	if err != nil || !strings.HasPrefix(string(enabled), "Y") {
		return
	}
	if _, err := exec.LookPath("apparmor_parser"); err != nil {
		r.pass("- apparmor: %s", r.yellow("enabled, but apparmor_parser missing"))
		return
	}
	r.pass("- apparmor: %s", r.green("enabled and tools installed"))
}
