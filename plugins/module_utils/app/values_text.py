# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Values as text."""

from __future__ import annotations

from typing import Any


def as_text(value: Any) -> str:
    """A value as Kubernetes wants it in an environment: booleans in lower case, everything else as written."""
    return str(value).lower() if isinstance(value, bool) else str(value)
