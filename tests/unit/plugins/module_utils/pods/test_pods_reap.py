# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The whole of pod_reap over a cluster in memory: preview, evidence, preconditions, races, verification."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.holdfast.k3s.plugins.module_utils.core.clock import FakeClock
from ansible_collections.holdfast.k3s.plugins.module_utils.core.command import Result
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import (
    CommandError,
    EvidenceError,
    HoldfastError,
)
from ansible_collections.holdfast.k3s.plugins.module_utils.pods import evidence
from ansible_collections.holdfast.k3s.plugins.module_utils.pods.options import REAP, SELECT
from ansible_collections.holdfast.k3s.plugins.module_utils.pods.reap import reap


class Runtime:
    """crictl's answers, one after the other (the last one stays); an exception is raised."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers) or [[]]

    def run(self, argv: list[str], **_options: Any) -> Result:
        if "crictl" not in argv:
            return Result(argv, 0, out="journal")
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        listed = [{"state": state, "labels": {"io.kubernetes.pod.uid": uid}} for uid, state in answer]
        return Result(argv, 0, out=json.dumps({"containers": listed}))


@pytest.fixture
def go(cluster: Any, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    def call(*, check: bool = False, runtime: Runtime | None = None, **given: Any) -> dict[str, Any]:
        defaults = {name: option.get("default") for name, option in {**SELECT, **REAP}.items()}
        params = {
            **defaults,
            "deadline": 300,
            "budget": None,
            "evidence_dir": str(tmp_path / "incidents"),
            "evidence_required": True,
            **given,
        }
        commands: Any = runtime or Runtime()
        return reap(params, check, client=cluster, commands=commands, clock=FakeClock(), hostname="node")

    return call


@pytest.mark.req("SN-32", "BR-07")
def test_check_mode_is_the_plan_and_touches_nothing(cluster: Any, pod: Any, go: Any, tmp_path: Path) -> None:
    cluster.put_pod(pod("a", phase="Failed"))
    result = go(check=True)
    assert result["changed"] and result["plan"][0]["target"] == "n/a" and result["verified"] is None
    assert result["diff"] == {"before": {"pods": ["n/a"]}, "after": {"pods": []}}
    assert all(verb == "LIST" for verb, _path in cluster.calls)
    assert not (tmp_path / "incidents").exists()


def test_a_healthy_namespace_is_no_change(cluster: Any, pod: Any, go: Any) -> None:
    cluster.put_pod(pod("a"))
    result = go()
    assert (result["changed"], result["plan"], result["verified"], result["evidence"]) == (
        False,
        [],
        True,
        None,
    )


def test_the_bundle_is_written_first_and_holds_no_secret(cluster: Any, pod: Any, go: Any) -> None:
    dead = pod("a", phase="Failed")
    dead["spec"]["containers"][0]["env"] = [{"name": "DB_PASSWORD", "value": "canary-env"}]
    dead["metadata"]["managedFields"] = [{"manager": "x"}]
    cluster.put_pod(dead)
    cluster.put(
        "/api/v1/namespaces/n/events/e",
        {"metadata": {"name": "e"}, "involvedObject": {"uid": "uid-a"}, "message": "BackOff"},
    )
    bundles: list[str] = []
    cluster.on_delete = lambda path, obj: bundles.append(path)
    result = go()
    evidence = Path(result["evidence"])
    assert bundles
    names = {str(f.relative_to(evidence)) for f in evidence.rglob("*") if f.is_file()}
    assert {"pods.json", "events.json", "owners.json", "plan.json", "manifest.json", "k3s.journal"} <= names
    assert "logs/n/a/c.log" in names
    text = "".join(f.read_text() for f in evidence.rglob("*") if f.is_file())
    assert "canary" not in text and "managedFields" not in text and "BackOff" in text and "last words" in text
    assert result["verified"] and result["outcomes"] == {"done": 1}
    assert go()["changed"] is False


def test_no_evidence_no_deletion_unless_told_otherwise(
    cluster: Any, pod: Any, go: Any, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    cluster.put_pod(pod("a", phase="Failed"))
    with pytest.raises(EvidenceError) as caught:
        go(evidence_dir=str(tmp_path / "file"))
    assert caught.value.envelope.extra["counts"] == {"failed": 1}
    assert ("DELETE", "/api/v1/namespaces/n/pods/a") not in cluster.calls
    assert go(evidence_dir=str(tmp_path / "file"), evidence_required=False)["outcomes"] == {"done": 1}


def test_a_pod_of_the_same_name_that_came_meanwhile_lives(cluster: Any, pod: Any, go: Any) -> None:
    cluster.put_pod(pod("a", phase="Failed"))
    listed = cluster.list

    def list_then_replace(path: str, **options: Any) -> Any:
        yield from list(listed(path, **options))
        if path == "/api/v1/events":  # asked for the evidence, after the plan and before the deletion
            return
        fresh = pod("a")
        fresh["metadata"]["uid"] = "uid-new"
        if cluster.calls[-1][1].endswith("/events"):
            cluster.put_pod(fresh)

    cluster.list = list_then_replace
    result = go()
    assert (
        result["outcomes"] == {"refused": 1}
        and "changed since it was observed" in result["actions"][0]["error"]
    )
    assert not result["changed"]
    assert cluster.get("/api/v1/namespaces/n/pods/a")["metadata"]["uid"] == "uid-new"


@pytest.mark.req("SN-57")
def test_a_living_container_of_a_statefulset_pod_is_refused(cluster: Any, pod: Any, go: Any) -> None:
    cluster.put_pod(pod("a", owner="StatefulSet", deleted_for=400))
    result = go(runtime=Runtime([("uid-a", "CONTAINER_RUNNING")]))
    assert not result["changed"] and "still runs" in result["left"][0]["why"]
    # dead when planned, alive right before the deletion
    result = go(runtime=Runtime([], [("uid-a", "CONTAINER_RUNNING")]))
    assert result["outcomes"] == {"refused": 1} and "still runs" in result["actions"][0]["error"]
    result = go(runtime=Runtime([], CommandError("DeadlineExceeded")))
    assert result["outcomes"] == {"refused": 1}
    assert ("DELETE", "/api/v1/namespaces/n/pods/a") not in cluster.calls
    result = go(runtime=Runtime([("uid-a", "CONTAINER_EXITED"), ("uid-b", "CONTAINER_RUNNING")]))
    assert result["outcomes"] == {"done": 1}


def test_a_finalizer_goes_only_by_name(cluster: Any, pod: Any, go: Any) -> None:
    cluster.put_pod(pod("a", deleted_for=400, finalizers=["x.io/a", "x.io/b"]))
    assert "x.io/b" in go(remove_finalizers=["x.io/a"])["left"][0]["why"]
    result = go(remove_finalizers=["x.io/a", "x.io/b"])
    assert [(a["kind"], a["outcome"]) for a in result["actions"]] == [("remove_finalizers", "done")]
    assert [verb for verb, _path in cluster.calls if verb != "LIST"] == ["DELETE", "PATCH"]
    assert result["verified"] and result["diff"] == {"before": {"pods": ["n/a"]}, "after": {"pods": []}}
    assert cluster.get("/api/v1/namespaces/n/pods/a") is None


def test_many_pods_with_finalizers_go_at_once(cluster: Any, pod: Any, go: Any) -> None:
    """A deletion changes the resourceVersion, so whatever else is done to that pod must wait for it."""
    for number in range(20):
        cluster.put_pod(pod(f"p{number}", deleted_for=400, finalizers=["x.io/a"]))

    def change(path: str, obj: dict[str, Any]) -> None:
        obj["metadata"]["resourceVersion"] = "8"
        if path in cluster.objects:
            cluster.put(path, obj)

    cluster.on_delete = change
    result = go(remove_finalizers=["x.io/a"], workers=12)
    assert result["outcomes"] == {"done": 20} and result["verified"]


@pytest.mark.parametrize(
    ("stamps", "left"),
    [
        (["20250101", "20251220"], ["20251220"]),
        (["20250101", "20250601"], ["20250101", "20250601"]),
        ([], []),
    ],
)
def test_old_evidence_goes_unless_the_clock_is_ahead(
    cluster: Any, pod: Any, go: Any, tmp_path: Path, stamps: list[str], left: list[str]
) -> None:
    cluster.put_pod(pod("a", phase="Failed"))
    for stamp in stamps:
        (tmp_path / "incidents" / f"{stamp}T000000Z-x").mkdir(parents=True)
    result = go()
    names = sorted(path.name for path in (tmp_path / "incidents").iterdir())
    assert [name[:8] for name in names] == [*left, Path(result["evidence"]).name[:8]]


def test_old_evidence_that_cannot_go_stops_nothing(
    cluster: Any, pod: Any, go: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_arguments: Any) -> None:
        raise OSError("stale file handle")

    monkeypatch.setattr(evidence, "_prune", broken)
    cluster.put_pod(pod("a", phase="Failed"))
    assert go()["outcomes"] == {"done": 1}


def test_replacements_that_do_not_come_are_named_with_the_reason(cluster: Any, pod: Any, go: Any) -> None:
    cluster.put_pod(pod("a", phase="Failed"))
    replicaset = {
        "kind": "ReplicaSet",
        "metadata": {"name": "o", "namespace": "n", "uid": "uid-o"},
        "spec": {"replicas": 1},
        "status": {"readyReplicas": 0},
    }
    cluster.put("/apis/apps/v1/namespaces/n/replicasets/o", replicaset)
    refusal = 'admission webhook "w" denied the request: DB_PASS=canary-admission'
    about = {"uid": "uid-o", "kind": "ReplicaSet"}
    refused = {
        "metadata": {"name": "e"},
        "involvedObject": about,
        "reason": "FailedCreate",
        "message": refusal,
    }
    cluster.put("/api/v1/namespaces/n/events/e", refused)
    cluster.on_delete = lambda path, obj: cluster.put_pod(
        pod(
            "b", phase="Pending", state={"waiting": {"reason": "ErrImagePull", "message": "manifest unknown"}}
        )
    )
    result = go(wait_timeout=5)
    assert result["verified"] is False
    assert result["not_ready"][0]["state"] == "0 of 1 replicas ready"
    why = result["not_ready"][0]["why"]
    assert "b: cannot pull localhost:5000/app:1" in why[0]
    assert "webhook w denies it" in why[1] and "canary" not in why[1]


def test_budget_and_long_lists(cluster: Any, pod: Any, go: Any) -> None:
    for number in range(30):
        cluster.put_pod(pod(f"p{number:02}", phase="Failed"))
    result = go(budget=10, list_limit=5)
    assert result["outcomes"] == {"done": 10, "skipped": 20}
    assert result["cut_lists"] == {"plan": 30, "actions": 30} and len(result["actions"]) == 5
    assert result["counts"] == {"failed": 30}
    assert go()["outcomes"] == {"done": 20}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"min_age": -1}, "min_age = -1: must not be negative"),
        ({"namespaces": ["a"], "exclude_namespaces": ["a"]}, "both wanted and excluded"),
    ],
)
def test_bad_options_are_refused_before_anything(cluster: Any, go: Any, given: dict, message: str) -> None:
    with pytest.raises(HoldfastError, match=message):
        go(**given)
    assert cluster.calls == []
