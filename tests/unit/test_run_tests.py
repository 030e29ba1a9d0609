"""The test run: steps in lanes with a family of lab hosts each, and what it says at the end."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import run_tests  # noqa: E402
from steps import STEPS, Step  # noqa: E402


def test_steps_run_side_by_side_and_each_lane_has_its_family(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_tests, "LOGS", tmp_path)
    monkeypatch.setattr(run_tests, "ROOT", tmp_path)
    cleared: list[str] = []

    def clear(lane: Any) -> None:
        cleared.append(lane.environment.get("HOLDFAST_LAB_PREFIX", ""))

    monkeypatch.setattr(run_tests.Lane, "clear", clear)
    monkeypatch.delenv("HOLDFAST_LAB_PREFIX", raising=False)
    # Each of the two waits for the other: one after the other, neither would end well.
    meet = (
        'echo "family=$HOLDFAST_LAB_PREFIX"; touch {0}; for i in $(seq 100); do [ -f {1} ] && exit 0; '
        "sleep 0.1; done; exit 1"
    )
    steps = [
        Step("a", ("sh", "-c", meet.format("a", "b")), "hint"),
        Step("b", ("sh", "-c", meet.format("b", "a")), "hint"),
        Step("bad", ("sh", "-c", "exit 3"), "hint", attempts=2),
    ]
    reports = run_tests.run_all(steps, lanes=2)
    assert [(one.step.name, one.passed, one.attempts) for one in reports] == [
        ("a", True, 1),
        ("b", True, 1),
        ("bad", False, 2),
    ]
    families = {(tmp_path / f"{name}.log").read_text().splitlines()[0] for name in "ab"}
    assert families == {"family=", "family=lane1"}
    assert len(cleared) == 3
    assert "FAILED" in run_tests.table(reports, 1.0)


def test_a_step_waits_for_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_tests, "LOGS", tmp_path)
    monkeypatch.setattr(run_tests, "ROOT", tmp_path)
    monkeypatch.setattr(run_tests.Lane, "clear", lambda _lane: None)
    steps = [
        Step("ground", ("sh", "-c", "sleep 0.3; touch ground"), "hint"),
        Step("house", ("test", "-e", "ground"), "hint", needs="ground"),
        Step("swamp", ("false",), "hint"),
        Step("castle", ("true",), "hint", needs="swamp"),
        Step("alone", ("true",), "hint", needs="left out of this run"),
    ]
    reports = run_tests.run_all(steps, lanes=2)
    assert [(one.passed, one.attempts) for one in reports] == [
        (True, 1),
        (True, 1),
        (False, 1),
        (False, 0),
        (True, 1),
    ]


def test_needed_steps_stand_before_those_that_need_them() -> None:
    names = [step.name for step in STEPS]
    for step in STEPS:
        assert not step.needs or step.needs in names[: names.index(step.name)], step.name


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (
            "\x1b[31mFAILED\x1b[0m tests/test_50_reboot.py::test_a - metrics",
            "FAILED tests/test_50_reboot.py::test_a - metrics",
        ),
        (
            "  \x1b[2m│\x1b[0m \x1b[31mFAILED\x1b[0m tests/test_2.py::test_b - rows",
            "FAILED tests/test_2.py::test_b - rows",
        ),
        ("fatal: [songnodes]: FAILED! => {", "fatal: [songnodes]: FAILED! => {"),
        ("ERROR: plugins/modules/a.py:1:2: bad: worse", "ERROR: plugins/modules/a.py:1:2: bad: worse"),
        ("tests/unit/test_a.py::test_b FAILED   [ 10%]", ""),
        ("TASK [k3s : Start] ***", ""),
    ],
)
def test_reasons_are_the_lines_that_name_a_failure(line: str, told: str) -> None:
    assert run_tests.reasons(f"before\n{line}\nafter") == ([told] if told else [])


def test_last_of_all_stands_what_failed_and_what_failed_at_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_tests, "LOGS", tmp_path)
    monkeypatch.setattr(run_tests, "ROOT", tmp_path)
    monkeypatch.setattr(run_tests.Lane, "clear", lambda _lane: None)
    shaky = "echo 'FAILED a.py::test_x - late'; [ -f again ] || { touch again; exit 1; }"
    steps = [
        Step("shaky", ("sh", "-c", shaky), "hint", attempts=2),
        Step("bad", ("sh", "-c", "exit 3"), "hint"),
        Step("good", ("true",), "hint"),
    ]
    assert run_tests.digest(run_tests.run_all(steps, lanes=1)) == [
        "shaky, attempt 1: FAILED a.py::test_x - late",
        "bad, attempt 1: see bad.log",
    ]
