# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ingress, TLS, policies, schedules, delivery."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.app.rules.model import Finding
from ansible_collections.holdfast.k3s.plugins.module_utils.app.rules.references import switched_off

_PRODUCTION = ("prod", "production", "live")


def routes(app: Mapping[str, Any]) -> Iterator[Finding]:
    """Every route leads to a port of a service, and no two hosts claim the same path."""
    seen: dict[tuple[str, str, str], str] = {}
    for number, host in enumerate(app["ingress"].get("hosts", [])):
        for index, path in enumerate(host["paths"]):
            where = f"ingress.hosts[{number}].paths[{index}]"
            service = app["services"].get(path["service"])
            if service is None:
                yield Finding(
                    "ingress.unknown_service",
                    f"{where}.service",
                    f"There is no such service.{switched_off(app, path['service'])}",
                    f"one of: {', '.join(sorted(app['services']))}",
                    path["service"],
                )
            elif path["port"] not in [port["port"] for port in service["ports"]]:
                ports = ", ".join(str(port["port"]) for port in service["ports"]) or "none"
                yield Finding(
                    "ingress.unknown_port",
                    f"{where}.port",
                    f"{path['service']} has no such port.",
                    f"one of: {ports}",
                    path["port"],
                )
            key = (host["host"], path.get("path", "/"), path.get("type", "Prefix"))
            if key in seen:
                yield Finding(
                    "ingress.duplicate",
                    where,
                    f"{seen[key]} has this host and path already.",
                    "remove one",
                    "".join(key[:2]),
                )
            seen.setdefault(key, where)


def tls(app: Mapping[str, Any]) -> Iterator[Finding]:
    """What each certificate provider needs."""
    ingress = app["ingress"]
    if not ingress["enabled"]:
        return
    given = ingress["tls"]
    if given["provider"] == "cert_manager" and not given.get("issuer"):
        yield Finding(
            "tls.no_issuer",
            "ingress.tls.issuer",
            "cert-manager needs the name of an issuer.",
            "set tls.issuer (and tls.acme to have it made)",
            source="ST-44",
        )
    if given["provider"] == "provided":
        for number, host in enumerate(ingress["hosts"]):
            if not (host.get("tls_secret") or given.get("secret")):
                yield Finding(
                    "tls.no_secret",
                    f"ingress.hosts[{number}].tls_secret",
                    "A provided certificate needs the Secret that holds it.",
                    "set tls_secret for the host, or tls.secret for all",
                    host["host"],
                    source="ST-10",
                )
    if given["provider"] == "traefik_acme" and ingress["class"] != "traefik":
        yield Finding(
            "tls.class",
            "ingress.tls.provider",
            f"Only Traefik does this, and the class is {ingress['class']}.",
            "use cert_manager, or class traefik",
            "traefik_acme",
            source="CF-24",
        )


def headers_class(app: Mapping[str, Any]) -> Iterator[Finding]:
    """Response headers are a Traefik middleware."""
    ingress = app["ingress"]
    where = ["ingress.response_headers"] if ingress.get("response_headers") else []
    for number, host in enumerate(ingress.get("hosts", [])):
        for index, path in enumerate(host.get("paths", [])):
            if path.get("response_headers"):
                where.append(f"ingress.hosts[{number}].paths[{index}].response_headers")
    for field in where if ingress.get("class") != "traefik" else []:
        yield Finding(
            "ingress.headers_class",
            field,
            f"They are rendered for Traefik, and the class is {ingress['class']}.",
            "use ingress.annotations for this class",
        )


def off_hours(app: Mapping[str, Any]) -> Iterator[Finding]:
    """Production never sleeps."""
    settings = app.get("off_hours") or {}
    if settings.get("enabled") and str(app.get("environment", "production")).lower() in _PRODUCTION:
        yield Finding(
            "off_hours.production",
            "off_hours.enabled",
            "A production release is not scaled down.",
            "set environment to what it is, or remove off_hours",
            app.get("environment", "(production assumed)"),
            source="SC-98",
        )
    for field in ("down", "up"):
        if settings.get("enabled") and not settings.get(field):
            yield Finding(
                "off_hours.incomplete",
                f"off_hours.{field}",
                "Both times are needed.",
                "give a cron expression",
            )
    if settings.get("enabled") and app.get("delivery", "manifests") != "manifests":
        yield Finding(
            "off_hours.delivery",
            "off_hours.enabled",
            "The objects belong to another owner, who would scale them up again.",
            "set delivery: manifests, or let that owner keep the hours",
            app["delivery"],
            source="CF-26",
        )
    unknown = sorted(set(settings.get("exclude", [])) - set(app["services"]) - set(app["disabled"]))
    for name in unknown:
        yield Finding(
            "off_hours.unknown",
            "off_hours.exclude",
            "There is no such service.",
            f"one of: {', '.join(sorted(app['services']))}",
            name,
        )


def owner_of_objects(app: Mapping[str, Any]) -> Iterator[Finding]:
    """A chart or a Git source is named where it owns the objects."""
    for kind in ("helm", "flux"):
        if app.get("delivery") == kind and not app.get(kind):
            yield Finding(
                "delivery.incomplete",
                kind,
                f"delivery is {kind}, but nothing says what to deliver.",
                f"fill {kind}, or set delivery: manifests",
                source="CF-26",
            )


def external_host(app: Mapping[str, Any]) -> Iterator[Finding]:
    """An external data service has a host."""
    for name, service in app["data_services"].items():
        if service["mode"] == "external" and not service.get("host"):
            yield Finding(
                "data.no_host",
                f"data_services.{name}.host",
                "An external service needs its host.",
                "set host, or mode: in_cluster",
                source="CF-20",
            )
        if (
            service["mode"] == "in_cluster"
            and service["engine"] == "mongodb"
            and service["replicas"] % 2 == 0
        ):
            yield Finding(
                "data.even_members",
                f"data_services.{name}.replicas",
                "An even number of members has no majority when it splits in halves.",
                "use an odd number",
                service["replicas"],
                severity="warning",
            )


RULES = (
    routes,
    tls,
    headers_class,
    off_hours,
    owner_of_objects,
    external_host,
)
