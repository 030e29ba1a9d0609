"""A null in the values is a value that somebody forgot; in an overlay, a mode or an override it removes."""

from __future__ import annotations

from typing import Any

import pytest
from test_broken_values import GOOD, SMALL, refused

from ansible_collections.holdfast.k3s.plugins.module_utils.app import release
from ansible_collections.holdfast.k3s.plugins.module_utils.app.pipelines.files import files


def test_an_empty_variable_of_the_vault_is_named() -> None:
    failure = refused({**GOOD, "secrets": {"keys": {"values": {"TOKEN": None, "OTHER": "x"}}}})
    assert [(f.rule, f.path) for f in failure.findings] == [("secrets.missing_value", "secrets.keys.TOKEN")]


def test_a_service_of_defaults_only_is_there() -> None:
    values = {
        **GOOD,
        "image": {"registry": "x.example", "tag": "1.0.0"},
        "services": {"web": None, "api": GOOD["services"]["api"]},
    }
    app, findings = release.check(values)
    assert sorted(app["services"]) == ["api", "web"]
    assert {f.path for f in findings if f.severity == "error"} >= {"services.web.resources"}


@pytest.mark.parametrize("kind", ["gitlab", "github"])
def test_an_image_of_defaults_only_is_built(kind: str) -> None:
    ci = {"kind": kind, "tag": "$V", "version_variable": "v", "builds": {"web": None},
          "environments": {"staging": {"inventory": "i", "url": "https://a.example"}}}  # fmt: skip
    (text,) = files(release.build({**GOOD, "ci": ci})[0]).values()
    assert "building web" in text


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ({"config": {"c": {"LOG_DIR": None}}}, "config.c.LOG_DIR"),
        ({"labels": {"team": None}}, "labels.team"),
        ({"services": {"web": {**GOOD["services"]["web"], "env": {"A": None}}}}, "services.web.env.A"),
    ],
)
def test_a_null_elsewhere_is_refused(values: dict[str, Any], path: str) -> None:
    (found,) = refused({**GOOD, **values}).findings
    assert (found.path, found.fix) == (path, "give it a value, or remove the key")


def test_a_mode_and_an_override_remove() -> None:
    web = {**GOOD["services"]["web"], "override": {"Deployment": {"spec": {"revisionHistoryLimit": None}}}}
    values = {
        **GOOD,
        "services": {
            "web": web,
            "api": {"image": "x.example/a:1", "port": 1, "health": "/", "resources": SMALL},
        },
    }
    modes = {"mode": "small", "modes": {"small": {"services": {"api": None}}}}
    _app, rendered, _findings = release.build({**values, **modes})
    (deployment,) = [m for m in rendered.manifests if m["kind"] == "Deployment"]
    assert deployment["metadata"]["name"] == "web"
    assert "revisionHistoryLimit" not in deployment["spec"]


def test_a_static_secret_without_keys_has_no_key() -> None:
    web = {**GOOD["services"]["web"], "env": {"TOKEN": {"secret": "keys"}}}
    failure = refused({**GOOD, "secrets": {"keys": {}}, "services": {"web": web}})
    assert [f.rule for f in failure.findings] == ["secrets.missing_key"]
    release.build({**GOOD, "secrets": {"keys": {"provider": "existing"}}, "services": {"web": web}})
