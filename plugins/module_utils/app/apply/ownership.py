# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which objects are this release's: by what they carry, not by their name alone. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Optional

from ansible_collections.holdfast.k3s.plugins.module_utils.app.apply.facts import Facts
from ansible_collections.holdfast.k3s.plugins.module_utils.app.apply.release import Key, Obj, Release, title
from ansible_collections.holdfast.k3s.plugins.module_utils.app.names import (
    HASH_ANNOTATION,
    MANAGED_BY,
    MANAGER,
    PART_OF,
)
from ansible_collections.holdfast.k3s.plugins.module_utils.app.rules.model import Finding

Marks = tuple[Optional[str], Optional[str]]
# Several releases may ask for the same one, so it carries no release's name.
SHARED = ("Namespace", "ClusterIssuer")
# They stay when their release goes, unless data is given up too; an ExternalSecret owns the Secret that it fills.
KEPT_WITHOUT_CONSENT = ("PersistentVolumeClaim", "Secret", "PersistentVolume", "ExternalSecret")


def marks(obj: Obj) -> Marks:
    """(manager, release) as the object's labels say."""
    labels = obj["metadata"].get("labels") or {}
    return labels.get(MANAGED_BY), labels.get(PART_OF)


def why_not_ours(release: Release, facts: Facts, key: Key) -> str:
    """Why a live object must not be deleted by this release; empty when it is ours alone."""
    manager, part_of = marks(facts.objects[key])
    # The values may set other labels than the usual ones; what this release renders is what it made.
    own = {(MANAGER, release.name), *(marks(item.manifest) for item in release.items)}
    if key[1] in SHARED:
        if manager != MANAGER:
            return "it was not made by this collection"
    elif (manager, part_of) not in own and not _applied_by_us(facts, key):
        return f"it belongs to {part_of}" if manager and part_of else "it was not made by this release"
    user = _neighbour(facts, key[3], own) if key[1] == "Namespace" else facts.elsewhere.get(key)
    if user:
        return (
            f"objects of release {user} live in it" if key[1] == "Namespace" else f"release {user} has it too"
        )
    return ""


def _applied_by_us(facts: Facts, key: Key) -> bool:
    """Whether we applied it and nobody else did: an object of the inventory's own may carry the labels of another tool."""
    obj = facts.objects[key]
    alone = key in facts.record and key not in facts.elsewhere
    released = marks(obj)[1] in facts.elsewhere.values()
    return alone and not released and HASH_ANNOTATION in (obj["metadata"].get("annotations") or {})


def _neighbour(facts: Facts, namespace: str, own: set[Marks]) -> Optional[str]:
    """Another release that has objects in the namespace, by its record, or by what was seen where that is lost."""
    found = {name for key, name in facts.elsewhere.items() if key[2] == namespace}
    for key, obj in facts.objects.items():
        manager, part_of = marks(obj)
        if key[2] == namespace and manager == MANAGER and part_of and (manager, part_of) not in own:
            found.add(part_of)
    return min(found, default=None)


def findings(release: Release, facts: Facts) -> Iterator[Finding]:
    """One finding per other release whose objects this one would take over."""
    taken: dict[str, list[str]] = {}
    for item in release.items:
        live = facts.objects.get(item.key)
        # What we remember and nobody else does only carries a label that the values have changed since.
        ours = item.key in facts.record and item.key not in facts.elsewhere
        if live is None or ours or item.key[1] in SHARED:
            continue
        if item.key[1] in KEPT_WITHOUT_CONSENT and item.key not in facts.elsewhere:
            continue  # what a release left behind when it was taken away
        manager, part_of = marks(live)
        if manager == MANAGER and part_of and part_of not in (release.name, marks(item.manifest)[1]):
            taken.setdefault(part_of, []).append(title(item.key))
    for other, names in taken.items():
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        yield Finding(
            "cluster.foreign_owner",
            "(cluster)",
            f"{names[0]}{more} belongs to release {other}; both would write it, and each would undo the other.",
            f"give it another name or this release another namespace, or take {other} away first (state: absent keeps its data)",
            other,
        )
