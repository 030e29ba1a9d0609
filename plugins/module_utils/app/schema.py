# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Checking values against the JSON Schema, with messages for people. Needs the jsonschema library (controller)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.app.rules.model import Finding
from ansible_collections.holdfast.k3s.plugins.module_utils.app.schema_words import (
    choice,
    fix_form,
    fix_pattern,
    fix_range,
    fix_type,
    in_words,
    shown,
)


def check(values: Any, schema: Mapping[str, Any]) -> list[Finding]:
    """Every place where the values are not what the schema says; empty when they are fine."""
    try:
        from jsonschema import Draft202012Validator
    except ImportError:
        return [
            Finding(
                "schema.library",
                "(controller)",
                "The Python library jsonschema (4.0 or newer) is missing on the controller.",
                "pip install jsonschema, for the Python that runs Ansible",
            )
        ]
    validator = Draft202012Validator(schema)
    found: dict[tuple[str, str], Finding] = {}
    for error in sorted(
        validator.iter_errors(values), key=lambda error: [str(part) for part in error.absolute_path]
    ):
        for finding in _explain(error):
            found.setdefault((finding.path, finding.message), finding)
    return list(found.values())


def _explain(error: Any) -> Iterator[Finding]:
    """The findings behind one error; of alternatives, the one that fits best is explained."""
    if error.validator in ("anyOf", "oneOf") and error.context:
        branches: dict[int, list[Any]] = {}
        for inner in error.context:
            branches.setdefault(inner.schema_path[0], []).append(inner)
        typed = {
            number: inner
            for number, inner in branches.items()
            if not any(e.validator in ("type", "const", "enum") and len(e.path) == 0 for e in inner)
        }
        if typed:
            best = min(typed.values(), key=len)
            for inner in best:
                yield from _explain(inner)
            return
    yield from _findings(error)


def _findings(error: Any) -> Iterator[Finding]:
    """One per key that is unknown or missing, else one."""
    path, value = _path(error.absolute_path), error.instance
    if error.validator == "additionalProperties":
        known = sorted(error.schema.get("properties", {}))
        for key in [str(key) for key in value if key not in known]:
            message = "There is no such key here."
            yield Finding("schema.unknown_key", _join(path, key), message, choice(key, known))
    elif error.validator == "required":
        # The library reports each missing key on its own, and always with the whole list.
        for key in [key for key in error.validator_value if key not in value]:
            yield Finding("schema.required", _join(path, key), "It is required.", f"add {key}")
    else:
        yield _finding(error)


def _finding(error: Any) -> Finding:
    path, kind, wanted = _path(error.absolute_path), error.validator, error.validator_value
    value, like = shown(error)
    if kind == "type":
        types = wanted if isinstance(wanted, list) else [wanted]
        words = in_words(types)
        return Finding("schema.type", path, f"It has to be {words}{like}.", fix_type(error, types), value)
    if kind == "enum":
        fix = choice(str(error.instance), [str(entry) for entry in wanted])
        return Finding("schema.choice", path, f"It is not one of the choices{like}.", fix, value)
    if kind in ("minimum", "maximum", "exclusiveMinimum", "minItems", "minLength", "maxLength"):
        message = f"It is outside of what is allowed ({kind} {wanted})."
        return Finding("schema.range", path, message, fix_range(kind, wanted), value)
    if kind == "pattern":
        message = f"It does not have the right form ({wanted})."
        return Finding("schema.format", path, message, fix_pattern(error), value)
    message = f"It does not have one of the possible forms{like.replace(', not', ', and is')}."
    return Finding("schema.form", path, message, fix_form(error), value)


def _path(parts: Any) -> str:
    text = ""
    for part in parts:
        text = f"{text}[{part}]" if isinstance(part, int) else _join(text, str(part))
    return text or "(values)"


def _join(path: str, key: str) -> str:
    return key if path in ("", "(values)") else f"{path}.{key}"
