# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a set of files should be, and what is there: plain values, no I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional

from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError

STATES = ("file", "directory", "link", "absent")
_MODE = re.compile(r"^0?[0-7]{3,4}$")


@dataclass(frozen=True)
class Entry:
    """One wanted path.

    state: `file` (with content), `directory`, `link` (to src) or `absent`.
    mode: permission bits; None leaves a link's or an absent path's alone.
    secret: the content is shown nowhere, only that it differs.
    """

    path: str
    state: str = "file"
    content: bytes = b""
    src: str = ""
    mode: Optional[int] = None
    owner: str = "root"
    group: str = "root"
    secret: bool = False


@dataclass(frozen=True)
class Current:
    """What a path is now. kind: `missing`, `file`, `directory`, `link` or `other`."""

    kind: str = "missing"
    content: bytes = b""
    src: str = ""
    mode: int = 0
    owner: str = ""
    group: str = ""


def parse(files: Sequence[Mapping[str, Any]], secret_content: Mapping[str, str]) -> list[Entry]:
    """Entries from a module's options, every mistake named; parents come before what is inside them.

    files: mappings with path, state, content, src, mode, owner, group.
    secret_content: path to content for the files whose content must not be shown.
    """
    entries: dict[str, Entry] = {}
    for number, raw in enumerate(files):
        entry = _entry(number, raw, secret_content)
        if entry.path in entries:
            raise HoldfastError(
                "the path occurs twice", field=f"files[{number}].path", value=entry.path, fix="remove one"
            )
        entries[entry.path] = entry
    unused = sorted(set(secret_content) - set(entries))
    if unused:
        raise HoldfastError(
            "content for a path that is not in files",
            field="secret_content",
            value=unused[0],
            fix="add it to files",
        )
    return sorted(entries.values(), key=lambda entry: entry.path)


def _entry(number: int, raw: Mapping[str, Any], secret_content: Mapping[str, str]) -> Entry:
    path, state = str(raw.get("path") or ""), str(raw.get("state") or "file")
    where = f"files[{number}]"
    if not path.startswith("/") or path == "/" or "/../" in f"{path}/":
        raise HoldfastError("not an absolute path", field=f"{where}.path", value=path, fix="write /dir/name")
    if state not in STATES:
        raise HoldfastError(
            "unknown state", field=f"{where}.state", value=state, fix=f"one of {', '.join(STATES)}"
        )
    secret = path in secret_content
    content = secret_content[path] if secret else raw.get("content")
    if state == "file" and content is None:
        raise HoldfastError(
            "a file needs content",
            field=f"{where}.content",
            value=path,
            fix="give content, or secret_content",
        )
    if state == "link" and not raw.get("src"):
        raise HoldfastError("a link needs src", field=f"{where}.src", value=path, fix="name the target")
    return Entry(
        path=path.rstrip("/"),
        state=state,
        content=str(content).encode("utf-8") if state == "file" else b"",
        src=str(raw.get("src") or "") if state == "link" else "",
        mode=_mode(f"{where}.mode", raw.get("mode"), state),
        owner=str(raw.get("owner") or "root"),
        group=str(raw.get("group") or "root"),
        secret=secret,
    )


def _mode(field: str, raw: Any, state: str) -> Optional[int]:
    if state in ("link", "absent"):
        return None
    if raw is None:
        return 0o755 if state == "directory" else 0o644
    if not _MODE.match(str(raw)):
        raise HoldfastError("not an octal mode", field=field, value=raw, fix="quote it: '0644'")
    return int(str(raw), 8)
