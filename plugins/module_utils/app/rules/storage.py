# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Volumes, claims and who may share them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.app.rules.data import in_cluster
from ansible_collections.holdfast.k3s.plugins.module_utils.app.rules.model import Finding
from ansible_collections.holdfast.k3s.plugins.module_utils.app.rules.references import owners
from ansible_collections.holdfast.k3s.plugins.module_utils.app.rules.scaling import highest

FOUR_WAYS = (
    "one of: access: ReadWriteMany and rwx_capable: true on a class that offers it; existing_claim: a shared claim; "
    "empty_dir: true (each pod its own); enabled: false. On one node also single_node_shared: true"
)


def replicas_on_rwo(app: Mapping[str, Any]) -> Iterator[Finding]:
    """More than one replica on a ReadWriteOnce claim."""
    counted = [(f"services.{name}", highest(service), service) for name, service in app["services"].items()]
    counted += [(path, service["replicas"], service) for path, service in in_cluster(app)]
    for path, replicas, service in counted:
        if replicas < 2:
            continue
        for key, volume in service["volumes"].items():
            access = volume.get("access", "") if volume["kind"] == "claim" else ""
            if access == "ReadWriteOncePod" or (
                access == "ReadWriteOnce" and not volume.get("single_node_shared")
            ):
                yield Finding(
                    "storage.rwo_replicas",
                    f"{path}.volumes.{key}.access",
                    f"{replicas} replicas cannot share a {access} claim.",
                    FOUR_WAYS,
                    access,
                    source="SS-61",
                )


def unknown_claim(app: Mapping[str, Any]) -> Iterator[Finding]:
    """A volume that names a claim which the release does not have."""
    for path, owner in owners(app):
        for key, volume in owner["volumes"].items():
            if volume.get("claim") and volume["claim"] not in app["claims"]:
                yield Finding(
                    "storage.unknown_claim",
                    f"{path}.volumes.{key}.claim",
                    f"There is no such entry in claims (there are: {', '.join(sorted(app['claims'])) or 'none'}).",
                    "add it to claims, or use existing_claim for one that is not part of the release",
                    volume["claim"],
                )


def rwx_capable(app: Mapping[str, Any]) -> Iterator[Finding]:
    """ReadWriteMany only where something really offers it: the default class of one k3s host does not."""
    for name, claim in app["claims"].items():
        if claim["access"] == "ReadWriteMany" and not (
            claim.get("existing") or claim.get("static_host_path") or claim.get("rwx_capable")
        ):
            yield Finding(
                "storage.rwx_class",
                f"claims.{name}.access",
                f"Nothing says that class {claim.get('storage_class') or '(default)'} offers ReadWriteMany.",
                "set existing, static_host_path, or rwx_capable: true with a class that does (NFS, CephFS, Longhorn, EFS)",
                "ReadWriteMany",
                source="SS-26",
            )
    for section in ("services", "jobs", "cronjobs"):
        for name, owner in app[section].items():
            for key, volume in owner["volumes"].items():
                if (
                    volume.get("own")
                    and volume["access"] == "ReadWriteMany"
                    and not volume.get("rwx_capable")
                ):
                    yield Finding(
                        "storage.rwx_class",
                        f"{section}.{name}.volumes.{key}.access",
                        f"Nothing says that class {volume.get('storage_class') or '(default)'} offers ReadWriteMany.",
                        "set rwx_capable: true with a class that does, existing_claim, or an entry of claims with static_host_path",
                        "ReadWriteMany",
                        source="SS-26",
                    )


def duplicate_mounts(app: Mapping[str, Any]) -> Iterator[Finding]:
    """Two volumes at one path."""
    for name, service in app["services"].items():
        paths = [v["mount"] for v in service["volumes"].values()] + list(
            service["security"].get("writable", [])
        )
        for path in sorted({path for path in paths if paths.count(path) > 1}):
            yield Finding(
                "storage.duplicate_mount",
                f"services.{name}.volumes",
                "Two volumes are mounted at the same path.",
                "give each its own path (security.writable counts too)",
                path,
            )


def data_without_storage(app: Mapping[str, Any]) -> Iterator[Finding]:
    """A database in the cluster needs a size for its volume."""
    for name, service in app["data_services"].items():
        if service["mode"] == "in_cluster" and not (
            service["storage"].get("size") or service["storage"].get("existing_claim")
        ):
            yield Finding(
                "storage.data_without_size",
                f"data_services.{name}.storage.size",
                "A data service in the cluster keeps its data on a volume, and this one has no size.",
                "set storage.size, or storage.existing_claim",
                source="SN-66",
            )


RULES = (replicas_on_rwo, unknown_claim, rwx_capable, duplicate_mounts, data_without_storage)
