# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The file on the host that says where a backup's health can be read (see the package's docstring)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

from ansible_collections.holdfast.k3s.plugins.module_utils.postgres import names

DIRECTORY = "/var/lib/holdfast/backups"


def read(namespace: str, name: str, directory: str = DIRECTORY) -> Optional[dict[str, Any]]:
    """The pointer, or None when there is none that can be read."""
    try:
        found = json.loads((Path(directory) / f"{namespace}.{name}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def every(directory: str = DIRECTORY) -> list[dict[str, Any]]:
    """All pointers of this host that can be read, by name."""
    found = []
    for path in sorted(Path(directory).glob("*.*.json")):
        namespace, _dot, name = path.stem.partition(".")
        known = read(namespace, name, directory)
        found += [] if known is None else [known]
    return found


def write(
    namespace: str,
    name: str,
    volume: Optional[str],
    databases: Sequence[str],
    rpo_hours: int,
    directory: str = DIRECTORY,
    offsite_hours: Optional[int] = None,
) -> bool:
    """Write the pointer atomically; whether it changed. offsite_hours: age that a copy in another place may have; None: no copies."""
    content: dict[str, Any] = {
        "namespace": namespace,
        "name": name,
        "volume": volume,
        "databases": [{"database": db, "directory": names.directory(db)} for db in databases],
        "rpo_hours": rpo_hours,
    }
    if offsite_hours is not None:
        content["offsite_hours"] = offsite_hours
    if read(namespace, name, directory) == content:
        return False
    _put(Path(directory) / f"{namespace}.{name}.json", content)
    return True


def locate(namespace: str, name: str, volume: Optional[str], directory: str = DIRECTORY) -> bool:
    """Keep the volume's directory, which is not known before the claim is bound; whether the pointer changed."""
    known = read(namespace, name, directory)
    if known is None or volume is None or known.get("volume") == volume:
        return False
    _put(Path(directory) / f"{namespace}.{name}.json", {**known, "volume": volume})
    return True


def _put(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    temporary.chmod(0o644)
    temporary.replace(path)
