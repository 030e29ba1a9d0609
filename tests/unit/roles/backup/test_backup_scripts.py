"""backup.sh and verify.sh against a real server: what they promise, and what must never look like a backup."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from .server import NASTY, PASSWORD, ROOT, Server

FULL = os.environ.get("HOLDFAST_FULL") == "1"
BACKUP_STEPS = ["snapshot", "dump", "count", "check", "sync", "rename", "retention"]


def finished(pg: Server, directory: str) -> list[Path]:
    """What looks like a backup."""
    home = pg.home / "backups" / directory
    return (
        sorted(p for p in home.iterdir() if p.is_dir() and not p.name.startswith("."))
        if home.is_dir()
        else []
    )


def good(pg: Server, backup: Path) -> bool:
    """Whether every file of a backup is what its checksums say, by sha256sum itself."""
    done = subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=backup, capture_output=True)
    return done.returncode == 0 and (backup / "manifest.json").exists()


@pytest.mark.req("SN-48", "SN-53", "SC-90", "CAP-52", "CAP-53")
def test_every_database_is_backed_up_in_one_snapshot_and_proven(pg: Server) -> None:
    done = pg.script("backup.sh", DATABASES=f"shop\n{NASTY}\nlatin")
    assert done.code == 0, done.text
    backup = finished(pg, "shop")[-1]
    manifest = json.loads((backup / "manifest.json").read_text())
    assert manifest["rows"] == 20200 and manifest["tables_count"] == 2
    assert {(t["table"], t["rows"]) for t in manifest["tables"]} == {("artists", 200), ("tracks", 20000)}
    assert good(pg, backup) and [path.stat().st_mode & 0o077 for path in backup.rglob("*.gz")] == [0, 0]
    nasty = next(p for p in (pg.home / "backups").iterdir() if p.name.startswith("%C3%B6"))
    odd = json.loads((finished(pg, nasty.name)[-1] / "manifest.json").read_text())
    assert odd["database"] == NASTY and odd["large_objects"]["objects"] == 2
    assert odd["foreign_tables_without_data"] == [{"schema": "public", "table": "ft", "server": "far"}]
    # Its own server has nothing but postgres, whatever the job's other scripts connect to.
    proof = pg.script("verify.sh", DATABASES=f"shop\n{NASTY}\nlatin", MAINTENANCE_DB="shop")
    assert proof.code == 0, proof.text
    results = [event for event in proof.events if event.get("event") == "result"]
    assert [r["verified"] for r in results] == [True, True, True]
    assert all(r["damage_noticed"] == 3 and r["amcheck"] == "passed" for r in results)
    status = json.loads((pg.home / "backups/shop/status.json").read_text())
    assert status["verified"] == backup.name and status["database"] == "shop" and not status["unproven"]
    assert (
        'holdfast_backup_verified_timestamp_seconds{database="shop"}'
        in (pg.home / "backups/shop/metrics.prom").read_text()
    )


def test_no_secret_is_written_anywhere(pg: Server) -> None:
    done = pg.script("backup.sh", DATABASES="shop")
    assert PASSWORD not in done.text
    found = subprocess.run(
        ["grep", "-rlF", PASSWORD, str(pg.home / "backups")], capture_output=True, text=True
    )
    assert found.stdout == ""


@pytest.mark.parametrize("step", BACKUP_STEPS if FULL else ["dump", "sync", "rename"])
def test_a_killed_backup_leaves_nothing_that_looks_good(pg: Server, step: str) -> None:
    before = finished(pg, "shop")
    done = pg.script("backup.sh", kill_at=lambda event: event.get("step") == step, DATABASES="shop")
    assert done.killed
    for backup in set(finished(pg, "shop")) - set(before):
        assert good(pg, backup), f"killed at {step}: {backup.name} is not whole"
    again = pg.script("backup.sh", DATABASES="shop")
    assert again.code == 0, again.text
    assert list((pg.home / "backups/shop").glob(".tmp-*")) == []


def test_what_goes_wrong_on_the_way_leaves_no_backup(pg: Server) -> None:
    before = finished(pg, "shop")
    # Every file is cut at 8 KiB: what a full volume does to pg_dump.
    full = pg.script("backup.sh", under="trap '' XFSZ; ulimit -f 16", DATABASES="shop")
    assert full.code == 1 and full.error, full.text

    def end_sessions(event: dict[str, object]) -> None:
        if event.get("step") == "dump" and event.get("tables_done") == 0:
            pg.sql(
                "postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'shop'"
            )

    torn = pg.script("backup.sh", on_event=end_sessions, DATABASES="shop")
    assert torn.code == 1 and ("ended" in torn.error or "pg_dump failed" in torn.error), torn.text
    assert finished(pg, "shop") == before
    assert list((pg.home / "backups/shop").glob(".tmp-*")) == []


@pytest.mark.parametrize(
    ("env", "code", "says"),
    [
        ({"DATABASES": "nowhere"}, 65, "unknown database nowhere"),
        ({"DATABASES": "shop", "PGPASSWORD": "wrong"}, 65, "refused the password"),
        ({"DATABASES": "shop", "PGPORT": "1"}, 1, "cannot reach the server"),
        ({"DATABASES": ""}, 64, "names no database"),
    ],
    ids=["unknown database", "wrong password", "no server", "no database named"],
)
def test_bad_input_is_one_clear_error(pg: Server, env: dict[str, str], code: int, says: str) -> None:
    done = pg.script("backup.sh", **env)
    assert (done.code, says in done.error) == (code, True), done.text


def test_two_runs_at_once_are_kept_apart(pg: Server) -> None:
    (pg.home / "backups/shop").mkdir(exist_ok=True)
    (pg.home / "backups/shop").chmod(0o777)
    with (pg.home / "backups/shop/.lock").open("w") as lock:
        (pg.home / "backups/shop/.lock").chmod(0o666)
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = pg.script("backup.sh", DATABASES="shop")
    assert done.code == 75 and "another run" in done.error


def test_one_database_that_fails_does_not_stop_the_others(pg: Server) -> None:
    done = pg.script("backup.sh", DATABASES="nowhere\nshop\nnothing\n")
    results = [event["database"] for event in done.events if event.get("event") == "result"]
    assert (done.code, results) == (65, ["shop", "nothing"]), done.text
    assert "nowhere: unknown database nowhere" in done.error
    with (pg.home / "backups/shop/.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        busy = pg.script("backup.sh", DATABASES="nowhere\nshop")
    assert busy.code == 75 and "nowhere: " in busy.error and "shop: another run" in busy.error, busy.text

    proof = pg.script("verify.sh", DATABASES="nothing\nshop")
    assert proof.code == 65 and proof.error.startswith("nothing: UNPROVEN"), proof.text
    assert (proof.result["database"], proof.result["verified"]) == ("shop", True)
    only = finished(pg, "shop")[-1].rename(pg.home / "backups/shop/20160101T000000Z").name
    try:
        named = pg.script("verify.sh", DATABASES="nothing\nshop", BACKUP=only)
        assert named.code == 0 and named.result["backup"] == only, named.text
        missing = pg.script("verify.sh", DATABASES="nothing\nshop", BACKUP="20160101T000001Z")
        assert missing.code == 65 and "there is no backup 20160101T000001Z" in missing.error, missing.text
    finally:
        shutil.rmtree(pg.home / "backups/shop" / only)


def test_an_empty_database_is_not_proven(pg: Server) -> None:
    assert pg.script("backup.sh", DATABASES="nothing").code == 0
    proof = pg.script("verify.sh", DATABASES="nothing")
    assert proof.code == 65 and "no rows at all" in proof.error
    assert (finished(pg, "nothing")[-1] / "UNPROVEN.json").exists()
    status = json.loads((pg.home / "backups/nothing/status.json").read_text())
    assert status["unproven"] == "it has no rows at all" and status["verified_at"] == 0
    metrics = (pg.home / "backups/nothing/metrics.prom").read_text()
    assert 'holdfast_backup_unproven{database="nothing"} 1' in metrics


def test_equal_table_names_in_two_schemas_are_proven(pg: Server) -> None:
    pg.sql("postgres", "CREATE DATABASE twins")
    pg.sql(
        "twins",
        """CREATE SCHEMA a; CREATE SCHEMA b; CREATE TABLE a.t AS SELECT generate_series(1, 9) i; CREATE TABLE b.t AS SELECT 1 AS i;
