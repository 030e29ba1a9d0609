"""Another binary, and the harsh way to stop everything."""

from __future__ import annotations

import pytest
from conftest import role

from lab.host import LabHost
from lab.mirror import VERSION
from tests.scenario import all_pods_ready, pid

NEXT = VERSION.replace(".3+", ".4+")
RELEASE = "/var/tmp/next-release"
# A binary that reports the next patch release and is the same program otherwise, in a directory laid out like a release.
NEXT_BINARY = f"""#!/bin/bash
if [ "$1" = --version ]; then {RELEASE}/program --version | sed 's/{VERSION}/{NEXT}/'; exit; fi
exec -a "$(basename "$0")" {RELEASE}/program "$@"
"""
SUMS = f"cd {RELEASE} && cp /var/lib/rancher/k3s/agent/images/*.zst . && sha256sum k3s *.zst >sha256sum-amd64.txt"


def installed(host: LabHost) -> str:
    """Version that the binary in place reports."""
    return host.sudo(["/usr/local/bin/k3s", "--version"]).out.split()[2]


def shims(host: LabHost) -> set[str]:
    """Process ids of the containers' shims; by the program's own name, so that no command line about them counts."""
    return set(host.sudo(["pgrep", "containerd-shim"], check=False).out.split())


def dns_container(host: LabHost) -> str:
    """The container of the cluster's DNS server."""
    pods = host.kubectl(["-n", "kube-system", "get", "pods", "-l", "k8s-app=kube-dns"])["items"]
    return str(pods[0]["status"]["containerStatuses"][0]["containerID"])


@pytest.mark.timeout(1800)
def test_another_binary_is_verified_installed_and_run_while_the_pods_stay(running: LabHost) -> None:
    all_pods_ready(running)
    running.put(f"{RELEASE}/k3s", NEXT_BINARY.encode(), 0o755)
    running.sudo(["cp", "/usr/local/bin/k3s", f"{RELEASE}/program"])
    running.sudo(["sh", "-c", SUMS])
    release = {
        "k3s_artifact_dir": RELEASE,
        "k3s_version": NEXT,
        "k3s_binary_sha256": "",
        "k3s_images_sha256": "",
    }
    process, container = pid(running), dns_container(running)
    predicted = role("--check", **release).ok()
    assert any("Put the verified binary" in name for name in predicted.changed), predicted.output[-3000:]
    assert (pid(running), installed(running)) == (process, VERSION), "a check installed it"
    done = role(**release).ok()
    assert set(done.changed) == set(predicted.changed)
    assert installed(running) == NEXT
    assert pid(running) != process
    assert dns_container(running) == container, "containers were restarted with k3s"
    process = pid(running)
    assert role(**release).ok().changed == ()
    role().ok()
    assert (installed(running), pid(running) != process) == (VERSION, True)
    running.sudo(["rm", "-r", RELEASE])


@pytest.mark.timeout(1800)
def test_killall_stops_everything_keeps_the_data_and_the_role_starts_it_again(running: LabHost) -> None:
    running.sudo(["k3s", "kubectl", "-n", "default", "delete", "configmap", "kept", "--ignore-not-found"])
    running.sudo(["k3s", "kubectl", "-n", "default", "create", "configmap", "kept", "--from-literal=a=b"])
    all_pods_ready(running)
    assert shims(running), "no container ran before, so nothing would be proved"
    running.sudo(["/usr/local/bin/k3s-killall.sh"], timeout=300)
    assert shims(running) == set()
    mounts = running.read("/proc/mounts")
    assert "/run/k3s/" not in mounts and "/var/lib/kubelet/pods/" not in mounts
    assert "cni0" not in running.sudo(["ip", "-o", "link", "show"]).out
    rules = running.sudo(["iptables-save"]).out
    assert "KUBE-" not in rules and "CNI-" not in rules
    assert running.exists("/var/lib/rancher/k3s/server/db/state.db")
    role().ok()
    all_pods_ready(running)
    assert running.kubectl(["-n", "default", "get", "configmap", "kept"])["data"] == {"a": "b"}
    running.sudo(["k3s", "kubectl", "-n", "default", "delete", "configmap", "kept"])
