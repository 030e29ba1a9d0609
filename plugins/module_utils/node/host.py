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
from ansible_collections.holdfast.k3s.plugins.module_utils.node.paths import Paths

API_PORT = 6443
WATCHED_PORTS = (API_PORT, 6444, 10250)


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
            if entry.stat().st_uid == 0:
                used += sum(
                    1 for fd in (entry / "fd").iterdir() if str(fd.readlink()) == "anon_inode:inotify"
                )
        except OSError:
            continue
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


def listeners(ports: tuple[int, ...] = WATCHED_PORTS) -> dict[str, dict[str, Any]]:
    """Who listens on k3s's ports: {"6443": {pid, comm}}; a port without listener is absent."""
    inodes: dict[str, int] = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            words = line.split()
            port = int(words[1].rpartition(":")[2], 16)
            if words[3] == "0A" and port in ports:
                inodes[f"socket:[{words[9]}]"] = port
    found: dict[str, dict[str, Any]] = {}
    for entry in Path("/proc").iterdir() if inodes else []:
        if not entry.name.isdigit():
            continue
        try:
            targets = {str(fd.readlink()) for fd in (entry / "fd").iterdir()}
        except OSError:
            continue
        for inode in targets & set(inodes):
            one = process.stat(int(entry.name))
            if one:
                found[str(inodes[inode])] = {k: one[k] for k in ("pid", "start", "comm")}
    return found


def knock(port: int = API_PORT, tries: int = 2, timeout: float = 2) -> str:
    """`open`, or why a connection from this host to its own port is not made, tried twice."""
    said = "open"
    for number in range(tries):
        if number:
            time.sleep(1)
        try:
            socket.create_connection(("127.0.0.1", port), timeout).close()
            return "open"
        except OSError as error:
            said = str(error)
    return said


def ports() -> dict[str, Any]:
    """The listeners; and as `knock` what a connection to the API's port ended with, if one listener was there all the time."""
    before, api = listeners(), str(API_PORT)
    said = knock() if api in before else "open"
    if said == "open":
        return before
    after = listeners()
    return {**after, "knock": said} if after.get(api) == before[api] else after


def probe(commands: Commands, paths: Paths) -> dict[str, Any]:
    """All of the above; a part that cannot be read carries its error."""
    fact: dict[str, Any] = {"boot_id": Path("/proc/sys/kernel/random/boot_id").read_text().strip()}
    parts = {
        "disks": lambda: disks(paths),
        "memory": memory,
        "inotify": inotify,
        "cgroup": cgroup,
        "clock": lambda: clock(commands, paths),
        "ports": ports,
        "uptime": lambda: float(Path("/proc/uptime").read_text().split()[0]),
    }
    for name, part in parts.items():
        try:
            fact[name] = part()
        except (OSError, ValueError, KeyError) as error:
            fact[name] = {"error": str(error)}
    return fact
