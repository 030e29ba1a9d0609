#!/usr/bin/python
# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Apply an application that is described by values."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: app
short_description: Apply an application that is described by values
version_added: "0.1.0"
description:
  - Checks O(values) against the schema and the rules of this collection, renders them to Kubernetes objects and applies
    these in one server-side apply pass, in the order of their dependencies, waiting for what the next step needs.
  - Values are checked and rendered on the controller by the action plugin of the same name; the host receives the objects.
  - Every problem of the values is reported at once, before anything is applied.
  - Stops as soon as waiting is pointless, with the cause and the last log lines.
  - In check mode the server says what it would change; without a reachable API every object counts as new.
options:
  values:
    description: The application, see C(docs/values.md).
    type: dict
  values_overlay:
    description: Laid over O(values). Mappings merge, lists replace, null removes.
    type: dict
    default: {}
  state:
    description:
      - Whether the application is there. V(absent) keeps volume claims, Secrets and the namespace unless O(prune_data).
      - What another release or nobody has marked as its own stays, and so does a namespace in which another release lives.
    type: str
    choices: [present, absent]
    default: present
  prune:
    description: Delete objects of an earlier run that the values no longer contain. Off lists them as kept.
    type: bool
    default: true
  prune_data:
    description: Also delete volume claims, Secrets and what fills them (ExternalSecret), and with O(state=absent) the namespace.
    type: bool
    default: false
  force_conflicts:
    description: Take over fields that another manager has set.
    type: bool
    default: false
  until:
    description:
      - Stop after this phase. V(data) ends with ready data services, for a restore before anything uses them.
      - Nothing is pruned then.
    type: str
    choices: [data]
  preflight:
    description: Check versions, classes, claims, Secrets, endpoints and capacity of the cluster first.
    type: bool
    default: true
  wait:
    description: Wait for each step's workloads.
    type: bool
    default: true
  deadline:
    description: Seconds for everything. Each rollout has its own limit besides (C(rollout_timeout)).
    type: int
    default: 1800
  name:
    description: Name of the release; set by the action plugin.
    type: str
  namespace:
    description: Namespace of the release; set by the action plugin.
    type: str
  objects:
    description: Rendered objects; set by the action plugin.
    type: list
    elements: dict
  secret_data:
    description: Values of Secrets; set by the action plugin.
    type: dict
  secret_generate:
    description: Secret values that are made on the host; set by the action plugin.
    type: dict
  expects:
    description: What the cluster has to offer; set by the action plugin.
    type: dict
  findings:
    description: What the rules said without stopping the run; set by the action plugin.
    type: list
    elements: dict
  waivers:
    description: Rules that are knowingly broken; set by the action plugin.
    type: list
    elements: dict
extends_documentation_fragment:
  - holdfast.k3s.cluster
attributes:
  check_mode:
    description: Asks the server without changing anything.
    support: full
  diff_mode:
    description: One entry per object; values of Secrets are not shown.
    support: full
author:
  - Holdfast maintainers (@holdfast)
"""

EXAMPLES = r"""
- name: A whole application in a few lines
  holdfast.k3s.app:
    values:
      name: hello
      services:
        web:
          image: registry.example.net/hello:1.2.0
          port: 8080
          health: /health
          resources:
            requests: {cpu: 50m, memory: 64Mi}
            limits: {cpu: 200m, memory: 128Mi}

- name: The application of the inventory
  holdfast.k3s.app:
    values: "{{ app_values }}"
    values_overlay: "{{ app_values_overlay }}"

- name: Take it away, keep its data
  holdfast.k3s.app:
    values: "{{ app_values }}"
    state: absent
"""

RETURN = r"""
plan:
  description: What was to be done, in order. Objects that are as they should be are not listed.
  returned: always
  type: list
  elements: dict
actions:
  description: What came of it, with seconds and errors.
  returned: always
  type: list
  elements: dict
verified:
  description: Whether an independent look found a ready pod or a finished Job for every workload. Null when O(wait) is off.
  returned: always
  type: bool
evidence:
  description: Not used by this module.
  returned: always
  type: str
objects:
  description: How many objects the release has.
  returned: always
  type: int
unchanged:
  description: How many of them were as they should be.
  returned: always
  type: int
waits:
  description: Seconds until each workload was ready.
  returned: when O(wait)
  type: dict
findings:
  description: Warnings and waived findings of the rules.
  returned: always
  type: list
  elements: dict
"""

from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.app.apply.run import apply_release
from ansible_collections.holdfast.k3s.plugins.module_utils.core.argspec import CLUSTER
from ansible_collections.holdfast.k3s.plugins.module_utils.core.envelope import Envelope
from ansible_collections.holdfast.k3s.plugins.module_utils.core.module import run_module


def body(params: dict[str, Any], check_mode: bool, diff: bool) -> Envelope:
    """The module proper."""
    return apply_release(params, check_mode=check_mode, diff=diff)


def main() -> None:
    """Entry point."""
    spec: dict[str, Any] = {
        "values": {"type": "dict"},
        "values_overlay": {"type": "dict", "default": {}},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "prune": {"type": "bool", "default": True},
        "prune_data": {"type": "bool", "default": False},
        "force_conflicts": {"type": "bool", "default": False},
        "until": {"type": "str", "choices": ["data"]},
        "preflight": {"type": "bool", "default": True},
        "wait": {"type": "bool", "default": True},
        "deadline": {"type": "int", "default": 1800},
        "name": {"type": "str"},
        "namespace": {"type": "str"},
        "objects": {"type": "list", "elements": "dict"},
        "secret_data": {"type": "dict", "no_log": True},
        # Lengths and names only: nothing secret.
        "secret_generate": {"type": "dict", "no_log": False},
        "expects": {"type": "dict"},
        "findings": {"type": "list", "elements": "dict"},
        "waivers": {"type": "list", "elements": "dict"},
        **CLUSTER,
    }
    run_module(spec, body)


if __name__ == "__main__":
    main()
