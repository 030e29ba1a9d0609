# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Pieces of argument specs that several modules share; the doc fragments of the same names mirror them."""

from __future__ import annotations

from typing import Any

CLUSTER: dict[str, dict[str, Any]] = {
    "kubeconfig": {"type": "path", "default": "/etc/rancher/k3s/k3s.yaml"},
    "context": {"type": "str"},
    "api_timeout": {"type": "int", "default": 30},
}
TIMING: dict[str, dict[str, Any]] = {
    "deadline": {"type": "int", "default": 300},
    "budget": {"type": "int"},
}
EVIDENCE: dict[str, dict[str, Any]] = {
    "evidence_dir": {"type": "path", "default": "/var/lib/holdfast/incidents"},
    "evidence_required": {"type": "bool", "default": True},
}
