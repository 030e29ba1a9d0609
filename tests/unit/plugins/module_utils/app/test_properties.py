"""Whatever the values, as long as they are valid: rendering never fails, never varies and never leaks."""

from __future__ import annotations

import random
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import APPLICATION

from ansible_collections.holdfast.k3s.plugins.module_utils.app import files, release, render, values
from ansible_collections.holdfast.k3s.plugins.module_utils.app.rules.model import blocking

PROPERTY = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


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
    for section in ("services", "secrets", "cronjobs"):  # objects come in the order in which they are named
        if section in given_values:
            again[section] = {name: again[section][name] for name in given_values[section]}
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
