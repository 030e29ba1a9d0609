#!/usr/bin/python
# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Take k3s off a host, after a last copy of its state."""

from __future__ import annotations

DOCUMENTATION = r"""
module: k3s_uninstall
short_description: Take k3s off a host, after a last copy of its state
version_added: "0.1.0"
author: Holdfast maintainers (@holdfast)
description:
  - Copies the datastore (consistent, also while k3s runs; of embedded etcd a snapshot), the token and the configuration to a directory of mode 0700.
  - Then runs the host's uninstall script and removes the settings that the role wrote elsewhere.
  - Does nothing without the host's name as confirmation.
options:
  confirm:
    description: What the operator typed as confirmation.
    type: str
    default: ""
  expected:
    description: The host's name, which O(confirm) must equal.
    type: str
    required: true
  keep_storage:
    description:
      - Whether the applications' volumes stay in place. Nothing is removed when the host's uninstall script cannot keep them,
        as that of k3s's own installer cannot.
    type: bool
    default: true
  copies:
    description: Directory that gets the copy, in a directory of its own named after the time.
    type: path
    default: /var/lib/holdfast/final
attributes:
  check_mode:
    support: full
    description: Says what would be copied and removed.
  diff_mode:
    support: none
    description: The plan says it.
"""

EXAMPLES = r"""
- name: Remove k3s and keep the volumes
  holdfast.k3s.k3s_uninstall:
    confirm: "{{ typed }}"
    expected: "{{ inventory_hostname }}"
"""

RETURN = r"""
actions:
  description: Outcome of each action, with the paths that were copied.
  returned: when not in check mode
  type: list
  elements: dict
state_copy:
  description:
    - Directory with the last copy of the state, empty when there is no datastore in it, because the host had none or k3s keeps it
      elsewhere (C(datastore-endpoint)). What was copied beside it is in RV(actions).
  returned: when not in check mode
  type: str
plan:
  description: What was to be done, and why.
  returned: always
  type: list
  elements: dict
left:
  description: Processes, mounts, interfaces and files of k3s that are still there; the task fails when there are any.
  returned: when not in check mode
  type: list
  elements: str
verified:
  description: Whether nothing of k3s was found at the end.
  returned: when not in check mode
  type: bool
"""

from pathlib import Path
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.core.clock import Clock
from ansible_collections.holdfast.k3s.plugins.module_utils.core.command import Commands
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError
from ansible_collections.holdfast.k3s.plugins.module_utils.core.module import run_module
from ansible_collections.holdfast.k3s.plugins.module_utils.core.plan import Action
from ansible_collections.holdfast.k3s.plugins.module_utils.core.runner import run
from ansible_collections.holdfast.k3s.plugins.module_utils.host import removal
from ansible_collections.holdfast.k3s.plugins.module_utils.host.failure import failed, raise_first

SPEC: dict[str, Any] = {
    "confirm": {"type": "str", "default": ""},
    "expected": {"type": "str", "required": True},
    "keep_storage": {"type": "bool", "default": True},
    "copies": {"type": "path", "default": "/var/lib/holdfast/final"},
}


def body(params: dict[str, Any], check_mode: bool, diff: bool) -> dict[str, Any]:
    """Confirm, copy, remove, look again."""
    commands, clock = Commands(), Clock()
    keep = params["keep_storage"]
    target = Path(params["copies"]) / clock.now().strftime("%Y%m%dT%H%M%SZ")

    def plan(present: dict[str, bool]) -> list[Action]:
        actions = removal.plan(present, keep)
        if actions:
            removal.confirm(params["confirm"], params["expected"])
        if present["installed"]:
            removal.check_script(removal.script(), keep)
        return actions

    def act(action: Action, _context: Any) -> dict[str, Any]:
        if action.kind == "copy_state":
            return {"copied": removal.copy_state(target, commands)}
        if action.kind == "uninstall":
            removal.uninstall(commands, keep)
        else:
            removal.remove_own_files(commands)
        return {}

    def verify(_facts: Any, outcomes: Any) -> tuple[bool, dict[str, Any]]:
        copied = any(one.action.kind == "copy_state" and one.outcome == "done" for one in outcomes)
        copy = str(target) if copied and removal.datastore_in(target) else ""
        if failed(outcomes):
            return False, {"state_copy": copy}
        remains = [name for name, there in removal.observe().items() if there] + removal.left(commands)
        return not remains, {"state_copy": copy, "left": remains}

    envelope = run(
        observe=removal.observe,
        plan=plan,
        act=act,
        verify=verify,
        check_mode=check_mode,
        clock=clock,
        deadline_seconds=900,
        budget=None,
        stop_on_failure=True,
    )
    raise_first(envelope)
    if envelope.extra.get("left"):
        error = HoldfastError(
            f"k3s was removed, but this is left: {', '.join(envelope.extra['left'])}",
            field="state",
            value="absent",
            fix="end what holds it, or reboot, then run again",
        )
        error.envelope = envelope
        raise error
    return envelope.as_dict()


def main() -> None:
    """Entry point."""
    run_module(SPEC, body)


if __name__ == "__main__":
    main()
