# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Kubernetes quantities as numbers."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Optional

_QUANTITY = re.compile(r"^([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(m|k|Ki|M|Mi|G|Gi|T|Ti|P|Pi|E|Ei)?$")
_FACTOR: dict[Optional[str], Decimal] = {
    "m": Decimal("0.001"),
    None: Decimal(1),
    **{unit: Decimal(1000) ** power for power, unit in enumerate("kMGTPE", start=1)},
    **{f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGTPE", start=1)},
}


def parse(value: Any) -> Optional[Decimal]:
    """The quantity in its base unit (cores, bytes, pieces); None when it is not a quantity."""
    match = _QUANTITY.match(str(value).strip())
    return Decimal(match.group(1)) * _FACTOR[match.group(2)] if match else None


def human_bytes(value: Decimal) -> str:
    """Bytes as the largest binary unit that keeps at least one whole, one decimal place."""
    for unit in ("Gi", "Mi", "Ki"):
        factor = _FACTOR[unit]
        if value >= factor:
            return f"{(value / factor).quantize(Decimal('0.1')).normalize():f}{unit}"
    return f"{value.normalize():f}"
