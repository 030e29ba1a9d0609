# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a restore means to do, and why it must not start. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import Refused
from ansible_collections.holdfast.k3s.plugins.module_utils.core.plan import Action
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres import names
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres.backups import Backup
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres.live import Server

PHASES = ("preparing", "prepared", "stopped", "swapped", "done")
LOAD_KB_PER_SECOND = 100_000  # a cautious guess until a trial restore of this backup was timed
SHOWN_TABLES = 50


@dataclass
class Wish:
    """What the caller asks for. stop: Deployments to scale to zero around the swap."""

    database: str
    safety: str = "require"
    allow_empty: bool = False
    source_database: str = ""
    keep_hours: int = 72
    stop: tuple[str, ...] = ()


@dataclass
class Record:
    """How far an earlier run came; kept in a ConfigMap. replicas: of the Deployments that were stopped."""

    stamp: str
    backup: str
    phase: str = "preparing"
    replicas: dict[str, int] = field(default_factory=dict)

    def passed(self, phase: str) -> bool:
        """Whether this phase is behind us."""
        return PHASES.index(self.phase) >= PHASES.index(phase)


def preflight(
    wish: Wish, backup: Backup, problems: Sequence[str], server: Server, maintenance_db: str
) -> list[str]:
    """Refuse before anything is touched, or return notes for the operator."""
    notes: list[str] = []
    manifest = backup.manifest
    info = manifest.get("database_info") or {}
    if problems:
        raise Refused(
            f"its files are damaged: {'; '.join(list(problems)[:3])}",
            field="backup",
            value=backup.name,
            fix="choose another backup",
        )
    expected = wish.source_database or wish.database
    if backup.database != expected:
        raise Refused(
            f"it is a backup of {backup.database!r}, not of {expected!r}",
            field="backup",
            value=backup.name,
            fix="restore it into its own database, or set source_database if you mean it",
        )
    if int(manifest.get("rows") or 0) == 0 and not wish.allow_empty:
        raise Refused(
            "it has no rows at all, so restoring it would empty the database",
            field="backup",
            value=backup.name,
            fix="choose an older backup, or set allow_empty if you mean it",
        )
    if wish.database == maintenance_db:
        raise Refused(
            "it is the maintenance database and cannot be renamed", field="database", value=wish.database
        )
    if backup.unproven:
        notes.append(f"the last trial restore of this backup failed: {backup.unproven}")
    elif not backup.verified_at:
        notes.append(
            "this backup has not been proven by a trial restore; it is compared before the swap anyway"
        )
    if not server.reachable:
        notes.append(
            f"the server cannot be looked at from here ({server.why}); the job checks it before it starts"
        )
        return notes
    _fits(wish, backup, server, info, notes)
    return notes


def _fits(wish: Wish, backup: Backup, server: Server, info: Mapping[str, Any], notes: list[str]) -> None:
    was, now = int(info.get("server_version_num") or 0) // 10000, server.version_num // 10000
    if was > now:
        raise Refused(
            f"it was taken from PostgreSQL {was} and this server is {now}", field="backup", value=backup.name
        )
    if was < now:
        notes.append(f"the backup is of PostgreSQL {was}, the server is {now}")
    wanted = [entry["extension"] for entry in backup.manifest.get("extensions") or []]
    lacking = sorted(set(wanted) - set(server.extensions))
    if lacking:
        raise Refused(
            f"the server lacks the extensions {', '.join(lacking)}",
            fix="install them in the database's image",
        )
    held = server.holders.get(wish.database)
    if held:
        raise Refused(
            f"the live database is held by {', '.join(held)}, which would not survive the swap",
            fix="drop them first",
        )
    need = int(int(backup.manifest.get("database_bytes") or 0) / 1024 * 1.1)
    if server.free_kb is not None and need > server.free_kb:
        raise Refused(
            f"no space beside the live database: {need} KiB needed, {server.free_kb} KiB free on the data volume",
            fix="free space or enlarge the volume",
        )
    if wish.database not in server.databases:
        notes.append(f"there is no live database {wish.database!r}; nothing is set aside")
    foreign = backup.manifest.get("foreign_tables_without_data") or []
    if foreign:
        notes.append(
            f"{len(foreign)} foreign tables come back as definitions; their rows live on the foreign server"
        )


def plan(wish: Wish, backup: Backup, server: Server, record: Record) -> list[Action]:
    """The steps that are left, in order."""
    target = names.side(wish.database, "restore", record.stamp)
    kept = names.side(wish.database, "before", record.stamp)
    rows = backup.manifest.get("rows")
    actions = []
    if not record.passed("prepared"):
        why = f"load backup {backup.name} ({rows} rows) beside the live database and compare it with its manifest"
        if wish.safety == "require":
            why += ", after a safety backup of what is live now"
        actions.append(Action("prepare", target, why, "medium"))
    if not record.passed("stopped"):
        actions += [
            Action(
                "stop",
                f"Deployment/{name}",
                "it writes to the database; it comes back after the swap",
                "medium",
            )
            for name in wish.stop
        ]
    if not record.passed("swapped"):
        live = server.databases.get(wish.database) if server.reachable else None
        what = f"{live['sessions']} sessions end" if live else "sessions of the old one end"
        why = f"exchange names in one transaction; {what}, the old database stays as {kept} for {wish.keep_hours} h"
        actions.append(Action("swap", wish.database, why, "high", True))
    restart = sorted(set(wish.stop) | set(record.replicas))
    actions += [Action("start", f"Deployment/{name}", "back to its replicas", "low") for name in restart]
    return actions


def eta_seconds(backup: Backup, trial_seconds: Optional[int]) -> int:
    """How long loading will take; the writers notice only the swap."""
    if trial_seconds:
        return int(trial_seconds)
    return 5 + int(int(backup.manifest.get("database_bytes") or 0) / 1024 / LOAD_KB_PER_SECOND)


def biggest(manifest: Mapping[str, Any], limit: int = SHOWN_TABLES) -> list[dict[str, Any]]:
    """The tables with the most rows, to be counted again by other eyes."""
    tables = [table for table in manifest.get("tables") or [] if table.get("kind") == "r"]
    return sorted(tables, key=lambda table: -int(table["rows"] or 0))[:limit]


def judge(manifest: Mapping[str, Any], after: Mapping[str, Optional[int]], quiet: bool) -> list[str]:
    """What the independent count found wrong. quiet: nobody writes yet, so the numbers must be equal."""
    wrong = []
    for table in biggest(manifest):
        key, rows = f"{table['schema']}.{table['table']}", int(table["rows"] or 0)
        found = after.get(key)
        if found is None:
            wrong.append(f"table {key} is missing")
        elif (quiet and found != rows) or (rows > 0 and found == 0):
            wrong.append(f"table {key} has {found} rows instead of {rows}")
    return wrong
