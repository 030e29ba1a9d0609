"""Faults of the datastore: it is copied aside, never destroyed, and mended only when asked to."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from harness import DATA, DATABASE, FULL, done, healed, recover, refused, start_well, unit, wait

from lab.host import LabHost

KEEP = "/var/lib/fault-backup"
HOLD = """
import sqlite3, sys, time
c = sqlite3.connect(sys.argv[1], timeout=20, isolation_level=None)
c.execute("BEGIN IMMEDIATE")
print("held", flush=True)
time.sleep(float(sys.argv[2]))
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
    host.put("/tmp/hold.py", HOLD.encode())
    host.sudo(["systemd-run", "--unit=holder", "python3", "/tmp/hold.py", DATABASE, "12"])
    wait("the lock", lambda: "held" in host.sudo(["journalctl", "-u", "holder", "-b", "--no-pager"]).out, 20)
    before = unit(host, "MainPID")
    result = recover(host)
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


@pytest.mark.slow
def test_torn_log(stopped: LabHost) -> None:
    """SQLite itself drops what is torn off a log: k3s starts with what was committed before."""
    host = stopped
    host.sudo(["sh", "-c", f"head -c 20000 /dev/urandom > {DATABASE}-wal"])
    host.sudo(["systemctl", "start", "--no-block", "k3s"])
    result = recover(host)
    assert result["verified"], result["verdict"]
    again = recover(host)
    assert again["verified"] and not again["changed"]


KILLER = """
import os, signal, sys
sys.path.insert(0, "/usr/local/lib/holdfast")
from ansible_collections.holdfast.k3s.plugins.module_utils.node import act, recover
from ansible_collections.holdfast.k3s.plugins.module_utils.node.model import Options
from ansible_collections.holdfast.k3s.plugins.module_utils.node.paths import Paths
left = int(sys.argv[1])
run = act.Actor.run
def counted(self, action):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    return run(self, action)
act.Actor.run = counted
recover.recover(Options(datastore_repair="recover"), Paths(), check_mode=False, deadline_seconds=600, budget=None,
                evidence_dir="/var/lib/holdfast/incidents")
"""


@pytest.mark.parametrize("after", [1, 2, 3] if FULL else [3])
def test_recovery_killed_between_two_actions(stopped: LabHost, after: int) -> None:
    host = stopped
    if not host.exists("/usr/local/lib/holdfast/ansible_collections"):
        pytest.fail("role recovery did not install its library")
    spoil(host, "leaf")
    host.sudo(["systemctl", "start", "--no-block", "k3s"])
    killed = host.sudo(["python3", "-c", KILLER, str(after)], check=False, timeout=300)
    # sudo dies of the same signal as its child, which ssh reports as 255
    assert killed.rc in (137, 255, -9) and "Traceback" not in killed.err, killed
    result = recover(host, datastore_repair="recover")
    assert result["verified"], result["verdict"]
    assert "kube-system/extension-apiserver-authentication" in names(host)
