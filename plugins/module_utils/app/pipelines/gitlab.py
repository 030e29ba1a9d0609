# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A GitLab pipeline of seven stages: staging follows main, production follows a release tag and a person's yes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.app.pipelines import common

FILE = ".gitlab-ci-complete.yml"
STAGES = ("lint", "test", "build", "deploy-staging", "test-e2e", "deploy-prod", "monitor")
_ON_MAIN = {"if": '$CI_COMMIT_BRANCH == "main"'}
_ON_TAG = {"if": "$CI_COMMIT_TAG =~ /^v[0-9]/"}
_ON_REQUEST = {"if": '$CI_PIPELINE_SOURCE == "merge_request_event"'}
# A tag v1.2.0 is version 1.2.0; what comes from main is no release, and says so.
_VERSION = "VERSION=${CI_COMMIT_TAG:-v0.0.0-$CI_COMMIT_SHORT_SHA}; VERSION=${VERSION#v}; export VERSION"


def pipeline(app: Mapping[str, Any]) -> dict[str, Any]:
    """The pipeline as data."""
    ci = app["ci"]
    found: dict[str, Any] = {
        "stages": list(STAGES),
        "workflow": {"rules": [_ON_REQUEST, _ON_MAIN, _ON_TAG]},
        "required-variables": {
            "stage": "lint",
            "image": "alpine:3.22",
            "script": common.missing_variables(common.required(ci)),
        },
    }
    for name, given in ci["builds"].items():
        for stage in ("lint", "test"):
            if (given or {}).get(stage):
                found[f"{stage}:{name}"] = {
                    "stage": stage,
                    "image": given.get("image", "alpine:3.22"),
                    "needs": ["required-variables"],
                    "script": [f"cd {given.get('context', name)}", *given[stage]],
                }
        found[f"build:{name}"] = _build(app, name)
    for name, stage, when in (
        ("staging", "deploy-staging", _ON_MAIN),
        ("production", "deploy-prod", _ON_TAG),
    ):
        if name in (ci.get("environments") or {}):
            found[f"deploy:{name}"] = _deploy(app, name, stage, when)
            found[f"monitor:{name}"] = _monitor(app, name, when)
    if ci.get("e2e"):
        image = ci.get("e2e_image", "alpine:3.22")
        found["e2e:staging"] = {
            "stage": "test-e2e",
            "image": image,
            "rules": [_ON_MAIN],
            "script": list(ci["e2e"]),
        }
    return found


def _build(app: Mapping[str, Any], name: str) -> dict[str, Any]:
    sign_in = 'printf %s "$CI_REGISTRY_PASSWORD" | docker login -u "$CI_REGISTRY_USER" --password-stdin "$CI_REGISTRY"'
    lines = common.build(app, name, commit="CI_COMMIT_SHA", branch="CI_COMMIT_REF_NAME")
    return {
        "stage": "build",
        "image": "docker:28",
        "services": ["docker:28-dind"],
        "rules": [_ON_MAIN, _ON_TAG],
        "script": [_VERSION, sign_in, *lines],
    }


def _deploy(app: Mapping[str, Any], name: str, stage: str, when: Mapping[str, Any]) -> dict[str, Any]:
    given = app["ci"]["environments"][name]
    ended = (
        f'if [ "$CI_JOB_STATUS" = success ]; then {common.notice(app, f"{name} is deployed")};'
        f" else {common.notice(app, f'the deployment of {name} failed')}; fi"
    )
    return {
        "stage": stage,
        "image": "python:3.13",
        "environment": {"name": name, "url": given["url"]},
        "resource_group": name,
        # What goes to people wants a person's yes.
        "rules": [{**when, "when": "manual"} if given.get("approval") else dict(when)],
        "script": [
            _VERSION,
            common.notice(app, f"the deployment of {name} starts"),
            *common.deploy(app, name),
        ],
        "after_script": [ended],
    }


def _monitor(app: Mapping[str, Any], name: str, when: Mapping[str, Any]) -> dict[str, Any]:
    paths = app["ci"]["environments"][name].get("health", ["/health"])
    url = app["ci"]["environments"][name]["url"].rstrip("/")
    return {
        "stage": "monitor",
        "image": "curlimages/curl:8.16.0",
        "needs": [f"deploy:{name}"],
        "rules": [dict(when)],
        "script": [common.look(url + path) for path in paths],
    }
