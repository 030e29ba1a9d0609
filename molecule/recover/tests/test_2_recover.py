"""The command for 3 a.m.: preview, recovery, report, second run, and an honest verdict when it cannot help."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from as_operator import SYSTEM, changed, report, run_module, run_play
from conftest import KUBECTL, Database, Space, container, deployment
from faults import as_one, score

from lab.host import LabHost
from tests.scenario import until

REBOOT = {"incident_settle": 60, "incident_wait": 300}
# A small patience where nothing is expected to heal alone; everything else as the inventory has it.
QUICK: dict[str, Any] = {"incident_settle": 3, "incident_wait": 60}
ACKNOWLEDGED = "/var/lib/holdfast-acknowledged"
CONFIG_FAULT = "/etc/rancher/k3s/config.yaml.d/zz-fault.yaml"


def test_preview_recovery_report_and_nothing_left(space: Space) -> None:
    space.seed("failed=10", "evicted=5")
    quick = {**QUICK, "incident_namespaces": [Space.name]}
    plan = run_play("recover", "--check", **quick)
    assert changed(plan.stdout) >= 1 and "would do 15 x delete_pod" in plan.stdout, plan.stdout[-4000:]
    assert "plan only, nothing was touched" in plan.stdout and len(space.pods()) == 15
    done = run_play("recover", **quick)
    assert changed(done.stdout) == 1 and "verdict: healthy" in done.stdout, done.stdout[-4000:]
    assert space.pods() == []
    told, page = report(space.host, done.stdout)
    entry = next(one for one in told["entries"] if one["phase"] == "1 pods")
    assert entry["state"] == "acted" and "15 x delete_pod" in entry["what"]
    assert "manifest.json" in space.host.sudo(["ls", told["evidence"][0]]).out
    assert page.count('<div class="bar"') == len(told["entries"]) >= 4, "the timeline is drawn"
    assert not re.search(r"<script|<link|src=|href=|url\(|@import", page), "the page needs nothing else"
    assert changed(run_play("recover", **quick).stdout) == 0


def test_what_cannot_be_healed_fails_with_a_clear_verdict(space: Space) -> None:
    # Never ready, so that no look falls into the moment between its start and its end.
    never = {"exec": {"command": ["false"]}}
    spec = {"containers": [container("echo 'could not connect to server: db'; exit 1", readinessProbe=never)]}
    space.apply(deployment("broken", spec))
    until(
        "it crashes",
        lambda: any(s["restartCount"] for p in space.pods() for s in p["status"]["containerStatuses"]),
    )
    done = run_play("recover_pods", incident_namespaces=[Space.name], incident_wait=3, incident_row_checks=[])
    assert done.returncode != 0 and f"{SYSTEM} is degraded" in done.stdout, done.stdout[-3000:]
    assert "cannot connect to something that it needs" in done.stdout or "exited with 1" in done.stdout


@pytest.fixture
def wrong_token(host: LabHost) -> Iterator[LabHost]:
    """k3s that refuses to start because of its token; as before afterwards."""
    host.put(CONFIG_FAULT, b"token: not-the-right-one\n", 0o600)
    host.sudo(["systemctl", "restart", "--no-block", "k3s"])
    journal = ["journalctl", "-u", "k3s", "-b", "-n", "50", "-o", "cat", "--no-pager"]
    until("the refusal", lambda: "encrypted with different token" in host.sudo(journal).out)
    yield host
    host.sudo(["rm", "--force", CONFIG_FAULT])
    host.sudo(["systemctl", "restart", "--no-block", "k3s"])
    until(
        "the API answers", lambda: host.sudo([*KUBECTL, "get", "--raw", "/readyz"], check=False).out == "ok"
    )


def test_a_cause_for_a_person_ends_it_at_once_and_everything_is_said(wrong_token: LabHost) -> None:
    done = run_play("recover", **REBOOT)
    assert done.returncode != 0 and f"{SYSTEM} is down" in done.stdout, done.stdout[-4000:]
    told, _page = report(wrong_token, done.stdout)
    phases = [one["phase"] for one in told["entries"]]
    assert phases == ["1 k3s", "1 registry", "1 look"], "one look, nothing waited for, nothing deleted"
    first = told["reasons"][0]
    assert first.startswith("TOKEN-MISMATCH") and "put the original token back" in first, told["reasons"]
    assert len(told["reasons"]) > 1, "what else is seen is told too"
    assert "not-the-right-one" not in done.stdout


@pytest.fixture
def counted(database: Database) -> Iterator[Database]:
    """A table of our own with ten rows in the newest backup; without it, and backed up so, afterwards."""

    def backup() -> None:
        taken = run_module("pg_backup", namespace=Database.namespace)
        assert not taken["failed"] and taken["verified"], taken

    database.sql("CREATE TABLE holdfast_rows AS SELECT n FROM generate_series(1, 10) n")
    try:
        backup()
        yield database
    finally:
        database.sql("DROP TABLE holdfast_rows")
        backup()


@pytest.mark.req("SN-31")
def test_fewer_rows_than_the_newest_backup_is_down(counted: Database) -> None:
    """Everything runs, and yet the host is down: only the manifest that was written with the backup tells."""
    whole = run_play("recover", **QUICK)
    assert changed(whole.stdout) == 0 and "no row is missing" in whole.stdout, whole.stdout[-4000:]
    counted.sql("DELETE FROM holdfast_rows WHERE n > 6")
    for play in ("recover", "recover_reboot"):
        done = run_play(play, **QUICK)
        assert done.returncode != 0 and f"{SYSTEM} is down" in done.stdout, done.stdout[-4000:]
        assert "public.holdfast_rows has 6 instead of 10" in done.stdout
    told, _page = report(counted.host, done.stdout)
    assert told["verdict"] == "down" and "holdfast.k3s.restore" in str(told["entries"])
    found = told["steps"][-1]["result"]["findings"]
    fix = next(one["fix"] for one in found if one["id"] == "rows_lost")
    score("rows gone that the newest backup has", as_one(told), "health: rows_lost", fix)
    shrinking = run_play("recover", incident_rows_may_shrink=["musicdb.public.holdfast_*"], **QUICK)
    assert "verdict: healthy" in shrinking.stdout, shrinking.stdout[-4000:]


@pytest.fixture
def written(database: Database) -> Iterator[Callable[[], int]]:
    """Somebody writes row after row into a table, and notes each that the database acknowledged; yields the last one."""
    database.sql("CREATE TABLE holdfast_written (n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY)")
    psql = f"{' '.join(KUBECTL)} -n {Database.namespace} exec -i postgres-0 -- psql -X -q -At -U musicdb_user -d musicdb"
    script = f"yes 'INSERT INTO holdfast_written DEFAULT VALUES RETURNING n;' | {psql} > {ACKNOWLEDGED}"
    database.host.sudo(["systemd-run", "--collect", "--unit=holdfast-writer", "sh", "-c", script])

    def last() -> int:
        noted = database.host.sudo(["tail", "--bytes=200", ACKNOWLEDGED]).out
        return int(noted[: noted.rfind("\n")].split()[-1])  # a line that the cut went through is no note

    try:
        until("rows are written", lambda: last() > 1000)
        yield last
    finally:
        database.host.sudo(["systemctl", "stop", "holdfast-writer"], check=False)
        database.host.sudo(["rm", "--force", ACKNOWLEDGED])
        database.sql("DROP TABLE holdfast_written")


@pytest.mark.req("SN-09", "SN-29", "SN-30", "SN-31")
@pytest.mark.parametrize("how", ["reboot", "power_loss"])
def test_after_a_restart_of_the_machine(database: Database, written: Callable[[], int], how: str) -> None:
    before = until("the database answers", lambda: database.rows("tracks"))
    getattr(database.host, how)()
    done = run_play("recover_reboot", **REBOOT)
    assert "verdict: healthy" in done.stdout, done.stdout[-5000:]
    assert f"{before} rows in musicdb.tracks" in done.stdout and "no row is missing" in done.stdout
    assert database.rows("tracks") == before
    assert int(database.sql("SELECT max(n) FROM holdfast_written")) >= written(), (
        "an acknowledged row is lost"
    )
    told, _page = report(database.host, done.stdout)
    score(
        f"{how.replace('_', ' ')} of the machine while rows are written",
        as_one(told),
        "playbook: recover_reboot",
    )
    again = run_play("recover_reboot", **REBOOT)
    assert changed(again.stdout) == 0 and "verdict: healthy" in again.stdout
