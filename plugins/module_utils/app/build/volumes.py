# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Volumes of pods and the claims behind them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.app import names

Obj = dict[str, Any]


def pod_volumes(volumes: Mapping[str, Mapping[str, Any]], writable: list[str]) -> tuple[list[Obj], list[Obj]]:
    """(volumes, volumeMounts) of a pod; `writable` paths become emptyDirs over a read-only root."""
    specs, mounts = [], []
    for name, volume in volumes.items():
        specs.append({"name": _legal(name), **_source(volume)})
        mount: Obj = {"name": _legal(name), "mountPath": volume["mount"]}
        if volume.get("sub_path"):
            mount["subPath"] = volume["sub_path"]
        if volume.get("read_only"):
            mount["readOnly"] = True
        mounts.append(mount)
    for number, path in enumerate(writable):
        specs.append({"name": f"writable-{number}", "emptyDir": {}})
        mounts.append({"name": f"writable-{number}", "mountPath": path})
    return specs, mounts


def _legal(name: str) -> str:
    """Kubernetes names forbid the underscore that inventories like."""
    return name.replace("_", "-").lower()


def _source(volume: Mapping[str, Any]) -> Obj:
    kind = volume["kind"]
    if kind == "claim":
        return {"persistentVolumeClaim": {"claimName": _legal(volume["claim_name"])}}
    if kind == "config":
        return {"configMap": {"name": volume["config"]}}
    if kind == "secret":
        return {"secret": {"secretName": volume["secret"]}}
    if kind == "host_path":
        return {"hostPath": {"path": volume["host_path"], "type": "Directory"}}
    if kind == "csi":
        attributes = {"secretProviderClass": volume["csi"]}
        return {
            "csi": {"driver": "secrets-store.csi.k8s.io", "readOnly": True, "volumeAttributes": attributes}
        }
    given = volume.get("empty_dir")
    return {"emptyDir": dict(given) if isinstance(given, Mapping) else {}}


def claim(app: Mapping[str, Any], name: str, component: str, spec: Mapping[str, Any]) -> Obj:
    """A PersistentVolumeClaim. spec: size, access, storage_class, volume_name."""
    body: Obj = {
        "accessModes": [spec.get("access", "ReadWriteOnce")],
        "resources": {"requests": {"storage": spec["size"]}},
    }
    if spec.get("storage_class") is not None:
        body["storageClassName"] = spec["storage_class"]
    if spec.get("volume_name"):
        body["volumeName"] = spec["volume_name"]
    legal = _legal(name)
    metadata = {"name": legal, "namespace": app["namespace"], "labels": names.labels(app, legal, component)}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": body}


def claims(app: Mapping[str, Any]) -> list[tuple[str, Obj]]:
    """(where the values ask for it, object) of every claim outside of the data services' own storage."""
    found = []
    for name, spec in app["claims"].items():
        if spec.get("existing"):
            continue
        if spec.get("static_host_path"):
            found += [(f"claims.{name}", obj) for obj in _static(app, name, spec)]
        else:
            found.append((f"claims.{name}", claim(app, spec.get("name", name), "storage", spec)))
    for section in ("services", "jobs", "cronjobs", "data_services"):
        for name, owner in app[section].items():
            # An external data service has no pods of ours, and keeps what is given for them unread.
            volumes = {} if owner.get("mode") == "external" else owner["volumes"]
            for key, volume in volumes.items():
                if volume["kind"] == "claim" and volume["own"]:
                    made = claim(app, volume["claim_name"], owner["component"], volume)
                    found.append((f"{section}.{name}.volumes.{key}", made))
    return found


def _static(app: Mapping[str, Any], name: str, spec: Mapping[str, Any]) -> list[Obj]:
    """A directory of the one node as volume: several pods may share it, so ReadWriteMany is true of it."""
    legal = _legal(spec.get("name", name))
    volume_name = f"{app['namespace']}-{legal}"
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": volume_name, "labels": names.labels(app, legal, "storage")},
        "spec": {
            "accessModes": [spec["access"]],
            "capacity": {"storage": spec["size"]},
            "claimRef": {"namespace": app["namespace"], "name": legal},
            "hostPath": {"path": spec["static_host_path"], "type": "DirectoryOrCreate"},
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": "",
        },
    }
    bound = {**spec, "storage_class": "", "volume_name": volume_name}
    return [volume, claim(app, legal, "storage", bound)]
