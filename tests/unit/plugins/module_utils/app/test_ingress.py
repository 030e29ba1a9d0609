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


def routers(found: dict[tuple[str, str], dict[str, Any]]) -> dict[str, tuple[str, bool, str]]:
    """Ingress to its entry point, whether it has TLS, and its middlewares."""
    return {
        name: (
            notes.get(f"{ROUTER}.entrypoints", "every"),
            "tls" in one["spec"],
            notes.get(f"{ROUTER}.middlewares", ""),
        )
        for (kind, name), one in found.items()
        if kind == "Ingress"
        for notes in [one["metadata"].get("annotations", {})]
    }


HOSTS = [
    {"host": "a.example", "paths": [route("/api", rate_limit={"average": 5}), route()]},
    {"host": "b.example", "paths": [route("/only", type="Exact")]},
]


@pytest.mark.req("ST-04")
def test_plain_http_reaches_a_router_that_only_redirects() -> None:
    tls = {"provider": "cert_manager", "issuer": "letsencrypt"}
    found = objects(redirect_https=True, tls=tls, hosts=HOSTS, annotations={f"{ROUTER}.priority": "7"})
    apart = routers(found)
    assert apart.pop("shop-redirect") == ("web", False, "shop-shop-redirect@kubernetescrd")
    assert len(apart) == 2, "the limit's and the general one"
    assert all(entry == "websecure" and tls for entry, tls, _chain in apart.values())
    assert not [chain for *_other, chain in apart.values() if "redirect" in chain]
    assert found["Middleware", "shop-redirect"]["spec"] == {
        "redirectScheme": {"scheme": "https", "permanent": True}
    }
    one = found["Ingress", "shop-redirect"]
    assert set(one["metadata"]["annotations"]) == {f"{ROUTER}.entrypoints", f"{ROUTER}.middlewares"}
    backend = {"service": {"name": "web", "port": {"number": 8080}}}
    everything = {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}
    assert one["spec"]["rules"] == [{"host": name, "http": everything} for name in ("a.example", "b.example")]


def test_a_redirect_of_its_own_only_where_traefik_ends_tls() -> None:
    # Something before Traefik ends TLS and says so in X-Forwarded-Proto: the one router sees both.
    before = routers(objects(redirect_https=True, hosts=[HOSTS[1]]))
    assert before == {"shop": ("every", False, "shop-shop-redirect@kubernetescrd")}
    tls = {"provider": "provided", "secret": "tls"}
    nginx = objects(**{"class": "nginx"}, redirect_https=True, tls=tls, hosts=[HOSTS[1]])
    assert list(nginx) == [("Ingress", "shop")]
    assert list(routers(objects(tls=tls, hosts=[HOSTS[1]]))) == ["shop"]
    assert objects(redirect_https=True, tls=tls) == {}
