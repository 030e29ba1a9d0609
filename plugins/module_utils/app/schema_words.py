# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a message about the schema says of a value, and what it must not say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.app.rules.model import HIDDEN

SHOWN_TYPES = {
    "object": "a mapping", "array": "a list", "string": "text", "integer": "a whole number", "number": "a number",
    "boolean": "true or false", "null": "nothing",
}  # fmt: skip
# Below these keys stands what may be a credential, also where its form is wrong.
_PRIVATE = {"secrets", "env", "config", "password", "auth", "values"}


def shown(error: Any) -> tuple[Any, str]:
    """(value for the finding, words about its type): a mapping or a list is never shown, it may hold anything."""
    value = error.instance
    if isinstance(value, Mapping):
        return None, ", not a mapping"
    if isinstance(value, (list, tuple)):
        return None, ", not a list"
    return (HIDDEN if private(error) else value), ""


def private(error: Any) -> bool:
    """Whether the value may be a credential. The name of a key is none: keys are shown."""
    return "propertyNames" not in error.absolute_schema_path and any(
        part in _PRIVATE or str(part).endswith("_env") for part in error.absolute_path
    )
