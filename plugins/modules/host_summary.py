#!/usr/bin/python
# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Say in a dozen lines what a k3s host is and does."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_summary
short_description: Say in a dozen lines what a k3s host is and does
version_added: "0.1.0"
author: Holdfast maintainers (@holdfast)
description:
  - Asks the API of this host, its registry and one of its applications, and returns lines for a person.
  - Changes nothing. What does not answer is a line, not a failure.
options:
  namespace:
    description: Namespace of the application; all but k3s's own when empty.
    type: str
    default: ""
  registry_url:
    description: Address of the registry; empty when there is none.
    type: str
    default: http://localhost:5000
  registry_username:
    description: User for the registry, where it asks for one.
    type: str
  registry_password:
    description: Password of that user.
    type: str
  registry_ca_file:
    description: PEM file with the authority that signed the registry's certificate.
    type: path
  probe_service:
    description: Service in O(namespace) that is asked for its row count.
    type: str
    default: ""
  probe_path:
    description: Path of the question; the answer is JSON with a number under V(rows).
    type: str
    default: /count
  backups:
    description: Newest backups as M(holdfast.k3s.pg_backup) returns them.
    type: list
    elements: dict
    default: []
  skipped_controls:
    description: Hardening controls that were skipped, with the reason.
    type: list
    elements: dict
    default: []
  warnings:
    description: What does not stop anything but should be known, one sentence each.
    type: list
    elements: str
    default: []
  port:
    description: Port of the API server.
    type: int
    default: 6443
attributes:
  check_mode:
    support: full
    description: Changes nothing.
  diff_mode:
    support: none
    description: Changes nothing.
"""

EXAMPLES = r"""
- name: What is here
  holdfast.k3s.host_summary:
    namespace: music
    probe_service: rest-api
  register: summary
"""

RETURN = r"""
lines:
  description: The summary.
  returned: always
  type: list
  elements: str
rows:
  description: The row count that the application gave, V(-1) without one.
  returned: always
  type: int
"""

import json
import urllib.error
import urllib.request
from typing import Any, Optional

from ansible_collections.holdfast.k3s.plugins.module_utils.core.module import run_module
from ansible_collections.holdfast.k3s.plugins.module_utils.host import summary
from ansible_collections.holdfast.k3s.plugins.module_utils.host.api import NodeApi, NotAnswering
from ansible_collections.holdfast.k3s.plugins.module_utils.registry.client import (
    RegistryClient,
    RegistryError,
)

SPEC: dict[str, Any] = {
    "namespace": {"type": "str", "default": ""},
    "registry_url": {"type": "str", "default": "http://localhost:5000"},
    "registry_username": {"type": "str"},
    "registry_password": {"type": "str", "no_log": True},
    "registry_ca_file": {"type": "path"},
    "probe_service": {"type": "str", "default": ""},
    "probe_path": {"type": "str", "default": "/count"},
    "backups": {"type": "list", "elements": "dict", "default": []},
    "skipped_controls": {"type": "list", "elements": "dict", "default": []},
    "warnings": {"type": "list", "elements": "str", "default": []},
    "port": {"type": "int", "default": 6443},
}


def repositories(params: dict[str, Any]) -> Optional[list[str]]:
    """Names in the catalogue, None when the registry does not answer."""
    try:
        client = RegistryClient(
            params["registry_url"],
            username=params["registry_username"],
            password=params["registry_password"],
            ca_file=params["registry_ca_file"],
            timeout=10,
        )
        return sorted(client.catalog())
    except (RegistryError, OSError):
        return None


def ask(api: NodeApi, nodes: list[dict[str, Any]], params: dict[str, Any]) -> tuple[str, int]:
    """The line about the application's answer, and its number of rows (-1 without one)."""
    namespace, service = params["namespace"], params["probe_service"]
    found = api.get(f"/api/v1/namespaces/{namespace}/services/{service}")
    if not found:
        return f"application: there is no service {service} in {namespace}", -1
    url = summary.service_url(found, nodes) + params["probe_path"]
    try:
        with urllib.request.build_opener().open(url, timeout=20) as answer:
            rows = int(json.loads(answer.read().decode("utf-8")).get("rows", -1))
    except (OSError, urllib.error.URLError, ValueError, AttributeError) as failure:
        return f"application: {url} DOES NOT ANSWER: {failure}", -1
    return f"application: {url} answers, {rows} rows", rows


def body(params: dict[str, Any], check_mode: bool, diff: bool) -> dict[str, Any]:
    """Ask everything once and put it into words."""
    lines, rows = [], -1
    namespace = params["namespace"]
    api = NodeApi(port=params["port"])
    try:
        nodes = api.items("/api/v1/nodes")
        lines.append(summary.node_line(nodes))
        lines += summary.pod_lines(api.items("/api/v1/pods"))
        claims = f"/api/v1/namespaces/{namespace}/persistentvolumeclaims" if namespace else None
        lines.append(summary.claim_line(api.items(claims or "/api/v1/persistentvolumeclaims")))
        if params["probe_service"]:
            line, rows = ask(api, nodes, params)
            lines.append(line)
    except NotAnswering as failure:
        lines.append(f"API: DOES NOT ANSWER: {failure}")
    if params["registry_url"]:
        lines.append(summary.registry_line(params["registry_url"], repositories(params)))
    lines.append(summary.backup_line(params["backups"]))
    lines += [
        f"not hardened here: {skip['control']}: {skip['reason']}" for skip in params["skipped_controls"]
    ]
    lines += [f"warning: {text}" for text in params["warnings"]]
    lines += summary.next_lines(namespace, params["backups"])
    return {"changed": False, "lines": lines, "rows": rows}


def main() -> None:
    """Entry point."""
    run_module(SPEC, body)


if __name__ == "__main__":
    main()
