"""An API server made of a dictionary, and a whole run against it."""

from __future__ import annotations

import copy
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.app import release
from ansible_collections.holdfast.k3s.plugins.module_utils.app.apply import run as run_module
from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.errors import ApiError
from ansible_collections.holdfast.k3s.plugins.module_utils.core.clock import FakeClock

SMALL = {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"cpu": "200m", "memory": "128Mi"}}
VALUES: dict[str, Any] = {
    "name": "hello",
    "config": {"settings": {"A": "1"}},
    "secrets": {"keys": {"values": {"TOKEN": "canary-77"}, "generate": {"PASSWORD": 20}}},
    "claims": {"shared": {"size": "1Gi"}},
    "services": {
        "web": {"image": "x/web:1.0", "port": 80, "health": "/", "config": "settings", "resources": SMALL}
    },
}


class Server:
    """Just enough of an API server: server-side apply that merges, deletes, lists; workloads are ready at once."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.version = 0
        self.refuse: dict[str, ApiError] = {}
        self.deleted: dict[str, str | None] = {}

    def path_for(self, version: str, kind: str, namespace: str | None = None, name: str | None = None) -> str:
        return "/".join(part for part in (version.split("/")[0], namespace or "-", kind, name) if part)

    def serves(self, version: str, kind: str) -> bool:
        return True

    def get(self, path: str) -> dict[str, Any] | None:
        if path.startswith("/api/v1/namespaces/"):
            path = f"v1/-/Namespace/{path.rpartition('/')[2]}"
        return copy.deepcopy(self.objects.get(path))

    def list(self, path: str, **_: Any) -> list[dict[str, Any]]:
        if path.endswith("/Pod"):
            return self._pods()
        anywhere = path.split("/")[1] == "-"
        found = []
        for key, obj in sorted(self.objects.items()):
            part = key.split("/")
            place = "/".join([part[0], "-" if anywhere else part[1], *part[2:]])
            found += [copy.deepcopy(obj)] if place.startswith(f"{path}/") else []
        return found

    def apply(
        self, obj: dict[str, Any], *, field_manager: str, force: bool, dry_run: bool = False
    ) -> dict[str, Any]:
        meta = obj["metadata"]
        path = self.path_for(obj["apiVersion"], obj["kind"], meta.get("namespace"), meta["name"])
        if path in self.refuse and not force:
            raise self.refuse[path]
        before = self.objects.get(path)
        after = {**copy.deepcopy(before or {}), **copy.deepcopy(obj)}
        after["metadata"] = {**(before or {}).get("metadata", {}), **copy.deepcopy(meta)}
        if after != before:
            self.version += 1
            after["metadata"].update(resourceVersion=str(self.version), uid=f"uid-{path}", generation=1)
            if obj["kind"] == "Deployment":
                after["status"] = {
                    "observedGeneration": 1,
                    **dict.fromkeys(
                        ("replicas", "updatedReplicas", "availableReplicas", "readyReplicas"),
                        obj["spec"].get("replicas", 1),
                    ),
                }
        if not dry_run:
            self.objects[path] = after
        return copy.deepcopy(after)

    def delete(self, path: str, **options: Any) -> None:
        self.objects.pop(path, None)
        self.deleted[path] = options.get("propagation")

    def logs(self, *_: Any, **__: Any) -> str:
        return "it was canary-77\n"

    def _pods(self) -> list[dict[str, Any]]:
        ready = {"conditions": [{"type": "Ready", "status": "True"}]}
        return [
            {"metadata": {"name": "p", "labels": o["spec"]["template"]["metadata"]["labels"]}, "status": ready}
            for o in self.objects.values()
            if o["kind"] == "Deployment"
        ]  # fmt: skip


def options(values: dict[str, Any] = VALUES, **more: Any) -> dict[str, Any]:
    _, rendered, _ = release.build(values)
    steps = [
        {"phase": s.phase, "order": s.order, "timeout": s.timeout, "manifest": s.manifest}
        for s in rendered.steps
    ]
    given = {
        "name": rendered.name, "namespace": rendered.namespace, "objects": steps, "secret_data": rendered.secret_data,
        "secret_generate": rendered.secret_generate, "state": "present", "prune": True, "prune_data": False,
        "force_conflicts": False, "preflight": False, "wait": True, "deadline": 60, "expects": {},
    }  # fmt: skip
    return {**given, **more}


def run(given: dict[str, Any], **mode: bool) -> dict[str, Any]:
    settings = {"check_mode": False, "diff": True, **mode}
    return run_module.apply_release(given, clock=FakeClock(), **settings).as_dict()
