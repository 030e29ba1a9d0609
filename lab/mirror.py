"""The artifact mirror: what a k3s release site, a folder of images and a Debian repository offer, over HTTP."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from lab import podman
from lab.cache import locked
from lab.errors import LabError
from lab.paths import CHECKOUT, MIRROR, STATE

VERSION = "v1.36.3+k3s1"


@dataclass(frozen=True)
class Address:
    """Where the mirror listens; ``pid`` is the server's, 0 before its first start."""

    address: str
    port: int
    pid: int = 0


_RECORD = STATE / "mirror.json"
_PORTS = range(23000, 23900)


def k3s_folder() -> Path:
    """Return the folder of the k3s release."""
    return MIRROR / "k3s" / VERSION


def url() -> str:
    """Return the mirror's address as lab hosts see it; the port is this checkout's own, chosen once."""
    recorded = _recorded()
    return f"http://{recorded.address}:{recorded.port}"


def variables() -> dict[str, str]:
    """Return the inventory's values: address, version and the checksums of what the mirror holds now."""
    found = {"lab_mirror_url": url(), "lab_k3s_version": VERSION}
    for line in _sums().splitlines():
        digest, name = line.split()
        if name == "k3s":
            found["lab_k3s_sha256"] = digest
        if name.startswith("k3s-airgap-images"):
            found["lab_images_sha256"] = digest
    return found


def _sums() -> str:
    sums = k3s_folder() / "sha256sum-amd64.txt"
    return sums.read_text() if sums.exists() else ""


def serve() -> None:
    """See to it that the mirror answers; a server that died is started again."""
    recorded = _recorded()
    with locked(STATE / ".mirror.lock"):
        if _answers(recorded.port):
            return
        _end_server(recorded.pid)
        MIRROR.mkdir(parents=True, exist_ok=True)
        with (STATE / "mirror.log").open("a") as log:
            server = subprocess.Popen(
                [sys.executable, "-m", "lab.mirror_server", str(MIRROR), recorded.address, str(recorded.port)],
                cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
            )  # fmt: skip
        _save(replace(recorded, pid=server.pid))
        deadline = time.monotonic() + 10
        while not _answers(recorded.port):
            if time.monotonic() > deadline or server.poll() is not None:
                raise LabError(f"the artifact mirror did not start, see {STATE / 'mirror.log'}")
            time.sleep(0.05)


def stop() -> None:
    """End the mirror's server."""
    if _RECORD.exists():
        _end_server(_recorded().pid)


def _mark() -> str:
    """Return a word that tells this family's mirror from any other server on the port."""
    return hashlib.sha256(str(STATE).encode()).hexdigest()[:16]


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/.lab-mirror", timeout=3) as answer:
            return bool(answer.read().decode().strip() == _mark())
    except (OSError, urllib.error.URLError, ValueError):
        return False


def _end_server(pid: int) -> None:
    if not pid:
        return
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if b"lab.mirror_server" in words and str(MIRROR).encode() in words:
            os.kill(pid, signal.SIGTERM)
            time.sleep(0.2)
    except OSError:
        return


def _save(found: Address) -> None:
    fresh = _RECORD.with_suffix(".new")
    fresh.write_text(json.dumps(asdict(found)) + "\n")
    fresh.replace(_RECORD)


def _recorded() -> Address:
    """Return address, port and pid; the first call of a checkout chooses the port."""
    with locked(STATE / ".mirror-record.lock"):
        try:
            return Address(**json.loads(_RECORD.read_text()))
        except (OSError, ValueError, TypeError):
            pass
        start = zlib.crc32(str(STATE).encode()) % len(_PORTS)
        port = next(p for p in (_PORTS[(start + i) % len(_PORTS)] for i in range(len(_PORTS))) if _free(p))
        found = Address(podman.gateway(), port)
        MIRROR.mkdir(parents=True, exist_ok=True)
        (MIRROR / ".lab-mirror").write_text(_mark() + "\n")
        _save(found)
        return found


def _free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
