"""Fill the mirror: k3s, images, Debian packages."""

from __future__ import annotations

from collections.abc import Sequence

from lab.hostimage import host_image


def build(what: Sequence[str]) -> None:
    """Build the named parts (``host``, ``k3s``, ``images``, ``apt`` or ``all``) as far as they are not cached."""
    host_image()
