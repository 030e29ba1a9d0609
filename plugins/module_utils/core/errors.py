# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The errors that an operator reads: one sentence naming the field, its value and the fix."""

from __future__ import annotations

from typing import Any, Optional


class HoldfastError(Exception):
    """Something that a person must know or decide.

    msg: one clear sentence. field, value: what it is about. fix: what to do about it.
    envelope: the partial result when a run was under way (set by the runner), else None.
    """

    def __init__(
        self, msg: str, *, field: Optional[str] = None, value: Any = None, fix: Optional[str] = None
    ) -> None:
        super().__init__(msg)
        self.msg, self.field, self.value, self.fix = msg, field, value, fix
        self.envelope: Any = None

    def __str__(self) -> str:
        about = "" if self.field is None else f"{self.field}: "
        if self.field is not None and self.value is not None:
            about = f"{self.field} = {self.value!r}: "
        return f"{about}{self.msg}" + (f". Fix: {self.fix}" if self.fix else "")


class Refused(HoldfastError):
    """A safe refusal: acting would have broken a precondition or an owner's guarantee."""


class EvidenceError(HoldfastError):
    """The evidence bundle could not be written, so nothing destructive may start."""


class DeadlineExceeded(HoldfastError):
    """The time that the caller allowed is over."""


class PreconditionFailed(HoldfastError):
    """What was about to be changed is no longer what was observed."""


class CommandError(HoldfastError):
    """A command failed or was killed; result holds what it printed (core.command.Result)."""

    def __init__(self, msg: str, *, result: Any = None, fix: Optional[str] = None) -> None:
        super().__init__(msg, fix=fix)
        self.result = result


class ConnectionEnded(CommandError):
    """The connection to a command ended before the command did: nobody knows what became of it."""
