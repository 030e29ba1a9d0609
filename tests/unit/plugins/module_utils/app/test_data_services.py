"""Data services in the cluster: what is refused, and what is rendered."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.holdfast.k3s.plugins.module_utils.app import release
from ansible_collections.holdfast.k3s.plugins.module_utils.app.expects import expectations
from ansible_collections.holdfast.k3s.plugins.module_utils.app.merge import deep_merge

SMALL = {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"cpu": "200m", "memory": "128Mi"}}
KEYS = {"secrets": {"keys": {"generate": {"P": 16}}}}
PASSWORD = {"secret": "keys", "key": "P"}


def values(**data_services: Any) -> dict[str, Any]:
    """An application of nothing but data services, each with a size and resources."""
    common = {"storage": {"size": "1Gi"}, "resources": SMALL}
    given = {name: deep_merge(common, entry) for name, entry in data_services.items()}
    return {"name": "shop", "profile": "custom", "data_services": given, **KEYS}


def rules(given: dict[str, Any]) -> dict[str, str]:
    """Rule to path of everything that stops the run."""
    return {f.rule: f.path for f in release.check(given)[1] if f.severity == "error"}


def objects(given: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(m["kind"], m["metadata"]["name"]): m for m in release.build(given)[1].manifests}


@pytest.mark.parametrize("engine", ["postgres", "redis", "rabbitmq", "neo4j"])
def test_several_servers_behind_one_name_are_refused(engine: str) -> None:
    assert rules(values(db={"engine": engine, "replicas": 2})) == {
        "data.replicas": "data_services.db.replicas"
    }
    assert rules(values(db={"engine": engine})) == {}


def test_mongodb_members_are_a_set_only_as_statefulset() -> None:
    assert rules(values(mongodb={"replicas": 3})) == {}
    assert "data.replicas" in rules(values(mongodb={"replicas": 3, "kind": "deployment"}))


def test_two_data_services_never_share_a_claim_by_default() -> None:
    two = values(cache={"engine": "redis"}, sessions={"engine": "redis"})
    with pytest.raises(release.BadValues) as failure:
        release.build(two)
    (found,) = failure.value.findings
    assert (found.rule, found.path, found.value) == ("objects.twice", "data_services.sessions", "data")
    assert "data_services.cache" in found.message and "data_services.sessions.storage.name" in found.fix
    named = deep_merge(two, {"data_services": {"sessions": {"storage": {"name": "sessions"}}}})
    assert {name for kind, name in objects(named) if kind == "PersistentVolumeClaim"} == {"data", "sessions"}


def test_an_object_that_two_parts_of_the_values_ask_for_is_refused() -> None:
    extra = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "redis", "namespace": "shop"}}
    assert rules({**values(redis={}), "extra_objects": [extra]}) == {"objects.twice": "extra_objects[0]"}


def test_a_data_service_without_an_engine_is_refused_in_the_cluster_only() -> None:
    assert rules(values(db={"image": "postgres:16", "port": 5432})) == {
        "data.no_engine": "data_services.db.engine"
    }
    assert rules(values(db={"mode": "external", "host": "db.example", "port": 3306})) == {}


def test_the_claim_of_a_data_services_own_volume_is_rendered() -> None:
    found = objects(values(redis={"volumes": {"x": {"mount": "/x", "size": "2Gi"}}}))
    claim = found["PersistentVolumeClaim", "redis-x"]
    assert claim["spec"]["resources"] == {"requests": {"storage": "2Gi"}}
    volumes = found["Deployment", "redis"]["spec"]["template"]["spec"]["volumes"]
    assert {v["persistentVolumeClaim"]["claimName"] for v in volumes if "persistentVolumeClaim" in v} == {
        "data",
        "redis-x",
    }


def test_members_cannot_share_one_claim() -> None:
    shared = values(mongodb={"replicas": 3, "volumes": {"x": {"mount": "/x", "size": "2Gi"}}})
    assert rules(shared) == {"storage.rwo_replicas": "data_services.mongodb.volumes.x.access"}


def probes(given: dict[str, Any]) -> dict[str, Any]:
    """The probes of Redis with these laid over the engine's."""
    pod = objects(values(redis={"probes": given}))["Deployment", "redis"]["spec"]["template"]["spec"]
    return {key: value for key, value in pod["containers"][0].items() if key.endswith("Probe")}


def test_probes_of_a_data_service_are_laid_over_the_engines() -> None:
    usual = probes({})
    assert sorted(usual) == ["livenessProbe", "readinessProbe", "startupProbe"]
    off = probes({"liveness": False})
    assert off == {key: value for key, value in usual.items() if key != "livenessProbe"}
    patient = probes({"startup": {"budget": 900}})["startupProbe"]
    assert patient == {**usual["startupProbe"], "failureThreshold": 180}
    assert probes({"readiness": {"tcp": 6379}})["readinessProbe"] == {
        "tcpSocket": {"port": 6379}, "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 3,
    }  # fmt: skip
    assert probes({"liveness": "/health"})["livenessProbe"]["httpGet"] == {"path": "/health", "port": 6379}


