"""What a deployed system survives, and what it waits for."""

from __future__ import annotations

from typing import Any

import pytest
from turn import Turn

from tests.scenario import until


def untroubled(told: dict[str, Any]) -> None:
    """Whoever asked all the time had every answer."""
    assert told["asked"] >= 100 and not told["failed"], told


@pytest.mark.needs("replicated")
@pytest.mark.req("SS-44", "SS-47", "SC-31")
def test_a_lost_pod_costs_no_request(turn: Turn) -> None:
    workload = turn.form.replicated
    before = until(
        f"two ready pods of {workload}", lambda: len(turn.ready(workload)) >= 2 and turn.ready(workload)
    )
    with turn.asking(workload) as told:
        turn.kubectl("delete", "pod", before[0], "--wait=false")
        until(
            f"another pod of {workload} in its place",
            lambda: _replaced(turn, workload, before),
        )
    untroubled(told)


def _replaced(turn: Turn, workload: str, before: list[str]) -> bool:
    """As many ready pods as are wanted now, which an autoscaler may have changed; the lost one is none of them."""
    now, wanted = turn.ready(workload), turn.get("deployment", workload)["spec"]["replicas"]
    return len(now) >= wanted >= 2 and before[0] not in now


@pytest.mark.needs("rolling")
@pytest.mark.req("WC-18", "SS-44", "SC-108")
def test_a_rollout_costs_no_request(turn: Turn) -> None:
    workload = turn.form.rolling
    before = set(turn.ready(workload))
    with turn.asking(workload) as told:
        turn.kubectl("rollout", "restart", f"deployment/{workload}")
        turn.kubectl("rollout", "status", f"deployment/{workload}", "--timeout=290s")
        until(
            f"no old pod of {workload} left",
            lambda: not before & {p["metadata"]["name"] for p in turn.list("pods")},
        )
    untroubled(told)


@pytest.mark.needs("waiting")
def test_a_late_database_is_waited_for(turn: Turn) -> None:
    """The database is gone, a pod is made anew: it stays in Init, never crashes, and is ready once the database is."""
    workload, database = turn.form.waiting
    turn.kubectl("scale", f"statefulset/{database}", "--replicas=0")
    try:
        until(f"no pod of {database}", lambda: not turn.list("pods", "-l", f"app={database}"))
        turn.kubectl("delete", "pod", "-l", f"app={workload}", "--wait=false")

        def waits() -> bool:
            found = turn.pods(workload)
            return bool(found) and all(_waiting_for(pod) == f"wait-for-{database}" for pod in found)

        until(f"{workload} waits for {database}", waits)
    finally:
        turn.kubectl("scale", f"statefulset/{database}", "--replicas=1")
    until(f"{workload} ready after {database}", lambda: turn.ready(workload))
    for pod in turn.pods(workload):
        restarts = [status["restartCount"] for status in pod["status"]["containerStatuses"]]
        assert restarts == [0], f"{pod['metadata']['name']} crashed while it waited"
    until("every pod ready again", lambda: _all_ready(turn))


def _waiting_for(pod: dict[str, Any]) -> str:
    """Name of the init container that runs."""
    statuses = pod["status"].get("initContainerStatuses", [])
    return next((one["name"] for one in statuses if "running" in one["state"]), "")


def _all_ready(turn: Turn) -> bool:
    wanted = {one["metadata"]["name"]: one for one in [*turn.list("deployments"), *turn.list("statefulsets")]}
    return all(one["status"].get("readyReplicas", 0) == one["spec"]["replicas"] for one in wanted.values())


@pytest.mark.form("soundspan-individual", "soundspan-individual-ha")
@pytest.mark.req("SS-57")
def test_readiness_follows_the_database_and_liveness_does_not(turn: Turn) -> None:
    backend = "soundspan-backend"
    names = set(until(f"{backend} ready", lambda: turn.ready(backend)))
    turn.kubectl("scale", "statefulset/postgres", "--replicas=0")
    try:
        until(f"no ready pod of {backend}", lambda: not turn.ready(backend))
        found = turn.pods(backend)
        assert {pod["metadata"]["name"] for pod in found} == names, "another pod came in its place"
        assert [pod["status"]["containerStatuses"][0]["restartCount"] for pod in found] == [0] * len(found)
    finally:
        turn.kubectl("scale", "statefulset/postgres", "--replicas=1")
    until(f"{backend} ready again", lambda: set(turn.ready(backend)) == names)
    until("every pod ready again", lambda: _all_ready(turn))


@pytest.mark.form("whatsthecraic")
@pytest.mark.req("WC-73")
def test_models_survive_their_pod(turn: Turn) -> None:
    (pod,) = until("ml-service ready", lambda: turn.pods("ml-service"))
    volume = turn.get("pvc", "ml-service-models")["spec"]["volumeName"]
    path = turn.host.kubectl(["get", "pv", volume])["spec"]
    folder = (path.get("hostPath") or path.get("local"))["path"]
    turn.host.put(f"{folder}/canary", b"model", 0o644)
    turn.kubectl("delete", "pod", pod["metadata"]["name"], "--wait=true", "--timeout=200s")
    until("another ml-service", lambda: turn.ready("ml-service"))
    name = turn.process("ml-service")
    assert name["uids"] == {1000}
    assert turn.host.read(f"{folder}/canary") == "model"


@pytest.mark.form("soundcore")
@pytest.mark.req("SC-82")
def test_the_databases_take_backends_and_nobody_else(turn: Turn) -> None:
    """Asked from inside the pods; the front end may use the backends, and no database."""

    def reaches(workload: str, port: int, target: str) -> bool:
        pod = turn.ready(workload)[0]
        argv = ["exec", pod, "-c", workload, "--", "/sample-app", "wait", "tcp", target, str(port), "5"]
        return (
            turn.host.sudo(
                ["/usr/local/bin/k3s", "kubectl", "-n", turn.form.namespace, *argv], check=False
            ).rc
            == 0
        )

    until("a backend reaches postgres", lambda: reaches("knowledge-service", 5432, "postgres"))
    until("the front end reaches a backend", lambda: reaches("frontend", 8001, "knowledge-service"))
    for target, port in (("postgres", 5432), ("mongodb", 27017), ("redis", 6379), ("neo4j", 7687)):
        assert not reaches("frontend", port, target), f"the front end reaches {target}"
