#!/usr/bin/python
# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Restore one table, or some of its rows."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_restore_table
short_description: Restore one table, or some of its rows
version_added: "0.1.0"
description:
  - Brings a table of a backup into schema C(holdfast_<time>) of the live database, and compares it with the live table by primary key.
    View C(holdfast_<time>.diff) shows both versions of each row that is missing, different or extra.
  - Returns the SQL that puts missing and different rows right. It is only run with O(apply=true), in one transaction; the rows that it
    replaces are kept in C(holdfast_<time>.replaced), and rows that are not in the backup stay.
  - Check mode looks and refuses, and starts nothing.
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
    description: Database; may be left empty when the backup holds only one.
    type: str
    default: ""
  backup:
    description: Which backup, as in M(holdfast.k3s.pg_restore).
    type: str
    default: latest verified
  schema:
    description: Schema of the table.
    type: str
    default: public
  table:
    description: The table. It needs a primary key.
    type: str
    required: true
  rows:
    description: Only rows that equal one of these, each a dict of columns and values; all rows when empty.
    type: list
    elements: dict
    default: []
  apply:
    description: Run the SQL, instead of only returning it.
    type: bool
    default: false
  keep_hours:
    description: Hours for which the schema stays; the cleanup job drops it then.
    type: int
    default: 72
  deadline:
    description: Seconds for the whole run.
    type: int
    default: 3600
extends_documentation_fragment:
  - holdfast.k3s.cluster
  - holdfast.k3s.timing
  - holdfast.k3s.evidence
attributes:
  check_mode:
    description: Can run in check mode; nothing is started.
    support: full
notes:
  - Run it on the k3s host with C(become). Progress is written to C(/run/holdfast/progress/<job>.jsonl) there.
seealso:
  - module: holdfast.k3s.pg_restore
"""

EXAMPLES = r"""
- name: What would it take to bring two tracks back?
  holdfast.k3s.pg_restore_table:
    namespace: music
    table: tracks
    rows: [{id: 4711}, {id: 4712}]
  register: found

- name: Put them back
  holdfast.k3s.pg_restore_table:
    namespace: music
    table: tracks
    rows: [{id: 4711}, {id: 4712}]
    apply: true
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
schema:
  description: Schema of the live database that holds the copy, the view C(diff) and, once applied, C(replaced).
  returned: when not in check mode
  type: str
rows:
  description: Rows that were brought from the backup.
  returned: when not in check mode
  type: int
missing:
  description: Rows that only the backup has.
  returned: when not in check mode
  type: int
different:
  description: Rows that are not as in the backup.
  returned: when not in check mode
  type: int
extra:
  description: Rows that only the live table has (when all rows were asked for); they are never touched.
  returned: when not in check mode
  type: int
left:
  description: Rows that still are missing or different.
  returned: when not in check mode
  type: int
examples:
  description: Up to 20 of them by key, with the columns that differ; no values.
  returned: when not in check mode
  type: list
  elements: dict
sql:
  description: The statement that puts them right.
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
  description: Whether a second look through the database's own pod saw the same.
  returned: always
  type: bool
evidence:
  description: Path of the evidence bundle when rows were changed.
  returned: always
  type: str
"""

from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.core import argspec
from ansible_collections.holdfast.k3s.plugins.module_utils.core.envelope import Envelope
from ansible_collections.holdfast.k3s.plugins.module_utils.core.module import run_module
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres.run import Limits
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres.setup import connect
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres.table import TableRestore, Wish


def spec() -> dict[str, Any]:
    """The argument spec."""
    return {
        "namespace": {"type": "str", "required": True},
        "name": {"type": "str", "default": "postgres-backup"},
        "database": {"type": "str", "default": ""},
        "backup": {"type": "str", "default": "latest verified"},
        "schema": {"type": "str", "default": "public"},
        "table": {"type": "str", "required": True},
        "rows": {"type": "list", "elements": "dict", "default": []},
        "apply": {"type": "bool", "default": False},
        "keep_hours": {"type": "int", "default": 72},
        **argspec.CLUSTER,
        **argspec.TIMING,
        **argspec.EVIDENCE,
        "deadline": {"type": "int", "default": 3600},
    }


def body(params: dict[str, Any], check_mode: bool, _diff: bool) -> Envelope:
    """One table."""
    client = connect(params, False)
    if client is None:
        raise AssertionError("the API client comes with observe()")
    wish = Wish(
        params["table"],
        params["schema"],
        params["database"],
        params["backup"],
        params["rows"],
        params["apply"],
        params["keep_hours"],
    )
    restore = TableRestore(client, params["namespace"], params["name"], wish, params["evidence_dir"])
    return restore.run(Limits(check_mode, params["deadline"], params["budget"]))


def main() -> None:
    run_module(spec(), body)


if __name__ == "__main__":
    main()
