"""Which images live and desired pods need, and which pods wait for one. Pure: lists of API objects in, plain data out."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any

WAITING = {"ImagePullBackOff", "ErrImagePull", "ErrImageNeverPull", "InvalidImageName", "RegistryUnavailable",
           "ImageInspectError"}  # fmt: skip
CONTROLLERS = {"ReplicaSet", "StatefulSet", "DaemonSet", "Job", "ReplicationController"}
WORKLOADS = (
    "/apis/apps/v1/deployments",
    "/apis/apps/v1/statefulsets",
    "/apis/apps/v1/daemonsets",
    "/apis/batch/v1/cronjobs",
)


def pod_spec(item: dict[str, Any]) -> dict[str, Any]:
    """The pod spec of a pod, a workload with a template, or a CronJob."""
    spec = item.get("spec") or {}
    if "jobTemplate" in spec:
        spec = spec["jobTemplate"].get("spec") or {}
    if "template" in spec:
        spec = spec["template"].get("spec") or {}
    return spec


def images(item: dict[str, Any]) -> list[str]:
    """Every image of an object, init containers included."""
    spec = pod_spec(item)
    containers = [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]
    return [one["image"] for one in containers if one.get("image")]


def users(items: Iterable[dict[str, Any]]) -> dict[str, list[str]]:
    """image → names of the objects that need it (at most five are kept)."""
    found: dict[str, list[str]] = {}
    for item in items:
        meta = item.get("metadata", {})
        name = f"{item.get('kind', 'Pod')} {meta.get('namespace', '')}/{meta.get('name', '')}"
        for image in images(item):
            names = found.setdefault(image, [])
            if name not in names and len(names) < 5:
                names.append(name)
    return found


def unfinished(pods: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The pods that can still need an image; one that has ended never starts again, its owner makes another."""
    return [pod for pod in pods if pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")]


def owner(pod: dict[str, Any]) -> str:
    """Kind of the controller that recreates a pod, or an empty string."""
    for one in pod["metadata"].get("ownerReferences") or []:
        if one.get("controller") and one.get("kind") in CONTROLLERS:
            return str(one["kind"])
    return ""


def failing(pods: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Containers that wait for an image: pod identity, image, reason, message, owner."""
    found = []
    for pod in pods:
        status, meta = pod.get("status", {}), pod["metadata"]
        statuses = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
        for one in statuses:
            waiting = (one.get("state") or {}).get("waiting") or {}
            if waiting.get("reason") in WAITING and not meta.get("deletionTimestamp"):
                found.append(
                    {
                        "namespace": meta["namespace"],
                        "pod": meta["name"],
                        "uid": meta["uid"],
                        "resource_version": meta.get("resourceVersion"),
                        "owner": owner(pod),
                        "image": one.get("image") or "",
                        "reason": waiting["reason"],
                        "message": waiting.get("message") or "",
                    }
                )
    return found


def parse_time(text: str | None) -> datetime | None:
    """An API time stamp."""
    if not text:
        return None
    return datetime.strptime(text[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc)


def slow_pulls(pods: Iterable[dict[str, Any]], events: Iterable[dict[str, Any]], now: datetime,
               act_minutes: float) -> list[dict[str, Any]]:  # fmt: skip
    """Pods whose pull is under way: minutes so far, and whether to `wait` or to `act` (at `act_minutes`)."""
    last: dict[str, tuple[datetime, str]] = {}
    for event in events:
        stamp = parse_time(event.get("lastTimestamp") or event.get("eventTime"))
        uid = (event.get("involvedObject") or {}).get("uid", "")
        known = event.get("reason") in ("Pulling", "Pulled", "Failed", "BackOff")
        if stamp and known and (uid not in last or stamp >= last[uid][0]):
            last[uid] = (stamp, event["reason"])
    found = []
    for pod in pods:
        seen = last.get(pod["metadata"]["uid"])
        if pod.get("status", {}).get("phase") != "Pending" or not seen or seen[1] != "Pulling":
            continue
        minutes = (now - seen[0]).total_seconds() / 60
        found.append(
            {
                "namespace": pod["metadata"]["namespace"],
                "pod": pod["metadata"]["name"],
                "minutes": round(minutes, 1),
                "verdict": "act" if minutes >= act_minutes else "wait",
            }
        )
    return found
