"""What the checkout remembers of each of its hosts, and how a new host gets its port and address."""

from __future__ import annotations

import ipaddress
import json
import re
import socket
import zlib
from dataclasses import asdict, dataclass

from lab import podman
from lab.errors import LabError
from lab.paths import HOSTS, host_state

PORTS = range(22000, 22900)
_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")


@dataclass(frozen=True)
class Record:
    """One host of this checkout: its SSH port on loopback and its address on podman's bridge, both for life."""

    name: str
    port: int
    address: str
    image: str

    def mac(self) -> str:
        """Return the hardware address for life: with a new one at each boot the neighbours look for the old one."""
        return "02:" + ":".join(f"{byte:02x}" for byte in b"H" + ipaddress.ip_address(self.address).packed)

    def save(self) -> None:
        """Write the record into the host's state directory."""
        path = host_state(self.name) / "host.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(asdict(self), indent=2) + "\n")
        fresh.replace(path)


def check_name(name: str) -> str:
    """Return ``name`` when it can be a host name, else raise :class:`LabError`."""
    if not _NAME.fullmatch(name):
        raise LabError(
            f"host name '{name}': use a lower-case letter, then letters, digits and '-', 31 at most"
        )
    return name


def load(name: str) -> Record | None:
    """Return the record of the host ``name``, or None. A half-written record counts as none."""
    try:
        return Record(**json.loads((host_state(name) / "host.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None


def all_records() -> list[Record]:
    """Return the records of this checkout's hosts, by name."""
    found = [load(folder.name) for folder in sorted(HOSTS.glob("*")) if folder.is_dir()]
    return [record for record in found if record]


def allocate(name: str, image: str) -> Record:
    """Return a record for a new host: port and address follow from the name, the next free ones are taken.

    The caller holds the machine's lock; other families and checkouts are seen through podman's list of containers.
    """
    taken_ports, taken_addresses = _taken()
    start = zlib.crc32(name.encode()) % len(PORTS)
    port = next(
        (
            p
            for p in (PORTS[(start + i) % len(PORTS)] for i in range(len(PORTS)))
            if p not in taken_ports and _free(p)
        ),
        None,
    )
    base = ipaddress.ip_address(podman.gateway())
    # Addresses from .64.1 upwards: podman's own allocation starts at the lower end of its /16.
    address = next(
        (a for a in (str(base + 0x4000 + (start + i) % 900) for i in range(900)) if a not in taken_addresses),
        None,
    )
    if port is None or address is None:
        raise LabError("no free port or address for another lab host: 'python3 -m lab status' lists them")
    return Record(name, port, address, image)


def _taken() -> tuple[set[int], set[str]]:
    ports = {record.port for record in all_records()}
    addresses = {record.address for record in all_records()}
    for listed in podman.containers():
        described = podman.inspect(str(listed["Names"][0]))
        if not described:
            continue
        for bindings in (described["HostConfig"].get("PortBindings") or {}).values():
            ports.update(int(b["HostPort"]) for b in bindings or [] if b.get("HostPort"))
        label = (described["Config"].get("Labels") or {}).get(podman.LABEL + ".address")
        if label:
            addresses.add(label)
    return ports, addresses


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
