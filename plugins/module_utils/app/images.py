# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Image references: how a short name becomes a full one, and when it has to be pulled again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_COMMIT = re.compile(r"^[0-9a-f]{7,40}$")
_VERSION = re.compile(r"^v?[0-9]+(\.[0-9]+)*([-+._].+)?$")


def tag_of(reference: str) -> str:
    """The tag of a reference; empty when it has none. A digest is not a tag."""
    last = reference.split("@", 1)[0].rsplit("/", 1)[-1]
    return last.split(":", 1)[1] if ":" in last else ""


def resolve(image: str, policy: Mapping[str, Any]) -> str:
    """The full reference of an image.

    A name without a slash is below `policy.registry` (when there is one); one without tag or digest gets `policy.tag`.
    `policy.channel_tag` replaces the tag of every image whose tag is one of `policy.moving_tags`.
    """
    registry = str(policy.get("registry") or "").rstrip("/")
    full = f"{registry}/{image}" if registry and "/" not in image else image
    if "@" in full:
        return full
    tag = tag_of(full)
    if not tag and policy.get("tag"):
        tag = str(policy["tag"])
        full = f"{full}:{tag}"
    if policy.get("channel_tag") and tag in policy.get("moving_tags", []):
        return f"{full[: -len(tag)]}{policy['channel_tag']}"
    return full


def is_moving(reference: str, policy: Mapping[str, Any]) -> bool:
    """Whether what the reference names may change: `latest`, no tag at all, or a declared channel."""
    if "@" in reference:
        return False
    tag = tag_of(reference)
    return tag in ("", "latest") or tag in policy.get("moving_tags", [])


def is_immutable(reference: str) -> bool:
    """Whether the reference names one build for ever: a digest or a commit id."""
    return "@sha256:" in reference or bool(_COMMIT.match(tag_of(reference)))


def is_versioned(reference: str) -> bool:
    """Whether the tag looks like a release: digits first, or a commit id, or a digest."""
    return is_immutable(reference) or bool(_VERSION.match(tag_of(reference)))


def pull_policy(reference: str, policy: Mapping[str, Any]) -> str:
    """`Always` for what may move, `IfNotPresent` for what cannot; an explicit `policy.pull_policy` wins."""
    explicit = policy.get("pull_policy")
    if explicit:
        return str(explicit)
    return "Always" if is_moving(reference, policy) else "IfNotPresent"
