"""Families of hosts: the shell and Python agree on where each has its state."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("word", ["", "lane1"])
def test_shell_and_python_agree_on_where_the_inventory_is(word: str) -> None:
    environment = {**os.environ, "HOLDFAST_LAB_PREFIX": word}
    shell = 'source tools/env.sh; printf "%s " "$HOLDFAST_LAB_INVENTORY"; '
    python = "from lab import paths, podman; print(paths.INVENTORY, podman.PREFIX)"
    done = subprocess.run(
        ["bash", "-c", f"{shell} '{sys.executable}' -c '{python}'"],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    ours, theirs, prefix = done.stdout.split()
    assert ours == theirs
    assert prefix == ("holdfast-lane1-" if word else "holdfast-")
