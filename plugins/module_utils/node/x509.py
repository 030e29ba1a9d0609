"""The validity of a certificate, read from its DER: no library that a host may lack."""

from __future__ import annotations

import base64
import re
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

PEM = re.compile(r"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.S)


def element(data: bytes, at: int) -> tuple[int, int, int]:
    """The DER element at `at`: tag, start of its content, end of its content."""
    tag, length, start = data[at], data[at + 1], at + 2
    if length & 0x80:
        count = length & 0x7F
        length = int.from_bytes(data[start : start + count], "big")
        start += count
    return tag, start, start + length


def moment(data: bytes, at: int) -> tuple[datetime, int]:
    """A UTCTime or GeneralizedTime, and where the next element starts."""
    tag, start, end = element(data, at)
    text = data[start:end].decode("ascii")
    if tag == 0x17:
        text = ("19" if text[:2] >= "50" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=timezone.utc), end


def validity(der: bytes) -> tuple[datetime, datetime]:
    """notBefore and notAfter of a certificate."""
    at = element(der, 0)[1]  # Certificate
    at = element(der, at)[1]  # TBSCertificate
    if der[at] == 0xA0:  # version
        at = element(der, at)[2]
    for _field in range(3):  # serial number, signature algorithm, issuer
        at = element(der, at)[2]
    before, following = moment(der, element(der, at)[1])
    return before, moment(der, following)[0]


def read(path: str) -> dict[str, Any] | None:
    """The first certificate of a PEM file: `path`, `not_before`, `not_after` (Unix seconds); None if unreadable."""
    try:
        found = PEM.search(Path(path).read_text(encoding="ascii", errors="replace"))
        if not found:
            return None
        before, after = validity(base64.b64decode("".join(found.group(1).split())))
    except (OSError, ValueError, IndexError):
        return None
    return {"path": path, "not_before": before.timestamp(), "not_after": after.timestamp()}
