#!/usr/bin/python
# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Clean up after restores now."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_cleanup
short_description: Clean up after restores now
version_added: "0.1.0"
description:
  - Opens a database that a killed swap has left closed, and drops databases and schemas that restores have kept long enough.
    The backup's clean-up CronJob does the same every hour.
  - Touches only what carries this collection's own comment, and nothing that a running restore works on.
author:
  - Holdfast maintainers (@holdfast)
options:
  namespace:
    description: Namespace of the database and its backup.
    type: str
    required: true
  name:
    description: Name of the backup's CronJob.
    type: str
    default: postgres-backup
extends_documentation_fragment:
  - holdfast.k3s.cluster
  - holdfast.k3s.timing
attributes:
  check_mode:
    description: Can run in check mode; nothing is started.
    support: full
seealso:
  - module: holdfast.k3s.pg_restore
"""

EXAMPLES = r"""
- name: Open what a killed restore has left closed
  holdfast.k3s.pg_cleanup:
    namespace: music
"""

RETURN = r"""
count:
  description: Databases that were opened, and databases and schemas that were dropped.
  returned: when not in check mode
  type: int
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
  description: Whether the job came to its end.
  returned: always
  type: bool
evidence:
  description: Always empty; what is dropped was kept beside its successor until its time was over.
  returned: always
  type: str
"""

from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.core import argspec
from ansible_collections.holdfast.k3s.plugins.module_utils.core.envelope import Envelope
from ansible_collections.holdfast.k3s.plugins.module_utils.core.module import run_module
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres.run import Limits, tidy
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres.setup import connect


def spec() -> dict[str, Any]:
    """The argument spec."""
    return {
        "namespace": {"type": "str", "required": True},
        "name": {"type": "str", "default": "postgres-backup"},
        **argspec.CLUSTER,
        **argspec.TIMING,
    }


def body(params: dict[str, Any], check_mode: bool, _diff: bool) -> Envelope:
    """One clean-up."""
    limits = Limits(check_mode, params["deadline"], params["budget"])
    return tidy(connect(params, check_mode), params["namespace"], params["name"], limits)


def main() -> None:
    run_module(spec(), body)


if __name__ == "__main__":
    main()
