# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Kubernetes' quantities of bytes."""

from __future__ import annotations

from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError

_UNITS = {
    "": 1,
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "P": 10**15,
    "E": 10**18,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
    "Pi": 2**50,
    "Ei": 2**60,
}


def to_bytes(text: str) -> float:
    """Bytes of "10Gi" and the like. Raises HoldfastError when it is not a quantity."""
    number = text.rstrip("kKMGTPEi")
    unit = text[len(number) :]
    try:
        return float(number) * _UNITS[unit]
    except (ValueError, KeyError):
        raise HoldfastError("is not a quantity", field="size", value=text, fix="write it like 10Gi") from None
