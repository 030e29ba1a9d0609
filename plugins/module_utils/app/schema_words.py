# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a message about the schema says of a value, and what it must not say."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.app.rules.model import HIDDEN

_SHOWN_TYPES = {
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


def choice(given: str, known: Sequence[str]) -> str:
    """The one that was meant, or all there are."""
    close = difflib.get_close_matches(given, known, 1, 0.6)
    return f"did you mean {close[0]}?" if close else f"one of: {', '.join(known)}"


def fix_type(error: Any, types: Sequence[str]) -> str:
    """What to do about a value of another type: quotes on or off, or the form with an example."""
    value = error.instance
    if value is None:
        return "give it a value, or remove the key"
    if "string" in types and isinstance(value, (bool, int, float)):
        return "put it in quotes" if private(error) else f'put it in quotes: "{_plain(value)}"'
    if isinstance(value, str) and _reads_as(value, types):
        return "take the quotes away" if private(error) else f"take the quotes away: {value.strip().lower()}"
    if "array" in types and isinstance(value, str):
        return "write a list, in brackets" if private(error) else f"write a list: [{value}]"
    return f"write {in_words(types)}{_such_as(error)}"


def in_words(types: Sequence[str]) -> str:
    """The types as people call them; that nothing is allowed too is no advice."""
    return " or ".join(_SHOWN_TYPES[name] for name in types if name != "null" or len(types) == 1)


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _reads_as(text: str, types: Sequence[str]) -> bool:
    """Whether the text is a value of one of the types in quotes."""
    try:
        value = json.loads(text.strip().lower())
    except ValueError:
        return False
    if isinstance(value, bool):
        return "boolean" in types
    return (isinstance(value, int) and "integer" in types) or (
        isinstance(value, (int, float)) and "number" in types
    )


def _such_as(error: Any) -> str:
    """An example of the schema, or the keys of a mapping; nothing where neither is known."""
    schema = error.schema if isinstance(error.schema, Mapping) else {}
    if schema.get("examples"):
        return f", such as {_yaml(schema['examples'][0])}"
    keys = [*schema.get("required", []), *schema.get("properties", {})]
    if keys:
        return f" with keys such as {', '.join(list(dict.fromkeys(keys))[:4])}"
    return ", such as {NAME: …}" if "additionalProperties" in schema else ""


def _yaml(value: Any) -> str:
    """A value as one line of YAML, without quotes that nobody needs."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_yaml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_yaml(item) for item in value) + "]"
    if isinstance(value, str):
        return (
            f'"{value}"' if _reads_as(value, ("integer", "number", "boolean")) or value[:1] in "*@" else value
        )
    return json.dumps(value)


def fix_pattern(error: Any) -> str:
    """An example of the right form, and what it is."""
    schema = error.schema if isinstance(error.schema, Mapping) else {}
    if error.validator_value == "^/":
        return "begin it with a slash"
    if schema.get("examples"):
        return f"write it like {_yaml(schema['examples'][0])}"
    return schema.get("description") or "rewrite it"


def fix_range(kind: str, wanted: Any) -> str:
    """The other side of the limit."""
    words = {
        "minimum": f"write at least {wanted}",
        "maximum": f"write at most {wanted}",
        "exclusiveMinimum": f"write more than {wanted}",
        "minItems": f"give it at least {wanted}",
        "minLength": f"write at least {wanted} characters",
        "maxLength": f"write at most {wanted} characters",
    }
    return words[kind]


def fix_form(error: Any) -> str:
    """The description of the forms, which names them all."""
    if error.instance is None:
        return "give it a value, or remove the key"
    schema = error.schema if isinstance(error.schema, Mapping) else {}
    if schema.get("examples"):
        return f"write it like {' or '.join(_yaml(example) for example in schema['examples'])}"
    text = str(schema.get("description", ""))
    return f"write {text[0].lower()}{text[1:]}" if text else "see docs/values.md"
