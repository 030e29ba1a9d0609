"""Look at k3s's SQLite datastore without touching it: the check runs on a copy, locks are read from /proc."""

from __future__ import annotations

import re
import shutil
import sqlite3
import tempfile
import time
from pathlib import Path
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.node import process

IN_MEMORY_BYTES = 256 << 20
# SQLite was kept from its work: that says nothing about the file
HINDERED = re.compile(r"interrupted|locked|busy|full|unable to open|out of memory", re.I)


def files(database: str) -> list[str]:
    """The database and those of its companions that exist."""
    return [path for path in (database, f"{database}-wal", f"{database}-shm") if Path(path).exists()]


def sizes(database: str) -> dict[str, int]:
    """Bytes of the database (`size`) and of its write-ahead log (`wal_size`)."""

    def size(path: str) -> int:
        try:
            return Path(path).stat().st_size
        except OSError:
            return 0

    return {"size": size(database), "wal_size": size(f"{database}-wal")}


def _check(connection: sqlite3.Connection, deadline: float) -> str:
    """The first complaint of `PRAGMA quick_check`, or `ok`."""
    connection.set_progress_handler(lambda: 1 if time.monotonic() > deadline else 0, 20000)
    rows = [row[0] for row in connection.execute("PRAGMA quick_check(5)")]
    if rows == ["ok"]:
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")}
        return "ok" if "kine" in tables else "table kine is missing"
    return "; ".join(rows)[:500]


def _verdict(error: sqlite3.Error) -> str:
    """An error as a complaint about the file, or as `not checked: why`."""
    text = str(error)
    return f"not checked: {text}" if HINDERED.search(text) else text


def check_file(path: str, seconds: float = 60) -> str:
    """`quick_check` of a database nobody else uses (a copy): `ok`, the complaint, or `not checked: why`."""
    try:
        connection = sqlite3.connect(f"file:{path}?mode=rw", uri=True, timeout=1)
        try:
            return _check(connection, time.monotonic() + seconds)
        finally:
            connection.close()
    except sqlite3.Error as error:
        return _verdict(error)


def _copy(path: str, target: str, deadline: float) -> None:
    """Copy a file; TimeoutError once the deadline has passed."""
    with Path(path).open("rb") as source, Path(target).open("wb") as copy:
        while True:
            block = source.read(4 << 20)
            if not block:
                return
            if time.monotonic() > deadline:
                raise TimeoutError("the copy took longer than its deadline")
            copy.write(block)


def _copy_online(database: str, target: sqlite3.Connection, deadline: float) -> None:
    """Copy through the backup API from one snapshot; the source is opened read-only."""
    source = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=2)
    try:
        source.execute("BEGIN")
        source.execute("SELECT count(*) FROM sqlite_master").fetchone()

        def progress(_status: int, _remaining: int, _total: int) -> None:
            if time.monotonic() > deadline:
                raise TimeoutError("the copy took longer than its deadline")

        source.backup(target, pages=2048, progress=progress, sleep=0)
    finally:
        source.close()


def quick_check(database: str, *, running: bool, seconds: float = 60, scratch: str | None = None) -> str:
    """Check a copy of the datastore: `ok`, or what is wrong with it, or `not checked: why`.

    running: whether a server has it open; then the copy goes through SQLite, otherwise the files are copied.
    """
    deadline = time.monotonic() + seconds
    total = sum(Path(path).stat().st_size for path in files(database))
    try:
        if running and total < IN_MEMORY_BYTES:
            memory = sqlite3.connect(":memory:")
            try:
                _copy_online(database, memory, deadline)
                return _check(memory, deadline)
            finally:
                memory.close()
        with tempfile.TemporaryDirectory(prefix="holdfast-check-", dir=scratch) as folder:
            if shutil.disk_usage(folder).free < 2 * total:
                return "not checked: no room for a copy"
            copy = str(Path(folder, "state.db"))
            if running:
                disk = sqlite3.connect(copy)
                try:
                    _copy_online(database, disk, deadline)
                finally:
                    disk.close()
            else:
                for path in files(database):
                    if not path.endswith("-shm"):
                        _copy(path, str(Path(folder, Path(path).name)), deadline)
            return check_file(copy, max(1.0, deadline - time.monotonic()))
    except TimeoutError as error:
        return f"not checked: {error}"
    except sqlite3.Error as error:
        return _verdict(error)
    except OSError as error:
        return f"not checked: {error.strerror}" if error.errno != 5 else "disk I/O error"


def check_without_wal(database: str, seconds: float = 30, scratch: str | None = None) -> str:
    """`quick_check` of a copy of the main file alone: tells a torn write-ahead log from a damaged database."""
    deadline = time.monotonic() + seconds
    try:
        with tempfile.TemporaryDirectory(prefix="holdfast-check-", dir=scratch) as folder:
            copy = str(Path(folder, "state.db"))
            _copy(database, copy, deadline)
            return check_file(copy, max(1.0, deadline - time.monotonic()))
    except TimeoutError as error:
        return f"not checked: {error}"
    except OSError as error:
        return f"not checked: {error.strerror}"


def foreign_writers(database: str, own: set[int], pause: float = 0.4) -> list[dict[str, Any]]:
    """Processes outside `own` that hold a write lock on the database at two looks, `pause` seconds apart."""

    def look() -> dict[int, dict[str, Any]]:
        found: dict[int, dict[str, Any]] = {}
        for path in (database, f"{database}-shm"):
            for holder in process.lock_holders(path):
                found[holder["pid"]] = holder
        return {pid: holder for pid, holder in found.items() if pid not in own}

    first = look()
    if not first:
        return []
    time.sleep(pause)
    second = look()
    return [holder for pid, holder in second.items() if pid in first]


def bootstrap_keys(database: str, seconds: float = 5) -> list[str]:
    """Names of the bootstrap records: `/bootstrap/` and a hash that tells which token opens them."""
    try:
        source = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=1)
        try:
            deadline = time.monotonic() + seconds
            source.set_progress_handler(lambda: 1 if time.monotonic() > deadline else 0, 20000)
            query = "SELECT DISTINCT name FROM kine WHERE name LIKE '/bootstrap/%'"
            return [row[0] for row in source.execute(query)]
        finally:
            source.close()
    except sqlite3.Error:
        return []


def probe(database: str, *, own: set[int], running: bool, config: dict[str, Any], scratch: str,
          seconds: float = 60) -> dict[str, Any]:  # fmt: skip
    """Everything about the datastore that needs no API.

    seconds: for both checks together; it must stay below the deadline of the whole look.
    """
    endpoint = str(config.get("datastore-endpoint") or "")
    if endpoint and not endpoint.startswith("sqlite"):
        return {"kind": "external"}
    if Path(Path(database).parent, "etcd").is_dir():
        return {"kind": "etcd"}
    if not Path(database).exists():
        return {"kind": "absent"}
    began = time.monotonic()
    Path(scratch).mkdir(mode=0o700, parents=True, exist_ok=True)
    writers = foreign_writers(database, own)
    verdict = quick_check(database, running=running, seconds=seconds, scratch=scratch)
    fact: dict[str, Any] = {
        "kind": "sqlite",
        "path": database,
        **sizes(database),
        "quick_check": verdict,
        "seconds": round(time.monotonic() - began, 2),
        "foreign_writers": writers,
        "bootstrap": bootstrap_keys(database),
    }
    if verdict != "ok" and not verdict.startswith("not checked") and fact["wal_size"]:
        left = max(1.0, began + seconds - time.monotonic())
        fact["quick_check_without_wal"] = check_without_wal(database, left, scratch)
    return fact
