"""Every role's argument spec and its defaults are one contract: same names, same defaults, documented."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
ROLES = sorted(path.parent.parent for path in ROOT.glob("roles/*/meta/argument_specs.yml"))
MISSING = object()


def options(role: Path) -> dict[str, dict[str, Any]]:
    """The options of the role's `main` entry point."""
    return yaml.safe_load((role / "meta/argument_specs.yml").read_text())["argument_specs"]["main"]["options"]


def defaults(role: Path) -> dict[str, Any]:
    """The role's public defaults; names that start with two underscores are the role's own."""
    loaded = yaml.safe_load((role / "defaults/main.yml").read_text()) or {}
    return {name: value for name, value in loaded.items() if not name.startswith("__")}


def test_every_role_has_a_spec() -> None:
    assert ROLES, "no role found below roles/"
    assert [path.name for path in sorted(ROOT.glob("roles/*")) if path not in ROLES] == []


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_spec_and_defaults_name_the_same_inputs(role: Path) -> None:
    assert set(defaults(role)) <= set(options(role)), "defaults without a line in argument_specs.yml"
    without_default = {n for n, o in options(role).items() if "default" in o} - set(defaults(role))
    assert not without_default, "the spec gives a default that defaults/main.yml does not set"


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_spec_repeats_each_literal_default(role: Path) -> None:
    for name, value in defaults(role).items():
        if isinstance(value, str) and "{{" in value:
            continue  # computed on the host; the spec describes it in words
        assert options(role)[name].get("default", MISSING) == value, f"{role.name}: {name}"


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_every_input_carries_the_role_as_prefix_and_says_what_it_is(role: Path) -> None:
    for name, option in options(role).items():
        assert name.startswith(f"{role.name}_"), name
        assert option.get("description"), f"{name} has no description"
        assert option.get("type"), f"{name} has no type"
