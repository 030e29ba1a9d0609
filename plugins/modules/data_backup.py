#!/usr/bin/python
# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Back up what is no PostgreSQL database now."""

from __future__ import annotations

DOCUMENTATION = r"""
module: data_backup
short_description: Back up what is no PostgreSQL database now
version_added: "0.1.0"
description:
  - Starts a Job from the CronJob that role P(holdfast.k3s.backup#role) made for an entry of C(backup_data) (Redis, RabbitMQ's
    definitions, MongoDB, a volume), follows it, and returns what was backed up.
  - When this module ends early the Job goes on, and the next run picks it up.
author:
  - Holdfast maintainers (@holdfast)
options:
  namespace:
    description: Namespace of the backup.
    type: str
    required: true
  name:
    description: Name of the backup's CronJob.
    type: str
    default: postgres-backup
  item:
    description: Name of the entry in C(backup_data).
    type: str
    required: true
extends_documentation_fragment:
  - holdfast.k3s.cluster
  - holdfast.k3s.timing
attributes:
  check_mode:
    description: Can run in check mode; nothing is started.
    support: full
seealso:
  - module: holdfast.k3s.pg_backup
"""

EXAMPLES = r"""
- name: Back up the queues' definitions now
  holdfast.k3s.data_backup:
    namespace: music
    item: rabbitmq
"""

RETURN = r"""
backup:
  description: The newest backup, in short.
  returned: when not in check mode
  type: dict
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
  description: Whether the newest backup was read back by its own tool.
  returned: always
  type: bool
evidence:
  description: Always empty; nothing here destroys anything.
  returned: always
  type: str
"""

from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.core import argspec
from ansible_collections.holdfast.k3s.plugins.module_utils.core.envelope import Envelope
from ansible_collections.holdfast.k3s.plugins.module_utils.core.module import run_module
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres.run import Limits, copy_data
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres.setup import connect


def spec() -> dict[str, Any]:
    """The argument spec."""
    return {
        "namespace": {"type": "str", "required": True},
        "name": {"type": "str", "default": "postgres-backup"},
        "item": {"type": "str", "required": True},
        **argspec.CLUSTER,
        **argspec.TIMING,
    }


def body(params: dict[str, Any], check_mode: bool, _diff: bool) -> Envelope:
    """One backup."""
    limits = Limits(check_mode, params["deadline"], params["budget"])
    return copy_data(connect(params, check_mode), params["namespace"], params["name"], params["item"], limits)


def main() -> None:
    run_module(spec(), body)


if __name__ == "__main__":
    main()
