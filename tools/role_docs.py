"""Write each role's README.md from its meta/argument_specs.yml.   python tools/role_docs.py [--check]

With --check nothing is written; exit status 1 when a README is out of date.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]


def prose(text: str | list[str]) -> str:
    """A description as one line of Markdown; Ansible's C(x), V(x), O(x), M(x) become code spans."""
    joined = " ".join(" ".join(text).split() if isinstance(text, list) else text.split())
    return re.sub(r"\b[CVOMI]\(([^)]*)\)", r"`\1`", joined)


def row(name: str, option: dict[str, Any], depth: int = 0) -> list[str]:
    """The table rows of an option and, indented, of its suboptions."""
    default = "required" if option.get("required") else json.dumps(option.get("default"), ensure_ascii=False)
    choices = (
        f" One of {', '.join(f'`{choice}`' for choice in option['choices'])}." if "choices" in option else ""
    )
    text = prose(option.get("description", "")) + choices
    cells = ["&nbsp;" * 4 * depth + f"`{name}`", option.get("type", "str"), f"`{default}`", text]
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"]
    for child, suboption in (option.get("options") or {}).items():
        lines += row(child, suboption, depth + 1)
    return lines


def readme(role: Path) -> str:
    """The README of a role."""
    spec = yaml.safe_load((role / "meta/argument_specs.yml").read_text())["argument_specs"]["main"]
    description = spec.get("description", [])
    paragraphs = description if isinstance(description, list) else [description]
    lines = [f"# Role `holdfast.k3s.{role.name}`", "", spec["short_description"].rstrip(".") + ".", ""]
    for paragraph in paragraphs:
        lines += [prose(paragraph), ""]
    lines += ["```yaml", "- hosts: k3s_hosts", "  roles:", f"    - role: holdfast.k3s.{role.name}", "```", ""]
    lines += ["| input | type | default | meaning |", "| --- | --- | --- | --- |"]
    for name, option in spec["options"].items():
        lines += row(name, option)
    return "\n".join([*lines, "", "Generated from `meta/argument_specs.yml` by `tools/role_docs.py`.", ""])


def main() -> int:
    stale = []
    for spec in sorted(ROOT.glob("roles/*/meta/argument_specs.yml")):
        role = spec.parent.parent
        target, text = role / "README.md", readme(role)
        if not target.exists() or target.read_text() != text:
            stale.append(str(target.relative_to(ROOT)))
            if "--check" not in sys.argv:
                target.write_text(text)
    if stale:
        print(
            ("out of date, run tools/role_docs.py: " if "--check" in sys.argv else "written: ")
            + ", ".join(stale)
        )
    return 1 if stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
