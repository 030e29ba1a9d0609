"""kill -9 of everything, at every step of a restore and of a backup: nothing is lost, and the next run completes.

Every step with every victim by HOLDFAST_FULL=1 (tools/kill_table.py makes docs/kills.md of what it saw); otherwise a few of them,
others every day (HOLDFAST_SEED).
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import pytest
from database import DATABASE, Database, run_module
from killing import FULL, RESULTS, Case, chosen, interrupt, note

from lab.errors import LabError
from lab.host import LabHost
from tests.scenario import until

RESTORE = {
    "prepare": ("preflight", "safety", "create", "load", "verify", "analyze"),
    "swap": ("preflight", "swap"),
}
BACKUP = {"backup": ("snapshot", "dump", "count", "check", "sync", "rename", "retention")}
MARK = "not_in_the_backup"  # a table that tells the live database from a restored one
WHOLE = "cd %s && for d in 2*Z; do (cd $d && test -s manifest.json && sha256sum -c --quiet SHA256SUMS) && echo $d; done"


@pytest.fixture(scope="module", autouse=True)
def _fresh_results() -> None:
    if FULL:
        RESULTS.unlink(missing_ok=True)


@pytest.fixture(autouse=True)
def _tidy(database: Database) -> Iterator[None]:
    yield
    sides = database.sql(
        f"SELECT datname FROM pg_database WHERE datname LIKE '{DATABASE}\\_\\_%'", "postgres"
    )
    for name in sides.split():
        database.sql(f'DROP DATABASE "{name}" WITH (FORCE)', "postgres")


def live_state(database: Database, good: str) -> str:
    """untouched | swapped | closed; anything else is damage."""

    def look() -> tuple[str, bool]:
        """Its content, and whether it is the old one; content `closed` when it takes nobody in."""
        try:
            marked = database.sql(f"SELECT count(*) FROM pg_tables WHERE tablename = '{MARK}'") == "1"
            return database.content().replace(f"{MARK},", ""), marked
        except LabError as failure:
            if "not currently accepting connections" in str(failure):
                return "closed", False
            raise

    found, marked = until("the live database says something", look)
    if found == "closed":
        return "closed"
    assert found == good, f"the live database is damaged: {found} instead of {good}"
    return "untouched" if marked else "swapped"


@pytest.mark.req("SN-41", "SN-42", "CAP-55", "BR-08")
@pytest.mark.parametrize("case", chosen(RESTORE, 3), ids=str)
def test_the_database_is_whole_whatever_is_killed(database: Database, host: LabHost, case: Case) -> None:
    good = database.content()
    database.sql(f"CREATE TABLE {MARK} (id int PRIMARY KEY)")
    safety = "require" if case.step == "safety" else "skip"
    first = interrupt(host, case, "pg_restore", {"safety": safety})
    until(f"the database after {case}", database.ready)
    state = live_state(database, good)
    again = run_module("pg_restore", safety="skip")
    assert not again["failed"] and again["verified"], again
    assert live_state(database, good) == "swapped"
    note(case, first, state, bool(again["resumed"]))


def whole_backups(host: LabHost, directory: str) -> set[str]:
    """Names of what looks like a backup; each has every file that its checksums name."""
    names = set(host.sudo(["sh", "-c", f"cd {shlex.quote(directory)} && ls -d 2*Z"]).out.split())
    good = set(host.sudo(["sh", "-c", WHOLE % shlex.quote(directory)], check=False).out.split())
    assert names == good, f"these look like backups and are not whole: {names - good}"
    return names


@pytest.mark.req("SN-48", "CAP-52", "CAP-53")
@pytest.mark.parametrize("case", chosen(BACKUP, 2), ids=str)
def test_what_looks_like_a_backup_is_one_whatever_is_killed(
    database: Database, host: LabHost, case: Case
) -> None:
    good = database.content()
    directory = f"{run_module('pg_backup_info')['volume']}/{DATABASE}"
    before = whole_backups(host, directory)
    first = interrupt(host, case, "pg_backup", {})
    until(f"the database after {case}", database.ready)
    left = whole_backups(host, directory) - before
    again = run_module("pg_backup")
    assert not again["failed"] and again["verified"], again
    assert whole_backups(host, directory) - before, "the next run made no backup"
    assert host.sudo(["sh", "-c", f"ls -d {shlex.quote(directory)}/.tmp-*"], check=False).out == ""
    assert database.content() == good
    followed = any(action["kind"] == "follow" for action in again["actions"])
    note(case, first, "whole" if left else "absent", followed)
