"""A recovery never leaves k3s stopped, and says what it found however it ends."""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path
from typing import Callable

import pytest

from ansible_collections.holdfast.k3s.plugins.module_utils.core.envelope import Envelope
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import (
    CommandError,
    DeadlineExceeded,
)
from ansible_collections.holdfast.k3s.plugins.module_utils.core.plan import Action
from ansible_collections.holdfast.k3s.plugins.module_utils.node.model import (
    GENTLE,
    KILLALL,
    RESTART,
    Finding,
    clean_start,
    restart,
    step,
    stopped,
)
from ansible_collections.holdfast.k3s.plugins.module_utils.node.service import Gone

sys.path.insert(0, str(Path(__file__).parent))
from recovery_host import DOWN, Host

MakeHost = Callable[[list[Action]], Host]
VACUUM = stopped({}, "bloated", RESTART, [step("vacuum_datastore", "state.db", "bloated", RESTART)])
CLEAN = clean_start({}, "wedged", KILLALL)


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeHost:
    return lambda plan: Host(tmp_path, monkeypatch, plan)


def outcomes(envelope: Envelope) -> list[tuple[str, str]]:
    return [(one.action.kind, one.outcome) for one in envelope.actions]


def test_a_repair_that_was_given_up_is_told_until_its_note_is_removed(make: MakeHost) -> None:
    host = make([])
    host.found, host.well = [[]], True
    note = host.folder / "swap.json.7.aside"
    note.write_text('{"given_up": "k3s runs"}')
    told = host.recover().extra
    assert told["given_up"] == [{"note": str(note), "why": "k3s runs"}]
    assert f"was not completed (k3s runs): see {note}" in told["verdict"]
    note.unlink()
    assert host.recover().extra["given_up"] == []


def test_a_vacuum_that_sqlite_refuses_does_not_keep_k3s_down(make: MakeHost) -> None:
    host = make(VACUUM)
    host.failures["vacuum_datastore"] = sqlite3.OperationalError("database is locked")
    envelope = host.recover()
    assert host.active == "active"
    assert outcomes(envelope) == [
        ("stop_unit", "done"),
        ("vacuum_datastore", "failed"),
        ("start_unit", "done"),
    ]
    assert "database is locked" in str(envelope.actions[1].error)


def test_the_deadline_between_killall_and_start_still_starts(make: MakeHost) -> None:
    host = make(CLEAN)
    host.seconds = 10
    with pytest.raises(DeadlineExceeded) as ended:
        host.recover(deadline_seconds=25)
    assert host.active == "active" and host.done[-2:] == ["killall", "start_unit"]
    told = ended.value.envelope
    assert outcomes(told)[-1] == ("start_unit", "done") and told.changed
    assert told.extra["findings"][0]["id"] == "API-DOWN" and told.evidence == "/bundle"
    assert told.extra["verdict"].startswith("not finished: ") and "API-DOWN" in told.extra["verdict"]


def test_a_failure_tells_what_only_a_person_can_do(make: MakeHost) -> None:
    host = make(CLEAN)
    host.found = [[Finding("TOKEN-MISMATCH", "t", "down", "e", needs_person="put it back")], [DOWN]]
    with pytest.raises(DeadlineExceeded) as ended:
        host.recover(deadline_seconds=0)
    assert "put it back" in ended.value.envelope.extra["needs_person"][0]
    assert host.done == [], "nothing was stopped, so nothing is started"


def test_a_budget_of_one_still_starts_what_it_stopped(make: MakeHost) -> None:
    host = make(VACUUM)
    envelope = host.recover(budget=1)
    assert host.active == "active" and host.done == ["stop_unit", "start_unit"]
    assert outcomes(envelope) == [
        ("stop_unit", "done"),
        ("vacuum_datastore", "skipped"),
        ("start_unit", "done"),
    ]
    untouched = make(VACUUM)
    untouched.recover(budget=0)
    assert untouched.done == []


def test_a_bug_in_an_action_still_starts(make: MakeHost) -> None:
    host = make(VACUUM)
    host.failures["vacuum_datastore"] = ZeroDivisionError("bug")
    with pytest.raises(ZeroDivisionError):
        host.recover()
    assert host.active == "active"


def test_what_somebody_else_stopped_is_not_owed(make: MakeHost) -> None:
    host = make(VACUUM[:1])
    host.active = "inactive"
    host.recover()
    assert host.done == ["stop_unit"]


def test_a_start_that_is_owed_and_fails_is_told(make: MakeHost) -> None:
    host = make(VACUUM[:2])
    host.failures = {"vacuum_datastore": OSError("full"), "start_unit": CommandError("no bus")}
    assert outcomes(host.recover())[-1] == ("start_unit", "failed")


def test_a_start_that_is_only_late_does_not_end_in_killall(make: MakeHost) -> None:
    host = make([*restart({}, "w"), *CLEAN])
    host.failures["restart_unit"] = DeadlineExceeded("k3s is not ready after 120 s")
    host.found, host.well = [[DOWN], []], True
    envelope = host.recover()
    assert host.done == ["restart_unit"] and envelope.verified
    assert {one.outcome for one in envelope.actions[1:]} == {"skipped"}


def test_a_start_that_failed_is_followed_by_killall_when_the_cause_is_still_there(make: MakeHost) -> None:
    host = make([*restart({}, "w"), *CLEAN])
    host.failures["restart_unit"] = DeadlineExceeded("k3s is not ready after 120 s")
    host.recover()
    assert "killall" in host.done and host.active == "active"


def test_a_process_that_is_gone_is_no_reason_to_climb(make: MakeHost) -> None:
    host = make([step("kill_process", "x", "w", GENTLE), *restart({}, "w"), *CLEAN])
    host.failures["kill_process"] = Gone("the process is gone")
    host.found, host.well = [[DOWN], []], True
    envelope = host.recover()
    assert host.done == ["kill_process"] and envelope.verified
    assert envelope.actions[0].outcome == "skipped" and "is gone" in str(envelope.actions[0].error)
