"""One application, one owner: charts are delivered by helm, and what helm or Flux keeps is left alone by everybody else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from one_service import IMAGE, NAME, SERVICE, deliver, gone, refusal
from turn import HOST, KUBECTL

from lab import controller, helm
from lab.host import LabHost
from tests.scenario import until

CHART = "/srv/charts/hello"
FILES: dict[str, Any] = {
    "Chart.yaml": {"apiVersion": "v2", "name": NAME, "version": "1.2.3"},
    "values.yaml": {"replicas": 1},
    "templates/deployment.yaml": {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "labels": {"app": "web", "app.kubernetes.io/managed-by": "Helm"}},
        "spec": {
            "replicas": "REPLICAS",
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "web", "image": IMAGE, "ports": [{"containerPort": 8080}]}]},
            },
        },
    },
}
PLAIN = {"name": NAME, "services": {"web": SERVICE}}


def chart(**values: Any) -> dict[str, Any]:
    """Values of an application that a chart delivers."""
    return {"name": NAME, "delivery": "helm", "helm": {"chart": CHART, "values": values}}


def replicas(host: LabHost) -> int:
    """The wanted replicas of the one Deployment."""
    return int(host.kubectl(["-n", NAME, "get", "deployment", "web"])["spec"]["replicas"])


@pytest.fixture(scope="module")
def charted(one_service: LabHost) -> Iterator[LabHost]:
    """The host with helm and a chart of its own; nothing of them afterwards."""
    one_service.put("/usr/local/bin/helm", helm.program().read_bytes(), 0o755)
    for name, content in FILES.items():
        text = json.dumps(content, indent=1).replace('"REPLICAS"', "{{ .Values.replicas }}")
        one_service.put(f"{CHART}/{name}", text.encode())
    yield one_service
    deliver(chart(), app_state="absent")
    gone(one_service)
    one_service.sudo(["rm", "-rf", CHART, "/usr/local/bin/helm"])


@pytest.mark.slow
@pytest.mark.req("SS-03", "ST-07", "ST-34")
def test_a_chart_is_installed_upgraded_and_left_alone(charted: LabHost) -> None:
    assert deliver(chart(replicas=1)) == 1
    until("the chart's pod is ready", lambda: _ready(charted) == 1)
    assert deliver(chart(replicas=1)) == 0
    assert deliver(chart(replicas=2)) == 1
    assert replicas(charted) == 2
    listed = json.loads(
        charted.sudo(
            ["env", "KUBECONFIG=/etc/rancher/k3s/k3s.yaml", "helm", "-n", NAME, "list", "-o", "json"]
        ).out
    )
    assert [(one["name"], one["chart"], one["status"]) for one in listed] == [
        (NAME, f"{NAME}-1.2.3", "deployed")
    ]
    before = charted.kubectl(["-n", NAME, "get", "deployment", "web"])["metadata"]["resourceVersion"]
    assert f"belongs to Helm release {NAME}/{NAME}" in refusal(PLAIN)
    after = charted.kubectl(["-n", NAME, "get", "deployment", "web"])["metadata"]["resourceVersion"]
    assert after == before, "a release of helm's was changed"
    deliver(chart(), app_state="absent")
    gone(charted)


def _ready(host: LabHost) -> int:
    return int(host.kubectl(["-n", NAME, "get", "deployment", "web"])["status"].get("readyReplicas", 0))


def test_what_flux_keeps_is_changed_only_while_flux_is_suspended(
    foreign_kinds: LabHost, one_service: LabHost
) -> None:
    """The kind is Flux's own."""
    host = one_service

    def apply(manifest: dict[str, Any]) -> None:
        host.sudo([*KUBECTL, "apply", "--server-side", "-f", "-"], stdin=json.dumps(manifest).encode())

    def keeper(suspend: bool) -> dict[str, Any]:
        metadata = {"name": "apps", "namespace": "default"}
        kind = {"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization"}
        source = {"kind": "GitRepository", "name": "apps"}
        spec = {"interval": "10m", "prune": True, "path": "./apps", "sourceRef": source, "suspend": suspend}
        return {**kind, "metadata": metadata, "spec": spec}

    changed = {**PLAIN, "services": {"web": {**SERVICE, "env": {"CHANGED": "yes"}}}}
    try:
        apply(keeper(False))
        deliver(PLAIN)
        prefix = "kustomize.toolkit.fluxcd.io"
        marks = [f"{prefix}/name=apps", f"{prefix}/namespace=default"]
        host.sudo([*KUBECTL, "-n", NAME, "label", "deployment", "web", *marks])
        assert "belongs to Flux Kustomization default/apps" in refusal(changed)
        assert "belongs to Flux Kustomization default/apps" in refusal(PLAIN, app_state="absent")
        apply(keeper(True))
        assert deliver(changed) == 1
    finally:
        host.sudo(
            [*KUBECTL, "delete", "kustomization.kustomize.toolkit.fluxcd.io", "apps", "--ignore-not-found"]
        )
        host.sudo([*KUBECTL, "delete", "namespace", NAME, "--ignore-not-found"], timeout=300)


