# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a tired person reads, and a page that needs nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.core.clock import FakeClock
from ansible_collections.holdfast.k3s.plugins.module_utils.report.write import report

REAP = {
    "changed": True,
    "timing": {"at": "2026-01-01T00:00:10+00:00", "seconds": 20.0},
    "plan": [
        {"kind": "delete_pod", "target": f"n/p{n}", "why": "failed: <b>", "risk": "low"} for n in range(20)
    ],
    "actions": [
        {"kind": "delete_pod", "target": f"n/p{n}", "outcome": "done", "seconds": 0.1, "error": None}
        for n in range(20)
    ],
    "verified": True,
    "evidence": "/var/lib/holdfast/incidents/x",
    "left": [{"namespace": "n", "name": "db-0", "class": "terminating", "why": "refused: lives"}],
}
HEALTH = {
    "timing": {"at": "2026-01-01T00:00:00+00:00", "seconds": 5.0},
    "healthy": False,
    "verdict": "degraded",
    "waited": 4.0,
    "findings": [{"severity": "degraded", "text": "n/p0: PASSWORD=canary", "fix": "wait"}],
}
FAILED = {
    "failed": True,
    "msg": "nobody answers",
    "timing": {"at": "2026-01-01T00:00:40+00:00", "seconds": 1},
}


def params(tmp_path: Path, **given: Any) -> dict[str, Any]:
    return {
        "title": "recover",
        "host": "songnodes",
        "verdict": "healthy",
        "reasons": [],
        "keep": True,
        "evidence_dir": str(tmp_path),
        "steps": [
            {"phase": "look", "result": HEALTH},
            {"phase": "pods", "result": REAP},
            {"phase": "registry", "result": FAILED},
            {"phase": "reboot", "result": {"skipped": True}},
        ],
        **given,
    }


def test_the_lines_tell_when_what_and_why(tmp_path: Path) -> None:
    result = report(params(tmp_path), False, FakeClock())
    text = "\n".join(result["lines"])
    assert "recover on songnodes, 2026-01-01T00:00:00+00:00" in text
    assert "! +   0.0 s    5.0 s  look      degraded after 4 s" in text
    assert "* +  10.0 s   20.0 s  pods      20 x delete_pod: 20 done; verified" in text
    assert "delete_pod n/p0 [risk low]: failed: <b> — done in 0.1 s" in text and "more, see the JSON" in text
    assert "failed: nobody answers" in text and "verdict: healthy after 41 s" in text
    assert "evidence: /var/lib/holdfast/incidents/x" in text and "canary" not in text


def test_the_page_is_alone_and_escaped(tmp_path: Path) -> None:
    result = report(params(tmp_path), False, FakeClock())
    page = Path(result["html"]).read_text()
    assert not re.search(r"(src|href)=|url\(|@import|<script", page)
    assert "<b>" not in page and "&lt;b&gt;" in page and "canary" not in page
    assert page.count('class="bar"') == 4
    data = json.loads(Path(result["json"]).read_text())
    assert data["verdict"] == "healthy" and len(data["entries"]) == 4 and data["seconds"] == 41
    assert "canary" not in Path(result["json"]).read_text()


def test_a_preview_shows_the_plan_and_writes_nothing(tmp_path: Path) -> None:
    preview = {key: value for key, value in REAP.items() if key not in ("actions", "verified", "evidence")}
    result = report(params(tmp_path, steps=[{"phase": "pods", "result": preview}]), True)
    assert "would do 20 x delete_pod" in result["lines"][1]
    assert result["html"] is None and list(tmp_path.iterdir()) == []
    assert report(params(tmp_path, keep=False), False)["json"] is None
    assert report(params(tmp_path, steps=[], keep=False), False)["lines"][-1] == "verdict: healthy after 0 s"
