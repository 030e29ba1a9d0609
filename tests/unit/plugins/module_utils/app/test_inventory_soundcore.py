"""The numbers of Soundcore."""

from __future__ import annotations

import pytest
from inventory import Release

from ansible_collections.holdfast.k3s.plugins.module_utils.app.release import BadValues

BACKENDS = {"knowledge": 8001, "content": 8002, "support": 8003, "analytics": 8004, "auth": 8005}
DATABASES = {"postgres": 5432, "mongodb": 27017, "redis": 6379, "neo4j": 7687}


@pytest.fixture(scope="module")
def prod() -> Release:
    return Release("soundcore")


@pytest.mark.req("SC-01", "SC-30", "SC-80", "SC-100")
def test_frontend(prod: Release) -> None:
    assert prod.resources("frontend") == "500m/512Mi -> 1000m/1Gi"
    hpa = prod.get("HorizontalPodAutoscaler", "frontend-hpa")
    assert hpa["apiVersion"] == "autoscaling/v2"
    assert (hpa["spec"]["minReplicas"], hpa["spec"]["maxReplicas"]) == (3, 10)
    assert hpa["spec"]["metrics"][0]["resource"] == {
        "name": "cpu",
        "target": {"type": "Utilization", "averageUtilization": 70},
    }
    assert "replicas" not in prod.get("Deployment", "frontend")["spec"], "the autoscaler owns the number"
    assert "frontend" in prod.names("PodDisruptionBudget")


@pytest.mark.req("SC-02", "SC-03", "SC-04", "SC-05", "SC-06", "SC-31", "SC-73")
@pytest.mark.parametrize(("name", "port"), BACKENDS.items())
def test_backends(prod: Release, name: str, port: int) -> None:
    service = f"{name}-service"
    assert [p["port"] for p in prod.get("Service", service)["spec"]["ports"]] == [port]
    assert prod.get("Deployment", service)["spec"]["replicas"] == 2
    assert prod.resources(service) == "250m/256Mi -> 500m/512Mi"
    probe = prod.container(service)["readinessProbe"]["httpGet"]
    assert probe == {"path": f"/api/v1/{name}/health", "port": port}


@pytest.mark.req("SC-32", "SC-33", "SC-34", "SC-35")
def test_databases(prod: Release) -> None:
    def claim(name: str) -> tuple[int, str]:
        spec = prod.get("StatefulSet", name)["spec"]
        return spec["replicas"], spec["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"]

    assert claim("postgres") == (1, "50Gi")
    assert claim("postgres-replica") == (1, "50Gi")
    assert claim("mongodb") == (3, "100Gi")
    assert claim("redis") == (1, "10Gi")
    assert claim("neo4j") == (1, "50Gi")
    assert "redis-sentinel" in prod.names("Deployment")
    assert "--replSet" in prod.container("mongodb", "StatefulSet")["args"]
    assert prod.get("Service", "mongodb-members")["spec"]["clusterIP"] == "None"


@pytest.mark.req("SC-29", "SC-44", "SC-45")
def test_namespace_and_host_follow_the_environment(prod: Release) -> None:
    staging = Release("soundcore", soundcore_environment="staging")
    for found, environment, host in (
        (prod, "prod", "kcp.soundcore.com"),
        (staging, "staging", "staging-kcp.soundcore.com"),
    ):
        assert found.names("Namespace") == [f"soundcore-kcp-{environment}"]
        assert found.get("Ingress", "kcp-ingress")["spec"]["rules"][0]["host"] == host
        for manifest in found.rendered.manifests:
            assert manifest["metadata"].get("namespace", found.rendered.namespace) == found.rendered.namespace


@pytest.mark.req("SC-36")
def test_what_does_not_fit_is_said_per_resource() -> None:
    with pytest.raises(BadValues) as failure:
        Release("soundcore", {"capacity": {"cpu": "2", "memory": "4Gi", "storage": "100Gi"}})
    for kind in ("capacity.cpu", "capacity.memory", "capacity.storage"):
        assert kind in str(failure.value)


@pytest.mark.req("SC-37", "SC-38", "SC-39", "SC-40", "SC-41", "SC-42")
def test_order(prod: Release) -> None:
    order = [
        prod.phase("Namespace", "soundcore-kcp-prod"),
        prod.phase("Secret", "kcp-secrets"),
        prod.phase("StatefulSet", "postgres"),
        prod.phase("Deployment", "knowledge-service"),
        prod.phase("Deployment", "frontend"),
        prod.phase("Ingress", "kcp-ingress"),
    ]
    assert order == sorted(order)


@pytest.mark.req("SC-39", "SC-84")
def test_secret_keys_without_values_in_the_manifest(prod: Release) -> None:
    assert sorted(prod.rendered.secret_data["kcp-secrets"]) == ["database-password", "openai-api-key"]
    assert "value-of-soundcore" not in str(prod.rendered.manifests)


@pytest.mark.req("SC-46", "SC-47", "SC-48", "SC-75")
def test_config(prod: Release) -> None:
    assert prod.get("ConfigMap", "kcp-config")["data"] == {
        "KNOWLEDGE_SERVICE_URL": "http://knowledge-service:8001",
        "ANALYTICS_SERVICE_URL": "http://analytics-service:8004",
        "CONTENT_SERVICE_URL": "http://content-service:8002",
        "ENABLE_RAG_ENGINE": "true",
        "ENABLE_CONTENT_GENERATION": "true",
        "ENABLE_KNOWLEDGE_GRAPH": "true",
        "RATE_LIMIT_PER_MINUTE": "1000",
        "CACHE_TTL": "300",
    }


