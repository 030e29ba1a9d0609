# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""observe → plan → act → verify: the one way in which a module touches a live system."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Callable, Optional

from ansible_collections.holdfast.k3s.plugins.module_utils.core.clock import Clock, Deadline
from ansible_collections.holdfast.k3s.plugins.module_utils.core.envelope import Envelope
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import (
    DeadlineExceeded,
    HoldfastError,
    PreconditionFailed,
    Refused,
)
from ansible_collections.holdfast.k3s.plugins.module_utils.core.plan import Action, Outcome


@dataclass
class Context:
    """What act() gets beside its action. facts: as observed. evidence: path of the sealed bundle or None."""

    clock: Clock
    deadline: Deadline
    facts: Any = None
    evidence: Optional[str] = None


def run(
    *,
    observe: Callable[[], Any],
    plan: Callable[[Any], list[Action]],
    act: Callable[[Action, Context], Any],
    verify: Callable[[Any, list[Outcome]], tuple[bool, dict[str, Any]]],
    check_mode: bool,
    clock: Clock,
    deadline_seconds: float,
    budget: Optional[int],
    evidence: Optional[Callable[[Any, list[Action]], Optional[str]]] = None,
    stop_on_failure: bool = False,
    workers: int = 1,
    after: Optional[Callable[[Outcome], bool]] = None,
    owed: Optional[Callable[[list[Outcome]], Optional[Action]]] = None,
) -> Envelope:
    """Run the four steps and return the envelope.

    act: returns a detail dict, an Outcome (to say 'skipped' itself) or None.
    verify: (verified, extra); a key 'diff' of extra becomes the envelope's diff. Also runs when nothing was planned.
    budget: how many changing actions may run; None for no limit. The rest is reported as skipped.
    evidence: called once with (facts, selected actions), before the first action, if one of them is destructive;
        returns the bundle's path; an exception from it means that nothing is touched.
    stop_on_failure: skip the rest after the first failed or refused action (a ladder of dependent steps).
    workers: how many actions run at the same time; results keep the plan's order.
    after: called after each action (workers 1 only); True skips the rest (a ladder that is healthy again).
    owed: asked with the outcomes once the actions are over, however they ended, for the one that must still run because
        an earlier one began what only it ends (a start after a stop): neither budget nor deadline holds it back.

    Refused and PreconditionFailed become outcome 'refused', another HoldfastError 'failed'; DeadlineExceeded and
    everything else end the run. Every exception carries the partial envelope as `exc.envelope`.
    """
    envelope = Envelope()
    deadline = Deadline(clock, deadline_seconds)
    try:
        context = Context(clock, deadline)
        facts = context.facts = observe()
        envelope.plan = list(plan(facts))
        envelope.timing["detect"] = round(deadline.elapsed(), 2)
        if check_mode:
            envelope.changed = any(action.changes for action in envelope.plan[:budget] if budget != 0)
            return envelope
        selected, skipped = _within_budget(envelope.plan, budget)
        if evidence is not None and any(action.destructive for action in selected):
            envelope.evidence = context.evidence = evidence(facts, selected)
        try:
            if workers > 1 and len(selected) > 1:
                _together(selected, act, context, envelope, workers)
            else:
                _in_order(selected, act, context, envelope, stop_on_failure, after)
        finally:
            envelope.actions.extend(skipped)
            _pay(owed, act, context, envelope)
            envelope.changed = any(o.outcome == "done" and o.action.changes for o in envelope.actions)
        verified, extra = verify(facts, envelope.actions)
        extra = dict(extra)
        envelope.diff = extra.pop("diff", None)
        envelope.verified = verified
        envelope.extra.update(extra)
        return envelope
    except Exception as failure:
        failure.envelope = envelope  # type: ignore[attr-defined]
        raise
    finally:
        envelope.timing["seconds"] = round(deadline.elapsed(), 2)


def _within_budget(plan: list[Action], budget: Optional[int]) -> tuple[list[Action], list[Outcome]]:
    selected: list[Action] = []
    skipped: list[Outcome] = []
    used = 0
    for action in plan:
        if action.changes and budget is not None and used >= budget:
            skipped.append(Outcome(action, "skipped", error=f"the budget of {budget} actions is used up"))
            continue
        used += action.changes
        selected.append(action)
    return selected, skipped


def _in_order(
    actions: list[Action],
    act: Callable[[Action, Context], Any],
    context: Context,
    envelope: Envelope,
    stop_on_failure: bool,
    after: Optional[Callable[[Outcome], bool]],
) -> None:
    reason = ""
    for action in actions:
        if reason:
            envelope.actions.append(Outcome(action, "skipped", error=reason))
            continue
        context.deadline.check(f"{action.kind} {action.target}")
        outcome, fatal = _one(action, act, context)
        envelope.actions.append(outcome)
        if fatal is not None:
            raise fatal
        if stop_on_failure and outcome.outcome in ("failed", "refused"):
            reason = f"{action.kind} {action.target} {outcome.outcome} before it"
        elif after is not None and after(outcome):
            reason = f"not needed after {action.kind} {action.target}"


def _pay(
    owed: Optional[Callable[[list[Outcome]], Optional[Action]]],
    act: Callable[[Action, Context], Any],
    context: Context,
    envelope: Envelope,
) -> None:
    """Run the action that is owed; its failure is told by its outcome and hides nothing that ended the run before."""
    action = owed(envelope.actions) if owed is not None else None
    if action is None:
        return
    outcome, _fatal = _one(action, act, context)
    envelope.actions = [one for one in envelope.actions if one.action is not action] + [outcome]


def _together(
    actions: list[Action],
    act: Callable[[Action, Context], Any],
    context: Context,
    envelope: Envelope,
    workers: int,
) -> None:
    def guarded(action: Action) -> tuple[Outcome, Optional[Exception]]:
        if context.deadline.expired():
            return Outcome(action, "skipped", error="the deadline passed before its turn"), None
        return _one(action, act, context)

    with ThreadPoolExecutor(max_workers=workers) as pool:
        results = list(pool.map(guarded, actions))
    envelope.actions.extend(outcome for outcome, _fatal in results)
    for _outcome, fatal in results:
        if fatal is not None:
            raise fatal
    if any(o.outcome == "skipped" and "deadline" in (o.error or "") for o, _fatal in results):
        context.deadline.check(f"{len(actions)} actions")


def _one(
    action: Action, act: Callable[[Action, Context], Any], context: Context
) -> tuple[Outcome, Optional[Exception]]:
    """The outcome of one action, and the exception that must end the run, if there was one."""
    began = context.clock.monotonic()
    outcome = Outcome(action)
    fatal: Optional[Exception] = None
    try:
        answer = act(action, context)
        if isinstance(answer, Outcome):
            outcome = answer
        elif answer:
            outcome.detail = dict(answer)
    except (Refused, PreconditionFailed) as refusal:
        outcome.outcome, outcome.error = "refused", str(refusal)
    except DeadlineExceeded as late:
        outcome.outcome, outcome.error, fatal = "failed", str(late), late
    except HoldfastError as failure:
        outcome.outcome, outcome.error = "failed", str(failure)
    except Exception as bug:
        outcome.outcome, outcome.error, fatal = "failed", f"{type(bug).__name__}: {bug}", bug
    outcome.seconds = context.clock.monotonic() - began
    return outcome, fatal