@pytest.mark.req("SN-60")
def test_health_says_what_flux_has_not_brought(foreign_kinds: LabHost) -> None:
    """The kinds are Flux's own; what its controllers would say is written into the status."""
    host, old, new = foreign_kinds, "main@sha1:aaaa", "main@sha1:bbbb"
    now, where = "2026-01-01T00:00:00Z", {"name": "apps", "namespace": "default"}
    artifact = {
        "revision": new,
        "path": "a",
        "url": "http://source",
        "digest": f"sha256:{64 * 'a'}",
        "lastUpdateTime": now,
    }
    repository = {
        "apiVersion": "source.toolkit.fluxcd.io/v1",
        "kind": "GitRepository",
        "metadata": where,
        "spec": {"interval": "1m", "url": "https://git.example.com/apps"},
    }
    keeper = {
        "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
        "kind": "Kustomization",
        "metadata": where,
        "spec": {"interval": "10m", "prune": True, "sourceRef": {"kind": "GitRepository", "name": "apps"}},
    }

    def says(kind: str, ready: str, **status: Any) -> None:
        condition = {"type": "Ready", "status": ready, "message": "no such path", "reason": "Tested"}
        patch = {"status": {"conditions": [{**condition, "lastTransitionTime": now}], **status}}
        argv = ["patch", kind, "apps", "--subresource=status", "--type=merge", "-p", json.dumps(patch)]
        host.sudo([*KUBECTL, "-n", "default", *argv])

    def told() -> dict[str, str]:
        found = controller.module("host_health", HOST, {"backup_rows": False})["findings"]
        return {one["id"]: one["text"] for one in found if one["id"].startswith("flux")}

    try:
        for manifest in (repository, keeper):
            host.sudo([*KUBECTL, "apply", "--server-side", "-f", "-"], stdin=json.dumps(manifest).encode())
        says("gitrepository", "True", artifact=artifact)
        says("kustomization.kustomize.toolkit.fluxcd.io", "True", lastAppliedRevision=old)
        assert told() == {"flux_behind": f"Kustomization default/apps runs {old}, and Git has {new}"}
        says("kustomization.kustomize.toolkit.fluxcd.io", "False", lastAppliedRevision=old)
        assert "no such path" in told()["flux_not_ready"]
        says("kustomization.kustomize.toolkit.fluxcd.io", "True", lastAppliedRevision=new)
        assert told() == {}
    finally:
        kinds = "kustomizations.kustomize.toolkit.fluxcd.io,gitrepositories"
        host.sudo([*KUBECTL, "-n", "default", "delete", kinds, "apps", "--ignore-not-found"])


@pytest.mark.req("ST-25", "ST-32", "ST-54")
def test_a_store_of_secrets_has_to_be_well_before_anything_is_applied(
    foreign_kinds: LabHost, one_service: LabHost
) -> None:
    """The kind is External Secrets' own; what its controller would say is written into the status."""
    host = one_service
    name = "store-of-the-tests"
    external = {"provider": "external", "store": {"name": name}, "data": {"TOKEN": "prod/token"}}
    values = {**PLAIN, "secrets": {"keys": external}}
    store = {
        "apiVersion": "external-secrets.io/v1",
        "kind": "ClusterSecretStore",
        "metadata": {"name": name},
        "spec": {"provider": {"fake": {"data": [{"key": "prod/token", "value": "x", "version": "v1"}]}}},
    }

    def says(ready: str) -> None:
        condition = {"type": "Ready", "status": ready, "message": "could not sign in", "reason": "Tested"}
        patch = json.dumps(
            {"status": {"conditions": [{**condition, "lastTransitionTime": "2026-01-01T00:00:00Z"}]}}
        )
        argv = ["patch", "clustersecretstore", name, "--subresource=status", "--type=merge", "-p", patch]
        host.sudo([*KUBECTL, *argv])

    try:
        assert f"'ClusterSecretStore/{name}': It is not there." in refusal(values)
        host.sudo([*KUBECTL, "apply", "--server-side", "-f", "-"], stdin=json.dumps(store).encode())
        assert "Its controller has not looked at it yet." in refusal(values)
        says("False")
        assert "It is not ready: could not sign in." in refusal(values)
        assert not host.sudo([*KUBECTL, "get", "namespace", NAME, "--ignore-not-found"]).out, (
            "something was applied"
        )
        says("True")
        assert deliver(values) == 1
        assert (
            host.kubectl(["-n", NAME, "get", "externalsecret", "keys"])["spec"]["secretStoreRef"]["name"]
            == name
        )
    finally:
        host.sudo([*KUBECTL, "delete", "clustersecretstore", name, "--ignore-not-found"])
        gone(host)
