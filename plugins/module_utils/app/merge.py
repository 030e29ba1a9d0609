# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Laying values over values."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any


def deep_merge(base: Any, overlay: Any) -> Any:
    """Lay overlay over base: mappings merge key by key, everything else replaces, null removes the key.

    Neither input is changed, and a null of the base stays: there it is a value that somebody forgot, not a removal.
    """
    if not isinstance(base, Mapping) or not isinstance(overlay, Mapping):
        return without_nulls(overlay)
    merged = {key: copy.deepcopy(value) for key, value in base.items()}
    for key, value in overlay.items():
        if value is None:
            merged.pop(key, None)
        elif key in merged:
            merged[key] = deep_merge(merged[key], value)
        else:
            merged[key] = without_nulls(value)
    return merged


def without_nulls(value: Any) -> Any:
    """A copy in which no mapping holds a null: an overlay's null means 'not there'."""
    if isinstance(value, Mapping):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return copy.deepcopy(value)


def _apart(value: Any) -> Any:
    """A copy in which nothing stands twice: what a YAML anchor shared would be written as an anchor again."""
    if isinstance(value, Mapping):
        return {key: _apart(item) for key, item in value.items()}
    return copy.deepcopy(value)


def merge_all(values: Mapping[str, Any], overlays: Iterable[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """values with every overlay laid over it, in order."""
    merged: dict[str, Any] = _apart(values)
    for overlay in overlays:
        merged = deep_merge(merged, overlay or {})
    return merged
