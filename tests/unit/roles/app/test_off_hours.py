"""The off-hours script: what a schedule said last, and what is changed in a Deployment."""

from __future__ import annotations

import importlib.util
import json
import sys
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any
from zoneinfo import ZoneInfo

import pytest

SCRIPT = Path(__file__).resolve().parents[4] / "roles/app/files/off_hours.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("off_hours_script", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def at(text: str, zone: str = "Etc/UTC") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


@pytest.mark.parametrize(
    ("expression", "now", "wanted"),
    [
        ("0 20 * * *", "2026-11-26 20:00", "2026-11-26 20:00"),
        ("0 20 * * *", "2026-11-26 19:59", "2026-11-25 20:00"),
        ("0 20 * * 1-5", "2026-11-29 12:00", "2026-11-27 20:00"),  # Sunday noon: Friday evening
        ("0 20 * * 0", "2026-11-30 12:00", "2026-11-29 20:00"),
        ("0 20 * * 7", "2026-11-30 12:00", "2026-11-29 20:00"),
        ("*/20 8-10 * * *", "2026-11-26 12:00", "2026-11-26 10:40"),
        ("15,45 6 1 * *", "2026-11-26 12:00", "2026-11-01 06:45"),
        ("0 0 29 2 *", "2026-11-26 12:00", "1970-01-01 00:00"),
        ("0 0 1 * 5", "2026-11-28 12:00", "2026-11-27 00:00"),  # either of day and weekday
    ],
)
def test_last(script: ModuleType, expression: str, now: str, wanted: str) -> None:
    assert script.last(expression, at(now)) == at(wanted)


@pytest.mark.req("SC-98")
@pytest.mark.parametrize(
    ("now", "wanted"),
    [
        ("2026-11-26 12:00", "up"),
        ("2026-11-26 20:00", "down"),
        ("2026-11-27 05:59", "down"),
        ("2026-11-27 06:00", "up"),
        ("2026-11-29 12:00", "down"),  # a Sunday
    ],
)
def test_phase(script: ModuleType, now: str, wanted: str) -> None:
    assert script.phase("0 20 * * 1-5", "0 6 * * 1-5", at(now, "Europe/Berlin")) == wanted


def deployment(replicas: int, recorded: str | None = None) -> dict[str, Any]:
    notes = {"holdfast.dev/off-hours-replicas": recorded} if recorded else {}
    return {"metadata": {"resourceVersion": "7", "annotations": notes}, "spec": {"replicas": replicas}}


@pytest.mark.parametrize(
    ("replicas", "recorded", "direction", "wanted"),
    [
        (3, None, "down", (0, "3")),
        (0, None, "down", None),
        (0, "3", "down", None),
        (2, "3", "down", (0, "2")),
        (0, "3", "up", (3, None)),
        (2, "3", "up", (2, None)),  # somebody woke it with two
        (0, None, "up", None),  # somebody put it to zero himself
        (2, None, "up", None),
    ],
)
def test_change(
    script: ModuleType,
    replicas: int,
    recorded: str | None,
    direction: str,
    wanted: tuple[int, str | None] | None,
) -> None:
    patch, words = script.change(deployment(replicas, recorded), direction)
    if wanted is None:
        assert (patch, words) == ({}, "")
    else:
        assert patch["spec"]["replicas"] == wanted[0]
        assert patch["metadata"]["annotations"] == {"holdfast.dev/off-hours-replicas": wanted[1]}
        assert patch["metadata"]["resourceVersion"] == "7", "nobody's change in between is lost"


def test_it_acts_once_per_phase(script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = tmp_path / "settings.json"
    schedule = {"down": "0 20 * * *", "up": "0 6 * * *", "time_zone": "Etc/UTC"}
    settings.write_text(json.dumps({"name": "shop", "namespace": "shop", "deployments": ["web"], **schedule}))
    asked: list[str] = []
    phases = iter(["up", "down", "down", "up", "down"])
    monkeypatch.setattr(script, "STATE", tmp_path / "state")
    monkeypatch.setattr(script, "phase", lambda *_given: next(phases))
    monkeypatch.setattr(script, "act", lambda _settings, direction: asked.append(direction) or [])
    monkeypatch.setattr(sys, "argv", ["off-hours", str(settings)])
    assert [script.main() for _turn in range(4)] == [0, 0, 0, 0]
    assert asked == ["up", "down", "up"]
    monkeypatch.setattr(sys, "argv", ["off-hours", str(settings), "up"])
    assert script.main() == 0
    assert asked[-1] == "up", "by hand, in the middle of the night"


def test_a_failure_is_said_and_tried_again(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = tmp_path / "settings.json"
    settings.write_text(
        json.dumps(
            {
                "name": "shop",
                "deployments": [],
                "down": "0 20 * * *",
                "up": "0 6 * * *",
                "time_zone": "Etc/UTC",
            }
        )
    )
    monkeypatch.setattr(script, "STATE", tmp_path / "state")
    monkeypatch.setattr(script, "act", lambda _settings, _direction: ["web: no connection"])
    monkeypatch.setattr(sys, "argv", ["off-hours", str(settings)])
    assert script.main() == 1
    assert "web: no connection" in capsys.readouterr().err
    assert not (tmp_path / "state/shop").exists()
