# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Data services with their engine's defaults; external ones keep only what a client needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.app import images
from ansible_collections.holdfast.k3s.plugins.module_utils.app.service import normalize_volumes

PORTS = {"postgres": 5432, "redis": 6379, "rabbitmq": 5672, "mongodb": 27017, "neo4j": 7687}
_UID = {"other": 1000, "postgres": 999, "redis": 999, "rabbitmq": 999, "mongodb": 999, "neo4j": 7474}
_KIND = {"redis": "deployment"}
_GRACE = {"other": 30, "postgres": 120, "rabbitmq": 60, "mongodb": 60, "neo4j": 120, "redis": 30}


def all_services(
    app: Mapping[str, Any], raw: Mapping[str, Any]
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """(enabled data services, names of disabled ones)."""
    enabled, disabled = {}, []
    for name, given in raw.items():
        if given.get("enabled", True):
            enabled[name] = _one(app, name, given)
        else:
            disabled.append(name)
    return enabled, disabled


def _one(app: Mapping[str, Any], name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    engine = given.get("engine") or (name if name in PORTS else "other")
    service = {"mode": "in_cluster", "port": PORTS.get(engine, 0), "args": [], "env": {}, **given}
    service.update(name=name, engine=engine, component=given.get("component", "database"))
    if service["mode"] == "external":
        return service
    uid = int(given.get("run_as_user", _UID[engine]))
    service["image"] = images.resolve(str(given.get("image") or engine), app["image"])
    service["pull_policy"] = given.get("pull_policy") or images.pull_policy(service["image"], app["image"])
    service["kind"] = given.get("kind", _KIND.get(engine, "statefulset"))
    service["replicas"] = int(given.get("replicas", 1))
    service["storage"] = {"access": "ReadWriteOnce", "name": "data", **(given.get("storage") or {})}
    service["security"] = {
        "run_as_user": uid,
        "run_as_group": uid,
        "fs_group": uid,
        **(given.get("security") or {}),
    }
    service["grace"] = int(given.get("grace", _GRACE[engine]))
    service["resources"] = dict(given.get("resources") or {})
    service["volumes"] = normalize_volumes(app, name, given.get("volumes") or {})
    pdb = given.get("pdb", False)
    service["pdb"] = {"min_available": 1} if pdb is True else (pdb or {})
    service["override"] = dict(given.get("override") or {})
    return service


def host_of(service: Mapping[str, Any]) -> str:
    """The name under which clients reach the data service."""
    return str(service.get("host") or service["name"])
