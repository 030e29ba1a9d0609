# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Image references and pull policies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.app import images
from ansible_collections.holdfast.k3s.plugins.module_utils.app.rules.model import Finding
from ansible_collections.holdfast.k3s.plugins.module_utils.app.rules.references import owners


def moving_tag_policy(app: Mapping[str, Any]) -> Iterator[Finding]:
    """A moving tag with another policy than Always runs whatever was pulled once."""
    for path, owner in owners(app):
        if images.is_moving(owner["image"], app["image"]) and owner["pull_policy"] != "Always":
            yield Finding(
                "image.moving_pull_policy",
                f"{path}.pull_policy",
                f"{owner['image']} can change, and with this policy the node never looks again.",
                "set pull_policy: Always, or a tag that names one version",
                owner["pull_policy"],
                source="CF-01",
            )


def tag_policy(app: Mapping[str, Any]) -> Iterator[Finding]:
    """image.tag_policy immutable or versioned."""
    policy = app["image"]["tag_policy"]
    fits = {"immutable": images.is_immutable, "versioned": images.is_versioned}.get(policy)
    for path, owner in owners(app):
        if fits and not fits(owner["image"]):
            wanted = (
                "a commit id or a digest" if policy == "immutable" else "a version, a commit id or a digest"
            )
            yield Finding(
                "image.tag_policy",
                f"{path}.image",
                f"image.tag_policy is {policy}: the tag has to be {wanted}.",
                "set image.tag (or the service's image) to the build that you want",
                owner["image"],
                source="WC-40",
            )


def always_from_local_registry(app: Mapping[str, Any]) -> Iterator[Finding]:
    """Always makes every restart depend on the registry, also the restarts after a reboot."""
    for path, owner in owners(app):
        if owner["pull_policy"] == "Always" and owner["image"].startswith(("localhost:", "127.0.0.1:")):
            yield Finding(
                "image.always_local_registry",
                f"{path}.pull_policy",
                f"{owner['image']}: a restart needs the local registry even when the image is on the node.",
                "use a tag that names one version",
                "Always",
                severity="warning",
                source="CF-02",
            )


def latest(app: Mapping[str, Any]) -> Iterator[Finding]:
    """No tag at all is latest."""
    for path, owner in owners(app):
        if "@" not in owner["image"] and images.tag_of(owner["image"]) in ("", "latest"):
            yield Finding(
                "image.latest",
                f"{path}.image",
                "Nobody can say which version runs, and nothing can be rolled back to.",
                "give a tag here or in image.tag",
                owner["image"],
                severity="warning",
                source="SN-69",
            )


RULES = (moving_tag_policy, tag_policy, always_from_local_registry, latest)
