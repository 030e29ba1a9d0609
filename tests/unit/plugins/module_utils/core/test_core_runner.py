# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The runner: previews change nothing, evidence comes first, every ending keeps the partial envelope."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.holdfast.k3s.plugins.module_utils.core.clock import FakeClock
from ansible_collections.holdfast.k3s.plugins.module_utils.core.envelope import Envelope
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import (
    DeadlineExceeded,
    EvidenceError,
    HoldfastError,
    Refused,
)
from ansible_collections.holdfast.k3s.plugins.module_utils.core.plan import Action, Outcome
from ansible_collections.holdfast.k3s.plugins.module_utils.core.runner import run


class Story:
    """Records the order of everything; each action may have a scripted failure."""

    def __init__(self, actions: list[Action], failures: dict[str, Exception] | None = None) -> None:
        self.actions, self.failures, self.log = actions, failures or {}, []
        self.clock = FakeClock()

    def run(self, **options: Any) -> Envelope:
        defaults: dict[str, Any] = {"check_mode": False, "deadline_seconds": 60, "budget": None}
        return run(
            observe=lambda: self.log.append("observe"),
            plan=lambda facts: self.actions,
            act=self.act,
            verify=self.verify,
            clock=self.clock,
            evidence=self.evidence,
            **{**defaults, **options},
        )

    def act(self, action: Action, context: Any) -> dict[str, Any]:
        self.log.append(action.target)
        self.clock.advance(10)
        if action.target in self.failures:
            raise self.failures[action.target]
        return {"saw": context.evidence}

    def verify(self, facts: Any, outcomes: list[Outcome]) -> tuple[bool, dict[str, Any]]:
        self.log.append("verify")
        return True, {"diff": {"before": "a", "after": "b"}, "note": 1}

    def evidence(self, facts: Any, actions: list[Action]) -> str:
        self.log.append("evidence")
        return "/e"


def action(name: str, **kw: Any) -> Action:
    return Action("do", name, "because", **kw)


def outcomes(envelope: Envelope) -> list[str]:
    return [o.outcome for o in envelope.actions]


def test_check_mode_ends_after_the_plan() -> None:
    story = Story([action("a", destructive=True)])
    envelope = story.run(check_mode=True)
    assert story.log == ["observe"]
    assert (envelope.changed, outcomes(envelope), envelope.verified) == (True, [], None)
    assert Story([action("note", risk="none")]).run(check_mode=True).changed is False


def test_evidence_comes_before_the_first_action_and_only_for_destruction() -> None:
    story = Story([action("a"), action("b", destructive=True)])
    envelope = story.run()
    assert story.log == ["observe", "evidence", "a", "b", "verify"]
    assert envelope.evidence == "/e" and envelope.actions[0].detail == {"saw": "/e"}
    assert envelope.as_dict()["diff"] == {"before": "a", "after": "b"} and envelope.as_dict()["note"] == 1
    harmless = Story([action("a")])
    assert harmless.run().evidence is None and "evidence" not in harmless.log


def test_no_evidence_no_action() -> None:
    story = Story([action("a", destructive=True)])

    def fail(facts: Any, actions: list[Action]) -> str:
        raise EvidenceError("cannot be written")

    story.evidence = fail  # type: ignore[method-assign]
    with pytest.raises(EvidenceError) as caught:
        story.run()
    assert story.log == ["observe"]
    assert [a.target for a in caught.value.envelope.plan] == ["a"]


def test_one_failure_does_not_stop_the_rest() -> None:
    story = Story([action("a"), action("b"), action("c")], {"a": HoldfastError("no"), "b": Refused("lives")})
    envelope = story.run()
    assert outcomes(envelope) == ["failed", "refused", "done"]
    assert envelope.changed and envelope.actions[0].seconds == 10
    stopped = Story([action("a"), action("b")], {"a": HoldfastError("no")}).run(stop_on_failure=True)
    assert outcomes(stopped) == ["failed", "skipped"] and not stopped.changed


def test_a_ladder_stops_at_the_rung_that_helped() -> None:
    envelope = Story([action("a"), action("b"), action("c")]).run(after=lambda o: o.action.target == "b")
    assert outcomes(envelope) == ["done", "done", "skipped"]
    assert "not needed" in str(envelope.actions[2].error)


@pytest.mark.parametrize("workers", [1, 4])
def test_budget_counts_changes_only(workers: int) -> None:
    story = Story([action("a"), action("n", risk="none"), action("b"), action("m", risk="none")])
    envelope = story.run(budget=1, workers=workers)
    assert [(o.action.target, o.outcome) for o in envelope.actions] == [
        ("a", "done"),
        ("n", "done"),
        ("m", "done"),
        ("b", "skipped"),
    ]
    assert Story([action("a")]).run(budget=0).changed is False
    assert Story([action("a")]).run(budget=0, check_mode=True).changed is False


def test_the_deadline_ends_the_run_with_what_was_done() -> None:
    story = Story([action(n) for n in "abc"])
    with pytest.raises(DeadlineExceeded, match="do c") as caught:
        story.run(deadline_seconds=15)
    assert outcomes(caught.value.envelope) == ["done", "done"] and caught.value.envelope.changed
    many = Story([action(n) for n in "abc"])
    many.clock.advance(0)
    with pytest.raises(DeadlineExceeded) as caught:
        many.run(deadline_seconds=0, workers=2)
    assert outcomes(caught.value.envelope) == ["skipped"] * 3


def test_a_bug_keeps_the_partial_envelope() -> None:
    story = Story([action("a"), action("b")], {"b": KeyError("x")})
    with pytest.raises(KeyError) as caught:
        story.run()
    assert outcomes(caught.value.envelope) == ["done", "failed"]  # type: ignore[attr-defined]
    assert "verify" not in story.log


def test_workers_keep_the_order_of_the_plan() -> None:
    envelope = Story([action(str(n)) for n in range(20)]).run(workers=8, deadline_seconds=10**6)
    assert [o.action.target for o in envelope.actions] == [str(n) for n in range(20)]


def test_it_says_when_the_plan_stood_and_when_all_was_over() -> None:
    story = Story([action("a"), action("b")])
    assert story.run().timing == {"detect": 0, "seconds": 20}
    assert "detect" in story.run(check_mode=True).timing
    story.failures = {"b": RuntimeError("bug")}
    with pytest.raises(RuntimeError) as ended:
        story.run()
    assert ended.value.envelope.timing["seconds"] == 20  # type: ignore[attr-defined]


def test_what_is_owed_runs_however_the_actions_ended() -> None:
    plan = [action("stop"), action("work"), action("start")]

    def owed(done: list[Outcome]) -> Action | None:
        return (
            plan[2]
            if [o.outcome for o in done if o.action.target != "work"][:2] != ["done", "done"]
            else None
        )

    story = Story(plan)
    assert outcomes(story.run(owed=owed)) == ["done", "done", "done"] and story.log.count("start") == 1
    poor = Story(plan).run(owed=owed, budget=1)
    assert [(o.action.target, o.outcome) for o in poor.actions] == [
        ("stop", "done"),
        ("work", "skipped"),
        ("start", "done"),
    ]
    for failures, seconds in (({"work": KeyError("bug")}, 60), ({}, 15), ({"start": Refused("no")}, 15)):
        late = Story(plan, failures)
        with pytest.raises((DeadlineExceeded, KeyError)) as ended:
            late.run(owed=owed, deadline_seconds=seconds)
        last = ended.value.envelope.actions[-1]  # type: ignore[attr-defined, union-attr]
        assert last.action.target == "start" and late.log[-1] == "start"
