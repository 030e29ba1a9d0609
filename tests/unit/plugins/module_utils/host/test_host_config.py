"""config.yaml: merging, unknown keys with a hint, secrets apart; and the hardening that goes into it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError
from ansible_collections.holdfast.k3s.plugins.module_utils.host import hardening
from ansible_collections.holdfast.k3s.plugins.module_utils.host.config import (
    check_keys,
    merge,
    merge_arguments,
    split_secrets,
)
from ansible_collections.holdfast.k3s.plugins.module_utils.host.controls import CONTROLS, NAMES, resolve
from ansible_collections.holdfast.k3s.plugins.module_utils.host.entries import build, part

ROOT = Path(__file__).resolve().parents[5]
SETTINGS: dict[str, Any] = {
    "audit": {"max_age": 30, "max_backups": 10, "max_size": 100},
    "terminated_pods": 100,
    "pod_security": {
        "enforce": "baseline",
        "audit": "restricted",
        "warn": "restricted",
        "exempt_namespaces": ["kube-system"],
    },
    "event_limits": [{"type": "Server", "qps": 500, "burst": 2000}],
    "eviction_hard": {"memory.available": "100Mi"},
    "system_reserved": {"memory": "256Mi"},
    "shutdown": {"seconds": 60, "critical_seconds": 20},
    "pod_pids": 4096,
    "cgroup_v1": False,
}


def inputs(**changes: Any) -> dict[str, Any]:
    """Inputs of a plain server with every control."""
    base: dict[str, Any] = {
        "mode": "server",
        "unit": "k3s",
        "config": {"node-name": "box", "token": "", "server": "", "disable": []},
        "extra_config": {},
        "extra_kubelet": {},
        "registries": {"mirrors": {"localhost:5000": {"endpoint": ["http://localhost:5000"]}}},
        "environment": {},
        "credential_providers": [],
        "enabled": list(NAMES),
        "settings": SETTINGS,
    }
    return {**base, **changes}


def content(result: dict[str, Any], path: str) -> Any:
    """A written YAML file, parsed; None when it is to be absent."""
    entry = next(entry for entry in result["files"] if entry["path"] == path)
    text = result["secret_content"].get(path, entry.get("content"))
    return None if entry.get("state") == "absent" else next(iter(yaml.safe_load_all(text)))


@pytest.mark.parametrize(
    ("key", "mode", "hint"),
    [
        ("tls_san", "server", "write tls-san"),
        ("flannel-backnd", "server", "did you mean flannel-backend"),
        ("cluster-init", "agent", "servers only"),
        ("cluster-reset", "server", "by hand"),
        ("data-dir", "server", "mount it at /var/lib/rancher/k3s"),
        ("data-dir", "agent", "mount it at /var/lib/rancher/k3s"),
        ("data_dir", "server", "mount it at"),
        ("bind-address", "server", "127.0.0.1"),
        ("zzzzqqqq", "server", "list of options"),
        ("kubelet-arg+", "server", "write kubelet-arg"),
    ],
)
def test_unknown_keys_are_refused_with_the_nearest_name(key: str, mode: str, hint: str) -> None:
    with pytest.raises(HoldfastError, match=hint) as caught:
        check_keys({key: 1}, mode, "k3s_extra_config")
    assert key in str(caught.value)


@pytest.mark.parametrize("name", ["playbooks/site.yml", "roles/k3s/tasks/present.yml"])
def test_k3s_is_asked_on_the_port_that_it_was_given(name: str) -> None:
    """`https-listen-port` moves it, and a task without the port would wait for 6443 in vain."""
    text = (ROOT / name).read_text()
    assert text.count("holdfast.k3s.k3s_service:") == text.count('port: "{{ __k3s_port }}"') == 1


def test_the_summary_asks_there_too() -> None:
    """A play of its own, to which the role's variables do not reach."""
    plays = yaml.safe_load((ROOT / "playbooks/summary.yml").read_text())
    tasks = [task for play in plays for task in play["tasks"] if "holdfast.k3s.host_summary" in task]
    assert ["https-listen-port" in task["holdfast.k3s.host_summary"]["port"] for task in tasks] == [True]


def test_extra_config_wins_and_component_flags_merge_by_name() -> None:
    merged = merge(
        {"kube-apiserver-arg": ["audit-log-maxage=30", "a=1"], "node-name": "box", "token": ""},
        {"kube-apiserver-arg": ["audit-log-maxage=90"], "node-name": "other", "tls-san": ["x"]},
    )
    assert merged == {
        "kube-apiserver-arg": ["a=1", "audit-log-maxage=90"],
        "node-name": "other",
        "tls-san": ["x"],
    }
    assert merge_arguments(["--x=1"], ["x=2"]) == ["x=2"]
    assert merge({"disable": ["traefik"]}, {"disable": None}) == {}


