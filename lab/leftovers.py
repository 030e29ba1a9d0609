"""Remains of killed runs and of other checkouts: recognised, and removed before a host is made."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

from lab import podman
from lab.errors import LabError
from lab.paths import CHECKOUT, host_state
from lab.proc import run, say


def make_way(name: str) -> dict[str, Any] | None:
    """Return the container of host ``name`` when it is this checkout's and whole, running or properly stopped.

    Anything else under that name is removed: dead containers of any checkout and running ones whose checkout is
    gone. A running container of another checkout that is still there raises :class:`LabError`, except in CI,
    where nothing else may live on the machine.
    """
    described = podman.container(name)
    if described is None:
        return None
    owner = str((described["Config"].get("Labels") or {}).get(podman.LABEL, ""))
    alive = podman.really_running(described)
    if owner == str(CHECKOUT) and (host_state(name) / "host.json").exists():
        if alive or described["State"]["Status"] in {"exited", "created", "configured", "initialized"}:
            return described
        say(f"host {name}: its processes were killed; it is started again as after a power loss")
        settle(name)
        return podman.container(name)
    if alive and owner and host_state(name, Path(owner)).exists() and os.environ.get("CI") != "true":
        raise LabError(
            f"host name '{name}' is in use by the checkout {owner}: run 'python3 -m lab down --name {name}' there, "
            "or choose another name"
        )
    say(f"removing the left-over container of host {name}" + (f" (checkout {owner})" if owner else ""))
    remove_container(name)
    return None


def settle(name: str) -> None:
    """Bring podman's books of a container whose processes are gone in line with the facts, keeping its layer."""
    described = podman.container(name)
    if described is None or podman.really_running(described):
        return
    _kill(podman.first_process(described))
    if described["State"]["Status"] not in {"exited", "created", "configured", "initialized"}:
        podman.podman(["stop", "--time", "0", podman.PREFIX + name], check=False, timeout=180)
        # conmon died too, so nobody wrote the exit code that podman waits for.
        exits = Path("/run/libpod/exits")
        if exits.is_dir():
            (exits / str(described["Id"])).write_text("137")
    podman.podman(["container", "cleanup", podman.PREFIX + name], check=False)
    _runtime_leftovers(str(described["Id"]))


def remove_container(name: str) -> None:
    """Remove the container whatever state it is in; raises :class:`LabError` when podman keeps it."""
    for attempt in range(4):
        described = podman.container(name)
        if described is None:
            return
        _kill(podman.first_process(described))
        settle(name)
        removed = podman.podman(
            ["rm", "--force", "--volumes", "--time", "0", podman.PREFIX + name], check=False, timeout=180
        )
        _runtime_leftovers(str(described["Id"]))
        if removed.rc and attempt == 3:
            raise LabError(f"cannot remove the container of host {name}:\n{removed.tail()}")


def _kill(pid: int | None) -> None:
    """Kill a container's first process, all others go with it, and wait until it is gone (10 s at most)."""
    if pid is None:
        return
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and podman.process_state(pid) not in {"", "Z", "X"}:
        time.sleep(0.05)


def _runtime_leftovers(container: str) -> None:
    """Remove the runtime's record and the control groups of a dead container; they would stop its next start."""
    run(["runc", "delete", "--force", container], check=False, timeout=30)
    for parent in Path("/sys/fs/cgroup").glob(f"*/libpod_parent/libpod-{container}"):
        for folder, _, _ in os.walk(parent, topdown=False):
            try:
                Path(folder).rmdir()
            except OSError:
                continue


def remove_state(folder: Path) -> None:
    """Remove a host's state directory; mounts below it that a killed run left are taken away first."""
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for mount in sorted((m for m in mounts if m.startswith(f"{folder}/")), key=len, reverse=True):
        run(["umount", "--lazy", mount], check=False)
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        # A file that was made immutable or a directory filled meanwhile.
        run(["chattr", "-R", "-i", str(folder)], check=False)
        shutil.rmtree(folder)
