# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an engine module says about its container; common.py makes the objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Engine:
    """One engine's container.

    mount: where the data volume goes. env: in the inventory's own form. probes: normalized probes.
    writable: directories that need an emptyDir. extra: further objects, applied before the workload.
    jobs: Jobs that run once the workload is ready.
    """

    mount: str
    ports: list[dict[str, Any]]
    env: Mapping[str, Any] = field(default_factory=dict)
    command: list[str] = field(default_factory=list)
    args: list[str] = field(default_factory=list)
    probes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    writable: list[str] = field(default_factory=list)
    headless: bool = False
    extra: list[dict[str, Any]] = field(default_factory=list)
    volumes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    jobs: list[dict[str, Any]] = field(default_factory=list)


def port(name: str, number: int) -> dict[str, Any]:
    """A named TCP port."""
    return {"name": name, "port": number, "target_port": number, "protocol": "TCP"}


def listens(service: Mapping[str, Any], usual: int, variable: str, value: str = "{port}") -> dict[str, str]:
    """The variable that moves the server to the port of the values; none at its usual one, so nothing is rolled for it."""
    number = int(service["port"])
    return {} if number == usual else {variable: value.format(port=number)}


def reference(value: Any) -> Any:
    """A credential as an environment value: `{secret, key}` stays, a literal is a literal."""
    return dict(value) if isinstance(value, Mapping) else value


def probe_set(way: Mapping[str, Any], *, startup: int = 300, timeout: int = 5) -> dict[str, dict[str, Any]]:
    """The three probes of a data service from one way to ask.

    startup: seconds a recovery after a crash may take before the container is given up. Liveness is patient:
    a busy database that is restarted is a worse database.
    """
    return {
        "startup": {**way, "period": 5, "timeout": timeout, "failures": max(1, startup // 5)},
        "readiness": {**way, "period": 10, "timeout": timeout, "failures": 3},
        "liveness": {**way, "period": 20, "timeout": max(timeout, 10), "failures": 6},
    }
