# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From an operator's values to a checked, rendered release. What the action plugin and the filter both call."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.app import schema
from ansible_collections.holdfast.k3s.plugins.module_utils.app.render import Rendered, render
from ansible_collections.holdfast.k3s.plugins.module_utils.app.rules.evaluate import evaluate
from ansible_collections.holdfast.k3s.plugins.module_utils.app.rules.model import Finding, blocking, waive
from ansible_collections.holdfast.k3s.plugins.module_utils.app.rules.rendered import rendered_twice
from ansible_collections.holdfast.k3s.plugins.module_utils.app.values import merged, prepare
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError


class BadValues(HoldfastError):
    """The values break the contract; `findings` holds every reason, not only the first."""

    def __init__(self, findings: list[Finding]) -> None:
        self.findings = findings
        lines = [f"  {number}. {finding.text()}" for number, finding in enumerate(findings, start=1)]
        super().__init__(f"app_values: {len(findings)} problem(s), nothing was applied:\n" + "\n".join(lines))


@lru_cache(maxsize=1)
def load_schema() -> dict[str, Any]:
    """The schema of this collection."""
    path = Path(__file__).resolve().parents[3] / "schemas" / "app.schema.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def check(
    values: Mapping[str, Any], overlays: Iterable[Mapping[str, Any]] = ()
) -> tuple[dict[str, Any], list[Finding]]:
    """(normalized application, every finding). The application is empty when the values do not fit the schema."""
    overlays = list(overlays)
    if not isinstance(values, Mapping):
        return {}, [Finding("schema.type", "app_values", "It has to be a mapping.", "see docs/values.md")]
    raw = merged(values, overlays)
    findings = schema.check(raw, load_schema())
    if findings:
        return {}, findings
    app = prepare(values, overlays)
    findings = evaluate(app)
    if not blocking(findings):
        findings = [*waive(rendered_twice(render(app)), app["waivers"]), *findings]
    return app, findings


def build(
    values: Mapping[str, Any], overlays: Iterable[Mapping[str, Any]] = ()
) -> tuple[dict[str, Any], Rendered, list[Finding]]:
    """(application, rendered release, findings that do not stop it). Raises BadValues with everything that does."""
    app, findings = check(values, overlays)
    stopping = blocking(findings)
    if stopping:
        raise BadValues(stopping)
    return app, render(app), findings
