"""Reboots that a recovery asked for, written down before they happen: a host must not reboot for ever by itself."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.core.attempts import Attempts
from ansible_collections.holdfast.k3s.plugins.module_utils.core.clock import Clock
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import Refused
from ansible_collections.holdfast.k3s.plugins.module_utils.node.paths import Paths

WHAT = "reboot"
# What one reboot did not heal, another will not heal minutes later.
PAUSE = timedelta(hours=6)


def journal(paths: Paths, clock: Clock) -> Attempts:
    """The host's journal of attempts."""
    return Attempts(f"{paths.state_dir}/attempts.jsonl", clock=clock)


def lately(entries: list[dict[str, Any]], now: datetime) -> bool:
    """Whether one of these reboots is near `now`; before or after it, for the clock may have been set meanwhile."""
    return any(abs(now - datetime.fromisoformat(one["at"])) < PAUSE for one in entries)


def may_reboot(paths: Paths, clock: Clock) -> bool:
    """Whether the host may reboot itself again; not when nobody can tell."""
    try:
        return not lately(journal(paths, clock).history(WHAT), clock.now())
    except OSError:
        return False


def record(paths: Paths, clock: Clock) -> None:
    """Write a reboot down; Refused when that is not possible."""
    try:
        journal(paths, clock).record(WHAT, "asked for")
    except OSError as error:
        raise Refused(
            f"a reboot that cannot be written down could repeat for ever: {error.strerror}",
            field="state_dir", value=paths.state_dir, fix="systemctl reboot, by a person",
        ) from error  # fmt: skip
