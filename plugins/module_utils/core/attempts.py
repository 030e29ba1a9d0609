# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A journal of recovery attempts on the host, so that no timer and no event rule can loop for ever."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Optional

from ansible_collections.holdfast.k3s.plugins.module_utils.core.clock import Clock

PATH = "/var/lib/holdfast/attempts.jsonl"
KEEP_LINES = 1000


class Attempts:
    """Lines {"at": RFC 3339, "what": …, "outcome": …} in one file (0600), guarded by a lock."""

    def __init__(self, path: str = PATH, clock: Optional[Clock] = None) -> None:
        self.path, self.clock = Path(path), clock or Clock()

    def allowed(self, what: str, cooldown_s: float, max_per_hour: int) -> tuple[bool, str]:
        """Whether `what` may be tried now, and why not. An entry from the future (a clock that was wrong) does not count."""
        now = self.clock.now()
        times = [at for at, entry in self._entries() if entry.get("what") == what and at <= now]
        if not times:
            return True, ""
        since = (now - max(times)).total_seconds()
        if since < cooldown_s:
            return False, f"{what} was tried {since:.0f} s ago; the cooldown is {cooldown_s:g} s"
        lately = sum(1 for at in times if now - at < timedelta(hours=1))
        if lately >= max_per_hour:
            return False, f"{what} was tried {lately} times in the last hour; the limit is {max_per_hour}"
        return True, ""

    def record(self, what: str, outcome: str, **detail: Any) -> None:
        """Add a line and flush it to disk; old lines beyond a thousand are dropped."""
        entry = {"at": self.clock.now().isoformat(), "what": what, "outcome": outcome, **detail}
        with self._locked():
            lines = self.path.read_text(errors="replace").splitlines() if self.path.exists() else []
            lines = [*lines, json.dumps(entry, default=str)][-KEEP_LINES:]
            temporary = self.path.with_name(f".{self.path.name}.tmp")
            handle = os.open(str(temporary), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(handle, "w") as stream:
                stream.write("\n".join(lines) + "\n")
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(self.path)

    def history(self, what: Optional[str] = None) -> list[dict[str, Any]]:
        """The entries, oldest first; damaged lines are left out."""
        return [entry for _at, entry in self._entries() if what is None or entry.get("what") == what]

    def _entries(self) -> list[tuple[datetime, dict[str, Any]]]:
        found: list[tuple[datetime, dict[str, Any]]] = []
        if not self.path.exists():
            return found
        for line in self.path.read_text(errors="replace").splitlines():
            with contextlib.suppress(ValueError, KeyError, TypeError):
                entry = json.loads(line)
                found.append((datetime.fromisoformat(entry["at"]), entry))
        return found

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self.path.with_name(f".{self.path.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
