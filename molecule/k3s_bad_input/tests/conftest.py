"""A bare host of its own, and role k3s run on it with something wrong."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from lab.host import LabHost
from tests.scenario import Play, fresh_host, play

NAME = "badinput"


def role(*arguments: str, **variables: Any) -> Play:
    """Run role k3s on the host."""
    return play(NAME, "--tags", "k3s", *arguments, **variables)


@pytest.fixture(scope="session")
def host() -> Iterator[LabHost]:
    """A bare host; gone afterwards."""
    machine = fresh_host(NAME)
    yield machine
    machine.down()


@pytest.fixture
def refused(host: LabHost) -> Callable[..., str]:
    """Run role k3s, which must fail; returns the output in one line and proves that nothing was put in place."""

    def run(**variables: Any) -> str:
        done = role(**variables)
        assert done.status != 0, done.output[-3000:]
        assert not host.exists("/usr/local/bin/k3s"), "the binary was put in place"
        assert not host.exists("/etc/rancher/k3s/config.yaml"), "the configuration was written"
        left = host.sudo(
            ["sh", "-c", "ls -A /usr/local/bin /var/lib/rancher/k3s/agent/images 2>/dev/null"], check=False
        )
        assert ".holdfast-part" not in left.out, "a temporary file is left"
        assert "k3s-airgap" not in left.out, "images were put in place"
        return done.words

    return run
