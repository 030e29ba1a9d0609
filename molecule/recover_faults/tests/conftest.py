"""The lab host under test; every fault starts from, and must end in, a host that is well."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).resolve().parents[3]), str(Path(__file__).parent)]
from harness import FULL, ready, recover, wait  # noqa: E402

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
    wait("node Ready before the fault", lambda: ready(machine), 120)
    yield machine
    machine.sudo(["rm", "--force", "/etc/rancher/k3s/config.yaml.d/zz-fault.yaml"])
    if not ready(machine):
        recover(machine)
        wait("node Ready after the fault", lambda: ready(machine), 120)
