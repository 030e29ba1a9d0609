# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Errors, deadlines, commands, attempts, progress, and that doc fragments mirror the argument spec pieces."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
import yaml

from ansible_collections.holdfast.k3s.plugins.doc_fragments import cluster, evidence, timing
from ansible_collections.holdfast.k3s.plugins.module_utils.core import argspec
from ansible_collections.holdfast.k3s.plugins.module_utils.core.attempts import Attempts
from ansible_collections.holdfast.k3s.plugins.module_utils.core.clock import Deadline, FakeClock
from ansible_collections.holdfast.k3s.plugins.module_utils.core.command import Commands
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import (
    CommandError,
    DeadlineExceeded,
    HoldfastError,
)
from ansible_collections.holdfast.k3s.plugins.module_utils.core.progress import Progress


def test_an_error_names_field_value_and_fix() -> None:
    assert (
        str(HoldfastError("is too old", field="age", value=3, fix="wait")) == "age = 3: is too old. Fix: wait"
    )
    assert str(HoldfastError("only this")) == "only this"


def test_a_deadline_is_never_negative_and_names_the_work() -> None:
    clock = FakeClock()
    deadline = Deadline(clock, 5)
    deadline.sleep(60)
    assert clock.slept == [5] and deadline.remaining() == 0
    with pytest.raises(DeadlineExceeded, match="5 s passed before this was done: pods"):
        deadline.check("pods")


def test_commands_report_output_and_failure() -> None:
    commands = Commands()
    assert commands.run(["cat"], stdin=b"\xff\x00ok").out_bytes == b"\xff\x00ok"
    assert commands.run(["cat"]).out == ""
    with pytest.raises(CommandError, match=r"exited with 3: oops PASSWORD=\*\*\*") as caught:
        commands.run(["sh", "-c", "echo oops PASSWORD=canary >&2; exit 3"])
    assert caught.value.result.rc == 3
    assert commands.run(["false"], check=False).rc == 1
    assert commands.run(["/nonexistent/x"], check=False).rc == 127
    with pytest.raises(CommandError, match="No such file"):
        commands.run(["/nonexistent/x"])


def test_a_timeout_kills_the_whole_group(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    began = time.monotonic()
    with pytest.raises(CommandError, match="did not end within 1 s"):
        Commands().run(["sh", "-c", f"sleep 300 & echo $! > {pid}; wait"], timeout=1)
    assert time.monotonic() - began < 10
    grandchild = int(pid.read_text())
    for _attempt in range(50):
        stat = Path(f"/proc/{grandchild}/stat")
        if not stat.exists() or stat.read_text().rsplit(")", 1)[1].split()[0] == "Z":
            return
        time.sleep(0.1)
    os.kill(grandchild, 9)
    pytest.fail("the grandchild outlived its group")


def test_attempts_have_a_cooldown_and_a_limit(tmp_path: Path) -> None:
    clock = FakeClock()
    attempts = Attempts(str(tmp_path / "a" / "attempts.jsonl"), clock)
    assert attempts.allowed("restart", 60, 3) == (True, "")
    attempts.record("restart", "done", pid=7)
    clock.advance(59)
    assert attempts.allowed("restart", 60, 3)[1] == "restart was tried 59 s ago; the cooldown is 60 s"
    assert attempts.allowed("reap", 60, 3)[0]
    for _n in range(2):
        clock.advance(61)
        attempts.record("restart", "failed")
    clock.advance(61)
    assert "3 times in the last hour" in attempts.allowed("restart", 60, 3)[1]
    clock.advance(3600)
    assert attempts.allowed("restart", 60, 3)[0]
    assert len(attempts.history("restart")) == 3
    assert (tmp_path / "a" / "attempts.jsonl").stat().st_mode & 0o777 == 0o600


def test_a_damaged_journal_does_not_block_recovery(tmp_path: Path) -> None:
    path = tmp_path / "attempts.jsonl"
    path.write_text('{"at": "torn\n[]\n{"what": "x"}\n')
    attempts = Attempts(str(path), FakeClock())
    assert attempts.allowed("x", 60, 1)[0]
    attempts.record("x", "done")
    assert not attempts.allowed("x", 60, 1)[0]


def test_progress_speaks_in_lines_and_never_fails(tmp_path: Path) -> None:
    path = tmp_path / "p" / "job.jsonl"
    Progress(str(path), FakeClock()).report("tables", 12, 40, eta=3)
    line = json.loads(path.read_text())
    assert (line["phase"], line["percent"], line["eta"]) == ("tables", 30.0, 3)
    Progress(None).report("x")
    Progress("/proc/nowhere/x").report("x")


@pytest.mark.parametrize(
    ("fragment", "piece"),
    [(cluster, argspec.CLUSTER), (timing, argspec.TIMING), (evidence, argspec.EVIDENCE)],
)
def test_doc_fragments_mirror_the_argument_spec(fragment: object, piece: dict) -> None:
    options = yaml.safe_load(fragment.ModuleDocFragment.DOCUMENTATION)["options"]  # type: ignore[attr-defined]
    shown = {n: {k: v for k, v in o.items() if k in ("type", "default")} for n, o in options.items()}
    assert shown == piece
