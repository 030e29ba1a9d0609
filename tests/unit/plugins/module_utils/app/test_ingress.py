"""What an Ingress carries besides its routes: headers, limits, the way to HTTPS."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.holdfast.k3s.plugins.module_utils.app.build import ingress
from ansible_collections.holdfast.k3s.plugins.module_utils.app.values import prepare

ROUTER = "traefik.ingress.kubernetes.io/router"


def objects(**given: Any) -> dict[tuple[str, str], dict[str, Any]]:
    """The objects of an ingress section, by kind and name."""
    service = {"image": "r.example/web:1.0.0", "port": 8080, "health": "/"}
    app = prepare({"name": "shop", "services": {"web": service}, "ingress": given})
    return {(one["kind"], one["metadata"]["name"]): one for one in ingress.objects(app)}


def route(path: str = "/", **more: Any) -> dict[str, Any]:
    return {"path": path, "service": "web", "port": 8080, **more}


def headers_by_path(found: dict[tuple[str, str], dict[str, Any]]) -> dict[str, dict[str, str]]:
    """Path to the response headers that its Ingress's middlewares set."""
    headers: dict[str, dict[str, str]] = {}
    for (kind, _name), one in found.items():
        if kind != "Ingress":
            continue
        chain = one["metadata"].get("annotations", {}).get(f"{ROUTER}.middlewares", "")
        names = [entry.partition("@")[0].removeprefix("shop-") for entry in chain.split(",") if entry]
        specs = [found["Middleware", name]["spec"] for name in names]
        sent = [spec["headers"]["customResponseHeaders"] for spec in specs if "headers" in spec]
        for path in one["spec"]["rules"][0]["http"]["paths"]:
            headers[path["path"]] = sent[0] if sent else {}
    return headers


@pytest.mark.req("SC-76")
def test_headers_of_a_path_are_its_own() -> None:
    keep, none = {"Cache-Control": "public, max-age=60"}, {"Cache-Control": "no-store"}
    paths = [route(), route("/assets", response_headers=keep), route("/raw", response_headers={})]
    without = objects(hosts=[{"host": "a.example", "paths": paths}])
    assert headers_by_path(without) == {"/": {}, "/assets": keep, "/raw": {}}
    usual = objects(response_headers=none, hosts=[{"host": "a.example", "paths": paths}])
    assert headers_by_path(usual) == {"/": none, "/assets": keep, "/raw": {}}


def test_routes_with_the_same_settings_share_an_ingress() -> None:
    limit, headers = {"average": 5}, {"X-Robots-Tag": "none"}
    both = {"rate_limit": limit, "response_headers": headers}
    paths = [
        route("/a", **both),
        route("/b", **both),
        route("/c", rate_limit=limit),
        route("/d", response_headers=headers),
    ]
    found = objects(hosts=[{"host": "a.example", "paths": [*paths, route(rate_limit=None)]}])
    assert [
        [path["path"] for path in one["spec"]["rules"][0]["http"]["paths"]]
        for (kind, _name), one in found.items()
        if kind == "Ingress"
    ] == [["/a", "/b"], ["/c"], ["/d"], ["/"]]
    assert ("Ingress", "shop") in found
