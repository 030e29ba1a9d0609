# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ingress routes, TLS and what the controller of each class needs for limits and redirects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

from ansible_collections.holdfast.k3s.plugins.module_utils.app import names
from ansible_collections.holdfast.k3s.plugins.module_utils.app.build.workload import meta

Obj = dict[str, Any]
Route = tuple[Mapping[str, Any], Mapping[str, Any]]  # a host and one of its paths
NETWORKING = "networking.k8s.io/v1"
TRAEFIK = "traefik.io/v1alpha1"
_ROUTER = "traefik.ingress.kubernetes.io/router"
_NGINX = "nginx.ingress.kubernetes.io"
_REDIRECT: Obj = {"redirectScheme": {"scheme": "https", "permanent": True}}


@dataclass(frozen=True)
class _Group:
    """Routes that share one Ingress, because what applies to them is said per Ingress."""

    name: str
    limit: Mapping[str, Any]
    headers: Mapping[str, str]
    routes: list[Route] = field(default_factory=list)


def objects(app: Mapping[str, Any]) -> list[Obj]:
    """Issuer, middlewares and Ingress objects: one Ingress for all routes with the same rate limit and headers."""
    if not app["ingress"]["enabled"]:
        return []
    found = _issuer(app)
    for group in _groups(app):
        middlewares = _middlewares(app, group)
        found += middlewares
        found.append(_ingress(app, group, middlewares))
    if _redirects_apart(app):
        found += _redirect(app)
    return found


def _groups(app: Mapping[str, Any]) -> list[_Group]:
    """The routes by what applies to them; what differs from the Ingress's own setting is in the group's name."""
    given = app["ingress"]
    usual = (given.get("rate_limit") or {}, given.get("response_headers") or {})
    groups: dict[str, _Group] = {}
    for host in given["hosts"]:
        for path in host["paths"]:
            own = (path.get("rate_limit") or usual[0], path.get("response_headers", usual[1]))
            parts = [names.digest(one, 6) for one, other in zip(own, usual) if one != other]
            name = "-".join([given["name"] or app["name"], *parts])
            groups.setdefault(name, _Group(name, *own)).routes.append((host, path))
    return list(groups.values())


def _redirects_apart(app: Mapping[str, Any]) -> bool:
    """Whether plain HTTP needs an Ingress of its own: a Traefik router with TLS never sees a request without it."""
    given = app["ingress"]
    return (
        bool(given["redirect_https"]) and given["class"] == "traefik" and given["tls"]["provider"] != "none"
    )


def _redirect(app: Mapping[str, Any]) -> list[Obj]:
    """The Ingress that sends every host's plain HTTP to HTTPS. Its backend is never asked, but has to exist."""
    given = app["ingress"]
    name = f"{given['name'] or app['name']}-redirect"
    first = {
        host["host"]: (host, {**host["paths"][0], "path": "/", "type": "Prefix"}) for host in given["hosts"]
    }
    if not first:
        return []
    middleware = _middleware(app, name, _REDIRECT)
    metadata = meta(app, name, "ingress")
    metadata["annotations"] = {
        f"{_ROUTER}.entrypoints": "web",
        f"{_ROUTER}.middlewares": _chain(app, [middleware]),
    }
    spec = {"ingressClassName": given["class"], "rules": _rules(list(first.values()))}
    return [middleware, {"apiVersion": NETWORKING, "kind": "Ingress", "metadata": metadata, "spec": spec}]


def _ingress(app: Mapping[str, Any], group: _Group, middlewares: list[Obj]) -> Obj:
    given = app["ingress"]
    spec: Obj = {"ingressClassName": given["class"], "rules": _rules(group.routes)}
    served = {host["host"] for host, _path in group.routes}
    tls = _tls(app, [host for host in given["hosts"] if host["host"] in served])
    if tls:
        spec["tls"] = tls
    metadata = meta(app, group.name, "ingress")
    notes = {**_annotations(app, group.limit, middlewares), **given["annotations"]}
    if notes:
        metadata["annotations"] = dict(sorted(notes.items()))
    return {"apiVersion": NETWORKING, "kind": "Ingress", "metadata": metadata, "spec": spec}


def _rules(routes: list[Route]) -> list[Obj]:
    """The rules of an Ingress, one per host."""
    rules: dict[str, list[Obj]] = {}
    for host, path in routes:
        rules.setdefault(host["host"], []).append(
            {
                "path": path.get("path", "/"),
                "pathType": path.get("type", "Prefix"),
                "backend": {"service": {"name": path["service"], "port": {"number": int(path["port"])}}},
            }
        )
    return [{"host": host, "http": {"paths": paths}} for host, paths in rules.items()]


