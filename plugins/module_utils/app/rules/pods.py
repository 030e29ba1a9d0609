# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Probes, resources, ports, environment, security of single pods."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.app.probes import budget
from ansible_collections.holdfast.k3s.plugins.module_utils.app.quantity import parse
from ansible_collections.holdfast.k3s.plugins.module_utils.app.rules.model import Finding
from ansible_collections.holdfast.k3s.plugins.module_utils.app.rules.references import owners
from ansible_collections.holdfast.k3s.plugins.module_utils.app.values_text import as_text

LEAST_MEMORY = 1024 * 1024


def probes_present(app: Mapping[str, Any]) -> Iterator[Finding]:
    """Liveness and readiness for every service."""
    for name, service in app["services"].items():
        if service.get("no_probes"):
            continue
        for kind in ("liveness", "readiness"):
            if kind not in service["probes"]:
                yield Finding(
                    "probes.missing",
                    f"services.{name}.probes.{kind}",
                    f"There is no {kind} probe.",
                    "set health: /path, or probes; or no_probes with the reason",
                    source="SN-20",
                )


def probe_port(app: Mapping[str, Any]) -> Iterator[Finding]:
    """A probe says what it asks: a path, a TCP port or a command; a path needs a port."""
    for name, service in app["services"].items():
        for kind, probe in service["probes"].items():
            where = f"services.{name}.probes.{kind}"
            if any(probe.get(way) for way in ("exec", "tcp")):
                continue
            if not probe.get("path") and not probe.get("port"):
                yield Finding(
                    "probes.no_target",
                    where,
                    "The probe says how often, but not what it asks.",
                    "set path, tcp or exec in the probe, or health in the service",
                )
            elif not probe.get("port"):
                yield Finding(
                    "probes.no_port",
                    f"{where}.port",
                    "The probe has no port, and the service has none either.",
                    "set port in the probe, or exec",
                )


def probe_successes(app: Mapping[str, Any]) -> Iterator[Finding]:
    """Only a readiness probe may ask for several successes."""
    for section in ("services", "data_services"):
        for name, service in app[section].items():
            for kind, probe in (service.get("probes") or {}).items():
                if kind != "readiness" and isinstance(probe, Mapping) and probe.get("successes", 1) != 1:
                    yield Finding(
                        "probes.successes",
                        f"{section}.{name}.probes.{kind}.successes",
                        f"A {kind} probe counts after one success.",
                        "remove it, or set it for readiness",
                        probe["successes"],
                    )


def probe_budget(app: Mapping[str, Any]) -> Iterator[Finding]:
    """A start that may take longer than the rollout is declared failed while it is still healthy."""
    for name, service in app["services"].items():
        startup = service["probes"].get("startup")
        if startup and budget(startup) > service["rollout_timeout"]:
            yield Finding(
                "probes.budget",
                f"services.{name}.rollout_timeout",
                f"The startup probe allows {budget(startup)} s.",
                f"set rollout_timeout to at least {budget(startup)}",
                service["rollout_timeout"],
                source="CF-17",
            )


def limits_present(app: Mapping[str, Any]) -> Iterator[Finding]:
    """Requests and limits for every container: without them one pod starves the rest of the node."""
    for path, owner in owners(app):
        missing = [
            f"{part}.{kind}"
            for part in ("requests", "limits")
            for kind in ("cpu", "memory")
            if kind not in (owner["resources"].get(part) or {})
        ]
        if missing:
            yield Finding(
                "resources.missing",
                f"{path}.resources",
                f"Not given: {', '.join(missing)}.",
                "set requests and limits for cpu and memory",
                source="SN-22",
            )
        yield from _bytes(path, owner["resources"])
        for kind in ("cpu", "memory"):
            request = parse((owner["resources"].get("requests") or {}).get(kind, "0"))
            limit = parse((owner["resources"].get("limits") or {}).get(kind, "0"))
            if request and limit and request > limit:
                yield Finding(
                    "resources.request_above_limit",
                    f"{path}.resources.requests.{kind}",
                    f"It is above the limit ({owner['resources']['limits'][kind]}).",
                    "raise the limit or lower the request",
                    owner["resources"]["requests"][kind],
                    source="WC-39",
                )


def _bytes(path: str, resources: Mapping[str, Any]) -> Iterator[Finding]:
    """Memory without a unit is bytes, and `m` is a thousandth of one: a container of 64 bytes never starts."""
    for part in ("requests", "limits"):
        given = (resources.get(part) or {}).get("memory")
        size = parse(given) if given is not None else None
        if size is not None and 0 < size < LEAST_MEMORY:
            yield Finding(
                "resources.memory_unit",
                f"{path}.resources.{part}.memory",
                "That is less than 1 Mi: a number alone counts bytes, and m is a thousandth.",
                f"write {str(given).rstrip('mk')}Mi",
                given,
            )


def required_env(app: Mapping[str, Any]) -> Iterator[Finding]:
    """Variables without which the service cannot work, and those that take only certain values."""
    for name, service in app["services"].items():
        given = dict(service["env"])
        for source in service["config"]:
            given = {**app["config"].get(source, {"data": {}})["data"], **given}
        secret_keys = {
            key for source in service["secrets"] for key in app["secrets"].get(source, {"keys": []})["keys"]
        }
        for variable in service.get("required_env") or []:
            if variable not in secret_keys and given.get(variable) in (None, ""):
                yield Finding(
                    "env.required",
                    f"services.{name}.env.{variable}",
                    "The service needs this variable.",
                    "set it in env, config or secrets",
                    source="ST-39",
                )
        for variable, allowed in (service.get("allowed_env") or {}).items():
            value = given.get(variable)
            texts = [as_text(entry) for entry in allowed]
            if value is not None and not isinstance(value, Mapping) and as_text(value) not in texts:
                yield Finding(
                    "env.value",
                    f"services.{name}.env.{variable}",
                    "It is not one of the allowed values.",
                    f"one of: {', '.join(texts)}",
                    value,
                    source="ST-40",
                )


def sticky(app: Mapping[str, Any]) -> Iterator[Finding]:
    """Polling transports need sticky sessions as soon as there are two replicas."""
    for name, service in app["services"].items():
        for variable, value in service["env"].items():
            on = not isinstance(value, Mapping) and as_text(value) == "true"
            if variable.endswith("ALLOW_POLLING") and on and not service.get("sticky_sessions"):
                yield Finding(
                    "env.polling_needs_sticky",
                    f"services.{name}.env.{variable}",
                    "Polling breaks when a client meets another replica.",
                    "set it to false, or sticky_sessions: true if the ingress guarantees them",
                    value,
                    source="SS-54",
                )


RULES = (
    probes_present, probe_port, probe_successes, probe_budget, limits_present, required_env, sticky,
)  # fmt: skip
