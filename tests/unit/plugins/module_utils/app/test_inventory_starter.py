"""The numbers of Starter."""

from __future__ import annotations

from typing import Any

import pytest
from inventory import Release

from ansible_collections.holdfast.k3s.plugins.module_utils.app.release import BadValues

FIXED = {name: {"autoscaling": {"enabled": False}, "replicas": 1} for name in ("api", "web")}
WORKER = {"services": {"worker": {"enabled": True}}}


@pytest.fixture(scope="module")
def starter() -> Release:
    return Release("starter")


def static(**values: str) -> dict[str, Any]:
    secret = {"provider": "static", "store": None, "data": None, "values": values}
    return {"secrets": {"starter-api": secret}}


@pytest.mark.req("ST-01", "ST-02", "ST-03")
def test_api_and_web_and_no_worker(starter: Release) -> None:
    assert sorted(starter.names("Deployment")) == sorted(starter.names("Service")) == ["api", "web"]
    with_worker = Release("starter", WORKER)
    assert "worker" in with_worker.names("Deployment")
    assert "worker" not in with_worker.names("Service")
    assert "worker" not in with_worker.names("HorizontalPodAutoscaler")
    assert with_worker.container("worker")["image"] == with_worker.container("api")["image"]


@pytest.mark.req("ST-13", "ST-14", "ST-15", "ST-16", "ST-17", "ST-18", "ST-19", "ST-20", "ST-21", "ST-22")
def test_the_charts_own_values_are_kept_as_they_stand(starter: Release) -> None:
    chart = starter.values["helm"]["values"]
    part = {"env": {}, "secrets": {}, "secretName": ""}
    assert chart["api"] == {"image": "registry/app-api:tag", **part}
    assert chart["web"] == {"image": "registry/app-web:tag", **part}
    assert chart["worker"] == {"enabled": False, "image": "registry/app-api:tag", **part}
    assert chart["ingress"] == {
        "enabled": True, "className": "nginx", "hosts": [{"host": "app.example.com"}],
        "tls": [{"secretName": "app-tls", "hosts": ["app.example.com"]}], "apiHosts": [], "apiTls": [],
    }  # fmt: skip
    assert chart["ingressPaths"] == {"api": "/api", "web": "/", "apiHost": "/"}
    store = {"name": "platform-secrets", "kind": "ClusterSecretStore"}
    empty = {"data": {}}
    assert chart["externalSecrets"] == {
        "enabled": True, "secretStoreRef": store, "api": empty, "web": empty, "worker": empty,
    }  # fmt: skip
    limits = {"minReplicas": 2, "maxReplicas": 10}
    assert chart["autoscaling"] == {
        "enabled": True, "targetCPUUtilizationPercentage": 80, "api": limits, "web": limits,
    }  # fmt: skip


@pytest.mark.req("ST-07")
def test_chart(starter: Release) -> None:
    assert (starter.values["helm"]["chart"], starter.values["helm"]["release"]) == (
        "ops/charts/starter",
        "starter",
    )


@pytest.mark.req("ST-05", "ST-22", "ST-38")
def test_autoscaling_on_and_off(starter: Release) -> None:
    for name in ("api", "web"):
        spec = starter.get("HorizontalPodAutoscaler", name)["spec"]
        assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 10)
        assert spec["metrics"][0]["resource"]["target"]["averageUtilization"] == 80
        assert "replicas" not in starter.get("Deployment", name)["spec"]
    fixed = Release("starter", {"services": FIXED})
    assert fixed.names("HorizontalPodAutoscaler") == []
    assert fixed.get("Deployment", "api")["spec"]["replicas"] == 1


