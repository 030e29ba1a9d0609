# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Time as an argument, so that waiting can be tested without waiting."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from typing import Optional

from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import DeadlineExceeded


class Clock:
    """The machine's clocks."""

    def monotonic(self) -> float:
        """Seconds that never jump; only differences mean something."""
        return time.monotonic()

    def now(self) -> datetime:
        """The wall clock, aware, in UTC."""
        return datetime.now(timezone.utc)

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        if seconds > 0:
            time.sleep(seconds)


class FakeClock(Clock):
    """A clock that moves only when told to: sleep() advances it at once."""

    def __init__(self, start: Optional[datetime] = None) -> None:
        self._start = start or datetime(2026, 1, 1, tzinfo=timezone.utc)
        self._passed = 0.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self._passed

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._passed)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Let so many seconds pass."""
        self._passed += max(0.0, seconds)


class Deadline:
    """A point in monotonic time. clock: whose time. seconds: from now."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self.clock, self.seconds = clock, float(seconds)
        self._began = clock.monotonic()

    def elapsed(self) -> float:
        """Seconds since the deadline was set."""
        return self.clock.monotonic() - self._began

    def remaining(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self.seconds - self.elapsed())

    def expired(self) -> bool:
        """Whether the time is over."""
        return self.remaining() <= 0.0

    def check(self, what: str) -> None:
        """Raise DeadlineExceeded, naming `what`, when the time is over."""
        if self.expired():
            raise DeadlineExceeded(
                f"the deadline of {self.seconds:g} s passed before this was done: {what}",
                fix="run again (finished work is kept) or allow more time with 'deadline'",
            )

    def sleep(self, seconds: float) -> None:
        """Sleep so long, but not past the deadline."""
        self.clock.sleep(min(seconds, self.remaining()))
