# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The one shape of every result."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Optional

from ansible_collections.holdfast.k3s.plugins.module_utils.core.plan import Action, Outcome


@dataclass
class Envelope:
    """changed, plan, actions, verified (None when nothing looked), evidence (path), diff, timing, extra (further keys).

    timing: seconds until the plan stood (detect) and in all (seconds).
    """

    changed: bool = False
    plan: list[Action] = field(default_factory=list)
    actions: list[Outcome] = field(default_factory=list)
    verified: Optional[bool] = None
    evidence: Optional[str] = None
    diff: Optional[dict[str, Any]] = None
    timing: dict[str, float] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """A plain dict for exit_json; the envelope's own keys win over extra."""
        shown: dict[str, Any] = dict(self.extra)
        shown.update(
            changed=self.changed,
            plan=[action.as_dict() for action in self.plan],
            actions=[outcome.as_dict() for outcome in self.actions],
            verified=self.verified,
            evidence=self.evidence,
            timing=self.timing,
        )
        if self.diff is not None:
            shown["diff"] = self.diff
        return shown
