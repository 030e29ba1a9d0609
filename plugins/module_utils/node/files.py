"""Move and copy damaged files aside: never delete, always provable, safe to be killed at any moment."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import syslog
import time
from datetime import datetime
from pathlib import Path
from typing import Any, Callable

from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import PreconditionFailed
from ansible_collections.holdfast.k3s.plugins.module_utils.node import process
from ansible_collections.holdfast.k3s.plugins.module_utils.node.datastore import files as database_files

OTHER_DEVICE = 18  # EXDEV
SERVER = re.compile(r"^(\S*/)?k3s(-server)? server( |$)")


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


def digests(database: str) -> dict[str, str]:
    """sha256 of the database and of its write-ahead log by file name; an empty log is none."""
    found = {Path(database).name: sha256(database)}
    log = Path(f"{database}-wal")
    with contextlib.suppress(FileNotFoundError):  # k3s folds its log in when it ends, also meanwhile
        if log.stat().st_size:
            found[log.name] = sha256(str(log))
    return found


def copies(root: str) -> list[tuple[dict[str, str], str]]:
    """Copies made earlier: the digests of their files, and the folder."""
    found = []
    for manifest in sorted(Path(root).glob("*-datastore*/manifest.json")):
        try:
            listed = json.loads(manifest.read_text())
            found.append((dict(listed["files"]), str(manifest.parent)))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return found


def copy_aside(database: str, root: str, now: datetime) -> dict[str, Any]:
    """Copy the datastore's files with their sha256; a copy of the same bytes is not made twice."""
    as_it_is = digests(database)
    for listed, earlier in copies(root):
        if listed == as_it_is:
            return {"copy": earlier, "new": False}
    present = [path for path in database_files(database) if Path(path).name in as_it_is]
    needed = sum(Path(path).stat().st_size for path in present)
    Path(root).mkdir(mode=0o700, parents=True, exist_ok=True)
    if shutil.disk_usage(root).free < needed + (64 << 20):
        raise PreconditionFailed(
            f"no room for a copy of the datastore ({needed >> 20} MiB)", field="aside", value=root,
            fix="free disk space, then run again; nothing was changed",
        )  # fmt: skip
    target = folder(root, "datastore", now)
    copied_digests = {}
    for path in present:
        copied = str(Path(target, Path(path).name))
        shutil.copyfile(path, copied)
        Path(copied).chmod(0o600)
        sync(copied)
        copied_digests[Path(path).name] = sha256(copied)
    write_json(f"{target}/manifest.json", {"of": database, "files": copied_digests})
    return {"copy": target, "new": True, "sha256": copied_digests}


def move_aside(path: str, root: str, what: str, now: datetime) -> str | None:
    """Rename a file or directory into a new folder under `root`; None when it is already gone."""
    if not os.path.lexists(path):
        return None
    target = str(Path(folder(root, what, now), Path(path).name))
    try:
        Path(path).rename(target)
    except OSError as error:
        if error.errno != OTHER_DEVICE:  # another file system: copy first, then remove
            raise
        shutil.copy2(path, target, follow_symlinks=False)
        sync(target)
        Path(path).unlink()
    sync(str(Path(target).parent))
    sync(str(Path(path).parent))
    return target


def copy_whole(source: str, target: str) -> None:
    """Copy a file: it is there whole or not at all."""
    shutil.copy2(source, f"{target}.tmp")
    sync(f"{target}.tmp")
    Path(f"{target}.tmp").replace(target)
    sync(str(Path(target).parent))


def across(rename: Callable[[str, str], None], source: str, target: str) -> bool:
    """Rename or link a file, or copy it to another file system; False when it was copied."""
    try:
        rename(source, target)
        return True
    except OSError as error:
        if error.errno != OTHER_DEVICE:
            raise
        copy_whole(source, target)
        return False


def beside(repaired: str, database: str) -> str:
    """The repaired file on the database's own file system: only there it can take its place in one step."""
    if Path(repaired).stat().st_dev == Path(database).stat().st_dev:
        return repaired
    copy_whole(repaired, f"{database}.repaired")
    return f"{database}.repaired"


