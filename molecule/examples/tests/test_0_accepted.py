"""Does a real API server take what is rendered, with the definitions of the other projects' kinds installed."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, assume, given, settings
from inventory import Release
from strategies import APPLICATION
from turn import KUBECTL

from ansible_collections.holdfast.k3s.plugins.module_utils.app.release import BadValues, build
from lab.host import LabHost

EXAMPLES = 100 if os.environ.get("HOLDFAST_FULL") else 20
HERE = {"namespace": "default", "create_namespace": False}
FORMS: list[tuple[str, dict[str, Any]]] = [
    ("songnodes", {}),
    ("soundspan", {}),
    ("soundspan", {"soundspan_mode": "individual"}),
    ("soundspan", {"soundspan_mode": "individual", "soundspan_ha": True}),
    ("soundcore", {}),
    ("starter", {}),
    ("whatsthecraic", {}),
]


def refused(host: LabHost, manifests: list[dict[str, Any]]) -> str:
    """What the server says against manifests; empty when it takes them all, known to the last field."""
    argv = [
        *KUBECTL,
        "apply",
        "--server-side",
        "--dry-run=server",
        "--validate=strict",
        "--force-conflicts",
        "-f",
        "-",
    ]
    answer = host.sudo(argv, check=False, timeout=300, stdin=yaml.safe_dump_all(manifests).encode())
    taken = answer.out.count("serverside-applied")
    return "" if answer.rc == 0 and taken == len(manifests) else f"{taken} of {len(manifests)}: {answer.err}"


@pytest.mark.req("BR-06", "WC-36", "ST-23", "ST-29", "ST-33", "ST-44", "WC-67")
@pytest.mark.parametrize("lab", [False, True], ids=["as-it-is", "with-the-lab-overlay"])
@pytest.mark.parametrize(("system", "extra"), FORMS, ids=lambda value: str(value))
def test_every_inventory(foreign_kinds: LabHost, system: str, extra: dict[str, Any], lab: bool) -> None:
    overlay: dict[str, Any] = dict(HERE)
    if extra.get("soundspan_ha") and not lab:
        extra = {**extra, "soundspan_redis_host": "redis.example.net"}
    assert not refused(foreign_kinds, Release(system, overlay, lab=lab, **extra).rendered.manifests)


def test_the_server_would_say_no(foreign_kinds: LabHost) -> None:
    """Without this, taking everything would prove nothing."""
    good = Release("whatsthecraic", HERE).rendered.manifests
    (middleware, *_more) = [one for one in good if one["kind"] == "Middleware"]
    assert not refused(foreign_kinds, [middleware])
    broken = json.loads(json.dumps(middleware))
    broken["spec"]["rateLimits"] = broken["spec"].pop("rateLimit")
    assert "rateLimits" in refused(foreign_kinds, [broken])


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    database=None,
)
@given(values=APPLICATION)
def test_whatever_the_rules_let_pass(foreign_kinds: LabHost, values: dict[str, Any]) -> None:
    try:
        _app, rendered, _findings = build(values, [HERE])
    except BadValues:
        assume(False)
    assert not refused(foreign_kinds, rendered.manifests)
