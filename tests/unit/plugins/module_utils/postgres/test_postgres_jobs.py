"""The jobs of a backup: locked down, one for each request, and what they say."""

from __future__ import annotations

from typing import Any

import pytest
from sample_settings import GIVEN, Api

from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import Refused
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres import jobs, manifests, settings


def test_every_job_is_locked_down() -> None:
    made = manifests.objects(settings.load(GIVEN), "postgres:15", {"app": "postgres"}, True)
    kinds = [obj["kind"] for obj in made]
    assert kinds == ["ConfigMap", "PersistentVolumeClaim", "NetworkPolicy", "NetworkPolicy", *["CronJob"] * 3]
    assert made[2]["spec"]["egress"][1]["to"] == [{"podSelector": {"matchLabels": {"app": "postgres"}}}]
    for cron in made[4:]:
        job = cron["spec"]["jobTemplate"]["spec"]
        pod = job["template"]["spec"]
        assert job["activeDeadlineSeconds"] and job["backoffLimit"] == 3
        assert pod["automountServiceAccountToken"] is False and pod["securityContext"]["runAsNonRoot"]
        assert pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"]
    verify_env = {
        entry["name"]
        for entry in made[5]["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["env"]
    }
    assert "PGPASSWORD" not in verify_env and "PGHOST" not in verify_env


def test_a_job_is_its_cron_job_with_another_script() -> None:
    cron = manifests.objects(settings.load(GIVEN), "postgres:15", {})[-3]
    job = jobs.from_cron(cron, "one", "prepare.sh", {"DATABASE": "a$(B)", "JOBS": "4"})
    container = job["spec"]["template"]["spec"]["containers"][0]
    env = {entry["name"]: entry.get("value") for entry in container["env"]}
    assert (
        container["command"] == ["sh", "/scripts/prepare.sh"]
        and env["DATABASE"] == "a$$(B)"
        and env["JOBS"] == "4"
    )
    assert job["spec"]["podFailurePolicy"]["rules"][0]["onExitCodes"]["values"] == [64, 65]
    assert cron["spec"]["jobTemplate"]["spec"]["template"]["spec"]["restartPolicy"] == "OnFailure"


def test_two_requests_of_one_second_get_a_job_each_and_a_second_look_finds_ones_own() -> None:
    api: Any = Api()
    cron = manifests.objects(settings.load(GIVEN), "postgres:15", {})[-3]

    def ask(**env: str) -> str:
        return jobs.start(api, jobs.from_cron(cron, "b-swap-1", "swap.sh", env))

    first, second = ask(DATABASE="shop", STAMP="1"), ask(DATABASE="other", STAMP="1")
    assert (first, second) == ("b-swap-1", "b-swap-1-2")
    assert (ask(DATABASE="shop", STAMP="1", SAFETY="skip"), ask(DATABASE="other")) == (first, second)
    found = jobs.unfinished(api, "shop", "b", "swap", {"DATABASE": "other", "MODE": ""})
    assert found is not None and found["metadata"]["name"] == second
    assert jobs.unfinished(api, "shop", "b", "swap", {"DATABASE": "shop", "MODE": "undo"}) is None
    api.jobs[first]["status"]["conditions"] = [{"type": "Failed", "status": "True"}]
    assert ask(DATABASE="shop") == "b-swap-1-3"  # a failed try is followed by a new one


def test_the_words_of_a_job() -> None:
    events = jobs.parse('{"event":"result","rows":1}\nsh: not found\n')
    assert events == [{"event": "result", "rows": 1}, {"event": "text", "message": "sh: not found"}]
    assert jobs.outcome_of({"status": {"conditions": [{"type": "Failed", "status": "True"}]}}) is False
    with pytest.raises(Refused, match="no rows"):
        jobs.JobResult("j", False, error="no rows", code=65).require()
