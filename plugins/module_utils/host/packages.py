# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Install distribution packages through the distribution's own program, no Python binding needed.

A bare host has no python3-apt; Ansible's apt module then refuses check mode and installs the binding first.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import CommandError, HoldfastError

_APT = ["apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=180"]
_APT_INSTALL = [
    *_APT,
    "--no-install-recommends",
    "-o",
    "Dpkg::Options::=--force-confdef",
    "-o",
    "Dpkg::Options::=--force-confold",
    "install",
]


class Packages:
    """The package manager of this host. commands: core's."""

    def __init__(self, commands: Any, root: Path = Path("/")) -> None:
        self._commands = commands
        self._debian = (root / "usr/bin/dpkg-query").exists()
        self._lists = root / "var/lib/apt/lists"
        if not self._debian and not (root / "usr/bin/rpm").exists():
            raise HoldfastError("neither dpkg nor rpm is here", fix="use a Debian or RHEL-family system")

    @property
    def family(self) -> str:
        """`debian` or `rhel`."""
        return "debian" if self._debian else "rhel"

    def missing(self, names: Sequence[str]) -> list[str]:
        """Those of the packages that are not installed."""
        if self._debian:
            argv = ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\\n", *names]
            found = parse_dpkg(self._commands.run(argv, check=False).out)
        else:
            argv = ["rpm", "-q", "--qf", "%{NAME}\\n", *names]
            found = set(self._commands.run(argv, check=False).out.split())
        return [name for name in names if name not in found]

    def install(self, names: Sequence[str], timeout: float) -> None:
        """Install the packages; the lists are fetched when there are none, or when they turn out too old."""
        if not self._debian:
            self._commands.run(["dnf", "-y", "-q", "install", *names], timeout=timeout)
            return
        if not any(self._lists.glob("*Packages*")):
            self._apt([*_APT, "update"], timeout)
        try:
            self._apt([*_APT_INSTALL, *names], timeout)
        except CommandError:
            self._apt([*_APT, "update"], timeout)
            self._apt([*_APT_INSTALL, *names], timeout)

    def _apt(self, argv: list[str], timeout: float) -> None:
        self._commands.run(argv, timeout=timeout, env={"DEBIAN_FRONTEND": "noninteractive"})


def parse_dpkg(text: str) -> set[str]:
    """Names of the installed packages in dpkg-query's answer."""
    return set(re.findall(r"^(\S+) installed$", text, re.MULTILINE))