@pytest.mark.req("ST-06", "ST-20", "ST-23", "ST-24", "ST-33")
def test_one_external_secret_per_component_with_data(starter: Release) -> None:
    assert starter.names("ExternalSecret") == ["starter-api", "starter-web"]
    spec = starter.get("ExternalSecret", "starter-api")["spec"]
    assert spec["secretStoreRef"] == {"name": "platform-secrets", "kind": "ClusterSecretStore"}
    assert spec["data"] == [
        {"secretKey": "DATABASE_URL", "remoteRef": {"key": "prod/database_url"}},
        {"secretKey": "REDIS_URL", "remoteRef": {"key": "prod/redis_url"}},
    ]
    web = starter.get("ExternalSecret", "starter-web")["spec"]["data"]
    assert web == [{"secretKey": "API_BASE_URL", "remoteRef": {"key": "prod/api_base_url"}}]


@pytest.mark.req("ST-26", "ST-28")
def test_static_secrets_replace_external_ones() -> None:
    found = Release("starter", static(DATABASE_URL="postgresql://db", REDIS_URL="redis://cache"))
    assert found.names("ExternalSecret") == ["starter-web"]
    assert found.rendered.secret_data["starter-api"] == {
        "DATABASE_URL": "postgresql://db",
        "REDIS_URL": "redis://cache",
    }
    assert "postgresql://db" not in str(found.rendered.manifests)


@pytest.mark.req("ST-27")
def test_a_secret_that_is_already_there() -> None:
    own = {
        "secrets": {"mine": {"provider": "existing", "keys": ["DATABASE_URL", "REDIS_URL"]}},
        "services": {"api": {"secrets": ["mine"]}},
    }
    found = Release("starter", own)
    assert found.container("api")["envFrom"] == [{"secretRef": {"name": "mine"}}]
    assert "mine" not in found.names("Secret")


@pytest.mark.req("ST-29")
def test_secrets_as_files_by_the_csi_driver() -> None:
    own = {
        "secrets": {"files": {"provider": "csi", "csi_provider": "vault", "data": {"token": "prod/token"}}},
        "services": {"api": {"volumes": {"secrets": {"mount": "/secrets", "csi": "files"}}}},
    }
    found = Release("starter", own)
    assert found.get("SecretProviderClass", "files")["spec"]["provider"] == "vault"
    assert found.pod("api")["volumes"][0]["csi"]["volumeAttributes"] == {"secretProviderClass": "files"}


@pytest.mark.req("ST-35", "ST-51")
def test_migration_before_the_services() -> None:
    for when, before in (("pre", True), ("post", False)):
        found = Release("starter", {"migrations": {"release-db": {"when": when}}})
        (job,) = found.names("Job")
        container = found.container(job, "Job")
        assert container["command"] == ["starter-console", "release", "db"]
        assert container["image"] == found.container("api")["image"]
        assert (found.phase("Job", job) < found.phase("Deployment", "api")) is before
        assert found.pod(job, "Job")["restartPolicy"] == "Never"


@pytest.mark.req("ST-57")
def test_another_image_is_another_migration(starter: Release) -> None:
    assert starter.names("Job") != Release("starter", starter_version="2.0.0").names("Job")


@pytest.mark.req("ST-36", "ST-37")
def test_health_and_resources(starter: Release) -> None:
    assert starter.container("api")["readinessProbe"]["httpGet"]["path"] == "/health/ready"
    assert starter.container("web")["readinessProbe"]["httpGet"]["path"] == "/api/health/ready"
    for name in ("api", "web"):
        assert set(starter.container(name)["resources"]) == {"requests", "limits"}


@pytest.mark.req("ST-39", "ST-40", "ST-41", "ST-42", "ST-43")
@pytest.mark.parametrize(
    ("overlay", "message"),
    [
        ({"services": {"api": {"env": {"APP_PUBLIC_URL": None}}}}, "services.api.env.APP_PUBLIC_URL"),
        ({"services": {"api": {"env": {"ENVIRONMENT": ""}}}}, "services.api.env.ENVIRONMENT"),
        (
            {"services": {"api": {"env": {"SECRETS_PROVIDER": "keepass"}}}},
            "aws_sm, azure_kv, gcp_sm, vault, infisical",
        ),
        ({"services": {"api": {"env": {"S3_BUCKET": None}}}}, "services.api.env.S3_BUCKET"),
        ({"services": {"web": {"secrets": []}}}, "services.web.env.API_BASE_URL"),
    ],
)
def test_environment_that_is_required(overlay: dict[str, Any], message: str) -> None:
    with pytest.raises(BadValues) as failure:
        Release("starter", overlay)
    assert message in str(failure.value)


