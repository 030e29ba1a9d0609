# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Keep a timeline beside the evidence: JSON for machines, one page for people."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Optional

from ansible_collections.holdfast.k3s.plugins.module_utils.core.clock import Clock
from ansible_collections.holdfast.k3s.plugins.module_utils.core.evidence import Bundle
from ansible_collections.holdfast.k3s.plugins.module_utils.core.redact import redact_text
from ansible_collections.holdfast.k3s.plugins.module_utils.report import page, text, timeline


def report(params: dict[str, Any], check_mode: bool, clock: Optional[Clock] = None) -> dict[str, Any]:
    """Run timeline_report. A report is a record of what others did, so it never counts as a change."""
    made = timeline.build(
        params["title"], params["host"], params["steps"], params["verdict"], params["reasons"]
    )
    result: dict[str, Any] = {
        "changed": False,
        "lines": [redact_text(line) for line in text.lines(made)],
        "seconds": round(made.seconds, 1),
        "json": None,
        "html": None,
    }
    if check_mode or not params["keep"]:
        return result
    bundle = Bundle.open(f"report-{params['title']}", params["evidence_dir"], clock)
    bundle.add_json("timeline.json", {**asdict(made), "seconds": made.seconds, "steps": params["steps"]})
    bundle.add_text("timeline.html", page.html(made))
    bundle.add_text("timeline.txt", "\n".join(text.lines(made)) + "\n")
    path = bundle.seal()
    return {**result, "json": f"{path}/timeline.json", "html": f"{path}/timeline.html"}
