"""The words that diagnosis is written in: options, causes, findings, and the few steps that remedies are made of."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Callable, Optional

from ansible_collections.holdfast.k3s.plugins.module_utils.core.plan import Action
from ansible_collections.holdfast.k3s.plugins.module_utils.node.facts import Facts, look

# Rungs: a higher one is only climbed when the ones below did not bring the host back.
GENTLE, RESTART, KILLALL, RESET, REBOOT = 0, 10, 20, 30, 40


@dataclass(frozen=True)
class Options:
    """What a run may do and when it loses patience.

    start_seconds: how long a start may take before it counts as hanging (seconds).
    stop_seconds: how long `systemctl stop` may take before the main process is killed (seconds).
    grace_seconds: time that containers get to end by themselves before killall (seconds).
    allow_*: actions that need the operator's word. datastore_repair: `none`, `wal` or `recover`.
    disk_free_percent, inodes_free_percent: below these a file system is full (per cent).
    datastore_max_mb: above this the datastore is bloated (MiB).
    """

    start_seconds: float = 120
    stop_seconds: float = 90
    grace_seconds: float = 30
    lock_wait_seconds: float = 60
    allow_killall: bool = True
    allow_containerd_reset: bool = True
    allow_reboot: bool = False
    allow_vacuum: bool = False
    allow_prune_images: bool = False
    allow_clock_step: bool = False
    allow_node_password_reset: bool = False
    datastore_repair: str = "none"
    disk_free_percent: float = 5
    inodes_free_percent: float = 3
    datastore_max_mb: int = 2048
    clock_skew_seconds: float = 300
    certificate_days: float = 0


Detector = Callable[[Facts, Options], Optional[str]]
Remedy = Callable[[Facts, Options, str], list[Action]]


@dataclass(frozen=True)
class Cause:
    """One known fault.

    id: stable word for people and tests. row: row of the fault catalogue, 0 for one observed besides.
    severity: `down`, `degraded` or `info`. detect: evidence in one line, or None.
    remedy: the actions that fit; None when only a person can decide, and then `person` says why and what to type.
    hides: causes that are only a consequence of this one. proof: what must be seen for that, where a mere line of the
    journal is evidence too; None when any evidence will do.
    """

    id: str
    row: int
    title: str
    severity: str
    detect: Detector
    remedy: Remedy | None = None
    person: str = ""
    hides: tuple[str, ...] = ()
    proof: Detector | None = None


@dataclass(frozen=True)
class Finding:
    """A cause that was found on this host."""

    cause: str
    title: str
    severity: str
    evidence: str
    needs_person: str = ""
    actions: list[Action] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for results and evidence."""
        return {
            "id": self.cause,
            "title": self.title,
            "severity": self.severity,
            "evidence": self.evidence,
            "needs_person": self.needs_person,
            "actions": [action.kind for action in self.actions],
        }


def serving(facts: Facts) -> bool:
    """The API answers ready: texts of earlier start attempts are history then."""
    return bool(look(facts, "api.readyz.ok"))


def refusing(facts: Facts) -> bool:
    """The API is known not to be ready: its unit is not up, or it was asked and said so.

    A look that was merely late tells nothing, and the journal of a k3s that runs for weeks is history.
    """
    if look(facts, "unit.active") != "active":
        return not serving(facts)
    if look(facts, "api.readyz.ok") is not False:
        return False
    late = re.search(r"timed? ?out", str(look(facts, "api.readyz.error", "")), re.I)
    return bool(look(facts, "api.readyz.status")) or not late


def line_with(lines: list[str], pattern: str) -> str | None:
    """The newest line that matches, shortened."""
    expression = re.compile(pattern, re.I)
    for line in reversed(lines):
        if expression.search(line):
            return line.strip()[-400:]
    return None


def start_text(facts: Facts, pattern: str) -> str | None:
    """A line of the present start attempts that matches; None unless the API is known not to be ready."""
    return line_with(look(facts, "journal.attempt", []), pattern) if refusing(facts) else None


def matching_events(facts: Facts, pattern: str) -> list[dict[str, str]]:
    """Recent warning events whose message or reason matches."""
    expression = re.compile(pattern, re.I)
    return [
        event for event in look(facts, "api.events", [])
        if expression.search(event["message"]) or expression.search(event["reason"])
    ]  # fmt: skip


def event_text(facts: Facts, pattern: str) -> str | None:
    """A recent warning event that matches, as one line."""
    for event in matching_events(facts, pattern):
        return f"{event['reason']} on {event['object']}: {event['message']}"[:400]
    return None


def step(kind: str, target: str, why: str, rung: int, risk: str = "low", destructive: bool = False,
         **params: Any) -> Action:  # fmt: skip
    """An action on a rung of the ladder."""
    return Action(kind, target, why, risk=risk, destructive=destructive, params={"rung": rung, **params})


def restart(facts: Facts, why: str, rung: int = RESTART) -> list[Action]:
    """Restart the server; containers keep running."""
    name = look(facts, "unit.name", "k3s")
    return [step("restart_unit", name, why, rung, risk="low", main_pid=look(facts, "unit.main_pid", 0))]


def stopped(facts: Facts, why: str, rung: int, middle: list[Action]) -> list[Action]:
    """Stop the server, do `middle`, start it; containers keep running."""
    name = look(facts, "unit.name", "k3s")
    return [
        step("stop_unit", name, why, rung),
        *middle,
        step("start_unit", name, why, rung),
    ]


def clean_start(
    facts: Facts, why: str, rung: int = KILLALL, middle: list[Action] | None = None
) -> list[Action]:
    """Stop the server, let containers end by themselves, killall, do `middle`, start. Application data stays."""
    name = look(facts, "unit.name", "k3s")
    return [
        step("stop_unit", name, why, rung, risk="medium"),
        step(
            "stop_containers",
            "all containers",
            "databases close their files before killall",
            rung,
            risk="medium",
        ),
        step("killall", "k3s-killall.sh", why, rung, risk="medium", destructive=True),
        *(middle or []),
        step("start_unit", name, why, rung),
    ]
