"""Where the lab keeps things: sources in the checkout, state in ``.lab``, slow builds in the user's cache."""

from __future__ import annotations

import os
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
SOURCES = CHECKOUT / "lab"
# Hosts of one name, side by side: containers and state of a second family carry a word of its own.
WORD = os.environ.get("HOLDFAST_LAB_PREFIX", "")
_FOLDER = Path(".lab", "families", WORD) if WORD else Path(".lab")
STATE = CHECKOUT / _FOLDER
HOSTS = STATE / "hosts"
INVENTORY = STATE / "inventory"
KEY = STATE / "id_ed25519"
MIRROR = STATE / "mirror"


def cache_root() -> Path:
    """Return the directory of slow builds, shared by all checkouts of this user."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "holdfast"


def host_state(name: str, checkout: Path = CHECKOUT) -> Path:
    """Return the state directory of the host ``name`` (its record, lock and volumes), in this or another checkout."""
    return checkout / _FOLDER / "hosts" / name
