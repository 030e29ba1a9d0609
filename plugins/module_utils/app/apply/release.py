# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the host is asked to apply, as it arrives from the controller."""

from __future__ import annotations

import base64
import secrets as random
import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

from ansible_collections.holdfast.k3s.plugins.module_utils.app.names import HASH_ANNOTATION, digest

Obj = dict[str, Any]
Key = tuple[str, str, str, str]
FIELD_MANAGER = "holdfast-app"
RECORD = "holdfast-release-"
_ALPHABET = string.ascii_letters + string.digits


def key_of(manifest: Mapping[str, Any]) -> Key:
    """(group, kind, namespace, name): the version of an API does not make another object."""
    meta = manifest["metadata"]
    group = manifest["apiVersion"].rpartition("/")[0]
    return group, manifest["kind"], meta.get("namespace", ""), meta["name"]


def title(key: Key) -> str:
    """The object as people write it."""
    return f"{key[1].lower()}/{key[3]}"


@dataclass(frozen=True)
class Item:
    """One object with its place in the order. timeout: seconds until it has to be ready."""

    phase: str
    order: int
    timeout: int
    manifest: Obj

    @property
    def key(self) -> Key:
        """Identity of the object."""
        return key_of(self.manifest)


@dataclass(frozen=True)
class Release:
    """name, namespace: of the release. items: in apply order. secret_data, secret_generate: see render.Rendered.

    expects: what has to be there before anything is applied (see preflight).
    """

    name: str
    namespace: str
    items: list[Item]
    secret_data: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    secret_generate: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    expects: Mapping[str, Any] = field(default_factory=dict)

    @property
    def record_name(self) -> str:
        """The ConfigMap in which the release remembers its objects."""
        return f"{RECORD}{self.name}"


def from_options(params: Mapping[str, Any]) -> Release:
    """The release in a module's options."""
    return Release(
        name=params["name"],
        namespace=params["namespace"],
        items=[
            Item(
                step["phase"], int(step.get("order") or 0), int(step.get("timeout") or 600), step["manifest"]
            )
            for step in params["objects"] or []
        ],
        secret_data=params.get("secret_data") or {},
        secret_generate=params.get("secret_generate") or {},
        expects=params.get("expects") or {},
    )


def desired(release: Release, item: Item, live: Optional[Obj]) -> Obj:
    """The object to apply: with its hash, and a Secret with its values.

    A generated value is made once and then taken from the cluster. The hash of a Secret leaves its values out,
    because it stands where everyone may read it; it holds the names of its keys, so that one that is gone from
    the values is taken away: the server removes what the field manager no longer names.
    """
    manifest = dict(item.manifest)
    meta = dict(manifest["metadata"])
    is_filled = manifest["kind"] == "Secret" and meta["name"] in release.secret_data
    seen = [item.manifest, _keys(release, meta["name"])] if is_filled else item.manifest
    notes = {**meta.get("annotations", {}), HASH_ANNOTATION: digest(seen)}
    manifest["metadata"] = {**meta, "annotations": notes}
    if is_filled:
        values = {key: encode(value) for key, value in release.secret_data[meta["name"]].items()}
        existing = (live or {}).get("data") or {}
        for key, length in (release.secret_generate.get(meta["name"]) or {}).items():
            values[key] = existing.get(key) or encode(
                "".join(random.choice(_ALPHABET) for _letter in range(length))
            )
        manifest["data"] = dict(sorted(values.items()))
    return manifest


def _keys(release: Release, secret: str) -> list[str]:
    """The names of every key that the release gives a Secret."""
    return sorted({*release.secret_data.get(secret, {}), *release.secret_generate.get(secret, {})})


def encode(value: str) -> str:
    """Base64, as Secret data is written."""
    return base64.b64encode(value.encode()).decode()
