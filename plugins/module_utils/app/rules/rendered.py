# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What only the rendered objects show."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.holdfast.k3s.plugins.module_utils.app.render import Rendered
from ansible_collections.holdfast.k3s.plugins.module_utils.app.rules.model import Finding


def rendered_twice(rendered: Rendered) -> Iterator[Finding]:
    """One object that two parts of the values ask for: the last one applied would win, and both would use it."""
    seen: dict[tuple[str, str, str, str], str] = {}
    for step in rendered.steps:
        manifest, meta = step.manifest, step.manifest["metadata"]
        group = manifest["apiVersion"].rpartition("/")[0]
        key = (group, manifest["kind"], meta.get("namespace", ""), meta["name"])
        if key in seen:
            yield Finding(
                "objects.twice",
                step.place,
                f"{manifest['kind']} {meta['name']} comes from {seen[key]} already, so both would be one.",
                _fix(manifest["kind"], step.place),
                meta["name"],
            )
        seen.setdefault(key, step.place)


def _fix(kind: str, place: str) -> str:
    if kind == "PersistentVolumeClaim" and place.startswith("data_services."):
        return f"set {place}.storage.name to a name of its own, or storage.claim to another claim where that is set"
    if kind == "PersistentVolumeClaim":
        return "give one of the claims another name"
    return "rename one of the two"