@pytest.mark.req("SC-48")
def test_a_changed_config_rolls_the_pods_that_use_it(prod: Release) -> None:
    changed = Release("soundcore", {"config": {"kcp-config": {"CACHE_TTL": "600"}}})
    for name in ("frontend", "knowledge-service"):
        before, after = (r.get("Deployment", name)["spec"]["template"]["metadata"] for r in (prod, changed))
        assert before["annotations"] != after["annotations"]
    before, after = (r.get("StatefulSet", "neo4j")["spec"]["template"] for r in (prod, changed))
    assert before == after


@pytest.mark.req("SC-56")
def test_log_level_reaches_the_services(prod: Release) -> None:
    assert prod.env("frontend")["LOG_LEVEL"] == "INFO"
    with pytest.raises(BadValues, match="log_level = 'LOUD'"):
        Release("soundcore", {"log_level": "LOUD"})


@pytest.mark.req("SC-77")
def test_pools_must_fit_the_database(prod: Release) -> None:
    assert prod.env("knowledge-service")["DATABASE_POOL_MAX"] == "20"
    with pytest.raises(BadValues, match="may open 200 connections"):
        Release("soundcore", {"data_services": {"postgres": {"max_connections": 150}}})


@pytest.mark.req("SC-79")
def test_analytics_reads_from_the_replica(prod: Release) -> None:
    assert "@postgres-replica:5432/" in prod.env("analytics-service")["ANALYTICS_DATABASE_URL"]
    assert "ANALYTICS_DATABASE_URL" not in prod.env("auth-service")


@pytest.mark.req("SC-81", "SC-82")
def test_databases_admit_backends_only(prod: Release) -> None:
    assert prod.get("NetworkPolicy", "default-deny")["spec"] == {
        "podSelector": {},
        "policyTypes": ["Ingress"],
    }
    for name, port in DATABASES.items():
        rule = prod.get("NetworkPolicy", f"allow-to-{name}")["spec"]["ingress"][0]
        clients = {peer["podSelector"]["matchLabels"]["app"] for peer in rule["from"]}
        assert {f"{backend}-service" for backend in BACKENDS} <= clients
        assert "frontend" not in clients
        assert rule["ports"] == [{"port": port, "protocol": "TCP"}]
    replicas = prod.get("NetworkPolicy", "allow-to-postgres")["spec"]["ingress"][0]["from"]
    assert {"podSelector": {"matchLabels": {"app": "postgres-replica"}}} in replicas


@pytest.mark.req("SC-83")
def test_outside_traffic_comes_through_the_ingress_namespace(prod: Release) -> None:
    rules = prod.get("NetworkPolicy", "allow-to-frontend")["spec"]["ingress"]
    labels = {"kubernetes.io/metadata.name": "kube-system"}
    assert rules == [
        {
            "from": [{"namespaceSelector": {"matchLabels": labels}}],
            "ports": [{"port": 3000, "protocol": "TCP"}],
        }
    ]


@pytest.mark.req("SC-89")
def test_nobody_is_root(prod: Release) -> None:
    for kind in ("Deployment", "StatefulSet"):
        for name in prod.names(kind):
            assert prod.pod(name, kind)["securityContext"]["runAsNonRoot"] is True


def cache_control(release: Release) -> dict[str, str | None]:
    """What Traefik puts into Cache-Control, by path."""
    found: dict[str, str | None] = {}
    for name in release.names("Ingress"):
        ingress = release.get("Ingress", name)
        chain = ingress["metadata"]["annotations"].get("traefik.ingress.kubernetes.io/router.middlewares", "")
        middlewares = [one.partition("@")[0].removeprefix("soundcore-kcp-prod-") for one in chain.split(",")]
        specs = [release.get("Middleware", one)["spec"] for one in middlewares if one]
        (headers,) = [spec["headers"]["customResponseHeaders"] for spec in specs] or [{}]
        for rule in ingress["spec"]["rules"]:
            found.update({path["path"]: headers.get("Cache-Control") for path in rule["http"]["paths"]})
    return found


@pytest.mark.req("SC-75", "SC-76")
def test_static_assets_are_cached_by_the_browser_and_nothing_else_as_long(prod: Release) -> None:
    found = cache_control(prod)
    assert found.pop("/_next/static") == "public, max-age=2592000"
    assert found.pop("/") is None
    assert found.pop("/api/v1/auth") == "no-store"
    assert found == {f"/api/v1/{name}": "private, max-age=300" for name in BACKENDS if name != "auth"}


@pytest.mark.req("SC-97", "SC-99")
def test_scheduling_hints_only_where_asked(prod: Release) -> None:
    assert "affinity" not in prod.pod("frontend")
    spot = {"key": "spot", "operator": "Exists", "effect": "NoSchedule"}
    hints = {"node_selector": {"pool": "cheap"}, "tolerations": [spot]}
    hinted = Release("soundcore", {"services": {"support-service": {"scheduling": hints}}})
    assert hinted.pod("support-service")["nodeSelector"] == {"pool": "cheap"}
    assert hinted.pod("support-service")["tolerations"] == [spot]
    assert "tolerations" not in hinted.pod("frontend")


@pytest.mark.req("SC-105")
def test_contacts_are_data(prod: Release) -> None:
    assert prod.values["contacts"]["on_call"] == "oncall@soundcore.com"
    assert prod.values["contacts"]["devops"] == "devops@soundcore.com"
