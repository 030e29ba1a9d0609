# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Names, labels and stable hashes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

MANAGER = "holdfast"
MANAGED_BY = "app.kubernetes.io/managed-by"
PART_OF = "app.kubernetes.io/part-of"
HASH_ANNOTATION = "holdfast.dev/applied-hash"
SECRET_ROUNDS = 20_000


def labels(app: Mapping[str, Any], name: str, component: str) -> dict[str, str]:
    """The labels of an object. Both spellings are there: short `app` and the recommended ones."""
    found = {
        **app.get("labels", {}),  # below our own: selectors and policies go by those
        "app": name,
        "app.kubernetes.io/name": name,
        "app.kubernetes.io/component": component,
        PART_OF: app.get("labels", {}).get(
            PART_OF, app["name"]
        ),  # the same for all, so the values may set it
        MANAGED_BY: MANAGER,
    }
    if app.get("version"):
        found["app.kubernetes.io/version"] = str(app["version"])
    return dict(sorted(found.items()))


def selector(app: Mapping[str, Any], name: str) -> dict[str, str]:
    """What a workload selects its pods by; immutable once deployed, so the inventory chooses (`selector_labels`)."""
    known = labels(app, name, _component(app, name))
    wanted = app.get("selector_labels") or ["app", PART_OF]
    return {label: known[label] for label in sorted(wanted)}


def _component(app: Mapping[str, Any], name: str) -> str:
    """The component of a workload's pods, which may be a selector label."""
    for section in ("services", "data_services"):
        if name in app[section]:
            return str(app[section][name].get("component", name))
    owner = app["data_services"].get(name.removesuffix("-replica"), {})
    return "sentinel" if name.endswith("-sentinel") else str(owner.get("component", name))


def canonical(value: Any) -> str:
    """One text per value, whatever the order of its keys."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)


def digest(value: Any, length: int = 16) -> str:
    """A short sha256 of a value."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:length]


def secret_digest(value: Any, salt: str) -> str:
    """A short, slow, salted hash: it stands in an annotation, so guessing a weak secret from it must be dear."""
    raw = hashlib.pbkdf2_hmac("sha256", canonical(value).encode(), salt.encode(), SECRET_ROUNDS)
    return raw.hex()[:16]


def short_name(name: str, limit: int = 63) -> str:
    """The name itself, or its beginning and a hash when it is longer than Kubernetes allows."""
    return name if len(name) <= limit else f"{name[: limit - 9].rstrip('-.')}-{digest(name, 8)}"
