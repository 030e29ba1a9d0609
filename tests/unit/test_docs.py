"""What the documents tell people to type must exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PLAYBOOKS = {path.stem for path in (ROOT / "playbooks").glob("*.yml")}
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_playbooks_exist(document: Path) -> None:
    named = set(re.findall(r"ansible-playbook[^\n`]*holdfast\.k3s\.([a-z_0-9]+)", document.read_text()))
    assert named <= PLAYBOOKS, f"no such playbook: {sorted(named - PLAYBOOKS)}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_make_targets_exist(document: Path) -> None:
    named = set(
        re.findall(
            r"\bmake ([a-z][a-z-]*)",
            "\n".join(re.findall(r"`[^`\n]+`|^make .*$", document.read_text(), re.M)),
        )
    )
    assert named <= TARGETS, f"no such target: {sorted(named - TARGETS)}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for link in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
        assert (document.parent / link).exists(), f"{document.name}: {link}"
