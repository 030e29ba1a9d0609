"""backup, restore, restore_undo, recover_database and drill, on a host that runs its application."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from database import DATABASE, NAMESPACE, Database, run_module, run_play

from lab.host import LabHost
from tests.scenario import until

YES = {"backup_restore_confirmed": True}


def ran(name: str, *arguments: str, **extra: Any) -> str:
    """The output of a playbook that has to succeed."""
    done = run_play(name, *arguments, **extra)
    assert done.returncode == 0, f"{name} {extra}:\n{done.stdout[-6000:]}\n{done.stderr[-2000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def good(database: Database) -> Iterator[str]:
    """The content that a proven backup has; the first playbook makes that backup."""
    before = database.content()
    ran("backup")
    found = run_module("pg_backup_info")["databases"][0]
    assert found["healthy"] and found["backups"][0]["verified_at"], found
    yield before
    listed = database.sql(
        f"SELECT datname FROM pg_database WHERE datname LIKE '{DATABASE}\\_\\_%'", "postgres"
    )
    for name in listed.split():
        database.sql(f'DROP DATABASE "{name}" WITH (FORCE)', "postgres")


@pytest.fixture
def newest(good: str) -> str:
    """The name of the newest proven backup."""
    listed = run_module("pg_backup_info")["databases"][0]["backups"]
    return str(next(b["name"] for b in listed if b["verified_at"]))


@pytest.mark.req("SN-40", "SN-41", "SN-42", "BR-08", "CAP-54")
def test_a_restore_asks_first_obeys_a_time_and_can_be_taken_back(
    database: Database, good: str, newest: str
) -> None:
    database.sql("DELETE FROM track_edges WHERE ctid IN (SELECT ctid FROM track_edges LIMIT 500)")
    damaged = database.content()
    refused = run_play("restore", at="latest")
    assert refused.returncode != 0 and "Nothing was touched" in refused.stdout, refused.stdout[-3000:]
    assert database.content() == damaged
    shown = ran("restore", "--check", at="latest")
    assert "exchange names" in shown and database.content() == damaged
    at = f"{newest[:4]}-{newest[4:6]}-{newest[6:8]}T{newest[9:11]}:{newest[11:13]}:{newest[13:15]}"
    told = ran("restore", at=at, **YES)
    assert f"{DATABASE}__before_" in told and database.content() == good
    unasked = run_play("restore_undo")
    assert unasked.returncode != 0 and database.content() == good
    ran("restore_undo", **YES)
    assert database.content() == damaged
    ran("restore", at="latest verified", **YES)
    assert database.content() == good
    early = run_play("restore", at="2001-01-01T00:00", **YES)
    assert early.returncode != 0 and "no backup is that old" in early.stdout


def test_a_healthy_database_is_left_alone(database: Database, good: str) -> None:
    told = ran("recover_database")
    assert re.search(r"changed=0 ", told), told[-1500:]
    assert database.content() == good


@pytest.mark.req("SN-30", "SN-31")
def test_a_pod_that_is_down_comes_up_again(database: Database, good: str) -> None:
    database.kubectl("delete", "pod", "postgres-0", "--grace-period=0", "--force", "--wait=false")
    ran("recover_database", **YES)
    until("the database after its pod was deleted", database.ready)
    assert database.content() == good


def test_a_missing_database_is_restored(database: Database, good: str) -> None:
    database.sql(f"DROP DATABASE {DATABASE} WITH (FORCE)", "postgres")
    unasked = run_play("recover_database")
    assert unasked.returncode != 0 and "the server has no database" in unasked.stdout, unasked.stdout[-3000:]
    told = ran("recover_database", **YES)
    assert "remedy: restore" in told and database.content() == good


@pytest.mark.req("SN-31", "CAP-55")
def test_emptied_tables_are_restored(database: Database, good: str) -> None:
    database.sql("TRUNCATE tracks CASCADE")
    told = ran("recover_database", **YES)
    assert "empty, with rows in the backup" in told and database.content() == good


def test_a_damaged_table_is_restored_and_the_damaged_database_is_kept(
    database: Database, host: LabHost, good: str
) -> None:
    path = database.sql("SELECT pg_relation_filepath('tracks')")
    # Nothing may be left for autovacuum, which would write the good page over the bad one.
    database.sql("VACUUM tracks")
    database.sql("CHECKPOINT")
    claim = json.loads(database.kubectl("get", "pvc", "postgres-storage-postgres-0", "-o", "json"))
    volume = host.kubectl(["get", "pv", claim["spec"]["volumeName"]])["spec"]
    directory = (volume.get("hostPath") or volume.get("local"))["path"]
    found = host.sudo(["find", directory, "-path", f"*/{path}"]).out.split()
    assert len(found) == 1, found
    # A page header that cannot be, as a failing disk leaves it; a restart drops the good copy in memory.
    host.sudo(
        ["dd", "if=/dev/urandom", f"of={found[0]}", "bs=8192", "count=1", "conv=notrunc", "status=none"]
    )
    database.kubectl("delete", "pod", "postgres-0", "--wait=true")
    until("the database after its restart", database.ready)
    told = ran("recover_database", **YES)
    assert "cannot be counted" in told and database.content() == good
    kept = database.sql(f"SELECT count(*) FROM pg_database WHERE datname LIKE '{DATABASE}\\_\\_before\\_%'", "postgres")  # fmt: skip
    assert int(kept) > 0


def test_a_database_that_a_killed_restore_left_closed_is_opened(database: Database, good: str) -> None:
    fence = '{"holdfast":"fenced","since":1,"comment":null}'
    database.sql(
        f"ALTER DATABASE {DATABASE} ALLOW_CONNECTIONS false; COMMENT ON DATABASE {DATABASE} IS '{fence}'",
        "postgres",
    )
    told = ran("recover_database")  # opening destroys nothing, so nobody is asked
    assert "remedy: reopen" in told and database.content() == good


@pytest.mark.req("SN-56", "SC-91", "CAP-56")
def test_a_drill_writes_what_it_measured(database: Database, host: LabHost, good: str) -> None:
    ran("drill")
    ran("drill")
    report = json.loads(host.read(f"/var/lib/holdfast/drills/{NAMESPACE}.postgres-backup.json"))
    assert report["verified"] is True and report["problems"] == [] and report["rows"] >= 50000, report
    assert report["rto_seconds"] > 0 and 0 <= report["rpo_hours"] < 24, report
    trend = host.read("/var/lib/holdfast/drills/trend.jsonl").splitlines()
    assert len(trend) >= 2 and json.loads(trend[-1]) == report


def test_health_reads_what_the_backup_wrote(database: Database, good: str) -> None:
    health = run_module("host_health", namespace=None, areas=["backup"])
    entries = [entry for entry in health["facts"]["backups"] if entry["database"] == DATABASE]
    assert len(entries) == 1 and entries[0]["verified_at"] > 0 and not entries[0]["unproven"], health
    assert not [finding for finding in health["findings"] if finding["area"] == "backup"], health["findings"]


@pytest.mark.req("SN-41", "CAP-54")
def test_one_table_and_single_rows(database: Database, good: str) -> None:
    column = database.sql(
        "SELECT attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0] "
        "WHERE i.indisprimary AND i.indrelid = 'tracks'::regclass"
    )
    ids = database.sql(f"SELECT {column} FROM tracks ORDER BY 1 LIMIT 2").split()
    database.sql(f"SET session_replication_role = replica; DELETE FROM tracks WHERE {column} = '{ids[0]}'")
    damaged = database.content()
    looked = run_module("pg_restore_table", check=True, table="tracks")
    assert not looked["failed"] and [a["kind"] for a in looked["plan"]] == ["compare"], looked
    found = run_module("pg_restore_table", table="tracks")
    assert not found["failed"] and found["verified"] and found["missing"] == 1, found
    assert "ON CONFLICT" in found["sql"] and database.content() == damaged
    rows = [{column: value} for value in ids]
    done = run_module("pg_restore_table", table="tracks", rows=rows, apply=True)
    assert (
        not done["failed"] and done["verified"] and (done["rows"], done["missing"], done["left"]) == (2, 1, 0)
    ), done
    assert database.content() == good
    again = run_module("pg_restore_table", table="tracks", rows=rows, apply=True)
    assert again["verified"] and not again["changed"], again
    for schema in (found["schema"], done["schema"]):
        database.sql(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
    refused = run_module("pg_restore_table", table="nowhere")
    assert refused["failed"] and "has no table public.nowhere" in refused["msg"], refused
