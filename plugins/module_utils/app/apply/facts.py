# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the cluster holds of a release, read with one listing per kind."""

from __future__ import annotations

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Optional

from ansible_collections.holdfast.k3s.plugins.module_utils.app.apply.release import (
    RECORD,
    Key,
    Obj,
    Release,
    key_of,
)
from ansible_collections.holdfast.k3s.plugins.module_utils.app.names import MANAGED_BY, MANAGER, PART_OF
from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.client import Client
from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.errors import ApiError

WORKERS = 8


@dataclass
class Facts:
    """objects: live ones by key. record: keys that the release remembers, with their apiVersion. api: it answered.

    elsewhere: keys that other releases remember, with one release that does.
    unknown: (apiVersion, kind) that the server does not serve.
    """

    objects: dict[Key, Obj] = field(default_factory=dict)
    record: dict[Key, str] = field(default_factory=dict)
    record_object: Optional[Obj] = None
    elsewhere: dict[Key, str] = field(default_factory=dict)
    unknown: set[tuple[str, str]] = field(default_factory=set)
    api: bool = True


def observe(client: Client, release: Release) -> Facts:
    """Read the record and every kind that the release or the record names."""
    facts = Facts()
    path = client.path_for("v1", "ConfigMap", release.namespace, release.record_name)
    facts.record_object = client.get(path)
    facts.record = read_record(facts.record_object)
    facts.elsewhere = _elsewhere(client, release)
    kinds: dict[tuple[str, str, str], set[str]] = {}
    for item in release.items:
        meta = item.manifest["metadata"]
        where = (item.manifest["apiVersion"], item.manifest["kind"], meta.get("namespace", ""))
        kinds.setdefault(where, set()).add(meta["name"])
    for (_group, kind, namespace, name), version in facts.record.items():
        kinds.setdefault((version, kind, namespace), set()).add(name)
    with ThreadPoolExecutor(max_workers=WORKERS) as pool:
        for (version, kind, _namespace), found in zip(
            kinds, pool.map(lambda where: _read(client, where, kinds[where]), kinds)
        ):
            if found is None:
                facts.unknown.add((version, kind))
            else:
                facts.objects.update({key_of(obj): obj for obj in found})
    return facts


def _elsewhere(client: Client, release: Release) -> dict[Key, str]:
    """What the records of all other releases name, wherever they live: a namespace or an issuer may be shared."""
    found: dict[Key, str] = {}
    ours = (release.namespace, release.record_name)
    for obj in client.list(client.path_for("v1", "ConfigMap"), label_selector=f"{MANAGED_BY}={MANAGER}"):
        namespace, name = obj["metadata"]["namespace"], obj["metadata"]["name"]
        if name.startswith(RECORD) and (namespace, name) != ours:
            found.update(dict.fromkeys(read_record(obj), name[len(RECORD) :]))
    return found


def _read(client: Client, where: tuple[str, str, str], names: Iterable[str]) -> Optional[list[Obj]]:
    """The objects of one kind; None when the server does not know the kind."""
    version, kind, namespace = where
    try:
        if not client.serves(version, kind):
            return None
        if namespace:
            found = list(client.list(client.path_for(version, kind, namespace)))
            for obj in found:
                obj.update(apiVersion=version, kind=kind)
            return found
        single = [client.get(client.path_for(version, kind, None, name)) for name in names]
        return [obj for obj in single if obj is not None]
    except ApiError as error:
        if error.status == 404:
            return []
        raise


def read_record(record: Optional[Obj]) -> dict[Key, str]:
    """Key to apiVersion of every object that an earlier run applied."""
    if record is None:
        return {}
    entries = json.loads((record.get("data") or {}).get("objects", "[]"))
    return {
        (
            entry["apiVersion"].rpartition("/")[0],
            entry["kind"],
            entry.get("namespace", ""),
            entry["name"],
        ): entry["apiVersion"]
        for entry in entries
    }


def record_of(release: Release, keys: dict[Key, str]) -> dict[str, Any]:
    """The ConfigMap that remembers what the release consists of."""
    entries = [
        {"apiVersion": version, "kind": key[1], "name": key[3], **({"namespace": key[2]} if key[2] else {})}
        for key, version in sorted(keys.items())
    ]
    labels = {MANAGED_BY: MANAGER, PART_OF: release.name}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": release.record_name, "namespace": release.namespace, "labels": labels},
        "data": {"objects": json.dumps(entries, sort_keys=True)},
    }
