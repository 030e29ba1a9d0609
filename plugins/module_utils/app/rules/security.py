# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who a container runs as, and what the namespace lets in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.app.build.security import LEVELS
from ansible_collections.holdfast.k3s.plugins.module_utils.app.rules.model import Finding
from ansible_collections.holdfast.k3s.plugins.module_utils.app.rules.references import owners


def root_containers(app: Mapping[str, Any]) -> Iterator[Finding]:
    """Root inside a container is an exception that someone answers for."""
    for path, owner in owners(app):
        if owner["security"].get("run_as_root") or owner["security"].get("privileged"):
            yield Finding(
                "security.root",
                f"{path}.security",
                "The container runs as root.",
                "use an image that does not need it, or add a waiver with reason and owner",
                "privileged" if owner["security"].get("privileged") else "run_as_root",
                source="SS-28",
            )


def user_zero(app: Mapping[str, Any]) -> Iterator[Finding]:
    """User 0 is root, and a pod that says it is not root does not start as user 0."""
    for path, owner in owners(app):
        if owner["security"].get("run_as_user") == 0 and not owner["security"].get("run_as_root"):
            yield Finding(
                "security.user_zero",
                f"{path}.security.run_as_user",
                "User 0 is root, and pods may not run as root: this one would not start.",
                "give another user id, or run_as_root: true with a waiver for security.root",
                0,
            )


def pod_security(app: Mapping[str, Any]) -> Iterator[Finding]:
    """A level that the inventory sets for the namespace admits every pod of the release."""
    level = app["security"].get("pod_security")
    if not level:
        return
    for path, owner in owners(app):
        needed, why = _level(owner)
        if LEVELS.index(needed) > LEVELS.index(level):
            yield Finding(
                "security.pod_security",
                "security.pod_security",
                f"The namespace would not admit the pods of {path}: {why}.",
                f"set {needed}, or leave it out",
                level,
            )


def _level(owner: Mapping[str, Any]) -> tuple[str, str]:
    """(strictest level that admits its pods, why no stricter one does)."""
    if owner["security"].get("privileged"):
        return "privileged", "they are privileged"
    if any(volume.get("kind") == "host_path" for volume in (owner.get("volumes") or {}).values()):
        return "privileged", "they mount a directory of the node"
    if owner["security"].get("run_as_root"):
        return "baseline", "they run as root"
    return "restricted", ""


RULES = (root_containers, user_zero, pod_security)
