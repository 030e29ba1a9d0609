#!/usr/bin/python
# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Carry Secrets out of a cluster, or into a new one."""

from __future__ import annotations

DOCUMENTATION = r"""
module: secret_copy
short_description: Carry Secrets out of a cluster, or into a new one
version_added: "0.1.0"
description:
  - Reads the Secrets of namespaces, without what only their cluster knows, or creates those that are missing in a new cluster.
  - A Secret that is there with another content is never overwritten; then nothing is written at all.
  - Service account tokens, bootstrap tokens, helm's release records and Secrets that have an owner are left out, a new cluster makes them itself.
  - Use it with C(no_log), the result of V(read) is a secret. Role P(holdfast.k3s.backup#role) keeps it encrypted by Ansible Vault.
author:
  - Holdfast maintainers (@holdfast)
options:
  direction:
    description: Which way.
    type: str
    choices: [read, write]
    required: true
  namespaces:
    description: Namespaces to read.
    type: list
    elements: str
    default: []
  secrets:
    description: Secrets to create, as V(read) returned them.
    type: list
    elements: dict
extends_documentation_fragment:
  - holdfast.k3s.cluster
attributes:
  check_mode:
    description: Can run in check mode; nothing is created.
    support: full
seealso:
  - module: holdfast.k3s.pg_offsite_key_info
"""

EXAMPLES = r"""
- name: Read the Secrets of the application
  holdfast.k3s.secret_copy:
    direction: read
    namespaces: [music]
  register: copy
  no_log: true

- name: Bring them into the new cluster
  holdfast.k3s.secret_copy:
    direction: write
    secrets: "{{ copy.secrets }}"
  no_log: true
"""

RETURN = r"""
secrets:
  description: The Secrets, sorted by namespace and name.
  returned: when O(direction=read)
  type: list
  elements: dict
plan:
  description: What is missing.
  returned: when O(direction=write)
  type: list
  elements: dict
actions:
  description: What was created.
  returned: when O(direction=write)
  type: list
  elements: dict
verified:
  description: Whether the cluster holds all of them now. Null in check mode.
  returned: when O(direction=write)
  type: bool
"""

from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.client import Client
from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.secrets import read, write
from ansible_collections.holdfast.k3s.plugins.module_utils.core import argspec
from ansible_collections.holdfast.k3s.plugins.module_utils.core.envelope import Envelope
from ansible_collections.holdfast.k3s.plugins.module_utils.core.module import run_module


def spec() -> dict[str, Any]:
    """The argument spec."""
    return {
        "direction": {"type": "str", "choices": ["read", "write"], "required": True},
        "namespaces": {"type": "list", "elements": "str", "default": []},
        "secrets": {"type": "list", "elements": "dict", "no_log": True},
        **argspec.CLUSTER,
    }


def body(params: dict[str, Any], check_mode: bool, _diff: bool) -> Envelope | dict[str, Any]:
    """One look, or one write."""
    client = Client.connect(params["kubeconfig"], params["context"], timeout=params["api_timeout"])
    if params["direction"] == "read":
        return {"changed": False, "secrets": read(client, params["namespaces"])}
    return write(client, params["secrets"], check_mode=check_mode)


def main() -> None:
    """Entry point."""
    run_module(spec(), body, required_if=[("direction", "write", ["secrets"])])


if __name__ == "__main__":
    main()
