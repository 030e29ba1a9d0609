# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How far a restore came, kept in a ConfigMap: a lost session or a killed module is picked up by the next run."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Optional

from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.client import Client
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres.manifests import ROLE_LABEL
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres.restore_plan import PHASES, Record


def name_of(backup: str, database: str) -> str:
    """One record per database; its name may hold anything, so it is hashed."""
    return f"{backup}-restore-{hashlib.sha256(database.encode('utf-8')).hexdigest()[:10]}"


def read(client: Client, namespace: str, backup: str, database: str) -> Optional[Record]:
    """The record of an unfinished restore, or None."""
    found = client.get(client.path_for("v1", "ConfigMap", namespace, name_of(backup, database)))
    data = (found or {}).get("data") or {}
    if data.get("phase") not in PHASES or data.get("phase") == "done":
        return None
    return Record(data["stamp"], data["backup"], data["phase"], json.loads(data.get("replicas") or "{}"))


def write(client: Client, namespace: str, backup: str, database: str, record: Record) -> None:
    """Keep the record."""
    obj: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": name_of(backup, database),
            "namespace": namespace,
            "labels": {ROLE_LABEL: backup, "app.kubernetes.io/managed-by": "holdfast"},
        },
        "data": {
            "database": database,
            "stamp": record.stamp,
            "backup": record.backup,
            "phase": record.phase,
            "replicas": json.dumps(record.replicas, sort_keys=True),
        },
    }
    client.apply(obj, force=True)
