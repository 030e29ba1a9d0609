"""Mend a copy of a damaged datastore: read every row that can still be read into a new file."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import Refused
from ansible_collections.holdfast.k3s.plugins.module_utils.node.datastore import check_file

CHUNK = 256


def schema(source: sqlite3.Connection) -> tuple[list[str], list[str]]:
    """CREATE statements of the tables and of their indexes."""
    rows = source.execute("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    tables = [sql for kind, name, sql in rows if kind == "table" and not name.startswith("sqlite_")]
    return tables, [sql for kind, _name, sql in rows if kind == "index"]


def bounds(source: sqlite3.Connection) -> tuple[int, int]:
    """Lowest and highest row of the table; what an unreadable end hides is found by doubling."""
    low, high = 1, 1
    try:
        low = source.execute("SELECT id FROM kine ORDER BY id LIMIT 1").fetchone()[0]
    except (sqlite3.DatabaseError, TypeError):
        low = 1
    try:
        high = source.execute("SELECT id FROM kine ORDER BY id DESC LIMIT 1").fetchone()[0]
    except (sqlite3.DatabaseError, TypeError):
        high = _sequence(source)
    return low, high


def _sequence(source: sqlite3.Connection) -> int:
    try:
        row = source.execute("SELECT seq FROM sqlite_sequence WHERE name = 'kine'").fetchone()
        return int(row[0]) if row else 0
    except sqlite3.DatabaseError:
        return 0


def rows(source: sqlite3.Connection, low: int, high: int) -> tuple[list[tuple[Any, ...]], int]:
    """Rows of a range, halving it around what cannot be read; and how many ids could not."""
    query = "SELECT * FROM kine NOT INDEXED WHERE id BETWEEN ? AND ?"
    try:
        return source.execute(query, (low, high)).fetchall(), 0
    except sqlite3.DatabaseError:
        if low >= high:
            return [], 1
    middle = (low + high) // 2
    first, lost_first = rows(source, low, middle)
    second, lost_second = rows(source, middle + 1, high)
    return first + second, lost_first + lost_second


def salvage(copy: str, target: str) -> dict[str, Any]:
    """Write what can be read of `copy` to `target`; Refused when that does not pass quick_check.

    Returns rows saved and the ids that could not be read.
    """
    source = sqlite3.connect(copy)
    result = sqlite3.connect(target)
    saved = lost = 0
    try:
        source.text_factory = lambda raw: raw.decode("utf-8", "replace")
        tables, indexes = schema(source)
        for statement in tables:
            result.execute(statement)
        low, high = bounds(source)
        for start in range(low, high + 1, CHUNK):
            found, missing = rows(source, start, min(start + CHUNK - 1, high))
            lost += missing
            if found:
                marks = ",".join("?" * len(found[0]))
                result.executemany(f"INSERT OR IGNORE INTO kine VALUES ({marks})", found)
                saved += len(found)
        for statement in indexes:
            result.execute(statement)
        result.commit()
    except sqlite3.DatabaseError as error:
        raise Refused(
            f"the datastore cannot be mended: {error}", field="datastore", value=copy,
            fix="restore the last verified backup together with its token",
        ) from error  # fmt: skip
    finally:
        source.close()
        result.close()
    verdict = check_file(target)
    if verdict != "ok" or not saved:
        Path(target).unlink()
        raise Refused(
            f"the mended copy does not pass quick_check ({verdict}) or is empty", field="datastore", value=copy,
            fix="restore the last verified backup together with its token",
        )  # fmt: skip
    return {"rows": saved, "lost": lost}
