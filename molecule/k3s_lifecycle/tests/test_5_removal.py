"""Farewell: asked for by name, with a last copy of the state, nothing left behind; and what else a bare host can become."""

from __future__ import annotations

import pytest
from conftest import NAME, role, traces

from lab.host import LabHost
from tests.scenario import Play, pid, play

CONFIG, SECRETS = "/etc/rancher/k3s/config.yaml", "/etc/rancher/k3s/config.yaml.d/90-holdfast-secrets.yaml"
# Rows of the newest value of a key that contain a word; older ones stay until the datastore is compacted.
NEWEST = """
import sqlite3, sys
base = sqlite3.connect("file:/var/lib/rancher/k3s/server/db/state.db?mode=ro", uri=True)
value = base.execute("SELECT value FROM kine WHERE name = ? ORDER BY id DESC LIMIT 1", (sys.argv[1],)).fetchone()[0]
print(sys.argv[2].encode() in bytes(value))
"""


def remove(*arguments: str, **variables: object) -> Play:
    """Run playbook uninstall."""
    return play(NAME, *arguments, playbook="uninstall", **variables)


def in_clear(host: LabHost, secret: str, word: str) -> bool:
    """Whether the newest value of a Secret in namespace default can be read in the datastore."""
    asked = host.sudo(["python3", "-c", NEWEST, f"/registry/secrets/default/{secret}", word])
    return asked.out.strip() == "True"


@pytest.mark.timeout(2400)
def test_uninstall_asks_copies_and_leaves_nothing_behind(running: LabHost, bare: set[str]) -> None:
    play(NAME, "--tags", "recovery").ok()
    assert running.exists("/etc/systemd/system/holdfast-boot.service")
    running.put("/var/lib/rancher/k3s/storage/pvc-1/data", b"precious")
    before = pid(running)
    refused = remove()
    assert refused.status != 0
    assert f"k3s_uninstall_confirm: {NAME}" in refused.words
    wrong = remove(k3s_uninstall_confirm="another")
    assert wrong.status != 0
    assert "copy_state" in remove("--check", "-v", k3s_uninstall_confirm=NAME).ok().output
    assert pid(running) == before, "nothing was confirmed, nothing may happen"

    token = running.read("/var/lib/rancher/k3s/server/token")
    remove(k3s_uninstall_confirm=NAME).ok()
    left = {
        trace
        for trace in traces(running) - bare
        if not trace.startswith(("/var/lib/holdfast", "/var/lib/rancher/k3s/storage/pvc-1"))
    }
    assert left <= {"/var/lib/rancher/k3s", "/var/lib/rancher/k3s/storage"}, sorted(left)
    assert running.read("/var/lib/rancher/k3s/storage/pvc-1/data") == "precious"

    copy = running.sudo(["sh", "-c", "ls -d /var/lib/holdfast/final/*"]).out.split()
    assert len(copy) == 1
    assert running.sudo(["stat", "-c", "%a", copy[0]]).out.strip() == "700"
    assert running.read(f"{copy[0]}/var/lib/rancher/k3s/server/token") == token
    names = running.sudo(["sh", "-c", f"cd {copy[0]} && find . -type f"]).out.split()
    assert {"./state.db", f".{CONFIG}", "./etc/rancher/node/password"} <= set(names)
    count = "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute('SELECT count(*) FROM kine').fetchone()[0])"
    assert int(running.sudo(["python3", "-c", count, f"{copy[0]}/state.db"]).out) > 100

    again = remove().ok()
    assert again.changed == (), "a second uninstall has nothing to do and asks for nothing"


@pytest.mark.timeout(1800)
def test_embedded_etcd_and_joining_are_rendered(host: LabHost) -> None:
    """As far as one host can show it: the files are right, and what k3s answers is reported, not waited out."""
    first = role(k3s_cluster_init=True, k3s_token="canary-cluster-token")
    assert "cluster-init: true" in host.read(CONFIG)
    assert host.read(SECRETS).endswith("token: canary-cluster-token\n")
    assert host.sudo(["stat", "-c", "%a", SECRETS]).out.strip() == "600"
    assert "canary-cluster-token" not in first.output
    if first.status != 0:  # the lab's k3s is a single server
        assert "crashes again and again" in first.words and "--cluster-init is not supported" in first.words
    remove(k3s_uninstall_confirm=NAME).ok()

    joined = role(
        k3s_server_url="https://10.255.255.1:6443",
        k3s_join_as="agent",
        k3s_token="canary-cluster-token",
        k3s_ready_timeout=120,
    )
    assert joined.status != 0, "there is no server to join"
    assert "server: https://10.255.255.1:6443" in host.read(CONFIG)
    assert (
        host.read("/etc/systemd/system/k3s-agent.service")
        .rstrip()
        .endswith("ExecStart=/usr/local/bin/k3s agent")
    )
    assert not host.exists("/var/lib/rancher/k3s/server/psa.yaml"), "an agent has no API server to harden"
    assert "canary-cluster-token" not in joined.output
    remove(k3s_uninstall_confirm=NAME).ok()
    assert not host.exists("/etc/systemd/system/k3s-agent.service")


@pytest.mark.timeout(2400)
def test_it_can_be_installed_again_and_encryption_turned_on_later(host: LabHost) -> None:
    role(k3s_harden_secrets_encryption=False).ok()
    host.sudo(
        [
            "k3s",
            "kubectl",
            "-n",
            "default",
            "create",
            "secret",
            "generic",
            "early",
            "--from-literal=a=canary-early",
        ]
    )
    assert in_clear(host, "early", "canary-early"), "the search itself does not work"
    before = pid(host)
    role().ok()
    assert pid(host) != before
    assert not in_clear(host, "early", "canary-early"), "a secret of before is still in clear"
    found = host.kubectl(["-n", "default", "get", "secret", "early"])
    assert found["data"] == {"a": "Y2FuYXJ5LWVhcmx5"}, "and it can still be read through the API"
    assert role().ok().changed == ()
