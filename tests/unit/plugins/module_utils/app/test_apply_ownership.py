"""Two releases side by side, and objects of nobody: what is deleted, what is refused, what stays."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from apply_server import SMALL, Server, options, run

from ansible_collections.holdfast.k3s.plugins.module_utils.app.merge import deep_merge
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import Refused

PART_OF = "app.kubernetes.io/part-of"


def values(name: str, service: str = "", **more: Any) -> dict[str, Any]:
    """A release in the namespace both, with one service."""
    entry = {"image": "x/web:1.0", "port": 80, "health": "/", "resources": SMALL}
    return {"name": name, "namespace": "both", "services": {service or name: entry}, **more}


def kinds(plan: list[dict[str, Any]]) -> dict[str, str]:
    return {action["target"]: action["kind"] for action in plan}


def test_a_release_does_not_prune_what_another_one_has_taken_over(server: Server) -> None:
    run(options(values("a", config={"shared": {"A": "1"}})))
    run(options(values("b")))
    server.objects["v1/both/ConfigMap/shared"]["metadata"]["labels"][PART_OF] = "b"
    again = run(options(values("a")))
    (kept,) = again["plan"]
    assert (kept["kind"], kept["target"]) == ("keep", "configmap/shared")
    assert kept["why"].endswith("it belongs to b")
    assert "v1/both/ConfigMap/shared" in server.objects
    assert run(options(values("a")))["plan"] == [], "it is told once, then it is no longer ours"


def test_what_another_release_has_is_not_taken_over(server: Server) -> None:
    run(options(values("b", config={"shared": {"A": "1"}})))
    before = copy.deepcopy(server.objects)
    with pytest.raises(Refused, match=r"configmap/shared belongs to release b;.*\[cluster.foreign_owner\]"):
        run(options(values("a", config={"shared": {"A": "2"}})))
    assert server.objects == before
    waiver = {"rule": "cluster.foreign_owner", "reason": "b is gone for good", "owner": "ops"}
    assert run(options(values("a", config={"shared": {"A": "2"}}), waivers=[waiver]))["changed"]


def test_absent_leaves_what_nobody_marked(server: Server) -> None:
    by_hand = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a", "namespace": "both"}}
    server.objects["apps/both/Deployment/a"] = copy.deepcopy(by_hand)
    gone = run(options(values("a"), state="absent", prune_data=True))
    assert not gone["changed"]
    assert [(a["kind"], a["why"]) for a in gone["plan"]] == [("keep", "it was not made by this release")]
    assert server.objects == {"apps/both/Deployment/a": by_hand}


def test_absent_keeps_a_namespace_in_which_another_release_lives(server: Server) -> None:
    run(options(values("a")))
    run(options(values("b")))
    gone = run(options(values("a"), state="absent", prune_data=True))
    why = {action["target"]: action["why"] for action in gone["plan"] if action["kind"] == "keep"}
    assert why == {"namespace/both": "objects of release b live in it"}
    assert "apps/both/Deployment/b" in server.objects and "apps/both/Deployment/a" not in server.objects
    record = server.objects.pop("v1/both/ConfigMap/holdfast-release-b")
    assert kinds(run(options(values("a"), state="absent", prune_data=True))["plan"]) == {
        "namespace/both": "keep"
    }, "what it left in the namespace tells of it too"
    server.objects["v1/both/ConfigMap/holdfast-release-b"] = record
    run(options(values("b"), state="absent", prune_data=True))
    assert server.objects == {}


def test_an_issuer_goes_with_the_last_release_that_has_it(server: Server) -> None:
    def routed(name: str) -> dict[str, Any]:
        tls = {"provider": "cert_manager", "issuer": "letsencrypt", "acme": {"email": "a@example.org"}}
        host = {"host": f"{name}.example.org", "paths": [{"service": name, "port": 80}]}
        return deep_merge(values(name), {"namespace": name, "ingress": {"tls": tls, "hosts": [host]}})

    run(options(routed("a")))
    assert "clusterissuer/letsencrypt" not in kinds(run(options(routed("b")))["plan"]), "one for both"
    assert not run(options(routed("a")))["changed"]
    plain = {**values("a"), "namespace": "a"}
    (kept,) = [a for a in run(options(plain))["plan"] if a["target"] == "clusterissuer/letsencrypt"]
    assert kept["kind"] == "keep" and kept["why"].endswith("release b has it too")
    run(options({**values("b"), "namespace": "b"}))
    assert "cert-manager.io/-/ClusterIssuer/letsencrypt" not in server.objects


def test_labels_of_the_values_own_do_not_hide_a_release_from_itself(server: Server) -> None:
    own = values("a", labels={PART_OF: "suite"}, config={"settings": {"A": "1"}})
    run(options(own))
    assert kinds(run(options(values("a", labels={PART_OF: "suite"})))["plan"]) == {
        "configmap/settings": "prune"
    }


def test_what_the_inventory_labels_as_another_tool_would_is_pruned_all_the_same(server: Server) -> None:
    labels = {PART_OF: "grafana", "app.kubernetes.io/managed-by": "Helm"}
    board = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "board", "namespace": "both", "labels": labels},
    }
    run(options(values("a", extra_objects=[board])))
    assert server.objects["v1/both/ConfigMap/board"]["metadata"]["labels"][PART_OF] == "grafana"
    assert kinds(run(options(values("a")))["plan"]) == {"configmap/board": "prune"}


def test_data_that_a_release_left_behind_may_be_taken_over(server: Server) -> None:
    kept = {"secrets": {"keys": {"values": {"A": "abcdef"}}}}
    run(options(values("a", **kept)))
    run(options(values("a", **kept), state="absent"))
    assert kinds(run(options(values("b", **kept)))["plan"])["secret/keys"] == "update"


def test_a_change_of_the_values_own_labels_is_no_other_release(server: Server) -> None:
    run(options(values("a", labels={PART_OF: "suite"})))
    run(options(values("a")))
    assert server.objects["apps/both/Deployment/a"]["metadata"]["labels"][PART_OF] == "a"


def test_an_external_secret_goes_only_with_consent_and_never_takes_a_secret_of_ours_along(
    server: Server,
) -> None:
    keys = {"provider": "external", "store": {"name": "vault"}, "data": {"A": "x/y"}}
    path = "external-secrets.io/both/ExternalSecret/keys"
    outside, inside = (
        values("a", secrets={"keys": keys}),
        values("a", secrets={"keys": {"values": {"A": "abcdef"}}}),
    )
    run(options(outside))
    assert kinds(run(options(values("a")))["plan"]) == {"externalsecret/keys": "keep"}
    assert kinds(run(options(values("a"), prune_data=True))["plan"]) == {"externalsecret/keys": "prune"}
    assert server.deleted[path] == "Background"
    run(options(outside))
    assert kinds(run(options(inside))["plan"]) == {"secret/keys": "create", "externalsecret/keys": "prune"}
    assert server.deleted[path] == "Orphan" and "v1/both/Secret/keys" in server.objects
    run(options(outside, prune_data=True))
    assert kinds(run(options(values("a"), state="absent"))["plan"])["externalsecret/keys"] == "keep"
