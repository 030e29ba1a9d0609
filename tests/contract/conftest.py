"""One host for the whole suite, with k3s put on it by hand as k3s's own installer does: no role takes part.

``CONTRACT_HOST=NAME`` runs the suite on a lab host that runs a k3s already; ``LAB_K3S=PATH`` takes another binary.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from lab import cli
from lab.host import LabHost
from tests.contract.install import install
from tests.contract.k3s import K3s

NAME = "contract"


@pytest.fixture(scope="session")
def k3s() -> Iterator[K3s]:
    """Return a k3s that is ready, on a host of its own (removed afterwards unless CONTRACT_KEEP is set)."""
    given = os.environ.get("CONTRACT_HOST")
    if given:
        yield K3s(LabHost.get(given))
        return
    assert cli.main(["down", "--name", NAME]) == 0
    assert cli.main(["up", "--name", NAME]) == 0
    server = K3s(LabHost.get(NAME))
    install(server)
    yield server
    if not os.environ.get("CONTRACT_KEEP"):
        cli.main(["down", "--name", NAME])


@pytest.fixture(scope="session")
def host(k3s: K3s) -> LabHost:
    """Return the host."""
    return k3s.host
