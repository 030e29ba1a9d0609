# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Is this object what it should be, and if not, why not. Pure functions of plain dicts."""

from __future__ import annotations

from typing import Any, Callable, Optional

Verdict = tuple[bool, str]


def condition(obj: dict[str, Any], kind: str) -> Optional[dict[str, Any]]:
    """The condition of a type, or None."""
    for item in (obj.get("status") or {}).get("conditions") or []:
        if item.get("type") == kind:
            return item
    return None


def condition_true(obj: dict[str, Any], kind: str) -> Verdict:
    """Whether a condition is True, with its reason and message when it is not."""
    found = condition(obj, kind)
    if found is None:
        return False, f"no condition {kind} yet"
    if found.get("status") == "True":
        return True, ""
    return (
        False,
        f"{kind} is {found.get('status')}: {found.get('reason') or ''} {found.get('message') or ''}".strip(),
    )


def pod_ready(pod: dict[str, Any]) -> Verdict:
    """Ready and not on its way out."""
    if pod["metadata"].get("deletionTimestamp"):
        return False, "is terminating"
    return condition_true(pod, "Ready")


def pod_settled(pod: dict[str, Any]) -> Verdict:
    """Ready, or finished with success."""
    if (pod.get("status") or {}).get("phase") == "Succeeded":
        return True, ""
    return pod_ready(pod)


def deployment_ready(obj: dict[str, Any]) -> Verdict:
    """Rolled out: every wanted replica is of the newest template and available, none of the old ones is left."""
    stale, why = _observed(obj)
    if stale:
        return False, why
    status, wanted = obj.get("status") or {}, _replicas(obj)
    progressing = condition(obj, "Progressing")
    if progressing and progressing.get("reason") == "ProgressDeadlineExceeded":
        return False, f"the rollout gave up: {progressing.get('message')}"
    return _counts(
        wanted,
        [
            ("updated", status.get("updatedReplicas")),
            ("available", status.get("availableReplicas")),
            ("ready", status.get("readyReplicas")),
        ],
        int(status.get("replicas") or 0),
    )


def statefulset_ready(obj: dict[str, Any]) -> Verdict:
    """Every replica ready and of the newest revision (unless updated by hand, OnDelete)."""
    stale, why = _observed(obj)
    if stale:
        return False, why
    status, wanted = obj.get("status") or {}, _replicas(obj)
    counts = [("ready", status.get("readyReplicas"))]
    strategy = (obj["spec"].get("updateStrategy") or {}).get("type", "RollingUpdate")
    current, update = status.get("currentRevision"), status.get("updateRevision")
    if strategy == "RollingUpdate" and current and update and current != update:
        partition = ((obj["spec"].get("updateStrategy") or {}).get("rollingUpdate") or {}).get(
            "partition"
        ) or 0
        due = max(0, wanted - int(partition))
        if int(status.get("updatedReplicas") or 0) < due:
            return False, f"{status.get('updatedReplicas') or 0} of {due} replicas updated"
    return _counts(wanted, counts, int(status.get("replicas") or 0))


def daemonset_ready(obj: dict[str, Any]) -> Verdict:
    """Updated and available wherever it should run."""
    stale, why = _observed(obj)
    if stale:
        return False, why
    status = obj.get("status") or {}
    wanted = int(status.get("desiredNumberScheduled") or 0)
    return _counts(
        wanted,
        [("updated", status.get("updatedNumberScheduled")), ("available", status.get("numberAvailable"))],
        wanted,
    )


def job_done(obj: dict[str, Any]) -> Verdict:
    """Complete. A failed job says so: see job_failed."""
    complete = condition(obj, "Complete")
    if complete and complete.get("status") == "True":
        return True, ""
    failed, why = job_failed(obj)
    if failed:
        return False, why
    status = obj.get("status") or {}
    return False, f"{status.get('active') or 0} active, {status.get('succeeded') or 0} succeeded"


def job_failed(obj: dict[str, Any]) -> Verdict:
    """Whether the job gave up for good, and why."""
    failed = condition(obj, "Failed")
    if failed and failed.get("status") == "True":
        return True, f"failed: {failed.get('reason') or ''} {failed.get('message') or ''}".strip()
    return False, ""


def pvc_bound(obj: dict[str, Any]) -> Verdict:
    """Bound to a volume."""
    phase = (obj.get("status") or {}).get("phase")
    return (True, "") if phase == "Bound" else (False, f"is {phase or 'without a phase'}")


def node_ready(obj: dict[str, Any]) -> Verdict:
    """Node condition Ready."""
    return condition_true(obj, "Ready")


_BY_KIND: dict[str, Callable[[dict[str, Any]], Verdict]] = {
    "Pod": pod_ready,
    "Deployment": deployment_ready,
    "StatefulSet": statefulset_ready,
    "DaemonSet": daemonset_ready,
    "Job": job_done,
    "PersistentVolumeClaim": pvc_bound,
    "Node": node_ready,
}


def ready(obj: dict[str, Any]) -> Verdict:
    """The predicate of the object's kind; kinds without one are ready when they exist."""
    check = _BY_KIND.get(str(obj.get("kind")))
    return check(obj) if check else (True, "")


def _replicas(obj: dict[str, Any]) -> int:
    wanted = obj["spec"].get("replicas")
    return 1 if wanted is None else int(wanted)


def _observed(obj: dict[str, Any]) -> Verdict:
    generation = obj["metadata"].get("generation") or 0
    seen = (obj.get("status") or {}).get("observedGeneration") or 0
    return (seen < generation), f"its controller has seen generation {seen} of {generation}"


def _counts(wanted: int, counts: list[tuple[str, Any]], existing: int) -> Verdict:
    for name, value in counts:
        if int(value or 0) < wanted:
            return False, f"{int(value or 0)} of {wanted} replicas {name}"
    if existing > wanted:
        return False, f"{existing - wanted} old replicas are still there"
    return True, ""
