"""The host's life after the first day: nothing to do on a second, and an unclean or clean stop that it comes back from by itself."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest

from lab.host import LabHost
from tests.scenario import Play, all_pods_ready, pid, until


def counted(host: LabHost) -> int:
    """Rows that the application counts in its database, asked through its Service."""
    service = host.kubectl(["-n", "songnodes", "get", "service", "rest-api"])
    address = f"http://{service['spec']['clusterIP']}:{service['spec']['ports'][0]['port']}/count"
    return int(json.loads(host.run(["curl", "-sSf", "--max-time", "30", address]).out)["rows"])


def comes_back(host: LabHost, rows: int, boot: str) -> None:
    """Without anybody's help: k3s, every pod, the application with the same rows, the registry."""
    assert host.read("/proc/sys/kernel/random/boot_id") != boot, "the host was not restarted"
    until("the application answers with its rows", lambda: counted(host) == rows, 480)
    all_pods_ready(host, 480)
    assert host.sudo(["systemctl", "is-active", "docker-registry"], check=False).out.strip() == "active"
    until(
        "the kubelet holds its shutdown inhibitor",
        lambda: "kubelet" in host.sudo(["systemd-inhibit", "--list", "--no-legend", "--no-pager"]).out,
    )


@pytest.mark.req("BR-02", "BR-06")
def test_the_application_answers_with_its_rows(host: LabHost) -> None:
    assert until("the application answers", lambda: counted(host)) >= 50_000
    all_pods_ready(host)


@pytest.mark.timeout(1800)
def test_a_second_day_changes_nothing_and_the_summary_says_what_is_there(
    host: LabHost, site: Callable[..., Play]
) -> None:
    before = pid(host)
    again = site()
    assert again.changed == ()
    assert pid(host) == before
    node_port = host.kubectl(["-n", "songnodes", "get", "service", "rest-api"])["spec"]["ports"][0][
        "nodePort"
    ]
    for line in (
        r"node: songnodes Ready v\d",
        r"pods ready: kube-system (\d+)/\1, songnodes (\d+)/\2",
        r"registry: http://localhost:5000 with lab/postgres",
        r"newest backup: musicdb \S+, \d+ rows, proved by a trial restore",
        rf"application: http://[\d.]+:{node_port}/count answers, {counted(host)} rows",
        r"not hardened here: sysctls: ",
        r"try next:",
    ):
        assert re.search(line, again.words), f"{line} is not in the summary:\n{again.output[-4000:]}"


@pytest.mark.timeout(1800)
@pytest.mark.req("SN-09", "SN-12", "SN-30", "SN-39")
def test_a_reboot_comes_back_by_itself_with_the_same_rows(host: LabHost) -> None:
    rows, boot = counted(host), host.read("/proc/sys/kernel/random/boot_id")
    host.reboot()
    comes_back(host, rows, boot)


@pytest.mark.timeout(1800)
@pytest.mark.req("SN-09", "SN-12", "SN-30", "SN-39")
def test_a_power_loss_comes_back_by_itself_with_the_same_rows(
    host: LabHost, site: Callable[..., Play]
) -> None:
    rows, boot = counted(host), host.read("/proc/sys/kernel/random/boot_id")
    host.power_loss()
    comes_back(host, rows, boot)
    assert site().changed == (), "nothing was lost, so there is nothing to do"
