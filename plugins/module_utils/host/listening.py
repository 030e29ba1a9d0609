# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who listens on which TCP port, read from /proc; no ss or lsof needed."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

_LISTEN = "0A"


@dataclass(frozen=True)
class Listener:
    """A process that listens. pid 0 and an empty name: the owner could not be found."""

    port: int
    pid: int
    process: str
    cgroup: str


def parse_sockets(text: str, ports: Collection[int]) -> dict[str, int]:
    """Socket inode to port for the listening sockets of /proc/net/tcp or tcp6 that are in `ports`."""
    found: dict[str, int] = {}
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) < 10 or fields[3] != _LISTEN:
            continue
        port = int(fields[1].rsplit(":", 1)[1], 16)
        if port in ports:
            found[fields[9]] = port
    return found


def listeners(ports: Collection[int], proc: Path = Path("/proc")) -> list[Listener]:
    """Listeners on the given ports, one per port and process, sorted by port."""
    sockets: dict[str, int] = {}
    for table in ("tcp", "tcp6"):
        path = proc / "net" / table
        if path.exists():
            sockets.update(parse_sockets(path.read_text(), ports))
    owners = _owners(sockets, proc) if sockets else {}
    found = {Listener(port, *owners.get(inode, (0, "", ""))) for inode, port in sockets.items()}
    return sorted(found, key=lambda item: (item.port, item.pid))


def _owners(inodes: Iterable[str], proc: Path) -> dict[str, tuple[int, str, str]]:
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    owners: dict[str, tuple[int, str, str]] = {}
    for directory in proc.iterdir():
        if not directory.name.isdigit():
            continue
        try:
            for descriptor in (directory / "fd").iterdir():
                inode = wanted.get(str(descriptor.readlink()))
                if inode:
                    owners[inode] = (
                        int(directory.name),
                        (directory / "comm").read_text().strip(),
                        (directory / "cgroup").read_text(),
                    )
        except OSError:
            continue  # the process ended, or it is a kernel thread
        if len(owners) == len(wanted):
            break
    return owners
