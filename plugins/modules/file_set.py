#!/usr/bin/python
# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Bring a set of configuration files to their wanted state in one task."""

from __future__ import annotations

DOCUMENTATION = r"""
module: file_set
short_description: Bring a set of configuration files to their wanted state in one task
version_added: "0.1.0"
author: Holdfast maintainers (@holdfast)
description:
  - Writes files, makes directories and links, and removes files and empty directories, many in one task.
  - Each file is written beside its place, synced and renamed, so a reader sees the old or the new one, never half.
  - Nothing is touched before all entries have been read and found valid.
options:
  files:
    description: The wanted paths; parents are made when missing.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Absolute path.
        type: path
        required: true
      state:
        description: What the path should be.
        type: str
        choices: [file, directory, link, absent]
        default: file
      content:
        description: The file's content, unless O(secret_content) has it.
        type: str
      src:
        description: Target of a link.
        type: str
      mode:
        description: Octal permission bits, quoted. V(0644) for a file, V(0755) for a directory when not given.
        type: str
      owner:
        description: User that owns the path.
        type: str
        default: root
      group:
        description: Group that owns the path.
        type: str
        default: root
  secret_content:
    description: Content by path for files whose content appears in no output and no diff.
    type: dict
    default: {}
attributes:
  check_mode:
    support: full
    description: Reads everything and changes nothing.
  diff_mode:
    support: full
    description: Shows what differs, without secret content.
"""

EXAMPLES = r"""
- name: Write two files, one of them secret
  holdfast.k3s.file_set:
    files:
      - path: /etc/sysctl.d/90-kubelet.conf
        content: "vm.panic_on_oom = 0\n"
      - path: /etc/rancher/k3s/config.yaml.d/90-secrets.yaml
        mode: "0600"
    secret_content:
      /etc/rancher/k3s/config.yaml.d/90-secrets.yaml: "token: {{ token }}\n"
"""

RETURN = r"""
changed_paths:
  description: Paths that differed, in order.
  returned: always
  type: list
  elements: str
  sample: [/etc/sysctl.d/90-kubelet.conf]
plan:
  description: What was to be done to which path, and why.
  returned: always
  type: list
  elements: dict
actions:
  description: Outcome of each action.
  returned: when not in check mode
  type: list
  elements: dict
verified:
  description: Whether every path was read again and found as wanted.
  returned: when not in check mode
  type: bool
"""

from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.core.clock import Clock
from ansible_collections.holdfast.k3s.plugins.module_utils.core.module import run_module
from ansible_collections.holdfast.k3s.plugins.module_utils.core.plan import Action
from ansible_collections.holdfast.k3s.plugins.module_utils.core.runner import run
from ansible_collections.holdfast.k3s.plugins.module_utils.files import act, plan
from ansible_collections.holdfast.k3s.plugins.module_utils.files.model import STATES, Current, parse
from ansible_collections.holdfast.k3s.plugins.module_utils.host.failure import failed, raise_first

SPEC: dict[str, Any] = {
    "files": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "path": {"type": "path", "required": True},
            "state": {"type": "str", "choices": list(STATES), "default": "file"},
            "content": {"type": "str"},
            "src": {"type": "str"},
            "mode": {"type": "str"},
            "owner": {"type": "str", "default": "root"},
            "group": {"type": "str", "default": "root"},
        },
    },
    "secret_content": {"type": "dict", "default": {}, "no_log": True},
}


def body(params: dict[str, Any], check_mode: bool, diff: bool) -> dict[str, Any]:
    """Observe all paths, plan, write, read again."""
    entries = parse(params["files"], params["secret_content"])
    by_path = {entry.path: entry for entry in entries}
    seen: dict[str, Current] = {}

    def observe() -> dict[str, Current]:
        seen.update({path: act.read(path) for path in by_path})
        return seen

    def apply(action: Action, _context: Any) -> dict[str, Any]:
        act.apply(by_path[action.target])
        return {}

    def verify(_facts: Any, outcomes: Any) -> tuple[bool, dict[str, Any]]:
        if failed(outcomes):
            return False, {}
        left = [path for path, entry in by_path.items() if plan.difference(entry, act.read(path))]
        return not left, {"unverified": left} if left else {}

    envelope = run(
        observe=observe,
        plan=lambda facts: plan.plan(entries, facts),
        act=apply,
        verify=verify,
        check_mode=check_mode,
        clock=Clock(),
        deadline_seconds=120,
        stop_on_failure=True,
        budget=len(entries),
    )
    raise_first(envelope)
    result = envelope.as_dict()
    result["changed_paths"] = [action.target for action in plan.plan(entries, seen)]
    if diff:
        result["diff"] = plan.diffs(entries, seen)
    return result


def main() -> None:
    """Entry point."""
    run_module(SPEC, body)


if __name__ == "__main__":
    main()