def _tls(app: Mapping[str, Any], hosts: list[Mapping[str, Any]]) -> list[Obj]:
    provider = app["ingress"]["tls"]["provider"]
    if provider == "none":
        return []
    entries: dict[Optional[str], list[str]] = {}
    for host in hosts:
        shared = app["ingress"]["tls"].get("secret")
        secret = None if provider in ("self_signed", "traefik_acme") else host.get("tls_secret") or shared
        if provider == "cert_manager" and not secret:
            secret = f"{host['host'].replace('.', '-')}-tls"
        entries.setdefault(secret, []).append(host["host"])
    return [
        {"hosts": names_, **({"secretName": secret} if secret else {})} for secret, names_ in entries.items()
    ]


def _annotations(app: Mapping[str, Any], limit: Mapping[str, Any], middlewares: list[Obj]) -> dict[str, str]:
    given, tls = app["ingress"], app["ingress"]["tls"]
    notes: dict[str, str] = {}
    if tls["provider"] == "cert_manager":
        kind = "issuer" if tls.get("issuer_kind") == "Issuer" else "cluster-issuer"
        notes[f"cert-manager.io/{kind}"] = tls["issuer"]
    if given["class"] == "traefik":
        if tls["provider"] != "none":
            notes[f"{_ROUTER}.entrypoints"] = "websecure"
            notes[f"{_ROUTER}.tls"] = "true"
        if tls["provider"] == "traefik_acme":
            notes[f"{_ROUTER}.tls.certresolver"] = tls.get("resolver", "letsencrypt")
        if middlewares:
            notes[f"{_ROUTER}.middlewares"] = _chain(app, middlewares)
        return notes
    if limit:
        notes[f"{_NGINX}/limit-rps"] = str(limit["average"])
        notes[f"{_NGINX}/limit-burst-multiplier"] = str(
            max(1, int(limit.get("burst", limit["average"])) // int(limit["average"]))
        )
    if given["redirect_https"]:
        notes[f"{_NGINX}/ssl-redirect"] = "true"
    return notes


def _middlewares(app: Mapping[str, Any], group: _Group) -> list[Obj]:
    given, limit = app["ingress"], group.limit
    if given["class"] != "traefik":
        return []
    wanted: dict[str, Obj] = {}
    if limit:
        rate = {"average": limit["average"], "burst": limit.get("burst", limit["average"])}
        wanted["rate-limit"] = {"rateLimit": {**rate, "period": limit.get("period", "1s")}}
    if given["redirect_https"] and not _redirects_apart(app):
        wanted["redirect"] = _REDIRECT
    if group.headers:
        wanted["headers"] = {"headers": {"customResponseHeaders": dict(group.headers)}}
    return [_middleware(app, f"{group.name}-{suffix}", spec) for suffix, spec in wanted.items()]


def _middleware(app: Mapping[str, Any], name: str, spec: Obj) -> Obj:
    return {"apiVersion": TRAEFIK, "kind": "Middleware", "metadata": meta(app, name, "ingress"), "spec": spec}


def _chain(app: Mapping[str, Any], middlewares: list[Obj]) -> str:
    """Middlewares as a router's annotation names them."""
    return ",".join(f"{app['namespace']}-{item['metadata']['name']}@kubernetescrd" for item in middlewares)


def _issuer(app: Mapping[str, Any]) -> list[Obj]:
    """An ACME issuer for cert-manager, when the inventory gives an address for the account."""
    tls = app["ingress"]["tls"]
    if tls["provider"] != "cert_manager" or not tls.get("acme"):
        return []
    acme = tls["acme"]
    kind = tls.get("issuer_kind", "ClusterIssuer")
    metadata = meta(app, tls["issuer"], "ingress")
    if kind == "ClusterIssuer":
        # Another release may ask for the same one: labels of one release would be overwritten by each in turn.
        metadata = {"name": tls["issuer"], "labels": {names.MANAGED_BY: names.MANAGER}}
    solver = {"http01": {"ingress": {"ingressClassName": app["ingress"]["class"]}}}
    spec = {
        "acme": {
            "email": acme["email"],
            "privateKeySecretRef": {"name": f"{tls['issuer']}-account"},
            "server": acme.get("server", "https://acme-v02.api.letsencrypt.org/directory"),
            "solvers": [solver],
        }
    }
    return [{"apiVersion": "cert-manager.io/v1", "kind": kind, "metadata": metadata, "spec": spec}]
