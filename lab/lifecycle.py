"""Up, down, reboot and power loss of hosts."""

from __future__ import annotations

import io
import os
import signal
import tarfile
import time
from pathlib import Path

from lab import inventory, leftovers, mirror, podman, record, ssh
from lab.cache import locked
from lab.errors import LabError
from lab.hostimage import host_image
from lab.paths import CHECKOUT, STATE, cache_root, host_state
from lab.proc import say

# What must not live in the container's overlay (overlayfs cannot stack) or on the tmpfs that podman would mount.
VOLUMES = {
    "rancher": "/var/lib/rancher",
    "kubelet": "/var/lib/kubelet",
    "containerd": "/var/lib/containerd",
    "docker-registry": "/var/lib/docker-registry",
    "srv": "/srv",
    "pods": "/var/log/pods",
    "journal": "/var/log/journal",
}
BOOT_SECONDS = 180.0


def up(name: str) -> record.Record:
    """Raise the bare host ``name``; one that runs already is left alone. Returns its record."""
    record.check_name(name)
    image = host_image()
    ssh.ensure_key()
    with locked(STATE / ".lock"):
        _raise_inotify_limits()
        described = leftovers.make_way(name)
        known = record.load(name)
        if described is None or known is None:
            known = _create(name, image)
            described = podman.container(name)
        if described is None or not podman.really_running(described):
            _start(name)
        inventory.write()
    ssh.wait(name, known.port, BOOT_SECONDS)
    return known


def down(name: str) -> None:
    """Remove the host ``name`` with its data; no such host is fine."""
    record.check_name(name)
    known = record.load(name)
    if known:
        ssh.forget(name, known.port)
    with locked(STATE / ".lock"):
        described = podman.container(name)
        owner = str(((described or {}).get("Config", {}).get("Labels") or {}).get(podman.LABEL, ""))
        if described and owner not in {"", str(CHECKOUT)} and podman.really_running(described):
            raise LabError(f"host '{name}' belongs to the checkout {owner}: run 'python3 -m lab down' there")
        if described:
            leftovers.remove_container(name)
        leftovers.remove_state(host_state(name))
        inventory.write()


def reboot(known: record.Record, timeout: float) -> float:
    """Stop in order (systemd's own shutdown), start, wait for SSH."""
    start = time.monotonic()
    ssh.forget(known.name, known.port)
    podman.podman(["stop", "--time", "180", podman.PREFIX + known.name], timeout=240)
    _start(known.name)
    ssh.wait(known.name, known.port, timeout)
    return time.monotonic() - start


def power_loss(known: record.Record, timeout: float) -> float:
    """SIGKILL the first process: the kernel ends all others of the host in the same moment. Then start it."""
    start = time.monotonic()
    described = podman.container(known.name)
    if described is None or not podman.really_running(described):
        raise LabError(f"host {known.name} does not run: 'python3 -m lab up --name {known.name}'")
    pid = int(described["State"]["Pid"])
    os.kill(pid, signal.SIGKILL)
    _forget_quietly(known)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        described = podman.container(known.name)
        if (
            described
            and podman.process_state(pid) in {"", "Z", "X"}
            and described["State"]["Status"] == "exited"
        ):
            break
        time.sleep(0.1)
    else:
        leftovers.settle(known.name)
    _start(known.name)
    ssh.wait(known.name, known.port, timeout)
    return time.monotonic() - start


def _forget_quietly(known: record.Record) -> None:
    try:
        ssh.forget(known.name, known.port)
    except LabError:
        return


def _create(name: str, image: str) -> record.Record:
    """Create the container with its volumes and the files that make it this host. The caller holds the lock."""
    state = host_state(name)
    leftovers.remove_state(state)
    mounts: list[str] = []
    for folder, target in VOLUMES.items():
        (state / "volumes" / folder).mkdir(parents=True)
        mounts.append(f"--volume={state / 'volumes' / folder}:{target}")
    # Other families and checkouts see what is taken only once the container is there.
    with locked(cache_root() / ".addresses.lock"):
        known = record.allocate(name, image)
        podman.podman([
            "create", f"--name={podman.PREFIX}{name}", f"--hostname={name}", *podman.HOST_FLAGS,
            f"--ip={known.address}", f"--mac-address={known.mac()}", f"--publish=127.0.0.1:{known.port}:22",
            f"--label={podman.LABEL}={CHECKOUT}", f"--label={podman.LABEL}.address={known.address}",
            *mounts, image, *podman.HOST_COMMAND,
        ])  # fmt: skip
    podman.podman(["cp", "--archive=false", "-", f"{podman.PREFIX}{name}:/"], stdin=_seed())
    known.save()
    return known


def _seed() -> bytes:
    """Return a tar of the files that differ from checkout to checkout."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path, text, mode, owner in (
            ("home/ops/.ssh/authorized_keys", ssh.public_key(), 0o600, 1000),
            ("etc/apt/sources.list", f"deb [trusted=yes] {mirror.url()}/apt ./\n", 0o644, 0),
        ):
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode, entry.uid, entry.gid = len(text.encode()), mode, owner, owner
            entry.mtime = int(time.time())
            tar.addfile(entry, io.BytesIO(text.encode()))
    return buffer.getvalue()


def _start(name: str) -> None:
    """Start the container; remains of its last life are cleared when they stand in the way."""
    for attempt in (1, 2):
        started = podman.podman(["start", podman.PREFIX + name], check=attempt == 2)
        described = podman.container(name)
        if started.rc == 0 and described and podman.really_running(described):
            return
        if attempt == 1:
            say(f"host {name} did not start at once, clearing remains of its last run")
            leftovers.settle(name)
    raise LabError(f"host {name} ends right after its start: 'podman logs {podman.PREFIX}{name}' says why")


def _raise_inotify_limits() -> None:
    """Let several hosts live side by side: each shim and kubelet watches files, and the machine counts them all."""
    for setting, wanted in (("max_user_instances", 8192), ("max_user_watches", 524288)):
        path = Path("/proc/sys/fs/inotify") / setting
        try:
            if int(path.read_text()) < wanted:
                path.write_text(str(wanted))
        except OSError:
            continue
