"""Pipeline files: valid for the services that read them, in order, and with every line that the shell runs tried or parsed."""

from __future__ import annotations

import json
import subprocess
from importlib import resources
from typing import Any

import pytest
import yaml
from inventory import Release
from jsonschema import Draft7Validator

from ansible_collections.holdfast.k3s.plugins.module_utils.app.pipelines import common
from ansible_collections.holdfast.k3s.plugins.module_utils.app.pipelines.files import files

SCHEMAS = {"soundcore": "gitlab-ci", "whatsthecraic": "github-workflows", "starter": "github-workflows"}


def rendered(system: str) -> tuple[str, dict[Any, Any]]:
    """Path and content of the pipeline file of an inventory."""
    ((path, text),) = files(Release(system).app).items()
    # YAML 1.1 reads the word `on` as true.
    return path, {"on" if key is True else key: value for key, value in yaml.safe_load(text).items()}


def scripts(pipeline: dict[Any, Any]) -> list[str]:
    """Every piece of shell in a pipeline."""
    if "jobs" in pipeline:
        return [step["run"] for job in pipeline["jobs"].values() for step in job["steps"] if "run" in step]
    jobs = [job for job in pipeline.values() if isinstance(job, dict) and "script" in job]
    return ["\n".join(job[part]) for job in jobs for part in ("script", "after_script") if part in job]


@pytest.mark.req("SC-10", "WC-01", "ST-30")
@pytest.mark.parametrize("system", SCHEMAS)
def test_the_service_would_read_it(system: str) -> None:
    """Against the published schemas of GitLab and GitHub."""
    vendored = resources.files("check_jsonschema") / "builtin_schemas" / "vendor" / f"{SCHEMAS[system]}.json"
    ((_path, text),) = files(Release(system).app).items()
    data = json.loads(
        json.dumps({str(k) if k is not True else "on": v for k, v in yaml.safe_load(text).items()})
    )
    problems = [
        error.message for error in Draft7Validator(json.loads(vendored.read_text())).iter_errors(data)
    ]
    assert problems == []


@pytest.mark.parametrize("system", SCHEMAS)
def test_every_script_is_shell(system: str) -> None:
    found = scripts(rendered(system)[1])
    assert len(found) > 3
    for text in found:
        done = subprocess.run(["sh", "-n"], input=text, text=True, capture_output=True, check=False)
        assert done.returncode == 0, f"{done.stderr}\n{text}"


