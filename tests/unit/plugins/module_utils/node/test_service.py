"""Stopping and starting the unit: what is still stopping is waited for, what stays down is not."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.holdfast.k3s.plugins.module_utils.core.clock import FakeClock
from ansible_collections.holdfast.k3s.plugins.module_utils.core.command import Result
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import DeadlineExceeded
from ansible_collections.holdfast.k3s.plugins.module_utils.node import service
from ansible_collections.holdfast.k3s.plugins.module_utils.node.model import Options
from ansible_collections.holdfast.k3s.plugins.module_utils.node.paths import Paths


class Systemd:
    """A unit whose stop takes `stop_seconds` and whose start takes `start_seconds`."""

    def __init__(
        self, clock: FakeClock, active: str, stop_seconds: float = 5, start_seconds: float = 5
    ) -> None:
        self.clock, self.active, self.next, self.at = clock, active, "", 0.0
        self.seconds = {"stop": stop_seconds, "start": start_seconds}
        self.asked: list[str] = []
        if active == "deactivating":
            self.next, self.at = "inactive", clock.monotonic() + stop_seconds

    def run(self, argv: list[str], **_options: Any) -> Result:
        if self.next and self.clock.monotonic() >= self.at:
            self.active, self.next = self.next, ""
        verb = argv[1] if argv[1] == "show" else argv[-2]
        if verb in self.seconds:
            self.asked.append(f"{verb} while {self.active}")
            if not (verb == "stop" and self.active == "deactivating"):
                self.active, self.next = (
                    ("deactivating", "inactive") if verb == "stop" else ("activating", "active")
                )
                self.at = self.clock.monotonic() + self.seconds[verb]
        return Result(argv, 0, out=f"LoadState=loaded\nActiveState={self.active}\nSubState=x\nMainPID=0\n")


@pytest.fixture(autouse=True)
def _ready(monkeypatch: pytest.MonkeyPatch) -> None:
    """The API and kubelet answer; only the unit is in question here."""
    monkeypatch.setattr(service, "readyz", lambda _api: {"ok": True})
    monkeypatch.setattr(service, "kubelet", lambda _timeout: {"ok": True})


def one(systemd: Systemd, **options: Any) -> service.Service:
    commands: Any = systemd
    return service.Service(commands, Paths(), Options(**options), systemd.clock)


def test_a_unit_that_is_still_stopping_is_waited_for_and_started() -> None:
    systemd = Systemd(FakeClock(), "deactivating", stop_seconds=40)
    started = one(systemd).start()
    assert systemd.asked == ["stop while deactivating", "start while inactive"]
    assert systemd.active == "active" and started["ready_after"] >= 5


def test_a_unit_that_never_stops_is_an_error_that_says_so() -> None:
    with pytest.raises(DeadlineExceeded, match="k3s does not stop"):
        one(Systemd(FakeClock(), "deactivating", stop_seconds=9999)).start()


def test_a_start_that_is_slow_is_waited_for() -> None:
    systemd = Systemd(FakeClock(), "inactive", start_seconds=100)
    assert one(systemd).start()["ready_after"] >= 100


def test_a_unit_that_stays_down_is_not_waited_for() -> None:
    clock = FakeClock()
    began = clock.monotonic()
    with pytest.raises(DeadlineExceeded, match="unit inactive"):
        one(Systemd(clock, "inactive")).wait_ready(300)
    assert clock.monotonic() - began < 30


def test_a_process_that_ends_under_the_signal_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    def ended(_pid: int, _number: int) -> None:
        raise ProcessLookupError

    server = one(Systemd(FakeClock(), "active"))
    with pytest.raises(service.Gone):
        server.signal(2**22 + 1, 1, 9)
    monkeypatch.setattr(service.process, "same", lambda *_a: True)
    monkeypatch.setattr(service.os, "kill", ended)
    with pytest.raises(service.Gone):
        server.signal(1, 1, 9)
    server.end({"pid": 1, "start": 1}, 9)
