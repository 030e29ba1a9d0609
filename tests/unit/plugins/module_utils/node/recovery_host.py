"""A host for tests of the recovery: a unit, scripted findings, and actions that take time or fail."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.holdfast.k3s.plugins.module_utils.core.clock import FakeClock
from ansible_collections.holdfast.k3s.plugins.module_utils.core.envelope import Envelope
from ansible_collections.holdfast.k3s.plugins.module_utils.core.plan import Action
from ansible_collections.holdfast.k3s.plugins.module_utils.node import act, recover, service
from ansible_collections.holdfast.k3s.plugins.module_utils.node.model import Finding, Options
from ansible_collections.holdfast.k3s.plugins.module_utils.node.paths import Paths

DOWN = Finding("API-DOWN", "the API is down", "down", "no answer")


class Host:
    """found: what each look finds, the last one for ever. failures: kind of action → what it raises.

    seconds: how long every action takes. well: whether the unit brings the host back when it is active.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, plan: list[Action]) -> None:
        self.folder, self.actions, self.clock = folder, plan, FakeClock()
        self.active, self.well, self.seconds = "active", False, 1.0
        self.found: list[list[Finding]] = [[DOWN]]
        self.failures: dict[str, Exception] = {}
        self.done: list[str] = []
        self.looks = 0
        monkeypatch.setattr(recover, "observe", lambda *_a, **_k: {})
        monkeypatch.setattr(recover, "diagnose", lambda *_a: self.look())
        monkeypatch.setattr(recover.ladder, "plan", lambda *_a: (self.look(), self.actions))
        monkeypatch.setattr(
            recover.verify, "healthy", lambda *_a: (self.well and self.active == "active", {})
        )
        monkeypatch.setattr(recover.Recovery, "collect", lambda *_a: "/bundle")
        monkeypatch.setattr(service.Service, "state", lambda _one: {"active": self.active, "main_pid": 0})
        monkeypatch.setattr(act.Actor, "run", lambda _one, action: self.run(action))

    def look(self) -> list[Finding]:
        """The next findings."""
        self.looks += 1
        return self.found.pop(0) if len(self.found) > 1 else self.found[0]

    def run(self, action: Action) -> dict[str, Any]:
        """What an action does to this host."""
        self.clock.advance(self.seconds)
        self.done.append(action.kind)
        if action.kind in self.failures:
            raise self.failures[action.kind]
        changed = {
            "stop_unit": "inactive",
            "killall": "inactive",
            "start_unit": "active",
            "restart_unit": "active",
        }
        self.active = changed.get(action.kind, self.active)
        return {}

    @property
    def paths(self) -> Paths:
        return Paths(state_dir=str(self.folder))

    def recover(self, **options: Any) -> Envelope:
        """One recovery of this host."""
        defaults: dict[str, Any] = {"check_mode": False, "deadline_seconds": 900, "budget": None}
        where = {"evidence_dir": str(self.folder), "clock": self.clock}
        return recover.recover(Options(), self.paths, **{**defaults, **where, **options})
