#!/usr/bin/python
# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Start k3s, restart it when it must be, and wait until it really is ready."""

from __future__ import annotations

DOCUMENTATION = r"""
module: k3s_service
short_description: Start k3s, restart it when it must be, and wait until it is ready
version_added: "0.1.0"
author: Holdfast maintainers (@holdfast)
description:
  - Restarts exactly when the binary, the unit, its drop-ins, the configuration or the registries are not what the running
    process started with. Each start records that by itself, so a restart by hand counts too.
  - Never blocks on systemd. Waits with its own deadline for the API, the node and the packaged pods, and says what it waits for.
  - A crash loop is recognised by the number of automatic restarts and reported with the journal's last error; a start that
    hangs without exiting is recognised by time.
options:
  unit:
    description: Name of the unit.
    type: str
    default: k3s
  state:
    description:
      - V(started) starts or restarts when needed, V(restarted) always restarts, V(stopped) stops the service but not its containers.
    type: str
    choices: [started, restarted, stopped]
    default: started
  mode:
    description: Whether this host is a server or an agent; an agent has no API to ask.
    type: str
    choices: [server, agent]
    default: server
  node_name:
    description: Name of the node that must become Ready.
    type: str
    default: ""
  disabled:
    description: Packaged components that are disabled, in k3s's own words.
    type: list
    elements: str
    default: []
  wait_for_packaged:
    description:
      - Which packaged pods must be ready. V(essential) are coredns and local-path, without which no other pod works;
        metrics-server alone needs half a minute more.
    type: str
    choices: [all, essential, none]
    default: all
  timeout:
    description: Seconds until all must be ready, for each start.
    type: float
    default: 300
  hang_seconds:
    description: Seconds in V(activating) without a restart after which the start counts as hanging.
    type: float
    default: 150
  port:
    description: Port of the API server.
    type: int
    default: 6443
  sysctls:
    description: Kernel settings to set before k3s starts, by name.
    type: dict
    default: {}
  inhibit_seconds:
    description: Seconds by which systemd-logind must be able to delay a shutdown; V(0) does not look at it.
    type: int
    default: 0
  expect_inhibitor:
    description: Whether kubelet must have registered its shutdown inhibitor.
    type: bool
    default: false
  encryption:
    description: Whether secrets are encrypted; a cluster that lives without is converted by k3s's own steps, and a
      conversion that was interrupted is taken up again.
    type: bool
    default: false
  service_accounts:
    description: Namespaces whose default service account must not mount a token.
    type: list
    elements: str
    default: []
  network_policies:
    description: Whether the hardening's network policies are wanted; V(false) removes them from the cluster.
    type: bool
    default: true
  pending:
    description: In check mode, the paths that earlier tasks would change.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    support: full
    description: Says what would be done and why.
  diff_mode:
    support: none
    description: The plan says it.
"""

EXAMPLES = r"""
- name: K3s runs with what is on disk and is ready
  holdfast.k3s.k3s_service:
    node_name: box
    disabled: [traefik, servicelb]

- name: Restart k3s once and wait for it
  holdfast.k3s.k3s_service:
    state: restarted
    node_name: box
"""

RETURN = r"""
plan:
  description: What was to be done, and why.
  returned: always
  type: list
  elements: dict
  sample: [{kind: restart, target: k3s, why: "changed since it started: /etc/rancher/k3s/config.yaml"}]
actions:
  description: Outcome of each action, with its seconds.
  returned: when not in check mode
  type: list
  elements: dict
verified:
  description: Whether the API, the node and the packaged pods were seen ready at the end, and Secrets encrypted where that is wanted.
  returned: when not in check mode
  type: bool
pid:
  description: Main process of the service.
  returned: when not in check mode
  type: int
ready_seconds:
  description: Seconds from the start until all was ready; V(0) when nothing was started.
  returned: when not in check mode
  type: float
slow:
  description: A sentence when k3s needed longer than a minute.
  returned: when not in check mode
  type: str
inhibitor:
  description: Why kubelet's shutdown inhibitor is missing, empty when it is there or was not expected.
  returned: when not in check mode
  type: str
encryption:
  description: Why Secrets are not encrypted, empty when they are or it was not asked for.
  returned: when not in check mode
  type: str
"""

from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.core.clock import Clock, Deadline
from ansible_collections.holdfast.k3s.plugins.module_utils.core.command import Commands
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError
from ansible_collections.holdfast.k3s.plugins.module_utils.core.module import run_module
from ansible_collections.holdfast.k3s.plugins.module_utils.core.plan import Action
from ansible_collections.holdfast.k3s.plugins.module_utils.core.runner import run
from ansible_collections.holdfast.k3s.plugins.module_utils.host import readiness, service, stamps
from ansible_collections.holdfast.k3s.plugins.module_utils.host.api import NodeApi
from ansible_collections.holdfast.k3s.plugins.module_utils.host.failure import failed, raise_first
from ansible_collections.holdfast.k3s.plugins.module_utils.host.service_io import Service

