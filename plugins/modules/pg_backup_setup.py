#!/usr/bin/python
# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Apply the objects of a PostgreSQL backup."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_backup_setup
short_description: Apply the objects of a PostgreSQL backup
version_added: "0.1.0"
description:
  - Brings scripts, volume claim, NetworkPolicies and CronJobs of a backup into the cluster with server-side apply, and leaves a
    pointer on the host that says where the backup's health can be read.
  - Role P(holdfast.k3s.backup#role) calls it; its README explains the settings.
author:
  - Holdfast maintainers (@holdfast)
options:
  settings:
    description: The backup's settings, named like the role's inputs without their prefix.
    type: dict
    required: true
  offsite_key:
    description:
      - Key of the offsite repository. The one of the escrow file or in the cluster, or a new one, when empty.
      - Refused when it differs from the one of the escrow file; so is one in the cluster that differs.
    type: str
    default: ""
  offsite_escrow_key:
    description: The key in the escrow file on the controller; empty when there is no file.
    type: str
    default: ""
  offsite_escrow:
    description: Path of that file, for messages.
    type: str
    default: ""
  offsite_escrow_shared:
    description: The file's name does not say which host it is of; a key in the cluster comes before it.
    type: bool
    default: false
extends_documentation_fragment:
  - holdfast.k3s.cluster
  - holdfast.k3s.timing
attributes:
  check_mode:
    description: Can run in check mode; on a host without a cluster it predicts that everything is made.
    support: full
  diff_mode:
    description: Shows the objects before and after.
    support: full
seealso:
  - module: holdfast.k3s.pg_backup
"""

EXAMPLES = r"""
- name: Bring the backup into the cluster
  holdfast.k3s.pg_backup_setup:
    settings:
      namespace: music
      name: postgres-backup
      host: postgres
      databases: [musicdb]
      user: musicdb_user
      secret: postgres-credentials
      secret_key: POSTGRES_PASSWORD
      scripts: "{{ __backup_scripts }}"
"""

RETURN = r"""
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
  description: Whether the server holds every object as wanted afterwards.
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
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres import settings as model
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres.offsite import Kept
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres.setup import connect, setup


def spec() -> dict[str, Any]:
    """The argument spec."""
    return {
        "settings": {"type": "dict", "required": True},
        "offsite_key": {"type": "str", "default": "", "no_log": True},
        "offsite_escrow_key": {"type": "str", "default": "", "no_log": True},
        "offsite_escrow": {"type": "str", "default": ""},
        "offsite_escrow_shared": {"type": "bool", "default": False},
        **argspec.CLUSTER,
        **argspec.TIMING,
    }


def body(params: dict[str, Any], check_mode: bool, _diff: bool) -> Envelope:
    """Apply what differs."""
    settings = model.load(params["settings"])
    client = connect(params, check_mode)
    kept = Kept(params["offsite_escrow_key"], params["offsite_escrow"], params["offsite_escrow_shared"])
    return setup(
        settings,
        client,
        check_mode=check_mode,
        deadline=params["deadline"],
        budget=params["budget"],
        offsite_key=params["offsite_key"],
        kept=kept,
    )


def main() -> None:
    run_module(spec(), body)


if __name__ == "__main__":
    main()
