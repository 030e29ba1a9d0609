"""offsite.sh with a real restic and a directory as the other place (molecule/database_recovery has an S3 server)."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .server import Run, Server

KEY = "CANARY-restic-key"


@pytest.fixture
def place(pg: Server) -> Iterator[Path]:
    """Another place, and a verified backup to carry there."""
    assert shutil.which("restic"), "no restic here: apt-get install restic (requirements/apt.txt)"
    home = pg.home / "place"
    home.mkdir()
    home.chmod(0o777)
    if not list((pg.home / "backups/shop").glob("*/VERIFIED.json")):
        assert pg.script("backup.sh", DATABASES="shop").code == 0
        assert pg.script("verify.sh", DATABASES="shop").code == 0
    yield home
    shutil.rmtree(home)
    (pg.home / "backups/shop/offsite.json").unlink(missing_ok=True)


def offsite(pg: Server, place: Path, **env: str) -> Run:
    given = {"RESTIC_REPOSITORY": str(place / "repository"), "RESTIC_PASSWORD": KEY, "HOST": "songnodes.b"}
    return pg.script("offsite.sh", **{**given, "DATABASES": "shop", "DATABASE": "shop", **env})


def restic(pg: Server, place: Path, *arguments: str) -> Any:
    env = pg.env(RESTIC_REPOSITORY=str(place / "repository"), RESTIC_PASSWORD=KEY)
    done = subprocess.run(
        [*pg.prefix, "restic", "--no-cache", *arguments, "--json"], env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.req("CAP-52", "CAP-56")
def test_a_backup_goes_away_once_and_comes_back_whole(pg: Server, place: Path) -> None:
    first = offsite(pg, place)
    assert first.code == 0 and first.result["already"] is False, first.text
    name = first.result["backup"]
    again = offsite(pg, place)
    assert again.code == 0 and again.result["already"] is True, again.text
    kept = restic(pg, place, "snapshots")
    assert len(kept) == 1 and kept[0]["tags"] == ["shop"]
    assert kept[0]["time"].startswith(f"{name[:4]}-{name[4:6]}-{name[6:8]}T{name[9:11]}:{name[11:13]}")
    status = json.loads((pg.home / "backups/shop/status.json").read_text())
    assert status["offsite"] == name and status["offsite_at"] == status["verified_at"] > 0
    assert KEY not in first.text and KEY not in str(sorted(place.rglob("*")))
    assert b"artists" not in b"".join(path.read_bytes() for path in place.rglob("*") if path.is_file())

    home = pg.home / "backups/shop"
    (home / name).rename(pg.home / "moved")
    try:
        back = offsite(pg, place, MODE="fetch")
        assert back.code == 0 and back.result["backup"] == name, back.text
        same = subprocess.run(["diff", "-r", str(home / name), str(pg.home / "moved")], capture_output=True)
        assert same.returncode == 0, same.stdout
        assert offsite(pg, place, MODE="fetch", BACKUP=name).result["already"] is True
        at = "20260401T000000Z"
        ready = pg.script("prepare.sh", DATABASE="shop", BACKUP=name, STAMP=at, SAFETY="skip")
        assert ready.code == 0, ready.text
        pg.sql("postgres", f'DROP DATABASE "shop__restore_{at}"')
    finally:
        shutil.rmtree(pg.home / "moved")
    assert not list(home.glob(".tmp-*"))


# What restic 0.17 and later put between paths and short_id (see "snapshots" in its scripting guide).
SUMMARY = {
    "backup_start": "2026-11-20T02:00:00Z",
    "files_new": 12,
    "data_added": 1,
    "total_bytes_processed": 9,
}


@pytest.fixture
def newer_restic(pg: Server) -> Iterator[str]:
    """A directory whose restic lists snapshots as 0.18 does, or none at all with LISTS_NOTHING."""
    bin_dir = pg.home / "bin"
    bin_dir.mkdir()
    wrapper = bin_dir / "restic"
    change = f's/,"id":/,"program_version":"restic 0.18.0","summary":{json.dumps(SUMMARY, separators=(",", ":"))}&/g'
    wrapper.write_text(
        f"""#!/bin/sh
case " $* " in
*' snapshots '*) [ -z "${{LISTS_NOTHING:-}}" ] || {{ echo '[]'; exit 0; }}
    /usr/bin/restic "$@" | sed -E '{change}' ;;
