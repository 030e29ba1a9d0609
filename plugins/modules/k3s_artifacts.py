#!/usr/bin/python
# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Put k3s's binary and air-gap images in place after verifying them."""

from __future__ import annotations

DOCUMENTATION = r"""
module: k3s_artifacts
short_description: Put k3s's binary and air-gap images in place after verifying them
version_added: "0.1.0"
author: Holdfast maintainers (@holdfast)
description:
  - Fetches what is missing or has another digest, from a release's address or from a directory on the host.
  - Everything is fetched beside its place and verified first; a wrong digest, a short download or a binary that reports
    another version ends the task before anything is replaced.
  - Without a pin the release's own list of digests decides, and the result names the digests to pin.
options:
  version:
    description: Version, as in the release's name.
    type: str
    required: true
  url:
    description: Address below which C(<version>/<file>) lies.
    type: str
    default: https://github.com/k3s-io/k3s/releases/download
  directory:
    description: Directory on the host that holds the files; used instead of O(url).
    type: path
  arch:
    description: Architecture in the release's words.
    type: str
    choices: [amd64, arm64, arm]
    default: amd64
  binary_sha256:
    description: Pinned digest of the binary.
    type: str
    default: ""
  images_sha256:
    description: Pinned digest of the air-gap images.
    type: str
    default: ""
  images:
    description: Whether to install the air-gap images.
    type: bool
    default: true
  timeout:
    description: Seconds without a byte before a download counts as dead.
    type: float
    default: 60
attributes:
  check_mode:
    support: full
    description: Compares digests and fetches nothing but, without a pin, the release's list.
  diff_mode:
    support: none
    description: The artefacts are binary.
"""

EXAMPLES = r"""
- name: Install a pinned binary from a mirror
  holdfast.k3s.k3s_artifacts:
    version: v1.36.5+k3s1
    url: https://mirror.example/k3s
    binary_sha256: "{{ pinned_binary }}"
    images_sha256: "{{ pinned_images }}"
"""

RETURN = r"""
plan:
  description: What was to be installed, and why.
  returned: always
  type: list
  elements: dict
changed_paths:
  description: Files that were, or would be, replaced.
  returned: always
  type: list
  elements: str
unpinned:
  description: Artefacts without a pin and the digest that the release's own list gives for them.
  returned: always
  type: dict
verified:
  description: Whether the files in place were read again and have the wanted digests.
  returned: when not in check mode
  type: bool
"""

import json
import os
from pathlib import Path
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.core.clock import Clock
from ansible_collections.holdfast.k3s.plugins.module_utils.core.command import Commands
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError
from ansible_collections.holdfast.k3s.plugins.module_utils.core.module import run_module
from ansible_collections.holdfast.k3s.plugins.module_utils.core.plan import Action
from ansible_collections.holdfast.k3s.plugins.module_utils.core.runner import run
from ansible_collections.holdfast.k3s.plugins.module_utils.host import artifacts
from ansible_collections.holdfast.k3s.plugins.module_utils.host.failure import failed, raise_first

MARKER = Path("/var/lib/holdfast/k3s-artifacts.json")

SPEC: dict[str, Any] = {
    "version": {"type": "str", "required": True},
    "url": {"type": "str", "default": "https://github.com/k3s-io/k3s/releases/download"},
    "directory": {"type": "path"},
    "arch": {"type": "str", "choices": ["amd64", "arm64", "arm"], "default": "amd64"},
    "binary_sha256": {"type": "str", "default": ""},
    "images_sha256": {"type": "str", "default": ""},
    "images": {"type": "bool", "default": True},
    "timeout": {"type": "float", "default": 60},
}


def remembered(version: str) -> dict[str, str]:
    """Digests by name that were taken from the list of this version when it was installed."""
    try:
        found = json.loads(MARKER.read_text())
    except (OSError, ValueError):
        return {}
    return found.get("sha256", {}) if found.get("version") == version else {}


