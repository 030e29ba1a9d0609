"""A host that reboots itself does it once in hours, not for ever."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.holdfast.k3s.plugins.module_utils.core.clock import FakeClock
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import DeadlineExceeded, Refused
from ansible_collections.holdfast.k3s.plugins.module_utils.node import act, host_act, local, reboots
from ansible_collections.holdfast.k3s.plugins.module_utils.node.model import REBOOT, Options, step
from ansible_collections.holdfast.k3s.plugins.module_utils.node.paths import Paths

sys.path.insert(0, str(Path(__file__).parent))
from recovery_host import Host

NOW = datetime(2026, 5, 1, 12, tzinfo=timezone.utc)
REBOOTED = {"kind": "reboot", "target": "this host", "outcome": "done"}
RESULT = {"actions": [REBOOTED], "verified": False, "evidence": None, "timing": {}}


@pytest.mark.parametrize(("hours", "expected"), [(-5.9, True), (-6.1, False), (1, True), (9, False)], ids=str)
def test_lately_is_near_now_by_whatever_clock(hours: float, expected: bool) -> None:
    entries = [{"at": (NOW + timedelta(hours=hours)).isoformat()}]
    assert reboots.lately(entries, NOW) is expected
    assert not reboots.lately([], NOW)


def test_a_reboot_is_written_down_first_and_refused_when_it_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(host_act.HostActions, "do_reboot", lambda _one, action: asked.append(action.kind))
    paths, clock, commands = Paths(state_dir=str(tmp_path / "s")), FakeClock(), object()
    reboot = step("reboot", "this host", "w", REBOOT)
    assert reboots.may_reboot(paths, clock)
    act.Actor(commands, paths, Options(), clock).run(reboot)  # type: ignore[arg-type]
    assert asked == ["reboot"] and not reboots.may_reboot(paths, clock)
    clock.advance(6 * 3600 + 1)
    assert reboots.may_reboot(paths, clock)
    (tmp_path / "file").touch()
    with pytest.raises(Refused, match="repeat for ever"):
        act.Actor(commands, Paths(state_dir=str(tmp_path / "file")), Options(), clock).run(reboot)  # type: ignore[arg-type]
    assert asked == ["reboot"]


def test_after_the_reboot_was_asked_for_nothing_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = Host(tmp_path, monkeypatch, [step("reboot", "this host", "w", REBOOT, causes=["API-DOWN"])])
    envelope = host.recover()
    assert host.done == ["reboot"] and host.looks == 1 and host.clock.slept == []
    assert envelope.verified is False and envelope.extra["verdict"].startswith(
        "the host reboots now: API-DOWN"
    )
    assert envelope.extra["findings"][0]["id"] == "API-DOWN"


def test_the_boot_unit_reboots_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    allowed: list[bool] = []

    class Done:
        def as_dict(self) -> dict[str, Any]:
            return RESULT

    def recovered(options: Options, paths: Paths, **_more: Any) -> Done:
        allowed.append(options.allow_reboot)
        if options.allow_reboot:
            reboots.record(paths, one.clock)
        return Done()

    def late(*_arguments: Any) -> None:
        raise DeadlineExceeded("not ready")

    settings = {"options": {"allow_reboot": True}, "paths": {"state_dir": str(tmp_path)}}
    one = local.Local(settings, clock=FakeClock())
    monkeypatch.setattr(local, "recover", recovered)
    monkeypatch.setattr(local.Service, "wait_ready", late)
    monkeypatch.setattr(one, "reap", lambda: pytest.fail("the host goes down"))
    report = one.boot()
    assert report["recovery"]["done"] == ["reboot this host"] and report["verified"] is False
    assert (tmp_path / "boot.json").exists()
    one.boot()
    one.clock.sleep(6 * 3600 + 1)
    one.boot()
    assert allowed == [True, False, True]
