"""Move and copy damaged files aside: never delete, always provable, safe to be killed at any moment."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import PreconditionFailed
from ansible_collections.holdfast.k3s.plugins.module_utils.node.datastore import files as database_files


def sha256(path: str) -> str:
    """Hex digest of a file."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as handle:
        while True:
            block = handle.read(1 << 20)
            if not block:
                return digest.hexdigest()
            digest.update(block)


def sync(path: str) -> None:
    """fsync a file or a directory."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: str, value: Any) -> None:
    """Write a small private file in one step: it is there whole or not at all."""
    temporary = f"{path}.tmp"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as handle:
        json.dump(value, handle, indent=1, sort_keys=True)
        handle.flush()
        os.fsync(handle.fileno())
    Path(temporary).replace(path)
    sync(str(Path(path).parent))


def folder(root: str, what: str, now: datetime) -> str:
    """A new private folder for things set aside; the name sorts by time."""
    base = Path(root)
    base.mkdir(mode=0o700, parents=True, exist_ok=True)
    for number in range(1000):
        suffix = f"-{number}" if number else ""
        path = base / f"{now.strftime('%Y%m%dT%H%M%SZ')}-{what}{suffix}"
        try:
            path.mkdir(mode=0o700)
            return str(path)
        except FileExistsError:
            continue
    raise PreconditionFailed("no free name for a folder", field="aside", value=root)


def copies(root: str) -> dict[str, str]:
    """Copies made earlier: sha256 of the database → folder."""
    found = {}
    for manifest in sorted(Path(root).glob("*-datastore*/manifest.json")):
        try:
            listed = json.loads(manifest.read_text())
            found[listed["files"]["state.db"]] = str(manifest.parent)
        except (OSError, ValueError, KeyError):
            continue
    return found


def copy_aside(database: str, root: str, now: datetime) -> dict[str, Any]:
    """Copy the datastore's files with their sha256; a copy of the same bytes is not made twice."""
    earlier = copies(root).get(sha256(database))
    if earlier:
        return {"copy": earlier, "new": False}
    present = [path for path in database_files(database) if not path.endswith("-shm")]
    needed = sum(Path(path).stat().st_size for path in present)
    Path(root).mkdir(mode=0o700, parents=True, exist_ok=True)
    if shutil.disk_usage(root).free < needed + (64 << 20):
        raise PreconditionFailed(
            f"no room for a copy of the datastore ({needed >> 20} MiB)", field="aside", value=root,
            fix="free disk space, then run again; nothing was changed",
        )  # fmt: skip
    target = folder(root, "datastore", now)
    digests = {}
    for path in present:
        copied = str(Path(target, Path(path).name))
        shutil.copyfile(path, copied)
        Path(copied).chmod(0o600)
        sync(copied)
        digests[Path(path).name] = sha256(copied)
    write_json(f"{target}/manifest.json", {"of": database, "files": digests})
    return {"copy": target, "new": True, "sha256": digests}


def move_aside(path: str, root: str, what: str, now: datetime) -> str | None:
    """Rename a file or directory into a new folder under `root`; None when it is already gone."""
    if not os.path.lexists(path):
        return None
    target = str(Path(folder(root, what, now), Path(path).name))
    try:
        Path(path).rename(target)
    except OSError as error:
        if error.errno != 18:  # another file system: copy first, then remove
            raise
        shutil.copy2(path, target, follow_symlinks=False)
        sync(target)
        Path(path).unlink()
    sync(str(Path(target).parent))
    sync(str(Path(path).parent))
    return target


def swap(marker: str, database: str, repaired: str, root: str, now: datetime) -> str:
    """Put a repaired database in place of the damaged one.

    The intent is written down first; `finish_swap` completes it if this process dies half-way. Returns the folder
    with the old write-ahead log.
    """
    old = folder(root, "swapped", now)
    write_json(marker, {"database": database, "repaired": repaired, "sha256": sha256(repaired), "old": old})
    finish_swap(marker)
    return old


def finish_swap(marker: str) -> bool:
    """Complete a swap that was begun; False when none is pending."""
    try:
        intent = json.loads(Path(marker).read_text())
    except (OSError, ValueError):
        return False
    database, repaired = intent["database"], intent["repaired"]
    if Path(repaired).exists() and sha256(repaired) == intent["sha256"]:
        # the old log must be gone before the new file is there: it would be replayed onto it
        for path in (f"{database}-wal", f"{database}-shm"):
            if Path(path).exists():
                Path(path).rename(Path(intent["old"], Path(path).name))
        sync(str(Path(database).parent))
        kept = Path(intent["old"], "state.db")
        if not kept.exists():
            os.link(database, kept)
        Path(repaired).replace(database)
        sync(str(Path(database).parent))
    Path(marker).unlink()
    return True
