# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From an operator's values to one normalized dictionary: overlays, mode, profile, short forms, defaults.

The result has the keys of the schema with every default filled in. Nothing here judges: that is the rules' part.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Optional

from ansible_collections.holdfast.k3s.plugins.module_utils.app import images
from ansible_collections.holdfast.k3s.plugins.module_utils.app.data import normalize as data_normalize
from ansible_collections.holdfast.k3s.plugins.module_utils.app.jobs import normalize_jobs
from ansible_collections.holdfast.k3s.plugins.module_utils.app.merge import deep_merge, merge_all
from ansible_collections.holdfast.k3s.plugins.module_utils.app.role_split import apply_role_splits
from ansible_collections.holdfast.k3s.plugins.module_utils.app.service import normalize_service
from ansible_collections.holdfast.k3s.plugins.module_utils.app.values_text import as_text

DEFAULT_WAIT_IMAGE = "rancher/mirrored-library-busybox:1.37.0"
WAIT_USER = 65534


def merged(values: Mapping[str, Any], overlays: Iterable[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """values with overlays and the chosen mode's fragment laid over them; overlays win over the mode."""
    overlays = list(overlays)
    first = merge_all(values, overlays)
    fragment = (first.get("modes") or {}).get(first.get("mode") or "")
    return merge_all(merge_all(values, [fragment]), overlays) if fragment else first


def prepare(values: Mapping[str, Any], overlays: Iterable[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """The normalized application. Expects values that the schema accepts."""
    raw = merged(values, overlays)
    app = dict(raw)
    app["namespace"] = str(raw.get("namespace") or raw["name"])
    app["profile"] = raw.get("profile", "single")
    app["image"] = {"moving_tags": ["latest"], "tag_policy": "any", **(raw.get("image") or {})}
    app["labels"] = dict(raw.get("labels") or {})
    app["config"] = {name: _config(entry) for name, entry in (raw.get("config") or {}).items()}
    app["secrets"] = {name: _secret(entry, raw) for name, entry in (raw.get("secrets") or {}).items()}
    app["claims"] = {name: _claim(entry) for name, entry in (raw.get("claims") or {}).items()}
    app["service_account"] = _service_account(raw)
    app["security"] = dict(raw.get("security") or {})
    app["network_policy"] = _network_policy(raw)
    app["waivers"] = list(raw.get("waivers") or [])
    app["wait"] = _wait(raw)
    app["data_services"], app["disabled"] = data_normalize.all_services(app, raw.get("data_services") or {})
    enabled = {}
    for name, service in (raw.get("services") or {}).items():
        if service is None or service.get("enabled", True):
            given = dict(service or {})
            if raw.get("log_level"):
                given["env"] = {"LOG_LEVEL": raw["log_level"], **(given.get("env") or {})}
            enabled[name] = normalize_service(app, name, given)
        else:
            app["disabled"].append(name)
    app["services"] = apply_role_splits(enabled, raw.get("role_splits") or [])
    app["jobs"], app["cronjobs"] = normalize_jobs(app, raw)
    app["ingress"] = _ingress(raw.get("ingress"))
    return app


def _config(entry: Mapping[str, Any]) -> dict[str, Any]:
    """`{KEY: value}` and `{data: {KEY: value}, note: text}` are the same ConfigMap; values become strings."""
    long_form = isinstance(entry.get("data"), Mapping)
    data = entry["data"] if long_form else entry
    return {
        "data": {str(key): as_text(value) for key, value in data.items()},
        "note": entry.get("note", "") if long_form else "",
    }


def _secret(entry: Mapping[str, Any], raw: Mapping[str, Any]) -> dict[str, Any]:
    secret = dict(entry)
    secret.setdefault("provider", raw.get("secret_provider", "static"))
    given = entry.get("values") or {}
    secret["values"] = {str(key): "" if value is None else as_text(value) for key, value in given.items()}
    secret["generate"] = dict(entry.get("generate") or {})
    secret["data"] = dict(entry.get("data") or {})
    provided = {*secret["values"], *secret["generate"], *secret["data"]}
    listed = set(entry.get("keys", []))
    # Without a list of its own, what is provided is the list.
    secret["extra"] = sorted(provided - listed) if entry.get("exact") and listed else []
    secret["keys"] = sorted(provided | listed)
    return secret


def _claim(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {"access": "ReadWriteOnce", "size": "1Gi", **entry}


def _service_account(raw: Mapping[str, Any]) -> dict[str, Any]:
    given = raw.get("service_account") or {}
    account = {"create": True, "automount": False, "rules": [], "annotations": {}, **given}
    account.setdefault("name", raw["name"])
    return account


def _network_policy(raw: Mapping[str, Any]) -> dict[str, Any]:
    defaults = {
        "enabled": False,
        "same_namespace": False,
        "egress": False,
        "ingress_namespace": "kube-system",
        "monitoring_namespace": "",
    }
    return {**defaults, **(raw.get("network_policy") or {})}


def _wait(raw: Mapping[str, Any]) -> dict[str, Any]:
    given = raw.get("wait") or {}
    wait = {"image": DEFAULT_WAIT_IMAGE, "user": WAIT_USER, "command": [], "timeout": 120, **given}
    policy = {**(raw.get("image") or {}), "pull_policy": None}
    wait["pull_policy"] = images.pull_policy(wait["image"], policy) if wait["image"] else None
    return wait


def _ingress(raw: Optional[Mapping[str, Any]]) -> dict[str, Any]:
    if not raw or not raw.get("enabled", True):
        return {"enabled": False}
    defaults = {"class": "traefik", "name": "", "hosts": [], "annotations": {}, "redirect_https": False}
    ingress: dict[str, Any] = deep_merge(defaults, raw)
    ingress["enabled"] = True
    ingress["tls"] = {"provider": "none", **(raw.get("tls") or {})}
    return ingress
