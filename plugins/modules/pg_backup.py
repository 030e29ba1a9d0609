#!/usr/bin/python
# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Back up a PostgreSQL server now."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_backup
short_description: Back up a PostgreSQL server now
version_added: "0.1.0"
description:
  - Starts a Job from the backup's CronJob, follows it, and returns what was backed up.
  - The Job does the work inside the cluster. When this module ends early (a lost session, its deadline) the Job goes on, and the
    next run picks it up instead of starting another.
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
  only_if_missing:
    description: Do nothing when every database has a backup already.
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
  - module: holdfast.k3s.pg_backup_info
  - module: holdfast.k3s.pg_backup_verify
  - module: holdfast.k3s.pg_restore
"""

EXAMPLES = r"""
- name: Back up now
  holdfast.k3s.pg_backup:
    namespace: music
  register: backup

- name: Make sure that there is a first backup
  holdfast.k3s.pg_backup:
    namespace: music
    only_if_missing: true
"""

RETURN = r"""
backups:
  description: The newest backup of each database, in short; the whole manifest lies beside the dump.
  returned: when not in check mode
  type: list
  elements: dict
  contains:
    name:
      description: Name of the backup, its time in UTC.
      type: str
      sample: 20261120T020000Z
    database:
      description: Database.
      type: str
    path:
      description: Directory on the host.
      type: str
    rows:
      description: Exact number of rows in all tables.
      type: int
    tables:
      description: Number of tables.
      type: int
    dump_bytes:
      description: Size of the dump.
      type: int
    verified_at:
      description: When a trial restore proved it; empty before that.
      type: str
problems:
  description: What is wrong with the files of these backups, by database.
  returned: when not in check mode
  type: dict
volume:
  description: Directory of the backup volume on the host.
  returned: when not in check mode
  type: str
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
  description: Whether the backups are there with all their files.
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
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres.run import Limits, take
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres.setup import connect


def spec() -> dict[str, Any]:
    """The argument spec."""
    return {
        "namespace": {"type": "str", "required": True},
        "name": {"type": "str", "default": "postgres-backup"},
        "only_if_missing": {"type": "bool", "default": False},
        **argspec.CLUSTER,
        **argspec.TIMING,
        "deadline": {"type": "int", "default": 3600},
    }


def body(params: dict[str, Any], check_mode: bool, _diff: bool) -> Envelope:
    """One backup."""
    return take(
        connect(params, check_mode),
        params["namespace"],
        params["name"],
        Limits(check_mode, params["deadline"], params["budget"]),
        only_if_missing=params["only_if_missing"],
    )


def main() -> None:
    run_module(spec(), body)


if __name__ == "__main__":
    main()
