"""Keep what a fault on a lab host came to; tools/fault_table.py makes docs/faults.md of it."""

from __future__ import annotations

import json
import re
from typing import Any

from as_operator import ROOT

RESULTS = ROOT / "build" / "faults"


def done(result: dict[str, Any]) -> list[str]:
    """Kinds of the actions that were carried out."""
    return [one["kind"] for one in result.get("actions") or [] if one["outcome"] == "done"]


def as_one(timeline: dict[str, Any]) -> dict[str, Any]:
    """A playbook's timeline in the form of one module's result. What nothing was planned for is named with the verdict."""
    healthy = timeline["verdict"] == "healthy"
    planned = [
        entry["at"] + step["result"]["timing"]["detect"]
        for entry, step in zip(timeline["entries"], timeline["steps"], strict=True)
        if step["result"].get("plan")
    ]
    return {
        "actions": [one for step in timeline["steps"] for one in step["result"].get("actions") or []],
        "verified": healthy,
        "timing": {
            "seconds": timeline["seconds"],
            "detect": min(planned, default=None if healthy else timeline["seconds"]),
        },
    }


def score(fault: str, result: dict[str, Any], cause: str, why: str = "") -> None:
    """A line of the table. why: what is told to the person to whom it is left; empty when it was healed."""
    timing = result["timing"]
    detect = timing.get("detect", timing["seconds"])
    line = {
        "fault": fault,
        "cause": cause,
        "actions": list(dict.fromkeys(done(result))),
        "healed": bool(result.get("verified")) and not why,
        "why": why,
        "detect": None if detect is None else round(detect, 2),
        "total": round(timing["seconds"], 1),
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^a-z0-9]+", "-", fault.lower()).strip("-")
    (RESULTS / f"{name}.json").write_text(json.dumps(line) + "\n")
