"""The watch acts only on N of M failed probes, and only as often as it may."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.holdfast.k3s.plugins.module_utils.core.clock import FakeClock
from ansible_collections.holdfast.k3s.plugins.module_utils.core.envelope import Envelope
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import DeadlineExceeded, Refused
from ansible_collections.holdfast.k3s.plugins.module_utils.node import local as module
from ansible_collections.holdfast.k3s.plugins.module_utils.node.local import Local, load, main


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Local:
    """A Local whose recoveries are counted instead of done."""
    monkeypatch.setattr(module, "SPARE", str(tmp_path / "run" / "attempts.jsonl"))
    one = Local({"paths": {"state_dir": str(tmp_path)}}, clock=FakeClock())
    calls: list[int] = []

    def recovered() -> dict[str, Any]:
        calls.append(1)
        return Envelope(verified=True, extra={"verdict": "recovered", "findings": []}).as_dict()

    monkeypatch.setattr(one, "recover", recovered)
    monkeypatch.setattr(one, "remember_sometimes", lambda: None)
    one.calls = calls  # type: ignore[attr-defined]
    return one


def probes(local: Local, monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> None:
    left = list(answers)
    monkeypatch.setattr(local, "symptoms", lambda: left.pop(0))


def test_a_healthy_host_costs_one_probe(local: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    probes(local, monkeypatch, [])
    report = local.watch()
    assert report["verdict"] == "well" and report["probes"] == 1 and not local.calls  # type: ignore[attr-defined]


def test_a_hiccup_is_no_outage(local: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    probes(local, monkeypatch, ["api: no"], [], ["api: no"], [])
    assert "nothing is done" in local.watch()["verdict"]
    assert not local.calls  # type: ignore[attr-defined]


def test_three_of_four_are_an_outage(local: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    probes(local, monkeypatch, ["api: no"], [], ["api: no"], ["api: no"])
    assert local.watch()["recovery"]["verified"] is True
    assert len(local.calls) == 1  # type: ignore[attr-defined]


def test_the_cooldown_and_the_hour_are_kept(local: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = [["api: no"]] * 3
    seen = []
    for minutes in (0, 1, 11, 11, 11, 50):
        local.clock.advance(60 * minutes)  # type: ignore[attr-defined]
        probes(local, monkeypatch, *bad)
        seen.append("recovery" in local.watch())
    assert seen == [True, False, True, True, False, True]


def test_a_disk_that_takes_no_line_is_told_and_still_bounded(
    local: Local, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(local.attempts, "record", full)
    for expected in (1, 1):
        probes(local, monkeypatch, *[["api: no"]] * 3)
        report = local.watch()
        assert len(local.calls) == expected  # type: ignore[attr-defined]
        local.clock.advance(60)  # type: ignore[attr-defined]
        if "recovery" in report:
            assert "No space left" in report["not_recorded"] and report["recovery"]["verified"]
    assert "cooldown" in report["verdict"]


def test_a_watch_that_meets_another_recovery_says_so(local: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy() -> None:
        raise Refused("another recovery runs on this host")

    monkeypatch.setattr(local, "recover", busy)
    probes(local, monkeypatch, *[["api: no"]] * 3)
    assert local.watch()["verdict"] == "another recovery runs on this host"


@pytest.mark.parametrize(
    "failure", [Refused("another recovery runs"), OSError("disk"), DeadlineExceeded("late")], ids=repr
)
def test_a_boot_is_reported_however_its_recovery_ends(
    local: Local, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, failure: Exception
) -> None:
    waited: list[float] = []

    def late(*_arguments: Any) -> None:
        raise DeadlineExceeded("not ready")

    def fails(lock_wait: float = 0) -> None:
        waited.append(lock_wait)
        raise failure

    monkeypatch.setattr(module.Service, "wait_ready", late)
    monkeypatch.setattr(module.verify, "healthy", lambda *_a: (True, {"api": {"ok": True}}))
    monkeypatch.setattr(local, "recover", fails)
    monkeypatch.setattr(local, "reap", lambda: {"counts": 1})
    monkeypatch.setattr(local, "remember", lambda: None)
    local.boot()
    kept = json.loads((tmp_path / "boot.json").read_text())
    assert kept["verified"] and kept["pods"] == {"counts": 1}
    assert str(failure) in kept["recovery"]["error"] and waited == [module.DEADLINE]


def test_what_a_recovery_found_before_it_ended_early_is_kept(
    local: Local, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = DeadlineExceeded("late")
    late.envelope = Envelope(extra={"verdict": "not finished", "findings": [{"id": "API-DOWN"}]})

    def fails() -> None:
        raise late

    monkeypatch.setattr(local, "recover", fails)
    told = local.attempt()
    assert (told["found"], told["verdict"], told["verified"]) == (["API-DOWN"], "not finished", False)


def test_the_watch_waits_for_k3s_at_boot() -> None:
    """OnActiveSec would elapse first at boot. OnBootSec elapses at once where the timer is started later than that."""
    root = Path(module.__file__).resolve().parents[3]
    timer = (root / "roles/recovery/templates/holdfast-watch.timer.j2").read_text()
    assert "OnBootSec=300" in timer and "OnUnitInactiveSec=" in timer and "OnActiveSec" not in timer


def test_settings_are_optional(tmp_path: Path) -> None:
    assert load(str(tmp_path / "absent.json")) == {}


def test_an_unknown_word_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["dance"])
    assert "invalid choice" in capsys.readouterr().err
