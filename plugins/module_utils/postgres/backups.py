# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The backups on a volume: read from the host, chosen by name, time or proof, checked cheaply or in full."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Optional

from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError, Refused
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres import names

CHUNK = 1 << 20


@dataclass(frozen=True)
class Backup:
    """One finished backup. verified_at: when a trial restore proved it, or None. manifest: as backup.sh wrote it."""

    name: str
    database: str
    path: str
    manifest: dict[str, Any]
    verified_at: Optional[str] = None
    unproven: Optional[str] = None

    def as_dict(self) -> dict[str, Any]:
        """The short form that results show."""
        m = self.manifest
        return {
            "name": self.name,
            "database": self.database,
            "path": self.path,
            "reason": m.get("reason"),
            "finished": m.get("finished"),
            "seconds": m.get("seconds"),
            "rows": m.get("rows"),
            "tables": m.get("tables_count"),
            "dump_bytes": m.get("dump_bytes"),
            "database_bytes": m.get("database_bytes"),
            "server_version": (m.get("database_info") or {}).get("server_version"),
            "verified_at": self.verified_at,
            "unproven": self.unproven,
        }


def read(volume: str, database: str) -> tuple[list[Backup], list[dict[str, str]]]:
    """(backups newest first, [{"name", "why"}] of directories that are none)."""
    home = Path(volume) / names.directory(database)
    found: list[Backup] = []
    broken: list[dict[str, str]] = []
    if not home.is_dir():
        return found, broken
    for path in sorted(home.iterdir(), key=lambda entry: entry.name, reverse=True):
        if path.name.startswith(".") or not path.is_dir():
            continue
        try:
            manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8", errors="replace"))
            names.moment(path.name)
            if manifest["format"] != 1:
                raise ValueError(f"format {manifest['format']} is newer than this collection")
        except (OSError, ValueError, KeyError, TypeError, HoldfastError) as failure:
            broken.append({"name": path.name, "why": f"no usable manifest: {failure}"})
            continue
        verified, unproven = _mark(path / "VERIFIED.json"), _mark(path / "UNPROVEN.json")
        found.append(
            Backup(
                path.name,
                str(manifest.get("database")),
                str(path),
                manifest,
                verified.get("at") if verified else None,
                str(unproven.get("why")) if unproven else None,
            )
        )
    return found, broken


def _mark(path: Path) -> Optional[dict[str, Any]]:
    try:
        loaded = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return loaded if isinstance(loaded, dict) else None


def regular(backups: Sequence[Backup]) -> list[Backup]:
    """Those of a schedule or of a person. Safety backups hold what a restore replaced, which may be the very damage."""
    return [backup for backup in backups if backup.manifest.get("reason") != "safety"]


VERIFIED = ("latest verified", "verified")


def any_newest(wanted: str) -> bool:
    """Whether a wish names no backup, but asks for whichever is the newest."""
    return wanted in ("latest", *VERIFIED)


def choose(backups: Sequence[Backup], wanted: str) -> Backup:
    """A backup by wish: "latest", "latest verified", a name, or a time (the newest one not after it).

    A safety backup is chosen by name or time only.
    """
    if not backups:
        raise Refused("there is no backup of this database", fix="run playbook backup, or check 'database'")
    if wanted == "latest":
        return (regular(backups) or backups)[0]
    if wanted in VERIFIED:
        proven = [backup for backup in regular(backups) if backup.verified_at]
        if not proven:
            raise Refused(
                "no backup of this database has been verified",
                fix="run pg_backup_verify first, or choose 'latest' knowingly",
            )
        return proven[0]
    by_name = {backup.name: backup for backup in backups}
    if wanted in by_name:
        return by_name[wanted]
    if names.STAMP.match(wanted):
        raise Refused("no backup has this name", field="backup", value=wanted, fix=_offer(backups))
    at = names.parse_time(wanted)
    before = [backup for backup in backups if names.moment(backup.name) <= at]
    if not before:
        raise Refused("no backup is that old", field="at", value=wanted, fix=_offer(backups))
    return before[0]


def _offer(backups: Sequence[Backup]) -> str:
    return "choose one of " + ", ".join(backup.name for backup in backups[:5])


def age_hours(backup: Optional[Backup], now: datetime) -> Optional[float]:
    """How old a backup is, in hours."""
    if backup is None:
        return None
    return round((now - names.moment(backup.name)).total_seconds() / 3600, 2)


def check(backup: Backup, full: bool) -> list[str]:
    """What is wrong with a backup's files; nothing when they are as the manifest says. full: also compare every sha256."""
    problems: list[str] = []
    root = Path(backup.path)
    listed = backup.manifest.get("files") or []
    if not listed:
        problems.append("the manifest lists no files")
    if not (root / "dump" / "toc.dat").is_file():
        problems.append("dump/toc.dat is missing: not a directory-format dump")
    for entry in listed:
        path = root / str(entry["path"])
        if not path.is_file():
            problems.append(f"{entry['path']} is missing")
        elif path.stat().st_size != entry["bytes"]:
            problems.append(f"{entry['path']} has {path.stat().st_size} bytes instead of {entry['bytes']}")
        elif full and sha256(path) != entry["sha256"]:
            problems.append(f"{entry['path']} was changed since the backup")
    sums = root / "SHA256SUMS"
    if not sums.is_file():
        problems.append("SHA256SUMS is missing")
    elif full and f"{sha256(root / 'manifest.json')}  manifest.json" not in sums.read_text(encoding="utf-8"):
        problems.append("manifest.json was changed since the backup")
    return problems


def sha256(path: Path) -> str:
    """The sha256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while True:
            chunk = stream.read(CHUNK)
            if not chunk:
                return digest.hexdigest()
            digest.update(chunk)
