#!/usr/bin/python
# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""List, choose and check PostgreSQL backups."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_backup_info
short_description: List, choose and check PostgreSQL backups
version_added: "0.1.0"
description:
  - Reads the backups on the volume from the host, chooses one by name, time or proof, and checks its files cheaply or in full.
  - Works with the cluster down too, from the pointer that role P(holdfast.k3s.backup#role) leaves on the host. Changes nothing.
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
  database:
    description: Only this database.
    type: str
    default: ""
  backup:
    description: Choose a backup as in M(holdfast.k3s.pg_restore); its whole manifest is returned.
    type: str
    default: ""
  check:
    description: What to check of the chosen backup, or of the newest. V(cheap) compares sizes, V(full) every sha256.
    type: str
    choices: [none, cheap, full]
    default: none
extends_documentation_fragment:
  - holdfast.k3s.cluster
attributes:
  check_mode:
    description: Can run in check mode; it never changes anything.
    support: full
seealso:
  - module: holdfast.k3s.pg_restore
"""

EXAMPLES = r"""
- name: How old is the newest proven backup?
  holdfast.k3s.pg_backup_info:
    namespace: music
  register: backups
  failed_when: not backups.healthy

- name: The backup of that night, checked in full
  holdfast.k3s.pg_backup_info:
    namespace: music
    backup: 2026-11-20T02:00
    check: full
"""

RETURN = r"""
healthy:
  description: Whether the newest verified backup of every database is younger than the limit.
  returned: success
  type: bool
rpo_hours:
  description: That limit.
  returned: success
  type: float
volume:
  description: Directory of the backup volume on the host.
  returned: success
  type: str
jobs:
  description: The backup's jobs, newest first, with start, end and outcome.
  returned: success
  type: list
  elements: dict
databases:
  description: One entry for each database.
  returned: success
  type: list
  elements: dict
  contains:
    database:
      description: Its name.
      type: str
    directory:
      description: Its directory on the volume.
      type: str
    backups:
      description: Its backups in short, newest first.
      type: list
      elements: dict
    broken:
      description: Directories that are no backups, and why.
      type: list
      elements: dict
    chosen:
      description: The chosen backup, or the newest.
      type: dict
    manifest:
      description: The whole manifest of the chosen backup.
      type: dict
    problems:
      description: What the check found wrong.
      type: list
      elements: str
    verified_age_hours:
      description: Age of the newest verified backup in hours; empty when there is none.
      type: float
    healthy:
      description: Whether that is young enough.
      type: bool
"""

from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.core import argspec
from ansible_collections.holdfast.k3s.plugins.module_utils.core.module import run_module
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres.info import read
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres.setup import connect


def spec() -> dict[str, Any]:
    """The argument spec."""
    return {
        "namespace": {"type": "str", "required": True},
        "name": {"type": "str", "default": "postgres-backup"},
        "database": {"type": "str", "default": ""},
        "backup": {"type": "str", "default": ""},
        "check": {"type": "str", "choices": ["none", "cheap", "full"], "default": "none"},
        **argspec.CLUSTER,
    }


def body(params: dict[str, Any], _check_mode: bool, _diff: bool) -> dict[str, Any]:
    """One look."""
    return read(
        connect(params, True),
        params["namespace"],
        params["name"],
        wanted=params["backup"],
        check=params["check"],
        database=params["database"],
    )


def main() -> None:
    run_module(spec(), body)


if __name__ == "__main__":
    main()
