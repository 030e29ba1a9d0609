# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the host tells about itself, with the API up or down. Every question has a deadline; none raises."""

from __future__ import annotations

import contextlib
import json
import os
import time
from pathlib import Path
from typing import Any, Optional

from ansible_collections.holdfast.k3s.plugins.module_utils.core.command import Commands
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError
from ansible_collections.holdfast.k3s.plugins.module_utils.health.model import HostFacts
from ansible_collections.holdfast.k3s.plugins.module_utils.registry import facts as registry_facts
from ansible_collections.holdfast.k3s.plugins.module_utils.registry import hosts
from ansible_collections.holdfast.k3s.plugins.module_utils.registry.client import RegistryError

K3S = "/usr/local/bin/k3s"
REBOOT_FLAGS = ("/run/reboot-required", "/var/run/reboot-required")
UNIT_FIELDS = ("ActiveState", "SubState", "NRestarts", "LoadState")


def gather(commands: Commands, params: dict[str, Any], root: str = "/") -> HostFacts:
    """Everything. root: where the host's files are (tests bring their own)."""
    base = Path(root)
    data_dir = base / str(params["data_dir"]).lstrip("/")
    state_dir = base / str(params["state_dir"]).lstrip("/")
    return HostFacts(
        unit=unit(commands, params["service"]),
        disks=disks(
            [
                str(base),
                str(data_dir),
                str(data_dir / "server/db"),
                str(base / "var/lib/kubelet"),
                str(base / "var/lib/docker-registry"),
            ]
        ),
        memory=memory(base / "proc/meminfo"),
        pressure=pressure(base / "proc/pressure/memory"),
        certificates=certificates(commands),
        datastore=datastore(data_dir / "server/db/state.db"),
        clock=clock(commands, data_dir),
        registry=registry(params["registry_url"], base, data_dir),
        backups=backups(state_dir / "backups", base),
        reboot=reboot(base),
    )


def unit(commands: Commands, name: str) -> dict[str, str]:
    """systemd's view of the service."""
    argv = ["systemctl", "show", name, "-p", ",".join(UNIT_FIELDS)]
    try:
        out = commands.run(argv, timeout=10, check=False).out
    except HoldfastError:
        return {}
    return dict(line.split("=", 1) for line in out.splitlines() if "=" in line)


def disks(paths: list[str]) -> list[dict[str, Any]]:
    """Use of the filesystems under the paths, each filesystem once. percent and inode_percent as df counts them."""
    found: dict[int, dict[str, Any]] = {}
    for path in paths:
        try:
            device, stats = Path(path).stat().st_dev, os.statvfs(path)
        except OSError:
            continue
        if device in found or not stats.f_blocks:
            continue
        used, free = stats.f_blocks - stats.f_bfree, stats.f_bavail
        inodes = stats.f_files - stats.f_ffree
        found[device] = {
            "path": path,
            "percent": round(100 * used / max(1, used + free)),
            "free_mb": free * stats.f_frsize // 2**20,
            "size_mb": stats.f_blocks * stats.f_frsize // 2**20,
            "inode_percent": round(100 * inodes / stats.f_files) if stats.f_files else 0,
        }
    return list(found.values())


def memory(path: Path) -> dict[str, int]:
    """total_mb and available_mb."""
    try:
        lines = dict(line.split(":", 1) for line in path.read_text().splitlines() if ":" in line)
        return {
            "total_mb": int(lines["MemTotal"].split()[0]) // 1024,
            "available_mb": int(lines["MemAvailable"].split()[0]) // 1024,
        }
    except (OSError, KeyError, ValueError):
        return {}


def pressure(path: Path) -> Optional[float]:
    """Percent of the last ten seconds in which some task waited for memory."""
    try:
        for part in path.read_text().splitlines()[0].split():
            if part.startswith("avg10="):
                return float(part[len("avg10=") :])
    except (OSError, ValueError, IndexError):
        pass
    return None


