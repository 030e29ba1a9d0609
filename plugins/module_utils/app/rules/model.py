# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a rule says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Callable, Optional

SEVERITIES = ("error", "warning", "info")
HIDDEN = "(not shown)"


@dataclass(frozen=True)
class Finding:
    """One finding.

    rule: id of the rule. source: requirement or conflict that it comes from. path, value: what it is about.
    waiver: who accepted it and why; a waived finding stops nothing and stays visible.
    """

    rule: str
    path: str
    message: str
    fix: str
    value: Any = None
    severity: str = "error"
    source: str = ""
    waiver: Optional[Mapping[str, str]] = None

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for a module's result."""
        found = {
            name: getattr(self, name) for name in ("rule", "severity", "path", "message", "fix", "source")
        }
        found["value"] = None if self.value is None else str(self.value)
        if self.waiver:
            found["waiver"] = dict(self.waiver)
        return found

    def text(self) -> str:
        """One line for a person."""
        shown = "" if self.value is None else f" = {_short(self.value)}"
        return f"{self.path}{shown}: {self.message} Fix: {self.fix} [{self.rule}]"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


Rule = Callable[[Mapping[str, Any]], Iterator[Finding]]


def waive(findings: Iterable[Finding], waivers: Iterable[Mapping[str, str]]) -> list[Finding]:
    """The findings, those with a fitting waiver marked. A waiver without target fits everywhere."""
    known = list(waivers)
    result = []
    for finding in findings:
        fitting = [
            waiver
            for waiver in known
            if waiver["rule"] == finding.rule
            and (not waiver.get("target") or f"{finding.path}.".startswith(f"{waiver['target']}."))
        ]
        result.append(replace(finding, waiver=fitting[0]) if fitting else finding)
    return result


def blocking(findings: Iterable[Finding]) -> list[Finding]:
    """The findings that stop a run."""
    return [finding for finding in findings if finding.severity == "error" and not finding.waiver]
