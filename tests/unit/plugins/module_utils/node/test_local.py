"""The watch acts only on N of M failed probes, and only as often as it may."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.holdfast.k3s.plugins.module_utils.core.clock import FakeClock
from ansible_collections.holdfast.k3s.plugins.module_utils.core.envelope import Envelope
from ansible_collections.holdfast.k3s.plugins.module_utils.node.local import Local, load, main


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Local:
    """A Local whose recoveries are counted instead of done."""
    one = Local({"paths": {"state_dir": str(tmp_path)}}, clock=FakeClock())
    calls: list[int] = []

    def recovered() -> dict[str, Any]:
        calls.append(1)
        return Envelope(verified=True, extra={"verdict": "recovered", "findings": []}).as_dict()

    monkeypatch.setattr(one, "recover", recovered)
    monkeypatch.setattr(one, "remember_sometimes", lambda: None)
    one.calls = calls  # type: ignore[attr-defined]
    return one


def probes(local: Local, monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> None:
    left = list(answers)
    monkeypatch.setattr(local, "symptoms", lambda: left.pop(0))


def test_a_healthy_host_costs_one_probe(local: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    probes(local, monkeypatch, [])
    report = local.watch()
    assert report["verdict"] == "well" and report["probes"] == 1 and not local.calls  # type: ignore[attr-defined]


def test_a_hiccup_is_no_outage(local: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    probes(local, monkeypatch, ["api: no"], [], ["api: no"], [])
    assert "nothing is done" in local.watch()["verdict"]
    assert not local.calls  # type: ignore[attr-defined]


def test_three_of_four_are_an_outage(local: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    probes(local, monkeypatch, ["api: no"], [], ["api: no"], ["api: no"])
    assert local.watch()["recovery"]["verified"] is True
    assert len(local.calls) == 1  # type: ignore[attr-defined]


def test_the_cooldown_and_the_hour_are_kept(local: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = [["api: no"]] * 3
    seen = []
    for minutes in (0, 1, 11, 11, 11, 50):
        local.clock.advance(60 * minutes)  # type: ignore[attr-defined]
        probes(local, monkeypatch, *bad)
        seen.append("recovery" in local.watch())
    assert seen == [True, False, True, True, False, True]


def test_settings_are_optional(tmp_path: Path) -> None:
    assert load(str(tmp_path / "absent.json")) == {}


def test_an_unknown_word_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["dance"])
    assert "invalid choice" in capsys.readouterr().err
