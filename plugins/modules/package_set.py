#!/usr/bin/python
# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Install distribution packages, on a bare host and in check mode too."""

from __future__ import annotations

DOCUMENTATION = r"""
module: package_set
short_description: Install distribution packages, on a bare host and in check mode too
version_added: "0.1.0"
author: Holdfast maintainers (@holdfast)
description:
  - Installs what is missing of a set of packages through apt-get or dnf.
  - Needs no Python binding on the host, so that check mode works before anything was installed.
options:
  debian:
    description: Packages for Debian and Ubuntu.
    type: list
    elements: str
    default: []
  rhel:
    description: Packages for the RHEL family.
    type: list
    elements: str
    default: []
  timeout:
    description: Seconds for each run of the package manager.
    type: float
    default: 600
attributes:
  check_mode:
    support: full
    description: Says which packages are missing.
  diff_mode:
    support: none
    description: The plan says it.
"""

EXAMPLES = r"""
- name: The Kubernetes library for Python
  holdfast.k3s.package_set:
    debian: [python3-kubernetes]
    rhel: [python3-kubernetes]
"""

RETURN = r"""
family:
  description: V(debian) or V(rhel).
  returned: always
  type: str
plan:
  description: Packages that were missing.
  returned: always
  type: list
  elements: dict
verified:
  description: Whether all packages were seen installed at the end.
  returned: when not in check mode
  type: bool
"""

from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.core.clock import Clock
from ansible_collections.holdfast.k3s.plugins.module_utils.core.command import Commands
from ansible_collections.holdfast.k3s.plugins.module_utils.core.module import run_module
from ansible_collections.holdfast.k3s.plugins.module_utils.core.plan import Action
from ansible_collections.holdfast.k3s.plugins.module_utils.core.runner import run
from ansible_collections.holdfast.k3s.plugins.module_utils.host.failure import failed, raise_first
from ansible_collections.holdfast.k3s.plugins.module_utils.host.packages import Packages

SPEC: dict[str, Any] = {
    "debian": {"type": "list", "elements": "str", "default": []},
    "rhel": {"type": "list", "elements": "str", "default": []},
    "timeout": {"type": "float", "default": 600},
}


def body(params: dict[str, Any], check_mode: bool, diff: bool) -> dict[str, Any]:
    """Ask what is missing, install it, ask again."""
    packages = Packages(Commands())
    names = params[packages.family]

    def act(action: Action, _context: Any) -> dict[str, Any]:
        packages.install(action.params["names"], params["timeout"])
        return {}

    def plan(missing: list[str]) -> list[Action]:
        if not missing:
            return []
        return [Action("install", " ".join(missing), "not installed", params={"names": missing})]

    def verify(_facts: Any, outcomes: Any) -> tuple[bool, dict[str, Any]]:
        return not failed(outcomes) and not packages.missing(names), {}

    envelope = run(
        observe=lambda: packages.missing(names) if names else [],
        plan=plan,
        act=act,
        verify=verify,
        check_mode=check_mode,
        clock=Clock(),
        deadline_seconds=3 * params["timeout"],
        budget=None,
        stop_on_failure=True,
    )
    raise_first(envelope)
    return {**envelope.as_dict(), "family": packages.family}


def main() -> None:
    """Entry point."""
    run_module(SPEC, body)


if __name__ == "__main__":
    main()
