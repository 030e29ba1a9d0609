"""Preflight: every check as a table; and the readers on a tree of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.holdfast.k3s.plugins.module_utils.core.redact import redact_text
from ansible_collections.holdfast.k3s.plugins.module_utils.host import facts as reader
from ansible_collections.holdfast.k3s.plugins.module_utils.host import preflight
from ansible_collections.holdfast.k3s.plugins.module_utils.host.listening import parse_sockets

OPTIONS: dict[str, Any] = {
    "version": "v1.36.3+k3s1",
    "node_name": "box",
    "min_free_mb": 1024,
    "min_memory_mb": 900,
    "max_clock_skew": 300,
    "reference_time": 1000.0,
    "mode": "server",
    "harden": {"secrets_encryption": True},
    "config_keys": [],
}
GOOD: dict[str, Any] = {
    "os": {"id": "debian", "like": "", "version": "12", "name": "Debian 12"},
    "machine": "x86_64",
    "arch": "amd64",
    "systemd": True,
    "cgroup": "v2",
    "controllers": ["cpu", "cpuset", "io", "memory", "pids"],
    "modules": {"overlay": "loaded", "br_netfilter": "unknown"},
    "listeners": [],
    "free_mb": 9000,
    "memory_mb": 4000,
    "default_route": True,
    "time": 1001.0,
    "rivals": [],
    "firewalls": [],
    "selinux_enforcing": False,
    "selinux_policy": False,
    "pinned_node_name": "",
    "installed": "",
    "container": False,
    "clock_services": ["chrony.service"],
    "encryption": False,
    "foreign_units": {},
}


def listener(process: str, cgroup: str = "0::/user.slice") -> dict[str, Any]:
    """A process on the API server's port."""
    return {"port": 6443, "pid": 42, "process": process, "cgroup": cgroup}


def system(name: str, like: str, version: str) -> dict[str, Any]:
    """A host's release."""
    return {"os": {"id": name, "like": like, "version": version, "name": name}}


def test_a_good_host_has_no_finding() -> None:
    assert preflight.check(GOOD, OPTIONS) == []


@pytest.mark.parametrize(
    ("changes", "check", "words"),
    [
        (
            {"os": {"id": "alpine", "like": "", "version": "3", "name": "Alpine"}},
            "os",
            "not a supported system",
        ),
        (system("ubuntu", "debian", "20.04"), "os", "too old.*22.04 or newer"),
        (system("rocky", "rhel centos fedora", "8.10"), "os", "too old.*9 or newer"),
        (system("debian", "", "10"), "os", "too old.*11 or newer"),
        ({"systemd": False}, "os", "systemd"),
        ({"arch": "", "machine": "riscv64"}, "arch", "riscv64"),
        ({"cgroup": "v1"}, "cgroup", "k3s_allow_cgroup_v1"),
        ({"controllers": ["cpu", "cpuset", "pids"]}, "cgroup", "memory"),
        ({"modules": {"overlay": "missing"}}, "modules", "overlay"),
        ({"listeners": [listener("nginx")]}, "ports", r"6443 is taken by nginx \(PID 42\)"),
        ({"free_mb": 10}, "disk", "only 10 MB"),
        ({"memory_mb": 500}, "memory", "500 MB"),
        ({"time": 5000.0}, "clock", "4000 s ahead of"),
        ({"time": 1.0}, "clock", "999 s behind"),
        ({"pinned_node_name": "old"}, "node_name", "k3s_node_name: old"),
        ({"firewalls": ["ufw"]}, "firewall", "ufw allow 6443/tcp"),
        ({"rivals": ["kubelet"]}, "runtimes", "one Kubernetes"),
        ({"selinux_enforcing": True}, "selinux", "k3s-selinux"),
        ({"default_route": False}, "network", "no default route"),
        ({"installed": "v1.37.1+k3s1"}, "version", "older"),
        ({"installed": "v1.34.1+k3s1"}, "version", "skips a minor"),
    ],
)
def test_each_problem_is_named_with_its_fix(changes: dict[str, Any], check: str, words: str) -> None:
    findings = preflight.check({**GOOD, **changes}, OPTIONS)
    assert [finding.check for finding in findings if not finding.warning] == [check]
    import re

    assert re.search(words, findings[0].text())
    assert "Fix: " in findings[0].text()


@pytest.mark.parametrize(
    ("changes", "options"),
    [
        (system("ubuntu", "debian", "22.04"), {}),
        (system("almalinux", "rhel centos fedora", "9.0"), {}),
        (system("debian", "", "11"), {}),
        ({"cgroup": "v1"}, {"allow_cgroup_v1": True}),
        ({"rivals": ["docker"]}, {}),
        ({"firewalls": ["ufw"]}, {"firewall_configured": True}),
        ({"listeners": [listener("k3s-server", "0::/system.slice/k3s.service")]}, {}),
        ({"listeners": [listener("exe", "1:name=systemd:/system.slice/k3s.service\n")]}, {}),
        ({"installed": "v1.36.0+k3s1"}, {}),
        ({"installed": "v1.35.4+k3s1"}, {}),
        ({"pinned_node_name": "box"}, {}),
    ],
)
def test_what_does_not_stop_the_run(changes: dict[str, Any], options: dict[str, Any]) -> None:
    findings = preflight.check({**GOOD, **changes}, {**OPTIONS, **options})
    assert [finding for finding in findings if not finding.warning] == []


