"""The playbooks for one known incident each: what they do, what they say, and that a second run has nothing to do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from as_operator import SYSTEM, changed, report, run_play
from conftest import KUBECTL, Space, container, deployment
from faults import as_one, score

from lab.host import LabHost
from tests.scenario import until

QUICK: dict[str, Any] = {"incident_settle": 3, "incident_wait": 120}
REGISTRY_IMAGE = "localhost:5000/lab/redis:7"


def healthy(host: LabHost, name: str, **options: Any) -> dict[str, Any]:
    """Run it; it must end healthy. Its timeline."""
    done = run_play(name, **{**QUICK, **options})
    assert done.returncode == 0 and "verdict: healthy" in done.stdout, done.stdout[-5000:]
    return report(host, done.stdout)[0]


def again(name: str, **options: Any) -> None:
    """A second run changes nothing."""
    done = run_play(name, **{**QUICK, **options})
    assert changed(done.stdout) == 0 and "verdict: healthy" in done.stdout, done.stdout[-5000:]


def entry(told: dict[str, Any], phase: str) -> dict[str, Any]:
    """A phase of a timeline."""
    return next(one for one in told["entries"] if one["phase"] == phase)


@pytest.mark.req("SN-49")
def test_health(space: Space) -> None:
    """Well, and then not, with the reason; nothing is changed by looking."""

    def well() -> bool:
        done = run_play("health", incident_namespaces=[Space.name])
        assert changed(done.stdout) == 0, done.stdout[-5000:]
        return '"verdict": "healthy"' in done.stdout

    until("all is well", well)
    space.apply(deployment("broken", {"containers": [container("exit 7")]}))
    until("it crashes", lambda: any(p["status"].get("containerStatuses") for p in space.pods()))
    seen = ("exited with 7", "restarted")

    def told() -> bool:
        unwell = run_play("health", incident_namespaces=[Space.name])
        return (
            unwell.returncode != 0 and f"{SYSTEM} is degraded" in unwell.stdout and seen[0] in unwell.stdout
        )

    until("the broken pod is the reason", told)

    def tolerated() -> bool:
        done = run_play("health", incident_namespaces=[Space.name], incident_fail_on="down")
        return done.returncode == 0 and '"verdict": "degraded"' in done.stdout

    until("degraded is no failure where only down is one", tolerated)


@pytest.mark.req("SN-02")
def test_recover_k3s(host: LabHost) -> None:
    host.sudo(["systemctl", "stop", "k3s"])
    plan = run_play("recover_k3s", "--check", **QUICK)
    assert "start_unit" in plan.stdout and "plan only, nothing was touched" in plan.stdout, plan.stdout[
        -4000:
    ]
    told = healthy(host, "recover_k3s")
    assert "start_unit" in entry(told, "k3s")["what"] and entry(told, "k3s")["state"] == "acted"
    assert any("UNIT-INACTIVE" in line for line in entry(told, "k3s")["details"])
    again("recover_k3s")


@pytest.fixture
def registry(host: LabHost) -> Iterator[LabHost]:
    """The registry runs again afterwards, whatever the test did."""
    yield host
    host.sudo(["systemctl", "start", "docker-registry"])


@pytest.mark.req("SN-36", "SN-38")
def test_recover_image_pull(registry: LabHost, space: Space) -> None:
    registry.sudo(["systemctl", "stop", "docker-registry"])
    pulling = {**container("sleep 3600"), "image": REGISTRY_IMAGE, "imagePullPolicy": "Always"}
    space.apply(deployment("waits", {"containers": [pulling]}))
    until("it waits for its image", lambda: "ImagePull" in space.kubectl("get", "pods", "--no-headers"))
    only = {"incident_namespaces": [Space.name]}
    told = healthy(registry, "recover_image_pull", **only)
    assert "restart_registry" in entry(told, "images")["what"]
    until(
        "the waiting pod's successor alone",
        lambda: [p["status"]["phase"] for p in space.pods()] == ["Running"],
    )
    again("recover_image_pull", **only)


def rests(pods: list[dict[str, Any]]) -> bool:
    """Whether a container waits for its fifth restart, 80 s by then, so that whoever looks now sees it dead by memory."""
    for status in (one for pod in pods for one in pod["status"].get("containerStatuses", [])):
        dead = "OOMKilled" in json.dumps(status.get("lastState", {}))
        if dead and status["restartCount"] >= 4 and "waiting" in status["state"]:
            return True
    return False


@pytest.mark.req("SN-46")
def test_recover_memory(space: Space) -> None:
    """What was evicted goes; what needs more memory than its limit is named with the limit, and left to a person."""
    space.seed("evicted=4")
    small = {"limits": {"memory": "16Mi", "cpu": "200m"}}
    space.apply(deployment("hungry", {"containers": [container("tail /dev/zero", resources=small)]}))
    until("it rests after it was killed five times", lambda: rests(space.pods("app=hungry")))
    only = {"incident_namespaces": [Space.name]}
    done = run_play("recover_memory", **{**QUICK, "incident_settle": 3, **only})
    assert done.returncode != 0 and f"{SYSTEM} is degraded" in done.stdout, done.stdout[-4000:]
    told, _page = report(space.host, done.stdout)
    assert "4 x delete_pod" in entry(told, "pods")["what"] and space.pods("app=seed") == []
    why = entry(told, "why")
    assert any("more memory than its limit of 16Mi" in line for line in why["details"]), why["details"]
    assert "memory_mb" in done.stdout, "the largest consumers are named"
    named = next(line for line in why["details"] if "more memory than its limit" in line)
    score("an app killed for its memory, again and again", as_one(told), "pods: oom", named.split(" → ")[1])
    space.kubectl("delete", "deployment", "hungry", "--wait=true")
    until("it is gone", lambda: space.pods() == [])
    again("recover_memory", **only)


@pytest.mark.req("SN-32")
def test_recover_pods(space: Space) -> None:
    space.seed("failed=6", "unknown=4")
    only = {"incident_namespaces": [Space.name], "incident_unknown_grace": 0}
    plan = run_play("recover_pods", "--check", **{**QUICK, **only})
    assert "would do 10 x delete_pod" in plan.stdout and len(space.pods()) == 10, plan.stdout[-4000:]
    told = healthy(space.host, "recover_pods", **only)
    assert "10 x delete_pod" in entry(told, "pods")["what"] and space.pods() == []
    assert entry(told, "why")["what"] == "10 of 10 pods are broken"
    again("recover_pods", **only)


def test_nodes_are_ready(host: LabHost) -> None:
    """After all of them the host is as it was."""
    assert " Ready" in host.sudo([*KUBECTL, "get", "nodes", "--no-headers"]).out
