# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Setting a host up is all or nothing: the first failed action ends the task with its own message."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError
from ansible_collections.holdfast.k3s.plugins.module_utils.core.plan import Outcome


def failed(outcomes: Iterable[Outcome]) -> list[str]:
    """Messages of the actions that did not succeed."""
    return [
        outcome.error or f"{outcome.action.kind} {outcome.action.target} {outcome.outcome}"
        for outcome in outcomes
        if outcome.outcome in ("failed", "refused")
    ]


def raise_first(envelope: Any) -> None:
    """Raise the first failure of a run, with the partial result."""
    messages = failed(envelope.actions)
    if messages:
        error = HoldfastError(messages[0])
        error.envelope = envelope
        raise error