def swap(marker: str, database: str, repaired: str, root: str, now: datetime) -> str:
    """Put a repaired database in place of the damaged one.

    The intent is written down first; `finish_swap` completes it if this process dies half-way. Returns the folder
    with the old write-ahead log.
    """
    old, ready = folder(root, "swapped", now), beside(repaired, database)
    intent = {"database": database, "repaired": ready, "sha256": sha256(ready), "old": old, "was": digests(database)}  # fmt: skip
    write_json(marker, intent)
    complete(intent)
    Path(marker).unlink()
    return old


def complete(intent: dict[str, Any]) -> None:
    """The steps of a swap; each of them may have been done already."""
    database, old = intent["database"], intent["old"]
    kept = Path(old, Path(database).name)
    if not kept.exists():
        across(os.link, database, str(kept))
    # the old log must be gone before the new file is there: it would be replayed onto it
    for path in (f"{database}-wal", f"{database}-shm"):
        if Path(path).exists() and not across(os.rename, path, str(Path(old, Path(path).name))):
            Path(path).unlink()
    sync(old)
    sync(str(Path(database).parent))
    Path(intent["repaired"]).replace(database)
    sync(str(Path(database).parent))


def in_use(database: str, proc: str = "/proc") -> bool:
    """Whether a process of this host has the datastore open, or is a k3s server that is about to open it."""
    names = {str(Path(path).resolve()) for path in (database, f"{database}-wal")}
    for one in process.table(proc):
        try:
            if not Path(proc, str(one["pid"]), "root").samefile("/"):
                continue  # a container: its paths, and its k3s, are its own
        except OSError:
            continue
        if SERVER.search(" ".join(one["argv"])) or names & set(process.open_files(one["pid"], proc)):
            return True
    return False


def objection(intent: dict[str, Any], running: bool | None) -> str:
    """Why an unfinished swap must not be completed any more; empty when it may be."""
    if in_use(intent["database"]) if running is None else running:
        return "k3s runs"
    if sha256(intent["repaired"]) != intent["sha256"]:
        return "the repaired file is not the one that was written down"
    was, present = intent.get("was"), digests(intent["database"])
    log = f"{Path(intent['database']).name}-wal"
    moved = Path(intent["old"], log).exists() and {k: v for k, v in (was or {}).items() if k != log}
    # whatever k3s wrote since, into the file or a log, would be lost
    return "" if present and present in (was, moved) else "the datastore was written meanwhile"


def give_up(marker: str, intent: dict[str, Any], why: str) -> None:
    """Set the note of a swap aside, with the reason, and tell the system's log."""
    aside = f"{marker}.{time.time_ns()}.aside"
    told = (
        f"holdfast: an unfinished repair of {intent['database']} is not completed: {why}; its note: {aside}"
    )
    syslog.syslog(syslog.LOG_WARNING, told)
    with contextlib.suppress(
        OSError
    ):  # on a full or read-only disk the recovery must still be able to say so
        write_json(aside, {**intent, "given_up": why})
        Path(marker).unlink()


def given_up(marker: str) -> list[dict[str, str]]:
    """Swaps that were set aside and that nobody has looked after yet: the note and why; it is told until the note is removed."""
    found = []
    for note in sorted(Path(marker).parent.glob(f"{Path(marker).name}.*.aside")):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            found.append({"note": str(note), "why": str(json.loads(note.read_text())["given_up"])})
    return found


def finish_swap(marker: str, running: bool | None = None) -> bool:
    """Complete a swap that was begun; False when none is pending, or when it must not be completed any more.

    running: whether k3s runs; looked up by default. Then, or when the datastore was written since, the note of the
    swap is set aside: what k3s wrote meanwhile is worth more than a repair of what was there before.
    """
    try:
        intent = json.loads(Path(marker).read_text())
    except (OSError, ValueError):
        return False
    if Path(intent["repaired"]).exists():
        try:
            why = objection(intent, running)
            if not why:
                complete(intent)
        except OSError as error:
            why = str(error)
        if why:
            give_up(marker, intent, why)
            return False
    Path(marker).unlink()
    return True
