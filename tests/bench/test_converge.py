"""How long the first day takes: role k3s alone and the whole site, first and second run, with a table per task.

    make bench ARGS="-k converge"

Prints seconds; asserts only what must hold on any machine: the second run changes nothing and keeps the k3s process.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import controller
from lab.host import LabHost

ROOT = Path(__file__).resolve().parents[2]
SYSTEM = "songnodes"
RECAP = re.compile(r"^\S+\s*:\s*ok=\d+\s+changed=(\d+)\s+unreachable=0\s+failed=0", re.MULTILINE)
TASK = re.compile(r"^(.+?) -+ +([\d.]+)s$", re.MULTILINE)


@pytest.fixture
def bare_host() -> Iterator[LabHost]:
    """A bare host with the name that the inventory knows; gone afterwards."""
    subprocess.run(["python", "-m", "lab", "down", "--name", SYSTEM], cwd=ROOT, check=True)
    subprocess.run(["python", "-m", "lab", "up", "--name", SYSTEM], cwd=ROOT, check=True)
    host = LabHost.get(SYSTEM)
    yield host
    host.down()


def converge(*arguments: str) -> tuple[float, int, list[tuple[str, float]]]:
    """Run site; return seconds, changed tasks and the slowest tasks."""
    began = time.monotonic()
    done = controller.playbook("holdfast.k3s.site", *arguments, limit=SYSTEM, system=SYSTEM)
    seconds = time.monotonic() - began
    recap = RECAP.search(done.stdout)
    assert done.returncode == 0 and recap, done.stdout[-4000:] + done.stderr[-1000:]
    tasks = [(name.strip(), float(spent)) for name, spent in TASK.findall(done.stdout)]
    return seconds, int(recap.group(1)), tasks


def k3s_process(host: LabHost) -> str:
    """The PID of the running k3s."""
    return host.sudo(["systemctl", "show", "k3s", "-p", "MainPID", "--value"]).out.strip()


@pytest.mark.parametrize("arguments", [("--tags", "k3s"), ()], ids=["role k3s", "site"])
def test_converge(bare_host: LabHost, arguments: tuple[str, ...], request: pytest.FixtureRequest) -> None:
    first, _, first_tasks = converge(*arguments)
    process = k3s_process(bare_host)
    again, changed, again_tasks = converge(*arguments)
    print(f"\n{request.node.callspec.id}: first {first:.1f} s, again {again:.1f} s, {changed} changed")
    for title, tasks in (("first", first_tasks), ("again", again_tasks)):
        for name, seconds in tasks[:10]:
            print(f"    {title:<6} {seconds:6.1f} s  {name}")
    assert changed == 0
    assert k3s_process(bare_host) == process
