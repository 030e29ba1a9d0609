#!/usr/bin/python
# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Run the registry with the configuration that is on disk and prove that it serves."""

from __future__ import annotations

DOCUMENTATION = r"""
module: registry_service
short_description: Run the registry with what is on disk and prove that it serves
version_added: "0.1.0"
author: Holdfast maintainers (@holdfast)
description:
  - Restarts the registry exactly when one of its files is newer than the running process.
  - The registry counts as healthy only when its catalogue answers and every blob of the images looked at can be read.
options:
  unit:
    description: Name of the unit.
    type: str
    default: docker-registry
  paths:
    description: Files whose change needs a restart.
    type: list
    elements: path
    default: []
  timers:
    description: Timers that belong to the registry.
    type: list
    elements: str
    default: []
  timers_enabled:
    description: Whether the timers run.
    type: bool
    default: true
  url:
    description: Address of the registry.
    type: str
    default: http://localhost:5000
  username:
    description: User for basic auth.
    type: str
  password:
    description: Password for basic auth.
    type: str
  ca_file:
    description: PEM file with the certificate authority of the registry.
    type: path
  timeout:
    description: Seconds until the catalogue must answer.
    type: float
    default: 60
  check_images:
    description: How many images to look at, blob by blob.
    type: int
    default: 20
  pending:
    description: In check mode, whether earlier tasks would change the unit or its files.
    type: bool
    default: false
  whole:
    description: Fail when an image that was looked at lacks a blob, instead of only naming it.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
    description: Says what would be done and why.
  diff_mode:
    support: none
    description: The plan says it.
"""

EXAMPLES = r"""
- name: The registry runs and serves
  holdfast.k3s.registry_service:
    paths: [/etc/docker/registry/config.yml]
"""

RETURN = r"""
plan:
  description: What was to be done, and why.
  returned: always
  type: list
  elements: dict
repositories:
  description: Names in the catalogue.
  returned: when not in check mode
  type: list
  elements: str
broken:
  description: Digests that an image names and the registry cannot serve, by image.
  returned: when not in check mode
  type: dict
verified:
  description: Whether the catalogue answers and no image that was looked at is broken.
  returned: when not in check mode
  type: bool
"""

from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.core.clock import Clock, Deadline
from ansible_collections.holdfast.k3s.plugins.module_utils.core.command import Commands
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError
from ansible_collections.holdfast.k3s.plugins.module_utils.core.module import run_module
from ansible_collections.holdfast.k3s.plugins.module_utils.core.runner import run
from ansible_collections.holdfast.k3s.plugins.module_utils.host.failure import failed, raise_first
from ansible_collections.holdfast.k3s.plugins.module_utils.host.readiness import last_error
from ansible_collections.holdfast.k3s.plugins.module_utils.registry import unit as units
from ansible_collections.holdfast.k3s.plugins.module_utils.registry.client import (
    RegistryClient,
    RegistryError,
)
from ansible_collections.holdfast.k3s.plugins.module_utils.registry.whole import missing_blobs

SPEC: dict[str, Any] = {
    "unit": {"type": "str", "default": "docker-registry"},
    "paths": {"type": "list", "elements": "path", "default": []},
    "timers": {"type": "list", "elements": "str", "default": []},
    "timers_enabled": {"type": "bool", "default": True},
    "url": {"type": "str", "default": "http://localhost:5000"},
    "username": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "ca_file": {"type": "path"},
    "timeout": {"type": "float", "default": 60},
    "check_images": {"type": "int", "default": 20},
    "pending": {"type": "bool", "default": False},
    "whole": {"type": "bool", "default": False},
}


def wait_for_catalog(client: RegistryClient, commands: Commands, unit: str, deadline: Deadline) -> list[str]:
    """Names in the catalogue, as soon as it answers."""
    while True:
        try:
            return sorted(client.catalog())
        except RegistryError as failure:
            if deadline.expired() or failure.status in (401, 403):
                argv = ["journalctl", "-u", unit, "-n", "50", "-o", "cat", "--no-pager"]
                reason = last_error(commands.run(argv, check=False).out.splitlines())
                raise HoldfastError(
                    f"the catalogue does not answer: {failure.msg}. Its journal: {reason}",
                    field="unit",
                    value=unit,
                    fix=f"read journalctl -u {unit} -n 50",
                ) from failure
            deadline.sleep(0.2)


def broken_images(client: RegistryClient, repositories: list[str], limit: int) -> dict[str, list[str]]:
    """Missing digests by image, for the first `limit` images."""
    found: dict[str, list[str]] = {}
    known: dict[str, bool] = {}
    images = ((repository, tag) for repository in repositories for tag in client.tags(repository))
    for _count, (repository, tag) in zip(range(limit), images):
        missing = missing_blobs(client, repository, tag, known)
        if missing:
            found[f"{repository}:{tag}"] = missing
    return found


def body(params: dict[str, Any], check_mode: bool, diff: bool) -> dict[str, Any]:
    """Observe unit and timers, plan, act, ask the registry itself."""
    commands, clock, unit = Commands(), Clock(), params["unit"]
    client = RegistryClient(
        params["url"],
        username=params["username"],
        password=params["password"],
        ca_file=params["ca_file"],
        timeout=10,
    )

    def observe() -> tuple[units.State, dict[str, units.State]]:
        return units.observe(commands, unit, params["paths"]), {
            timer: units.observe(commands, timer) for timer in params["timers"]
        }

    def verify(_facts: Any, outcomes: Any) -> tuple[bool, dict[str, Any]]:
        if failed(outcomes):
            return False, {}
        repositories = wait_for_catalog(client, commands, unit, Deadline(clock, params["timeout"]))
        broken = broken_images(client, repositories, params["check_images"])
        return not broken, {"repositories": repositories, "broken": broken}

    envelope = run(
        observe=observe,
        plan=lambda facts: units.plan(
            unit, facts[0], facts[1], params["timers_enabled"], params["pending"] and check_mode
        ),
        act=lambda action, _context: units.act(commands, action),
        verify=verify,
        check_mode=check_mode,
        clock=clock,
        deadline_seconds=params["timeout"] + 300,
        budget=None,
        stop_on_failure=True,
    )
    raise_first(envelope)
    broken = envelope.extra.get("broken")
    if broken and params["whole"]:
        images = "; ".join(f"{image} lacks {', '.join(digests)}" for image, digests in broken.items())
        error = HoldfastError(
            f"the registry answers, but cannot serve every image: {images}",
            field="url",
            value=params["url"],
            fix="push them again (registry_images, or playbook recover_image_pull), or delete their tags",
        )
        error.envelope = envelope
        raise error
    return envelope.as_dict()


def main() -> None:
    """Entry point."""
    run_module(SPEC, body)


if __name__ == "__main__":
    main()
