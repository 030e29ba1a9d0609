"""Who runs the registry: what podman and each version of Docker print."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.holdfast.k3s.plugins.module_utils.core.command import Result
from ansible_collections.holdfast.k3s.plugins.module_utils.registry import service

ONE = {"Names": "registry", "Image": "docker.io/library/registry:2", "State": "exited"}
PODMAN = [{**ONE, "Names": ["registry"]}, {"Names": ["x"], "Image": "y:1"}]


class Engine:
    """Prints `out` and keeps what it was asked."""

    def __init__(self, out: str) -> None:
        self.out, self.argv = out, []  # type: ignore[var-annotated]

    def run(self, argv: list[str], **_options: Any) -> Result:
        self.argv = argv
        return Result(argv, 0, self.out)


@pytest.mark.parametrize(
    ("engine", "out", "found"),
    [
        ("podman", json.dumps(PODMAN, indent=2), 1),
        ("podman", "[]", 0),
        ("docker", f"{json.dumps(ONE)}\n{json.dumps({'Names': 'x', 'Image': 'y'})}\n", 1),
        ("docker", "", 0),
        ("docker", "json\njson\n", 0),
        ("docker", f"WARNING: something\n{json.dumps(ONE)}\n", 1),
        ("podman", "null", 0),
    ],
)
def test_containers_of_an_engine(monkeypatch: pytest.MonkeyPatch, engine: str, out: str, found: int) -> None:
    monkeypatch.setattr(service.shutil, "which", lambda name: f"/usr/bin/{name}")
    commands: Any = Engine(out)
    expected = [{"name": "registry", "state": "exited", "engine": engine}] * found
    assert service.containers(commands, engine) == expected
    assert commands.argv[-1] == ("{{json .}}" if engine == "docker" else "json")
