#!/usr/bin/python
# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Carry backups to another place, or bring one back."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_offsite
short_description: Carry backups to another place, or bring one back
version_added: "0.1.0"
description:
  - Sends the newest verified backup of each database to the repository that role P(holdfast.k3s.backup#role) was given, encrypted
    by restic, applies the retention over there and checks the repository.
  - Or fetches a backup of one database back into the backup volume, checked against its own checksums; M(holdfast.k3s.pg_restore)
    takes it from there.
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
  direction:
    description: Which way.
    type: str
    choices: [send, fetch]
    default: send
  database:
    description: Database to fetch a backup of.
    type: str
    default: ""
  backup:
    description: Name of the backup to fetch; the newest one over there when empty.
    type: str
    default: ""
  deadline:
    description: Seconds to wait for the Job.
    type: int
    default: 7200
extends_documentation_fragment:
  - holdfast.k3s.cluster
  - holdfast.k3s.timing
attributes:
  check_mode:
    description: Can run in check mode; nothing is started.
    support: full
seealso:
  - module: holdfast.k3s.pg_backup
  - module: holdfast.k3s.pg_restore
"""

EXAMPLES = r"""
- name: Carry the newest proven backup away now
  holdfast.k3s.pg_offsite:
    namespace: music

- name: Bring the newest backup back onto a new host
  holdfast.k3s.pg_offsite:
    namespace: music
    direction: fetch
    database: musicdb
"""

RETURN = r"""
sent:
  description: Database to the newest backup that lies in the other place.
  returned: when not in check mode
  type: dict
backups:
  description: The backup that the job fetched, in short, whatever is newer on the volume.
  returned: when not in check mode
  type: list
  elements: dict
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
  description: Whether every database's backup lies over there, or the fetched one is whole.
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
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres.run import Limits, carry
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres.setup import connect


def spec() -> dict[str, Any]:
    """The argument spec."""
    return {
        "namespace": {"type": "str", "required": True},
        "name": {"type": "str", "default": "postgres-backup"},
        "direction": {"type": "str", "choices": ["send", "fetch"], "default": "send"},
        "database": {"type": "str", "default": ""},
        "backup": {"type": "str", "default": ""},
        **argspec.CLUSTER,
        **argspec.TIMING,
        "deadline": {"type": "int", "default": 7200},
    }


def body(params: dict[str, Any], check_mode: bool, _diff: bool) -> Envelope:
    """One way or the other."""
    return carry(
        connect(params, check_mode),
        params["namespace"],
        params["name"],
        Limits(check_mode, params["deadline"], params["budget"]),
        fetch=params["direction"] == "fetch",
        database=params["database"],
        backup=params["backup"],
    )


def main() -> None:
    run_module(spec(), body)


if __name__ == "__main__":
    main()
