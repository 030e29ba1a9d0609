"""The machine around k3s: a full disk, a packet filter, a clock that is wrong, a stop that takes its time."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from harness import (
    DATA,
    INCIDENTS,
    bundles,
    done,
    healed,
    local,
    ready,
    recover,
    refused,
    start_well,
    unit,
    well,
)

from lab.host import LabHost
from tests.scenario import until

DB = f"{DATA}/server/db"
SLOW_STOP = "/etc/systemd/system/k3s.service.d/zz-slow-stop.conf"


@pytest.fixture
def small_disk(host: LabHost) -> Iterator[LabHost]:
    """The datastore on a volume of its own with little room; its newest state is kept when the volume goes."""
    host.sudo(["systemctl", "stop", "k3s"])
    host.sudo(
        [
            "sh",
            "-c",
            f"set -e; cp -a {DB} {DB}.kept; mount -t tmpfs -o size=256m,mode=700 small {DB}; cp -a {DB}.kept/. {DB}/",
        ]
    )
    start_well(host)
    yield host
    host.sudo(["systemctl", "stop", "k3s"])
    host.sudo(
        [
            "sh",
            "-c",
            f"set -e; rm -rf {DB}/filler {DB}.kept; cp -a {DB} {DB}.kept; umount {DB}; rm -rf {DB}; mv {DB}.kept {DB}",
        ]
    )
    start_well(host)


def test_disk_full_to_the_last_byte(small_disk: LabHost) -> None:
    """Nothing of the operator's is deleted for it: the datastore is whole, and a person hears what takes the room."""
    host = small_disk
    host.sudo(["sh", "-c", f"cat /dev/zero > {DB}/filler || true"])
    result = recover(host)
    refused(host, "disk full", result, "DB-DISK-FULL")
    assert DB in next(one["evidence"] for one in result["findings"] if one["id"] == "DB-DISK-FULL")
    assert "free space there" in result["needs_person"][0]
    assert host.exists(f"{DB}/filler")
    host.sudo(["rm", f"{DB}/filler"])
    until("k3s writes again", lambda: well(host))
    assert not recover(host)["changed"]


def test_packet_filter_before_the_api(host: LabHost) -> None:
    """Node and API are well, nobody reaches them: a restart or a killall would only cost the applications."""
    rule = ["INPUT", "-i", "lo", "-p", "tcp", "--dport", "6443", "-j", "DROP"]
    before = unit(host, "MainPID")
    host.sudo(["iptables", "-I", *rule])
    try:
        result = recover(host)
        refused(host, "API cut off by a packet filter, node well", result, "API-FILTERED")
        assert done(result) == [] and unit(host, "MainPID") == before
    finally:
        host.sudo(["iptables", "-D", *rule])
    until("the API answers again", lambda: ready(host))


@pytest.mark.parametrize(("offset", "what"), [("+730d", "ahead"), ("-730d", "behind")])
def test_clock_two_years_off(host: LabHost, offset: str, what: str) -> None:
    """For the recovery alone: its clock says that every certificate has ended, or that none is valid yet."""
    host.sudo(
        [
            "sh",
            "-c",
            "command -v faketime >/dev/null || { apt-get update -qq; apt-get install -y -qq faketime; }",
        ],
        timeout=300,
    )
    until(
        "k3s has been at work for a while",
        lambda: int(host.sudo(["ps", "-o", "etimes=", "-p", unit(host, "MainPID")]).out) > 60,
    )
    before, known = unit(host, "MainPID"), bundles(host)
    shown = f"{DATA}/server/tls/client-admin.crt"
    certificate = host.read(shown)
    # only the time of day is false: no stamp of a file, no monotonic clock
    environment = ["env", "NO_FAKE_STAT=1", "FAKETIME_DONT_FAKE_MONOTONIC=1", "DONT_FAKE_MONOTONIC=1"]
    ran = local(host, *environment, "faketime", "-m", "-f", offset)
    assert ran.rc == 0, ran.err
    result = json.loads(ran.out)
    refused(host, f"clock two years {what} of the truth", result, "CLOCK-SKEW")
    assert unit(host, "MainPID") == before and host.read(shown) == certificate
    assert known <= bundles(host), "by a wrong clock old evidence was pruned"
    host.sudo(["rm", "-rf", *(f"{INCIDENTS}/{name}" for name in bundles(host) - known)])


def test_stop_that_takes_its_time(host: LabHost) -> None:
    """A unit that is still stopping is waited for and started: neither given up nor killed."""
    host.put(SLOW_STOP, b"[Service]\nExecStop=/bin/sleep 25\n")
    host.sudo(["systemctl", "daemon-reload"])
    try:
        host.sudo(["systemctl", "stop", "--no-block", "k3s"])
        until("it is stopping", lambda: unit(host, "ActiveState") == "deactivating")
        result = json.loads(local(host).out)
        healed(host, "k3s still stopping", result, "UNIT-INACTIVE")
        assert done(result) == ["start_unit"]
    finally:
        host.sudo(["rm", SLOW_STOP])
        host.sudo(["systemctl", "daemon-reload"])
