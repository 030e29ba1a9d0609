"""The host that will be lost, and the place that stays: a real S3 server beside the lab's mirror."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "shared"))

from database import SYSTEM

from lab import mirror, offsite, podman
from lab.host import LabHost

ACCESS, SECRET = "holdfast-access", "CANARY-s3-secret-91ab"


@pytest.fixture(scope="session")
def host() -> LabHost:
    """The host that the scenario converged."""
    return LabHost.get(SYSTEM)


@pytest.fixture(scope="session")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of an S3 server that outlives the host."""
    data = tmp_path_factory.mktemp("s3")
    (data / "backups").mkdir()
    with socket.socket() as probe:
        probe.bind((podman.gateway(), 0))
        port = probe.getsockname()[1]
    address = f"{podman.gateway()}:{port}"
    server = subprocess.Popen(
        [str(offsite.server()), "--port", address, "posix", str(data)],
        env={**os.environ, "ROOT_ACCESS_KEY": ACCESS, "ROOT_SECRET_KEY": SECRET},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    end = time.monotonic() + 30
    while time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex((podman.gateway(), port)) == 0:
                break
        time.sleep(0.1)
    else:
        server.kill()
        raise AssertionError("the S3 server does not answer")
    yield f"http://{address}"
    server.terminate()
    server.wait(timeout=10)


@pytest.fixture(scope="session")
def offsite_image() -> dict[str, str]:
    """The image with restic, as an entry of registry_images."""
    return {"ref": offsite.REFERENCE, "src": f"{mirror.url()}/images/offsite.tar"}
