# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Is a rollout done, on its way, or beyond hope: pure judgement of workloads and their pods."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Optional

from ansible_collections.holdfast.k3s.plugins.module_utils.cluster import predicates

Obj = dict[str, Any]
WATCHED = ("Deployment", "StatefulSet", "Job", "DaemonSet")
# Seconds that each trouble may last before it counts as final; some heal alone (a registry that is just starting).
_PATIENCE = {
    "InvalidImageName": 0,
    "ErrImageNeverPull": 0,
    "CreateContainerConfigError": 30,
    "CreateContainerError": 60,
    "RunContainerError": 60,
    "ImagePullBackOff": 180,
    "ErrImagePull": 180,
}
_NEVER_PULLED = ("not found", "manifest unknown", "unauthorized", "denied", "no such host")
CRASHES = 3
UNSCHEDULABLE_SECONDS = 120


@dataclass(frozen=True)
class Trouble:
    """Why a rollout cannot succeed. pod, container: whose last log lines tell more; previous: of its last run."""

    workload: str
    cause: str
    pod: str = ""
    container: str = ""
    previous: bool = False


def pods_of(workload: Obj, pods: Iterable[Obj]) -> list[Obj]:
    """The pods of a workload's newest template: an old crashing pod says nothing about the new one."""
    select = (workload["spec"].get("selector") or {}).get("matchLabels") or {}
    mine = [
        pod
        for pod in pods
        if not pod["metadata"].get("deletionTimestamp")
        and select
        and select.items() <= (pod["metadata"].get("labels") or {}).items()
    ]
    if not mine:
        return []
    newest = max(mine, key=lambda pod: pod["metadata"].get("creationTimestamp") or "")
    revision = _revision(newest)
    return [pod for pod in mine if _revision(pod) == revision]


def _revision(pod: Obj) -> str:
    labels = pod["metadata"].get("labels") or {}
    return str(labels.get("pod-template-hash") or labels.get("controller-revision-hash") or "")


def judge(workload: Obj, pods: Iterable[Obj], now: datetime) -> tuple[bool, str, Optional[Trouble]]:
    """(done, what is missing, trouble when waiting is pointless)."""
    name = f"{workload['kind'].lower()}/{workload['metadata']['name']}"
    if workload["kind"] == "Job":
        failed, why = predicates.job_failed(workload)
        if failed:
            last = max(
                pods_of(workload, pods),
                key=lambda pod: pod["metadata"].get("creationTimestamp") or "",
                default=None,
            )
            return False, why, Trouble(name, why, *(_where(last) if last else ()))
    done, why = predicates.ready(workload)
    if done:
        return True, "", None
    for pod in pods_of(workload, pods):
        trouble = _trouble(name, pod, now)
        if trouble:
            return False, why, trouble
    return False, why, None


def _where(pod: Obj) -> tuple[str, str]:
    statuses = (pod.get("status") or {}).get("containerStatuses") or [{}]
    return pod["metadata"]["name"], statuses[0].get("name", "")


def _trouble(workload: str, pod: Obj, now: datetime) -> Optional[Trouble]:
    status = pod.get("status") or {}
    age = _age(pod["metadata"].get("creationTimestamp"), now)
    for condition in status.get("conditions") or []:
        stuck = condition.get("type") == "PodScheduled" and condition.get("reason") == "Unschedulable"
        if stuck and _age(condition.get("lastTransitionTime"), now) > UNSCHEDULABLE_SECONDS:
            return Trouble(workload, f"no node takes the pod: {condition.get('message')}")
    containers = [*((True, s) for s in status.get("initContainerStatuses") or [])]
    containers += [(False, s) for s in status.get("containerStatuses") or []]
    for is_init, container in containers:
        found = _container_trouble(workload, pod, container, age, is_init)
        if found:
            return found
    return None


def _container_trouble(
    workload: str, pod: Obj, container: Mapping[str, Any], age: float, is_init: bool
) -> Optional[Trouble]:
    waiting = (container.get("state") or {}).get("waiting") or {}
    reason, message = waiting.get("reason") or "", waiting.get("message") or ""
    pod_name, name = pod["metadata"]["name"], container.get("name", "")
    patience = _PATIENCE.get(reason)
    if patience is not None:
        if reason in ("ImagePullBackOff", "ErrImagePull") and any(text in message for text in _NEVER_PULLED):
            patience = 45
        if age > patience:
            return Trouble(
                workload, f"container {name}: {reason}: {message or container.get('image', '')}", pod_name
            )
    # A waiting init container that gives up is what it is for: its dependency may still come.
    if reason == "CrashLoopBackOff" and not is_init and int(container.get("restartCount") or 0) >= CRASHES:
        last = (container.get("lastState") or {}).get("terminated") or {}
        cause = f"container {name} crashed {container['restartCount']} times (exit code {last.get('exitCode')}, {last.get('reason')})"
        return Trouble(workload, cause, pod_name, name, previous=True)
    return None


def _age(stamp: Any, now: datetime) -> float:
    """Seconds since a Kubernetes time; 0 when there is none."""
    if not stamp:
        return 0.0
    return max(0.0, (now - datetime.fromisoformat(str(stamp).replace("Z", "+00:00"))).total_seconds())
