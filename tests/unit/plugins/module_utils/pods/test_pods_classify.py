# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Every class and every grace period, as k3s really shows them."""

from __future__ import annotations

from typing import Any, Callable

import pytest

from ansible_collections.holdfast.k3s.plugins.module_utils.core.clock import FakeClock
from ansible_collections.holdfast.k3s.plugins.module_utils.pods.classify import classify, selected
from ansible_collections.holdfast.k3s.plugins.module_utils.pods.model import Options

NOW = FakeClock().now()
LOST = {"terminated": {"reason": "Unknown", "exitCode": 255}}
GONE = {"terminated": {"reason": "ContainerStatusUnknown", "exitCode": 137}}


def waiting(reason: str) -> dict[str, Any]:
    return {"waiting": {"reason": reason}}


TABLE: list[tuple[dict[str, Any], str | None]] = [
    ({}, None),
    ({"phase": "Unknown"}, "unknown"),
    ({"phase": "Unknown", "not_ready_for": 60}, None),
    ({"phase": "Running", "reason": "NodeLost"}, "unknown"),
    ({"state": LOST}, "unknown"),
    ({"state": LOST, "not_ready_for": 119}, None),
    ({"state": GONE}, "unknown"),
    ({"phase": "Failed"}, "failed"),
    ({"phase": "Failed", "reason": "Error"}, "failed"),
    ({"phase": "Failed", "reason": "Evicted"}, "evicted"),
    ({"phase": "Failed", "reason": "UnexpectedAdmissionError"}, "rejected"),
    ({"phase": "Failed", "reason": "NodeAffinity"}, "rejected"),
    ({"phase": "Failed", "reason": "OutOfcpu"}, "rejected"),
    ({"phase": "Failed", "reason": "OutOfpods"}, "rejected"),
    ({"phase": "Succeeded", "not_ready_for": 3601}, "completed"),
    ({"phase": "Succeeded", "not_ready_for": 10}, None),
    ({"phase": "Pending", "state": waiting("ImagePullBackOff")}, "image_pull"),
    ({"phase": "Pending", "state": waiting("ErrImagePull")}, "image_pull"),
    ({"phase": "Pending", "state": waiting("ErrImagePull"), "not_ready_for": 5}, None),
    ({"phase": "Pending", "state": waiting("ContainerCreating")}, None),
    ({"state": waiting("CrashLoopBackOff"), "restarts": 5}, "crash_loop"),
    ({"state": waiting("CrashLoopBackOff"), "restarts": 4}, None),
    ({"deleted_for": 301}, "terminating"),
    ({"deleted_for": 299}, None),
    ({"deleted_for": 10, "grace": 3600}, None),
    ({"deleted_for": -100, "grace": 3600}, None),
    ({"deleted_for": 400, "phase": "Failed"}, "terminating"),
]


@pytest.mark.req("SN-32", "SN-38", "SN-57")
@pytest.mark.parametrize(("shape", "kind"), TABLE)
def test_class(pod: Callable[..., dict], shape: dict[str, Any], kind: str | None) -> None:
    finding = classify(pod(**shape), NOW, Options())
    assert (finding.kind if finding else None) == kind


def test_excluded_means_excluded_whatever_the_pod_looks_like(pod: Callable[..., dict]) -> None:
    evicted = pod(phase="Failed", reason="Evicted", containerStatuses=[])
    assert selected(evicted, NOW, Options())
    assert not selected(evicted, NOW, Options(excluded=("n",)))
    assert not selected(evicted, NOW, Options(namespaces=("other",)))
    assert not selected(evicted, NOW, Options(min_age=6000))
    assert not selected(evicted, NOW, Options(owner_kinds=("Job",)))
    assert not selected(pod(owner=None), NOW, Options(owner_kinds=("Job",)))
    assert selected(evicted, NOW, Options(owner_kinds=("ReplicaSet",)))
