"""The host that the scenario converged, and a way to run site on it again as an operator would."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from lab.host import LabHost
from tests.scenario import Play, play

SYSTEM = os.environ.get("HOLDFAST_SYSTEM", "songnodes")


@pytest.fixture(scope="session")
def host() -> LabHost:
    """The lab host of the system under test."""
    return LabHost.get(SYSTEM)


@pytest.fixture(scope="session")
def site() -> Callable[..., Play]:
    """Run site with further arguments; it must succeed."""

    def run(*arguments: str) -> Play:
        return play(SYSTEM, *arguments, system=SYSTEM).ok()

    return run
