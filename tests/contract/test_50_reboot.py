"""Power loss and reboot of the whole host."""

from __future__ import annotations

import json
from typing import Any

from tests.contract.k3s import DATA, K3s, eventually
from tests.contract.test_30_workload import SPACE


def _workload(k3s: K3s) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = k3s.get("pods", "-n", SPACE)["items"]
    return found


def _all_ready(k3s: K3s) -> bool:
    pods = _workload(k3s)
    return len(pods) >= 4 and all(
        any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))
        for pod in pods
    )


def _restarts(k3s: K3s) -> dict[str, int]:
    return {
        pod["metadata"]["name"]: sum(c["restartCount"] for c in pod["status"].get("containerStatuses", []))
        for pod in _workload(k3s)
    }


def _looks_lost(pod: dict[str, Any]) -> bool:
    """Tell whether a pod shows what kubectl prints as Unknown: phase Running, container ended for no known reason."""
    for container in pod["status"].get("containerStatuses", []):
        for state in (container["state"], container.get("lastState", {})):
            ended = state.get("terminated", {})
            if ended.get("reason") == "Unknown" and ended.get("exitCode") == 255:
                return True
    return False


def _all_started_again(k3s: K3s, before: dict[str, int]) -> None:
    """Wait until the same pods run again; until kubelet has told of a pod, the API says of it what held before."""

    def look() -> bool:
        now = _restarts(k3s)
        return _all_ready(k3s) and all(now.get(name, 0) > count for name, count in before.items())

    eventually(look, 120, "kubelet has started all pods again")
    assert set(_restarts(k3s)) == set(before), "the pods are the same ones"


def test_power_loss_heals_by_itself(k3s: K3s) -> None:
    k3s.host.sudo(["rm", "-f", f"{DATA}/agent/pod-manifests/static.yaml"])
    eventually(lambda: not k3s.pods(SPACE, "app=static"), 60, "the static pod is gone")
    eventually(lambda: _all_ready(k3s), 60, "all pods are ready")
    before = _restarts(k3s)
    boot = k3s.host.read("/proc/sys/kernel/random/boot_id")
    k3s.host.power_loss()
    assert k3s.host.read("/proc/sys/kernel/random/boot_id") != boot
    k3s.wait_ready(120)
    lost = eventually(
        lambda: [pod for pod in _workload(k3s) if _looks_lost(pod)],
        60,
        "pods whose containers ended as Unknown",
    )
    assert {pod["status"]["phase"] for pod in lost} == {"Running"}
    _all_started_again(k3s, before)


def test_orderly_reboot_keeps_data(k3s: K3s) -> None:
    volume = k3s.get("pvc", "-n", SPACE, "data")["spec"]["volumeName"]
    uid = k3s.get("namespace", SPACE)["metadata"]["uid"]
    before = _restarts(k3s)
    k3s.host.reboot()
    k3s.wait_ready(120)
    assert k3s.get("namespace", SPACE)["metadata"]["uid"] == uid
    _all_started_again(k3s, before)
    pod = k3s.ready_pod(SPACE, "app=keeper")["metadata"]["name"]
    assert k3s.text("exec", "-n", SPACE, pod, "--", "cat", "/data/file") == "kept\n"
    assert k3s.host.read(f"{DATA}/storage/{volume}_{SPACE}_data/file") == "kept\n"


def test_dead_metrics_heal_and_discovery_goes_on(k3s: K3s) -> None:
    eventually(
        lambda: json.loads(k3s.text("get", "--raw", "/apis/metrics.k8s.io/v1beta1/nodes"))["items"],
        180,
        "metrics are back after the reboots",
        interval=2,
    )
