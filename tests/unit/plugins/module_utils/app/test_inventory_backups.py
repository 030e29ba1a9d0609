"""What the example inventories tell role backup, against what their application has."""

from __future__ import annotations

from typing import Any

import pytest
from inventory import SYSTEMS, Release, named

from ansible_collections.holdfast.k3s.plugins.module_utils.postgres import settings

INDIVIDUAL = {"soundspan_mode": "individual"}
STAGING = {"soundcore_environment": "staging"}
FORMS: list[tuple[str, dict[str, Any]]] = [
    *((system, {}) for system in SYSTEMS),
    ("soundspan", INDIVIDUAL),
    ("soundcore", STAGING),
]


def in_cluster(release: Release) -> list[dict[str, Any]]:
    """The PostgreSQL servers that the release itself runs."""
    services = release.app["data_services"].values()
    return [one for one in services if one["engine"] == "postgres" and one["mode"] == "in_cluster"]


@pytest.mark.req("SC-94")
@pytest.mark.parametrize(("system", "extra"), FORMS, ids=str)
def test_every_database_in_the_cluster_is_backed_up(system: str, extra: dict[str, Any]) -> None:
    release = Release(system, **extra)
    told = named(system, "backup_", **extra)
    servers = in_cluster(release)
    assert told.get("databases", []) == [one["database"] for one in servers]
    for server in servers:
        given = settings.load({"name": "postgres-backup", "scripts": {}, **told})
        assert given.namespace == release.rendered.namespace
        assert (given.host, given.port, given.user) == (server["name"], server["port"], server["user"])
        assert {"secret": given.secret, "key": given.secret_key} == server["password"]
        claims = [*release.names("PersistentVolumeClaim"), *release.app["claims"]]
        assert given.claim not in claims, "the backup makes its own"


@pytest.mark.req("SC-94")
def test_the_promised_hour_is_the_schedule_that_runs() -> None:
    release, told = Release("soundcore"), named("soundcore", "backup_")
    assert (release.app["rpo_hours"], release.app["backup_schedule"]) == (1, "0 * * * *")
    assert told["schedule"] == release.app["backup_schedule"]
    assert settings.hours_between(told["verify_schedule"]) == 1
    daily = named("soundcore", "backup_", backup_schedule="0 2 * * *")
    with pytest.raises(settings.HoldfastError, match="cannot keep the age"):
        settings.load({"name": "postgres-backup", "scripts": {}, **daily})


def test_the_backup_reads_the_primary() -> None:
    release = Release("soundcore")
    selector = release.get("Service", named("soundcore", "backup_")["host"])["spec"]["selector"]
    chosen = [
        name
        for name in release.names("StatefulSet")
        if selector.items()
        <= release.get("StatefulSet", name)["spec"]["template"]["metadata"]["labels"].items()
    ]
    assert chosen == ["postgres"]


@pytest.mark.parametrize("system", ["soundcore", "soundspan"])
def test_a_lab_host_makes_no_backup_of_a_stand_in(system: str) -> None:
    assert (
        named(system, "backup_", lab=True, **(INDIVIDUAL if system == "soundspan" else {}))["databases"] == []
    )