@pytest.mark.parametrize(
    ("options", "stops"),
    [
        ({}, False),
        ({"harden": {"secrets_encryption": False}}, True),
        ({"harden": {"secrets_encryption": False}, "config_keys": ["secrets-encryption"]}, False),
        ({"harden": {"secrets_encryption": False}, "mode": "agent"}, False),
    ],
)
def test_encryption_is_not_turned_off_under_a_living_cluster(options: dict[str, Any], stops: bool) -> None:
    found = preflight.check({**GOOD, "encryption": True}, {**OPTIONS, **options})
    assert [finding.check for finding in found] == (["encryption"] if stops else [])
    assert all("secrets-encrypt disable" in finding.fix for finding in found)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", False),
        ("{}", False),
        ('{"resources": [{"providers": [{"aescbc": {}}, {"identity": {}}]}]}', True),
        ('{"resources": [{"providers": [{"identity": {}}, {"aescbc": {}}]}]}', False),
    ],
)
def test_whether_secrets_are_encrypted(text: str, expected: bool) -> None:
    assert reader.encryption(text) is expected


def test_a_host_whose_clock_nobody_sets_is_warned_about() -> None:
    found = preflight.check({**GOOD, "clock_services": []}, OPTIONS)
    assert [(finding.check, finding.warning) for finding in found] == [("clock", True)]
    assert preflight.check({**GOOD, "clock_services": [], "container": True}, OPTIONS) == []


def test_a_skipped_check_still_warns_and_all_problems_come_at_once() -> None:
    bad = {**GOOD, "free_mb": 1, "memory_mb": 1}
    assert len(preflight.check(bad, OPTIONS)) == 2
    found = preflight.check(bad, OPTIONS, skip=["disk"])
    assert [(finding.check, finding.warning) for finding in found] == [("memory", False), ("disk", True)]


@pytest.mark.parametrize("name", ["Box", "localhost", "a_b", "-a"])
def test_names_that_kubernetes_refuses(name: str) -> None:
    assert preflight.check(GOOD, {**OPTIONS, "node_name": name})[0].check == "node_name"


def test_sockets_are_read_from_proc() -> None:
    text = (
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
        "   0: 0100007F:192B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 777 1\n"
        "   1: 0100007F:192B 00000000:0000 01 00000000:00000000 00:00000000 00000000     0        0 778 1\n"
    )
    assert parse_sockets(text, {6443}) == {"777": 6443}


@pytest.mark.parametrize(
    ("mounts", "expected"),
    [
        ("cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n", "v2"),
        ("tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n", "v1"),
        ("proc /proc proc rw 0 0\n", "none"),
    ],
)
def test_cgroup(mounts: str, expected: str) -> None:
    assert reader.cgroup(mounts) == expected


def test_sysctl_states(tmp_path: Path) -> None:
    path = tmp_path / "proc/sys/vm/overcommit_memory"
    path.parent.mkdir(parents=True)
    path.write_text("0\n")
    name = "vm.overcommit_memory"
    assert reader.sysctl_state(name, "0", tmp_path) == "ok"
    assert reader.sysctl_state(name, "1", tmp_path) == "writable"
    assert path.read_text().strip() == "0", "the probe writes back what was there"
    assert "container" in reader.sysctl_state(name, "0", tmp_path, container=True)
    assert reader.sysctl_state("no.such", "1", tmp_path) == "no such file or directory"


def test_small_readers() -> None:
    release = reader.os_release(
        'ID=rocky\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.4"\nPRETTY_NAME="Rocky 9"\n'
    )
    assert (release["version"], preflight.family(release)) == ("9.4", "rhel")
    assert reader.memory_mb("MemTotal:  2000000 kB\n") == 2048
    assert reader.default_route("Iface Destination\neth0 00000000 x\n") is True
    assert reader.default_route("Iface Destination\neth0 0000000A x\n") is False
    assert reader.firewalls({"firewalld.service"}, "ENABLED=yes\n") == ["firewalld", "ufw"]


def test_the_node_name_is_pinned_once_there_is_data(tmp_path: Path) -> None:
    config = tmp_path / "etc/rancher/k3s/config.yaml"
    config.parent.mkdir(parents=True)
    config.write_text("node-name: 'old'\n")
    assert reader.pinned_node_name(tmp_path) == ""
    (tmp_path / "var/lib/rancher/k3s/server/db").mkdir(parents=True)
    assert reader.pinned_node_name(tmp_path) == "old"


