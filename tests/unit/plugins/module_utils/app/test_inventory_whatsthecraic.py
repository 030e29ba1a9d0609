"""The numbers of WhatsTheCraic."""

from __future__ import annotations

import pytest
import yaml
from inventory import Release

from ansible_collections.holdfast.k3s.plugins.module_utils.app import files
from ansible_collections.holdfast.k3s.plugins.module_utils.app.release import BadValues

TABLE = {
    "aggregator": (4000, "100m/96Mi -> 300m/256Mi"),
    "auth-service": (3001, "50m/64Mi -> 200m/192Mi"),
    "events-service": (4003, "100m/128Mi -> 300m/384Mi"),
    "dj-service": (4002, "50m/64Mi -> 200m/192Mi"),
    "venue-service": (4001, "50m/64Mi -> 200m/192Mi"),
    "ml-service": (4004, "100m/128Mi -> 500m/512Mi"),
}
ORDER = ["auth-service", "events-service", "dj-service", "venue-service", "aggregator", "ml-service"]
SECRET_KEYS = {
    "DB_HOST", "DB_USER", "DB_PASSWORD", "JWT_SECRET", "TICKETMASTER_API_KEY", "BANDSINTOWN_APP_ID", "SPOTIFY_CLIENT_ID",
    "SPOTIFY_CLIENT_SECRET", "EVENTBRITE_API_TOKEN", "APIFY_TOKEN",
}  # fmt: skip


@pytest.fixture(scope="module")
def craic() -> Release:
    return Release("whatsthecraic")


@pytest.mark.req(
    "WC-09",
    "WC-10",
    "WC-11",
    "WC-12",
    "WC-13",
    "WC-14",
    "WC-23",
    "WC-26",
    "WC-27",
    "WC-28",
    "WC-29",
    "WC-30",
    "WC-31",
    "WC-38",
    "WC-39",
)
@pytest.mark.parametrize("name", TABLE)
def test_service_table(craic: Release, name: str) -> None:
    port, resources = TABLE[name]
    assert craic.get("Service", name)["spec"]["ports"][0]["port"] == port
    assert craic.resources(name) == resources
    for probe in ("livenessProbe", "readinessProbe"):
        assert craic.container(name)[probe]["httpGet"] == {"path": "/health", "port": port}


@pytest.mark.req("WC-26", "WC-28", "WC-80")
def test_two_services_scale_from_one_to_two(craic: Release) -> None:
    assert sorted(craic.names("HorizontalPodAutoscaler")) == ["aggregator", "events-service"]
    for name in craic.names("HorizontalPodAutoscaler"):
        spec = craic.get("HorizontalPodAutoscaler", name)["spec"]
        assert (spec["minReplicas"], spec["maxReplicas"]) == (1, 2)


@pytest.mark.req("WC-63", "WC-72")
def test_the_others_can_scale_too() -> None:
    scaled = {
        name: {"autoscaling": {"min": 1, "max": 2}}
        for name in ("dj-service", "venue-service", "auth-service")
    }
    found = Release("whatsthecraic", {"services": scaled})
    assert set(scaled) <= set(found.names("HorizontalPodAutoscaler"))


@pytest.mark.req("WC-18", "WC-37")
def test_every_service_rolls_with_one_more_and_none_less(craic: Release) -> None:
    for name in TABLE:
        strategy = craic.get("Deployment", name)["spec"]["strategy"]
        assert strategy == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}


@pytest.mark.req("WC-19", "WC-20", "WC-21", "WC-24")
def test_environment_from_config_and_secret(craic: Release) -> None:
    for name in TABLE:
        assert craic.container(name)["envFrom"] == [
            {"configMapRef": {"name": "whatsthecraic-config"}},
            {"secretRef": {"name": "whatsthecraic-secrets"}},
        ]
    config = craic.get("ConfigMap", "whatsthecraic-config")
    note = config["metadata"]["annotations"]["holdfast.dev/note"]
    for words in ("in-memory cache", "24 h TTL", "no external Redis", "200 ms"):
        assert words in note
    assert not [key for key in config["data"] if "CACHE" in key or "SPOTIFY" in key]


@pytest.mark.req("WC-49", "WC-74")
def test_secret_has_exactly_these_keys(craic: Release) -> None:
    data = craic.rendered.secret_data["whatsthecraic-secrets"]
    assert set(data) == SECRET_KEYS
    assert data["DB_USER"] == "admin"
    with pytest.raises(BadValues, match=r"secrets.whatsthecraic-secrets.JWT_SECRET"):
        Release("whatsthecraic", {"secrets": {"whatsthecraic-secrets": {"values": {"JWT_SECRET": ""}}}})


@pytest.mark.req("WC-25", "WC-80")
def test_account_may_read_its_config_and_nothing_else(craic: Release) -> None:
    assert {craic.pod(name)["serviceAccountName"] for name in TABLE} == {"whatsthecraic"}
    (rule,) = craic.get("Role", "whatsthecraic")["rules"]
    assert rule["verbs"] == ["get"]
    assert rule["resourceNames"] == ["whatsthecraic-config"]
    assert craic.pod("aggregator")["automountServiceAccountToken"] is False


