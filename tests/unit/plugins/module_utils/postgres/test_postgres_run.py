"""Jobs that are asked for: each request its own, and its answer about what it did."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sample_settings import GIVEN, Api
from test_postgres_data import DATA

from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres import (
    backups,
    jobs,
    manifests,
    run,
    settings,
    volume,
)

LIMITS = run.Limits(False, 60)


@pytest.fixture(name="api")
def _api(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The CronJobs of a backup with data beside the databases; every job that is followed has ended well."""
    api: Any = Api()
    for obj in manifests.objects(settings.load({**GIVEN, "data": DATA}), "postgres:15", {}):
        api.jobs[obj["metadata"]["name"]] = obj
    api.jobs["postgres-backup-offsite"] = api.jobs["postgres-backup"]
    api.followed, api.result = [], {}

    def started(path: str, label_selector: str = "") -> list[dict[str, Any]]:
        script = label_selector.split("=")[-1]
        found = [job for job in api.jobs.values() if job["kind"] == "Job"]
        return [job for job in found if job["metadata"]["labels"]["holdfast.dev/script"] == script]

    def follow(_client: Any, _namespace: str, name: str, *_args: Any) -> jobs.JobResult:
        api.followed.append(name)
        return jobs.JobResult(name, True, api.result)

    api.list = started
    monkeypatch.setattr(jobs, "follow", follow)
    monkeypatch.setattr(volume, "host_path", lambda *_args: str(tmp_path))
    monkeypatch.setattr(backups, "check", lambda *_args, **_options: [])
    return api


def stored(root: Path, directory: str, name: str, verified: bool = False) -> None:
    home = root / directory / name
    home.mkdir(parents=True)
    (home / "manifest.json").write_text(json.dumps({"format": 1, "database": directory}))
    if verified:
        (home / "VERIFIED.json").write_text('{"at": "then"}')


def test_a_copy_of_one_thing_is_not_a_copy_of_another(api: Any, tmp_path: Path) -> None:
    stored(tmp_path, "data-redis", "20261120T020000Z", verified=True)
    stored(tmp_path, "data-files", "20261120T020000Z", verified=True)
    run.copy_data(api, "shop", "postgres-backup", "files", LIMITS)
    files = api.followed[-1]  # it still runs: its status says nothing
    run.copy_data(api, "shop", "postgres-backup", "redis", LIMITS)
    assert "-data-redis-" in api.followed[-1]
    run.copy_data(api, "shop", "postgres-backup", "files", LIMITS)
    assert api.followed[-1] == files


FETCHED, DUMPED = "20261120T020000Z", "20261128T020000Z"


def test_a_fetch_tells_what_it_fetched_and_not_what_is_newest(api: Any, tmp_path: Path) -> None:
    stored(tmp_path, "shop", FETCHED)
    stored(tmp_path, "shop", DUMPED)  # a CronJob of the fresh server came in between
    api.result = {"database": "shop", "backup": FETCHED}
    done = run.carry(api, "shop", "postgres-backup", LIMITS, fetch=True, database="shop")
    assert [one["name"] for one in done.extra["backups"]] == [FETCHED] and done.verified


def test_a_fetch_that_does_not_say_what_it_fetched_is_an_error(api: Any, tmp_path: Path) -> None:
    stored(tmp_path, "shop", DUMPED)
    (tmp_path / "shop/offsite.json").write_text(json.dumps({"backup": DUMPED}))  # sent, not fetched
    with pytest.raises(HoldfastError, match="which backup it fetched"):
        run.carry(api, "shop", "postgres-backup", LIMITS, fetch=True, database="shop")


def test_a_fetch_by_name_needs_no_word_of_the_job(api: Any, tmp_path: Path) -> None:
    stored(tmp_path, "shop", FETCHED)
    stored(tmp_path, "shop", DUMPED)
    done = run.carry(api, "shop", "postgres-backup", LIMITS, fetch=True, database="shop", backup=FETCHED)
    assert [one["name"] for one in done.extra["backups"]] == [FETCHED]
