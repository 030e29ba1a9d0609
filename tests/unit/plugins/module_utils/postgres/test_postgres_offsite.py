"""Backups in another place: its job, its network, its key, and where the host remembers it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sample_settings import GIVEN, OFFSITE, Api

from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError, Refused
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres import (
    manifests,
    offsite,
    pointer,
    settings,
    setup,
)


def test_another_place_gets_a_job_that_never_sees_the_database() -> None:
    given = settings.load({**GIVEN, "offsite": OFFSITE})
    made = {
        f"{o['kind']}/{o['metadata']['name']}": o for o in manifests.objects(given, "postgres:15", {"a": "b"})
    }
    cron = made["CronJob/postgres-backup-offsite"]
    pod = cron["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    container = pod["containers"][0]
    env = {entry["name"]: entry.get("value") for entry in container["env"]}
    assert env["RESTIC_REPOSITORY"] == OFFSITE["repository"] and env["HOST"] == "shop.postgres-backup"
    assert not {"PGHOST", "PGPASSWORD", "RESTIC_PASSWORD"} & set(env)
    assert [e["secretRef"]["name"] for e in container["envFrom"]] == ["postgres-backup-offsite-key", "keys"]
    assert pod["securityContext"]["runAsNonRoot"] and pod["automountServiceAccountToken"] is False
    egress = made["NetworkPolicy/postgres-backup-offsite"]["spec"]["egress"]
    assert egress[-1] == {"ports": [{"port": 9000, "protocol": "TCP"}]}
    assert "NetworkPolicy/postgres-backup-offsite" not in {
        f"{o['kind']}/{o['metadata']['name']}"
        for o in manifests.objects(settings.load(GIVEN), "p:15", {"a": "b"})
    }


def test_directory_and_sftp_repositories() -> None:
    on_claim = settings.load({**GIVEN, "offsite": {**OFFSITE, "repository": "/offsite/r", "claim": "nas"}})
    cron = manifests.objects(on_claim, "postgres:15", {})[-1]
    pod = cron["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert {"name": "offsite", "mountPath": "/offsite"} in pod["containers"][0]["volumeMounts"]
    for repository, login, port in (
        ("sftp:me@nas:/srv/r", "me@nas", 22),
        ("sftp://me@nas:2222//srv/r", "-p 2222 me@nas", 2222),
    ):
        found = offsite.Offsite(repository, "restic:1", "ssh-keys")
        assert offsite.port(found) == port and f"{login} -s sftp" in offsite.ssh_command(found)


def test_the_key_of_sftp_is_a_file_and_the_user_has_a_name() -> None:
    by_ssh = settings.load({**GIVEN, "offsite": {**OFFSITE, "repository": "sftp:me@nas:/srv/r"}})
    made = manifests.objects(by_ssh, "postgres:15", {})
    pod = made[-1]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    container = pod["containers"][0]
    assert [e["secretRef"]["name"] for e in container["envFrom"]] == ["postgres-backup-offsite-key"]
    assert {"name": "ssh", "mountPath": "/ssh", "readOnly": True} in container["volumeMounts"]
    assert any(m["mountPath"] == "/etc/passwd" for m in container["volumeMounts"])
    uid = pod["securityContext"]["runAsUser"]
    assert made[0]["data"]["passwd"].split(":")[2] == str(uid)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"image": ""}, "offsite_image"),
        ({"repository": "/srv/r"}, "offsite_repository"),
        ({"repository": "ftp://nas/r"}, "offsite_repository"),
        ({"repository": "s3:nas/r"}, "offsite_repository"),
        ({"repository": "rest:https://me:secret@nas/r"}, "offsite_repository"),
        ({"repository": "sftp:me@nas:/srv/r", "secret": ""}, "offsite_secret"),
        ({"check_subset": "some"}, "offsite_check_subset"),
        ({"keep": 3}, "offsite_keep"),
    ],
)
def test_another_place_that_cannot_work_names_the_field(change: dict[str, Any], field: str) -> None:
    with pytest.raises(HoldfastError) as caught:
        settings.load({**GIVEN, "offsite": {**OFFSITE, **change}})
    assert caught.value.field == field and "secret@" not in str(caught.value)


def test_the_key_of_another_place_is_made_once_given_by_hand_or_missed(tmp_path: Path) -> None:
    given = settings.load({**GIVEN, "offsite": OFFSITE})
    api: Any = Api()
    made = setup._key(given, api, "")
    assert [offsite.key_of(o) != "" for o in made] == [True]
    api.jobs["postgres-backup-offsite-key"] = made[0]
    assert setup._key(given, api, "") == [] and setup._key(given, api, offsite.key_of(made[0])) == []
    assert offsite.key_of(setup._key(given, api, "by hand")[0]) == "by hand"
    del api.jobs["postgres-backup-offsite-key"]
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/offsite.json").write_text("{}")
    api.jobs[given.claim] = {"spec": {"volumeName": "pv"}}
    api.jobs["pv"] = {"spec": {"hostPath": {"path": str(tmp_path)}}}
    with pytest.raises(Refused, match="cannot be read without its key"):
        setup._key(given, api, "")
    assert offsite.key_of(setup._key(given, api, "by hand")[0]) == "by hand"


@pytest.mark.parametrize(
    ("given", "live", "kept", "shared", "key"),
    [
        ("", "", "", False, ""),
        ("", "", "k", False, "k"),  # a new host: never a new key while the old one is known
        ("k", "", "k", False, "k"),
        ("k", "other", "k", False, "k"),
        ("", "k", "k", False, "k"),
        ("", "", "k", True, "k"),
        ("", "mine", "k", True, "mine"),  # the old path: another host may have written it
        ("g", "live", "", False, "g"),
    ],
)
def test_which_key_is_the_repositorys(given: str, live: str, kept: str, shared: bool, key: str) -> None:
    assert offsite.settle(given, live, offsite.Kept(kept, "/escrow", shared), "s") == key


@pytest.mark.parametrize(
    ("given", "live", "shared", "named"),
    [
        ("g", "", False, "offsite_key"),
        ("g", "k", False, "offsite_key"),
        ("", "l", False, "Secret s"),
        ("g", "", True, "offsite_key"),
    ],
)
def test_keys_that_differ_are_refused_by_the_names_of_both_places(
    given: str, live: str, shared: bool, named: str
) -> None:
    with pytest.raises(Refused, match=f"{named} and the escrow file /escrow hold different keys"):
        offsite.settle(given, live, offsite.Kept("k", "/escrow", shared), "s")


def test_a_new_host_gets_the_key_that_is_kept() -> None:
    given, api = settings.load({**GIVEN, "offsite": OFFSITE}), Api()
    made = setup._key(given, api, "", offsite.Kept("kept", "/escrow"))  # type: ignore[arg-type]
    assert [offsite.key_of(secret) for secret in made] == ["kept"]


def test_the_pointer_keeps_what_it_knows_when_the_volume_gets_its_place(tmp_path: Path) -> None:
    where = str(tmp_path)
    assert pointer.write("s", "b", None, ["shop", "data-redis"], 26, where, offsite_hours=50)
    assert pointer.locate("s", "b", "/volume", where) and not pointer.locate("s", "b", "/volume", where)
    known = pointer.read("s", "b", where)
    assert known is not None and (known["volume"], known["offsite_hours"], len(known["databases"])) == (
        "/volume",
        50,
        2,
    )
    assert not pointer.write("s", "b", "/volume", ["shop", "data-redis"], 26, where, offsite_hours=50)
