"""What systemd and the journal say, in our words."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.holdfast.k3s.plugins.module_utils.node import unit

OLD = ["Starting k3s v1.36.3+k3s1 (66a14f0e)", "old error"]
NEW = ["Starting k3s v1.36.3+k3s1 (66a14f0e)", "new words"]


@pytest.mark.parametrize(
    ("state", "starts"),
    [
        ({"active": "active", "sub": "running", "n_restarts": 4}, 1),
        ({"active": "activating", "sub": "auto-restart", "n_restarts": 4}, 1),
        ({"active": "activating", "sub": "start", "n_restarts": 4}, 2),
        ({"active": "activating", "sub": "start", "n_restarts": 0}, 1),
        ({"active": "failed", "sub": "failed", "n_restarts": 0}, 1),
    ],
)
def test_an_error_of_the_past_is_no_news(state: dict[str, Any], starts: int) -> None:
    assert unit.starts_that_count(state) == starts


def test_lines_of_the_last_starts() -> None:
    assert unit.last_attempts([*OLD, *NEW], 1) == NEW
    assert unit.last_attempts([*OLD, *NEW], 2) == [*OLD, *NEW]
    assert unit.last_attempts(["no start in sight"], 1) == ["no start in sight"]


def test_time_in_activating_is_counted_and_restarts_are_not_needed_for_it() -> None:
    show = unit.parse_show(
        "LoadState=loaded\nActiveState=activating\nSubState=start\nNRestarts=0\nMainPID=9\n"
        "InactiveExitTimestampMonotonic=100000000\nResult=success"
    )
    found = unit.describe(show, uptime=400.0)
    assert found["activating_seconds"] == 300.0 and found["n_restarts"] == 0 and found["main_pid"] == 9
