# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Names: of directories, of databases beside a database, of times. The same rules as roles/backup/files/lib.sh."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import Optional

from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError

NAME_BYTES = 63  # NAMEDATALEN - 1
STAMP = re.compile(r"^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$")
_SIDE = re.compile(r"__(restore|before|undone)_(\d{8}T\d{6}Z)$")


def directory(database: str) -> str:
    """The directory of a database's backups: bytes other than letters, digits, dot, dash, underscore become %XX."""
    plain = re.compile(rb"[A-Za-z0-9._-]")
    text = "".join(
        chr(byte) if plain.match(bytes([byte])) else f"%{byte:02X}" for byte in database.encode("utf-8")
    )
    return "%2E" + text[1:] if text.startswith(".") else text


def side(database: str, kind: str, stamp: str) -> str:
    """A database beside another: <db>__<kind>_<stamp>, at most 63 bytes, never cut inside a character."""
    tail = f"__{kind}_{stamp}"
    head = database
    while len((head + tail).encode("utf-8")) > NAME_BYTES:
        head = head[:-1]
    return head + tail


def side_of(name: str) -> Optional[tuple[str, str]]:
    """(kind, stamp) of a database that side() named, or None."""
    found = _SIDE.search(name)
    return (found.group(1), found.group(2)) if found else None


def check_database(name: str) -> str:
    """A database name that PostgreSQL can hold, or a clear error."""
    if not name or "\x00" in name or "\n" in name:
        raise HoldfastError(
            "a database name is 1 to 63 bytes without line breaks", field="database", value=name
        )
    if len(name.encode("utf-8")) > NAME_BYTES:
        raise HoldfastError(
            f"PostgreSQL cuts names at {NAME_BYTES} bytes and this one has {len(name.encode('utf-8'))}",
            field="database",
            value=name,
            fix="give the name as the server stores it (psql -l)",
        )
    return name


def stamp(moment: datetime) -> str:
    """A moment as a backup's name."""
    return moment.astimezone(timezone.utc).strftime("%Y%m%dT%H%M%SZ")


def moment(name: str) -> datetime:
    """The moment that a backup's name says."""
    found = STAMP.match(name)
    if not found:
        raise HoldfastError(
            "a backup's name is its time in UTC", field="backup", value=name, fix="like 20261120T020000Z"
        )
    year, month, day, hour, minute, second = (int(part) for part in found.groups())
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=timezone.utc)
    except ValueError:
        raise HoldfastError("not a time", field="backup", value=name, fix="like 20261120T020000Z") from None


def parse_time(text: str) -> datetime:
    """A time from a person (ISO 8601; UTC when it names no zone)."""
    try:
        found = datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
    except ValueError:
        raise HoldfastError("not a time", field="at", value=text, fix="like 2026-11-20T02:00") from None
    return found if found.tzinfo else found.replace(tzinfo=timezone.utc)