def test_secrets_go_into_a_file_of_their_own() -> None:
    result = build(inputs(config={"node-name": "box", "token": "canary"}))
    assert content(result, "/etc/rancher/k3s/config.yaml")["node-name"] == "box"
    assert "canary" not in str(result["files"])
    secret = "/etc/rancher/k3s/config.yaml.d/90-holdfast-secrets.yaml"
    assert content(result, secret) == {"token": "canary"}
    assert next(f for f in result["files"] if f["path"] == secret)["mode"] == "0600"
    assert split_secrets({"token": "t", "debug": True}) == ({"debug": True}, {"token": "t"})


def test_registries_with_credentials_are_secret_and_always_0600() -> None:
    path = "/etc/rancher/k3s/registries.yaml"
    plain = build(inputs())
    assert path not in plain["secret_content"]
    assert next(f for f in plain["files"] if f["path"] == path)["mode"] == "0600"
    auth = build(inputs(registries={"configs": {"r": {"auth": {"password": "canary"}}}}))
    assert "canary" in auth["secret_content"][path]
    assert "canary" not in str(auth["files"])


@pytest.mark.parametrize("mode", ["server", "agent"])
def test_the_directory_of_containerds_configuration_is_for_root_alone(mode: str) -> None:
    """k3s writes the registries' passwords into it, readable for everybody who gets there; hosts of before are healed."""
    files = build(inputs(mode=mode, enabled=[]))["files"]
    agent = "/var/lib/rancher/k3s/agent"
    below = [entry for entry in files if entry["path"].startswith(agent)]
    assert below[0] == {"path": agent, "state": "directory", "mode": "0700"}, "made before what lies below it"


def test_event_rate_limit_always_comes_with_its_limits() -> None:
    for enabled in (["event_rate_limit"], ["event_rate_limit", "pod_security"]):
        found = hardening.admission(enabled, SETTINGS)
        assert found is not None
        plugin = next(p for p in found["plugins"] if p["name"] == "EventRateLimit")
        assert plugin["configuration"]["limits"]
        arguments = hardening.server_config(enabled, SETTINGS)["kube-apiserver-arg"]
        assert f"admission-control-config-file={hardening.ADMISSION_FILE}" in arguments
        assert "enable-admission-plugins=NodeRestriction,EventRateLimit" in arguments
    assert hardening.admission([], SETTINGS) is None


@pytest.mark.parametrize("control", NAMES)
def test_each_control_has_its_own_toggle(control: str) -> None:
    """Turning one control off changes something, and what it wrote alone is absent then."""
    everything = build(inputs())
    without = build(inputs(enabled=[name for name in NAMES if name != control]))
    if control != "service_accounts":  # that one acts through the API only
        assert without != everything


@pytest.mark.parametrize(
    ("control", "paths"),
    [
        ("audit_log", {"/etc/rancher/k3s/config.yaml", hardening.AUDIT_POLICY_FILE}),
        ("streaming_timeout", {hardening.KUBELET_FILE}),
        ("stale_cni", {"/etc/tmpfiles.d/k3s-stale-cni.conf"}),
        ("service_accounts", set()),
    ],
)
def test_a_controls_part_is_the_files_that_it_shares_in(control: str, paths: set[str]) -> None:
    """The same whether the control is on or off: its tag also undoes it."""
    on, off = inputs(), inputs(enabled=[name for name in NAMES if name != control])
    assert {entry["path"] for entry in part(on, [control])["files"]} == paths
    assert {entry["path"] for entry in part(off, [control])["files"]} == paths
    everything = {entry["path"]: entry for entry in build(off)["files"]}
    assert all(entry == everything[entry["path"]] for entry in part(off, [control])["files"])


def test_all_off_leaves_no_hardening_behind() -> None:
    result = build(inputs(enabled=[]))
    assert content(result, "/etc/rancher/k3s/config.yaml") == {"node-name": "box"}
    absent = {entry["path"] for entry in result["files"] if entry.get("state") == "absent"}
    assert {
        hardening.ADMISSION_FILE,
        hardening.AUDIT_POLICY_FILE,
        hardening.KUBELET_FILE,
        hardening.NETWORK_POLICY_FILE,
        "/etc/sysctl.d/90-kubelet.conf",
        "/etc/tmpfiles.d/k3s-stale-cni.conf",
    } <= absent


