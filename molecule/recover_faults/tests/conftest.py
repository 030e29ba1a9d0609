"""The lab host under test; every fault starts from, and must end in, a host that is well."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).resolve().parents[3]), str(Path(__file__).parent)]
from harness import CONFIG_FAULT, FULL, recover, wait, well  # noqa: E402

from lab.host import LabHost  # noqa: E402


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Faults that resemble another one stay out of the short run."""
    if not FULL:
        extra = [one for one in items if one.get_closest_marker("slow")]
        config.hook.pytest_deselected(items=extra)
        items[:] = [one for one in items if one not in extra]


@pytest.fixture(scope="session")
def machine() -> LabHost:
    """The host that the scenario raised."""
    return LabHost.get(os.environ.get("HOLDFAST_SYSTEM", "songnodes"))


@pytest.fixture
def host(machine: LabHost) -> Iterator[LabHost]:
    """The host, well before the fault; after the test it is brought back, whatever the test did."""
    wait("the host well before the fault", lambda: well(machine), 120)
    yield machine
    if machine.exists(CONFIG_FAULT):
        machine.sudo(["rm", "--force", CONFIG_FAULT])
        machine.sudo(["systemctl", "restart", "--no-block", "k3s"])
        time.sleep(2)
    elif not well(machine):
        recover(machine)
    wait("the host well after the fault", lambda: well(machine), 150)
