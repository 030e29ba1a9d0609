# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Predicates by table, and waiting for them without waiting."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.holdfast.k3s.plugins.module_utils.cluster import predicates, wait
from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.errors import ApiUnreachable
from ansible_collections.holdfast.k3s.plugins.module_utils.core.clock import Deadline, FakeClock
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import DeadlineExceeded


def obj(kind: str, spec: dict[str, Any] | None = None, generation: int = 2, **status: Any) -> dict[str, Any]:
    status.setdefault("observedGeneration", 2)
    return {"kind": kind, "metadata": {"generation": generation}, "spec": spec or {}, "status": status}


def cond(kind: str, status: str = "True", **more: str) -> list[dict[str, str]]:
    return [{"type": kind, "status": status, **more}]


FULL = {"replicas": 2, "updatedReplicas": 2, "availableReplicas": 2, "readyReplicas": 2}
TWO = {"replicas": 2}

TABLE = [
    (obj("Deployment", TWO, **FULL), True, ""),
    (obj("Deployment", TWO, generation=3, **FULL), False, "seen generation 2 of 3"),
    (obj("Deployment", TWO, **{**FULL, "updatedReplicas": 1}), False, "1 of 2 replicas updated"),
    (obj("Deployment", TWO, **{**FULL, "replicas": 3}), False, "1 old replicas"),
    (
        obj(
            "Deployment",
            TWO,
            conditions=cond("Progressing", "False", reason="ProgressDeadlineExceeded", message="m"),
        ),
        False,
        "gave up: m",
    ),
    (obj("Deployment", {"replicas": 0}, replicas=0), True, ""),
    (obj("Deployment", {}), False, "0 of 1"),
    (obj("StatefulSet", TWO, replicas=2, readyReplicas=1), False, "1 of 2 replicas ready"),
    (
        obj(
            "StatefulSet",
            TWO,
            replicas=2,
            readyReplicas=2,
            currentRevision="a",
            updateRevision="b",
            updatedReplicas=1,
        ),
        False,
        "1 of 2 replicas updated",
    ),
    (
        obj(
            "StatefulSet",
            {**TWO, "updateStrategy": {"type": "OnDelete"}},
            replicas=2,
            readyReplicas=2,
            currentRevision="a",
            updateRevision="b",
        ),
        True,
        "",
    ),
    (
        obj("DaemonSet", desiredNumberScheduled=1, updatedNumberScheduled=1, numberAvailable=0),
        False,
        "0 of 1 replicas available",
    ),
    (obj("Job", conditions=cond("Complete")), True, ""),
    (
        obj("Job", conditions=cond("Failed", reason="BackoffLimitExceeded")),
        False,
        "failed: BackoffLimitExceeded",
    ),
    (obj("Job", active=1), False, "1 active, 0 succeeded"),
    (obj("Pod", conditions=cond("Ready")), True, ""),
    (
        obj("Pod", conditions=cond("Ready", "False", reason="ContainersNotReady")),
        False,
        "Ready is False: ContainersNotReady",
    ),
    (obj("Pod"), False, "no condition Ready yet"),
    (obj("PersistentVolumeClaim", phase="Pending"), False, "is Pending"),
    (obj("Node", conditions=cond("Ready")), True, ""),
    (obj("ConfigMap"), True, ""),
]


@pytest.mark.parametrize(("thing", "expected", "why"), TABLE)
def test_ready(thing: dict[str, Any], expected: bool, why: str) -> None:
    met, reason = predicates.ready(thing)
    assert met is expected and why in reason


def test_a_terminating_pod_is_not_ready_a_finished_one_is_settled() -> None:
    pod = obj("Pod", conditions=cond("Ready"))
    pod["metadata"]["deletionTimestamp"] = "now"
    assert predicates.pod_ready(pod) == (False, "is terminating")
    assert predicates.pod_settled(obj("Pod", phase="Succeeded"))[0]


def test_waiting_asks_until_it_is_so() -> None:
    clock = FakeClock()
    answers: list[Any] = [(False, "a"), ApiUnreachable("down"), (True, "value")]

    def predicate() -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert wait.until(predicate, Deadline(clock, 10), interval=2) == "value"
    assert clock.slept == [2, 2]


def test_waiting_ends_with_the_last_reason() -> None:
    with pytest.raises(DeadlineExceeded, match="pods ready: not so after 3 s; last seen: 1 of 2"):
        wait.until(lambda: (False, "1 of 2"), Deadline(FakeClock(), 3), 1, "pods ready")
    assert wait.until(lambda: 5, Deadline(FakeClock(), 0)) == 5
