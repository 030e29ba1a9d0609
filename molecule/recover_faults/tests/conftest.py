"""The lab host under test; every fault starts from, and must end in, a host that is well."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT), str(ROOT / "molecule/shared"), str(Path(__file__).parent)]
from as_operator import SYSTEM  # noqa: E402
from harness import CONFIG_FAULT, FULL, recover, rows, well  # noqa: E402

from lab.host import LabHost  # noqa: E402
from tests.scenario import until  # noqa: E402


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Faults that resemble another one stay out of the short run."""
    if not FULL:
        extra = [one for one in items if one.get_closest_marker("slow")]
        config.hook.pytest_deselected(items=extra)
        items[:] = [one for one in items if one not in extra]


@pytest.fixture(scope="session")
def machine() -> LabHost:
    """The host that the scenario raised."""
    return LabHost.get(SYSTEM)


@pytest.fixture
def host(machine: LabHost) -> Iterator[LabHost]:
    """The host, well before the fault; after the test it is brought back, whatever the test did, with the same rows."""
    until("the host well before the fault", lambda: well(machine))
    until("the database answers before the fault", lambda: rows(machine) > 0)
    before = rows(machine)
    yield machine
    if machine.exists(CONFIG_FAULT):
        machine.sudo(["rm", "--force", CONFIG_FAULT])
        machine.sudo(["systemctl", "restart", "--no-block", "k3s"])
        time.sleep(2)
    elif not well(machine):
        recover(machine)
    until("the host well after the fault", lambda: well(machine))
    until("the database answers after the fault", lambda: rows(machine) is not None)
    assert rows(machine) == before, "the fault or its recovery cost rows of PostgreSQL"
