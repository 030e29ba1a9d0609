"""Each hardening control has its own toggle and tag; what is turned off is really undone."""

from __future__ import annotations

import json
from typing import Any

import pytest
from conftest import role

from lab.host import LabHost
from tests.scenario import ROOT, pid, play, until

# Turning encryption off under a living cluster would cut the API server off from its secrets, so it is refused.
NAMES = [
    line.split(":", 1)[0]
    for line in (ROOT / "roles/k3s/defaults/main.yml").read_text().splitlines()
    if line.startswith("k3s_harden_")
]
ALL_OFF = {name: False for name in NAMES if name != "k3s_harden_secrets_encryption"}
PRIVILEGED = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "bad", "namespace": "default"},
    "spec": {"containers": [{"name": "c", "image": "x", "securityContext": {"privileged": True}}]},
}


def kubelet(host: LabHost) -> dict[str, Any]:
    """The configuration that the kubelet really runs with."""
    node = host.kubectl(["get", "nodes"])["items"][0]["metadata"]["name"]
    asked = ["k3s", "kubectl", "get", "--raw", f"/api/v1/nodes/{node}/proxy/configz"]
    return until("the kubelet answers", lambda: json.loads(host.sudo(asked).out)["kubeletconfig"])


def state(host: LabHost) -> dict[str, bool]:
    """Which controls are in effect, each seen where it works and not in the role's own files."""
    journal = host.sudo(["journalctl", "-u", "k3s", "-o", "cat", "--no-pager"]).out.splitlines()
    server = [line for line in journal if "Running kube-apiserver" in line][-1]
    manager = [line for line in journal if "Running kube-controller-manager" in line][-1]
    config = kubelet(host)
    pod = json.dumps(PRIVILEGED).encode()
    create = ["k3s", "kubectl", "create", "--dry-run=server", "-f", "-"]
    accounts = host.kubectl(["-n", "default", "get", "serviceaccount", "default"])
    policies = host.kubectl(["get", "networkpolicies", "-A", "-l", "app.kubernetes.io/part-of=hardening"])
    inhibitors = host.sudo(["systemd-inhibit", "--list", "--no-legend", "--no-pager"]).out
    after = host.sudo(["systemctl", "show", "k3s", "--property=After,ExecStartPost"]).out
    return {
        "pod_security": "violates PodSecurity" in host.sudo(create, stdin=pod, check=False).err,
        "audit_log": "--audit-log-path=" in server,
        "network_policies": bool(policies["items"]),
        "service_accounts": accounts.get("automountServiceAccountToken") is False,
        "event_rate_limit": "EventRateLimit" in server,
        "token_extension": "--service-account-extend-token-expiration=false" in server,
        "pod_gc": "--terminated-pod-gc-threshold=100" in manager,
        "eviction": "memory.available" in (config.get("evictionHard") or {}),
        "graceful_shutdown": config["shutdownGracePeriod"] != "0s" and "kubelet" in inhibitors,
        "streaming_timeout": config["streamingConnectionIdleTimeout"] == "5m0s",
        "tls_ciphers": bool(config.get("tlsCipherSuites")),
        "seccomp_default": config.get("seccompDefault") is True,
        "pod_pids_limit": config.get("podPidsLimit") == 4096,
        "file_modes": "k3s-file-modes" in after,
        "stale_cni": host.exists("/etc/tmpfiles.d/k3s-stale-cni.conf"),
        "time_sync": "time-sync.target" in after,
    }


@pytest.mark.timeout(3600)
def test_every_control_can_be_turned_off_and_on_again(running: LabHost) -> None:
    on = state(running)
    assert [name for name, there in on.items() if not there] == []
    role(**ALL_OFF).ok()
    off = state(running)
    # The account is Kubernetes' own object: the role closes it, and does not open what somebody may have closed.
    assert [name for name, there in off.items() if there] == ["service_accounts"]
    role().ok()
    until("all controls are back", lambda: all(state(running).values()))


@pytest.mark.timeout(1200)
def test_a_tag_is_about_its_control_alone(running: LabHost) -> None:
    before = pid(running)
    done = play(
        running.name, "--tags", "k3s_harden_streaming_timeout",
        k3s_harden_streaming_timeout=False, k3s_tls_san=["not.this.time.example.net"],
    ).ok()  # fmt: skip
    assert kubelet(running)["streamingConnectionIdleTimeout"] != "5m0s"
    assert "not.this.time" not in running.read("/etc/rancher/k3s/config.yaml")
    assert not any("Put the verified binary" in name for name in done.changed)
    assert pid(running) != before, "the kubelet reads its drop-in at the start"
    play(running.name, "--tags", "k3s_harden_streaming_timeout").ok()
    assert kubelet(running)["streamingConnectionIdleTimeout"] == "5m0s"
    assert role().ok().changed == ()


def test_a_control_cannot_be_skipped_by_tag(running: LabHost) -> None:
    done = role("--skip-tags", "k3s_harden_audit_log")
    assert done.status != 0
    assert "set its toggle, such as k3s_harden_audit_log: false" in done.words


def test_encryption_is_not_turned_off_under_a_living_cluster(running: LabHost) -> None:
    before, config = pid(running), running.read("/etc/rancher/k3s/config.yaml")
    done = role(k3s_harden_secrets_encryption=False)
    assert done.status != 0
    assert "the secrets of this cluster are encrypted" in done.words, done.output[-3000:]
    assert (pid(running), running.read("/etc/rancher/k3s/config.yaml")) == (before, config)
