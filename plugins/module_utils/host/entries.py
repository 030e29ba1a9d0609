# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Every file that k3s and its hardening need on a host, as entries for the file_set module. Pure.

A control that is off or skipped yields the same path with state `absent`, so turning it off undoes it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Optional

from ansible_collections.holdfast.k3s.plugins.module_utils.host import hardening
from ansible_collections.holdfast.k3s.plugins.module_utils.host.artifacts import AGENT_DIR
from ansible_collections.holdfast.k3s.plugins.module_utils.host.config import check_keys, merge, split_secrets
from ansible_collections.holdfast.k3s.plugins.module_utils.host.controls import (
    INOTIFY_SYSCTLS,
    KUBELET_SYSCTLS,
)

ETC = "/etc/rancher/k3s"
SECRETS_FILE = f"{ETC}/config.yaml.d/90-holdfast-secrets.yaml"
REGISTRIES_FILE = f"{ETC}/registries.yaml"
# Where k3s looks for the programs that sign kubelet in to registries; their configuration is read when it starts.
PROVIDERS_FILE = "/var/lib/rancher/credentialprovider/config.yaml"
MANAGED = "# Written by holdfast.k3s: change the inventory, not this file.\n"


def build(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """`files` and `secret_content` for file_set.

    inputs: `mode`, `unit`, `config` (the role's own keys), `extra_config`, `extra_kubelet`, `registries`,
    `environment`, `enabled` (names of controls), `settings` (see hardening), `credential_providers`.
    """
    check_keys(inputs["extra_config"], inputs["mode"], "k3s_extra_config")
    enabled, settings = inputs["enabled"], inputs["settings"]
    server = inputs["mode"] == "server"
    hardened = hardening.server_config(enabled, settings) if server else _agent_config(enabled)
    shown, secrets = split_secrets(merge(merge(inputs["config"], hardened), inputs["extra_config"]))
    files: list[dict[str, Any]] = [_file(f"{ETC}/config.yaml", yaml_text(shown), "0600")]
    secret_content: dict[str, str] = {}
    _secret(files, secret_content, SECRETS_FILE, yaml_text(secrets) if secrets else None)
    _registries(files, secret_content, inputs["registries"])
    providers = credential_providers(inputs["credential_providers"])
    _secret(files, secret_content, PROVIDERS_FILE, yaml_text(providers) if providers else None)
    environment = "".join(
        f"{name}={_quoted(value)}\n" for name, value in sorted(inputs["environment"].items())
    )
    _secret(files, secret_content, f"/etc/systemd/system/{inputs['unit']}.service.env", environment or None)
    files += _kubelet(enabled, settings, inputs["extra_kubelet"])
    if server:
        files += _server(enabled, settings)
    files += _host(enabled, settings, inputs["unit"])
    return {"files": files, "secret_content": secret_content}


def part(inputs: Mapping[str, Any], controls: Collection[str]) -> dict[str, Any]:
    """The part of `build` in which the named controls have a share: the files that differ with and without them."""
    wanted, enabled = build(inputs), set(inputs["enabled"])
    with_them = _by_path(build({**inputs, "enabled": sorted(enabled | set(controls))}))
    without = _by_path(build({**inputs, "enabled": sorted(enabled - set(controls))}))
    shared = {path for path in with_them if with_them[path] != without.get(path)}
    return {
        "files": [entry for entry in wanted["files"] if entry["path"] in shared],
        "secret_content": {path: text for path, text in wanted["secret_content"].items() if path in shared},
    }


def _by_path(built: Mapping[str, Any]) -> dict[str, Any]:
    return {entry["path"]: (entry, built["secret_content"].get(entry["path"])) for entry in built["files"]}


def yaml_text(*documents: Any) -> str:
    """YAML in block style with sorted keys; several documents are separated."""
    import yaml

    texts = [
        yaml.safe_dump(_plain(doc), default_flow_style=False, sort_keys=True, width=200) for doc in documents
    ]
    return MANAGED + "---\n".join(texts)


def _plain(value: Any) -> Any:
    """The same value without the types that Ansible wraps around strings and numbers."""
    return json.loads(json.dumps(value))


def _quoted(value: Any) -> str:
    """A value as an EnvironmentFile wants it: in double quotes, with the special characters escaped."""
    text = str(value).replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$").replace("`", "\\`")
    return f'"{text}"'


def _file(path: str, content: Optional[str], mode: str) -> dict[str, Any]:
    if content is None:
        return {"path": path, "state": "absent"}
    return {"path": path, "content": content, "mode": mode}


def _secret(
    files: list[dict[str, Any]], secret_content: dict[str, str], path: str, content: Optional[str]
) -> None:
    if content is None:
        files.append({"path": path, "state": "absent"})
        return
    files.append({"path": path, "mode": "0600"})
    secret_content[path] = content


def _registries(
    files: list[dict[str, Any]], secret_content: dict[str, str], registries: Mapping[str, Any]
) -> None:
    """0600 always, because the file may carry credentials; it is shown in diffs only when it carries none."""
    if not registries:
        files.append({"path": REGISTRIES_FILE, "state": "absent"})
    elif any("auth" in (entry or {}) for entry in (registries.get("configs") or {}).values()):
        _secret(files, secret_content, REGISTRIES_FILE, yaml_text(registries))
    else:
        files.append(_file(REGISTRIES_FILE, yaml_text(registries), "0600"))


def credential_providers(given: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """kubelet's CredentialProviderConfig; empty without a provider.

    A token is asked for when an image is pulled and forgotten after `cache`, so nothing has to be refreshed.
    """
    providers = [
        {
            "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
            "name": provider["name"],
            "matchImages": list(provider["match_images"]),
            "defaultCacheDuration": provider.get("cache", "6h"),
            **({"args": list(provider["args"])} if provider.get("args") else {}),
            **(
                {"env": [{"name": k, "value": str(v)} for k, v in sorted(provider["env"].items())]}
                if provider.get("env")
                else {}
            ),
        }
        for provider in given
    ]
    if not providers:
        return {}
    return {
        "apiVersion": "kubelet.config.k8s.io/v1",
        "kind": "CredentialProviderConfig",
        "providers": providers,
    }


def _agent_config(enabled: Sequence[str]) -> dict[str, Any]:
    return {"protect-kernel-defaults": True} if "kernel_defaults" in enabled else {}


def _kubelet(
    enabled: Sequence[str], settings: Mapping[str, Any], extra: Mapping[str, Any]
) -> list[dict[str, Any]]:
    config = hardening.kubelet(enabled, settings, extra)
    directory = hardening.KUBELET_FILE.rsplit("/", 1)[0]
    return [
        {"path": AGENT_DIR, "state": "directory", "mode": "0700"},
        {"path": directory, "state": "directory", "mode": "0700"},
        _file(hardening.KUBELET_FILE, yaml_text(config) if config else None, "0600"),
    ]


def _server(enabled: Sequence[str], settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    admission = hardening.admission(enabled, settings)
    audit = hardening.audit_policy() if "audit_log" in enabled else None
    policies = hardening.network_policies() if "network_policies" in enabled else None
    return [
        {"path": hardening.SERVER_DIR, "state": "directory", "mode": "0700"},
        {"path": f"{hardening.SERVER_DIR}/manifests", "state": "directory", "mode": "0700"},
        {"path": f"{hardening.SERVER_DIR}/logs", "state": "directory", "mode": "0700"},
        _file(hardening.ADMISSION_FILE, yaml_text(admission) if admission else None, "0600"),
        _file(hardening.AUDIT_POLICY_FILE, yaml_text(audit) if audit else None, "0600"),
        _file(hardening.NETWORK_POLICY_FILE, yaml_text(*policies) if policies else None, "0600"),
    ]


def _host(enabled: Sequence[str], settings: Mapping[str, Any], unit: str) -> list[dict[str, Any]]:
    shutdown = settings["shutdown"]["seconds"] + 15
    texts = {
        "sysctls": ("/etc/sysctl.d/90-kubelet.conf", _sysctl_text(KUBELET_SYSCTLS)),
        "inotify_limits": ("/etc/sysctl.d/90-k3s-inotify.conf", _sysctl_text(INOTIFY_SYSCTLS)),
        "graceful_shutdown": (
            "/etc/systemd/logind.conf.d/50-holdfast.conf",
            f"[Login]\nInhibitDelayMaxSec={shutdown}\n",
        ),
        "stale_cni": ("/etc/tmpfiles.d/k3s-stale-cni.conf", "r! /var/lib/cni/networks/*/*\n"),
        "time_sync": (
            f"/etc/systemd/system/{unit}.service.d/10-holdfast-time-sync.conf",
            "[Unit]\nWants=time-sync.target\nAfter=time-sync.target\n",
        ),
        "file_modes": (
            f"/etc/systemd/system/{unit}.service.d/20-holdfast-file-modes.conf",
            "[Service]\nExecStartPost=-/usr/local/lib/holdfast/k3s-file-modes\n",
        ),
    }
    return [
        _file(path, MANAGED + text if control in enabled else None, "0644")
        for control, (path, text) in texts.items()
    ]


def _sysctl_text(values: Mapping[str, str]) -> str:
    return "".join(f"{name} = {value}\n" for name, value in values.items())
