"""The numbers of SongNodes, as its inventory renders them."""

from __future__ import annotations

import pytest
from inventory import Release

SERVICES = ["graph-visualization", "metadata-enrichment", "rest-api", "unified-scraper"]


@pytest.fixture(scope="module")
def songnodes() -> Release:
    return Release("songnodes")


@pytest.mark.req("SN-04", "SN-05", "SN-06")
@pytest.mark.parametrize(
    ("kind", "name", "claim", "size"),
    [
        ("StatefulSet", "postgres", "postgres-storage", "20Gi"),
        ("StatefulSet", "rabbitmq", "rabbitmq-data", "10Gi"),
    ],
)
def test_databases_keep_their_data_on_named_claims(
    songnodes: Release, kind: str, name: str, claim: str, size: str
) -> None:
    (template,) = songnodes.get(kind, name)["spec"]["volumeClaimTemplates"]
    assert template["metadata"]["name"] == claim
    assert template["spec"]["resources"]["requests"]["storage"] == size
    redis = songnodes.get("PersistentVolumeClaim", "redis-pvc")
    assert redis["spec"]["resources"]["requests"]["storage"] == "5Gi"
    assert songnodes.pod("redis")["volumes"][0]["persistentVolumeClaim"]["claimName"] == "redis-pvc"


@pytest.mark.req("SN-13", "SN-14", "SN-15", "SN-16", "SN-17", "SN-18")
def test_budgets_keep_one_pod(songnodes: Release) -> None:
    wanted = ["graph-visualization", "metadata-enrichment", "postgres", "rabbitmq", "redis", "rest-api"]
    assert sorted(songnodes.names("PodDisruptionBudget")) == wanted
    for name in wanted:
        spec = songnodes.get("PodDisruptionBudget", name)["spec"]
        assert spec["minAvailable"] == 1
        assert spec["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


@pytest.mark.req("SN-10", "SN-12", "SN-23", "SN-67", "SN-68")
def test_every_service_is_one_replica_that_restarts(songnodes: Release) -> None:
    for name in [*SERVICES, "redis"]:
        assert songnodes.get("Deployment", name)["spec"]["replicas"] == 1
        assert songnodes.pod(name)["restartPolicy"] == "Always"
    assert songnodes.names("HorizontalPodAutoscaler") == []
    assert songnodes.names("Pod") == []


@pytest.mark.req("SN-20", "SN-22", "SN-63", "SN-62")
def test_probes_and_limits_everywhere(songnodes: Release) -> None:
    for name in SERVICES:
        container = songnodes.container(name)
        assert {"livenessProbe", "readinessProbe"} <= set(container)
        for part in [container, *songnodes.pod(name).get("initContainers", [])]:
            assert set(part["resources"]) == {"requests", "limits"}
            assert set(part["resources"]["limits"]) == {"cpu", "memory"}


@pytest.mark.req("SN-21")
def test_slow_starter_has_600_seconds(songnodes: Release) -> None:
    probe = songnodes.container("metadata-enrichment")["startupProbe"]
    assert probe["failureThreshold"] * probe["periodSeconds"] == 600
    assert songnodes.get("Deployment", "metadata-enrichment")["spec"]["progressDeadlineSeconds"] > 600


@pytest.mark.req("SN-24", "SN-25", "SN-26", "SN-27", "SN-64")
@pytest.mark.parametrize(
    ("name", "waits"),
    [
        ("rest-api", {"wait-for-postgres": ["postgres", "5432", "120"]}),
        ("unified-scraper", {"wait-for-postgres": ["postgres", "5432", "120"]}),
        (
            "metadata-enrichment",
            {"wait-for-postgres": ["postgres", "5432", "120"], "wait-for-redis": ["redis", "6379", "60"]},
        ),
    ],
)
def test_services_wait_for_what_they_need(songnodes: Release, name: str, waits: dict[str, list[str]]) -> None:
    found = {
        container["name"]: container["command"][-3:] for container in songnodes.pod(name)["initContainers"]
    }
    assert found == waits


@pytest.mark.req("SN-61", "SN-66")
def test_no_credential_stands_in_a_manifest(songnodes: Release) -> None:
    assert songnodes.rendered.secret_generate == {
        "postgres-credentials": {"POSTGRES_PASSWORD": 32},
        "rabbitmq-credentials": {"RABBITMQ_PASSWORD": 32},
    }
    for secret in ("postgres-credentials", "rabbitmq-credentials"):
        assert "data" not in songnodes.get("Secret", secret)


def test_the_namespace_admits_only_restricted_pods(songnodes: Release) -> None:
    labels = songnodes.get("Namespace", "songnodes")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_order_is_data_then_catalogue_then_services(songnodes: Release) -> None:
    (job,) = songnodes.names("Job")
    assert songnodes.phase("Namespace", "songnodes") == 0
    assert songnodes.phase("StatefulSet", "postgres") < songnodes.phase("Job", job)
    assert songnodes.phase("Job", job) < songnodes.phase("Deployment", "rest-api")


def test_lab_overlay_changes_images_and_requests_only() -> None:
    plain, lab = Release("songnodes"), Release("songnodes", lab=True)
    assert plain.names("PodDisruptionBudget") == lab.names("PodDisruptionBudget")
    assert lab.container("rest-api")["image"] == "localhost:5000/lab/sample-app:1.0.0"
    assert lab.container("postgres", "StatefulSet")["image"] == "localhost:5000/lab/postgres:15"
    limits = [r.container("rest-api")["resources"]["limits"] for r in (plain, lab)]
    assert limits[0] == limits[1]
