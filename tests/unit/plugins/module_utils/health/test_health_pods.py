# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Findings from pods: limits, slow pulls, restarts, deaths by memory."""

from __future__ import annotations

from typing import Any

import pytest
from sample_health import NOW, PARAMS, iso

from ansible_collections.holdfast.k3s.plugins.module_utils.health import (
    checks_pods,
)
from ansible_collections.holdfast.k3s.plugins.module_utils.pods.model import Facts


def make_pod(name: str, containers: list[dict[str, Any]], ready: bool = True, **more: Any) -> dict[str, Any]:
    status = {
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": str(ready)}],
        "startTime": iso(5000),
        **more.pop("status", {}),
    }
    meta = {"namespace": "s", "name": name, "uid": f"u-{name}", "creationTimestamp": iso(5000)}
    return {"metadata": meta, "spec": {"containers": containers, **more}, "status": status}


FULL_LIMITS = {"name": "c", "resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}
HALF_LIMITS = {"name": "h", "resources": {"limits": {"memory": "1Gi"}}}


@pytest.mark.req("SN-45")
def test_limits_are_asked_of_every_container_and_init_container() -> None:
    pods = [
        make_pod("fine", [FULL_LIMITS]),
        make_pod("init", [FULL_LIMITS], initContainers=[HALF_LIMITS]),
        make_pod("second", [FULL_LIMITS, {"name": "x"}]),
    ]
    found = checks_pods.without_limits(pods, ["kube-system"])
    assert found == [
        {"pod": "s/init", "container": "h", "missing": "cpu"},
        {"pod": "s/second", "container": "x", "missing": "cpu, memory"},
    ]
    assert checks_pods.without_limits(pods, ["s"]) == []
    assert checks_pods.check(Facts(now=NOW, pods=pods), PARAMS)[0].id == "limits_missing"


def pulling(minutes: float) -> Facts:
    pod = make_pod("slow", [FULL_LIMITS], ready=False, status={"phase": "Pending"}, nodeName="n")
    event = {"reason": "Pulling", "message": "image", "lastTimestamp": iso(60 * minutes)}
    return Facts(now=NOW, pods=[pod], events={"u-slow": [event]})


@pytest.mark.req("SN-30", "SN-59")
def test_a_slow_pull_is_waited_for_then_acted_on() -> None:
    found = [checks_pods.check(pulling(minutes), PARAMS)[0] for minutes in (15, 31)]
    assert [(f.id, f.severity) for f in found] == [("pod_pulling", "note"), ("pod_pulling", "degraded")]


def test_a_restart_that_is_over_is_told_not_judged() -> None:
    last = {"terminated": {"reason": "Error", "exitCode": 1, "finishedAt": iso(600)}}

    def restarted(count: int, ready: bool) -> list[str]:
        status = {
            "name": "c",
            "restartCount": count,
            "ready": ready,
            "lastState": last,
            "state": {"running": {}},
        }
        pod = make_pod("r", [FULL_LIMITS], ready=ready, status={"containerStatuses": [status]})
        found = checks_pods.check(Facts(now=NOW, pods=[pod]), PARAMS)
        return [f.severity for f in found if f.id == "pod_restarted"]

    assert [restarted(1, True), restarted(9, True), restarted(9, False)] == [["note"], ["note"], ["degraded"]]


def test_a_pod_that_died_of_memory_and_runs_again_is_told() -> None:
    def told(reason: str, minutes: float, state: dict[str, Any]) -> list[str]:
        last = {"terminated": {"reason": reason, "exitCode": 137, "finishedAt": iso(60 * minutes)}}
        status = {"name": "c", "restartCount": 2, "ready": True, "lastState": last, "state": state}
        pod = make_pod("m", [FULL_LIMITS], status={"containerStatuses": [status]})
        found = checks_pods.check(Facts(now=NOW, pods=[pod]), PARAMS)
        return [f"{f.severity}: {f.text}" for f in found if f.id == "pod_oom"]

    running: dict[str, Any] = {"running": {}}
    assert told("OOMKilled", 10, running) == [
        "note: s/m: container c was killed for using more memory than its limit of 1Gi 10 min ago, "
        "restarted 2 times, runs again"
    ]
    assert told("Error", 10, running) == told("OOMKilled", 61, running) == []
