# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The hardening controls: which ones apply to this host, and a stated reason for each that does not. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError


@dataclass(frozen=True)
class Control:
    """One control. scope: `server` needs an API server on this host, `node` applies to every node."""

    name: str
    scope: str
    summary: str


CONTROLS = (
    Control("secrets_encryption", "server", "Secrets are encrypted before they reach the datastore"),
    Control("pod_security", "server", "Pod Security admission with a cluster-wide level"),
    Control("audit_log", "server", "every API request leaves a line in the audit log"),
    Control("network_policies", "server", "the system namespaces accept only the traffic they need"),
    Control("service_accounts", "server", "default service accounts mount no token"),
    Control("event_rate_limit", "server", "a flood of events cannot drown the API server"),
    Control("token_extension", "server", "service account tokens expire when they say so"),
    Control("pod_gc", "server", "terminated pods are collected early"),
    Control(
        "eviction", "node", "pods are evicted before memory or disk runs out, and the system keeps its share"
    ),
    Control("graceful_shutdown", "node", "a reboot ends pods in order"),
    Control("streaming_timeout", "node", "idle exec and port-forward sessions end"),
    Control("tls_ciphers", "node", "the kubelet serves modern ciphers only"),
    Control("seccomp_default", "node", "containers run under the runtime's seccomp profile"),
    Control("sysctls", "node", "kernel settings that the kubelet wants"),
    Control("kernel_defaults", "node", "the kubelet refuses to start on other kernel settings"),
    Control("pod_pids_limit", "node", "one pod cannot use up the process table"),
    Control("file_modes", "node", "certificates and kubeconfig are readable by root only"),
    Control("inotify_limits", "node", "enough inotify instances for many pods"),
    Control("stale_cni", "node", "addresses left by an unclean shutdown are freed at boot"),
    Control("time_sync", "node", "k3s starts after the clock is set"),
)
NAMES = tuple(control.name for control in CONTROLS)

# kubelet checks exactly these six when protect-kernel-defaults is on.
KUBELET_SYSCTLS = {
    "vm.overcommit_memory": "1",
    "vm.panic_on_oom": "0",
    "kernel.panic": "10",
    "kernel.panic_on_oops": "1",
    "kernel.keys.root_maxkeys": "1000000",
    "kernel.keys.root_maxbytes": "25000000",
}
INOTIFY_SYSCTLS = {"fs.inotify.max_user_instances": "8192", "fs.inotify.max_user_watches": "524288"}


def resolve(
    toggles: Mapping[str, Any], mode: str, facts: Mapping[str, Any]
) -> tuple[list[str], list[dict[str, str]]]:
    """Which controls to put in place, and `{control, reason}` for each that is wanted but cannot be.

    toggles: control name to bool. mode: `server` or `agent`.
    facts: `sysctls` (name to `ok`, `writable` or a reason), `logind` (bool), `network_policy` (bool).
    """
    unknown = sorted(set(toggles) - set(NAMES))
    if unknown:
        raise HoldfastError(
            "no such control", field="harden", value=unknown[0], fix=f"one of {', '.join(NAMES)}"
        )
    enabled, skipped = [], []
    for control in CONTROLS:
        if not toggles.get(control.name):
            continue
        reason = _reason(control, toggles, mode, facts)
        if reason:
            skipped.append({"control": control.name, "reason": reason})
        else:
            enabled.append(control.name)
    return enabled, skipped


def _reason(control: Control, toggles: Mapping[str, Any], mode: str, facts: Mapping[str, Any]) -> str:
    if control.scope == "server" and mode != "server":
        return "this host is an agent: the setting belongs to the servers"
    if control.name == "sysctls":
        return _unwritable(KUBELET_SYSCTLS, facts)
    if control.name == "inotify_limits":
        return _unwritable(INOTIFY_SYSCTLS, facts)
    if control.name == "kernel_defaults":
        wrong = _unwritable(KUBELET_SYSCTLS, facts)
        if wrong:
            return f"kubelet would refuse to start: {wrong}"
        if not toggles.get("sysctls") and _not_ok(KUBELET_SYSCTLS, facts):
            return "kubelet would refuse to start: k3s_harden_sysctls is off and the kernel has other values"
    if control.name == "graceful_shutdown" and not facts.get("logind"):
        return "systemd-logind does not run here, so nothing would delay a shutdown"
    if control.name == "network_policies" and not facts.get("network_policy", True):
        return "k3s's network policy controller is disabled, policies would have no effect"
    return ""


def _not_ok(wanted: Mapping[str, str], facts: Mapping[str, Any]) -> list[str]:
    states = facts.get("sysctls", {})
    return [name for name in wanted if states.get(name) != "ok"]


def _unwritable(wanted: Mapping[str, str], facts: Mapping[str, Any]) -> str:
    states = facts.get("sysctls", {})
    stuck = [name for name in wanted if states.get(name, "not there") not in ("ok", "writable")]
    if not stuck:
        return ""
    return f"cannot be written here ({states.get(stuck[0], 'not there')}): {', '.join(stuck)}"
