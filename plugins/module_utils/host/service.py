# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What k3s's service needs now: a restart exactly when something it started with has changed. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.core.plan import Action
from ansible_collections.holdfast.k3s.plugins.module_utils.host.readiness import Unit


@dataclass(frozen=True)
class Options:
    """What is wanted. pending: paths that this run would change (known in check mode only)."""

    unit: str
    state: str = "started"
    sysctls: Mapping[str, str] = field(default_factory=dict)
    inhibit_seconds: int = 0
    encryption: bool = False
    service_accounts: Sequence[str] = ()
    network_policies: bool = True
    pending: Sequence[str] = ()
    force_restart: bool = False


@dataclass(frozen=True)
class Facts:
    """What is. stamps: path to digest now; started_with: the same at the last start, None when unknown.

    datastore: a cluster lives here. encryption_configured: k3s has a configuration of it; encrypts: that one encrypts
    what is written; converting: a conversion was begun and its last step is still to come.
    open_accounts: namespaces whose default service account still mounts a token; None without an API.
    stray_policies: paths of hardening policies that are no longer wanted.
    """

    unit: Unit
    stamps: Mapping[str, str]
    started_with: Mapping[str, str] | None
    sysctls: Mapping[str, str] = field(default_factory=dict)
    inhibit_seconds: float = 0
    datastore: bool = False
    encryption_configured: bool = False
    encrypts: bool = False
    converting: bool = False
    open_accounts: Sequence[str] | None = None
    stray_policies: Sequence[str] = ()


def changed_inputs(
    stamps: Mapping[str, str], started_with: Mapping[str, str] | None, pending: Collection[str] = ()
) -> list[str]:
    """Paths whose content is not what the running process started with."""
    if started_with is None:
        return ["(not recorded what it started with)"]
    changed = {path for path in {*stamps, *started_with} if stamps.get(path) != started_with.get(path)}
    return sorted(changed | set(pending))


def plan(options: Options, facts: Facts) -> list[Action]:
    """The actions that bring the service to the wanted state, in order."""
    if options.state == "stopped":
        return (
            [Action("stop", options.unit, f"is {facts.unit.active}", risk="medium")]
            if facts.unit.active != "inactive"
            else []
        )
    actions = [
        Action(
            "sysctl", name, f"is {facts.sysctls.get(name, 'unset')}, wanted {value}", params={"value": value}
        )
        for name, value in options.sysctls.items()
        if facts.sysctls.get(name) != value
    ]
    running = facts.unit.active in ("active", "activating", "reloading")
    if facts.unit.reload or options.pending or (not facts.unit.loaded and not running):
        actions.append(Action("daemon_reload", "systemd", "unit files changed"))
    if options.inhibit_seconds and facts.inhibit_seconds < options.inhibit_seconds:
        why = f"delays a shutdown by {facts.inhibit_seconds:g} s, wanted {options.inhibit_seconds} s"
        actions.append(Action("reload_logind", "systemd-logind", why))
    if facts.unit.enabled != "enabled":
        actions.append(Action("enable", options.unit, f"is {facts.unit.enabled or 'not installed'}"))
    actions += _start(options, facts, running)
    if facts.open_accounts is None and options.service_accounts:
        if any(action.kind == "start" for action in actions):
            actions += [_account(namespace, "new cluster") for namespace in options.service_accounts]
    else:
        wanted = set(options.service_accounts)
        actions += [
            _account(name, "mounts its token") for name in facts.open_accounts or () if name in wanted
        ]
    actions += [
        Action("delete", path, "the control is off", risk="low", destructive=True)
        for path in facts.stray_policies
        if not options.network_policies
    ]
    return actions


def _start(options: Options, facts: Facts, running: bool) -> list[Action]:
    """Start or restart; turning encryption on for a cluster that lives already takes k3s's own three steps."""
    convert = options.encryption and facts.datastore and (facts.converting or not facts.encrypts)
    changed = changed_inputs(facts.stamps, facts.started_with, options.pending) if running else []
    if not running:
        first = [Action("start", options.unit, f"is {facts.unit.active}", risk="low")]
    elif changed or options.force_restart or (convert and _loads_encryption(facts)):
        why = f"changed since it started: {', '.join(changed)}" if changed else "a restart was asked for"
        if not changed and not options.force_restart:
            why = "it has to read the configuration of encryption"
        first = [Action("restart", options.unit, why, risk="medium")]
    else:
        first = []
    return _conversion(options, facts, first) if convert else first


def _loads_encryption(facts: Facts) -> bool:
    """Whether a conversion needs a restart of its own before the rotation.

    It does where the configuration is only being made, and after an interrupted rotation: k3s refuses another one until
    its next start.
    """
    return not facts.encryption_configured or facts.encrypts


def _conversion(options: Options, facts: Facts, first: list[Action]) -> list[Action]:
    """What turns encryption on around the start, from wherever an earlier run was interrupted.

    Only a k3s that runs can be told to enable it; any other makes its configuration when it starts.
    """
    if facts.encryption_configured:
        begin = []
    elif facts.unit.active == "active":
        begin = [Action("enable_encryption", "secrets", "the cluster lives without it", risk="medium")]
    else:
        begin = [Action("begin_encryption", "secrets", "the cluster lives without it", risk="low")]
    return [
        *begin,
        *first,
        Action("rotate_keys", "secrets", "existing secrets are still in clear", risk="medium"),
        Action(
            "restart",
            options.unit,
            "the rotation of the encryption key ends with one",
            risk="medium",
            params={"converted": True},
        ),
    ]


def encryption_problem(status: Mapping[str, Any]) -> str:
    """Why Secrets are not encrypted by what `secrets-encrypt status -o json` says; empty when they are."""
    if status.get("enable") is True:
        return ""
    stage = status.get("stage")
    return "Secrets are not encrypted" + (f" (stage {stage} of a rotation)" if stage else "")


def _account(namespace: str, why: str) -> Action:
    return Action("service_account", namespace, why)
