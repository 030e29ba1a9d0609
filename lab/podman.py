"""The only code that calls podman, with the flags that work without systemd as PID 1 and on hybrid cgroups."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lab.paths import WORD
from lab.proc import Result, run

_GLOBAL = ("podman", "--runtime", "runc", "--cgroup-manager=cgroupfs", "--events-backend=file")
FAMILY = "holdfast-"
PREFIX = FAMILY + (f"{WORD}-" if WORD else "")
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

# On a hybrid hierarchy podman lays the machine's whole systemd hierarchy over the container's own part of it. Every host's systemd
# would then rule one common tree and prune its neighbours' groups, so the upper mount goes before systemd starts.
HOST_COMMAND = (
    "/bin/sh",
    "-c",
    'g=/sys/fs/cgroup/systemd; [ "$(grep -c " $g " /proc/self/mountinfo)" -lt 2 ] || umount --lazy $g; exec /sbin/init',
)


def podman(
    args: Sequence[str], *, check: bool = True, timeout: float = 120, stdin: bytes | None = None
) -> Result:
    """Run podman with the lab's global flags; see :func:`lab.proc.run` for the other arguments."""
    return run([*_GLOBAL, *args], check=check, timeout=timeout, stdin=stdin)


def command(args: Sequence[str]) -> list[str]:
    """Return the argv of a podman call, for one that takes over the terminal."""
    return [*_GLOBAL, *args]


def container(name: str) -> dict[str, Any] | None:
    """Return podman's description of the container of the host ``name``, or None when there is none."""
    return inspect(PREFIX + name)


def inspect(container_name: str) -> dict[str, Any] | None:
    """Return podman's description of a container by its full name, or None when there is none."""
    found = podman(["container", "inspect", container_name], check=False)
    if found.rc:
        return None
    described: list[dict[str, Any]] = json.loads(found.out)
    return described[0] if described else None


def containers() -> list[dict[str, Any]]:
    """Return podman's list of all lab containers of this machine, whichever checkout made them."""
    listed = podman(["ps", "--all", "--format", "json", "--filter", f"name=^{re.escape(FAMILY)}"])
    found: list[dict[str, Any]] = json.loads(listed.out or "[]")
    return found


def image_exists(image: str) -> bool:
    """Tell whether podman has the image."""
    return podman(["image", "exists", image], check=False).rc == 0


def first_process(described: dict[str, Any]) -> int | None:
    """Return the id of the container's first process when it is there; one that is dead already but not yet
    collected by its parent does not count, one that is about to die does."""
    pid = int(described["State"].get("Pid") or 0)
    try:
        # The number may belong to another process by now.
        known = bool(pid) and str(described["Id"]) in Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:
        return None
    return pid if known and process_state(pid) not in {"", "Z", "X"} else None


def really_running(described: dict[str, Any]) -> bool:
    """Tell whether the container and its monitor live.

    After a SIGKILL of everything podman still says running; a container that lost its monitor cannot be
    stopped or started by podman any more and counts as dead.
    """
    monitor = int(described["State"].get("ConmonPid") or 0)
    return (
        first_process(described) is not None
        and bool(monitor)
        and process_state(monitor) not in {"", "Z", "X"}
    )


def process_state(pid: int) -> str:
    """Return the one-letter state of a process, empty when it does not exist."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def gateway() -> str:
    """Return the address of this machine on podman's default bridge."""
    networks = json.loads(podman(["network", "inspect", "podman"]).out)
    subnets = networks[0].get("subnets") or [
        {"gateway": networks[0]["plugins"][0]["ipam"]["ranges"][0][0]["gateway"]}
    ]
    return str(subnets[0]["gateway"])
