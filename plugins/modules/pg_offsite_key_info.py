#!/usr/bin/python
# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a person must keep to read the backups in another place."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_offsite_key_info
short_description: What a person must keep to read the backups in another place
version_added: "0.1.0"
description:
  - Returns repository, key and instructions for the escrow file. Use it with C(no_log), the result is a secret. Changes nothing.
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
  repository:
    description: The repository, as restic writes it.
    type: str
    required: true
extends_documentation_fragment:
  - holdfast.k3s.cluster
attributes:
  check_mode:
    description: Can run in check mode; it never changes anything.
    support: full
seealso:
  - module: holdfast.k3s.pg_offsite
"""

EXAMPLES = r"""
- name: Read what has to be kept elsewhere
  holdfast.k3s.pg_offsite_key_info:
    namespace: music
    repository: s3:https://s3.example.com/backups/music
  register: escrow
  no_log: true
"""

RETURN = r"""
escrow:
  description: The content of the escrow file; empty when there is no key yet.
  returned: success
  type: dict
"""

from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.core import argspec
from ansible_collections.holdfast.k3s.plugins.module_utils.core.module import run_module
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres.setup import connect, escrow


def spec() -> dict[str, Any]:
    """The argument spec."""
    return {
        "namespace": {"type": "str", "required": True},
        "name": {"type": "str", "default": "postgres-backup"},
        "repository": {"type": "str", "required": True},
        **argspec.CLUSTER,
    }


def body(params: dict[str, Any], check_mode: bool, _diff: bool) -> dict[str, Any]:
    """One look."""
    found = escrow(connect(params, check_mode), params["namespace"], params["name"], params["repository"])
    return {"changed": False, "escrow": found}


def main() -> None:
    run_module(spec(), body)


if __name__ == "__main__":
    main()
