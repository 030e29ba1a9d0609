"""Single actions: what they leave behind, and what they must not make worse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.holdfast.k3s.plugins.module_utils.core.clock import FakeClock
from ansible_collections.holdfast.k3s.plugins.module_utils.core.command import Result
from ansible_collections.holdfast.k3s.plugins.module_utils.node import act, host_act
from ansible_collections.holdfast.k3s.plugins.module_utils.node.model import GENTLE, Options, step
from ansible_collections.holdfast.k3s.plugins.module_utils.node.paths import Paths


class Asked:
    """Commands that succeed and are remembered with their environment."""

    def __init__(self) -> None:
        self.calls: list[tuple[list[str], dict[str, str]]] = []

    def run(self, argv: list[str], env: dict[str, str] | None = None, **_options: Any) -> Result:
        self.calls.append((argv, env or {}))
        return Result(argv, 0)


def actor(folder: Path) -> act.Actor:
    commands: Any = Asked()
    return act.Actor(commands, Paths(data_dir=str(folder)), Options(), FakeClock())


@pytest.mark.parametrize(("known", "left"), [({"a:1": {}}, ["meta"]), ({}, ["blobs", "meta"])])
def test_a_reset_lets_go_of_its_content_once_nothing_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: dict[str, Any], left: list[str]
) -> None:
    """Where nobody wrote down what there was, nobody can say so: the blobs stay."""
    one = actor(tmp_path)
    Path(one.paths.state_dir).mkdir(parents=True, exist_ok=True)
    Path(one.paths.state_dir, "images.json").write_text(json.dumps(known))
    missing = [["a:1"], []]
    imports: list[str] = []

    def restore(_commands: Any, _paths: Paths, folder: str) -> dict[str, Any]:
        imports.append(folder)
        return {"restored": [], "missing": missing.pop(0)}

    monkeypatch.setattr(act.images, "restore", restore)
    monkeypatch.setattr(one.service, "start", lambda: {"ready_after": 1})
    reset = Path(one.paths.aside, "20260101T000000Z-containerd")
    (reset / "blobs").mkdir(parents=True)
    (reset / "blobs" / "abc").touch()
    (reset / "restore").touch()
    (reset / "meta").touch()
    start = step("start_unit", "k3s", "w", GENTLE)
    assert one.run(start)["missing"] == ["a:1"] and (reset / "blobs" / "abc").exists()
    assert one.run(start)["missing"] == []
    assert sorted(path.name for path in reset.iterdir()) == left, "the damaged metadata stays"
    assert one.run(start) == {"ready_after": 1} and len(imports) == 2


def test_killall_is_told_where_k3s_keeps_its_data(tmp_path: Path) -> None:
    one = actor(tmp_path)
    one.run(step("killall", "k3s-killall.sh", "w", GENTLE))
    asked: Any = one.commands
    assert asked.calls == [(["/usr/local/bin/k3s-killall.sh"], {"K3S_DATA_DIR": str(tmp_path)})]


@pytest.mark.parametrize(
    ("instances", "watches", "expected"),
    [(128, 8192, (8192, 524288)), (16384, 1048576, (16384, 1048576)), (8192, 100, (8192, 524288))],
    ids=str,
)
def test_inotify_limits_are_never_lowered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, instances: int, watches: int, expected: tuple[int, int]
) -> None:
    monkeypatch.setattr(host_act, "INOTIFY", str(tmp_path), raising=False)
    monkeypatch.setattr(host_act, "SYSCTL_FILE", str(tmp_path / "90.conf"))
    (tmp_path / "max_user_instances").write_text(f"{instances}\n")
    (tmp_path / "max_user_watches").write_text(f"{watches}\n")
    told = actor(tmp_path).run(step("raise_inotify", "w", "w", GENTLE))
    assert told == {"max_user_instances": expected[0]}
    assert int((tmp_path / "max_user_instances").read_text()) == expected[0]
    written = (tmp_path / "90.conf").read_text()
    assert f"max_user_instances = {expected[0]}\n" in written
    assert f"max_user_watches = {expected[1]}\n" in written
