"""Labels and names: selectors find the pods of their own workload, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from test_broken_values import GOOD, SMALL

from ansible_collections.holdfast.k3s.plugins.module_utils.app import release
from ansible_collections.holdfast.k3s.plugins.module_utils.app.merge import deep_merge

JOB = {"command": ["run"], "resources": SMALL}
DATA = {
    "profile": "custom",
    "data_services": {
        "postgres": {"image": "x/pg:16", "storage": {"size": "1Gi"}, "resources": SMALL, "replica": {"resources": SMALL}},
        "redis": {"image": "x/redis:7", "storage": {"size": "1Gi"}, "resources": SMALL, "sentinel": {"resources": SMALL}},
    },
}  # fmt: skip


def found(values: Any) -> list[tuple[str, str]]:
    """(rule, path) of what is worth knowing."""
    given = yaml.safe_load(values) if isinstance(values, str) else values
    return [(f.rule, f.path) for f in release.check(deep_merge(GOOD, given))[1] if f.severity != "info"]


@pytest.mark.parametrize(
    "values",
    [
        {"labels": {"app": "shop", "tier": "one"}},
        {
            "services": {"web": {"component": "frontend"}},
            "selector_labels": ["app.kubernetes.io/component", "app"],
        },
        {**DATA, "selector_labels": ["app.kubernetes.io/component", "app"]},
        {"labels": {"tier": "one"}, "selector_labels": ["tier", "app"]},
    ],
)
def test_every_selector_is_part_of_its_own_template(values: dict[str, Any]) -> None:
    _app, rendered, _findings = release.build(deep_merge(GOOD, values))
    workloads = [m for m in rendered.manifests if m["kind"] in ("Deployment", "StatefulSet")]
    assert len(workloads) >= 2
    for workload in workloads:
        labels = workload["spec"]["template"]["metadata"]["labels"]
        assert workload["spec"]["selector"]["matchLabels"].items() <= labels.items()
        assert labels["app"] == workload["metadata"]["name"]


def test_a_label_of_our_own_is_not_taken_from_the_inventory() -> None:
    assert found("labels: {app: shop}") == [("labels.reserved", "labels.app")]
    assert found("labels: {team: shop}") == []


@pytest.mark.parametrize("label", ["tier", "app.kubernetes.io/version"])
def test_a_selector_label_is_one_that_there_is_and_that_stays(label: str) -> None:
    assert found({"version": "1.0.0", "selector_labels": [label]}) == [
        ("labels.selector", "selector_labels[0]")
    ]


def test_selectors_tell_workloads_apart() -> None:
    assert found("selector_labels: [app.kubernetes.io/part-of]") == [
        ("labels.selector_shared", "selector_labels")
    ]


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ({"migrations": {"api": {"service": "api", **JOB}}}, "migrations.api"),
        ({"jobs": {"api": {"service": "api", **JOB}}}, "jobs.api"),
        ({"cronjobs": {"web": {"service": "api", "schedule": "@daily", **JOB}}}, "cronjobs.web"),
        (
            {"migrations": {"db": {"service": "api", **JOB}}, "jobs": {"db": {"service": "api", **JOB}}},
            "migrations.db",
        ),
        ({**DATA, "services": {"redis": GOOD["services"]["api"]}}, "services.redis"),
        ({**DATA, "jobs": {"postgres-replica": {"service": "api", **JOB}}}, "jobs.postgres-replica"),
    ],
)
def test_names_that_clash(values: dict[str, Any], path: str) -> None:
    assert found(values) == [("names.clash", path)]


def test_a_job_that_is_off_does_not_hide_a_migration() -> None:
    values = {"migrations": {"db": {"service": "api", **JOB}}, "jobs": {"db": {"enabled": False}}}
    app, findings = release.check(deep_merge(GOOD, values))
    assert app["jobs"]["db"]["migration"] is True
    assert [f for f in findings if f.severity != "info"] == []
