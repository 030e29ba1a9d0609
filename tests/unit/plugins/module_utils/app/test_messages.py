"""A message about the form of values says what to do, and names all that is wrong."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from test_broken_values import GOOD, refused

from ansible_collections.holdfast.k3s.plugins.module_utils.app.merge import deep_merge


def said(values: str) -> list[str]:
    """Every finding as `path: fix`."""
    failure = refused(deep_merge(GOOD, yaml.safe_load(values)))
    return [f"{finding.path}: {finding.fix}" for finding in failure.findings]


@pytest.mark.parametrize(
    ("values", "fix"),
    [
        ("kubernetes_min: 1.28", 'kubernetes_min: put it in quotes: "1.28"'),
        ("services: {web: {scheduling: {node_selector: {ssd: true}}}}", 'services.web.scheduling.node_selector.ssd: put it in quotes: "true"'),
        ("services: {web: {replicas: '2'}}", "services.web.replicas: take the quotes away: 2"),
        ("services: {web: {enabled: 'False'}}", "services.web.enabled: take the quotes away: false"),
        ("services: {web: {replicas: two}}", "services.web.replicas: write a whole number, such as 2"),
        ("services: {web: {ports: [8080]}}", "services.web.ports[0]: write a mapping, such as {name: http, port: 8080}"),
        ("data_services: {postgres: {storage: 10Gi}}", "data_services.postgres.storage: write a mapping, such as {size: 10Gi}"),
        ("services: {web: {command: run}}", "services.web.command: write a list: [run]"),
        ("services: {web: {env: [A=b]}}", "services.web.env: write a mapping, such as {LOG_LEVEL: info, TOKEN: {secret: keys, key: TOKEN}}"),
        ("secrets: {keys: {keys: [1]}}", "secrets.keys.keys[0]: put it in quotes"),
        ("secrets: {keys: {exact: 'true'}}", "secrets.keys.exact: take the quotes away"),
        ("secrets: {keys: {keys: TOKEN}}", "secrets.keys.keys: write a list, in brackets"),
        ("off_hours: on call", "off_hours: write a mapping with keys such as enabled, down, up, time_zone"),
        ("labels: [a]", "labels: write a mapping, such as {NAME: …}"),
        ("services: {web: {resources: {limits: {memory: 512MB}}}}", "services.web.resources.limits.memory: write it like 512Mi"),
        ("cronjobs: {c: {schedule: daily}}", "cronjobs.c.schedule: write it like 0 2 * * *"),
        ("services: {web: {health: health}}", "services.web.health: begin it with a slash"),
        ("services: {web: {port: 0}}", "services.web.port: write at least 1"),
        ("services: {web: {secrets: {A: b}}}", "services.web.secrets: write one name or a list of names"),
        ("secrets: {keys: {values: {A: [b]}}}", "secrets.keys.values.A: write text or a number or true or false"),
        ("services: {web: {strategy: Recreate}}", "services.web.strategy: write rolling (surge 1, unavailable 0), recreate, or the numbers"),
    ],
)  # fmt: skip
def test_the_fix_says_what_to_write(values: str, fix: str) -> None:
    assert said(values) == [fix]


def test_every_misspelt_and_every_missing_key_is_named() -> None:
    assert said("services: {web: {prot: 1, imag: x}}") == [
        "services.web.prot: did you mean port?",
        "services.web.imag: did you mean image?",
    ]
    assert said("ingress: {hosts: [{host: a.example, paths: [{path: /}]}]}") == [
        "ingress.hosts[0].paths[0].service: add service",
        "ingress.hosts[0].paths[0].port: add port",
    ]


@pytest.mark.parametrize("kind", ["liveness", "readiness"])
def test_a_probe_that_asks_nothing_is_not_told_that_a_port_is_missing(kind: str) -> None:
    values: dict[str, Any] = {
        "services": {"web": {"health": None, "probes": {"liveness": "/h", "readiness": "/h"}}}
    }
    failure = refused(
        deep_merge(deep_merge(GOOD, values), {"services": {"web": {"probes": {kind: {"period": 5}}}}})
    )
    (found,) = failure.findings
    assert (found.rule, found.path) == ("probes.no_target", f"services.web.probes.{kind}")
    assert "port" not in found.message
