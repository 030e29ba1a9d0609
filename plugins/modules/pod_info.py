#!/usr/bin/python
# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Say of every broken pod what is wrong with it, why, and what the smallest safe fix is."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pod_info
short_description: Explain every broken pod in one line
version_added: "0.1.0"
description:
  - Classifies pods as M(holdfast.k3s.pod_reap) does, but changes nothing.
  - Names the cause of each broken pod (exit code, memory, probe, image, claim, scheduling, lost node, finalizer) and the
    smallest safe fix. With O(logs) the last lines of crashing containers are read as well, which tells a database that
    cannot be reached, a missing variable, or a port conflict.
  - Also names controllers whose pods cannot be created at all (quota, webhook, Pod Security).
author:
  - Holdfast maintainers (@holdfast)
options:
  logs:
    description: Read the last log lines of crashing containers (30 at most).
    type: bool
    default: true
  list_limit:
    description: How many entries a list of the result may have; counts are always complete.
    type: int
    default: 500
extends_documentation_fragment:
  - holdfast.k3s.cluster
  - holdfast.k3s.pods
attributes:
  check_mode:
    description: Changes nothing in any mode.
    support: full
  diff_mode:
    description: Never changes anything.
    support: none
"""

EXAMPLES = r"""
- name: What is wrong?
  holdfast.k3s.pod_info:
    namespaces: [music]
  register: __pods

- name: Say it
  ansible.builtin.debug:
    msg: "{{ __pods.pods | map(attribute='why') }}"
"""

RETURN = r"""
total:
  description: How many pods were looked at.
  returned: always
  type: int
broken:
  description: How many of them are broken.
  returned: always
  type: int
counts:
  description: Broken pods by class.
  returned: always
  type: dict
causes:
  description: Broken pods by cause.
  returned: always
  type: dict
pods:
  description: Every broken pod.
  returned: always
  type: list
  elements: dict
  contains:
    namespace:
      description: Its namespace.
      type: str
    name:
      description: Its name.
      type: str
    class:
      description: Its class, or V(not_ready).
      type: str
    phase:
      description: Its phase.
      type: str
    restarts:
      description: Restarts of all its containers.
      type: int
    owner:
      description: Kind and name of its controller.
      type: str
    cause:
      description: A stable id of the cause.
      type: str
      sample: oom
    why:
      description: The cause in one line.
      type: str
    fix:
      description: The smallest safe fix.
      type: str
workloads:
  description: Controllers whose pods cannot be created, with cause, why and fix.
  returned: always
  type: list
  elements: dict
survived:
  description: Pods that run again after a container was killed for its memory within the hour, with cause, why and fix.
  returned: always
  type: list
  elements: dict
cut_lists:
  description: Full lengths of lists that O(list_limit) cut.
  returned: when a list was cut
  type: dict
"""

from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.client import Client
from ansible_collections.holdfast.k3s.plugins.module_utils.core.argspec import CLUSTER
from ansible_collections.holdfast.k3s.plugins.module_utils.core.module import run_module
from ansible_collections.holdfast.k3s.plugins.module_utils.pods.info import info
from ansible_collections.holdfast.k3s.plugins.module_utils.pods.options import SELECT


def body(params: dict[str, Any], _check_mode: bool, _diff: bool) -> dict[str, Any]:
    client = Client.connect(params["kubeconfig"], params["context"], timeout=params["api_timeout"])
    return info(params, client=client)


def main() -> None:
    spec = {"logs": {"type": "bool", "default": True}, "list_limit": {"type": "int", "default": 500}}
    run_module({**CLUSTER, **SELECT, **spec}, body)


if __name__ == "__main__":
    main()