SPEC: dict[str, Any] = {
    "unit": {"type": "str", "default": "k3s"},
    "state": {"type": "str", "choices": ["started", "restarted", "stopped"], "default": "started"},
    "mode": {"type": "str", "choices": ["server", "agent"], "default": "server"},
    "node_name": {"type": "str", "default": ""},
    "disabled": {"type": "list", "elements": "str", "default": []},
    "wait_for_packaged": {"type": "str", "choices": ["all", "essential", "none"], "default": "all"},
    "timeout": {"type": "float", "default": 300},
    "hang_seconds": {"type": "float", "default": 150},
    "port": {"type": "int", "default": 6443},
    "sysctls": {"type": "dict", "default": {}},
    "inhibit_seconds": {"type": "int", "default": 0},
    "expect_inhibitor": {"type": "bool", "default": False},
    "encryption": {"type": "bool", "default": False},
    "service_accounts": {"type": "list", "elements": "str", "default": []},
    "network_policies": {"type": "bool", "default": True},
    "pending": {"type": "list", "elements": "str", "default": []},
}


def body(params: dict[str, Any], check_mode: bool, diff: bool) -> dict[str, Any]:
    """Observe, plan, act, and look again until all is ready."""
    options = service.Options(
        unit=params["unit"],
        state="stopped" if params["state"] == "stopped" else "started",
        sysctls={name: str(value) for name, value in params["sysctls"].items()},
        inhibit_seconds=params["inhibit_seconds"],
        encryption=params["encryption"],
        service_accounts=params["service_accounts"],
        network_policies=params["network_policies"],
        pending=stamps.relevant(params["pending"]) if check_mode else (),
        force_restart=params["state"] == "restarted",
    )
    clock = Clock()
    api = NodeApi(port=params["port"]) if params["mode"] == "server" else None
    host = Service(options, Commands(), clock, api)
    times: dict[str, Any] = {"active_seconds": 0.0, "ready_seconds": 0.0}

    def problem() -> str:
        return host.problem(params["node_name"], params["disabled"], params["wait_for_packaged"])

    def wait(restarts: int) -> dict[str, Any]:
        times.update(host.wait(restarts, problem, Deadline(clock, params["timeout"]), params["hang_seconds"]))
        return dict(times)

    def act(action: Action, _context: Any) -> dict[str, Any]:
        return host.act(action, wait)

    def verify(_facts: Any, outcomes: Any) -> tuple[bool, dict[str, Any]]:
        if failed(outcomes):
            return False, {}
        unit = host.unit()
        if options.state == "stopped":
            return unit.active == "inactive", {"pid": 0}
        host.wait(unit.restarts, problem, Deadline(clock, params["timeout"]), params["hang_seconds"])
        missing = host.inhibitor(60) if params["expect_inhibitor"] else ""
        open_secrets = host.encryption_problem(60) if options.encryption and api is not None else ""
        left = service.changed_inputs(stamps.current(), stamps.recorded())
        slow = times["ready_seconds"] > readiness.SLOW_SECONDS
        return not (missing or left or open_secrets), {
            **times,
            "pid": host.unit().pid,
            "inhibitor": missing,
            "encryption": open_secrets,
            "slow": f"k3s needed {times['ready_seconds']:.0f} s, 30 to 60 are usual" if slow else "",
        }

    envelope = run(
        observe=host.observe,
        plan=lambda facts: service.plan(options, facts),
        act=act,
        verify=verify,
        check_mode=check_mode,
        clock=clock,
        # A conversion to encryption starts k3s twice and rotates the keys between.
        deadline_seconds=2 * params["timeout"] + 420,
        stop_on_failure=True,
        budget=100,
    )
    raise_first(envelope)
    if envelope.verified is False:
        missing = (
            envelope.extra.get("inhibitor")
            or envelope.extra.get("encryption")
            or "something that k3s read at its start changed meanwhile"
        )
        error = HoldfastError(
            f"k3s runs, but {missing}",
            field="unit",
            value=params["unit"],
            fix=f"look for it in journalctl -u {params['unit']}, then run again",
        )
        error.envelope = envelope
        raise error
    return envelope.as_dict()


def main() -> None:
    """Entry point."""
    run_module(SPEC, body)


if __name__ == "__main__":
    main()
