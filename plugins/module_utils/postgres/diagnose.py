# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is wrong with a database, measured against its newest proven backup."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.client import Client
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres import (
    backups,
    live,
    restore,
    restore_plan,
)
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres import run as runs


def judge(
    database: str,
    server: live.Server,
    manifest: Optional[Mapping[str, Any]],
    counts: Mapping[str, Optional[int]],
    claims: Mapping[str, str],
) -> dict[str, Any]:
    """{"cause", "why", "remedy": none | pods | reopen | restore | person}. Pure.

    counts: rows of the manifest's biggest tables now. claims: phase of each volume claim of the database's pods.
    """
    lost = sorted(name for name, phase in claims.items() if phase != "Bound")
    if lost:
        return _finding("volume", f"the volume claims {', '.join(lost)} are not bound", "person")
    if not server.reachable:
        return _finding("pod", f"the server does not answer: {server.why}", "pods")
    there = server.databases.get(database)
    if there is None:
        return _finding("database missing", f"the server has no database {database!r}", "restore")
    if not there["open"]:
        return _finding(
            "database closed", f"{database!r} allows no connections; a swap was cut short", "reopen"
        )
    if manifest is None:
        return _finding("no proof", "no backup has been verified, so nothing can be compared", "none")
    rows = {f"{t['schema']}.{t['table']}": int(t["rows"] or 0) for t in restore_plan.biggest(manifest)}
    missing = sorted(key for key in rows if counts.get(key) is None)
    if missing:
        return _finding("tables missing", f"gone since the backup: {', '.join(missing[:5])}", "restore")
    empty = sorted(key for key, wanted in rows.items() if wanted > 0 and counts.get(key) == 0)
    if empty:
        return _finding("tables empty", f"empty, with rows in the backup: {', '.join(empty[:5])}", "restore")
    return _finding("none", "the database answers and its tables have rows", "none")


def _finding(cause: str, why: str, remedy: str) -> dict[str, Any]:
    return {"cause": cause, "why": why, "remedy": remedy}


def unreadable(failure: HoldfastError) -> dict[str, Any]:
    """The finding when the rows could not be counted. Pure.

    Only what PostgreSQL itself says of its data is damage: a large database, a lock or a lost connection is none.
    """
    if isinstance(failure, live.SqlError) and failure.damage:
        return _finding("unreadable", f"its tables cannot be counted: {failure}", "restore")
    why = f"its tables could not be counted, which does not say that they are damaged: {failure}"
    return _finding("unknown", why, "person")


def diagnose(client: Client, namespace: str, name: str, database: str = "") -> dict[str, Any]:
    """Look at everything and judge. Changes nothing."""
    target = runs.observe(client, namespace, name, "prepare")
    wanted = database or restore.only(target.databases)
    env = runs.env_of(target.cron)
    host = env.get("PGHOST", "postgres")
    psql = live.Psql(client, namespace, live.pod_of(client, namespace, host), env.get("PGUSER", "postgres"))
    server = live.look(psql, env.get("MAINTENANCE_DB", "postgres"))
    found = backups.regular(backups.read(target.volume, wanted)[0]) if target.volume else []
    proven = next((backup for backup in found if backup.verified_at), None)
    counts: dict[str, Optional[int]] = {}
    present = server.databases.get(wanted)
    if proven and present and present["open"]:
        try:
            counts = live.counts(psql, wanted, restore_plan.biggest(proven.manifest))
        except HoldfastError as failure:
            return {**unreadable(failure), "database": wanted, "backup": proven.name, "rows": {}}
    manifest = proven.manifest if proven else None
    finding = judge(wanted, server, manifest, counts, _claims(client, namespace, host))
    return {**finding, "database": wanted, "backup": proven.name if proven else "", "rows": counts}


def _claims(client: Client, namespace: str, host: str) -> dict[str, str]:
    """Phase of each claim that the database's pods mount."""
    service = client.get(client.path_for("v1", "Service", namespace, host.split(".")[0]))
    selector = ((service or {}).get("spec") or {}).get("selector") or {}
    if not selector:
        return {}
    wanted = ",".join(f"{key}={value}" for key, value in sorted(selector.items()))
    phases = {}
    for pod in client.list(client.path_for("v1", "Pod", namespace), label_selector=wanted):
        for volume in pod["spec"].get("volumes") or []:
            name = (volume.get("persistentVolumeClaim") or {}).get("claimName")
            if name:
                claim = client.get(client.path_for("v1", "PersistentVolumeClaim", namespace, name)) or {}
                phases[name] = str((claim.get("status") or {}).get("phase") or "Missing")
    return phases