@pytest.mark.req(
    "SC-10", "SC-11", "SC-12", "SC-13", "SC-14", "SC-19", "SC-20", "SC-21", "SC-22", "SC-23", "SC-60", "SC-61"
)
def test_gitlab_stages_and_jobs() -> None:
    path, pipeline = rendered("soundcore")
    assert path == ".gitlab-ci-complete.yml"
    stages = ["lint", "test", "build", "deploy-staging", "test-e2e", "deploy-prod", "monitor"]
    assert pipeline["stages"] == stages
    backends = [f"{name}-service" for name in ("knowledge", "content", "support", "analytics", "auth")]
    for name in ("frontend", *backends):
        assert pipeline[f"lint:{name}"]["stage"] == "lint" and pipeline[f"test:{name}"]["stage"] == "test"
        assert 'docker build --target runtime --label "git.commit=$CI_COMMIT_SHA"' in "\n".join(
            pipeline[f"build:{name}"]["script"]
        )
    assert "npm run test" in pipeline["test:frontend"]["script"]
    assert "pytest" in pipeline["test:auth-service"]["script"]
    staging, production = pipeline["deploy:staging"], pipeline["deploy:production"]
    assert (staging["stage"], production["stage"]) == ("deploy-staging", "deploy-prod")
    assert "soundcore_environment=staging" in staging["script"][-1]
    assert "soundcore_environment=prod" in production["script"][-1]
    assert (
        "$KUBE_CONFIG_STAGING" in staging["script"][-2]
        and "$KUBE_CONFIG_PRODUCTION" in production["script"][-2]
    )
    assert staging["script"][-3] == production["script"][-3] == "umask 077"
    names = pipeline["required-variables"]["script"][1]
    for name in ("CI_REGISTRY_USER", "CI_REGISTRY_PASSWORD", "KUBE_CONFIG_STAGING", "DATABASE_URL", "MONGODB_URI",
                 "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "PINECONE_API_KEY", "SENTRY_DSN"):  # fmt: skip
        assert name in names


@pytest.mark.req("SC-63", "SC-61", "SC-62", "SC-16")
def test_production_takes_a_tag_and_a_person() -> None:
    _path, pipeline = rendered("soundcore")
    assert pipeline["deploy:staging"]["rules"] == [{"if": '$CI_COMMIT_BRANCH == "main"'}]
    assert pipeline["deploy:production"]["rules"] == [{"if": "$CI_COMMIT_TAG =~ /^v[0-9]/", "when": "manual"}]
    looks = "\n".join(pipeline["monitor:staging"]["script"] + pipeline["monitor:production"]["script"])
    for url in (
        "https://staging-kcp.soundcore.com/health",
        "https://kcp.soundcore.com/api/v1/knowledge/health",
    ):
        assert url in looks


@pytest.mark.req("SC-24")
def test_every_missing_variable_is_named_at_once_and_no_value() -> None:
    script = "\n".join(common.missing_variables(["ONE", "TWO", "THREE"]))
    given = {"TWO": "canary-8f3a", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(["sh", "-euc", script], env=given, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.strip() == "These variables have no value: ONE THREE"
    complete = {**given, "ONE": "1", "THREE": "3"}
    assert subprocess.run(["sh", "-euc", script], env=complete, check=False).returncode == 0


@pytest.mark.req("SC-18")
@pytest.mark.parametrize("address", [None, "http://127.0.0.1:1/hook"])
def test_a_notice_never_fails_a_job(address: str | None) -> None:
    line = common.notice({"name": "it's a shop"}, "staging is deployed")
    env = {"PATH": "/usr/bin:/bin", **({"SLACK_WEBHOOK_URL": address} if address else {})}
    done = subprocess.run(["sh", "-euc", line], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert bool(done.stderr) is bool(address), done.stderr


@pytest.mark.req("SC-87", "WC-71")
@pytest.mark.parametrize(
    ("system", "severities"), [("soundcore", "CRITICAL,HIGH"), ("whatsthecraic", "CRITICAL")]
)
def test_an_image_is_scanned_before_it_is_pushed(system: str, severities: str) -> None:
    builds = [text for text in scripts(rendered(system)[1]) if "docker build" in text]
    assert len(builds) == 6
    for text in builds:
        positions = [
            text.index(word)
            for word in ("docker build", f"--exit-code 1 --severity {severities}", "docker push")
        ]
        assert positions == sorted(positions)


@pytest.mark.req("WC-01", "WC-02", "WC-48", "WC-04")
def test_github_builds_by_commit_and_says_so() -> None:
    path, workflow = rendered("whatsthecraic")
    assert path == ".github/workflows/deploy.yml"
    names = workflow["jobs"]["required-variables"]["steps"][0]["env"]
    assert set(names) == {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "EC2_INSTANCE_ID"}
    build = next(text for text in scripts(workflow) if "building events-service" in text)
    for label in ('"git.commit=$GITHUB_SHA"', '"git.branch=$GITHUB_REF_NAME"', '"build.date=$(date -u'):
        assert f"--label {label}" in build
    assert '385017713886.dkr.ecr.eu-west-1.amazonaws.com/whatsthecraic/events-service:$GITHUB_SHA"' in build
    assert workflow["jobs"]["deploy-production"]["needs"][1:] == [
        f"build-{n}" for n in Release("whatsthecraic").app["ci"]["builds"]
    ]


@pytest.mark.req("ST-30")
def test_a_workflow_that_only_builds() -> None:
    path, workflow = rendered("starter")
    assert path == ".github/workflows/build-images.yml"
    assert set(workflow["jobs"]) == {"required-variables", "build-app-api", "build-app-web"}
