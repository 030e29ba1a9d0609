# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Off hours: what sleeps, and when, as plain data for the timer on the host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def settings(app: Mapping[str, Any]) -> dict[str, Any]:
    """name, namespace, deployments, down, up, time_zone; empty when off hours are off.

    Data services stay up: they are asked at night too (backups), and a sleeping database saves little.
    """
    given = app.get("off_hours") or {}
    if not given.get("enabled"):
        return {}
    return {
        "name": app["name"],
        "namespace": app["namespace"],
        "deployments": [name for name in app["services"] if name not in given.get("exclude", [])],
        "down": given["down"],
        "up": given["up"],
        "time_zone": given.get("time_zone", "Etc/UTC"),
    }
