"""A lab host as tests and the command line see it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from lab import lifecycle, record, ssh
from lab.errors import LabError
from lab.proc import Result


class LabHost:
    """One running host of this checkout, reached over SSH as ``ops``.

    Get one with :meth:`get`. All ``timeout`` values are seconds; a command that fails raises
    :class:`lab.errors.LabError` unless ``check`` is false.
    """

    def __init__(self, found: record.Record) -> None:
        self.record = found
        self.name = found.name
        self.port = found.port
        self.address = found.address

    @classmethod
    def get(cls, name: str) -> LabHost:
        """Return the host ``name``; raises :class:`LabError` when this checkout has none."""
        found = record.load(name)
        if found is None:
            raise LabError(f"no lab host '{name}': raise it with 'python3 -m lab up --name {name}'")
        return cls(found)

    @classmethod
    def up(cls, name: str) -> LabHost:
        """Raise the host when it does not run, and return it."""
        return cls(lifecycle.up(name))

    def run(
        self, argv: Sequence[str], *, check: bool = True, timeout: float = 120, stdin: bytes | None = None
    ) -> Result:
        """Run a command as ``ops``."""
        return ssh.remote(self.name, self.port, list(argv), check=check, timeout=timeout, stdin=stdin)

    def sudo(
        self, argv: Sequence[str], *, check: bool = True, timeout: float = 120, stdin: bytes | None = None
    ) -> Result:
        """Run a command as root."""
        return self.run(["sudo", "-n", "--", *argv], check=check, timeout=timeout, stdin=stdin)

    def kubectl(self, args: Sequence[str], *, timeout: float = 60) -> Any:
        """Run ``k3s kubectl ARGS -o json`` as root and return the parsed answer."""
        return json.loads(
            self.sudo(["/usr/local/bin/k3s", "kubectl", *args, "-o", "json"], timeout=timeout).out
        )

    def put(self, path: str, content: bytes, mode: int = 0o644) -> None:
        """Write a file as root, with its folder, in one step."""
        script = 'set -eu; mkdir -p "$(dirname "$1")"; umask 077; cat > "$1.lab-new"; chmod "$2" "$1.lab-new"; mv "$1.lab-new" "$1"'
        self.sudo(["sh", "-c", script, "sh", path, f"{mode:04o}"], stdin=content)

    def read(self, path: str) -> str:
        """Return the text of a file, read as root."""
        return self.sudo(["cat", path]).out

    def exists(self, path: str) -> bool:
        """Tell whether a path exists, links not followed."""
        return self.sudo(["sh", "-c", '[ -e "$1" ] || [ -L "$1" ]', "sh", path], check=False).rc == 0

    def reboot(self, timeout: float = 120) -> float:
        """Shut down in order, start again, wait for SSH; return the seconds it all took."""
        return lifecycle.reboot(self.record, timeout)

    def power_loss(self, timeout: float = 120) -> float:
        """Kill every process of the host at once, start again, wait for SSH; return the seconds."""
        return lifecycle.power_loss(self.record, timeout)

    def wait_ssh(self, timeout: float = 60) -> float:
        """Wait until a command runs on the host; return the seconds it took."""
        return ssh.wait(self.name, self.port, timeout)

    def down(self) -> None:
        """Remove the host and all its data."""
        lifecycle.down(self.name)
