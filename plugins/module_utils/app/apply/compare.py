# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Is what we want already there, and what would change: on plain dicts, without asking the server."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Mapping
from typing import Any, Optional

from ansible_collections.holdfast.k3s.plugins.module_utils.app import quantity
from ansible_collections.holdfast.k3s.plugins.module_utils.app.names import HASH_ANNOTATION

Obj = dict[str, Any]
_MERGE_KEYS = ("name", "containerPort", "port", "mountPath", "ip", "topologyKey", "type", "key")
_SERVER_FIELDS = ("managedFields", "resourceVersion", "uid", "generation", "creationTimestamp", "selfLink")


def holds(wanted: Any, live: Any) -> bool:
    """Whether everything that is wanted stands in the live value; what the server added is not our business."""
    if isinstance(wanted, Mapping):
        if not isinstance(live, Mapping):
            return not wanted and live is None
        return all(holds(value, live.get(key)) for key, value in wanted.items())
    if isinstance(wanted, list):
        return _list_holds(wanted, live)
    if wanted == live and isinstance(wanted, bool) == isinstance(live, bool):
        return True
    return _same_quantity(wanted, live)


def _list_holds(wanted: list[Any], live: Any) -> bool:
    """Lists of named things are compared by name, others element by element. Empty and absent are the same."""
    if not wanted:
        return not live
    if not isinstance(live, list) or len(live) < len(wanted):
        return False
    merge_key = next((k for k in _MERGE_KEYS if all(isinstance(e, Mapping) and k in e for e in wanted)), None)
    names = [entry[merge_key] for entry in wanted] if merge_key else []
    if not merge_key or len(set(map(str, names))) != len(names):
        return len(live) == len(wanted) and all(holds(a, b) for a, b in zip(wanted, live))
    by_name = {entry.get(merge_key): entry for entry in live if isinstance(entry, Mapping)}
    return len(live) == len(wanted) and all(holds(entry, by_name.get(entry[merge_key])) for entry in wanted)


def _same_quantity(wanted: Any, live: Any) -> bool:
    """`1000m` and `1` are one amount; a number and its text too. Only for values that can be quantities."""
    if isinstance(wanted, bool) or isinstance(live, bool) or wanted is None or live is None:
        return False
    if not isinstance(wanted, (str, int, float)) or not isinstance(live, (str, int, float)):
        return False
    left, right = quantity.parse(wanted), quantity.parse(live)
    return left is not None and left == right


def unchanged(wanted: Obj, live: Optional[Obj]) -> bool:
    """Whether applying would change nothing: applied in this form before, and nothing of it altered since."""
    if live is None or live["metadata"].get("deletionTimestamp"):
        return False
    seen = (live["metadata"].get("annotations") or {}).get(HASH_ANNOTATION)
    return seen == wanted["metadata"]["annotations"][HASH_ANNOTATION] and holds(wanted, live)


def shown(obj: Optional[Obj]) -> str:
    """An object as text for a diff: without what the server keeps for itself, without any secret value."""
    import yaml  # late: only who shows a diff needs it

    if obj is None:
        return ""
    copied = copy.deepcopy(obj)
    copied.pop("status", None)
    for name in _SERVER_FIELDS:
        copied["metadata"].pop(name, None)
    notes = copied["metadata"].get("annotations") or {}
    notes.pop(HASH_ANNOTATION, None)
    if not notes:
        copied["metadata"].pop("annotations", None)
    if copied.get("kind") == "Secret":
        for field in ("data", "stringData"):
            if field in copied:
                copied[field] = dict.fromkeys(sorted(copied[field]), "(not shown)")
    text: str = yaml.safe_dump(copied, sort_keys=True, default_flow_style=False)
    return text


def changed_fields(before: Optional[Obj], after: Optional[Obj], limit: int = 12) -> list[str]:
    """The changed lines of an object, as a short list for a result."""
    lines = difflib.unified_diff(shown(before).splitlines(), shown(after).splitlines(), lineterm="", n=0)
    kept = [line for line in lines if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    return kept[:limit]