CREATE TABLE a.u AS SELECT 2 AS i; CREATE TABLE b.u AS SELECT 3 AS i; CREATE VIEW b.v AS SELECT 1;""",
    )
    try:
        assert pg.script("backup.sh", DATABASES="twins").code == 0
        proof = pg.script("verify.sh", DATABASES="twins")
        assert proof.code == 0 and proof.result["damage_noticed"] == 3, proof.text
        uncounted = pg.script("backup.sh", DATABASES="twins", HASH_MAX_MB="0")
        assert uncounted.code == 0, uncounted.text
        proof = pg.script("verify.sh", DATABASES="twins")
        assert proof.code == 0 and proof.result["hashed"] is False, proof.text
    finally:
        pg.sql("postgres", "DROP DATABASE twins")


@pytest.mark.parametrize("damage", ["truncate", "tamper", "missing file", "foreign"])
def test_a_damaged_backup_is_unproven(pg: Server, damage: str) -> None:
    assert pg.script("backup.sh", DATABASES="shop").code == 0
    name = "29990101T000000Z"
    copy = pg.home / "backups/shop" / name
    shutil.copytree(finished(pg, "shop")[-1], copy)
    victim = max((copy / "dump").glob("*.gz"), key=lambda path: path.stat().st_size)
    if damage == "truncate":
        victim.write_bytes(victim.read_bytes()[:-1])
    elif damage == "tamper":
        text = (copy / "manifest.json").read_text()
        (copy / "manifest.json").write_text(text.replace('"rows":200,', '"rows":199,'))
    elif damage == "missing file":
        victim.unlink()
    else:
        (copy / "dump/toc.dat").write_bytes(b"PGDMP is not this")
    for path in [copy, *copy.rglob("*")]:
        shutil.chown(path, *(("postgres", "postgres") if pg.prefix else ()))
    try:
        proof = pg.script("verify.sh", DATABASES="shop", BACKUP=name)
        assert proof.code == 65 and "UNPROVEN" in proof.error, proof.text
        assert not (copy / "VERIFIED.json").exists()
    finally:
        shutil.rmtree(copy)


def kept(names: list[str], now: int, **settings: int) -> list[str]:
    """What retention leaves of these."""
    wanted = {"daily": 7, "weekly": 4, "monthly": 6, "recent": 24, "now": now, **settings}
    options = [part for key, value in wanted.items() for part in ("-v", f"{key}={value}")]
    script = str(ROOT / "roles/backup/files/retention.awk")
    done = subprocess.run(
        ["awk", *options, "-f", script], input="\n".join(names), capture_output=True, text=True, check=True
    )
    gone = done.stdout.split()
    return [line.split()[0] for line in names if line.split()[0] not in gone]


def test_retention_keeps_days_weeks_months_and_the_newest_proof() -> None:
    end = datetime(2026, 11, 25, 2, tzinfo=timezone.utc)
    names = [f"{end - timedelta(days=days):%Y%m%dT%H%M%SZ}" for days in range(400)]
    left = kept(names, int(end.timestamp()))
    days = [name[:8] for name in left]
    assert days[:7] == [f"{end - timedelta(days=d):%Y%m%d}" for d in range(7)]
    assert len(left) <= 7 + 4 + 6 and len({name[:6] for name in left}) == 6
    weeks = {datetime.strptime(day, "%Y%m%d").isocalendar()[:2] for day in days}
    assert len(weeks) >= 4
    old_proof = [names[0], *names[1:399], f"{names[399]} verified"]
    assert names[399] in kept(old_proof, int(end.timestamp()))
    hourly = [f"{end - timedelta(hours=hours):%Y%m%dT%H%M%SZ}" for hours in range(30)]
    assert len(kept(hourly, int(end.timestamp()))) == 25  # the last day's, and the newest of the day before
    assert kept(["20200101T000000Z"], int(end.timestamp()), daily=0, weekly=0, monthly=0, recent=0) == [
        "20200101T000000Z"
    ]


def test_a_safety_backup_stays_for_its_age_and_displaces_nothing() -> None:
    now = int(datetime(2026, 11, 25, 12, tzinfo=timezone.utc).timestamp())
    good = ["20261125T020000Z verified", "20261020T020000Z verified", "20260920T020000Z"]
    safety = [f"202611{day}T110000Z safety" for day in ("10", "19", "24", "25")]
    left = kept([*good, *safety], now, daily=3, weekly=1, monthly=3)
    assert left == [line.split()[0] for line in [*good, *safety[2:]]]
    only_one = ["20200101T000000Z verified", "20200201T000000Z safety"]
    assert kept(only_one, now, daily=0, weekly=0, monthly=0, recent=0) == ["20200101T000000Z"]
