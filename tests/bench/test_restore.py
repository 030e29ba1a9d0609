"""One dump restored three ways in one run: pg_restore --clean in place, psql < dump.sql, and ours (prepare, then swap).

    make bench ARGS="-k restore"

Prints seconds in all, the longest time in which a reader found no row, and the disk space that was needed at the peak.
HOLDFAST_BENCH_MB sets the size of the database (600; 3000 for the number in the documents). Needs PostgreSQL on this machine, no lab.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.unit.roles.backup.server import Server, binaries  # noqa: E402

MEGABYTES = int(os.environ.get("HOLDFAST_BENCH_MB", "600"))
ROW_BYTES = 290  # with its share of the indexes
DATABASE = "bench"


@dataclass
class Measured:
    """One contestant. downtime: longest time without an answer that has the row. peak: MiB above what was used before."""

    name: str
    seconds: float
    downtime: float
    peak: float


class Reader(threading.Thread):
    """Somebody who looks up one row again and again over fresh connections, as an application after a reconnect."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self.server, self.ending, self.longest = server, threading.Event(), 0.0

    def run(self) -> None:
        argv = [str(binaries() / "psql"), "-X", "-At", "-c", "SELECT owner FROM accounts WHERE id = 1"]
        env = self.server.env(PGDATABASE=DATABASE, PGOPTIONS="-c lock_timeout=200ms")
        last = time.monotonic()
        while not self.ending.is_set():
            done = subprocess.run(argv, env=env, capture_output=True, text=True)
            if done.stdout.strip() == "owner 1":
                self.longest, last = max(self.longest, time.monotonic() - last), time.monotonic()
            time.sleep(0.02)
        self.longest = max(self.longest, time.monotonic() - last)


class Disk(threading.Thread):
    """The most that the server's directory holds."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.directory, self.ending = directory, threading.Event()
        self.before = self.most = self.used()

    def used(self) -> float:
        done = subprocess.run(["du", "-sm", str(self.directory)], capture_output=True, text=True)
        return float(done.stdout.split()[0])

    def run(self) -> None:
        while not self.ending.wait(0.2):
            self.most = max(self.most, self.used())


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server with a database of the wanted size, a backup of ours, and the same as plain SQL."""
    found = Server.start()
    try:
        found.sql("postgres", f"CREATE DATABASE {DATABASE}")
        rows = MEGABYTES * 1024 * 1024 // ROW_BYTES
        found.sql(DATABASE, "CREATE TABLE accounts (id int, owner text, balance int, note text)")
        for start in range(1, rows + 1, 500_000):
            end = min(rows, start + 499_999)
            found.sql(
                DATABASE,
                f"INSERT INTO accounts SELECT i, 'owner ' || i, i % 997, repeat(md5(i::text), 6) FROM generate_series({start}, {end}) i",
            )
        found.sql(DATABASE, "ALTER TABLE accounts ADD PRIMARY KEY (id)")
        found.sql(DATABASE, "CREATE INDEX ON accounts (owner)")
        done = found.script("backup.sh", DATABASES=DATABASE, HASH_MAX_MB="0")
        assert done.code == 0, done.text
        plain = found.home / "tmp/dump.sql"
        with plain.open("w") as stream:
            argv = [str(binaries() / "pg_dump"), "--clean", "--if-exists", "-d", DATABASE]
            subprocess.run(argv, env=found.env(), stdout=stream, check=True)
        yield found
    finally:
        found.stop()


def backup_of(server: Server) -> Path:
    return next(path for path in (server.home / "backups" / DATABASE).iterdir() if path.name[0].isdigit())


def in_place(server: Server) -> None:
    dump = str(backup_of(server) / "dump")
    argv = [
        *server.prefix,
        str(binaries() / "pg_restore"),
        "--clean",
        "--if-exists",
        "-j",
        "2",
        "-d",
        DATABASE,
        dump,
    ]
    subprocess.run(argv, env=server.env(), check=True)


def plain_sql(server: Server) -> None:
    with (server.home / "tmp/dump.sql").open() as stream:
        argv = [str(binaries() / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", DATABASE]
        subprocess.run(argv, env=server.env(), stdin=stream, stdout=subprocess.DEVNULL, check=True)


def ours(server: Server) -> None:
    env = {
        "DATABASE": DATABASE,
        "BACKUP": backup_of(server).name,
        "STAMP": "20260101T000000Z",
        "SAFETY": "skip",
    }
    for script in ("prepare.sh", "swap.sh"):
        done = server.script(script, **env)
        assert done.code == 0, done.text


def measure(server: Server, name: str, act: Callable[[Server], None]) -> Measured:
    server.sql("postgres", "CHECKPOINT")
    reader, disk = Reader(server), Disk(server.home / "data")
    reader.start()
    disk.start()
    time.sleep(0.5)
    began = time.monotonic()
    try:
        act(server)
        seconds = time.monotonic() - began
        time.sleep(0.5)
    finally:
        for thread in (reader, disk):
            thread.ending.set()
            thread.join()
    return Measured(name, seconds, reader.longest, disk.most - disk.before)


def test_restore_beside_the_ways_that_people_use(server: Server) -> None:
    size = int(server.sql(DATABASE, f"SELECT pg_database_size('{DATABASE}')")) // 1024**2
    contestants = [("pg_restore --clean", in_place), ("psql < dump.sql", plain_sql), ("ours", ours)]
    found = [measure(server, name, act) for name, act in contestants]
    last = found[-1]
    print(f"\n{size} MiB, {os.cpu_count()} cores")
    print(f"{'':20} {'seconds':>8} {'no row for':>11} {'peak disk':>10}")
    for one in found:
        print(f"{one.name:20} {one.seconds:>7.1f}s {one.downtime:>10.2f}s {one.peak:>6.0f} MiB")
    for one in found[:-1]:
        print(f"downtime of {one.name} / ours: {one.downtime / last.downtime:.0f}")
    assert all(last.downtime < one.downtime for one in found[:-1]), (
        "a swap by rename must be the shortest outage"
    )
    assert server.sql(DATABASE, "SELECT owner FROM accounts WHERE id = 1") == "owner 1"
