"""The values page is what the schema says, and its examples work."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from inventory import ROOT, SYSTEMS
from jsonschema import Draft202012Validator

from ansible_collections.holdfast.k3s.plugins.module_utils.app import release


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("values_docs", ROOT / "tools/values_docs.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


EXAMPLES = load().EXAMPLES


@pytest.mark.parametrize("title", EXAMPLES)
def test_example_renders(title: str) -> None:
    rendered = release.build(yaml.safe_load(EXAMPLES[title]))[1]
    assert any(manifest["kind"] == "Deployment" for manifest in rendered.manifests)


def test_page_is_up_to_date() -> None:
    tool = [sys.executable, str(ROOT / "tools/values_docs.py"), "--check"]
    assert subprocess.run(tool, check=False, capture_output=True, text=True).returncode == 0, (
        "run tools/values_docs.py"
    )


def test_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(release.load_schema())


def code_of(path: Path) -> str:
    """A file without its documentation blocks: examples may call a namespace what they like."""
    return re.sub(r'r?""".*?"""', "", path.read_text(), flags=re.DOTALL).lower()


@pytest.mark.req("BR-01")
def test_no_system_is_named_in_code() -> None:
    suffixes = (".py", ".yml", ".j2")
    code = [p for place in ("plugins", "roles") for p in (ROOT / place).rglob("*") if p.suffix in suffixes]
    assert len(code) > 50
    named = [system for system in SYSTEMS if system != "starter"]  # that one is a word as well
    assert [str(p.relative_to(ROOT)) for p in code if any(system in code_of(p) for system in named)] == []


@pytest.mark.parametrize("system", SYSTEMS)
def test_inventory_has_a_modeline(system: str) -> None:
    lines = Path(ROOT / f"inventories/{system}/group_vars/all/app.yml").read_text().splitlines()
    assert lines[1] == "# yaml-language-server: $schema=../../../../schemas/app_vars.schema.json"
