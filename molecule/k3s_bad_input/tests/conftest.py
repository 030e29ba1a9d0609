"""A bare host of its own, and role k3s run on it with something wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from lab import controller
from lab.host import LabHost

ROOT = Path(__file__).resolve().parents[3]

NAME = "badinput"


def play(*arguments: str, playbook: str = "holdfast.k3s.site", **variables: Any) -> tuple[int, str]:
    """Run a playbook on the host; returns exit status and output."""
    command = [str(Path(sys.executable).parent / "ansible-playbook"), playbook, "--limit", NAME]
    command += ["-i", "inventories/lab", "-i", ".lab/inventory", *arguments]
    command += ["-e", json.dumps(variables)] if variables else []
    env = controller.environment()
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, env=env, timeout=900, check=False
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="session")
def host() -> Iterator[LabHost]:
    """A bare host; gone afterwards."""
    subprocess.run([sys.executable, "-m", "lab", "down", "--name", NAME], cwd=ROOT, check=False, timeout=120)
    machine = LabHost.up(NAME)
    yield machine
    machine.down()


@pytest.fixture
def refused(host: LabHost) -> Callable[..., str]:
    """Run role k3s, which must fail; returns the output and proves that nothing was put in place."""

    def run(**variables: Any) -> str:
        status, output = play("--tags", "k3s", **variables)
        assert status != 0, output[-3000:]
        assert not host.exists("/usr/local/bin/k3s"), "the binary was put in place"
        assert not host.exists("/etc/rancher/k3s/config.yaml"), "the configuration was written"
        left = host.sudo(
            ["sh", "-c", "ls -A /usr/local/bin /var/lib/rancher/k3s/agent/images 2>/dev/null"], check=False
        )
        assert ".holdfast-part" not in left.out, "a temporary file is left"
        assert "k3s-airgap" not in left.out, "images were put in place"
        return output

    return run
