"""The lab itself: hosts side by side, and the remains of killed runs."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import cli, paths, podman, record
from lab.errors import LabError
from lab.host import LabHost
from lab.proc import run

NAME = "contract-side"


@pytest.fixture(scope="module")
def three() -> Iterator[list[LabHost]]:
    """Return three bare hosts."""
    assert cli.main(["up", "--bare", "--name", NAME, "--count", "3"]) == 0
    yield [LabHost.get(name) for name in cli.names(NAME, 3)]
    cli.main(["down", "--name", NAME, "--count", "3"])


def _processes(name: str) -> list[int]:
    described = podman.container(name)
    assert described is not None
    return [int(described["State"]["ConmonPid"]), int(described["State"]["Pid"])]


def _kill_all(name: str) -> None:
    for pid in _processes(name):
        os.kill(pid, signal.SIGKILL)


def test_hosts_are_bare_and_apart(three: list[LabHost]) -> None:
    assert len({host.port for host in three}) == len({host.address for host in three}) == 3
    marks = set()
    for host in three:
        assert host.run(["hostname"]).out.strip() == host.name
        assert host.sudo(["id", "-u"]).out.strip() == "0"
        assert not host.exists("/usr/local/bin/k3s") and not host.exists("/etc/rancher")
        assert host.run(["systemctl", "is-system-running", "--wait"], check=False).out.strip() == "running"
        assert host.run(["findmnt", "-no", "PROPAGATION", "/"]).out.strip() == "shared"
        marks.add(host.read("/etc/machine-id"))
        marks.add(host.read("/proc/sys/kernel/random/boot_id"))
    assert len(marks) == 6
    assert three[0].sudo(["ping", "-c", "3", "-W", "10", three[1].address]).rc == 0


def test_up_again_changes_nothing(three: list[LabHost]) -> None:
    before = _processes(three[0].name)
    assert cli.main(["up", "--bare", "--name", NAME]) == 0
    assert _processes(three[0].name) == before


def test_files_survive_reboot_and_power_loss(three: list[LabHost]) -> None:
    host = three[0]
    for path in ("/etc/contract", "/var/lib/rancher/contract", "/srv/contract"):
        host.put(path, b"kept", 0o600)
    host.run(["logger", "contract-line-before"])
    host.reboot()
    host.power_loss()
    for path in ("/etc/contract", "/var/lib/rancher/contract", "/srv/contract"):
        assert host.read(path) == "kept"
        assert host.sudo(["stat", "-c", "%a", path]).out.strip() == "600"
    assert "contract-line-before" in host.sudo(["journalctl", "-q", "-o", "cat", "-t", "ops"]).out
    assert record.load(host.name) == host.record


def test_killed_processes_are_a_power_loss(three: list[LabHost]) -> None:
    host = three[1]
    host.put("/etc/contract", b"kept")
    _kill_all(host.name)
    assert cli.main(["up", "--bare", "--name", host.name]) == 0
    assert host.read("/etc/contract") == "kept"


def test_host_without_its_state_is_made_anew(three: list[LabHost]) -> None:
    host = three[1]
    host.put("/etc/contract", b"old")
    _kill_all(host.name)
    shutil.rmtree(paths.host_state(host.name))
    assert cli.main(["up", "--bare", "--name", host.name]) == 0
    assert not LabHost.get(host.name).exists("/etc/contract")


@pytest.fixture
def other_checkout(tmp_path: Path) -> Path:
    """Return a second checkout, as far as the lab needs one."""
    shutil.copytree(paths.SOURCES, tmp_path / "lab", ignore=shutil.ignore_patterns("__pycache__", "k3s"))
    return tmp_path


def test_another_checkout_takes_dead_hosts_only(three: list[LabHost], other_checkout: Path) -> None:
    host = three[2]
    argv = [sys.executable, "-m", "lab", "up", "--bare", "--name", host.name]
    environment = {"CI": "", "PYTHONPATH": str(other_checkout)}
    refused = run(argv, cwd=other_checkout, env=environment, check=False)
    assert refused.rc == 1
    assert f"host name '{host.name}' is in use by the checkout {paths.CHECKOUT}" in refused.err
    _kill_all(host.name)
    try:
        assert run(argv, cwd=other_checkout, env=environment).rc == 0
    finally:
        run([*argv[:3], "down", "--all"], cwd=other_checkout, env=environment)
    with pytest.raises(LabError):
        host.run(["true"])
    assert podman.container(host.name) is None


def test_down_leaves_nothing(three: list[LabHost]) -> None:
    host = three[0]
    host.down()
    assert podman.container(host.name) is None
    assert not paths.host_state(host.name).exists()
    assert f'"{host.name}":' not in (paths.INVENTORY / "hosts.yml").read_text()
