# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a run means to do, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Optional

RISKS = ("none", "low", "medium", "high")
OUTCOMES = ("done", "skipped", "failed", "refused")


@dataclass(frozen=True)
class Action:
    """One step of a plan.

    kind: a stable verb such as delete_pod. target: what it touches. why: the reason, for a person.
    risk: none (changes nothing: a note or a wait) | low | medium | high.
    destructive: evidence is written before it may run. params: what act() needs, never a secret.
    """

    kind: str
    target: str
    why: str
    risk: str = "low"
    destructive: bool = False
    params: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.risk not in RISKS:
            raise ValueError(f"risk {self.risk!r} is not one of {', '.join(RISKS)}")

    @property
    def changes(self) -> bool:
        """Whether running it changes anything."""
        return self.risk != "none"

    def as_dict(self) -> dict[str, Any]:
        """The form that a result shows; params stay inside."""
        return {
            "kind": self.kind,
            "target": self.target,
            "why": self.why,
            "risk": self.risk,
            "destructive": self.destructive,
        }


@dataclass
class Outcome:
    """What came of an action. outcome: done | skipped | failed | refused. seconds: how long it took."""

    action: Action
    outcome: str = "done"
    seconds: float = 0.0
    error: Optional[str] = None
    detail: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The form that a result shows."""
        shown: dict[str, Any] = {
            "kind": self.action.kind,
            "target": self.action.target,
            "outcome": self.outcome,
            "seconds": round(self.seconds, 3),
            "error": self.error,
        }
        if self.detail:
            shown["detail"] = self.detail
        return shown
