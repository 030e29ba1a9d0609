"""The k3s binary of the mirror: the stand-in built from ``lab/k3s``, or the one that ``LAB_K3S`` names."""

from __future__ import annotations

import os
from pathlib import Path

from lab.cache import cached
from lab.errors import LabError
from lab.paths import SOURCES
from lab.proc import run

K3S = SOURCES / "k3s"


def binary() -> Path:
    """Return the k3s binary that the hosts shall get."""
    given = os.environ.get("LAB_K3S")
    if given:
        path = Path(given).resolve()
        if not path.is_file():
            raise LabError(
                f"LAB_K3S='{given}': no such file; name a k3s binary, or unset it for the stand-in"
            )
        return path
    return stand_in()


def stand_in() -> Path:
    """Return the stand-in, built when its sources changed (minutes from cold)."""

    def build(scratch: Path) -> None:
        run([str(K3S / "build.sh"), str(scratch)], timeout=3000)

    return cached("k3s", [K3S], build) / "k3s"