*) exec /usr/bin/restic "$@" ;;
esac
"""
    )
    wrapper.chmod(0o755)
    yield f"{bin_dir}:{pg.env()['PATH']}"
    shutil.rmtree(bin_dir)


def test_a_newer_restic_lists_snapshots_in_another_shape(pg: Server, place: Path, newer_restic: str) -> None:
    blind = offsite(pg, place, PATH=newer_restic, LISTS_NOTHING="1")
    assert blind.code == 1 and "does not show it" in blind.error, blind.text
    first = offsite(pg, place, PATH=newer_restic)
    assert first.code == 0 and first.result["already"] is True, first.text
    assert len(restic(pg, place, "snapshots")) == 1
    home, name = pg.home / "backups/shop", first.result["backup"]
    (home / name).rename(pg.home / "moved")
    try:
        back = offsite(pg, place, PATH=newer_restic, MODE="fetch", BACKUP=name)
        assert back.code == 0 and (home / name / "manifest.json").exists(), back.text
    finally:
        shutil.rmtree(home / name, ignore_errors=True)
        (pg.home / "moved").rename(home / name)


def locks(place: Path) -> list[Path]:
    return [path for path in (place / "repository/locks").iterdir() if "-tmp-" not in path.name]


def kill_holding_a_lock(pg: Server, place: Path, *arguments: str) -> None:
    """kill -9 of a restic that has just taken its lock."""
    env = pg.env(RESTIC_REPOSITORY=str(place / "repository"), RESTIC_PASSWORD=KEY)
    process = subprocess.Popen([*pg.prefix, "restic", "--no-cache", *arguments], env=env)
    try:
        end = time.monotonic() + 60
        while not locks(place) and time.monotonic() < end:
            time.sleep(0.01)
    finally:
        process.kill()
        process.wait()
    assert locks(place), "it was gone before it could be killed"


def test_a_lock_that_a_killed_run_left_stops_neither_sending_nor_fetching(pg: Server, place: Path) -> None:
    name = offsite(pg, place).result["backup"]
    kill_holding_a_lock(pg, place, "check")
    (lock,) = locks(place)
    home = pg.home / "backups/shop"
    (home / name).rename(pg.home / "moved")
    try:
        back = offsite(pg, place, MODE="fetch", BACKUP=name)
        assert back.code == 0 and back.result["backup"] == name, back.text
        assert lock.exists(), "fetching only reads"
    finally:
        shutil.rmtree(home / name, ignore_errors=True)
        (pg.home / "moved").rename(home / name)
    done = offsite(pg, place)
    assert done.code == 0 and done.result["already"] is True, done.text
    assert not locks(place)


@pytest.mark.parametrize("how", ["truncated", "no checksums"])
def test_a_fetch_replaces_a_damaged_backup_and_keeps_it_aside(pg: Server, place: Path, how: str) -> None:
    name = offsite(pg, place).result["backup"]
    there = pg.home / "backups/shop" / name
    victim = there / "SHA256SUMS" if how == "no checksums" else max((there / "dump").glob("*.gz"))
    victim.write_bytes(victim.read_bytes()[:-1] if how == "truncated" else b"")
    back = offsite(pg, place, MODE="fetch")
    assert back.code == 0 and "already" not in back.result and back.result["backup"] == name, back.text
    (aside,) = there.parent.glob(f".damaged-{name}-*")
    assert str(aside) in back.text and (aside / "manifest.json").exists()
    shutil.rmtree(aside)
    assert offsite(pg, place, MODE="fetch").result["already"] is True
    assert pg.script("verify.sh", DATABASES="shop", BACKUP=name).code == 0


def test_another_key_touches_nothing(pg: Server, place: Path) -> None:
    assert offsite(pg, place).code == 0
    before = sorted(str(path) for path in place.rglob("*"))
    other = offsite(pg, place, RESTIC_PASSWORD="other")
    assert other.code == 65 and "another key" in other.error, other.text
    assert sorted(str(path) for path in place.rglob("*") if "locks/" not in str(path)) == before


def test_only_what_is_proven_is_worth_carrying_away(pg: Server, place: Path) -> None:
    assert pg.script("backup.sh", DATABASES="nothing").code == 0
    done = offsite(pg, place, DATABASES="nothing")
    assert done.code == 65 and "no backup of nothing has been verified" in done.error, done.text


def test_what_is_proven_goes_away_whatever_else_fails(pg: Server, place: Path) -> None:
    done = offsite(pg, place, DATABASES="nothing\nshop")
    assert done.code == 65 and "no backup of nothing has been verified" in done.error, done.text
    assert done.result["database"] == "shop" and len(restic(pg, place, "snapshots")) == 1
    assert {"retention", "check"} <= {event.get("step") for event in done.events}


def test_a_damaged_repository_is_noticed(pg: Server, place: Path) -> None:
    assert offsite(pg, place).code == 0
    victim = max((place / "repository/data").rglob("*"), key=lambda p: p.stat().st_size if p.is_file() else 0)
    victim.chmod(0o600)
    victim.write_bytes(victim.read_bytes()[:-100] + b"x" * 100)
    done = offsite(pg, place, CHECK_SUBSET="100%")
    assert done.code == 1 and ("damaged" in done.error or "gives back" in done.error), done.text


@pytest.mark.parametrize(
    ("env", "code", "says"),
    [
        ({"RESTIC_REPOSITORY": ""}, 64, "are needed"),
        ({"MODE": "lend"}, 64, "send or fetch"),
        ({"RESTIC_REPOSITORY": "s3:http://127.0.0.1:9/nowhere"}, 1, "cannot reach the repository"),
        ({"MODE": "fetch", "BACKUP": "20200101T000000Z"}, 65, "has no backup 20200101T000000Z"),
    ],
)
def test_what_cannot_work_is_one_clear_error(
    pg: Server, place: Path, env: dict[str, str], code: int, says: str
) -> None:
    if env.get("MODE") == "fetch":
        assert offsite(pg, place).code == 0
    done = offsite(pg, place, AWS_ACCESS_KEY_ID="x", AWS_SECRET_ACCESS_KEY="y", **env)
    assert (done.code, says in done.error) == (code, True), done.text