def remember(version: str, pins: dict[str, str]) -> None:
    """Keep what was installed, so that a later run needs no network to know that nothing changed."""
    MARKER.parent.mkdir(parents=True, exist_ok=True)
    temporary = MARKER.with_suffix(".part")
    temporary.write_text(json.dumps({"version": version, "sha256": pins}, sort_keys=True))
    temporary.replace(MARKER)


def resolve_pins(
    wanted: list[artifacts.Artifact], source: artifacts.Source, params: dict[str, Any]
) -> dict[str, str]:
    """The digest of each artefact: the pin, else what is remembered, else what the release's list says."""
    pins = {artifact.name: artifact.sha256 for artifact in wanted if artifact.sha256}
    missing = [artifact.name for artifact in wanted if not artifact.sha256]
    known = remembered(params["version"]) if missing else {}
    if any(name not in known for name in missing):
        known = artifacts.parse_sums(source.text(f"sha256sum-{params['arch']}.txt"))
    for name in missing:
        if name not in known:
            raise HoldfastError(
                f"the release's list of digests does not name {name}",
                field="version",
                value=params["version"],
                fix="set k3s_binary_sha256 and k3s_images_sha256",
            )
        pins[name] = known[name]
    return pins


def install(
    plan: list[Action], wanted: list[artifacts.Artifact], source: artifacts.Source, version: str
) -> None:
    """Fetch and verify everything on the plan, then put it in place."""
    modes = {artifact.dest: artifact.mode for artifact in wanted}
    staging = artifacts.Staging(source)
    try:
        for action in plan:
            temporary = staging.add(
                action.params["name"], action.params["sha256"], action.target, modes[action.target]
            )
            if action.target == artifacts.BINARY:
                found = artifacts.version_of(temporary, Commands())
                if found != version:
                    raise HoldfastError(
                        f"the binary reports version {found or 'nothing'}; nothing was replaced",
                        field="version",
                        value=version,
                        fix="name the version that the artefact has",
                    )
        staging.commit()
    finally:
        staging.discard()


def body(params: dict[str, Any], check_mode: bool, diff: bool) -> dict[str, Any]:
    """Compare digests, fetch and verify what differs, replace it, look again."""
    wanted = artifacts.wanted(
        params["arch"],
        binary_sha256=params["binary_sha256"],
        images_sha256=params["images_sha256"],
        images=params["images"],
    )
    source = artifacts.Source(
        url=params["url"],
        directory=params["directory"] or "",
        version=params["version"],
        timeout=params["timeout"],
    )
    pins = resolve_pins(wanted, source, params)
    planned: list[Action] = []

    def observe() -> dict[str, str]:
        return {artifact.dest: artifacts.digest(artifact.dest) for artifact in wanted}

    def plan(present: dict[str, str]) -> list[Action]:
        planned[:] = artifacts.plan(wanted, pins, present)
        return planned

    done: list[bool] = []

    def act(_action: Action, _context: Any) -> dict[str, Any]:
        if not done:  # all artefacts of a release belong together: the first action carries the whole plan
            install(planned, wanted, source, params["version"])
            remember(params["version"], pins)
            done.append(True)
        return {}

    def verify(_facts: Any, outcomes: Any) -> tuple[bool, dict[str, Any]]:
        if failed(outcomes):
            return False, {}
        runnable = os.access(artifacts.BINARY, os.X_OK)
        fresh = observe() if planned else {a.dest: pins[a.name] for a in wanted}
        return runnable and not artifacts.plan(wanted, pins, fresh), {}

    envelope = run(
        observe=observe,
        plan=plan,
        act=act,
        verify=verify,
        check_mode=check_mode,
        clock=Clock(),
        deadline_seconds=3600,
        stop_on_failure=True,
        budget=len(wanted),
    )
    raise_first(envelope)
    unpinned = {artifact.name: pins[artifact.name] for artifact in wanted if not artifact.sha256}
    return {
        **envelope.as_dict(),
        "changed_paths": [action.target for action in planned],
        "unpinned": unpinned,
    }


def main() -> None:
    """Entry point."""
    run_module(SPEC, body)


if __name__ == "__main__":
    main()
