# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What k3s reads at its start, as digests: recorded by the unit at every start, compared before a restart is decided.

The record is written by the unit itself (ExecStartPre), so it is right whoever started k3s: this role, systemd after a
crash, or an administrator by hand.
"""

from __future__ import annotations

import fnmatch
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Optional

RECORD = "/run/holdfast/k3s-started"
BINARY = "/usr/local/bin/k3s"
# The same list as in the role's files/k3s-record-start; a unit test compares the two.
GLOBS = (
    "/etc/rancher/k3s/config.yaml",
    "/etc/rancher/k3s/config.yaml.d/*.y*ml",
    "/etc/rancher/k3s/registries.yaml",
    "/etc/default/k3s*",
    "/etc/sysconfig/k3s*",
    "/etc/systemd/system/k3s*.service",
    "/etc/systemd/system/k3s*.service.env",
    "/etc/systemd/system/k3s*.service.d/*.conf",
    "/var/lib/rancher/k3s/server/psa.yaml",
    "/var/lib/rancher/k3s/server/audit.yaml",
    "/var/lib/rancher/k3s/agent/etc/kubelet.conf.d/[!01]*.conf",
    "/var/lib/rancher/k3s/agent/etc/containerd/*.toml.tmpl",
    "/var/lib/rancher/k3s/agent/etc/containerd/config-v3.toml.d/*.toml",
    "/var/lib/rancher/credentialprovider/config.yaml",
)


def relevant(paths: Iterable[str]) -> list[str]:
    """Those of the paths that k3s reads at its start."""
    return sorted(
        path for path in paths if path == BINARY or any(fnmatch.fnmatch(path, glob) for glob in GLOBS)
    )


def parse(text: str) -> dict[str, str]:
    """Path to digest from a record: lines of `<digest>  <path>`."""
    pairs = (line.split(None, 1) for line in text.splitlines() if line.strip())
    return {pair[1].strip(): pair[0] for pair in pairs if len(pair) == 2}


def recorded(record: str = RECORD) -> Optional[dict[str, str]]:
    """What k3s last started with; None when no start was recorded."""
    try:
        return parse(Path(record).read_text())
    except OSError:
        return None


def current(root: Path = Path("/")) -> dict[str, str]:
    """The same about the files as they are now. The binary counts by inode, time and size: it is replaced by rename."""
    found: dict[str, str] = {}
    binary = root / BINARY.lstrip("/")
    if binary.exists():
        about = binary.stat()
        found[BINARY] = f"stat:{about.st_ino}:{int(about.st_mtime)}:{about.st_size}"
    for glob in GLOBS:
        for path in sorted(root.glob(glob.lstrip("/"))):
            if path.is_file():
                found["/" + str(path.relative_to(root))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found
