# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Did the database keep its rows? Every table of the newest backup's manifest, counted again in the live database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Optional

from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.client import Client
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres import backups, live, pointer
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres import run as runs


def since_backup(
    client: Client, may_shrink: Sequence[str] = (), directory: str = pointer.DIRECTORY
) -> list[dict[str, Any]]:
    """One entry for each database that role backup looks after on this host; empty when it looks after none.

    may_shrink: patterns of DATABASE.SCHEMA.TABLE whose rows come and go. directory: where the pointers are.
    Entries: {"namespace", "database"} and one of {"backup" (its name), "tables" (how many were compared), "fewer" (see
    compare())}, {"unproven": there is no backup}, {"error": why they could not be counted}.
    """
    found = []
    for known in pointer.every(directory):
        where = {"namespace": str(known.get("namespace"))}
        for entry in known.get("databases") or []:
            about = {**where, "database": str(entry["database"])}
            try:
                found.append({**about, **_of(client, known, about["database"], may_shrink)})
            except HoldfastError as failure:
                found.append({**about, "error": str(failure)})
    return found


def compare(
    manifest: Mapping[str, Any], counts: Mapping[str, Optional[int]], may_shrink: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """[{"table", "rows" (None: the table is gone), "expected"}] for each table with fewer rows than the manifest has. Pure."""
    database, found = str(manifest.get("database")), []
    for table in _tables(manifest):
        key, expected = f"{table['schema']}.{table['table']}", int(table["rows"])
        rows = counts.get(key)
        if any(fnmatchcase(f"{database}.{key}", pattern) for pattern in may_shrink):
            continue
        if rows is None or rows < expected:
            found.append({"table": key, "rows": rows, "expected": expected})
    return found


def _tables(manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Those that hold rows of their own and were counted."""
    tables = manifest.get("tables") or []
    return [table for table in tables if table.get("kind") == "r" and table.get("rows") is not None]


def _of(client: Client, known: Mapping[str, Any], database: str, may_shrink: Sequence[str]) -> dict[str, Any]:
    namespace, name = str(known["namespace"]), str(known["name"])
    volume = known.get("volume")
    newest = backups.regular(backups.read(str(volume), database)[0])[:1] if volume else []
    if not newest:
        return {"unproven": "there is no backup yet"}
    env = runs.env_of(runs.observe(client, namespace, name, "prepare").cron)
    pod = live.pod_of(client, namespace, env.get("PGHOST", "postgres"))
    if not pod:
        raise HoldfastError("no ready pod of the database", fix="see why its pod is not Ready")
    tables = _tables(newest[0].manifest)
    psql = live.Psql(client, namespace, pod, env.get("PGUSER", "postgres"))
    fewer = compare(newest[0].manifest, live.counts(psql, database, tables), may_shrink)
    return {"backup": newest[0].name, "tables": len(tables), "fewer": fewer}
