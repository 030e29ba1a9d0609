# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The timeline as lines for a terminal and a tired person."""

from __future__ import annotations

from ansible_collections.holdfast.k3s.plugins.module_utils.report.timeline import Timeline

SIGNS = {"ok": " ", "acted": "*", "waiting": "?", "bad": "!"}


def lines(timeline: Timeline) -> list[str]:
    """A headline, a line a phase with its details below, and the verdict."""
    width = max((len(entry.phase) for entry in timeline.entries), default=0)
    shown = [f"{timeline.title} on {timeline.host}, {timeline.started}"]
    for entry in timeline.entries:
        shown.append(
            f"{SIGNS[entry.state]} +{entry.at:6.1f} s {entry.seconds:6.1f} s  {entry.phase:<{width}}  {entry.what}"
        )
        shown += [f"{'':22}{'':{width}}- {detail}" for detail in entry.details]
    shown.append(f"verdict: {timeline.verdict} after {timeline.seconds:.0f} s")
    shown += [f"  because: {reason}" for reason in timeline.reasons]
    shown += [f"evidence: {path}" for path in timeline.evidence]
    return shown