@pytest.mark.req("ST-41")
def test_key_storage(starter: Release) -> None:
    assert starter.env("api")["AUTH_KEY_STORAGE_BACKEND"] == "secret-manager"


@pytest.mark.req("ST-04", "ST-44", "ST-45")
def test_both_paths_lead_to_web(starter: Release) -> None:
    ingress = starter.get("Ingress", "starter")
    (rule,) = ingress["spec"]["rules"]
    assert {p["path"]: p["backend"]["service"]["name"] for p in rule["http"]["paths"]} == {
        "/": "web",
        "/api": "web",
    }
    assert ingress["spec"]["tls"] == [{"hosts": ["app.example.com"], "secretName": "app-tls"}]
    assert ingress["metadata"]["annotations"]["cert-manager.io/cluster-issuer"] == "letsencrypt"


@pytest.mark.req("ST-04")
def test_plain_http_is_sent_to_https(starter: Release) -> None:
    ingress = starter.get("Ingress", "starter-redirect")
    assert ingress["metadata"]["annotations"] == {
        "traefik.ingress.kubernetes.io/router.entrypoints": "web",
        "traefik.ingress.kubernetes.io/router.middlewares": "starter-starter-redirect@kubernetescrd",
    }
    assert [rule["host"] for rule in ingress["spec"]["rules"]] == ["app.example.com"]
    assert "tls" not in ingress["spec"]
    served = starter.get("Ingress", "starter")["metadata"]["annotations"]
    assert "traefik.ingress.kubernetes.io/router.middlewares" not in served


@pytest.mark.req("ST-46")
def test_a_host_of_its_own_leads_to_the_api(starter: Release) -> None:
    path = {"path": "/", "service": "api", "port": 8000}
    hosts = [
        *starter.values["ingress"]["hosts"],
        {"host": "api.example.com", "tls_secret": "api-tls", "paths": [path]},
    ]
    found = Release("starter", {"ingress": {"hosts": hosts}}).get("Ingress", "starter")["spec"]
    assert found["rules"][1]["http"]["paths"][0]["backend"]["service"]["name"] == "api"
    assert {"hosts": ["api.example.com"], "secretName": "api-tls"} in found["tls"]


@pytest.mark.req("ST-47", "ST-48", "ST-49")
def test_who_retries_billing(starter: Release) -> None:
    names = ("ENABLE_BILLING_RETRY_WORKER", "ENABLE_BILLING_STREAM_REPLAY")
    with_worker = Release("starter", WORKER)
    for found in (starter, with_worker):
        assert {found.env("api")[name] for name in names} == {"false"}
    worker = with_worker.env("worker")
    assert {worker[name] for name in names} == {"true"}
    assert worker["BILLING_RETRY_DEPLOYMENT_MODE"] == "dedicated"
    alone = Release("starter", {"services": FIXED})
    assert names[0] not in alone.env("api"), "one API without a worker does it itself"
    own = Release("starter", {"services": {"worker": {"enabled": True}, "api": {"env": {names[0]: "true"}}}})
    assert (own.env("api")[names[0]], own.env("api")[names[1]]) == ("true", "false")


@pytest.mark.req("ST-50")
def test_scaled_api_without_worker_is_reported(starter: Release) -> None:
    assert [f.source for f in starter.findings if f.rule == "scaling.duplicate_work"] == ["ST-50"]
    assert not [f for f in Release("starter", WORKER).findings if f.rule == "scaling.duplicate_work"]


@pytest.mark.req("ST-31")
def test_data_services_outside_are_only_consumed(starter: Release) -> None:
    assert starter.names("StatefulSet") == []
    lab = Release("starter", lab=True)
    assert lab.names("StatefulSet") == ["postgres"]
