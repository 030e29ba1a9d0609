"""The host's half in whole runs against an API server made of a dictionary."""

from __future__ import annotations

import copy

import pytest
from apply_server import SMALL, VALUES, Server, options, run

from ansible_collections.holdfast.k3s.plugins.module_utils.app.apply import run as run_module
from ansible_collections.holdfast.k3s.plugins.module_utils.app.apply.release import from_options
from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.errors import ApiError
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError, Refused


def test_first_run_makes_everything_second_run_nothing(server: Server) -> None:
    first = run(options())
    assert first["changed"] and first["verified"] is True
    assert {a["outcome"] for a in first["actions"]} == {"done"}
    second = run(options())
    assert not second["changed"] and second["verified"] is True
    assert second["unchanged"] == second["objects"] == len(first["actions"])
    assert second["plan"] == second["actions"] == []


def test_check_mode_changes_nothing_and_predicts(server: Server) -> None:
    predicted = run(options(), check_mode=True)
    assert predicted["changed"] and server.objects == {}
    assert [a["target"] for a in predicted["plan"]] == [a["target"] for a in run(options())["plan"]]
    assert not run(options(), check_mode=True)["changed"]


def test_a_bare_host_predicts_from_the_manifests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "_client", lambda params, check_mode: None)
    predicted = run(options(), check_mode=True)
    assert predicted["changed"] and predicted["predicted"]
    assert len(predicted["plan"]) == predicted["objects"]


def test_what_somebody_changed_is_put_back(server: Server) -> None:
    run(options())
    server.objects["v1/hello/ConfigMap/settings"]["data"]["A"] = "2"
    again = run(options())
    assert [a["target"] for a in again["actions"]] == ["configmap/settings"]
    assert server.objects["v1/hello/ConfigMap/settings"]["data"]["A"] == "1"


def test_a_generated_value_is_made_once_and_no_value_is_shown(server: Server) -> None:
    first = run(options())
    kept = server.objects["v1/hello/Secret/keys"]["data"]
    changed = copy.deepcopy(VALUES)
    changed["secrets"]["keys"]["values"]["TOKEN"] = "canary-88"
    second = run(options(changed))
    assert server.objects["v1/hello/Secret/keys"]["data"]["PASSWORD"] == kept["PASSWORD"]
    for value in ("canary", kept["PASSWORD"], kept["TOKEN"]):
        assert value not in str(first) and value not in str(second)
    assert "(not shown)" in str(second["diff"])


def test_a_lost_secret_over_an_existing_volume_is_refused_not_made_anew(server: Server) -> None:
    values = {
        **VALUES,
        "data_services": {
            "postgres": {
                "image": "x/postgres:15",
                "user": "u",
                "database": "d",
                "password": {"secret": "keys", "key": "PASSWORD"},
                "storage": {"name": "data", "size": "1Gi"},
                "resources": SMALL,
            }
        },
    }
    run(options(values, wait=False))
    secret = server.objects.pop("v1/hello/Secret/keys")
    assert run(options(values, wait=False))["changed"], "without a volume there is nothing to lose"
    claim = {"kind": "PersistentVolumeClaim", "metadata": {"name": "data-postgres-0", "namespace": "hello"}}
    server.objects["v1/hello/PersistentVolumeClaim/data-postgres-0"] = {"apiVersion": "v1", **claim}
    assert not run(options(values, wait=False))["changed"], "with Secret and volume all is well"
    for lost in (None, {**secret, "data": {"TOKEN": "eA=="}}):
        server.objects.pop("v1/hello/Secret/keys")
        if lost:
            server.objects["v1/hello/Secret/keys"] = lost
        before = copy.deepcopy(server.objects)
        with pytest.raises(Refused, match=r"data-postgres-0 was made with the old value"):
            run(options(values, wait=False))
        assert server.objects == before
        server.objects["v1/hello/Secret/keys"] = secret
    server.objects.pop("v1/hello/Secret/keys")
    waiver = {"rule": "cluster.secret_lost", "reason": "the volume is empty", "by": "ops"}
    assert run(options(values, wait=False, waivers=[waiver]))["changed"]


def test_prune_takes_what_is_gone_but_not_data(server: Server) -> None:
    run(options())
    fewer = {
        "name": "hello",
        "services": VALUES["services"] | {"web": {**VALUES["services"]["web"], "config": []}},
    }
    plan = {a["target"]: a["kind"] for a in run(options(fewer))["plan"]}
    assert plan["configmap/settings"] == "prune"
    assert plan["secret/keys"] == plan["persistentvolumeclaim/shared"] == "keep"
    assert "v1/hello/ConfigMap/settings" not in server.objects
    assert "v1/hello/Secret/keys" in server.objects
    run(options(fewer, prune_data=True))
    assert "v1/hello/Secret/keys" not in server.objects
    assert not run(options(fewer))["changed"]


