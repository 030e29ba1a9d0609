"""The runtime's questions: what is late, and what merely failed."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.holdfast.k3s.plugins.module_utils.core.command import Commands
from ansible_collections.holdfast.k3s.plugins.module_utils.node.catalogue import diagnose
from ansible_collections.holdfast.k3s.plugins.module_utils.node.model import Options
from ansible_collections.holdfast.k3s.plugins.module_utils.node.paths import Paths
from ansible_collections.holdfast.k3s.plugins.module_utils.node.runtime import crictl, timed

sys.path.insert(0, str(Path(__file__).parent))
from sample_facts import facts

FROZEN = (
    'level=fatal msg="validate service connection: rpc error: code = DeadlineExceeded desc = context deadline exceeded '
    'while waiting for connections to become ready"'
)


def ask(tmp_path: Path, script: str, timeout: float = 5) -> dict[str, Any]:
    """The answer of a k3s that does what the script says."""
    binary = tmp_path / "k3s"
    binary.write_text(f"#!/bin/sh\n{script}\n")
    binary.chmod(0o755)
    return timed(Commands(), crictl(Paths(binary=str(binary)), "runp", "x.json", seconds=10), timeout)


@pytest.mark.parametrize(
    "said",
    [
        "no space left on device",
        "socket: too many open files",
        'failed to get sandbox image "pause:3.6": failed to pull image: dial tcp 10.0.0.1:443: i/o timeout',
    ],
)
def test_what_fails_at_once_is_not_late_and_restarts_nothing(tmp_path: Path, said: str) -> None:
    answer = ask(tmp_path, f"echo '{said}' >&2; exit 1")
    assert "--timeout 10s" in answer["error"] and answer["late"] is False
    for where in ("runtime__sandbox", "runtime__cri"):
        found = diagnose(facts(**{where: answer}), Options())
        assert not [action for one in found for action in one.actions], found


def test_crictls_own_deadline_and_ours_are_late(tmp_path: Path) -> None:
    told = ask(tmp_path, f"echo '{FROZEN}' >&2; exit 1")
    began = time.monotonic()
    killed = ask(tmp_path, "exec sleep 30", timeout=0.3)
    assert told["late"] is True and killed["late"] is True and time.monotonic() - began < 10
    assert [one.cause for one in diagnose(facts(runtime__sandbox=told), Options())] == ["CRI-WEDGED"]


def test_a_socket_behind_which_nobody_listens_is_named() -> None:
    refused = {"ok": False, "late": False, "error": "dial unix containerd.sock: connect: connection refused"}
    assert [one.cause for one in diagnose(facts(runtime__cri=refused), Options())] == ["CRI-WEDGED"]
