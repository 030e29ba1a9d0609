"""The machine under the node: disks, memory, inotify, cgroups, clock, ports."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.core.command import Commands
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError
from ansible_collections.holdfast.k3s.plugins.module_utils.node import process
from ansible_collections.holdfast.k3s.plugins.module_utils.node.api import server_of
from ansible_collections.holdfast.k3s.plugins.module_utils.node.paths import Paths

WATCHED_PORTS = (6444, 10250)  # and the API's


def disks(paths: Paths) -> list[dict[str, Any]]:
    """Free space and inodes (per cent) of the file systems that k3s writes to, and whether they are read-only."""
    found: dict[int, dict[str, Any]] = {}
    try:
        datastore = Path(paths.db_dir).stat().st_dev
    except OSError:
        datastore = -1
    for path in (paths.data_dir, paths.db_dir, paths.kubelet_dir, paths.state_dir, "/var/log", "/var/lib"):
        try:
            stat = os.statvfs(path)
            device = Path(path).stat().st_dev
        except OSError:
            continue
        found.setdefault(
            device,
            {
                "path": path,
                "free_percent": round(100 * stat.f_bavail / stat.f_blocks, 1) if stat.f_blocks else 100.0,
                "free_bytes": stat.f_bavail * stat.f_frsize,
                "inodes_free_percent": round(100 * stat.f_favail / stat.f_files, 1)
                if stat.f_files
                else 100.0,
                "datastore": device == datastore,
                "read_only": bool(stat.f_flag & os.ST_RDONLY),
            },
        )
    return list(found.values())


def memory() -> dict[str, int]:
    """Total and available memory in MiB."""
    lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines() if ":" in line)
    return {
        "total_mb": int(lines["MemTotal"].split()[0]) // 1024,
        "available_mb": int(lines["MemAvailable"].split()[0]) // 1024,
    }


def inotify() -> dict[str, int]:
    """The limits of root's inotify use and how many instances its processes hold."""

    def limit(name: str) -> int:
        return int(Path("/proc/sys/fs/inotify", name).read_text())

    used = 0
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            owner = entry.stat().st_uid
        except OSError:
            continue
        if owner == 0:
            used += process.open_files(int(entry.name)).count("anon_inode:inotify")
    return {
        "max_user_instances": limit("max_user_instances"),
        "max_user_watches": limit("max_user_watches"),
        "instances": used,
    }


def cgroup() -> dict[str, Any]:
    """Version of the cgroup hierarchy and its controllers."""
    unified = Path("/sys/fs/cgroup/cgroup.controllers")
    if unified.exists():
        return {"version": 2, "controllers": unified.read_text().split()}
    found = [entry.name for entry in Path("/sys/fs/cgroup").iterdir() if entry.is_dir()]
    return {"version": 1, "controllers": sorted(found)}


def clock(commands: Commands, paths: Paths) -> dict[str, Any]:
    """The clock beside its witnesses: the newest file k3s wrote, and whether NTP says it is right."""
    fact: dict[str, Any] = {"now": time.time()}
    stamps = []
    for path in (f"{paths.database}-wal", paths.database, paths.containerd_log, paths.token):
        try:
            stamps.append(Path(path).stat().st_mtime)
        except OSError:
            continue
    fact["newest_write"] = max(stamps, default=None)
    try:
        shown = commands.run(["timedatectl", "show", "--property", "NTPSynchronized,NTP"], timeout=5).out
        values = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
        fact["synchronised"] = values.get("NTPSynchronized") == "yes"
        fact["ntp"] = values.get("NTP") == "yes"
    except (HoldfastError, OSError):
        fact["synchronised"] = None  # no timedated here: unknown is not wrong
    return fact


def listening(text: str, ports: tuple[int, ...]) -> dict[str, tuple[int, int]]:
    """Listening sockets in the words of /proc/net/tcp: {socket: (port, connections that wait to be accepted)}."""
    found = {}
    for line in text.splitlines()[1:]:
        words = line.split()
        port = int(words[1].rpartition(":")[2], 16)
        if words[3] == "0A" and port in ports:
            found[f"socket:[{words[9]}]"] = (port, int(words[4].rpartition(":")[2], 16))
    return found


def listeners(ports: tuple[int, ...], unit: str) -> dict[str, dict[str, Any]]:
    """Who listens on k3s's ports: {"6443": {pid, start, comm, waiting, own}}; a port without listener is absent.

    own: the holder is of the service itself. Told here, at the same moment: a k3s that starts again and again has another
    process by the time that its tree is compared.
    """
    sockets: dict[str, tuple[int, int]] = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            sockets.update(listening(Path(table).read_text(), ports))
        except OSError:
            continue
    found: dict[str, dict[str, Any]] = {}
    for entry in Path("/proc").iterdir() if sockets else []:
        if not entry.name.isdigit():
            continue
        for name in set(process.open_files(int(entry.name))) & set(sockets):
            one = process.stat(int(entry.name))
            if one:
                port, waiting = sockets[name]
                who = {k: one[k] for k in ("pid", "start", "comm")}
                found[str(port)] = {**who, "waiting": waiting, "own": process.in_unit(one["pid"], unit)}
    return found


def knock(address: tuple[str, int], tries: int = 2, timeout: float = 2) -> str:
    """`open`, or why a connection from this host to its own API is not made, tried twice."""
    said = "open"
    for number in range(tries):
        if number:
            time.sleep(1)
        try:
            socket.create_connection(address, timeout).close()
            return "open"
        except OSError as error:
            said = str(error)
    return said


def is_cut_off(before: dict[str, Any] | None, after: dict[str, Any] | None) -> bool:
    """Whether a connection was lost on its way to one listener that was there all the time.

    One that lets connections wait is reached, and hangs.
    """
    if not before or not after:
        return False
    same = (before["pid"], before["start"]) == (after["pid"], after["start"])
    return same and not (before["waiting"] and after["waiting"])


def ports(paths: Paths) -> dict[str, Any]:
    """The listeners; where a connection to the API is lost, also `knock`, what it ended with, and the API's `address`."""
    host, port = server_of(paths.kubeconfig)
    watched = (port, *WATCHED_PORTS)
    before, api = listeners(watched, paths.unit), str(port)
    said = knock((host, port)) if api in before else "open"
    if said == "open":
        return before
    after = listeners(watched, paths.unit)
    cut_off = is_cut_off(before.get(api), after.get(api))
    return {**after, "knock": said, "address": [host, port]} if cut_off else after


def probe(commands: Commands, paths: Paths) -> dict[str, Any]:
    """All of the above; a part that cannot be read carries its error."""
    fact: dict[str, Any] = {"boot_id": Path("/proc/sys/kernel/random/boot_id").read_text().strip()}
    parts = {
        "disks": lambda: disks(paths),
        "memory": memory,
        "inotify": inotify,
        "cgroup": cgroup,
        "clock": lambda: clock(commands, paths),
        "ports": lambda: ports(paths),
        "uptime": lambda: float(Path("/proc/uptime").read_text().split()[0]),
    }
    for name, part in parts.items():
        try:
            fact[name] = part()
        except (OSError, ValueError, KeyError) as error:
            fact[name] = {"error": str(error)}
    return fact