@pytest.mark.req("ST-53")
def test_absent_keeps_the_data(server: Server) -> None:
    run(options())
    gone = run(options(state="absent"))
    assert gone["changed"]
    assert sorted(o["kind"] for o in server.objects.values()) == [
        "Namespace",
        "PersistentVolumeClaim",
        "Secret",
    ]
    run(options(state="absent", prune_data=True))
    assert server.objects == {}


def test_conflicts_are_named_together_with_their_owner(server: Server) -> None:
    run(options())
    cause = {"reason": "FieldManagerConflict", "field": ".data.A", "message": 'conflict with "kubectl"'}
    server.refuse["v1/hello/ConfigMap/settings"] = ApiError(
        409, "Conflict", "x", {"details": {"causes": [cause]}}
    )
    changed = {**VALUES, "config": {"settings": {"A": "3"}}}
    with pytest.raises(
        HoldfastError,
        match=r'configmap/settings: another owner set these fields: \.data\.A \(conflict with "kubectl"\)',
    ):
        run(options(changed))
    assert run(options(changed, force_conflicts=True))["changed"]


def test_options_without_rendering_are_refused() -> None:
    with pytest.raises(HoldfastError, match="not rendered"):
        run_module.apply_release({"name": None, "objects": None}, check_mode=False, diff=False)
    assert from_options(options()).record_name == "holdfast-release-hello"


def flux(name: str = "apps") -> dict[str, str]:
    return {"kustomize.toolkit.fluxcd.io/name": name, "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}


def adopt(server: Server, labels: dict[str, str], notes: dict[str, str] | None = None) -> None:
    """Somebody else's marks on the Deployment."""
    for path, obj in server.objects.items():
        if obj["kind"] == "Deployment":
            meta = server.objects[path]["metadata"]
            meta.update(
                labels={**meta["labels"], **labels}, annotations={**meta["annotations"], **(notes or {})}
            )


@pytest.mark.parametrize(
    ("labels", "notes", "owner"),
    [
        (flux(), {}, "Flux Kustomization flux-system/apps"),
        (
            {"app.kubernetes.io/managed-by": "Helm"},
            {"meta.helm.sh/release-name": "shop", "meta.helm.sh/release-namespace": "shop"},
            "Helm release shop/shop",
        ),
        ({}, {"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:shop/web"}, "Argo CD application shop"),
    ],
)
@pytest.mark.parametrize("state", ["present", "absent"])
def test_objects_of_another_owner_are_left_alone(
    server: Server, labels: dict[str, str], notes: dict[str, str], owner: str, state: str
) -> None:
    run(options())
    adopt(server, labels, notes)
    before = copy.deepcopy(server.objects)
    with pytest.raises(HoldfastError) as failure:
        run(options(state=state))
    assert f"belongs to {owner}" in str(failure.value) and "cluster.foreign_owner" in str(failure.value)
    assert server.objects == before


def test_a_suspended_owner_has_let_go(server: Server) -> None:
    run(options())
    adopt(server, flux())
    reconciler = {
        "apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization",
        "metadata": {"name": "apps", "namespace": "flux-system"}, "spec": {"suspend": True},
    }  # fmt: skip
    server.objects[server.path_for(reconciler["apiVersion"], "Kustomization", "flux-system", "apps")] = (
        reconciler
    )
    run(options())


@pytest.mark.parametrize("left", [{"TOKEN": "canary-77"}, {}])
def test_a_key_that_is_gone_from_the_values_is_gone_from_the_secret(
    server: Server, left: dict[str, str]
) -> None:
    secret = {"values": {"TOKEN": "canary-77", "OLD": "canary-88"}, "generate": {"PASSWORD": 20}}
    run(options({**VALUES, "secrets": {"keys": secret}}))
    noted = server.objects["v1/hello/Secret/keys"]["metadata"]["annotations"]
    again = run(options({**VALUES, "secrets": {"keys": {"values": left}}}))
    assert [action["target"] for action in again["actions"]] == ["secret/keys"]
    assert sorted(server.objects["v1/hello/Secret/keys"]["data"]) == sorted(left)
    assert "canary" not in str(noted) + str(again)
    assert not run(options({**VALUES, "secrets": {"keys": {"values": left}}}))["changed"]