def certificates(commands: Commands) -> Optional[list[dict[str, Any]]]:
    """k3s's leaf certificates: name and days left. CAs (ten years) are left out."""
    try:
        # Its warnings go to stderr; only stdout is JSON.
        out = commands.run([K3S, "certificate", "check", "-o", "json"], timeout=30, check=False).out
        listed = json.loads(out)["Certificates"]
        return [
            {"file": entry["Filename"], "days": int(entry["ResidualTime"]) // (86400 * 10**9)}
            for entry in listed
            if "CertSign" not in (entry.get("Usages") or [])
        ]
    except (HoldfastError, ValueError, KeyError, TypeError):
        return None


def datastore(path: Path) -> dict[str, Any]:
    """Size of SQLite's file and of its write-ahead log in MB; nothing with another datastore."""
    found: dict[str, Any] = {}
    with contextlib.suppress(OSError):
        found["size_mb"] = path.stat().st_size // 2**20
        found["wal_mb"] = 0
        found["wal_mb"] = path.with_name(path.name + "-wal").stat().st_size // 2**20
    return found


def clock(commands: Commands, data_dir: Path) -> dict[str, Any]:
    """synchronized (None when nobody knows), and behind: seconds by which k3s's own files lie in the future."""
    found: dict[str, Any] = {"synchronized": None, "behind": 0}
    with contextlib.suppress(HoldfastError):
        argv = ["timedatectl", "show", "-p", "NTPSynchronized", "--value"]
        answer = commands.run(argv, timeout=10, check=False).out.strip()
        found["synchronized"] = {"yes": True, "no": False}.get(answer)
    newest = 0.0
    for relative in (
        "server/db/state.db",
        "server/db/state.db-wal",
        "server/tls/server-ca.crt",
        "agent/client-kubelet.crt",
    ):
        with contextlib.suppress(OSError):
            newest = max(newest, (data_dir / relative).stat().st_mtime)
    if newest:
        found["behind"] = max(0, round(newest - time.time()))
    return found


def registry(where: str, root: Path, data_dir: Path) -> dict[str, Any]:
    """Whether it answers; one that wants other credentials does.

    where: its address, or host and port as images name it: then it is asked as containerd does, by TLS for one. Empty
    means that there is none to look at.
    """
    if not where:
        return {}
    settings = registry_facts.Settings(
        registry=where.rpartition("://")[2].rstrip("/"),
        registries_yaml=str(root / "etc/rancher/k3s/registries.yaml"),
        certs_d=str(data_dir / "agent/etc/containerd/certs.d"),
    )
    url = where
    try:
        known = registry_facts.read_registries(settings.registries_yaml)
        url = where if "://" in where else hosts.address(known, settings.certs_d, where)
        registry_facts.connect(settings, known, url, timeout=5).ping()
    except RegistryError as failure:
        return {"url": url, "ok": failure.wants_login, "error": str(failure)}
    except (
        OSError,
        ValueError,
        AttributeError,
        TypeError,
    ) as failure:  # a registries.yaml that makes no sense
        return {"url": url, "ok": False, "error": f"cannot be asked: {failure}"}
    return {"url": url, "ok": True, "error": ""}


def backups(directory: Path, root: Path) -> list[dict[str, Any]]:
    """The state of every database's backups that role backup left on this host, whatever of it can be read."""
    found: list[dict[str, Any]] = []
    for pointer in sorted(directory.glob("*.json")) if directory.is_dir() else []:
        try:
            known = json.loads(pointer.read_text())
            databases = known.get("databases") or []
        except (OSError, ValueError, AttributeError):
            found.append({"database": pointer.stem, "error": "its pointer cannot be read"})
            continue
        for database in databases:
            entry = {"database": database.get("database"), "namespace": known.get("namespace")}
            if known.get("offsite_hours"):
                entry["offsite_hours"] = known["offsite_hours"]
            volume = known.get("volume")
            try:
                status = root / str(volume).lstrip("/") / database["directory"] / "status.json"
                entry.update(json.loads(status.read_text()))
            except (OSError, ValueError, KeyError, TypeError):
                entry["error"] = "no backup has reported yet" if volume else "its volume is not known yet"
            found.append(entry)
    return found


def reboot(base: Path) -> Optional[str]:
    """Why a reboot is pending, or None."""
    for flag in REBOOT_FLAGS:
        path = base / flag.lstrip("/")
        if path.exists():
            packages = path.with_name("reboot-required.pkgs")
            with contextlib.suppress(OSError):
                names = sorted(set(packages.read_text().split()))
                return f"updated packages want it: {', '.join(names[:5])}"
            return "the system asks for it"
    return None
