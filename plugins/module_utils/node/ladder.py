"""From findings to a plan: the smallest rung that fits the cause, then the next ones in case it does not suffice."""

from __future__ import annotations

from ansible_collections.holdfast.k3s.plugins.module_utils.core.plan import Action
from ansible_collections.holdfast.k3s.plugins.module_utils.node.catalogue import SERIOUS, diagnose
from ansible_collections.holdfast.k3s.plugins.module_utils.node.facts import Facts
from ansible_collections.holdfast.k3s.plugins.module_utils.node.model import (
    KILLALL,
    REBOOT,
    RESET,
    RESTART,
    Finding,
    Options,
    clean_start,
    restart,
    step,
)

# Findings that the general rungs (restart, killall, reset) can heal when the first remedy was not enough.
ESCALATES = frozenset(
    [
        "API-STOPPED",
        "CRI-STOPPED",
        "CRI-META-CORRUPT",
        "CRI-STALE-SANDBOX",
        "CRI-WEDGED",
        "CRI-NO-SOCKET",
        "UNIT-INACTIVE",
        "STARTING",
        "CRASH-LOOP",
        "START-HANG",
        "API-DOWN",
        "KUBELET-DOWN",
        "NODE-NOT-READY",
        "NET-LEFTOVER",
    ]
)
# Findings that are told by warnings about pods: they stay until the kubelet has tried again.
SETTLES = frozenset(["IMAGE-CONTENT", "CNI-EXHAUSTED"])
RUNTIME = frozenset(["CRI-META-CORRUPT", "CRI-STALE-SANDBOX", "CRI-WEDGED", "CRI-NO-SOCKET"])
# Where an action stands within its rung.
ORDER = {
    "copy_aside": 0,
    "stop_unit": 1,
    "stop_containers": 2,
    "killall": 3,
    "start_unit": 8,
    "restart_unit": 9,
}


def rung(action: Action) -> int:
    """The rung of an action."""
    return int(action.params.get("rung", 0))


def causes(action: Action) -> list[str]:
    """The findings that an action is meant for; empty for a general rung."""
    return list(action.params.get("causes", []))


def blocked(findings: list[Finding]) -> list[Finding]:
    """Findings that only a person can resolve: the ladder must not be climbed against them."""
    return [one for one in findings if one.severity == "down" and one.needs_person]


def general(facts: Facts, options: Options, findings: list[Finding]) -> list[Action]:
    """The general rungs."""
    names = {one.cause for one in findings}
    why = "the rung before did not bring k3s back"
    actions = restart(facts, why, RESTART)
    if options.allow_killall:
        actions += clean_start(facts, why, KILLALL)
    if options.allow_containerd_reset and names & RUNTIME:
        aside = step("reset_containerd", "containerd metadata", why, RESET, risk="medium", destructive=True)
        actions += clean_start(facts, why, RESET, [aside])
    if options.allow_reboot:
        actions.append(step("reboot", "this host", why, REBOOT, risk="high", destructive=True))
    return actions


def plan(facts: Facts, options: Options) -> tuple[list[Finding], list[Action]]:
    """Diagnosis and plan. Actions are ordered by rung; a rung above the first runs only if the one below failed."""
    findings = diagnose(facts, options)
    first = [action for one in findings for action in one.actions]
    if blocked(findings):
        # a copy may be kept, and what heals without a restart may be healed
        return findings, dedupe([action for action in first if rung(action) < RESTART])
    actions = list(first)
    if any(one.cause in ESCALATES for one in findings):
        top = max((rung(action) for action in first), default=-1)
        actions += [action for action in general(facts, options, findings) if rung(action) > top]
    return findings, dedupe(actions)


def dedupe(actions: list[Action]) -> list[Action]:
    """Each (rung, kind, target) once, for all the causes that want it; one stop first and one start last."""
    kept: dict[tuple[int, str, str], Action] = {}
    for action in actions:
        key = (rung(action), action.kind, action.target)
        if key in kept:
            kept[key].params["causes"] = sorted({*causes(kept[key]), *causes(action)})
        else:
            kept[key] = action
    started = {rung(action) for action in kept.values() if action.kind == "start_unit"}
    useful = [one for one in kept.values() if not (one.kind == "restart_unit" and rung(one) in started)]
    return sorted(useful, key=lambda action: (rung(action), ORDER.get(action.kind, 5)))


def still_needed(action: Action, found: set[str]) -> bool:
    """Whether an action of a higher rung still has its reason, given the ids found after the rungs below."""
    wanted = causes(action)
    return bool(set(wanted) & found) if wanted else bool(ESCALATES & found)


def summary(findings: list[Finding]) -> str:
    """One line for people: what is wrong, or that nothing is."""
    serious = [one for one in findings if one.severity in SERIOUS]
    return "; ".join(f"{one.cause} — {one.evidence}" for one in serious) or "nothing is wrong"
