"""Every mistake gets its own message, and all mistakes are named at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.holdfast.k3s.plugins.module_utils.app import release
from ansible_collections.holdfast.k3s.plugins.module_utils.app.merge import deep_merge
from ansible_collections.holdfast.k3s.plugins.module_utils.app.rules.evaluate import KNOWN

CASES = yaml.safe_load((Path(__file__).parent / "broken.yml").read_text())
SMALL = {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"cpu": "200m", "memory": "128Mi"}}


def service(port: int) -> dict[str, Any]:
    return {"image": "x.example/app:1.0.0", "port": port, "health": "/health", "resources": SMALL}


GOOD: dict[str, Any] = {"name": "good", "services": {"web": service(8080), "api": service(8081)}}


def refused(values: dict[str, Any]) -> release.BadValues:
    with pytest.raises(release.BadValues) as failure:
        release.build(values)
    return failure.value


def test_the_good_one_is_good() -> None:
    assert [f for f in release.build(GOOD)[2] if f.severity != "info"] == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"].replace(" ", "-"))
def test_message(case: dict[str, Any]) -> None:
    failure = refused(deep_merge(GOOD, case["values"]))
    assert case["message"] in str(failure)
    for finding in failure.findings:
        assert finding.path, finding
        assert finding.message.endswith("."), finding
        assert finding.fix, finding
        assert finding.rule.startswith("schema.") or finding.rule in KNOWN, finding.rule


def test_everything_is_named_at_once() -> None:
    broken = {
        "services": {
            "web": {"wait_for": ["nobody"], "env": {"API_TOKEN": "abc"}, "replicas": 3},
            "api": {"resources": None},
        }
    }
    rules = {finding.rule for finding in refused(deep_merge(GOOD, broken)).findings}
    assert rules == {"wait.unknown", "secrets.literal", "profile.single_replicas", "resources.missing"}


def test_no_message_shows_a_credential() -> None:
    broken = {
        "services": {"web": {"env": {"API_TOKEN": "hunter22"}}},
        "config": {"c": {"DB_PASSWORD": "hunter22"}},
    }
    failure = refused(deep_merge(GOOD, broken))
    assert "hunter22" not in str(failure)
    assert "hunter22" not in str([finding.as_dict() for finding in failure.findings])


@pytest.mark.parametrize(
    "broken",
    [
        "secrets: {db-password: hunter22}",
        "secrets: hunter22",
        "secrets: {db: {values: hunter22}}",
        "secrets: {db: {values: {PASSWORD: [hunter22]}}}",
        "secrets: {db: {generate: {PASSWORD: hunter22}}}",
        "config: {c: hunter22}",
        "services: {web: {env: [{name: DB_PASSWORD, value: hunter22}]}}",
        "services: {web: {env: [DB_PASSWORD=hunter22]}}",
        "services: {web: {env: {DB_PASSWORD: [hunter22]}}}",
        "services: {web: {secrets: {DB_PASSWORD: hunter22}}}",
        "services: {web: {ports: [{port: {password: hunter22}}]}}",
        "data_services: {postgres: {password: [hunter22]}}",
        "data_services: {redis: {auth: {secret: 1, password: hunter22}}}",
        "modes: {one: {secrets: {db: hunter22}}}\nmode: one",
        "role_splits: [{api: web, worker: api, worker_env: [hunter22]}]",
    ],
)
def test_no_message_about_the_form_shows_a_credential(broken: str) -> None:
    failure = refused(deep_merge(GOOD, yaml.safe_load(broken)))
    assert "hunter22" not in str(failure)
    assert "hunter22" not in str([finding.as_dict() for finding in failure.findings])


def test_values_that_are_no_mapping_are_not_shown() -> None:
    _app, findings = release.check(["hunter22"])  # type: ignore[arg-type]
    assert [finding.path for finding in findings] == ["app_values"]
    assert "hunter22" not in str([finding.as_dict() for finding in findings])


def test_a_wrong_value_elsewhere_is_still_shown() -> None:
    assert "services.web.port = 'http'" in str(
        refused(deep_merge(GOOD, {"services": {"web": {"port": "http"}}}))
    )
    assert "services = 'Web_App'" in str(refused(deep_merge(GOOD, {"services": {"Web_App": {}}})))


def test_a_waiver_lets_pass_and_stays_visible() -> None:
    waiver = {
        "rule": "security.root",
        "target": "services.web",
        "reason": "the image needs it",
        "owner": "ops",
    }
    rooted = {"services": {"web": {"security": {"run_as_root": True}}}, "waivers": [waiver]}
    findings = release.build(deep_merge(GOOD, rooted))[2]
    (found,) = [finding for finding in findings if finding.rule == "security.root"]
    assert found.as_dict()["waiver"] == waiver
    other = deep_merge(rooted, {"waivers": [{**waiver, "target": "services.api"}]})
    assert "security.root" in str(refused(deep_merge(GOOD, other)))
