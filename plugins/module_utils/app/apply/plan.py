# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What will be done to a cluster: pure."""

from __future__ import annotations

from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.app.apply.compare import changed_fields, unchanged
from ansible_collections.holdfast.k3s.plugins.module_utils.app.apply.facts import Facts
from ansible_collections.holdfast.k3s.plugins.module_utils.app.apply.ownership import (
    KEPT_WITHOUT_CONSENT,
    why_not_ours,
)
from ansible_collections.holdfast.k3s.plugins.module_utils.app.apply.release import (
    Key,
    Release,
    desired,
    title,
)
from ansible_collections.holdfast.k3s.plugins.module_utils.core.plan import Action

NEVER_PRUNED = ("Namespace",)


def plan_apply(release: Release, facts: Facts, *, prune: bool, prune_data: bool) -> list[Action]:
    """One action per object that has to be applied, then one per object that is no longer part of the release."""
    actions = []
    for item in release.items:
        live = facts.objects.get(item.key)
        wanted = desired(release, item, live)
        if unchanged(wanted, live):
            continue
        params: dict[str, Any] = {"key": item.key}
        if live is None:
            actions.append(Action("create", title(item.key), "it is not there", params=params))
        else:
            fields = [] if item.manifest["kind"] == "Secret" else changed_fields(live, _merged(live, wanted))
            why = "; ".join(line.strip() for line in fields[:3]) or "it is not as the values say"
            actions.append(Action("update", title(item.key), why, params=params))
    actions += plan_prune(release, facts, prune=prune, prune_data=prune_data)
    return actions


def _merged(live: Any, wanted: Any) -> Any:
    """live with the wanted fields laid over it, for a reason that shows only what we change."""
    if isinstance(live, dict) and isinstance(wanted, dict):
        return {**live, **{key: _merged(live.get(key), value) for key, value in wanted.items()}}
    return wanted


def plan_prune(release: Release, facts: Facts, *, prune: bool, prune_data: bool) -> list[Action]:
    """Objects of an earlier run that the values no longer contain. Data stays unless it is given up explicitly."""
    actions = []
    wanted = {item.key for item in release.items}
    for key in sorted(set(facts.record) - wanted, key=lambda key: (key[1], key[3])):
        live = facts.objects.get(key)
        if live is None or live["metadata"].get("deletionTimestamp") or key[1] in NEVER_PRUNED:
            continue
        params: dict[str, Any] = {"key": key}
        foreign = why_not_ours(release, facts, key)
        if foreign:
            why = f"no longer part of the release, and {foreign}"
            actions.append(Action("keep", title(key), why, "none", params={**params, "forget": True}))
        elif not prune:
            actions.append(
                Action(
                    "keep", title(key), "no longer part of the release; prune is off", "none", params=params
                )
            )
        elif key[1] in KEPT_WITHOUT_CONSENT and not prune_data and not replaced(release, key):
            why = "no longer part of the release; it holds data, and prune_data is off"
            actions.append(Action("keep", title(key), why, "none", params=params))
        else:
            risk = "high" if key[1] in KEPT_WITHOUT_CONSENT else "medium"
            actions.append(Action("prune", title(key), "no longer part of the release", risk, params=params))
    return actions


def replaced(release: Release, key: Key) -> bool:
    """Whether the release makes the Secret itself that an ExternalSecret has filled so far; two would fight over it."""
    secret = ("", "Secret", key[2], key[3])
    return key[1] == "ExternalSecret" and any(item.key == secret for item in release.items)


def plan_absent(release: Release, facts: Facts, *, prune_data: bool) -> list[Action]:
    """Everything that the release remembers, the other way round; data and the namespace stay without consent."""
    order = {item.key: number for number, item in enumerate(release.items)}
    keys = {**facts.record, **{item.key: item.manifest["apiVersion"] for item in release.items}}
    actions = []
    for key in sorted(keys, key=lambda key: (-order.get(key, -1), key)):
        if key not in facts.objects or facts.objects[key]["metadata"].get("deletionTimestamp"):
            continue
        holds_data = key[1] in (*KEPT_WITHOUT_CONSENT, *NEVER_PRUNED)
        foreign = why_not_ours(release, facts, key)
        if foreign:
            actions.append(Action("keep", title(key), foreign, "none", params={"key": key}))
        elif holds_data and not prune_data:
            actions.append(
                Action(
                    "keep", title(key), "it holds data, and prune_data is off", "none", params={"key": key}
                )
            )
        else:
            risk = "high" if holds_data else "medium"
            actions.append(Action("delete", title(key), "state is absent", risk, params={"key": key}))
    return actions


def keys_after(release: Release, facts: Facts, actions: list[Action]) -> dict[Key, str]:
    """What the record holds once the plan is done: the release, and what was kept and is still ours."""
    keys = {item.key: item.manifest["apiVersion"] for item in release.items}
    for action in actions:
        if action.kind == "keep" and not action.params.get("forget"):
            keys[action.params["key"]] = facts.record.get(action.params["key"], "v1")
    return keys
