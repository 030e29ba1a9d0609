"""What the API would refuse has a finding, and what only looks odd is rendered."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from test_broken_values import GOOD

from ansible_collections.holdfast.k3s.plugins.module_utils.app import files as directory
from ansible_collections.holdfast.k3s.plugins.module_utils.app import release
from ansible_collections.holdfast.k3s.plugins.module_utils.app.merge import deep_merge
from ansible_collections.holdfast.k3s.plugins.module_utils.app.pipelines.files import files

SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "own"}}


def found(values: Any) -> list[tuple[str, str]]:
    """(rule, path) of what is worth knowing."""
    given = yaml.safe_load(values) if isinstance(values, str) else values
    return [(f.rule, f.path) for f in release.check(deep_merge(GOOD, given))[1] if f.severity != "info"]


def web_pod(values: Any) -> dict[str, Any]:
    """The rendered pod of service web."""
    given = yaml.safe_load(values) if isinstance(values, str) else values
    _app, rendered, _findings = release.build(deep_merge(GOOD, given))
    (one,) = [m for m in rendered.manifests if m["kind"] == "Deployment" and m["metadata"]["name"] == "web"]
    spec: dict[str, Any] = one["spec"]["template"]["spec"]
    return spec


@pytest.mark.parametrize(
    ("values", "rule", "path"),
    [
        ("version: 1.2.0+build.5", "labels.value", "version"),
        ("labels: {team: Team A}", "labels.value", "labels.team"),
        ("labels: {my team: a}", "labels.key", "labels.my team"),
        ("namespace_labels: {team: -a}", "labels.value", "namespace_labels.team"),
        ("services: {web: {component: front end}}", "labels.value", "services.web.component"),
        ("services: {web: {probes: {liveness: {successes: 2}}}}", "probes.successes", "services.web.probes.liveness.successes"),
        ("namespace: shop.test", "names.form", "namespace"),
        ("name: shop.test", "names.form", "namespace"),
        ("services: {1web: {port: 1, image: 'x/a:1', no_probes: it has none, resources: &r {requests: {cpu: 1, memory: 1Gi}, limits: {cpu: 1, memory: 1Gi}}}}", "names.form", "services.1web"),
        ("services: {web.a: {port: 1, image: 'x/a:1', no_probes: it has none, resources: &r {requests: {cpu: 1, memory: 1Gi}, limits: {cpu: 1, memory: 1Gi}}}}", "names.form", "services.web.a"),
    ],
)  # fmt: skip
def test_what_the_api_does_not_take(values: str, rule: str, path: str) -> None:
    assert found(values) == [(rule, path)]


@pytest.mark.parametrize(
    "values",
    [
        "version: 1.2.0-rc.1",
        "labels: {team: '', example.net/team: Team_A.1}",
        "services: {web: {probes: {readiness: {successes: 2}, liveness: {successes: 1}}}}",
        "{name: shop.test, namespace: shop}",
    ],
)
def test_what_the_api_takes(values: str) -> None:
    assert found(values) == []


def test_an_object_of_ones_own_is_an_object() -> None:
    assert found({"extra_objects": [{"metadata": {}}]}) == [
        ("schema.required", "extra_objects[0].apiVersion"),
        ("schema.required", "extra_objects[0].kind"),
        ("schema.required", "extra_objects[0].metadata.name"),
    ]


@pytest.mark.parametrize("field", ["data", "stringData"])
def test_a_secret_of_ones_own_is_refused_and_never_written(field: str) -> None:
    objects = {"extra_objects": [{**SECRET, field: {"tls.key": "Y2FuYXJ5"}}]}
    assert found(objects) == [("secrets.literal", f"extra_objects[0].{field}")]
    waiver = {"rule": "secrets.literal", "owner": "ops", "reason": "it is no credential"}
    app, rendered, _findings = release.build(deep_merge(GOOD, {**objects, "waivers": [waiver]}))
    (document,) = yaml.safe_load_all(directory.kustomize(app, rendered)["secrets.yaml"])
    assert document["stringData"] == {"tls.key": directory.PLACEHOLDER}
    assert "Y2FuYXJ5" not in str(directory.kustomize(app, rendered))


def test_other_braces_of_a_wait_command_stay() -> None:
    values = """
wait: {command: [sh, -c, "nc -z {host} {port} | awk '{print $1}'"]}
services: {web: {wait_for: [api]}}
"""
    (init,) = web_pod(values)["initContainers"]
    assert init["command"][-1] == "nc -z api 8081 | awk '{print $1}'"


def test_two_waits_for_one_service_have_two_names() -> None:
    waits = [{"service": "api"}, {"service": "api", "port": 9001}, {"host": "api", "port": 2}]
    names = [init["name"] for init in web_pod({"services": {"web": {"wait_for": waits}}})["initContainers"]]
    assert names == ["wait-for-api", "wait-for-api-1", "wait-for-api-2"]


def test_gitlab_without_environments() -> None:
    ci = {"kind": "gitlab", "tag": "$V", "version_variable": "v", "builds": {"web": {}}}
    (text,) = files(release.build({**GOOD, "ci": ci})[0]).values()
    assert "deploy:staging" not in text
