"""Values that are changed on a running system: only what they say changes, and going back is going back."""

from __future__ import annotations

import pytest
from turn import Turn

from tests.scenario import until

BACKEND, WORKER, FRONTEND = "soundspan-backend", "soundspan-backend-worker", "soundspan-frontend"


def role(turn: Turn, workload: str = BACKEND) -> str:
    """The process role that a backend's process has."""
    return str(turn.process(workload)["environment"].get("BACKEND_PROCESS_ROLE"))


@pytest.mark.form("soundspan-individual")
@pytest.mark.req("SS-18", "SS-63", "SS-68")
def test_without_a_worker_the_backend_takes_its_role_and_gives_it_back(turn: Turn) -> None:
    assert (role(turn), role(turn, WORKER)) == ("api", "worker")
    assert turn.site("--tags", "app", overlay={"services": {WORKER: {"enabled": False}}}) == 1
    assert not turn.names("deployment", WORKER)
    until("the backend does everything", lambda: role(turn) == "all")
    assert turn.site("--tags", "app") == 1
    until("the backend is the API only", lambda: role(turn) == "api")
    assert role(turn, WORKER) == "worker"


@pytest.mark.form("soundspan-individual")
@pytest.mark.req("SS-07", "SS-15", "SS-16", "SS-32", "SS-33")
def test_a_sidecar_comes_with_its_three_objects_and_goes_with_them(turn: Turn) -> None:
    before = {kind: set(turn.names(kind)) for kind in ("deployments", "services", "pvc")}
    assert turn.site("--tags", "app", overlay={"services": {"soundspan-tidal": {"enabled": True}}}) == 1
    until("the sidecar answers", lambda: turn.answer("soundspan-tidal", 8585, "/health")[0] == 200)
    added = {kind: set(turn.names(kind)) - before[kind] for kind in before}
    assert added == {
        "deployments": {"soundspan-tidal"},
        "services": {"soundspan-tidal"},
        "pvc": {"soundspan-tidal-tidal-data"},
    }
    assert turn.site("--tags", "app", "-e", "app_prune_data=true") == 1
    until("the sidecar is gone", lambda: {kind: set(turn.names(kind)) for kind in before} == before)


@pytest.mark.form("soundspan-individual-ha")
@pytest.mark.req("SS-62", "SS-64", "SS-65", "SS-06")
def test_back_to_one_replica_and_forward_again(turn: Turn) -> None:
    """The way back from a scale-out: one replica each, the Redis adapter stays on; then the known-good values again."""

    def replicas() -> dict[str, int]:
        return {name: turn.get("deployment", name)["spec"]["replicas"] for name in (BACKEND, FRONTEND)}

    assert replicas() == {BACKEND: 2, FRONTEND: 2}
    small = {"services": {BACKEND: {"replicas": 1}, FRONTEND: {"replicas": 1}}}
    assert turn.site("--tags", "app", overlay=small) == 1
    assert replicas() == {BACKEND: 1, FRONTEND: 1}
    until("one pod of the backend", lambda: len(turn.pods(BACKEND)) == 1)
    assert turn.process(BACKEND)["environment"]["LISTEN_TOGETHER_REDIS_ADAPTER_ENABLED"] == "true"
    assert turn.site("--tags", "app") == 1
    assert replicas() == {BACKEND: 2, FRONTEND: 2}
    assert turn.site("--tags", "app") == 0


@pytest.mark.form("starter")
@pytest.mark.req("ST-03", "ST-47", "ST-48", "ST-49")
def test_the_worker_takes_the_billing_work(turn: Turn) -> None:
    assert not turn.names("deployment", "worker")
    worker = {
        "services": {"worker": {"enabled": True, "no_probes": "a stand-in has no work that could fail"}}
    }
    assert turn.site("--tags", "app", overlay=worker) == 1
    found = turn.process("worker")["environment"]
    assert found["ENABLE_BILLING_RETRY_WORKER"] == found["ENABLE_BILLING_STREAM_REPLAY"] == "true"
    assert found["BILLING_RETRY_DEPLOYMENT_MODE"] == "dedicated"
    assert turn.process("api")["environment"]["ENABLE_BILLING_RETRY_WORKER"] == "false"
    assert "worker" not in turn.names("services")
    assert turn.site("--tags", "app") == 1
    assert not turn.names("deployment", "worker")


@pytest.mark.form("soundcore")
@pytest.mark.req("SC-48")
def test_a_changed_config_renews_the_pods_that_use_it_and_no_others(turn: Turn) -> None:
    def pods(workload: str) -> set[str]:
        return {pod["metadata"]["name"] for pod in turn.pods(workload)}

    before = {name: pods(name) for name in ("knowledge-service", "postgres", "neo4j")}
    assert turn.site("--tags", "app", overlay={"config": {"kcp-config": {"CACHE_TTL": "600"}}}) == 1
    until(
        "no old pod of knowledge-service", lambda: not before["knowledge-service"] & pods("knowledge-service")
    )
    assert turn.process("knowledge-service")["environment"]["CACHE_TTL"] == "600"
    assert {name: pods(name) for name in ("postgres", "neo4j")} == {
        name: before[name] for name in ("postgres", "neo4j")
    }
    assert turn.site("--tags", "app") == 1


@pytest.mark.form("soundspan-individual", "soundspan-individual-ha")
@pytest.mark.req("SS-60", "SS-61", "SN-70")
def test_replicas_on_one_claim_are_refused_before_anything_is_applied(turn: Turn) -> None:
    before = turn.get("deployment", BACKEND)["metadata"]["resourceVersion"]
    volume = {"cache": {"mount": "/app/cache", "size": "1Gi", "empty_dir": None}}  # HA has it empty
    broken = {"services": {BACKEND: {"replicas": 2, "volumes": volume}}}
    try:
        turn.site("--tags", "app", overlay=broken)
    except AssertionError as failure:
        assert "cannot share a ReadWriteOnce claim" in str(failure)
    else:
        raise AssertionError("two replicas on one claim were taken")
    assert turn.get("deployment", BACKEND)["metadata"]["resourceVersion"] == before
