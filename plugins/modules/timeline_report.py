#!/usr/bin/python
# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Tell what a recovery did, when, and why."""

from __future__ import annotations

DOCUMENTATION = r"""
module: timeline_report
short_description: Tell what a recovery did, when, and why
version_added: "0.1.0"
description:
  - Makes a timeline of the registered results of other modules of this collection, as lines to print, as JSON, and as one
    HTML page without external parts, both in a new directory under O(evidence_dir).
author:
  - Holdfast maintainers (@holdfast)
options:
  title:
    description: What was done, such as V(recover).
    type: str
    required: true
  host:
    description: Name of the host, as the inventory has it.
    type: str
    required: true
  steps:
    description: The phases in their order.
    type: list
    elements: dict
    required: true
    suboptions:
      phase:
        description: Name of the phase.
        type: str
        required: true
      result:
        description: The registered result.
        type: dict
        required: true
  verdict:
    description: How it ended.
    type: str
    required: true
  reasons:
    description: What the verdict rests on.
    type: list
    elements: str
    default: []
  keep:
    description: Write the files; otherwise only the lines are returned.
    type: bool
    default: true
  evidence_dir:
    description: Directory on the host under which the files are written.
    type: path
    default: /var/lib/holdfast/incidents
attributes:
  check_mode:
    description: Writes nothing, returns the lines.
    support: full
  diff_mode:
    description: A record of what others did is no change.
    support: none
"""

EXAMPLES = r"""
- name: Tell it
  holdfast.k3s.timeline_report:
    title: recover
    host: "{{ inventory_hostname }}"
    verdict: "{{ __health.verdict }}"
    reasons: "{{ __health.reasons }}"
    steps:
      - {phase: pods, result: "{{ __reap }}"}
      - {phase: health, result: "{{ __health }}"}
  register: __report
"""

RETURN = r"""
lines:
  description: The timeline for a terminal.
  returned: always
  type: list
  elements: str
seconds:
  description: From the first phase's begin to the last one's end.
  returned: always
  type: float
json:
  description: Path of the JSON file, or null when nothing was written.
  returned: always
  type: str
html:
  description: Path of the page, or null when nothing was written.
  returned: always
  type: str
"""

from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.core.module import run_module
from ansible_collections.holdfast.k3s.plugins.module_utils.report.write import report


def body(params: dict[str, Any], check_mode: bool, _diff: bool) -> dict[str, Any]:
    return report(params, check_mode)


def main() -> None:
    steps = {
        "phase": {"type": "str", "required": True},
        "result": {"type": "dict", "required": True},
    }
    spec = {
        "title": {"type": "str", "required": True},
        "host": {"type": "str", "required": True},
        "steps": {"type": "list", "elements": "dict", "required": True, "options": steps},
        "verdict": {"type": "str", "required": True},
        "reasons": {"type": "list", "elements": "str", "default": []},
        "keep": {"type": "bool", "default": True},
        "evidence_dir": {"type": "path", "default": "/var/lib/holdfast/incidents"},
    }
    run_module(spec, body)


if __name__ == "__main__":
    main()
