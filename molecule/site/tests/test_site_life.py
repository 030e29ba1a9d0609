"""The host's life after the first day: restarts exactly when needed, and a reboot that comes back by itself."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from conftest import until

from lab.host import LabHost


def pid(host: LabHost) -> str:
    """Main process of k3s."""
    return host.sudo(["systemctl", "show", "k3s", "--property=MainPID", "--value"]).out.strip()


def rows(host: LabHost) -> int:
    """Rows that the application counts in its database, asked through its Service."""
    service = host.kubectl(["-n", "songnodes", "get", "service", "rest-api"])
    address = f"http://{service['spec']['clusterIP']}:{service['spec']['ports'][0]['port']}/count"
    return int(json.loads(host.run(["curl", "-sSf", "--max-time", "10", address]).out)["rows"])


def not_ready(host: LabHost) -> list[str]:
    """Pods that should be ready and are not."""
    found = []
    for pod in host.kubectl(["get", "pods", "-A"])["items"]:
        conditions = {c["type"]: c["status"] for c in pod["status"].get("conditions", [])}
        if pod["status"]["phase"] != "Succeeded" and conditions.get("Ready") != "True":
            found.append(f"{pod['metadata']['namespace']}/{pod['metadata']['name']} {pod['status']['phase']}")
    return found


@pytest.mark.req("BR-02", "BR-06")
def test_the_application_answers_with_its_rows(host: LabHost) -> None:
    assert rows(host) >= 50_000
    assert until("all pods ready", lambda: not not_ready(host), 180)


def test_k3s_is_restarted_exactly_when_something_it_reads_changed(
    host: LabHost, site: Callable[..., int]
) -> None:
    before = pid(host)
    assert site("--tags", "k3s") == 0
    assert pid(host) == before, "nothing changed, nothing restarted"
    assert site("--tags", "k3s", "-e", "k3s_harden_stale_cni=false") == 1
    assert not host.exists("/etc/tmpfiles.d/k3s-stale-cni.conf"), "a control that is turned off is undone"
    assert pid(host) == before, "k3s does not read that file"
    assert site("--tags", "k3s", "-e", '{"k3s_tls_san": ["changed.example.net"]}') == 2
    after = pid(host)
    assert after != before, "the configuration changed"
    assert site("--tags", "k3s") == 2
    assert pid(host) != after, "and changed back"
    assert site("--tags", "k3s") == 0


def test_a_restart_by_hand_counts(host: LabHost, site: Callable[..., int]) -> None:
    """Somebody changes a file and restarts k3s himself: what runs is what is on disk, so there is nothing to restart."""
    drop_in = "/etc/systemd/system/k3s.service.d/50-by-hand.conf"
    host.put(drop_in, b"[Service]\nEnvironment=BY_HAND=1\n")
    host.sudo(["systemctl", "daemon-reload"])
    host.sudo(["timeout", "100", "systemctl", "restart", "k3s"])
    by_hand = pid(host)
    assert site("--tags", "k3s") == 0
    assert pid(host) == by_hand
    host.sudo(["rm", drop_in])
    assert site("--tags", "k3s") == 1
    assert pid(host) != by_hand


@pytest.mark.req("SN-09", "SN-12", "SN-30", "SN-39")
def test_a_reboot_comes_back_by_itself_with_the_same_rows(host: LabHost) -> None:
    before = rows(host)
    host.reboot()
    until("the application answers", lambda: rows(host) == before, 300)
    until("all pods ready", lambda: not not_ready(host), 240)
    catalogue = ["curl", "-sSf", "--max-time", "10", "http://localhost:5000/v2/_catalog"]
    until("the registry serves", lambda: "lab/postgres" in host.run(catalogue).out, 120)
    assert "kubelet" in host.sudo(["systemd-inhibit", "--list", "--no-legend", "--no-pager"]).out
