#!/usr/bin/python
# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Tell what is wrong with a PostgreSQL database."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_database_info
short_description: Tell what is wrong with a PostgreSQL database
version_added: "0.1.0"
description:
  - Looks at the database's pod, volume claims, databases and tables, compares them with the newest proven backup, and names the
    remedy. Changes nothing.
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
- name: What is wrong with the database?
  holdfast.k3s.pg_database_info:
    namespace: songnodes
"""

RETURN = r"""
database:
  description: The database.
  returned: success
  type: str
cause:
  description: What is wrong, in a word or two; V(none) when nothing is, V(unknown) when its tables could not be counted.
  returned: success
  type: str
  sample: tables empty
why:
  description: What was seen.
  returned: success
  type: str
remedy:
  description: One of V(none), V(pods) (bring the pod up), V(reopen), V(restore), V(person) (somebody must look).
  returned: success
  type: str
backup:
  description: Name of the newest proven backup; empty when there is none.
  returned: success
  type: str
rows:
  description: Rows of the biggest tables now.
  returned: success
  type: dict
"""

from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.core import argspec
from ansible_collections.holdfast.k3s.plugins.module_utils.core.module import run_module
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres.diagnose import diagnose
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres.setup import connect


def spec() -> dict[str, Any]:
    """The argument spec."""
    return {
        "namespace": {"type": "str", "required": True},
        "name": {"type": "str", "default": "postgres-backup"},
        "database": {"type": "str", "default": ""},
        **argspec.CLUSTER,
    }


def body(params: dict[str, Any], _check_mode: bool, _diff: bool) -> dict[str, Any]:
    """One look."""
    client = connect(params, False)
    if client is None:
        raise AssertionError("the API client comes with observe()")
    found = diagnose(client, params["namespace"], params["name"], params["database"])
    return {"changed": False, **found}


def main() -> None:
    run_module(spec(), body)


if __name__ == "__main__":
    main()
