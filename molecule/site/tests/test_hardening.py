"""Each hardening control, seen from inside the host and through the API, not through the role's own words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lab.host import LabHost

DATA = "/var/lib/rancher/k3s"
PRIVILEGED = {"containers": [{"name": "c", "image": "x", "securityContext": {"privileged": True}}]}
COUNT = """
import sqlite3, sys
base = sqlite3.connect("file:/var/lib/rancher/k3s/server/db/state.db?mode=ro", uri=True)
print(base.execute("SELECT count(*) FROM kine WHERE instr(value, ?) > 0", (sys.argv[1].encode(),)).fetchone()[0])
"""


# A flood of events about one object over eight connections: how many were taken and how many refused.
FLOOD = """
import collections, concurrent.futures, http.client, json, ssl
tls = "/var/lib/rancher/k3s/server/tls"
context = ssl.create_default_context(cafile=f"{tls}/server-ca.crt")
context.load_cert_chain(f"{tls}/client-admin.crt", f"{tls}/client-admin.key")
path, counts = "/api/v1/namespaces/default/events", collections.Counter()

def connect():
    return http.client.HTTPSConnection("127.0.0.1", 6443, timeout=60, context=context)

def flood(worker):
    connection = connect()
    for number in range(200):
        if counts[429]:
            return
        event = {"apiVersion": "v1", "kind": "Event", "metadata": {"name": f"flood-{worker}-{number}"},
                 "reason": "Flood", "type": "Normal", "source": {"component": "flood"},
                 "involvedObject": {"kind": "Pod", "name": "flood", "namespace": "default", "apiVersion": "v1"}}
        connection.request("POST", path, body=json.dumps(event), headers={"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        counts[answer.status] += 1

with concurrent.futures.ThreadPoolExecutor(8) as pool:
    list(pool.map(flood, range(8)))
connection = connect()
connection.request("DELETE", path + "?fieldSelector=source%3Dflood")
connection.getresponse().read()
print(json.dumps(counts))
"""


def mode(host: LabHost, pattern: str) -> set[str]:
    """Modes of the files that a shell pattern names."""
    return set(host.sudo(["sh", "-c", f"stat -c %a {pattern}"]).out.split())


@pytest.fixture(scope="module")
def kubelet(host: LabHost) -> dict[str, Any]:
    """The configuration that the kubelet really runs with."""
    node = host.kubectl(["get", "nodes"])["items"][0]["metadata"]["name"]
    raw = host.sudo(["k3s", "kubectl", "get", "--raw", f"/api/v1/nodes/{node}/proxy/configz"]).out
    return json.loads(raw)["kubeletconfig"]


@pytest.mark.req("SN-01")
def test_the_service_is_enabled_and_active(host: LabHost) -> None:
    assert host.sudo(["systemctl", "is-enabled", "k3s"]).out.strip() == "enabled"
    assert host.sudo(["systemctl", "is-active", "k3s"]).out.strip() == "active"


@pytest.mark.req("BR-03")
def test_secrets_cannot_be_read_in_the_datastore(host: LabHost) -> None:
    """A ConfigMap with the same words is the proof that the search itself works."""
    host.sudo(
        [
            "k3s",
            "kubectl",
            "-n",
            "default",
            "delete",
            "secret/canary",
            "configmap/canary",
            "--ignore-not-found",
        ]
    )
    for kind in (["secret", "generic"], ["configmap"]):
        word = f"canary-in-{kind[0]}"
        host.sudo(
            ["k3s", "kubectl", "-n", "default", "create", *kind, "canary", f"--from-literal=word={word}"]
        )
        host.sudo(["python3", "-c", COUNT, word])
    assert int(host.sudo(["python3", "-c", COUNT, "canary-in-configmap"]).out) > 0
    assert int(host.sudo(["python3", "-c", COUNT, "canary-in-secret"]).out) == 0
    assert int(host.sudo(["python3", "-c", COUNT, "Y2FuYXJ5LWluLXNlY3JldA"]).out) == 0
    host.sudo(["k3s", "kubectl", "-n", "default", "delete", "secret/canary", "configmap/canary"])


def test_a_privileged_pod_is_refused(host: LabHost) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "bad", "namespace": "default"},
        "spec": PRIVILEGED,
    }
    refused = host.sudo(["k3s", "kubectl", "create", "-f", "-"], stdin=json.dumps(pod).encode(), check=False)
    assert refused.rc != 0
    assert "violates PodSecurity" in refused.err


def test_the_audit_log_knows_who_did_it_but_not_what_was_in_it(host: LabHost) -> None:
    host.sudo(
        [
            "k3s",
            "kubectl",
            "-n",
            "default",
            "create",
            "secret",
            "generic",
            "audited",
            "--from-literal=a=canary-audit",
        ]
    )
    host.sudo(["k3s", "kubectl", "-n", "default", "delete", "secret", "audited"])
    log = f"{DATA}/server/logs/audit.log"
    lines = host.sudo(["grep", "-F", '"name":"audited"', log]).out.splitlines()
    verbs = {json.loads(line)["verb"] for line in lines}
    assert {"create", "delete"} <= verbs
    assert host.sudo(["grep", "-cF", "canary-audit", log], check=False).out.strip() == "0"
    assert mode(host, log) == {"600"}
    assert mode(host, f"{DATA}/server/logs") == {"700"}


def test_a_flood_of_events_is_cut_off(host: LabHost) -> None:
    counts = json.loads(host.sudo(["python3", "-c", FLOOD], timeout=300).out)
    assert counts.get("201", 0) >= 50, counts
    assert counts.get("429", 0) >= 1, counts


def test_network_policies_are_there(host: LabHost) -> None:
    found = {
        (item["metadata"]["namespace"], item["metadata"]["name"])
        for item in host.kubectl(
            ["get", "networkpolicies", "-A", "-l", "app.kubernetes.io/part-of=hardening"]
        )["items"]
    }
    assert {(name, "intra-namespace") for name in ("default", "kube-public", "kube-system")} <= found
    assert ("kube-system", "allow-dns") in found


@pytest.mark.parametrize("namespace", ["default", "kube-node-lease", "kube-public"])
def test_default_service_accounts_mount_no_token(host: LabHost, namespace: str) -> None:
    account = host.kubectl(["-n", namespace, "get", "serviceaccount", "default"])
    assert account["automountServiceAccountToken"] is False


def test_the_api_server_runs_with_what_was_asked(host: LabHost) -> None:
    """Read where auditors read it: the journal's line about the component."""
    journal = host.sudo(["journalctl", "-u", "k3s", "-o", "cat", "--no-pager"]).out
    line = [line for line in journal.splitlines() if "Running kube-apiserver" in line][-1]
    for flag in (
        "--enable-admission-plugins=NodeRestriction,EventRateLimit",
        f"--admission-control-config-file={DATA}/server/psa.yaml",
        f"--audit-log-path={DATA}/server/logs/audit.log",
        "--service-account-extend-token-expiration=false",
    ):
        assert flag in line
    manager = [line for line in journal.splitlines() if "Running kube-controller-manager" in line][-1]
    assert "--terminated-pod-gc-threshold=100" in manager


def test_the_kubelet_runs_with_what_was_asked(kubelet: dict[str, Any]) -> None:
    assert kubelet["evictionHard"]["memory.available"] == "100Mi"
    assert kubelet["evictionHard"]["nodefs.inodesFree"] == "5%"
    assert kubelet["systemReserved"]["memory"] == "256Mi"
    assert kubelet["shutdownGracePeriod"] == "1m0s"
    assert kubelet["shutdownGracePeriodCriticalPods"] == "20s"
    assert kubelet["streamingConnectionIdleTimeout"] == "5m0s"
    assert kubelet["seccompDefault"] is True
    assert kubelet["podPidsLimit"] == 4096
    assert len(kubelet["tlsCipherSuites"]) == 6
    assert all("ECDHE" in suite for suite in kubelet["tlsCipherSuites"])


def test_the_kubelet_holds_a_shutdown_inhibitor_and_logind_waits_for_it(host: LabHost) -> None:
    held = host.sudo(["systemd-inhibit", "--list", "--no-legend", "--no-pager"]).out
    assert [
        line for line in held.splitlines() if "kubelet" in line and "shutdown" in line and "delay" in line
    ]
    asked = host.sudo(
        ["busctl", "get-property", "org.freedesktop.login1", "/org/freedesktop/login1",
         "org.freedesktop.login1.Manager", "InhibitDelayMaxUSec"]
    )  # fmt: skip
    assert int(asked.out.split()[1]) >= 60_000_000


def test_file_modes(host: LabHost) -> None:
    assert mode(host, f"{DATA}/server/tls/*.crt {DATA}/server/tls/*.key") == {"600"}
    assert mode(host, f"{DATA}/server/cred/*.kubeconfig") == {"600"}
    assert mode(
        host, "/etc/rancher/k3s/k3s.yaml /etc/rancher/k3s/config.yaml /etc/rancher/k3s/registries.yaml"
    ) == {"600"}
    assert mode(host, f"{DATA}/server {DATA}/server/db {DATA}/agent") == {"700"}


def test_no_token_in_argv_or_journal(host: LabHost) -> None:
    token = host.read(f"{DATA}/server/token").strip()
    secret = token.rsplit(":", 1)[1]
    assert secret not in host.sudo(["ps", "-e", "-o", "args="]).out
    assert secret not in host.sudo(["journalctl", "-u", "k3s", "-o", "cat", "--no-pager"]).out


def test_stale_addresses_are_freed_at_boot_and_the_clock_comes_first(host: LabHost) -> None:
    assert "r! /var/lib/cni/networks/*/*" in host.read("/etc/tmpfiles.d/k3s-stale-cni.conf")
    assert "time-sync.target" in host.sudo(["systemctl", "show", "k3s", "--property=After"]).out


def test_what_a_container_cannot_do_is_not_half_done(host: LabHost) -> None:
    """The lab's host is a container: its kernel settings are the machine's, so the controls are skipped as a whole."""
    assert not host.exists("/etc/sysctl.d/90-kubelet.conf")
    assert "protect-kernel-defaults" not in host.read("/etc/rancher/k3s/config.yaml")
