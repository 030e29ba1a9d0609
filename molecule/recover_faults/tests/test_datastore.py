"""Faults of the datastore: it is copied aside, never destroyed, and mended only when asked to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from harness import (
    DATA,
    DATABASE,
    bundles,
    done,
    healed,
    killed_after,
    recover,
    refused,
    some,
    start_well,
    unit,
)

from lab.host import LabHost
from tests.scenario import until

KEEP = "/var/lib/fault-backup"
HOLD = """
import os, sqlite3, sys, time
c = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
c.execute("BEGIN IMMEDIATE")
while not os.path.exists(sys.argv[2]):
    time.sleep(0.2)
"""
CHECKPOINT = """
import sqlite3, sys
c = sqlite3.connect(sys.argv[1], timeout=20, isolation_level=None)
c.execute("VACUUM")
print(c.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall())
c.close()
"""
# Overwrites the first page, or one leaf of the table that holds leases: what a power cut on a bad disk leaves.
SPOIL = """
import sys
path, what = sys.argv[1:3]
pages = open(path, "rb").read()
for at in range(0, len(pages), 4096):
    page = pages[at:at + 4096]
    if what == "first" or (at and page[0] == 0x0D and page.count(b"/registry/leases/") > 2):
        with open(path, "r+b") as f:
            f.seek(at)
            f.write(b"\\xa5" * 4096)
        break
else:
    sys.exit("no such page")
"""


@pytest.fixture
def stopped(host: LabHost) -> Iterator[LabHost]:
    """k3s stopped and its datastore backed up; put back and started at the end."""
    host.sudo(["systemctl", "stop", "k3s"])
    # the log may hold a good copy of the page that a test damages: fold it into the main file first
    host.sudo(["python3", "-c", CHECKPOINT, DATABASE])
    host.sudo(["sh", "-c", f"rm -rf {KEEP}; cp -a {DATA}/server/db {KEEP}"])
    yield host
    host.sudo(["systemctl", "stop", "k3s"])
    host.sudo(["sh", "-c", f"rm -rf {DATA}/server/db; mv {KEEP} {DATA}/server/db"])
    start_well(host)


def spoil(host: LabHost, what: str) -> None:
    """Damage a page of the closed datastore: `first` or `leaf`."""
    host.sudo(["python3", "-c", SPOIL, DATABASE, what])


def digest(host: LabHost, path: str) -> str:
    return host.sudo(["sha256sum", path]).out.split()[0]


def names(host: LabHost) -> set[str]:
    """Every ConfigMap of the cluster, as a sample of what the datastore holds."""
    items = host.kubectl(["get", "configmaps", "-A"])["items"]
    return {f"{one['metadata']['namespace']}/{one['metadata']['name']}" for one in items}


def test_locked_by_another_process(host: LabHost) -> None:
    """The lock is let go only once the recovery has named it, however long that takes."""
    host.put("/tmp/hold.py", HOLD.encode())
    host.sudo(["rm", "-f", "/tmp/let-go"])
    before, known = unit(host, "MainPID"), bundles(host)
    host.sudo(
        ["systemd-run", "--collect", "--unit=holder", "python3", "/tmp/hold.py", DATABASE, "/tmp/let-go"]
    )
    try:
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(recover, host, lock_wait_seconds=300)
            until("the lock is named", lambda: any("DB-LOCKED" in one for one in bundles(host) - known))
            host.sudo(["touch", "/tmp/let-go"])
            result = running.result()
    finally:
        host.sudo(["touch", "/tmp/let-go"])
    healed(host, "SQLite locked by another process", result, "DB-LOCKED")
    assert "python3" in next(one["evidence"] for one in result["findings"] if one["id"] == "DB-LOCKED")
    assert unit(host, "MainPID") == before


def test_first_page_gone(stopped: LabHost) -> None:
    host = stopped
    spoil(host, "first")
    before = digest(host, DATABASE)
    host.sudo(["systemctl", "start", "--no-block", "k3s"])
    result = recover(host)
    refused(host, "SQLite: first page gone", result, "DB-CORRUPT")
    copy = result["actions"][0]["detail"]["copy"]
    assert digest(host, f"{copy}/state.db") == before
    assert json.loads(host.read(f"{copy}/manifest.json"))["files"]["state.db"] == before
    again = recover(host)
    assert not any(one["detail"].get("new") for one in again["actions"] if one["kind"] == "copy_aside")


def test_damaged_page_is_mended_on_a_copy(stopped: LabHost) -> None:
    host = stopped
    spoil(host, "leaf")
    before = digest(host, DATABASE)
    host.sudo(["systemctl", "start", "--no-block", "k3s"])
    result = recover(host)
    refused(host, "SQLite: damaged page", result, "DB-CORRUPT")
    assert digest(host, DATABASE) == before or result["findings"], "nothing was written to the damaged file"
    mended = recover(host, datastore_repair="recover")
    assert "repair_datastore" in done(mended), mended["actions"]
    healed(host, "SQLite: damaged page, repair allowed", mended, "DB-CORRUPT")
    assert "kube-system/extension-apiserver-authentication" in names(host)


def test_torn_log(stopped: LabHost) -> None:
    """A log that is sound to SQLite and holds garbage: k3s, once started, would fold it into the good main file."""
    host = stopped
    host.put("/tmp/torn_wal.py", Path(__file__).with_name("torn_wal.py").read_bytes())
    host.sudo(["python3", "/tmp/torn_wal.py", DATABASE])
    before = digest(host, DATABASE)
    result = recover(host)
    refused(host, "SQLite: torn write-ahead log", result, "DB-TORN-WAL")
    assert digest(host, DATABASE) == before and unit(host, "ActiveState") == "inactive"
    mended = recover(host, datastore_repair="wal")
    healed(host, "SQLite: torn write-ahead log, setting it aside allowed", mended, "DB-TORN-WAL")
    assert "kube-system/extension-apiserver-authentication" in names(host)


@pytest.mark.slow
def test_log_that_is_no_log(stopped: LabHost) -> None:
    """SQLite itself drops what is torn off a log: k3s starts with what was committed before."""
    host = stopped
    host.sudo(["sh", "-c", f"head -c 20000 /dev/urandom > {DATABASE}-wal"])
    host.sudo(["systemctl", "start", "--no-block", "k3s"])
    result = recover(host)
    assert result["verified"], result["verdict"]
    again = recover(host)
    assert again["verified"] and not again["changed"]


@pytest.mark.parametrize("after", some([1, 2, 3]))
def test_repair_killed_between_two_actions(stopped: LabHost, after: int) -> None:
    """The datastore is mended in four steps; killed before any of them, the next run completes and nothing is lost."""
    host = stopped
    spoil(host, "leaf")
    host.sudo(["systemctl", "start", "--no-block", "k3s"])
    killed_after(host, after, datastore_repair="recover")
    result = recover(host, datastore_repair="recover")
    assert result["verified"], result["verdict"]
    assert "kube-system/extension-apiserver-authentication" in names(host)
