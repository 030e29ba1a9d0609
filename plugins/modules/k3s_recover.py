#!/usr/bin/python
# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Bring a k3s server back that is down or wedged."""

from __future__ import annotations

DOCUMENTATION = r"""
module: k3s_recover
short_description: Bring a k3s server back that is down or wedged
version_added: "0.1.0"
description:
  - Looks at the host without needing the API, names the cause, does the smallest thing that fits it, and climbs further
    only when that was not enough (restart, clean restart with k3s-killall.sh, reset of containerd's metadata, reboot).
  - Never destroys the datastore. Damaged files are copied aside with their checksum first, a repair happens on a copy, and
    the copy takes the place of the original only when it passes C(quick_check) and O(datastore_repair) asks for it.
  - Evidence is written before anything is changed. A run that was killed can simply be started again.
  - When only a person can decide, nothing is tried, and C(needs_person) of RV(remaining) says what to type.
  - On a healthy host nothing happens.
author:
  - Holdfast maintainers (@holdfast)
options:
  allow_killall:
    description: Allow the clean restart, in which containers are ended (data on volumes stays).
    type: bool
    default: true
  allow_containerd_reset:
    description: Allow setting containerd's metadata aside; images come back from kept blobs, air-gap files and the registry.
    type: bool
    default: true
  allow_reboot:
    description: Allow a reboot of the host as the last rung.
    type: bool
    default: false
  allow_vacuum:
    description: Allow shrinking a bloated datastore, for which k3s is stopped for a moment.
    type: bool
    default: false
  allow_prune_images:
    description: Allow removing images that no container uses when a disk is full.
    type: bool
    default: false
  allow_clock_step:
    description: Allow the installed time service to step the clock.
    type: bool
    default: false
  allow_node_password_reset:
    description: Allow deleting the secret of this node's password when it does not match any more.
    type: bool
    default: false
  datastore_repair:
    description:
      - What may be done about a damaged datastore.
      - V(none) copies it aside and asks for a person; V(wal) sets a torn write-ahead log aside, which loses the last commits;
        V(recover) reads every readable row into a new file.
    type: str
    choices: [none, wal, recover]
    default: none
  start_seconds:
    description: Seconds that a start may take before it counts as hanging.
    type: int
    default: 120
  stop_seconds:
    description: Seconds that a stop may take before the main process is killed.
    type: int
    default: 90
  grace_seconds:
    description: Seconds that containers get to end by themselves before k3s-killall.sh.
    type: int
    default: 30
  lock_wait_seconds:
    description: Seconds to wait for a datastore that another process has locked.
    type: int
    default: 60
  disk_free_percent:
    description: A file system with less free space counts as full (per cent).
    type: int
    default: 5
  inodes_free_percent:
    description: A file system with fewer free inodes counts as full (per cent).
    type: int
    default: 3
  datastore_max_mb:
    description: A larger datastore counts as bloated (MiB).
    type: int
    default: 2048
  certificate_days:
    description: Treat leaf certificates that end within so many days as expired.
    type: int
    default: 0
  unit:
    description: Name of the systemd unit, without C(.service).
    type: str
    default: k3s
  data_dir:
    description: Data directory of k3s.
    type: path
    default: /var/lib/rancher/k3s
  config_dir:
    description: Configuration directory of k3s.
    type: path
    default: /etc/rancher/k3s
  deadline:
    description:
      - Seconds that the whole run may take, waiting for another recovery on the host included.
      - No action starts after it but the start of a k3s that this run stopped.
    type: int
    default: 900
extends_documentation_fragment:
  - holdfast.k3s.timing
  - holdfast.k3s.evidence
attributes:
  check_mode:
    description: Can run in check mode; the plan is the preview, and no probe writes anything.
    support: full
notes:
  - Run it on the k3s host with C(become). It needs Python 3.9 there and nothing else.
seealso:
  - module: holdfast.k3s.registry_recover
  - module: holdfast.k3s.pod_reap
"""

EXAMPLES = r"""
- name: Show what is wrong and what would be done
  holdfast.k3s.k3s_recover:
  check_mode: true
  become: true

- name: Bring k3s back
  holdfast.k3s.k3s_recover:
  become: true
  register: recovery

- name: Mend a damaged datastore from a copy
  holdfast.k3s.k3s_recover:
    datastore_repair: recover
  become: true
"""

