#!/usr/bin/python
# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Remove pods that nothing else will remove, and prove that their replacements are Ready."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pod_reap
short_description: Remove dead and stuck pods, safely and with evidence
version_added: "0.1.0"
description:
  - Finds pods that are dead or stuck, decides by their owner whether they may go, writes evidence, deletes them in parallel
    under preconditions (UID and resource version), and waits until what replaces them is Ready.
  - In check mode the plan is the result, and nothing is touched.
  - Pods without a controller stay unless O(include_bare) is set, pods of Jobs unless O(include_jobs) is set.
  - A member of a StatefulSet, or a pod with a persistent volume claim, is dropped by force only after the container runtime
    of this host has shown that no container of it lives.
  - A finalizer is explained, and removed only when its name is in O(remove_finalizers).
author:
  - Holdfast maintainers (@holdfast)
options:
  classes:
    description:
      - Which pods to remove.
      - V(unknown) lost their state with the node and did not come back within O(unknown_grace).
      - V(failed), V(evicted) and V(rejected) are in phase Failed; the last two by the kubelet's reason.
      - V(completed) succeeded longer than O(completed_age) ago.
      - V(terminating) should have ended O(terminating_age) ago; they are deleted with grace period 0.
      - V(image_pull) wait for an image; deleting them makes their controllers try again at once.
      - V(crash_loop) restarted O(crash_restarts) times or more.
    type: list
    elements: str
    choices: [evicted, rejected, failed, completed, image_pull, crash_loop, unknown, terminating]
    default: [unknown, failed, evicted, rejected, terminating]
  include_bare:
    description: Also pods that no controller would create again.
    type: bool
    default: false
  include_jobs:
    description: Also pods of Jobs; deleting an unfinished one counts as a failure of its Job.
    type: bool
    default: false
  remove_finalizers:
    description: Full names of finalizers that may be removed from pods that are stuck Terminating.
    type: list
    elements: str
    default: []
  namespace_budget:
    description: How many pods of one namespace this run may remove; no limit when not given.
    type: int
  wait:
    description: Wait for the replacements to become Ready.
    type: bool
    default: true
  wait_timeout:
    description: Seconds that the replacements may take. They are reported, not failed, when they take longer.
    type: int
    default: 120
  evidence_log_pods:
    description: From how many pods logs are kept as evidence, the most telling first.
    type: int
    default: 20
  workers:
    description: How many deletions run at the same time.
    type: int
    default: 12
  list_limit:
    description: How many entries a list of the result may have; counts are always complete.
    type: int
    default: 500
extends_documentation_fragment:
  - holdfast.k3s.cluster
  - holdfast.k3s.timing
  - holdfast.k3s.evidence
  - holdfast.k3s.pods
attributes:
  check_mode:
    description: Returns the plan and changes nothing.
    support: full
  diff_mode:
    description: Names of the pods before and after.
    support: full
"""

EXAMPLES = r"""
- name: After a power loss, remove what did not come back by itself
  holdfast.k3s.pod_reap:
    namespaces: [music]

- name: Make every pod that waits for an image try again
  holdfast.k3s.pod_reap:
    classes: [failed, image_pull]
    image_pull_grace: 0

- name: End a pod that a finalizer of a controller that is gone for good holds
  holdfast.k3s.pod_reap:
    classes: [terminating]
    remove_finalizers: [example.com/cleanup]
"""

RETURN = r"""
timing:
  description: When it began (C(at)), seconds until the plan stood (C(detect)) and in all (C(seconds)).
  returned: always
  type: dict
plan:
  description: What would be or was to be done, each with target, why and risk.
  returned: always
  type: list
  elements: dict
actions:
  description: What was done, each with outcome, seconds and error.
  returned: always
  type: list
  elements: dict
left:
  description: Pods of a wanted class that stay, each with the reason.
  returned: always
  type: list
  elements: dict
counts:
  description: Pods found, by class.
  returned: always
  type: dict
  sample: {failed: 3000}
outcomes:
  description: Actions by outcome.
  returned: always
  type: dict
  sample: {done: 3000}
verified:
  description: Whether another look saw every removed pod gone and every replacement Ready; null in check mode.
  returned: always
  type: bool
remaining:
  description: Pods that were deleted and are still there.
  returned: when not in check mode
  type: list
  elements: str
still_ending:
  description: Pods that are using their grace period.
  returned: when not in check mode
  type: list
  elements: str
not_ready:
  description: Controllers whose replacements are not Ready, with the reasons.
  returned: when not in check mode
  type: list
  elements: dict
evidence:
  description: Path of the evidence bundle on the host.
  returned: always
  type: str
cut_lists:
  description: Full lengths of lists that O(list_limit) cut.
  returned: when a list was cut
  type: dict
"""

from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.client import Client
from ansible_collections.holdfast.k3s.plugins.module_utils.core.argspec import CLUSTER, EVIDENCE, TIMING
from ansible_collections.holdfast.k3s.plugins.module_utils.core.module import run_module
from ansible_collections.holdfast.k3s.plugins.module_utils.pods.options import REAP, SELECT
from ansible_collections.holdfast.k3s.plugins.module_utils.pods.reap import reap


def body(params: dict[str, Any], check_mode: bool, _diff: bool) -> dict[str, Any]:
    client = Client.connect(params["kubeconfig"], params["context"], timeout=params["api_timeout"])
    return reap(params, check_mode, client=client)


def main() -> None:
    run_module({**CLUSTER, **TIMING, **EVIDENCE, **SELECT, **REAP}, body)


if __name__ == "__main__":
    main()
