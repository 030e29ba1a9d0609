"""Run modules and playbooks on the lab host as an operator would, and read what they left."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

from lab import controller
from lab.host import LabHost

ROOT = Path(__file__).resolve().parents[2]
SYSTEM = os.environ.get("HOLDFAST_SYSTEM", "songnodes")


def run_module(name: str, check: bool = False, timeout: float = 900, **options: Any) -> dict[str, Any]:
    """One of our modules on the host; a failed one has `failed: true`."""
    return controller.module(name, SYSTEM, options, check, timeout)


def run_play(name: str, *arguments: str, **extra: Any) -> subprocess.CompletedProcess[str]:
    """One of our playbooks with the system's inventories."""
    return controller.playbook(
        f"holdfast.k3s.{name}", *arguments, limit=SYSTEM, system=SYSTEM, variables=extra
    )


def changed(output: str) -> int:
    """Number of changed tasks in a recap without failures."""
    found = re.search(
        rf"^{SYSTEM}\s*: ok=\d+\s+changed=(\d+)\s+unreachable=0\s+failed=0", output, re.MULTILINE
    )
    assert found, output[-5000:]
    return int(found.group(1))


def report(host: LabHost, output: str) -> tuple[dict[str, Any], str]:
    """The timeline as JSON and as a page, from where a playbook's output says that it is."""
    found = re.search(r"page: (\S+)/timeline\.html", output)
    assert found, output[-5000:]
    folder = found.group(1)
    return json.loads(host.read(f"{folder}/timeline.json")), host.read(f"{folder}/timeline.html")
