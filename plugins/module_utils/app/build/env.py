# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Environment variables of a container."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.app.values_text import as_text


def env_list(env: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The `env` list: references first, then literals, then literals that mention others as `$(NAME)`.

    Kubernetes expands `$(NAME)` only from entries that stand earlier in the list.
    """
    return [_entry(name, env[name]) for name in sorted(env, key=lambda name: (_rank(env[name]), name))]


def _rank(value: Any) -> int:
    if isinstance(value, Mapping):
        return 0
    return 2 if "$(" in str(value) else 1


def _entry(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        return {"name": name, "value": as_text(value)}
    if "secret" in value:
        reference: dict[str, Any] = {"name": value["secret"], "key": value.get("key", name)}
        if value.get("optional"):
            reference["optional"] = True
        return {"name": name, "valueFrom": {"secretKeyRef": reference}}
    if "config" in value:
        return {
            "name": name,
            "valueFrom": {"configMapKeyRef": {"name": value["config"], "key": value.get("key", name)}},
        }
    if "field" in value:
        return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": value["field"]}}}
    return {"name": name, "valueFrom": {"resourceFieldRef": {"resource": value["resource"]}}}


def env_from(entry: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Whole ConfigMaps and Secrets as environment; a Secret wins over a ConfigMap because it stands later."""
    return [
        *({"configMapRef": {"name": name}} for name in entry["config"]),
        *({"secretRef": {"name": name}} for name in entry["secrets"]),
    ]