def test_an_agent_gets_no_server_files() -> None:
    result = build(
        inputs(mode="agent", unit="k3s-agent", config={"node-name": "a", "server": "https://s:6443"})
    )
    assert not [f for f in result["files"] if f["path"].startswith(hardening.SERVER_DIR)]
    assert any("k3s-agent.service.d" in f["path"] for f in result["files"])


def test_cluster_members_are_rendered() -> None:
    first = build(inputs(config={"node-name": "a", "cluster-init": True, "token": "t"}))
    assert content(first, "/etc/rancher/k3s/config.yaml")["cluster-init"] is True
    second = build(inputs(config={"node-name": "b", "server": "https://a:6443", "token": "t"}))
    assert content(second, "/etc/rancher/k3s/config.yaml")["server"] == "https://a:6443"


def test_extra_kubelet_fields_win() -> None:
    found = hardening.kubelet(
        ["eviction"], SETTINGS, {"evictionHard": {"memory.available": "1Gi"}, "maxPods": 50}
    )
    assert found["evictionHard"] == {"memory.available": "1Gi"}
    assert found["maxPods"] == 50
    assert hardening.kubelet([], SETTINGS, {}) == {}


def facts(state: str = "ok", **changes: Any) -> dict[str, Any]:
    """Facts of a host on which every sysctl is in the given state."""
    from ansible_collections.holdfast.k3s.plugins.module_utils.host.controls import (
        INOTIFY_SYSCTLS,
        KUBELET_SYSCTLS,
    )

    found = {"sysctls": dict.fromkeys([*KUBELET_SYSCTLS, *INOTIFY_SYSCTLS], state), "logind": True}
    return {**found, "network_policy": True, **changes}


def test_every_control_is_enabled_on_a_good_host() -> None:
    enabled, skipped = resolve(dict.fromkeys(NAMES, True), "server", facts("writable"))
    assert enabled == list(NAMES)
    assert skipped == []


@pytest.mark.parametrize(
    ("found", "mode", "skipped"),
    [
        (facts("read-only file system"), "server", {"sysctls", "kernel_defaults", "inotify_limits"}),
        (facts(logind=False), "server", {"graceful_shutdown"}),
        (facts(network_policy=False), "server", {"network_policies"}),
        (facts(), "agent", {control.name for control in CONTROLS if control.scope == "server"}),
    ],
)
def test_what_cannot_be_is_skipped_with_a_reason(found: dict[str, Any], mode: str, skipped: set[str]) -> None:
    enabled, reasons = resolve(dict.fromkeys(NAMES, True), mode, found)
    assert {reason["control"] for reason in reasons} == skipped
    assert all(len(reason["reason"]) > 20 for reason in reasons)
    assert not skipped & set(enabled)


def test_kernel_defaults_need_the_sysctls() -> None:
    toggles = {**dict.fromkeys(NAMES, True), "sysctls": False}
    enabled, reasons = resolve(toggles, "server", facts("writable"))
    assert "kernel_defaults" not in enabled
    assert reasons[0]["control"] == "kernel_defaults"


def test_an_unknown_control_is_named() -> None:
    with pytest.raises(HoldfastError, match="sysctl"):
        resolve({"sysctl": True}, "server", facts())


def test_credential_providers_as_kubelet_reads_them() -> None:
    path = "/var/lib/rancher/credentialprovider/config.yaml"
    assert content(build(inputs()), path) is None
    given = {"name": "ecr", "match_images": ["*.dkr.ecr.*.amazonaws.com"], "env": {"AWS_REGION": "eu-west-1"}}
    result = build(inputs(credential_providers=[given]))
    assert content(result, path) == {
        "apiVersion": "kubelet.config.k8s.io/v1",
        "kind": "CredentialProviderConfig",
        "providers": [
            {
                "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
                "name": "ecr",
                "matchImages": ["*.dkr.ecr.*.amazonaws.com"],
                "defaultCacheDuration": "6h",
                "env": [{"name": "AWS_REGION", "value": "eu-west-1"}],
            }
        ],
    }
    assert path in result["secret_content"], "what signs in is shown in no diff"


def test_a_check_does_not_download_into_a_directory_that_it_only_pretended_to_make() -> None:
    tasks = yaml.safe_load((ROOT / "roles/k3s/tasks/present.yml").read_text())
    directory = next(
        task for task in tasks if task["name"].startswith("Make the directory of the credential")
    )
    download = next(task for task in tasks if "ansible.builtin.get_url" in task)
    assert download["when"] == f"not (ansible_check_mode and {directory['register']} is changed)"
