"""K3s is restarted exactly when something that it reads at its start has changed; its process id is the proof."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import role

from lab.host import LabHost
from tests.scenario import pid, restart_k3s

MIRROR = {
    "mirrors": {
        "localhost:5000": {"endpoint": ["http://localhost:5000"]},
        "example.net": {"endpoint": ["http://localhost:5000"]},
    }
}
# One change on top of the other, and whether k3s reads it at its start.
STEPS: list[tuple[str, dict[str, Any], bool]] = [
    ("config.yaml", {"k3s_tls_san": ["changed.example.net"]}, True),
    ("registries.yaml", {"k3s_registries": MIRROR}, True),
    ("the environment file", {"k3s_environment": {"HOLDFAST_TEST": "1"}}, True),
    ("the kubelet's drop-in", {"k3s_harden_streaming_timeout": False}, True),
    ("a drop-in of the unit", {"k3s_harden_file_modes": False}, True),
    ("the admission configuration", {"k3s_pod_security_exempt_namespaces": ["kube-system", "other"]}, True),
    ("network policies, which the API server gets", {"k3s_harden_network_policies": False}, False),
    ("what systemd-tmpfiles does at boot", {"k3s_harden_stale_cni": False}, False),
    ("nothing at all", {}, False),
]  # fmt: skip


@pytest.mark.timeout(3600)
def test_a_restart_exactly_when_it_is_needed(running: LabHost) -> None:
    wanted: dict[str, Any] = {}
    for what, change, restarts in STEPS:
        wanted.update(change)
        before = pid(running)
        done = role(**wanted).ok()
        assert bool(done.changed) == bool(change), f"{what}: changed {done.changed}"
        assert (pid(running) != before) == restarts, (
            f"{what}: restart {'missing' if restarts else 'not needed'}"
        )
    assert not running.exists("/etc/tmpfiles.d/k3s-stale-cni.conf"), "a control that is turned off is undone"
    before = pid(running)
    role().ok()
    assert pid(running) != before, "all of it changed back"
    before = pid(running)
    assert role().ok().changed == ()
    assert pid(running) == before


@pytest.mark.timeout(1800)
def test_the_unit_and_what_an_administrator_did_by_hand(running: LabHost) -> None:
    unit, drop_in = "/etc/systemd/system/k3s.service", "/etc/systemd/system/k3s.service.d/50-by-hand.conf"
    running.sudo(["touch", "/etc/rancher/k3s/config.yaml", unit])
    before = pid(running)
    role().ok()
    assert pid(running) == before, "a new time on the same content is no change"

    running.put(drop_in, b"[Service]\nEnvironment=BY_HAND=1\n")
    running.sudo(["systemctl", "daemon-reload"])
    restart_k3s(running)
    by_hand = pid(running)
    assert role().ok().changed == ()
    assert pid(running) == by_hand, "what runs is what is on disk: there is nothing to restart"
    running.sudo(["rm", drop_in])
    role().ok()
    assert pid(running) != by_hand, "a drop-in is gone"

    running.sudo(["sh", "-c", f"echo '# by hand' >>{unit}"])
    running.sudo(["systemctl", "daemon-reload"])
    restart_k3s(running)
    before = pid(running)
    role().ok()
    assert "# by hand" not in running.read(unit)
    assert pid(running) != before, "the unit is the role's again, and so is what runs"
