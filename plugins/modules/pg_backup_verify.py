#!/usr/bin/python
# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Prove PostgreSQL backups by a trial restore."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_backup_verify
short_description: Prove PostgreSQL backups by a trial restore
version_added: "0.1.0"
description:
  - Starts a Job that restores a backup into a throwaway server on scratch space of its own, compares rows, content, schema and
    sequences with the manifest, checks the indexes with amcheck, then damages the copy in three ways and insists on noticing each.
  - Never talks to the live server. A backup that fails is marked UNPROVEN with the reason and the module fails.
  - When this module ends early the Job goes on, and the next run picks it up.
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
  backup:
    description: Name of one backup; the newest of each database when empty.
    type: str
    default: ""
  only_if_unverified:
    description: Do nothing when the newest backup of every database is verified already.
    type: bool
    default: false
  deadline:
    description: Seconds to wait for the Job.
    type: int
    default: 3600
extends_documentation_fragment:
  - holdfast.k3s.cluster
  - holdfast.k3s.timing
attributes:
  check_mode:
    description: Can run in check mode; nothing is started.
    support: full
notes:
  - Run it on the k3s host with C(become). Progress is written to C(/run/holdfast/progress/<job>.jsonl) there.
seealso:
  - module: holdfast.k3s.pg_backup
  - module: holdfast.k3s.pg_backup_info
"""

EXAMPLES = r"""
- name: Prove the newest backup
  holdfast.k3s.pg_backup_verify:
    namespace: music
"""

RETURN = r"""
backups:
  description: The backups that were proven, in short.
  returned: when not in check mode
  type: list
  elements: dict
  contains:
    name:
      description: Name of the backup, its time in UTC.
      type: str
    database:
      description: Database.
      type: str
    verified_at:
      description: When the trial restore proved it.
      type: str
    rows:
      description: Exact number of rows in all tables.
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
  description: Whether every one of these backups is proven.
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
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres.run import Limits, prove
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres.setup import connect


def spec() -> dict[str, Any]:
    """The argument spec."""
    return {
        "namespace": {"type": "str", "required": True},
        "name": {"type": "str", "default": "postgres-backup"},
        "backup": {"type": "str", "default": ""},
        "only_if_unverified": {"type": "bool", "default": False},
        **argspec.CLUSTER,
        **argspec.TIMING,
        "deadline": {"type": "int", "default": 3600},
    }


def body(params: dict[str, Any], check_mode: bool, _diff: bool) -> Envelope:
    """One trial restore."""
    return prove(
        connect(params, check_mode),
        params["namespace"],
        params["name"],
        Limits(check_mode, params["deadline"], params["budget"]),
        backup=params["backup"],
        only_if_unverified=params["only_if_unverified"],
    )


def main() -> None:
    run_module(spec(), body)


if __name__ == "__main__":
    main()
