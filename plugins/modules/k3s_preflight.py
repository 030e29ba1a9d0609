#!/usr/bin/python
# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Look a host over once before k3s is installed on it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: k3s_preflight
short_description: Look a host over before k3s is installed on it
version_added: "0.1.0"
author: Holdfast maintainers (@holdfast)
description:
  - Reads everything that the installation depends on in one pass and changes nothing.
  - Fails with all problems at once, each with what to do about it.
  - Decides which hardening controls this host can carry and gives a reason for each that it cannot.
options:
  mode:
    description: Whether the host becomes a server or an agent.
    type: str
    choices: [server, agent]
    default: server
  version:
    description: Version of k3s that is going to be installed.
    type: str
    required: true
  node_name:
    description: Name of the node; the host's name in lower case when empty.
    type: str
    default: ""
  config_keys:
    description: Keys of the extra configuration; one that k3s does not know is refused.
    type: list
    elements: str
    default: []
  harden:
    description: Name of each hardening control with V(true) or V(false).
    type: dict
    default: {}
  ports:
    description: TCP ports that must be free, or k3s's own.
    type: list
    elements: int
    default: [6443, 6444, 10010, 10248, 10249, 10250, 10256, 10257, 10259]
  allow_cgroup_v1:
    description: Accept a host that runs cgroup v1.
    type: bool
    default: false
  firewall_configured:
    description: Accept an active firewall front end, because it already lets pods through.
    type: bool
    default: false
  network_policy:
    description: Whether k3s's network policy controller is enabled.
    type: bool
    default: true
  min_free_mb:
    description: Free space in MB below C(/var/lib/rancher) that must be there.
    type: int
    default: 1024
  min_memory_mb:
    description: Memory in MB that must be there.
    type: int
    default: 900
  reference_time:
    description: The controller's clock in seconds since 1970; V(0) skips the comparison.
    type: float
    default: 0
  max_clock_skew:
    description: Largest difference in seconds between the two clocks.
    type: float
    default: 300
  skip:
    description: Names of checks whose problems only warn.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    support: full
    description: Never changes anything.
  diff_mode:
    support: none
    description: Changes nothing, so there is nothing to show.
"""

EXAMPLES = r"""
- name: Look the host over
  holdfast.k3s.k3s_preflight:
    version: v1.36.5+k3s1
    harden: {secrets_encryption: true, sysctls: true, kernel_defaults: true}
  register: preflight
"""

RETURN = r"""
facts:
  description: What the host is.
  returned: always
  type: dict
enabled:
  description: Hardening controls that are to be put in place.
  returned: success
  type: list
  elements: str
skipped_controls:
  description: Controls that were wanted and cannot be put in place here, with the reason.
  returned: success
  type: list
  elements: dict
  sample: [{control: sysctls, reason: "cannot be written here (read-only file system): kernel.panic"}]
warnings_found:
  description: What does not stop the run but should be known.
  returned: success
  type: list
  elements: str
"""

from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.core.command import Commands
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import PreconditionFailed
from ansible_collections.holdfast.k3s.plugins.module_utils.core.module import run_module
from ansible_collections.holdfast.k3s.plugins.module_utils.host import controls, facts, preflight
from ansible_collections.holdfast.k3s.plugins.module_utils.host.config import check_keys

SPEC: dict[str, Any] = {
    "mode": {"type": "str", "choices": ["server", "agent"], "default": "server"},
    "version": {"type": "str", "required": True},
    "node_name": {"type": "str", "default": ""},
    "config_keys": {"type": "list", "elements": "str", "default": [], "no_log": False},
    "harden": {"type": "dict", "default": {}},
    "ports": {
        "type": "list",
        "elements": "int",
        "default": [6443, 6444, 10010, 10248, 10249, 10250, 10256, 10257, 10259],
    },
    "allow_cgroup_v1": {"type": "bool", "default": False},
    "firewall_configured": {"type": "bool", "default": False},
    "network_policy": {"type": "bool", "default": True},
    "min_free_mb": {"type": "int", "default": 1024},
    "min_memory_mb": {"type": "int", "default": 900},
    "reference_time": {"type": "float", "default": 0},
    "max_clock_skew": {"type": "float", "default": 300},
    "skip": {"type": "list", "elements": "str", "default": []},
}


def body(params: dict[str, Any], check_mode: bool, diff: bool) -> dict[str, Any]:
    """Collect, judge, decide on the controls."""
    check_keys(dict.fromkeys(params["config_keys"], True), params["mode"], "k3s_extra_config")
    found = facts.collect(params["ports"], Commands())
    name = params["node_name"] or found["hostname"].lower()
    findings = preflight.check(found, {**params, "node_name": name}, params["skip"])
    problems = [finding.text() for finding in findings if not finding.warning]
    if problems:
        listed = "\n".join(f"  {number}. {text}" for number, text in enumerate(problems, 1))
        count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
        raise PreconditionFailed(f"{count} on {found['hostname']}, nothing was changed:\n{listed}")
    enabled, skipped = controls.resolve(
        params["harden"], params["mode"], {**found, "network_policy": params["network_policy"]}
    )
    return {
        "changed": False,
        "facts": {**found, "node_name": name, "summary": facts.summary(found)},
        "enabled": enabled,
        "skipped_controls": skipped,
        "warnings_found": [finding.text() for finding in findings if finding.warning],
    }


def main() -> None:
    """Entry point."""
    run_module(SPEC, body)


if __name__ == "__main__":
    main()
