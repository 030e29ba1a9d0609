"""The converged host and its database."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "shared"))

from database import SYSTEM, Database

from lab.host import LabHost


@pytest.fixture(scope="session")
def host() -> LabHost:
    """The host that the scenario converged."""
    return LabHost.get(SYSTEM)


@pytest.fixture(scope="session")
def database(host: LabHost) -> Database:
    """Its database, as it is."""
    found = Database(host)
    return found
