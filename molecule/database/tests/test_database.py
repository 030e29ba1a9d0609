"""Backup, proof, restore under writers, undo, interruptions and secrets, on the converged host."""

from __future__ import annotations

import json
import subprocess
import threading
import time

import pytest
from database import DATABASE, NAMESPACE, Database, run_module

from lab.host import LabHost
from tests.scenario import until


@pytest.mark.req("SN-07", "SN-11", "SN-40", "SN-48", "BR-05", "CAP-52")
def test_the_cron_jobs_are_daily_and_locked_down(database: Database) -> None:
    crons = {
        c["metadata"]["name"]: c
        for c in json.loads(database.kubectl("get", "cronjobs", "-o", "json"))["items"]
    }
    backup = crons["postgres-backup"]["spec"]
    assert (backup["schedule"], backup["timeZone"], backup["concurrencyPolicy"]) == (
        "0 2 * * *",
        "Etc/UTC",
        "Forbid",
    )
    for name in ("postgres-backup", "postgres-backup-verify", "postgres-backup-cleanup"):
        pod = crons[name]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        assert pod["automountServiceAccountToken"] is False and pod["securityContext"]["runAsNonRoot"] is True
        assert pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True
        assert pod["containers"][0]["resources"]["limits"]["memory"]
    claim = json.loads(database.kubectl("get", "pvc", "postgres-backup-storage", "-o", "json"))
    assert claim["status"]["phase"] == "Bound"


@pytest.mark.req("SN-40", "SN-53", "CAP-53")
def test_the_newest_backup_is_proven_and_its_files_are_whole(database: Database) -> None:
    found = run_module("pg_backup_info", check="full")
    entry = found["databases"][0]
    assert found["healthy"] and entry["problems"] == [] and entry["verified_age_hours"] < 1
    assert entry["chosen"]["rows"] >= 50000
    assert any(job["succeeded"] for job in found["jobs"])


@pytest.mark.req("SN-31", "SN-41", "SN-42", "BR-08", "CAP-54", "CAP-55")
def test_a_restore_under_writers_and_its_undo(database: Database) -> None:
    good = database.content()
    database.sql(
        "CREATE TABLE writer (at timestamptz DEFAULT clock_timestamp()); DELETE FROM track_edges WHERE ctid IN (SELECT ctid FROM track_edges LIMIT 1000)"
    )
    preview = run_module("pg_restore", check=True)
    assert [action["kind"] for action in preview["plan"]] == ["prepare", "swap"] and preview[
        "verified"
    ] is None
    stop, times = threading.Event(), []

    def write() -> None:
        while not stop.is_set():
            try:
                database.sql(
                    "SELECT 1; CREATE TABLE IF NOT EXISTS writer (at timestamptz); INSERT INTO writer VALUES (now())"
                )
                times.append(time.monotonic())
            except Exception:
                time.sleep(0.1)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        result = run_module("pg_restore")
    finally:
        seen = len(times)
        until("a write after the restore", lambda: len(times) > seen)
        stop.set()
        writer.join()
    assert not result["failed"] and result["verified"], result
    assert result["kept"].startswith(f"{DATABASE}__before_")
    seconds = {action["kind"]: action["seconds"] for action in result["actions"]}
    assert result["downtime_ms"] < 1000 * seconds["prepare"], (
        f"closed for longer than it took to load: {result}"
    )
    gaps = [b - a for a, b in zip(times, times[1:])]
    assert len(gaps) > 3, f"writers did not get through while the restore ran: {len(gaps)} writes"
    print(f"closed for {result['downtime_ms']} ms, longest wait of a writer {max(gaps):.1f} s, {seconds}")
    database.sql("DROP TABLE writer")
    assert database.content() == good
    undone = run_module("pg_restore_undo")
    assert not undone["failed"] and undone["verified"], undone
    assert database.content() != good
    again = run_module("pg_restore", safety="skip")
    assert again["verified"], again
    assert database.content() == good


def test_what_does_not_fit_is_refused(database: Database) -> None:
    good = database.content()
    for options, says in (
        ({"backup": "20200101T000000Z"}, "no backup has this name"),
        ({"backup": "2001-01-01T00:00"}, "no backup is that old"),
        ({"backup": "yesterday"}, "not a time"),
        ({"database": "nowhere"}, "no backup of this database"),
        ({"stop": ["nothing"]}, "no such Deployment"),
    ):
        result = run_module("pg_restore", **options)
        assert result["failed"] and says in result["msg"], result
    assert database.content() == good


def test_an_emptied_database_is_recognised(database: Database) -> None:
    assert run_module("pg_database_info")["remedy"] == "none"
    database.sql("ALTER TABLE tracks RENAME TO tracks_gone")
    try:
        found = run_module("pg_database_info")
        assert (found["cause"], found["remedy"]) == ("tables missing", "restore"), found
    finally:
        database.sql("ALTER TABLE tracks_gone RENAME TO tracks")


def test_the_password_is_nowhere(database: Database, host: LabHost) -> None:
    secret = json.loads(database.kubectl("get", "secret", "postgres-credentials", "-o", "json"))
    password = subprocess.run(
        ["base64", "-d"], input=secret["data"]["POSTGRES_PASSWORD"].encode(), capture_output=True, check=True
    ).stdout.decode()
    seen = database.kubectl("get", "events", "-o", "json") + database.kubectl(
        "get", "jobs,configmaps,cronjobs", "-o", "json"
    )
    for pod in database.kubectl("get", "pods", "-l", "holdfast.dev/backup", "-o", "name").split():
        seen += database.kubectl("logs", pod, check=False)
    assert password not in seen
    host.put("/tmp/holdfast-canary", password.encode(), 0o600)
    volume = run_module("pg_backup_info")["volume"]
    paths = [volume, "/var/lib/holdfast", "/run/holdfast"]
    found = host.sudo(["grep", "-rlF", "-f", "/tmp/holdfast-canary", *paths], check=False, timeout=120)
    host.sudo(["rm", "-f", "/tmp/holdfast-canary"])
    assert found.out.strip() == "", f"the password of {NAMESPACE} is in {found.out}"
