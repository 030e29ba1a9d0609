# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is known about pods, and what is wanted of them. Nothing here touches anything."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Optional

Pod = dict[str, Any]

# Class → what it means. The order is the order of a plan: the harmless first.
CLASSES: dict[str, str] = {
    "evicted": "phase Failed because the node took its resources back",
    "rejected": "phase Failed because the kubelet would not admit it",
    "failed": "phase Failed",
    "completed": "phase Succeeded and past completed_age",
    "image_pull": "waits for an image that cannot be pulled",
    "crash_loop": "restarted crash_restarts times or more and waits to be restarted again",
    "unknown": "its state was lost with the node and did not come back within unknown_grace",
    "terminating": "should have ended terminating_age ago",
}
DEFAULT_CLASSES = ("unknown", "failed", "evicted", "rejected", "terminating")


@dataclass(frozen=True)
class Options:
    """What a run may touch. Ages and graces are seconds.

    namespaces: empty for all. excluded: never touched, whatever else matches. owner_kinds: empty for all.
    bare, jobs: also pods without a controller, and pods of Jobs. finalizers: names that may be removed.
    node: the node of this host, whose CRI can be asked; None when it is not known.
    """

    classes: tuple[str, ...] = DEFAULT_CLASSES
    namespaces: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    label_selector: Optional[str] = None
    min_age: float = 0
    owner_kinds: tuple[str, ...] = ()
    bare: bool = False
    jobs: bool = False
    finalizers: tuple[str, ...] = ()
    unknown_grace: float = 120
    terminating_age: float = 300
    completed_age: float = 3600
    image_pull_grace: float = 60
    crash_restarts: int = 5
    namespace_budget: Optional[int] = None


@dataclass
class Facts:
    """One look at the cluster. events and owners are keyed by UID; cri: UID → True when a container of it lives."""

    now: datetime
    pods: list[Pod] = field(default_factory=list)
    nodes: dict[str, bool] = field(default_factory=dict)
    events: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    owners: dict[str, dict[str, Any]] = field(default_factory=dict)
    pvcs: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    cri: Optional[dict[str, bool]] = None
    cri_error: Optional[str] = None
    local_nodes: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Finding:
    """A pod and its class. reason: the evidence in a few words. seconds: for how long, None when it cannot be told."""

    pod: Pod
    kind: str
    reason: str
    seconds: Optional[float] = None


def name(pod: Pod) -> str:
    """namespace/name."""
    return f"{pod['metadata'].get('namespace')}/{pod['metadata']['name']}"


def uid(pod: Pod) -> str:
    """The pod's UID."""
    return str(pod["metadata"].get("uid") or "")


def controller(pod: Pod) -> Optional[dict[str, Any]]:
    """The owner reference of the controller, or None for a bare pod."""
    for reference in pod["metadata"].get("ownerReferences") or []:
        if reference.get("controller"):
            return reference
    return None


def is_static(pod: Pod) -> bool:
    """A mirror of a static pod: the kubelet owns it, deleting the mirror does nothing."""
    return "kubernetes.io/config.mirror" in (pod["metadata"].get("annotations") or {})


def claims(pod: Pod) -> list[str]:
    """Names of the persistent volume claims that it mounts."""
    found = []
    for volume in (pod.get("spec") or {}).get("volumes") or []:
        if "persistentVolumeClaim" in volume:
            found.append(volume["persistentVolumeClaim"]["claimName"])
        elif "ephemeral" in volume:
            found.append(f"{pod['metadata']['name']}-{volume['name']}")
    return found


def is_guarded(pod: Pod) -> bool:
    """Whether two of it at once could damage data: a member of a StatefulSet, or a pod with a claim."""
    owner = controller(pod)
    return bool(owner and owner.get("kind") == "StatefulSet") or bool(claims(pod))


def statuses(pod: Pod) -> list[tuple[str, dict[str, Any]]]:
    """(init | app, status) of every container that has a status."""
    status = pod.get("status") or {}
    return [("init", s) for s in status.get("initContainerStatuses") or []] + [
        ("app", s) for s in status.get("containerStatuses") or []
    ]


def when(text: Optional[str]) -> Optional[datetime]:
    """A Kubernetes timestamp as an aware datetime; None when absent or not a time."""
    if not text:
        return None
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None


def seconds_since(now: datetime, text: Optional[str]) -> Optional[float]:
    """Seconds from a timestamp to now, or None."""
    at = when(text)
    return None if at is None else (now - at).total_seconds()