@pytest.mark.parametrize(
    ("engine", "usual", "told"),
    [
        ("postgres", 5432, {"name": "PGPORT", "value": "7000"}),
        ("rabbitmq", 5672, {"name": "RABBITMQ_NODE_PORT", "value": "7000"}),
        ("neo4j", 7687, {"name": "NEO4J_server_bolt_listen__address", "value": ":7000"}),
        ("redis", 6379, "--port 7000"),
        ("mongodb", 27017, "--port 7000"),
    ],
)
def test_the_server_listens_where_its_service_leads(engine: str, usual: int, told: Any) -> None:
    def main(port: int) -> dict[str, Any]:
        found = objects(values(db={"engine": engine, "port": port}))
        assert found["Service", "db"]["spec"]["ports"][0]["port"] == port
        workload = found.get(("StatefulSet", "db")) or found["Deployment", "db"]
        container: dict[str, Any] = workload["spec"]["template"]["spec"]["containers"][0]
        assert container["ports"][0]["containerPort"] == port
        return container

    moved = main(7000)
    assert told in moved.get("env", []) or str(told) in " ".join(moved.get("args", []))
    if engine != "mongodb":
        assert told not in main(usual).get("env", []) and "--port" not in main(usual).get("args", [])


def test_a_replica_follows_its_primary_to_the_other_port() -> None:
    found = objects(values(postgres={"port": 7000, "replica": {"replicas": 1}, "password": PASSWORD}))
    spec = found["StatefulSet", "postgres-replica"]["spec"]["template"]["spec"]
    for container in (*spec["initContainers"], *spec["containers"]):
        assert {"name": "PGPORT", "value": "7000"} in container["env"]


def test_a_mongodb_that_could_not_start_is_refused() -> None:
    auth = {"user": "root", "password": PASSWORD}
    found = [f for f in release.check(values(mongodb=auth))[1] if f.severity == "error"]
    assert {f.rule for f in found} == {"data.mongodb_auth"}
    assert {f.path for f in found} == {"data_services.mongodb.user", "data_services.mongodb.password"}
    assert {f.value for f in found} == {None}, "no credential is shown"
    assert rules(values(mongodb={**auth, "args": ["--keyFile", "/keys/file"]})) == {}
    assert rules(values(mongodb={**auth, "mode": "external", "host": "mongo.example"})) == {}


def flows(given: dict[str, Any], direction: str) -> dict[str, list[str]]:
    """Pods that a policy selects to the pods at the other end."""
    policies = {"network_policy": {"enabled": True, "egress": True}}
    found: dict[str, list[str]] = {}
    for (kind, _name), obj in objects({**given, **policies}).items():
        for rule in (obj["spec"].get(direction) or []) if kind == "NetworkPolicy" else []:
            for end in rule["to" if direction == "egress" else "from"]:
                own, other = obj["spec"]["podSelector"], end.get("podSelector")
                if own and other:
                    found.setdefault(own["matchLabels"]["app"], []).append(other["matchLabels"]["app"])
    return {own: sorted(others) for own, others in found.items()}


def test_data_services_reach_their_own_kind_where_egress_is_closed() -> None:
    given = values(
        postgres={"replica": {"replicas": 1}, "password": PASSWORD, "storage": {"name": "pg"}},
        redis={"sentinel": {"replicas": 3}, "storage": {"name": "redis"}},
        mongodb={"replicas": 3},
        rabbitmq={},
    )
    assert flows(given, "egress") == {
        "postgres-replica": ["postgres"],
        "redis-sentinel": ["redis", "redis-sentinel"],
        "mongodb": ["mongodb"],
        "mongodb-initiate": ["mongodb"],
    }
    assert flows(given, "ingress") == {
        "postgres": ["postgres-replica"],
        "redis": ["redis-sentinel"],
        "redis-sentinel": ["redis-sentinel"],
        "mongodb": ["mongodb", "mongodb-initiate"],
    }


@pytest.mark.parametrize(
    ("given", "rule", "path"),
    [
        ({"env": {"EXTRA_TOKEN": "abc"}}, "secrets.literal", "data_services.redis.env.EXTRA_TOKEN"),
        ({"env": {"A": {"secret": "nowhere", "key": "K"}}}, "secrets.unknown", "data_services.redis"),
        ({"env": {"A": {"config": "nowhere", "key": "K"}}}, "config.unknown", "data_services.redis"),
        ({"env": {"A": {"secret": "keys", "key": "K"}}}, "secrets.missing_key", "data_services.redis.env.A"),
        (
            {"volumes": {"x": {"mount": "/x", "claim": "nowhere"}}},
            "storage.unknown_claim",
            "data_services.redis.volumes.x.claim",
        ),
        ({"security": {"privileged": True}}, "security.root", "data_services.redis.security"),
    ],
)
def test_rules_about_pods_look_at_data_services_too(given: dict[str, Any], rule: str, path: str) -> None:
    assert rules(values(redis=given)) == {rule: path}
    assert rules(values(redis={**given, "mode": "external", "host": "redis.example"})) == {}


def test_claims_that_data_services_take_over_have_to_be_there() -> None:
    given = values(
        redis={"storage": {"existing_claim": "old"}, "volumes": {"x": {"mount": "/x", "existing_claim": "y"}}}
    )
    app, rendered, _ = release.build(given)
    assert expectations(app, rendered)["claims"] == ["old", "y"]


def test_a_password_that_its_secret_does_not_have_is_found() -> None:
    given = values(postgres={"password": {"secret": "keys", "key": "Q"}})
    assert rules(given) == {"secrets.missing_key": "data_services.postgres.password"}
