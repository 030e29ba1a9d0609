#!/usr/bin/python
# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Restore a PostgreSQL database as a transaction."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_restore
short_description: Restore a PostgreSQL database as a transaction
version_added: "0.1.0"
description:
  - Loads a backup into C(<database>__restore_<time>) beside the live database, compares rows, content, schema and sequences with the
    backup's manifest, then exchanges the names in one transaction. The live database is only read until that moment, and kept
    as C(<database>__before_<time>) afterwards; M(holdfast.k3s.pg_restore_undo) takes the restore back.
  - A safety backup of what is live is taken first. Writers notice seconds, whatever the size of the database.
  - The work is done by Jobs inside the cluster. When this module ends early (a lost session, its deadline) they go on, and the
    next run continues where the first one stopped, if it wants the same backup and what was loaded is still there. A restore
    that had swapped already is finished (its Deployments come back) before the next one is planned.
  - Check mode looks at everything, refuses what cannot work, and shows the plan with its notes and times.
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
    description: Database to restore; may be left empty when the backup holds only one.
    type: str
    default: ""
  backup:
    description:
      - Which backup. V(latest verified), V(latest), a name like V(20261120T020000Z), or a time like V(2026-11-20T02:00) (UTC),
        which means the newest backup that is not younger.
    type: str
    default: latest verified
  source_database:
    description: Restore the backup of another database into this one.
    type: str
    default: ""
  safety:
    description: Whether a backup of what is live is taken first. V(skip) is for a database that is beyond saving; it is kept aside anyway.
    type: str
    choices: [require, skip]
    default: require
  allow_empty:
    description: Accept a backup that has no rows.
    type: bool
    default: false
  keep_hours:
    description: Hours for which the old database is kept.
    type: int
    default: 72
  stop:
    description: Deployments to scale to zero around the swap, and back to what they were.
    type: list
    elements: str
    default: []
  deadline:
    description: Seconds for the whole run.
    type: int
    default: 7200
extends_documentation_fragment:
  - holdfast.k3s.cluster
  - holdfast.k3s.timing
  - holdfast.k3s.evidence
attributes:
  check_mode:
    description: Can run in check mode; the plan is the preview.
    support: full
notes:
  - Run it on the k3s host with C(become). Progress is written to C(/run/holdfast/progress/<job>.jsonl) there.
seealso:
  - module: holdfast.k3s.pg_backup_info
  - module: holdfast.k3s.pg_restore_undo
"""

EXAMPLES = r"""
- name: Show what a restore would do
  holdfast.k3s.pg_restore:
    namespace: music
    backup: 2026-11-20T02:00
  check_mode: true

- name: Restore the newest proven backup
  holdfast.k3s.pg_restore:
    namespace: music
    stop: [rest-api]
"""

RETURN = r"""
database:
  description: The database.
  returned: success
  type: str
backup:
  description: The chosen backup, in short.
  returned: success
  type: dict
notes:
  description: What an operator should know before it starts.
  returned: success
  type: list
  elements: str
resumed:
  description: Whether an unfinished restore was picked up.
  returned: success
  type: bool
eta_seconds:
  description: How long loading is expected to take.
  returned: success
  type: int
expected_downtime_seconds:
  description: How long writers are expected to be shut out.
  returned: success
  type: int
downtime_ms:
  description: How long the database was closed, in milliseconds.
  returned: when the swap happened
  type: int
kept:
  description: Name of the database that was live before; empty when there was none.
  returned: when the swap happened
  type: str
rows_before:
  description: Rows of the biggest tables before.
  returned: success
  type: dict
rows_after:
  description: Rows of the same tables afterwards, counted through the database's own pod.
  returned: when not in check mode
  type: dict
problems:
  description: What the last look found wrong.
  returned: when not in check mode
  type: list
  elements: str
undo:
  description: The task that takes it back.
  returned: when not in check mode
  type: str
plan:
  description: The planned actions with target, reason and risk.
  returned: always
  type: list
  elements: dict
actions:
  description: What came of each action, with seconds.
  returned: always
  type: list
  elements: dict
verified:
  description: Whether the independent count agrees and the applications are ready again.
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
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres.restore import Restore
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres.restore_plan import Wish
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres.run import Limits
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres.setup import connect


def spec() -> dict[str, Any]:
    """The argument spec."""
    return {
        "namespace": {"type": "str", "required": True},
        "name": {"type": "str", "default": "postgres-backup"},
        "database": {"type": "str", "default": ""},
        "backup": {"type": "str", "default": "latest verified"},
        "source_database": {"type": "str", "default": ""},
        "safety": {"type": "str", "choices": ["require", "skip"], "default": "require"},
        "allow_empty": {"type": "bool", "default": False},
        "keep_hours": {"type": "int", "default": 72},
        "stop": {"type": "list", "elements": "str", "default": []},
        **argspec.CLUSTER,
        **argspec.TIMING,
        **argspec.EVIDENCE,
        "deadline": {"type": "int", "default": 7200},
    }


def body(params: dict[str, Any], check_mode: bool, _diff: bool) -> Envelope:
    """One restore."""
    client = connect(params, False)
    if client is None:
        raise AssertionError("the API client comes with observe()")
    wish = Wish(
        params["database"],
        params["safety"],
        params["allow_empty"],
        params["source_database"],
        params["keep_hours"],
        tuple(params["stop"]),
    )
    restore = Restore(
        client, params["namespace"], params["name"], wish, params["backup"], params["evidence_dir"]
    )
    return restore.run(Limits(check_mode, params["deadline"], params["budget"]))


def main() -> None:
    run_module(spec(), body)


if __name__ == "__main__":
    main()
