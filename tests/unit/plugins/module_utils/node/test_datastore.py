"""The datastore's checks and its repair, on real SQLite files."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import pytest

from ansible_collections.holdfast.k3s.plugins.module_utils.core.clock import Clock
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import Refused
from ansible_collections.holdfast.k3s.plugins.module_utils.node import datastore, files, salvage

SCHEMA = (
    "CREATE TABLE kine (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT, created INTEGER, deleted INTEGER, "
    "create_revision INTEGER, prev_revision INTEGER, lease INTEGER, value BLOB, old_value BLOB)"
)
ROWS = 2000


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A small kine database, checkpointed and closed."""
    path = tmp_path / "db" / "state.db"
    path.parent.mkdir()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute(SCHEMA)
    connection.execute("CREATE INDEX kine_name_index ON kine (name)")
    connection.executemany(
        "INSERT INTO kine (name, prev_revision, value) VALUES (?, ?, ?)",
        [(f"/registry/pods/default/p{n}", n, b"v" * 400) for n in range(ROWS)],
    )
    connection.commit()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return path


def spoil(path: Path, page: int) -> None:
    with path.open("r+b") as handle:
        handle.seek(page * 4096)
        handle.write(b"\xa5" * 4096)


@pytest.mark.parametrize("running", [True, False])
def test_a_good_database_passes_and_is_not_touched(database: Path, running: bool) -> None:
    before = files.sha256(str(database))
    assert datastore.quick_check(str(database), running=running, scratch=str(database.parent.parent)) == "ok"
    assert files.sha256(str(database)) == before
    assert sorted(p.name for p in database.parent.parent.iterdir()) == ["db"], "no scratch copy is left"


@pytest.mark.parametrize("running", [True, False])
@pytest.mark.parametrize("page", [0, 60])
def test_damage_is_seen(database: Path, running: bool, page: int) -> None:
    spoil(database, page)
    verdict = datastore.quick_check(str(database), running=running, scratch=str(database.parent.parent))
    assert verdict != "ok" and not verdict.startswith("not checked")


def test_a_lost_table_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    sqlite3.connect(path).execute("CREATE TABLE other (x)").connection.close()
    assert datastore.quick_check(str(path), running=False) == "table kine is missing"


def test_a_check_that_was_kept_from_its_work_says_nothing_about_the_file(database: Path) -> None:
    with sqlite3.connect(database) as more:  # enough that SQLite asks for the time at all
        more.executemany("INSERT INTO kine (name) VALUES (?)", [(f"n{n}",) for n in range(20000)])
    more.close()
    assert datastore.check_file(str(database), seconds=-1) == "not checked: interrupted"
    assert datastore.check_file(str(database.parent / "absent")).startswith("not checked: unable to open")
    assert datastore.check_without_wal(str(database), seconds=-1).startswith("not checked: the copy")
    holder = sqlite3.connect(database, isolation_level=None)
    holder.execute("PRAGMA locking_mode=EXCLUSIVE")
    holder.execute("BEGIN EXCLUSIVE")
    assert datastore.check_file(str(database)) == "not checked: database is locked"
    holder.close()


def test_both_checks_share_one_deadline(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[float] = []

    def first(*_arguments: object, **_options: object) -> str:
        time.sleep(0.5)
        return "page 7"

    def second(_database: str, seconds: float, _scratch: str) -> str:
        given.append(seconds)
        return "ok"

    monkeypatch.setattr(datastore, "quick_check", first)
    monkeypatch.setattr(datastore, "check_without_wal", second)
    Path(f"{database}-wal").write_bytes(b"log")
    datastore.probe(str(database), own=set(), running=False, config={}, scratch=str(tmp_path), seconds=5)
    assert 1 <= given[0] < 4.6


def test_salvage_keeps_every_readable_row(database: Path, tmp_path: Path) -> None:
    pages = database.read_bytes()
    spoil(
        database,
        next(
            n
            for n in range(1, len(pages) // 4096)
            if pages[n * 4096] == 0x0D and b"/registry/pods" in pages[n * 4096 : n * 4096 + 4096]
        ),
    )
    found = salvage.salvage(str(database), str(tmp_path / "out.db"))
    assert ROWS - 30 < found["rows"] < ROWS and found["rows"] + found["lost"] == ROWS
    assert datastore.check_file(str(tmp_path / "out.db")) == "ok"


def test_what_cannot_be_mended_is_refused(database: Path, tmp_path: Path) -> None:
    spoil(database, 0)
    with pytest.raises(Refused, match="backup"):
        salvage.salvage(str(database), str(tmp_path / "out.db"))


def test_a_copy_is_made_once(database: Path, tmp_path: Path) -> None:
    first = files.copy_aside(str(database), str(tmp_path / "aside"), Clock().now())
    again = files.copy_aside(str(database), str(tmp_path / "aside"), Clock().now())
    assert first["new"] and not again["new"] and first["copy"] == again["copy"]
    assert (Path(first["copy"]) / "state.db").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("died_after", ["marker", "log", "link", "replace"])
def test_a_swap_survives_its_own_death(database: Path, tmp_path: Path, died_after: str) -> None:
    """Killed at any point, the next run completes it: the repaired file is live, the old one is kept."""
    repaired, marker, old = tmp_path / "repaired.db", tmp_path / "swap.json", tmp_path / "old"
    repaired.write_bytes(database.read_bytes() + b"\0" * 4096)
    good = files.sha256(str(repaired))
    damaged = files.sha256(str(database))
    Path(f"{database}-wal").write_bytes(b"stale log")
    old.mkdir()
    intent = {"database": str(database), "repaired": str(repaired), "sha256": good, "old": str(old)}
    files.write_json(str(marker), intent)
    if died_after in ("log", "link", "replace"):
        Path(f"{database}-wal").rename(old / "state.db-wal")
    if died_after in ("link", "replace"):
        (old / "state.db").hardlink_to(database)
    if died_after == "replace":
        repaired.replace(database)
    assert files.finish_swap(str(marker))
    assert files.sha256(str(database)) == good
    assert files.sha256(str(old / "state.db")) == damaged
    assert not Path(f"{database}-wal").exists() and not marker.exists()
    assert not files.finish_swap(str(marker))


def test_move_aside_renames_and_forgives_absence(tmp_path: Path) -> None:
    source = tmp_path / "token"
    source.write_text("x")
    moved = files.move_aside(str(source), str(tmp_path / "aside"), "moved", Clock().now())
    assert moved and Path(moved).read_text() == "x" and not source.exists()
    assert files.move_aside(str(source), str(tmp_path / "aside"), "moved", Clock().now()) is None
