# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ingress routes, TLS and what the controller of each class needs for limits and redirects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

from ansible_collections.holdfast.k3s.plugins.module_utils.app import names
from ansible_collections.holdfast.k3s.plugins.module_utils.app.build.workload import meta

Obj = dict[str, Any]
TRAEFIK = "traefik.io/v1alpha1"
_ROUTER = "traefik.ingress.kubernetes.io/router"
_NGINX = "nginx.ingress.kubernetes.io"


def objects(app: Mapping[str, Any]) -> list[Obj]:
    """Middlewares, issuer and Ingress objects: one Ingress per rate limit, since a limit belongs to an Ingress."""
    given = app["ingress"]
    if not given["enabled"]:
        return []
    name = given["name"] or app["name"]
    groups: dict[str, list[tuple[Mapping[str, Any], Mapping[str, Any]]]] = {}
    limits: dict[str, Mapping[str, Any]] = {}
    for host in given["hosts"]:
        for path in host["paths"]:
            limit = path.get("rate_limit") or given.get("rate_limit") or {}
            own = path.get("rate_limit")
            key = f"{name}-{names.digest(own, 6)}" if own else name
            limits[key] = limit
            groups.setdefault(key, []).append((host, path))
    found = _issuer(app)
    for key, routes in groups.items():
        middlewares = _middlewares(app, key, limits[key])
        found += middlewares
        found.append(_ingress(app, key, routes, limits[key], middlewares))
    return found


def _ingress(
    app: Mapping[str, Any],
    name: str,
    routes: list[tuple[Mapping[str, Any], Mapping[str, Any]]],
    limit: Mapping[str, Any],
    middlewares: list[Obj],
) -> Obj:
    given = app["ingress"]
    rules: dict[str, list[Obj]] = {}
    for host, path in routes:
        rules.setdefault(host["host"], []).append(
            {
                "path": path.get("path", "/"),
                "pathType": path.get("type", "Prefix"),
                "backend": {"service": {"name": path["service"], "port": {"number": int(path["port"])}}},
            }
        )
    spec: Obj = {
        "ingressClassName": given["class"],
        "rules": [{"host": host, "http": {"paths": paths}} for host, paths in rules.items()],
    }
    tls = _tls(app, [host for host in given["hosts"] if host["host"] in rules])
    if tls:
        spec["tls"] = tls
    metadata = meta(app, name, "ingress")
    notes = {**_annotations(app, limit, middlewares), **given["annotations"]}
    if notes:
        metadata["annotations"] = dict(sorted(notes.items()))
    return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata, "spec": spec}


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
    return [{"hosts": names_, **({"secretName": secret} if secret else {})} for secret, names_ in entries.items()]


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
            chain = [f"{app['namespace']}-{item['metadata']['name']}@kubernetescrd" for item in middlewares]
            notes[f"{_ROUTER}.middlewares"] = ",".join(chain)
        return notes
    if limit:
        notes[f"{_NGINX}/limit-rps"] = str(limit["average"])
        notes[f"{_NGINX}/limit-burst-multiplier"] = str(max(1, int(limit.get("burst", limit["average"])) // int(limit["average"])))
    if given["redirect_https"]:
        notes[f"{_NGINX}/ssl-redirect"] = "true"
    return notes


def _middlewares(app: Mapping[str, Any], name: str, limit: Mapping[str, Any]) -> list[Obj]:
    given = app["ingress"]
    if given["class"] != "traefik":
        return []
    wanted: list[tuple[str, Obj]] = []
    if limit:
        rate = {"average": limit["average"], "burst": limit.get("burst", limit["average"])}
        wanted.append(("rate-limit", {"rateLimit": {**rate, "period": limit.get("period", "1s")}}))
    if given["redirect_https"]:
        wanted.append(("redirect", {"redirectScheme": {"scheme": "https", "permanent": True}}))
    if given.get("response_headers"):
        wanted.append(("headers", {"headers": {"customResponseHeaders": dict(given["response_headers"])}}))
    return [
        {
            "apiVersion": TRAEFIK,
            "kind": "Middleware",
            "metadata": meta(app, f"{name}-{suffix}", "ingress"),
            "spec": spec,
        }
        for suffix, spec in wanted
    ]


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
