#!/usr/bin/python
# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Take a PostgreSQL restore back."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_restore_undo
short_description: Take a PostgreSQL restore back
version_added: "0.1.0"
description:
  - Exchanges the names again, in one transaction, so that the database which M(holdfast.k3s.pg_restore) set aside is live again. What was live until
    then is kept as C(<database>__undone_<time>).
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
    description: Database whose restore is taken back; may be left empty when the backup holds only one.
    type: str
    default: ""
  before:
    description: Name of the kept database to go back to; the newest one when empty.
    type: str
    default: ""
  keep_hours:
    description: Hours for which the database that is live now is kept.
    type: int
    default: 72
extends_documentation_fragment:
  - holdfast.k3s.cluster
  - holdfast.k3s.timing
  - holdfast.k3s.evidence
attributes:
  check_mode:
    description: Can run in check mode; the plan is the preview.
    support: full
seealso:
  - module: holdfast.k3s.pg_restore
"""

EXAMPLES = r"""
- name: Go back to what was live before the last restore
  holdfast.k3s.pg_restore_undo:
    namespace: music
"""

RETURN = r"""
database:
  description: The database.
  returned: success
  type: str
choices:
  description: The kept databases that it could go back to, newest first.
  returned: success
  type: list
  elements: str
kept:
  description: Name of the database that was live until now.
  returned: when not in check mode
  type: str
downtime_ms:
  description: How long the database was closed, in milliseconds.
  returned: when not in check mode
  type: int
problems:
  description: Applications that did not get ready again.
  returned: when not in check mode
  type: list
  elements: str
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
  description: Whether the database answers and the applications are ready again.
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
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres.run import Limits
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres.setup import connect
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres.undo import undo


def spec() -> dict[str, Any]:
    """The argument spec."""
    return {
        "namespace": {"type": "str", "required": True},
        "name": {"type": "str", "default": "postgres-backup"},
        "database": {"type": "str", "default": ""},
        "before": {"type": "str", "default": ""},
        "keep_hours": {"type": "int", "default": 72},
        **argspec.CLUSTER,
        **argspec.TIMING,
        **argspec.EVIDENCE,
    }


def body(params: dict[str, Any], check_mode: bool, _diff: bool) -> Envelope:
    """One way back."""
    client = connect(params, False)
    if client is None:
        raise AssertionError("the API client comes with observe()")
    return undo(
        client,
        params["namespace"],
        params["name"],
        Limits(check_mode, params["deadline"], params["budget"]),
        database=params["database"],
        before=params["before"],
        keep_hours=params["keep_hours"],
        evidence_dir=params["evidence_dir"],
    )


def main() -> None:
    run_module(spec(), body)


if __name__ == "__main__":
    main()