RETURN = r"""
timing:
  description: When it began (C(at)), seconds until the plan stood (C(detect)) and in all (C(seconds)).
  returned: always
  type: dict
verdict:
  description: One sentence on how the host is now.
  returned: success
  type: str
  sample: "recovered: CRI-STOPPED — stopped by a signal, not ended: containerd (PID 812)"
findings:
  description: What was found at first.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: Stable id of the cause.
      type: str
      sample: DB-CORRUPT
    title:
      description: The cause in words.
      type: str
    severity:
      description: One of C(down), C(degraded), C(info).
      type: str
    evidence:
      description: What was seen.
      type: str
    needs_person:
      description: Why a person must decide and what to type; empty when the plan heals it.
      type: str
    actions:
      description: Kinds of the planned actions.
      type: list
      elements: str
remaining:
  description: Serious findings that are still there at the end, in the same form.
  returned: when not in check mode
  type: list
  elements: dict
needs_person:
  description:
    - A sentence with the cause and with what to type, for each cause that keeps the host down until a person decides.
    - Empty when there is none; waiting for the host is of use only then.
  returned: success
  type: list
  elements: str
resumed:
  description: Whether a repair of the datastore that an earlier run was killed in was completed first.
  returned: when not in check mode
  type: bool
given_up:
  description: Repairs of the datastore that were begun, and not completed because k3s had written since or the disk refused.
  returned: always
  type: list
  elements: dict
  contains:
    note:
      description: File that names the repaired database and what was set aside; remove it to end this message.
      type: str
    why:
      description: Why it was not completed.
      type: str
checks:
  description: The final look with other eyes, one entry for each of unit, api, runtime, node, kubelet.
  returned: when not in check mode
  type: dict
journal:
  description: The last 50 lines of k3s in the journal, secrets taken out.
  returned: when something was found
  type: list
  elements: str
plan:
  description: The planned actions with target, reason and risk.
  returned: always
  type: list
  elements: dict
actions:
  description: What came of each action.
  returned: always
  type: list
  elements: dict
verified:
  description: Whether the host is well, as far as it was seen at the end.
  returned: always
  type: bool
evidence:
  description: Path of the evidence bundle on the host.
  returned: always
  type: str
"""

from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.core import argspec
from ansible_collections.holdfast.k3s.plugins.module_utils.core.envelope import Envelope
from ansible_collections.holdfast.k3s.plugins.module_utils.core.module import run_module
from ansible_collections.holdfast.k3s.plugins.module_utils.node.recover import (
    options_from,
    paths_from,
    recover,
)


def spec() -> dict[str, Any]:
    """The argument spec."""
    switches = {
        "allow_killall": True,
        "allow_containerd_reset": True,
        "allow_reboot": False,
        "allow_vacuum": False,
        "allow_prune_images": False,
        "allow_clock_step": False,
    }
    numbers = {
        "start_seconds": 120,
        "stop_seconds": 90,
        "grace_seconds": 30,
        "lock_wait_seconds": 60,
        "disk_free_percent": 5,
        "inodes_free_percent": 3,
        "datastore_max_mb": 2048,
        "certificate_days": 0,
    }
    return {
        **{name: {"type": "bool", "default": value} for name, value in switches.items()},
        **{name: {"type": "int", "default": value} for name, value in numbers.items()},
        # the name has "password" in it; it is a switch
        "allow_node_password_reset": {"type": "bool", "default": False, "no_log": False},
        "datastore_repair": {"type": "str", "choices": ["none", "wal", "recover"], "default": "none"},
        "unit": {"type": "str", "default": "k3s"},
        "data_dir": {"type": "path", "default": "/var/lib/rancher/k3s"},
        "config_dir": {"type": "path", "default": "/etc/rancher/k3s"},
        **argspec.TIMING,
        **argspec.EVIDENCE,
        "deadline": {"type": argspec.TIMING["deadline"]["type"], "default": 900},
    }


def body(params: dict[str, Any], check_mode: bool, _diff: bool) -> Envelope:
    """One recovery."""
    return recover(
        options_from(params),
        paths_from(params),
        check_mode=check_mode,
        deadline_seconds=params["deadline"],
        budget=params["budget"],
        evidence_dir=params["evidence_dir"],
        evidence_required=params["evidence_required"],
    )


def main() -> None:
    run_module(spec(), body)


if __name__ == "__main__":
    main()
