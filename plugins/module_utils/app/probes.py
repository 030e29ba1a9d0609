# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Probes: short forms in, Kubernetes probes out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Optional

KINDS = ("liveness", "readiness", "startup")
_WAYS = ("path", "exec", "tcp", "port")
PERIOD = 10
_SETTINGS = {
    "period": "periodSeconds",
    "timeout": "timeoutSeconds",
    "failures": "failureThreshold",
    "successes": "successThreshold",
    "initial_delay": "initialDelaySeconds",
}
_DEFAULTS = {
    "liveness": {"period": 10, "timeout": 3, "failures": 3},
    "readiness": {"period": 5, "timeout": 3, "failures": 3},
    "startup": {"period": PERIOD, "timeout": 3, "failures": 30},
}


def normalize_probes(raw: Mapping[str, Any], ports: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """`health: /path` gives liveness and readiness; `probes` adds to and overrides it; `false` removes one."""
    health = raw.get("health")
    found = {}
    for kind in KINDS:
        given = (raw.get("probes") or {}).get(kind)
        if given is False or (given is None and (health is None or kind == "startup")):
            continue
        found[kind] = _probe(kind, given, health, ports)
    return found


def _probe(kind: str, given: Any, health: Optional[str], ports: list[dict[str, Any]]) -> dict[str, Any]:
    probe: dict[str, Any] = {"path": given} if isinstance(given, str) else dict(given or {})
    if not any(probe.get(way) for way in ("path", "exec", "tcp")) and health:
        probe["path"] = health
    if probe.get("path") and not probe.get("port") and ports:
        probe["port"] = ports[0]["target_port"]
    for setting, value in _DEFAULTS[kind].items():
        probe.setdefault(setting, value)
    return _with_budget(probe)


def laid_over(
    base: Mapping[str, Mapping[str, Any]], raw: Mapping[str, Any], port: int
) -> dict[str, Mapping[str, Any]]:
    """An engine's probes with the inventory's own over them: `false` removes one, another way to ask replaces the engine's."""
    found = dict(base)
    for kind, given in raw.items():
        if given is False:
            found.pop(kind, None)
        else:
            found[kind] = _over(kind, base.get(kind) or {}, given, port)
    return found


def _over(kind: str, base: Mapping[str, Any], given: Any, port: int) -> dict[str, Any]:
    own: dict[str, Any] = {"path": given} if isinstance(given, str) else dict(given or {})
    kept = {key: value for key, value in base.items() if key not in _WAYS or not any(map(own.get, _WAYS))}
    probe = {**_DEFAULTS[kind], **kept, **own}
    if probe.get("path"):
        probe.setdefault("port", port)
    return _with_budget(probe)


def _with_budget(probe: dict[str, Any]) -> dict[str, Any]:
    if probe.get("budget"):
        probe["failures"] = math.ceil(int(probe["budget"]) / int(probe["period"]))
    return probe


def budget(probe: Mapping[str, Any]) -> int:
    """Seconds after which the probe has failed for good, counted from the container's start."""
    return int(probe.get("initial_delay", 0)) + int(probe["period"]) * int(probe["failures"])


def render(probe: Mapping[str, Any]) -> dict[str, Any]:
    """The Kubernetes probe."""
    out: dict[str, Any] = {}
    if probe.get("exec"):
        out["exec"] = {"command": list(probe["exec"])}
    elif probe.get("path"):
        out["httpGet"] = {"path": probe["path"], "port": probe["port"]}
        if probe.get("scheme"):
            out["httpGet"]["scheme"] = probe["scheme"]
        if probe.get("headers"):
            out["httpGet"]["httpHeaders"] = [
                {"name": k, "value": v} for k, v in sorted(probe["headers"].items())
            ]
    else:
        out["tcpSocket"] = {"port": probe.get("tcp") or probe["port"]}
    for setting, field in _SETTINGS.items():
        if setting in probe:
            out[field] = int(probe[setting])
    return out
