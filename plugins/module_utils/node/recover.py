"""One recovery of a k3s server: look, plan, climb the ladder until the host is well, look again, leave the evidence."""

from __future__ import annotations

import dataclasses
import sqlite3
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.core.clock import Clock, Deadline
from ansible_collections.holdfast.k3s.plugins.module_utils.core.command import Commands
from ansible_collections.holdfast.k3s.plugins.module_utils.core.envelope import Envelope
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import (
    DeadlineExceeded,
    EvidenceError,
    HoldfastError,
)
from ansible_collections.holdfast.k3s.plugins.module_utils.core.evidence import Bundle, prune
from ansible_collections.holdfast.k3s.plugins.module_utils.core.plan import Action, Outcome
from ansible_collections.holdfast.k3s.plugins.module_utils.core.redact import redact_text
from ansible_collections.holdfast.k3s.plugins.module_utils.core.runner import Context, run
from ansible_collections.holdfast.k3s.plugins.module_utils.node import files, ladder, verify
from ansible_collections.holdfast.k3s.plugins.module_utils.node.act import Actor
from ansible_collections.holdfast.k3s.plugins.module_utils.node.catalogue import SERIOUS, by_id, diagnose
from ansible_collections.holdfast.k3s.plugins.module_utils.node.facts import Facts, look, observe
from ansible_collections.holdfast.k3s.plugins.module_utils.node.lock import only_one
from ansible_collections.holdfast.k3s.plugins.module_utils.node.model import (
    GENTLE,
    KILLALL,
    Finding,
    Options,
    step,
)
from ansible_collections.holdfast.k3s.plugins.module_utils.node.paths import Paths
from ansible_collections.holdfast.k3s.plugins.module_utils.node.service import DOWN, Gone

SETTLE_SECONDS = 60.0
STOPS = frozenset(["stop_unit", "restart_unit", "killall"])


