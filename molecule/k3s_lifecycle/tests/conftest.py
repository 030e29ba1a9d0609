"""A bare host of its own, what it looked like before k3s, and role k3s run on it as an operator would."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from lab.host import LabHost
from tests.scenario import Play, fresh_host, play

NAME = "lifecycle"
# Everything that k3s and the role could leave behind: files, mounts, interfaces, rules, processes.
LOOK = r"""
find /etc /usr/local /opt /var/lib/rancher /var/lib/kubelet /var/lib/cni /var/lib/holdfast \
    /run/k3s /run/flannel /run/holdfast /run/netns /run/containerd -xdev \
    -not -path '*/dist-packages*' 2>/dev/null
awk '{print "mount " $2}' /proc/self/mounts
ip -o link show | awk '{sub(/@.*|:$/, "", $2); print "interface " $2}'
iptables-save 2>/dev/null | grep -E '^:(KUBE|CNI|FLANNEL)' | awk '{print "chain " $1}'
ps -e -o args= | grep -E '^/(usr/local/bin/k3s|var/lib/rancher)' | awk '{print "process " $1}'
"""


def traces(host: LabHost) -> set[str]:
    """What is on the host now, as far as k3s could have a hand in it."""
    return set(host.sudo(["sh", "-c", LOOK]).out.splitlines())


def role(*arguments: str, **variables: Any) -> Play:
    """Run role k3s on the host."""
    return play(NAME, "--tags", "k3s", *arguments, **variables)


@pytest.fixture(scope="session")
def host() -> Iterator[LabHost]:
    """A bare host; gone afterwards."""
    machine = fresh_host(NAME)
    yield machine
    machine.down()


@pytest.fixture(scope="session")
def bare(host: LabHost) -> set[str]:
    """What was on the host before the first run."""
    return traces(host)


@pytest.fixture(scope="module")
def running(host: LabHost, bare: set[str]) -> LabHost:
    """The host with the role's defaults on it, whatever an earlier test left."""
    role().ok()
    return host
