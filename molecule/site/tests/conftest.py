"""The host that the scenario converged, and a way to run site on it again as an operator would."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from lab import controller
from lab.host import LabHost

ROOT = Path(__file__).resolve().parents[3]

SYSTEM = os.environ.get("HOLDFAST_SYSTEM", "songnodes")


@pytest.fixture(scope="session")
def host() -> LabHost:
    """The lab host of the system under test."""
    return LabHost.get(SYSTEM)


@pytest.fixture(scope="session")
def site() -> Callable[..., int]:
    """Run site with further arguments; returns the number of changed tasks."""

    def run(*arguments: str) -> int:
        command = [
            str(Path(sys.executable).parent / "ansible-playbook"),
            "holdfast.k3s.site",
            "--limit",
            SYSTEM,
        ]
        for inventory in (f"inventories/{SYSTEM}", "inventories/lab", ".lab/inventory"):
            command += ["-i", inventory]
        env = controller.environment()
        done = subprocess.run(
            [*command, *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            env=env,
            timeout=900,
            check=False,
        )
        found = re.search(r"changed=(\d+)\s+unreachable=0\s+failed=0", done.stdout)
        assert done.returncode == 0 and found, done.stdout[-4000:] + done.stderr[-1000:]
        return int(found.group(1))

    return run


def until(what: str, check: Callable[[], Any], seconds: float) -> Any:
    """The first truthy answer of check; its last exception or answer when the time is over."""
    deadline = time.monotonic() + seconds
    last: Any = None
    while time.monotonic() < deadline:
        try:
            last = check()
        except Exception as failure:
            last = failure
        if last and not isinstance(last, Exception):
            return last
        time.sleep(1)
    raise AssertionError(f"{what}: not within {seconds:.0f} s, last: {last}")