INSTALLERS = """[Unit]
Description=Lightweight Kubernetes
[Service]
EnvironmentFile=-/etc/systemd/system/k3s.service.env
Environment="K3S_CLUSTER_INIT=true" OTHER=1
ExecStartPre=-/sbin/modprobe br_netfilter
ExecStart=/usr/local/bin/k3s \
    server \
\t'--token=hunter2' \
\t'--disable' \
\t'traefik' \
\t'--datastore-endpoint=postgres://u:hunter2@db/k3s' \
"""
ENVIRONMENT = "K3S_TOKEN='hunter2'\nK3S_URL=https://first:6443\nHTTP_PROXY=http://proxy\n# K3S_DEBUG=1\n"
NOTHING: dict[str, list[str]] = {"flags": [], "environment": []}


@pytest.mark.parametrize(
    ("unit", "environment", "expected"),
    [
        (
            INSTALLERS,
            ENVIRONMENT,
            {
                "flags": ["datastore-endpoint", "disable", "token"],
                "environment": ["K3S_CLUSTER_INIT", "K3S_TOKEN", "K3S_URL"],
            },
        ),
        ("[Service]\nExecStart=/usr/local/bin/k3s server\n", "", NOTHING),
        ("[Service]\nExecStart=/usr/local/bin/k3s agent \\\n\n", "HTTP_PROXY=x\n", NOTHING),
        ("[Service]\nExecStart=/usr/local/bin/k3s agent -t x -s=y\n", "", {**NOTHING, "flags": ["s", "t"]}),
        ("[Service]\nExecStart=/usr/local/bin/k3s server --v=1 'torn\n", "", {**NOTHING, "flags": ["v"]}),
        ("[Service]\nExecStart=/usr/local/bin/k3s-backup --all\n", "", NOTHING),
        ("[Service]\nExecStart=/usr/local/bin/k3s etcd-snapshot save --name nightly\n", "", NOTHING),
        (f"{reader.UNIT_MARKER}.\n{INSTALLERS}", ENVIRONMENT, NOTHING),
    ],
)
def test_what_a_unit_of_somebody_else_starts_k3s_with(
    unit: str, environment: str, expected: dict[str, list[str]]
) -> None:
    assert reader.foreign_unit(unit, environment) == expected


def test_units_are_read_with_their_env_files_and_ours_is_not_foreign(tmp_path: Path) -> None:
    directory = tmp_path / "etc/systemd/system"
    directory.mkdir(parents=True)
    assert reader.foreign_units(tmp_path) == {}
    (directory / "k3s-agent.service").write_text("[Service]\nExecStart=/usr/local/bin/k3s agent\n")
    (directory / "k3s-agent.service.env").write_text("K3S_URL=x\n")
    (directory / "k3s.service").write_text("[Service]\nExecStart=/usr/local/bin/k3s server\n")
    assert reader.foreign_units(tmp_path) == {"k3s-agent.service": {"flags": [], "environment": ["K3S_URL"]}}
    role = Path(__file__).resolve().parents[5] / "roles/k3s/templates/k3s.service.j2"
    assert role.read_text().startswith(reader.UNIT_MARKER)


def test_settings_of_somebody_elses_unit_are_carried_over_first() -> None:
    """One finding with every name and the variable that takes it; what the inventory has already is not named."""
    facts = {**GOOD, "foreign_units": {"k3s.service": reader.foreign_unit(INSTALLERS, ENVIRONMENT)}}
    (found,) = preflight.check(facts, OPTIONS)
    assert found.check == "foreign_unit" and not found.warning
    for words in (
        "k3s_token takes --token",
        "k3s_disable takes --disable",
        "k3s_extra_config.datastore-endpoint takes --datastore-endpoint",
        "k3s_token takes K3S_TOKEN",
        "k3s_server_url takes K3S_URL",
        "k3s_cluster_init takes K3S_CLUSTER_INIT",
        "k3s_preflight_skip: [foreign_unit]",
    ):
        assert words in redact_text(found.text())
    assert "hunter2" not in found.text() and "first:6443" not in found.text()
    (skipped,) = preflight.check(facts, OPTIONS, skip=["foreign_unit"])
    assert skipped.warning
    facts["foreign_units"] = {"k3s.service": {"flags": ["datastore-endpoint"], "environment": []}}
    assert preflight.check(facts, {**OPTIONS, "config_keys": ["datastore-endpoint"]}) == []
    facts["foreign_units"] = {"k3s.service": {"flags": [], "environment": ["K3S_DEBUG"]}}
    (other,) = preflight.check(facts, OPTIONS)
    assert "k3s_environment takes K3S_DEBUG" in other.text()


def test_a_setting_that_the_role_refuses_is_not_sent_to_a_variable() -> None:
    about = {"flags": ["bind-address", "c", "d"], "environment": ["K3S_DATA_DIR"]}
    (found,) = preflight.check({**GOOD, "foreign_units": {"k3s.service": about}}, OPTIONS)
    assert "takes" not in found.text()
    for words in (
        "--bind-address is not taken: leave it out",
        "-c is not taken: write the keys into k3s_extra_config",
        "-d is not taken: leave it out; to use another disk",
        "K3S_DATA_DIR is not taken: leave it out",
    ):
        assert words in found.text()