@pytest.mark.req("WC-32", "WC-33", "WC-34", "WC-35", "WC-80")
def test_routes(craic: Release) -> None:
    routes = {}
    for name in craic.names("Ingress"):
        spec = craic.get("Ingress", name)["spec"]
        assert spec["ingressClassName"] == "traefik"
        for rule in spec["rules"]:
            for path in rule["http"]["paths"]:
                service = path["backend"]["service"]
                routes[rule["host"], path["path"]] = (service["name"], service["port"]["number"])
    domain = "whatsthecraic.run.place"
    assert (
        routes[f"api.{domain}", "/"]
        == routes[domain, "/"]
        == routes[f"www.{domain}", "/"]
        == ("aggregator", 4000)
    )
    assert routes[f"auth.{domain}", "/"] == ("auth-service", 3001)
    assert not [path for _, path in routes if "cache-stats" in path]


@pytest.mark.req("WC-67")
def test_rate_limits_per_endpoint(craic: Release) -> None:
    limits = {
        (m["spec"]["rateLimit"]["average"], m["spec"]["rateLimit"]["burst"])
        for m in craic.rendered.manifests
        if m["kind"] == "Middleware" and "rateLimit" in m["spec"]
    }
    assert limits == {(100, 200), (5, 10), (10, 20)}
    for name in craic.names("Ingress"):
        notes = craic.get("Ingress", name)["metadata"]["annotations"]
        assert f"whatsthecraic-{name}-rate-limit@kubernetescrd" in notes.values()


@pytest.mark.req("WC-75")
def test_certificates_by_traefik(craic: Release) -> None:
    notes = craic.get("Ingress", "whatsthecraic")["metadata"]["annotations"]
    assert notes["traefik.ingress.kubernetes.io/router.tls.certresolver"] == "letsencrypt"


@pytest.mark.req("WC-04", "WC-40")
def test_images_are_commits_from_ecr(craic: Release) -> None:
    host = "385017713886.dkr.ecr.eu-west-1.amazonaws.com"
    for name in TABLE:
        assert craic.container(name)["image"] == f"{host}/whatsthecraic/{name}:{'0' * 40}"
        assert craic.container(name)["imagePullPolicy"] == "IfNotPresent"
    with pytest.raises(BadValues, match="a commit id or a digest"):
        Release("whatsthecraic", whatsthecraic_commit="latest")


@pytest.mark.req("WC-52")
def test_order_of_the_first_deployment(craic: Release) -> None:
    assert craic.names("Deployment") == ORDER
    order = [
        craic.phase("Namespace", "whatsthecraic"),
        craic.phase("ConfigMap", "whatsthecraic-config"),
        craic.phase("Secret", "whatsthecraic-secrets"),
        *(craic.phase("Deployment", name) for name in ORDER),
        craic.phase("Ingress", "whatsthecraic"),
    ]
    assert order == sorted(order)


@pytest.mark.req("WC-53")
def test_kustomize_directory(craic: Release) -> None:
    found = files.kustomize(craic.app, craic.rendered)
    wanted = {
        "kustomization.yaml",
        "namespace.yaml",
        "configmap.yaml",
        "secrets.yaml",
        "ingress.yaml",
        "hpa.yaml",
    }
    assert wanted | {f"{name}.yaml" for name in TABLE} <= set(found)
    (secret,) = [d for d in yaml.safe_load_all(found["secrets.yaml"]) if d]
    assert set(secret["stringData"]) == SECRET_KEYS
    assert set(secret["stringData"].values()) == {"<set by the operator>"}
    assert "value-of-" not in "".join(found.values())
    (listed,) = [d for d in yaml.safe_load_all(found["kustomization.yaml"]) if d]
    assert set(listed["resources"]) == set(found) - {"kustomization.yaml"}
    documents = [d for name in listed["resources"] for d in yaml.safe_load_all(found[name]) if d]
    assert len(documents) == len(craic.rendered.manifests)


@pytest.mark.req("WC-68")
def test_migration_comes_first(craic: Release) -> None:
    (job,) = craic.names("Job")
    assert craic.phase("Job", job) < craic.phase("Deployment", ORDER[0])


@pytest.mark.req("WC-69")
def test_the_same_secret_from_a_manager() -> None:
    secret = {
        "provider": "external",
        "values": None,
        "store": {"name": "aws"},
        "data": {"JWT_SECRET": "craic/jwt"},
    }
    found = Release("whatsthecraic", {"secrets": {"whatsthecraic-secrets": secret}})
    spec = found.get("ExternalSecret", "whatsthecraic-secrets")["spec"]
    assert spec["secretStoreRef"] == {"name": "aws", "kind": "ClusterSecretStore"}
    assert found.names("Secret") == []


@pytest.mark.req("WC-73")
def test_models_survive_a_restart(craic: Release) -> None:
    claim = craic.get("PersistentVolumeClaim", "ml-service-models")
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]
    assert craic.pod("ml-service")["volumes"][0]["persistentVolumeClaim"]["claimName"] == "ml-service-models"


@pytest.mark.req("WC-79")
def test_cloudwatch_per_service() -> None:
    found = Release("whatsthecraic", {"services": {"ml-service": {"env": {"ENABLE_CLOUDWATCH": True}}}})
    assert found.env("ml-service")["ENABLE_CLOUDWATCH"] == "true"
    assert found.env("dj-service")["ENABLE_CLOUDWATCH"] == "false"
