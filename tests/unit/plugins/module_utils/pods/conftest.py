# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Pods to classify and a cluster in memory to reap them from."""

from __future__ import annotations

import copy
from datetime import datetime, timedelta, timezone
from typing import Any, Callable

import pytest

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)


def ago(seconds: float) -> str:
    return (NOW - timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def make_pod(
    name: str = "p",
    namespace: str = "n",
    *,
    phase: str = "Running",
    reason: str | None = None,
    owner: str | None = "ReplicaSet",
    state: dict[str, Any] | None = None,
    restarts: int = 0,
    claim: str | None = None,
    node: str | None = "node",
    deleted_for: float | None = None,
    grace: int = 30,
    finalizers: list[str] | None = None,
    not_ready_for: float = 1000,
    age: float = 5000,
    **status: Any,
) -> dict[str, Any]:
    """A pod as the API would show it; deleted_for: seconds since its grace period ended."""
    meta: dict[str, Any] = {
        "name": name,
        "namespace": namespace,
        "uid": f"uid-{name}",
        "resourceVersion": "7",
        "creationTimestamp": ago(age),
    }
    if owner:
        meta["ownerReferences"] = [
            {"apiVersion": "apps/v1", "kind": owner, "name": "o", "uid": "uid-o", "controller": True}
        ]
    if deleted_for is not None:
        meta.update(deletionTimestamp=ago(deleted_for), deletionGracePeriodSeconds=grace)
    if finalizers:
        meta["finalizers"] = finalizers
    ready = phase == "Running" and state is None
    conditions = [
        {
            "type": "Ready",
            "status": "True" if ready else "False",
            "reason": "ContainersNotReady",
            "lastTransitionTime": ago(not_ready_for),
        }
    ]
    container = {"name": "c", "image": "localhost:5000/app:1", "restartCount": restarts, "ready": ready}
    container["state"] = state or {"running": {}}
    spec: dict[str, Any] = {"containers": [{"name": "c", "image": "localhost:5000/app:1"}]}
    if node:
        spec["nodeName"] = node
    if claim:
        spec["volumes"] = [{"name": "v", "persistentVolumeClaim": {"claimName": claim}}]
    full = {"phase": phase, "conditions": conditions, "containerStatuses": [container], **status}
    if reason:
        full["reason"] = reason
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec, "status": full}


class MemoryCluster:
    """Just enough of cluster.client.Client over a dict, with preconditions as the API has them."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.calls: list[tuple[str, str]] = []
        self.on_delete: Callable[[str, dict[str, Any]], None] = lambda path, obj: None
        self.put("/api/v1/nodes/node", {"metadata": {"name": "node"}, "status": {"conditions": []}})

    def put(self, path: str, obj: dict[str, Any]) -> None:
        self.objects[path] = copy.deepcopy(obj)

    def put_pod(self, pod: dict[str, Any]) -> None:
        meta = pod["metadata"]
        self.put(f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}", pod)

    def list(self, path: str, **_options: Any) -> Any:
        self.calls.append(("LIST", path))
        plural = path.rsplit("/", 1)[1]
        inside = path.rsplit("/", 1)[0]
        for key, obj in list(self.objects.items()):
            if key.split("/")[-2] == plural and key.startswith(inside + "/"):
                yield copy.deepcopy(obj)

    def get(self, path: str) -> Any:
        return copy.deepcopy(self.objects.get(path))

    def delete(self, path: str, *, uid: Any = None, resource_version: Any = None, **options: Any) -> Any:
        from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import PreconditionFailed

        self.calls.append(("DELETE", path))
        obj = self.objects.get(path)
        if obj is None:
            return None
        meta = obj["metadata"]
        if (uid and uid != meta["uid"]) or (resource_version and resource_version != meta["resourceVersion"]):
            raise PreconditionFailed(f"{path} changed since it was observed")
        if not meta.get("finalizers"):
            self.objects.pop(path, None)
        self.on_delete(path, obj)
        return {}

    def patch(self, path: str, body: Any, **_options: Any) -> Any:
        self.calls.append(("PATCH", path))
        self.objects[path]["metadata"].update(body["metadata"])
        if not self.objects[path]["metadata"]["finalizers"]:
            self.objects.pop(path)
        return {}

    def logs(self, namespace: str, pod: str, **options: Any) -> str:
        return "PASSWORD=canary-log\nlast words\n"

    def path_for(self, api_version: str, kind: str, namespace: str, name: str) -> str:
        return f"/apis/{api_version}/namespaces/{namespace}/{kind.lower()}s/{name}"


@pytest.fixture
def cluster() -> MemoryCluster:
    return MemoryCluster()


@pytest.fixture
def pod() -> Callable[..., dict[str, Any]]:
    return make_pod
