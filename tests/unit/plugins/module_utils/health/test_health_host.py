# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Every finding from the facts of the host, and the facts from a host that answers only in part."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sample_health import NOW, PARAMS, Commands

from ansible_collections.holdfast.k3s.plugins.module_utils.health import (
    checks_host,
    host_facts,
)
from ansible_collections.holdfast.k3s.plugins.module_utils.health.model import HostFacts

GOOD_UNIT = {"ActiveState": "active", "SubState": "running", "LoadState": "loaded"}
DISK = {"path": "/", "percent": 10, "inode_percent": 1, "free_mb": 5, "size_mb": 9}


def epoch(hours_ago: float) -> int:
    return int((NOW - timedelta(hours=hours_ago)).timestamp())


def backup(newest: float, verified: float, **more: Any) -> dict[str, Any]:
    times = {"newest_at": epoch(newest) if newest else 0, "verified_at": epoch(verified) if verified else 0}
    return {"database": "db", "rpo_hours": 26, **times, **more}


HOST = [
    ({"unit": GOOD_UNIT}, []),
    ({"unit": {}}, ["unit_unknown/note"]),
    ({"unit": {"ActiveState": "activating", "SubState": "auto-restart"}}, ["unit_down/down"]),
    ({"unit": {"LoadState": "not-found", "ActiveState": "inactive"}}, ["unit_missing/down"]),
    ({"disks": [{**DISK, "percent": 86}]}, ["disk_space/degraded"]),
    ({"disks": [{**DISK, "inode_percent": 99}]}, ["disk_inodes/down"]),
    ({"memory": {"total_mb": 1000, "available_mb": 50}}, ["memory_host/degraded"]),
    ({"memory": {"total_mb": 1000, "available_mb": 500}, "pressure": 40.0}, ["memory_stall/degraded"]),
    ({"certificates": [{"file": "a", "days": 300}, {"file": "b", "days": -2}]}, ["certificate_expired/down"]),
    ({"certificates": [{"file": "a", "days": 3}]}, ["certificate_expiring/degraded"]),
    ({"datastore": {"size_mb": 2000, "wal_mb": 100}}, ["datastore_big/degraded"]),
    ({"clock": {"behind": 9000}}, ["clock_behind/degraded"]),
    ({"clock": {"behind": 0, "synchronized": False}}, ["clock_free/note"]),
    ({"registry": {"ok": False, "url": "u", "error": "refused"}}, ["registry_down/degraded"]),
    ({"registry": {"ok": True}}, []),
    ({"backups": [backup(3, 20)]}, []),
    ({"backups": [backup(30, 20)]}, ["backup_old/degraded"]),
    ({"backups": [backup(3, 200)]}, ["backup_unverified/degraded"]),
    ({"backups": [backup(0, 0)]}, ["backup_old/degraded", "backup_unverified/degraded"]),
    ({"backups": [backup(3, 20, unproven="b-1")]}, ["backup_unproven/degraded"]),
    ({"backups": [backup(3, 20, offsite_at=0, offsite_hours=50)]}, ["backup_offsite/degraded"]),
    ({"backups": [backup(3, 20, offsite_at=epoch(20), offsite_hours=50)]}, []),
    ({"backups": [{"database": "db", "error": "x"}]}, ["backup_unknown/degraded"]),
    ({"reboot": "packages"}, ["reboot_pending/note"]),
]


@pytest.mark.req("SN-49", "SN-58")
@pytest.mark.parametrize(("facts", "expected"), HOST)
def test_host(facts: dict[str, Any], expected: list[str]) -> None:
    found = checks_host.check(HostFacts(**{"unit": GOOD_UNIT, **facts}), PARAMS, NOW)
    assert [f"{f.id}/{f.severity}" for f in found] == expected
    assert all(f.text and (f.fix or f.severity == "note") for f in found)


def test_the_host_tells_what_it_can_and_nothing_raises(tmp_path: Path) -> None:
    (tmp_path / "proc/pressure").mkdir(parents=True)
    (tmp_path / "proc/meminfo").write_text("MemTotal: 2048000 kB\nMemAvailable: 1024000 kB\n")
    (tmp_path / "proc/pressure/memory").write_text("some avg10=1.50 avg60=0 avg300=0 total=0\n")
    (tmp_path / "run").mkdir()
    (tmp_path / "run/reboot-required").write_text("")
    state = tmp_path / "var/lib/holdfast/backups"
    state.mkdir(parents=True)
    volume = tmp_path / "vol"
    (volume / "db").mkdir(parents=True)
    (volume / "db/status.json").write_text(json.dumps({"newest_at": 5, "verified_at": 0}))
    databases = [{"database": "db", "directory": "db"}, {"database": "other", "directory": "other"}]
    (state / "s.backup.json").write_text(
        json.dumps({"namespace": "s", "volume": "/vol", "databases": databases})
    )
    (state / "torn.json").write_text("{")
    facts = host_facts.gather(Commands(), {**PARAMS, "registry_url": ""}, str(tmp_path))  # type: ignore[arg-type]
    assert facts.unit["ActiveState"] == "active"
    assert facts.memory == {"total_mb": 2000, "available_mb": 1000} and facts.pressure == 1.5
    assert facts.certificates == [{"file": "a.crt", "days": 10}]
    assert facts.reboot == "the system asks for it" and facts.registry == {}
    by_name = {entry["database"]: entry for entry in facts.backups}
    assert by_name["db"]["newest_at"] == 5 and "error" in by_name["other"] and "error" in by_name["torn"]
    assert facts.disks and facts.clock == {"synchronized": None, "behind": 0}
