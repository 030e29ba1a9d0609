"""Processes that die, stop or stand still."""

from __future__ import annotations

import json

import pytest
from as_operator import run_module
from harness import done, healed, local, pid_of, recover, unit

from lab.host import LabHost
from tests.scenario import until


@pytest.mark.req("SN-02", "SN-03")
def test_k3s_killed(host: LabHost) -> None:
    # by the host's own command: systemd starts k3s again within seconds, and the look must come before that
    kill = f'kill -KILL {unit(host, "MainPID")}; exec "$@"'
    result = json.loads(local(host, "sh", "-c", kill, "sh").out)
    healed(host, "SIGKILL of k3s", result, "STARTING")
    assert "restart_unit" not in done(result), "systemd starts it by itself; the smallest thing is to wait"


def test_k3s_stopped(host: LabHost) -> None:
    host.sudo(["systemctl", "stop", "k3s"])
    result = recover(host)
    healed(host, "k3s stopped", result, "UNIT-INACTIVE")
    assert done(result) == ["start_unit"]


def test_containerd_frozen(host: LabHost) -> None:
    """The node stays Ready all the while: only a question with a deadline shows it."""
    host.sudo(["kill", "-STOP", str(pid_of(host, r"^(/\S*/)?containerd( |$)"))])
    before = unit(host, "MainPID")
    result = recover(host)
    healed(host, "SIGSTOP of containerd", result, "CRI-STOPPED")
    assert done(result) == ["continue_process"]
    assert unit(host, "MainPID") == before


def test_api_frozen(host: LabHost) -> None:
    host.sudo(["kill", "-STOP", unit(host, "MainPID")])
    result = recover(host)
    healed(host, "SIGSTOP of the API's process", result, "API-STOPPED")
    assert "restart_unit" not in done(result)


@pytest.mark.req("SN-29")
def test_power_loss_during_writes(host: LabHost) -> None:
    script = (
        "for i in $(seq 400); do /usr/local/bin/k3s kubectl create configmap storm-$i --from-literal=a=$i "
        "-n default >/dev/null 2>&1; done"
    )
    host.sudo(["systemd-run", "--collect", "--unit=storm", "sh", "-c", script])
    until("some writes", lambda: len(host.kubectl(["get", "configmaps", "-n", "default"])["items"]) > 5)
    host.power_loss()
    result = recover(host)
    assert result["verified"], result["verdict"]
    again = recover(host)
    assert again["verified"] and not again["changed"]
    assert len(host.kubectl(["get", "configmaps", "-n", "default"])["items"]) > 5
    host.sudo(["sh", "-c", "k3s kubectl delete configmap -n default $(k3s kubectl get cm -n default -o name | grep storm)"],
              check=False)  # fmt: skip


def test_a_healthy_host_is_left_alone(host: LabHost) -> None:
    before = unit(host, "MainPID")
    for check in (True, False):
        result = recover(host, check=check)
        # an event of an earlier test may still be told about; nothing but that
        assert all(one["severity"] == "info" for one in result["findings"]), result["findings"]
        assert not result["changed"] and done(result) == []
    assert unit(host, "MainPID") == before


def test_check_mode_shows_the_plan_and_moves_nothing(host: LabHost) -> None:
    host.sudo(["systemctl", "stop", "k3s"])
    result = run_module("k3s_recover", check=True)
    assert next(one["kind"] for one in result["plan"]) == "start_unit" and result["changed"]
    assert unit(host, "ActiveState") == "inactive"
    assert not result["evidence"]
