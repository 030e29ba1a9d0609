"""The only code that calls podman, with the flags that work without systemd as PID 1 and on hybrid cgroups."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from typing import Any

from lab.proc import Result, run

_GLOBAL = ("podman", "--runtime", "runc", "--cgroup-manager=cgroupfs", "--events-backend=file")
PREFIX = "holdfast-"
LABEL = "org.holdfast.checkout"

# What lets systemd boot to "running" in a container of this kind of machine, see lab/README.md.
HOST_FLAGS = (
    "--privileged",
    "--cgroupns=private",
    "--systemd=always",
    "--ulimit=nofile=20000:20000",
    "--ulimit=nproc=20000:20000",
    "--stop-timeout=60",
)


def podman(args: Sequence[str], *, check: bool = True, timeout: float = 120, stdin: bytes | None = None) -> Result:
    """Run podman with the lab's global flags; see :func:`lab.proc.run` for the other arguments."""
    return run([*_GLOBAL, *args], check=check, timeout=timeout, stdin=stdin)


def command(args: Sequence[str]) -> list[str]:
    """Return the argv of a podman call, for one that takes over the terminal."""
    return [*_GLOBAL, *args]


def container(name: str) -> dict[str, Any] | None:
    """Return podman's description of the container of the host ``name``, or None when there is none."""
    found = podman(["container", "inspect", PREFIX + name], check=False)
    if found.rc:
        return None
    described: list[dict[str, Any]] = json.loads(found.out)
    return described[0] if described else None


def containers() -> list[dict[str, Any]]:
    """Return podman's list of all lab containers of this machine, whichever checkout made them."""
    listed = podman(["ps", "--all", "--format", "json", "--filter", f"name=^{re.escape(PREFIX)}"])
    found: list[dict[str, Any]] = json.loads(listed.out or "[]")
    return found


def image_exists(image: str) -> bool:
    """Tell whether podman has the image."""
    return podman(["image", "exists", image], check=False).rc == 0


def really_running(described: dict[str, Any]) -> bool:
    """Tell whether the container's first process lives: after a SIGKILL of everything podman still says running."""
    pid = int(described["State"].get("Pid") or 0)
    if not pid:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        with open(f"/proc/{pid}/cgroup", encoding="utf-8") as handle:
            # The number may belong to another process by now.
            return str(described["Id"]) in handle.read()
    except OSError:
        return False


def gateway() -> str:
    """Return the address of this machine on podman's default bridge."""
    networks = json.loads(podman(["network", "inspect", "podman"]).out)
    subnets = networks[0].get("subnets") or [{"gateway": networks[0]["plugins"][0]["ipam"]["ranges"][0][0]["gateway"]}]
    return str(subnets[0]["gateway"])
