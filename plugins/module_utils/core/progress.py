# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Say how far long work is: JSON lines that a controller or a person can follow."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any, Optional

from ansible_collections.holdfast.k3s.plugins.module_utils.core.clock import Clock

DIRECTORY = "/run/holdfast/progress"


class Progress:
    """path: file to append to (made with its directory), or None to say nothing. Never fails the work it reports on."""

    def __init__(self, path: Optional[str] = None, clock: Optional[Clock] = None) -> None:
        self.path, self.clock = (Path(path) if path else None), clock or Clock()

    def report(
        self, phase: str, done: Optional[float] = None, total: Optional[float] = None, **kv: Any
    ) -> None:
        """One line: at, phase, done, total, percent when both are known, and further keys."""
        if self.path is None:
            return
        line: dict[str, Any] = {
            "at": self.clock.now().isoformat(),
            "phase": phase,
            "done": done,
            "total": total,
            **kv,
        }
        if done is not None and total:
            line["percent"] = round(100.0 * done / total, 1)
        with contextlib.suppress(OSError):
            self.path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            handle = os.open(str(self.path), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            with os.fdopen(handle, "w") as stream:
                stream.write(json.dumps(line, default=str) + "\n")
