"""Rules that let a mistake through, and rules that stopped what is right."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from test_broken_values import GOOD, SMALL

from ansible_collections.holdfast.k3s.plugins.module_utils.app import release
from ansible_collections.holdfast.k3s.plugins.module_utils.app.merge import deep_merge
from ansible_collections.holdfast.k3s.plugins.module_utils.app.rules.evaluate import KNOWN

BASE: dict[str, Any] = {**GOOD, "profile": "custom"}
JOB = {"image": "x.example/job:1.0.0", "resources": SMALL}
REDIS = {"image": "x/redis:7", "storage": {"size": "1Gi"}, "resources": SMALL}


def found(values: Any) -> list[tuple[str, str]]:
    """(rule, path) of what stops."""
    given = yaml.safe_load(values) if isinstance(values, str) else values
    findings = [f for f in release.check(deep_merge(BASE, given))[1] if f.severity == "error"]
    assert {f.rule for f in findings} <= KNOWN
    return [(f.rule, f.path) for f in findings]


def objects(values: Any) -> list[dict[str, Any]]:
    """What is rendered."""
    given = yaml.safe_load(values) if isinstance(values, str) else values
    rendered = release.build(deep_merge(BASE, given))[1]
    return rendered.manifests


def volume(**fields: Any) -> dict[str, Any]:
    return {"services": {"web": {"replicas": 2, "volumes": {"c": {"mount": "/c", "size": "1Gi", **fields}}}}}


def memory(request: Any, limit: Any) -> dict[str, Any]:
    return {
        "services": {"web": {"resources": {"requests": {"memory": request}, "limits": {"memory": limit}}}}
    }


@pytest.mark.parametrize(
    ("values", "rule", "path"),
    [
        (volume(access="ReadWriteMany"), "storage.rwx_class", "services.web.volumes.c.access"),
        (volume(access="ReadWriteOncePod", single_node_shared=True), "storage.rwo_replicas", "services.web.volumes.c.access"),
        ({"jobs": {"seed": {**JOB, "wait_for": ["api"]}}}, "wait.order", "jobs.seed.wait_for"),
        ({"migrations": {"schema": {**JOB, "service": "apii"}}}, "jobs.unknown_service", "migrations.schema.service"),
        ({"cronjobs": {"c": {**JOB, "schedule": "@daily", "service": "apii"}}}, "jobs.unknown_service", "cronjobs.c.service"),
        ("services: {web: {security: {run_as_user: 0}}}", "security.user_zero", "services.web.security.run_as_user"),
        ({"data_services": {"redis": {**REDIS, "run_as_user": 0}}}, "security.user_zero", "data_services.redis.security.run_as_user"),
        ("security: {pod_security: restricted}\nservices: {web: {volumes: {h: {mount: /h, host_path: /var/log}}}}",
         "security.pod_security", "security.pod_security"),
        (memory("64Mi", 128), "resources.memory_unit", "services.web.resources.limits.memory"),
        (memory("64m", "128Mi"), "resources.memory_unit", "services.web.resources.requests.memory"),
        ({"data_services": {"redis": deep_merge(REDIS, {"resources": {"requests": {"memory": "64"}}})}},
         "resources.memory_unit", "data_services.redis.resources.requests.memory"),
        ("services: {web: {env: {DB_PASS: hunter2}}}", "secrets.literal", "services.web.env.DB_PASS"),
        ("services: {web: {env: {API_TOKEN: 4096}}}", "secrets.literal", "services.web.env.API_TOKEN"),
        ("services: {web: {ports: [{port: 53}, {port: 53}]}}", "ports.duplicate", "services.web.ports"),
        ("services: {web: {node_port: 30001, ports: [{port: 80}]}}", "ports.node_port_unused", "services.web.node_port"),
        ("services: {web: {node_port: 30001, port: null}}", "ports.node_port_unused", "services.web.node_port"),
    ],
)  # fmt: skip
def test_a_mistake_is_named(values: Any, rule: str, path: str) -> None:
    assert (rule, path) in found(values)


@pytest.mark.parametrize(
    "values",
    [
        volume(empty_dir=True),
        volume(access="ReadWriteMany", rwx_capable=True, storage_class="nfs"),
        {"jobs": {"seed": {**JOB, "when": "post", "wait_for": ["api"]}}},
        {"migrations": {"schema": {"service": "api", "command": ["m"], "resources": SMALL}}},
        "services: {web: {env: {OPENAI_MAX_TOKENS: 4096, ALLOW_EMPTY_PASSWORD: 'yes', BYPASS: a, PWD: /srv}}}",
        "services: {web: {ports: [{port: 53}, {port: 53, protocol: UDP}], health: null, no_probes: it speaks DNS}}",
        "services: {web: {ports: [{port: 53, node_port: 30053}, {port: 53, protocol: UDP, node_port: 30053}]}}",
        "ingress: {hosts: [{host: a.example, paths: [{path: /, type: Exact, service: web, port: 8080}, {path: /, service: api, port: 8081}]}]}",
        {"rpo_hours": 0.5, "backup_schedule": "0,30 * * * *"},
        "security: {pod_security: baseline}",
    ],
)
def test_what_is_right_passes(values: Any) -> None:
    assert found(values) == []


def test_an_empty_dir_makes_no_claim_of_a_size_that_is_also_there() -> None:
    assert not [m for m in objects(volume(empty_dir=True)) if m["kind"] == "PersistentVolumeClaim"]


def test_ports_of_both_protocols_have_two_names_and_routes_go_to_tcp() -> None:
    values = """
services: {web: {ports: [{port: 53}, {port: 53, protocol: UDP}]}}
network_policy: {enabled: true}
ingress: {hosts: [{host: a.example, paths: [{service: web, port: 53}]}]}
"""
    found_objects = objects(values)
    (service,) = [m for m in found_objects if m["kind"] == "Service" and m["metadata"]["name"] == "web"]
    assert [port["name"] for port in service["spec"]["ports"]] == ["p53", "p53-udp"]
    (policy,) = [m for m in found_objects if m["metadata"]["name"] == "allow-to-web"]
    assert policy["spec"]["ingress"][-1]["ports"] == [{"port": 53, "protocol": "TCP"}]


def test_a_claim_for_one_pod_is_let_go_before_the_next_pod_starts() -> None:
    values = volume(access="ReadWriteOncePod")
    values["services"]["web"]["replicas"] = 1
    (web,) = [m for m in objects(values) if m["kind"] == "Deployment" and m["metadata"]["name"] == "web"]
    assert web["spec"]["strategy"] == {"type": "Recreate"}
