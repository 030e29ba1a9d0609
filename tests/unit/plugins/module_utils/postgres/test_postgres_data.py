"""Copies of what lies beside the databases: Redis, MongoDB, volumes."""

from __future__ import annotations

from typing import Any

import pytest
from sample_settings import GIVEN, OFFSITE

from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres import manifests, settings

DATA = [
    {"name": "redis", "kind": "redis", "image": "redis:7", "host": "redis", "secret": "r", "secret_key": "P"},
    {"name": "docs", "kind": "mongodb", "image": "mongo:7", "host": "mongo", "user": "root"},
    {"name": "files", "kind": "volume", "image": "p:15", "claim": "music", "quiesce": "echo $(HOME)"},
]


def test_data_beside_the_databases_gets_jobs_of_its_own() -> None:
    given = settings.load({**GIVEN, "data": DATA, "offsite": OFFSITE})
    assert given.directories == ("shop", "data-redis", "data-docs", "data-files")
    made = {f"{o['kind']}/{o['metadata']['name']}": o for o in manifests.objects(given, "p:15", {})}

    def pod(name: str) -> dict[str, Any]:
        return dict(
            made[f"CronJob/postgres-backup-{name}"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        )

    redis, files = pod("data-redis"), pod("data-files")
    env = {entry["name"]: entry for entry in redis["containers"][0]["env"]}
    assert (env["KIND"]["value"], env["PORT"]["value"], env["NAME"]["value"]) == (
        "redis",
        "6379",
        "data-redis",
    )
    assert (
        env["PASSWORD"]["valueFrom"] == {"secretKeyRef": {"name": "r", "key": "P"}}
        and "PGPASSWORD" not in env
    )
    assert {"name": "data", "mountPath": "/data", "readOnly": True} in files["containers"][0]["volumeMounts"]
    assert (
        next(e for e in files["containers"][0]["env"] if e["name"] == "QUIESCE")["value"] == "echo $$(HOME)"
    )
    assert redis["securityContext"]["runAsNonRoot"] and files["automountServiceAccountToken"] is False
    policy = made["NetworkPolicy/postgres-backup-data"]["spec"]
    assert [p["port"] for p in policy["egress"][1]["ports"]] == [6379, 27017]
    away = {e["name"]: e.get("value") for e in pod("offsite")["containers"][0]["env"]}
    assert [e for e in away if e == "DATABASES"] and away["DATABASES"] == "\n".join(given.directories)
    names_of_env = [e["name"] for e in pod("offsite")["containers"][0]["env"]]
    assert len(names_of_env) == len(set(names_of_env))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"kind": "oracle"}, "data[0].kind"),
        ({"host": ""}, "data[0].host"),
        ({"kind": "volume"}, "data[0].claim"),
        ({"name": "a-name-that-is-much-too-long-for-a-label"}, "data[0].name"),
        ({"secret_key": ""}, "data[0].secret"),
        ({"unquiesce": "true"}, "data[0].unquiesce"),
        ({"image": ""}, "data[0].image"),
        ({"pod": "x"}, "data[0].pod"),
    ],
)
def test_data_that_cannot_be_backed_up_names_the_field(change: dict[str, Any], field: str) -> None:
    with pytest.raises(HoldfastError) as caught:
        settings.load({**GIVEN, "data": [{**DATA[0], **change}]})
    assert caught.value.field == field