class Recovery:
    """State of one run. check_mode: no probe that writes, no action."""

    def __init__(self, commands: Commands, paths: Paths, options: Options, clock: Clock, *, check_mode: bool,
                 evidence_dir: str, evidence_required: bool) -> None:  # fmt: skip
        self.commands, self.paths, self.options, self.clock = commands, paths, options, clock
        self.check_mode, self.evidence_dir, self.evidence_required = (
            check_mode,
            evidence_dir,
            evidence_required,
        )
        self.actor = Actor(commands, paths, options, clock)
        self.findings: list[Finding] = []
        self.journal: list[str] = []
        self.bundle: str | None = None
        self.bundle_error: EvidenceError | None = None
        self.resumed = False
        self._acted, self._stopped = False, False
        self._owed: Action | None = None
        self._rung, self._failed_rung, self._found = GENTLE, -1, set[str]()

    # --- observe and plan --------------------------------------------------------------------------------------
    def observe(self) -> Facts:
        """The facts; first of all a swap that an earlier run was killed in is completed."""
        if not self.check_mode:
            self.resumed = self.actor.finish_interrupted()
        return observe(self.commands, self.paths, deep=not self.check_mode, write=not self.check_mode)

    def plan(self, facts: Facts) -> list[Action]:
        """Diagnosis and plan; evidence is written as soon as something serious was found."""
        self.findings, actions = ladder.plan(facts, self.options)
        self.journal = [redact_text(line) for line in look(facts, "journal.lines", [])]
        self._found = {one.cause for one in self.findings}
        if not self.check_mode and (actions or self.serious(self.findings)):
            try:
                self.bundle = self.collect(facts, actions)
            except EvidenceError as error:
                self.bundle_error = error
        return actions

    @staticmethod
    def serious(findings: list[Finding]) -> list[Finding]:
        return [one for one in findings if one.severity in SERIOUS]

    def evidence(self, _facts: Facts, _actions: list[Action]) -> str | None:
        """The bundle's path for the runner; without a bundle nothing destructive starts."""
        if self.bundle_error is not None and self.evidence_required:
            raise self.bundle_error
        return self.bundle

    def collect(self, facts: Facts, actions: list[Action]) -> str:
        """Write the evidence bundle: facts, logs, findings, plan."""
        worst = self.findings[0].cause if self.findings else "k3s"
        bundle = Bundle.open(f"k3s-{worst}", root=self.evidence_dir, clock=self.clock)
        bundle.add_json("findings.json", [one.as_dict() for one in self.findings])
        bundle.add_json("plan.json", [one.as_dict() for one in actions])
        bundle.add_text("journal-k3s.txt", "\n".join(look(facts, "journal.attempt", [])[-400:]))
        bundle.add_text("containerd.log", "\n".join(look(facts, "runtime.log", [])))
        bundle.add_json("facts.json", facts)
        for name, argv in (
            ("unit.txt", ["systemctl", "status", "--no-pager", "--lines=0", self.paths.unit]),
            ("disk.txt", ["df", "-h", "-x", "overlay", "-x", "tmpfs"]),
            ("processes.txt", ["ps", "-eo", "pid,ppid,stat,etimes,rss,comm", "--sort=-rss"]),
        ):
            try:
                bundle.add_text(name, self.commands.run(argv, timeout=10, check=False).out)
            except HoldfastError as error:
                bundle.add_text(name, str(error))
        path = str(bundle.seal())
        if "CLOCK-SKEW" not in self._found:  # by a clock that is ahead all other evidence would be too old
            prune(self.evidence_dir, clock=self.clock)
        return path

    # --- act ---------------------------------------------------------------------------------------------------
    def act(self, action: Action, context: Context) -> Outcome | dict[str, Any]:
        """One action, unless the rungs below made it needless or a step before it in the same rung failed."""
        if action is self._owed:
            return self.carry_out(action)
        level = ladder.rung(action)
        starts = action.kind == "start_unit"
        if level > self._rung:
            # a step that failed was perhaps only late: nothing that ends containers is done without a new look
            if self._acted and (level >= KILLALL or self._failed_rung != self._rung):
                self._found = self.settle(context.deadline)
            self._rung = level
        if level > GENTLE:
            state = self.actor.service.state()["active"]
            stopped = starts and state in (*DOWN, "deactivating")
            if not stopped and not ladder.still_needed(action, self._found):
                return Outcome(action, "skipped", error="not needed: what it is for was not found again")
            if self._failed_rung == level and not stopped:
                return Outcome(action, "skipped", error="the step before it failed")
            self._stopped = self._stopped or (action.kind in STOPS and state not in DOWN)
        self._acted = True
        try:
            return self.carry_out(action)
        except Gone as gone:
            return Outcome(action, "skipped", error=str(gone))
        except HoldfastError:
            self._failed_rung = level
            raise

    def carry_out(self, action: Action) -> dict[str, Any]:
        """Do it; what goes wrong with it is an error of this action and does not end the run."""
        try:
            return self.actor.run(action)
        except DeadlineExceeded as late:
            # its own patience is over, not the run's: the next rung may still help
            raise HoldfastError(late.msg, field=late.field, value=late.value, fix=late.fix) from late
        except (OSError, sqlite3.Error) as error:
            raise HoldfastError(f"{action.kind}: {error}", field="target", value=action.target) from error

    def owed(self, outcomes: list[Outcome]) -> Action | None:
        """The start of a server that this run stopped and that is still down, whatever cut the rest of the plan short."""
        if not self._stopped or self.rebooting(outcomes):
            return None
        try:
            active = self.actor.service.state()["active"]
        except HoldfastError:
            active = "unknown"  # a start too many does nothing
        if active not in (*DOWN, "deactivating", "unknown"):
            return None
        held = [
            one.action for one in outcomes if one.action.kind == "start_unit" and one.outcome == "skipped"
        ]
        why = "this run stopped it"
        self._owed = held[0] if held else step("start_unit", self.paths.unit, why, self._rung)
        return self._owed

    def settle(self, deadline: Deadline) -> set[str]:
        """Ids that are still found once things had time to settle."""
        return {one.cause for one in self.serious(self.look_until_well(deadline)[1])}

    def look_until_well(self, deadline: Deadline | None = None) -> tuple[bool, list[Finding], dict[str, Any]]:
        """(well, findings, checks): looked at again and again until all is well or the patience is over."""
        seconds = SETTLE_SECONDS if deadline is None else min(SETTLE_SECONDS, deadline.remaining())
        patience = Deadline(self.clock, seconds)
        while True:
            facts = observe(self.commands, self.paths, deep=True, write=True)
            findings = diagnose(facts, self.options)
            well, checks = verify.healthy(self.commands, self.paths, look(facts, "config.node_name", ""))
            hopeless = bool(ladder.blocked(findings)) or not self.healable(findings)
            if (well and not self.serious(findings)) or patience.expired() or (hopeless and not well):
                return well, findings, checks
            if hopeless and seconds - patience.remaining() > 5:
                return well, findings, checks
            self.clock.sleep(1)

    def healable(self, findings: list[Finding]) -> bool:
        """Whether time alone can still change the picture: something is settling, or nothing serious was found."""
        serious = self.serious(findings)
        return not serious or any(one.cause in ladder.ESCALATES | ladder.SETTLES for one in serious)

    # --- verify ------------------------------------------------------------------------------------------------
    def verify(self, facts: Facts, outcomes: list[Outcome]) -> tuple[bool, dict[str, Any]]:
        """Look again with other eyes. A healthy host that needed nothing is looked at once, one that goes down not at all."""
        if self.rebooting(outcomes):
            return False, {"verdict": f"the host reboots now: {ladder.summary(self.findings)}"}
        acted = any(one.outcome == "done" for one in outcomes)
        if acted or self._acted or not self.serious(self.findings):
            well, after, checks = self.look_until_well()
        else:
            after = self.findings
            name = look(facts, "config.node_name", "")
            well, checks = verify.healthy(self.commands, self.paths, name)
        remaining = self.serious(after)
        extra = {
            "findings": [one.as_dict() for one in self.findings],
            "remaining": [
                {**one.as_dict(), "needs_person": one.needs_person or by_id(one.cause).person}
                for one in remaining
            ],
            "needs_person": self.for_a_person(after, acted),
            "checks": checks,
            "resumed": self.resumed,
        }
        return well and not remaining, {**extra, "verdict": self.verdict(well, remaining)}

    @staticmethod
    def rebooting(outcomes: list[Outcome]) -> bool:
        """Whether a reboot was asked for: what is looked at from then on is a host that goes down."""
        return any(one.action.kind == "reboot" and one.outcome == "done" for one in outcomes)

    @staticmethod
    def for_a_person(findings: list[Finding], acted: bool = False) -> list[str]:
        """A sentence for each cause that keeps the host down until a person decides: waiting for it is of no use.

        acted: what there was to do about them has been done, in vain.
        """
        down = [one for one in findings if one.severity == "down"]
        told = [(one, one.needs_person or (by_id(one.cause).person if acted else "")) for one in down]
        return [f"{one.cause} — {one.evidence}. Needs a person: {person}" for one, person in told if person]

    def verdict(self, well: bool, remaining: list[Finding]) -> str:
        """One sentence for a tired person."""
        if well and not remaining:
            return (
                "the host is well"
                if not self.serious(self.findings)
                else "recovered: " + ladder.summary(self.findings)
            )
        if not remaining:
            return "not well yet, and the cause is unknown: look at checks and the evidence"
        first = remaining[0]
        person = first.needs_person or by_id(first.cause).person
        told = f"{first.cause} — {first.evidence}." + (f" Needs a person: {person}" if person else "")
        return f"k3s serves, but {told}" if well else told

    def tell(self, envelope: Envelope, ended: str = "") -> None:
        """Complete the result by what is known, also that of a preview or of a run that ended early.

        ended: how it ended, in front of what was found.
        """
        envelope.evidence = envelope.evidence or self.bundle
        if self.findings:
            envelope.extra["journal"] = self.journal
        looked = "detect" in envelope.timing
        left = files.given_up(self.actor.marker)
        known = {
            "given_up": left,
            "findings": [one.as_dict() for one in self.findings],
            "needs_person": self.for_a_person(self.findings),
            "verdict": redact_text(ended + (ladder.summary(self.findings) if looked else "nothing yet")),
        }
        envelope.extra = {**known, **envelope.extra}
        for one in left:
            envelope.extra["verdict"] += (
                f"; a repair of the datastore was not completed ({one['why']}): see {one['note']}"
            )


