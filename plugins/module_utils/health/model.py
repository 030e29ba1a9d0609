# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Findings about a host's health, the thresholds that they depend on, and the verdict that they add up to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Optional

AREAS = (
    "k3s",
    "api",
    "node",
    "pods",
    "storage",
    "disk",
    "memory",
    "certificates",
    "clock",
    "datastore",
    "database",
    "registry",
    "backup",
    "jobs",
    "gitops",
    "limits",
    "reboot",
)
# note: worth knowing, changes no verdict. degraded: works, but not as it should. down: does not work.
SEVERITIES = ("note", "degraded", "down")

SPEC: dict[str, dict[str, Any]] = {
    "areas": {"type": "list", "elements": "str", "choices": list(AREAS), "default": list(AREAS)},
    "namespaces": {"type": "list", "elements": "str", "default": []},
    "system_namespaces": {"type": "list", "elements": "str", "default": ["kube-system"]},
    "disk_percent": {"type": "int", "default": 85},
    "disk_percent_down": {"type": "int", "default": 95},
    "memory_percent": {"type": "int", "default": 90},
    "restarts_per_hour": {"type": "int", "default": 3},
    "slow_pull": {"type": "int", "default": 1800},
    "start_grace": {"type": "int", "default": 300},
    "certificate_days": {"type": "int", "default": 30},
    "datastore_mb": {"type": "int", "default": 2048},
    "backup_hours": {"type": "int", "default": 26},
    "verified_backup_hours": {"type": "int", "default": 192},
    "registry_url": {"type": "str", "default": "localhost:5000"},
    "service": {"type": "str", "default": "k3s"},
    "data_dir": {"type": "path", "default": "/var/lib/rancher/k3s"},
    "state_dir": {"type": "path", "default": "/var/lib/holdfast"},
    "expected_claims": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "namespace": {"type": "str", "required": True},
            "name": {"type": "str", "required": True},
            "size": {"type": "str"},
        },
    },
    "row_checks": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "namespace": {"type": "str", "required": True},
            "pod": {"type": "str", "required": True},
            "container": {"type": "str"},
            "user": {"type": "str", "required": True},
            "database": {"type": "str", "required": True},
            "table": {"type": "str", "required": True},
            "min_rows": {"type": "int", "default": 0},
        },
    },
    "backup_rows": {"type": "bool", "default": False},
    "rows_may_shrink": {"type": "list", "elements": "str", "default": []},
    "wait": {"type": "int", "default": 0},
}


@dataclass(frozen=True)
class Finding:
    """id: stable. area: one of AREAS. text: one line. fix: what to do. plan: the steps, where there are several."""

    id: str
    area: str
    severity: str
    text: str
    fix: str = ""
    plan: tuple[str, ...] = ()
    value: Any = None

    def as_dict(self) -> dict[str, Any]:
        """The form that a result shows."""
        shown = {
            "id": self.id,
            "area": self.area,
            "severity": self.severity,
            "text": self.text,
            "fix": self.fix,
        }
        if self.plan:
            shown["plan"] = list(self.plan)  # type: ignore[assignment]
        if self.value is not None:
            shown["value"] = self.value
        return shown


@dataclass
class HostFacts:
    """What the host tells without the API. None: could not be told."""

    unit: dict[str, str] = field(default_factory=dict)
    disks: list[dict[str, Any]] = field(default_factory=list)
    memory: dict[str, int] = field(default_factory=dict)
    pressure: Optional[float] = None
    certificates: Optional[list[dict[str, Any]]] = None
    datastore: dict[str, Any] = field(default_factory=dict)
    clock: dict[str, Any] = field(default_factory=dict)
    registry: dict[str, Any] = field(default_factory=dict)
    backups: list[dict[str, Any]] = field(default_factory=list)
    reboot: Optional[str] = None


def verdict(findings: list[Finding]) -> str:
    """healthy, degraded or down: the worst severity that counts."""
    severities = {finding.severity for finding in findings}
    if "down" in severities:
        return "down"
    return "degraded" if "degraded" in severities else "healthy"
