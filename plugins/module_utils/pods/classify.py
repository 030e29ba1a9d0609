# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which class a pod is in. Pure: one pod and the time in, one finding or nothing out."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Optional

from ansible_collections.holdfast.k3s.plugins.module_utils.pods.model import (
    Facts,
    Finding,
    Options,
    Pod,
    seconds_since,
    statuses,
)

EVICTED = frozenset(("Evicted", "Preempted", "Preempting"))
REJECTED = frozenset(
    (
        "UnexpectedAdmissionError",
        "NodeAffinity",
        "NodePorts",
        "NodeName",
        "NodeUnschedulable",
        "TaintToleration",
    )
)
REJECTED_PREFIXES = ("OutOf", "Topology", "Unexpected")
LOST = frozenset(("Unknown", "ContainerStatusUnknown"))
PULLING = frozenset(
    (
        "ImagePullBackOff",
        "ErrImagePull",
        "ErrImageNeverPull",
        "InvalidImageName",
        "RegistryUnavailable",
        "ImageInspectError",
    )
)


def classify(pod: Pod, now: datetime, options: Options) -> Optional[Finding]:
    """The class that a pod is in now, whether or not the options ask for that class."""
    status, meta = pod.get("status") or {}, pod["metadata"]
    phase, reason = status.get("phase"), str(status.get("reason") or "")
    if meta.get("deletionTimestamp"):
        return _terminating(pod, now, options)
    if phase == "Failed":
        return _failed(pod, now, reason)
    if phase == "Succeeded":
        seconds = _finished_since(pod, now)
        if seconds is None or seconds >= options.completed_age:
            return Finding(pod, "completed", "finished with success", seconds)
        return None
    if phase == "Unknown" or reason == "NodeLost":
        seconds = _not_ready_since(pod, now)
        if seconds is None or seconds >= options.unknown_grace:
            return Finding(pod, "unknown", f"phase {phase}" + (f", {reason}" if reason else ""), seconds)
        return None
    return _by_containers(pod, now, options)


def classify_all(facts: Facts, options: Options) -> list[Finding]:
    """Findings of every pod that the filters let through, in the order of CLASSES."""
    found = [classify(pod, facts.now, options) for pod in facts.pods if selected(pod, facts.now, options)]
    return [finding for finding in found if finding is not None]


def selected(pod: Pod, now: datetime, options: Options) -> bool:
    """Whether the filters by namespace, age and owner let the pod through. Excluded means excluded."""
    from ansible_collections.holdfast.k3s.plugins.module_utils.pods.model import controller

    namespace = pod["metadata"].get("namespace")
    if namespace in options.excluded or (options.namespaces and namespace not in options.namespaces):
        return False
    if options.min_age:
        age = seconds_since(now, pod["metadata"].get("creationTimestamp"))
        if age is not None and age < options.min_age:
            return False
    if options.owner_kinds:
        owner = controller(pod)
        return bool(owner) and str(owner.get("kind")) in options.owner_kinds  # type: ignore[union-attr]
    return True


def _terminating(pod: Pod, now: datetime, options: Options) -> Optional[Finding]:
    meta = pod["metadata"]
    overdue = seconds_since(now, meta["deletionTimestamp"])
    # deletionTimestamp is when it should have ended: its grace period is over by then
    if overdue is None or overdue < max(0, options.terminating_age):
        return None
    waited = overdue + float(meta.get("deletionGracePeriodSeconds") or 0)
    finalizers = meta.get("finalizers") or []
    held = f", held by {', '.join(finalizers)}" if finalizers else ""
    return Finding(pod, "terminating", f"terminating for {waited:.0f} s{held}", waited)


def _failed(pod: Pod, now: datetime, reason: str) -> Finding:
    kind = "failed"
    if reason in EVICTED:
        kind = "evicted"
    elif reason in REJECTED or reason.startswith(REJECTED_PREFIXES):
        kind = "rejected"
    return Finding(pod, kind, "phase Failed" + (f", {reason}" if reason else ""), _finished_since(pod, now))


def _by_containers(pod: Pod, now: datetime, options: Options) -> Optional[Finding]:
    for _role, status in statuses(pod):
        state = status.get("state") or {}
        waiting = str((state.get("waiting") or {}).get("reason") or "")
        terminated = str((state.get("terminated") or {}).get("reason") or "")
        container = status.get("name")
        if terminated in LOST:
            seconds = _not_ready_since(pod, now)
            if seconds is None or seconds >= options.unknown_grace:
                return Finding(pod, "unknown", f"container {container} terminated with {terminated}", seconds)
        elif waiting in PULLING:
            seconds = _not_ready_since(pod, now)
            if seconds is None or seconds >= options.image_pull_grace:
                return Finding(pod, "image_pull", f"container {container} waits: {waiting}", seconds)
        elif waiting == "CrashLoopBackOff":
            restarts = int(status.get("restartCount") or 0)
            if restarts >= options.crash_restarts:
                return Finding(
                    pod,
                    "crash_loop",
                    f"container {container} restarted {restarts} times",
                    _not_ready_since(pod, now),
                )
    return None


def _not_ready_since(pod: Pod, now: datetime) -> Optional[float]:
    for condition in (pod.get("status") or {}).get("conditions") or []:
        if condition.get("type") == "Ready" and condition.get("status") != "True":
            return seconds_since(now, condition.get("lastTransitionTime"))
    return None


def _finished_since(pod: Pod, now: datetime) -> Optional[float]:
    """The newest finish of a container; without any (an evicted pod has none) the condition, else the start."""
    finished = [
        seconds_since(now, ((status.get("state") or {}).get("terminated") or {}).get("finishedAt"))
        for _role, status in statuses(pod)
    ]
    known = [seconds for seconds in finished if seconds is not None]
    if known:
        return min(known)
    started: Any = (pod.get("status") or {}).get("startTime") or pod["metadata"].get("creationTimestamp")
    since = _not_ready_since(pod, now)
    return since if since is not None else seconds_since(now, started)