def recover(options: Options, paths: Paths, *, check_mode: bool, deadline_seconds: float, budget: int | None,
            evidence_dir: str, evidence_required: bool = True, commands: Commands | None = None,
            clock: Clock | None = None, lock_wait: float | None = None) -> Envelope:  # fmt: skip
    """Run one recovery and return its envelope; `extra` has findings, remaining, checks, verdict.

    lock_wait: seconds to wait for another recovery on this host; as long as the deadline allows by default.
    """
    clock = clock or Clock()
    deadline = Deadline(clock, deadline_seconds)
    patience = deadline if lock_wait is None else Deadline(clock, lock_wait)
    one = Recovery(
        commands or Commands(),
        paths,
        options,
        clock,
        check_mode=check_mode,
        evidence_dir=evidence_dir,
        evidence_required=evidence_required,
    )
    with only_one(paths.state_dir, check_mode, patience):
        try:
            envelope = run(
                observe=one.observe,
                plan=one.plan,
                act=one.act,
                verify=one.verify,
                check_mode=check_mode,
                clock=clock,
                deadline_seconds=deadline.remaining(),
                budget=budget,
                evidence=one.evidence,
                owed=one.owed,
            )
        except Exception as failure:
            one.tell(failure.envelope, f"not finished: {failure}. Found: ")  # type: ignore[attr-defined]
            raise
    one.tell(envelope)
    return envelope


def options_from(params: dict[str, Any]) -> Options:
    """The Options among a module's parameters."""
    names = {one.name for one in dataclasses.fields(Options)}
    return Options(**{name: params[name] for name in names if params.get(name) is not None})


def paths_from(params: dict[str, Any]) -> Paths:
    """The Paths among a module's parameters."""
    names = {one.name for one in dataclasses.fields(Paths)}
    return Paths(**{name: params[name] for name in names if params.get(name) is not None})
