"""Leave a write-ahead log behind whose newest pages are garbage under right checksums. Runs on the host, k3s stopped:

    torn_wal.py DATABASE

A disk that confirmed writes which it then lost leaves this: SQLite takes the log for whole. A log that is merely cut off is
dropped by SQLite itself.
"""

from __future__ import annotations

import sqlite3
import struct
import sys
from pathlib import Path

HEADER, FRAME_HEADER = 32, 24


def checksum(data: bytes, first: int, second: int, order: str) -> tuple[int, int]:
    """SQLite's running checksum over pairs of 32-bit words."""
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for number in range(0, len(words), 2):
        first = (first + words[number] + second) & 0xFFFFFFFF
        second = (second + words[number + 1] + first) & 0xFFFFFFFF
    return first, second


def spoilt(log: bytes) -> bytes:
    """The log with garbage in the place of every page, its checksums right."""
    magic, _version, size = struct.unpack(">3I", log[:12])
    order = ">" if magic & 1 else "<"
    pair = struct.unpack(">2I", log[24:HEADER])
    made = [log[:HEADER]]
    for at in range(HEADER, len(log), FRAME_HEADER + size):
        head, page = log[at : at + 16], b"\xa5" * size
        pair = checksum(page, *checksum(head[:8], *pair, order), order)
        made += [head, struct.pack(">2I", *pair), page]
    return b"".join(made)


def main(database: str) -> None:
    """Write a row as it is once more, keep the log of that, and put it back spoilt after the orderly end."""
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("PRAGMA wal_autocheckpoint=0")
    connection.execute("UPDATE kine SET name = name WHERE id = (SELECT max(id) FROM kine)")
    log = Path(f"{database}-wal").read_bytes()
    connection.close()
    Path(f"{database}-wal").write_bytes(spoilt(log))


if __name__ == "__main__":
    main(sys.argv[1])
