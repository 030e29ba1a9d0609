"""Whatever the values, as long as they are valid: rendering never fails, never varies and never leaks."""

from __future__ import annotations

import random
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.holdfast.k3s.plugins.module_utils.app import files, release, render, values
from ansible_collections.holdfast.k3s.plugins.module_utils.app.rules.model import blocking

NAMES = st.sampled_from(["web", "api", "worker", "frontend", "search"])
RESOURCES = {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"cpu": "1", "memory": "1Gi"}}
ENV = st.dictionaries(
    st.sampled_from(["A", "B", "MODE", "LEVEL"]),
    st.one_of(
        st.booleans(),
        st.integers(0, 99),
        st.sampled_from(["x", "$(A)", ""]),
        st.just({"field": "metadata.name"}),
    ),
    max_size=3,
)
VOLUME = st.one_of(
    st.just("/scratch"),
    st.just({"mount": "/data", "size": "1Gi"}),
    st.just({"mount": "/cache", "empty_dir": True}),
    st.just({"mount": "/etc/app", "config": "settings"}),
)
SERVICE = st.fixed_dictionaries(
    {"health": st.just("/health"), "resources": st.just(RESOURCES), "port": st.integers(1, 65535)},
    optional={
        "replicas": st.integers(0, 4),
        "env": ENV,
        "config": st.just(["settings"]),
        "secrets": st.just(["keys"]),
        "pdb": st.one_of(st.booleans(), st.just({"min_available": 1}), st.just({"max_unavailable": 1})),
        "strategy": st.sampled_from(["rolling", "recreate", {"max_surge": "25%", "max_unavailable": 0}]),
        "autoscaling": st.just({"min": 1, "max": 3}),
        "topology_spread": st.booleans(),
        "volumes": st.dictionaries(st.sampled_from(["one", "two"]), VOLUME, max_size=2),
        "wait_for": st.sampled_from([{"postgres": 60}, ["postgres"], [{"host": "db.example", "port": 1}]]),
        "order": st.integers(0, 3),
        "enabled": st.booleans(),
    },
)
APPLICATION = st.fixed_dictionaries(
    {
        "name": st.just("app"),
        "profile": st.sampled_from(["single", "ha", "custom"]),
        "services": st.dictionaries(NAMES, SERVICE, max_size=4),
        "config": st.just({"settings": {"KEY": "value"}}),
        "secrets": st.just({"keys": {"values": {"TOKEN": "canary-8f3a"}}}),
        "data_services": st.just(
            {
                "postgres": {
                    "password": {"secret": "keys", "key": "TOKEN"},
                    "storage": {"size": "1Gi"},
                    "resources": RESOURCES,
                }
            }
        ),
    },
    optional={"network_policy": st.just({"enabled": True, "egress": True}), "version": st.just("1.0")},
)
PROPERTY = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


def shuffled(value: Any, seed: int) -> Any:
    """The same values with every mapping in another order."""
    if isinstance(value, dict):
        keys = list(value)
        random.Random(seed).shuffle(keys)
        return {key: shuffled(value[key], seed) for key in keys}
    return [shuffled(item, seed) for item in value] if isinstance(value, list) else value


@PROPERTY
@given(APPLICATION)
def test_valid_values_render(given_values: dict[str, Any]) -> None:
    app, findings = release.check(given_values)
    assert not [finding for finding in findings if finding.rule.startswith("schema.")]
    rendered = render.render(app)
    seen = set()
    for manifest in rendered.manifests:
        key = (manifest["apiVersion"], manifest["kind"], manifest["metadata"]["name"])
        assert key not in seen, "the same object twice"
        seen.add(key)
        assert manifest["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "holdfast"
    assert "canary-8f3a" not in yaml.safe_dump(rendered.manifests)
    assert "canary-8f3a" not in "".join(files.kustomize(app, rendered).values())
    if not blocking(findings):
        assert release.build(given_values)[1].manifests == rendered.manifests


@PROPERTY
@given(APPLICATION, st.integers(0, 1000))
def test_the_same_values_render_the_same_bytes(given_values: dict[str, Any], seed: int) -> None:
    first, second = (render.render(values.prepare(v)) for v in (given_values, given_values))
    assert yaml.safe_dump(first.manifests) == yaml.safe_dump(second.manifests)
    again = shuffled(given_values, seed)
    again["services"] = {name: again["services"][name] for name in given_values["services"]}
    if again["services"]:
        for name, service in given_values["services"].items():
            if "volumes" in service:
                again["services"][name]["volumes"] = service["volumes"]
    assert yaml.safe_dump(render.render(values.prepare(again)).manifests) == yaml.safe_dump(first.manifests)


@PROPERTY
@given(APPLICATION)
def test_order_is_by_phase(given_values: dict[str, Any]) -> None:
    steps = render.render(values.prepare(given_values)).steps
    phases = [render.PHASES.index(step.phase) for step in steps]
    assert phases == sorted(phases)
