"""The datastore's checks and its repair, on real SQLite files."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

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


def test_a_newer_log_makes_another_copy(database: Path, tmp_path: Path) -> None:
    """The same main file with other commits in its log is another datastore."""
    aside, now = str(tmp_path / "aside"), Clock().now()
    first = files.copy_aside(str(database), aside, now)
    Path(f"{database}-wal").write_bytes(b"")
    assert not files.copy_aside(str(database), aside, now)["new"], "an empty log holds nothing"
    Path(f"{database}-wal").write_bytes(b"commits")
    second = files.copy_aside(str(database), aside, now)
    assert second["new"] and second["copy"] != first["copy"]
    assert Path(second["copy"], "state.db-wal").read_bytes() == b"commits"
    assert not files.copy_aside(str(database), aside, now)["new"]


class Begun:
    """A swap that was killed right after it was written down."""

    def __init__(self, database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.database, self.marker, self.repaired = database, tmp_path / "swap.json", tmp_path / "repaired.db"
        self.log = Path(f"{database}-wal")
        self.log.write_bytes(b"stale log")
        self.repaired.write_bytes(database.read_bytes() + b"\0" * 4096)
        self.damaged, self.good = files.sha256(str(database)), files.sha256(str(self.repaired))
        with monkeypatch.context() as killed:
            killed.setattr(files, "complete", lambda _intent: sys.exit())
            with pytest.raises(SystemExit):
                root = str(tmp_path / "aside")
                files.swap(str(self.marker), str(database), str(self.repaired), root, Clock().now())
        self.old = Path(json.loads(self.marker.read_text())["old"])

    def finish(self, running: bool = False) -> bool:
        return files.finish_swap(str(self.marker), running)

    def given_up(self) -> str:
        """The reason in the note that was set aside."""
        (told,) = files.given_up(str(self.marker))
        assert not self.marker.exists() and Path(told["note"]).is_file()
        return told["why"]


@pytest.fixture
def begun(database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Begun:
    return Begun(database, tmp_path, monkeypatch)


@pytest.mark.parametrize("died_after", ["marker", "link", "log", "replace"])
def test_a_swap_survives_its_own_death(begun: Begun, died_after: str) -> None:
    """Killed at any point, the next run completes it: the repaired file is live, the old one is kept."""
    if died_after in ("link", "log", "replace"):
        os.link(begun.database, begun.old / "state.db")
    if died_after in ("log", "replace"):
        begun.log.rename(begun.old / "state.db-wal")
    if died_after == "replace":
        begun.repaired.replace(begun.database)
    assert begun.finish()
    assert files.sha256(str(begun.database)) == begun.good
    assert files.sha256(str(begun.old / "state.db")) == begun.damaged
    assert (begun.old / "state.db-wal").read_bytes() == b"stale log"
    assert not begun.log.exists() and not begun.marker.exists()
    assert not begun.finish()


def test_a_swap_is_not_completed_under_a_running_k3s(begun: Begun) -> None:
    assert not begun.finish(running=True)
    assert begun.given_up() == "k3s runs"
    assert files.sha256(str(begun.database)) == begun.damaged and begun.log.exists()


@pytest.mark.parametrize("where", ["file", "log", "new log"])
def test_what_was_written_since_a_swap_began_is_kept(begun: Begun, where: str) -> None:
    """Days later the half-done repair is worth less than what k3s wrote meanwhile."""
    if where == "new log":
        begun.log.rename(begun.old / "state.db-wal")
    written = begun.database if where == "file" else begun.log
    written.write_bytes(b"new commits")
    assert not begun.finish()
    assert begun.given_up() == "the datastore was written meanwhile"
    assert written.read_bytes() == b"new commits"
    assert not begun.finish()


def test_a_process_that_has_the_datastore_open_is_seen(database: Path) -> None:
    with database.open("rb"):
        assert files.in_use(str(database))
    assert files.SERVER.search("/usr/local/bin/k3s server") and not files.SERVER.search("k3s agent")


def test_a_swap_to_another_file_system(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """server/db is a volume of its own: everything else lies beyond its border."""
    real_link, real_rename = os.link, os.rename

    def border(real: Any) -> Any:
        def cross(source: str, target: str) -> None:
            if Path(source).parent != Path(target).parent:
                raise OSError(18, "Invalid cross-device link")
            real(source, target)

        return cross

    monkeypatch.setattr(os, "link", border(real_link))
    monkeypatch.setattr(os, "rename", border(real_rename))
    monkeypatch.setattr(
        files, "beside", lambda repaired, _database: shutil.copy(repaired, f"{database}.repaired")
    )
    Path(f"{database}-wal").write_bytes(b"stale log")
    repaired, marker, damaged = tmp_path / "repaired.db", tmp_path / "swap.json", files.sha256(str(database))
    repaired.write_bytes(b"good")
    old = files.swap(str(marker), str(database), str(repaired), str(tmp_path / "aside"), Clock().now())
    assert database.read_bytes() == b"good" and not marker.exists() and not Path(f"{database}-wal").exists()
    assert files.sha256(f"{old}/state.db") == damaged
    assert Path(old, "state.db-wal").read_bytes() == b"stale log"
    assert not list(database.parent.glob("*.repaired"))


@pytest.mark.skipif(not os.path.ismount("/dev/shm"), reason="needs a second file system")
def test_the_repaired_file_is_brought_to_the_databases_file_system(database: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        repaired = Path(folder, "repaired.db")
        repaired.write_bytes(b"good")
        ready = files.beside(str(repaired), str(database))
    assert ready == f"{database}.repaired" and Path(ready).read_bytes() == b"good"
    assert files.beside(ready, str(database)) == ready


def test_a_swap_that_cannot_be_completed_does_not_end_every_later_run(
    begun: Begun, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_intent: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "complete", full)
    assert not begun.finish()
    assert "No space left" in begun.given_up()


def test_move_aside_renames_and_forgives_absence(tmp_path: Path) -> None:
    source = tmp_path / "token"
    source.write_text("x")
    moved = files.move_aside(str(source), str(tmp_path / "aside"), "moved", Clock().now())
    assert moved and Path(moved).read_text() == "x" and not source.exists()
    assert files.move_aside(str(source), str(tmp_path / "aside"), "moved", Clock().now()) is None
