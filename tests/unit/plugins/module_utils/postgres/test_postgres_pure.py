"""The pure parts: names, times, choosing, preflight, plan, judgement, manifests, jobs."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError, Refused
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres import (
    backups,
    diagnose,
    jobs,
    live,
    manifests,
    names,
    offsite,
    pointer,
    restore_plan,
    settings,
    setup,
    undo,
)

GIVEN: dict[str, Any] = {
    "namespace": "shop",
    "name": "postgres-backup",
    "host": "postgres",
    "databases": ["shop"],
    "user": "owner",
    "secret": "credentials",
    "secret_key": "PASSWORD",
    "scripts": {"backup.sh": "true"},
}


def backup(name: str = "20261120T020000Z", verified: Optional[str] = None, **manifest: Any) -> backups.Backup:
    base: dict[str, Any] = {
        "format": 1,
        "rows": 10,
        "database_bytes": 1024 * 1024,
        "database_info": {"server_version_num": 150004},
        "tables": [{"schema": "public", "table": "t", "kind": "r", "rows": 10}],
    }
    return backups.Backup(name, "shop", "/nowhere", {**base, **manifest}, verified)


def server(**facts: Any) -> live.Server:
    known = {"shop": {"name": "shop", "open": True, "sessions": 3, "comment": None}}
    return live.Server(
        **{"pod": "postgres-0", "version_num": 150004, "free_kb": 10**6, "databases": known, **facts}
    )


@given(st.text(st.characters(codec="utf-8", exclude_characters="\x00\n"), min_size=1, max_size=63))
def test_side_names_fit_and_are_recognised(name: str) -> None:
    side = names.side(name, "restore", "20261120T020000Z")
    assert len(side.encode()) <= 63 and names.side_of(side) == ("restore", "20261120T020000Z")
    assert "/" not in names.directory(name) and not names.directory(name).startswith(".")


@pytest.mark.parametrize(
    ("name", "directory"), [("shop", "shop"), ("a b/ö", "a%20b%2F%C3%B6"), (".x", "%2Ex"), ("%", "%25")]
)
def test_directories_of_odd_names(name: str, directory: str) -> None:
    assert names.directory(name) == directory


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 64, "ö" * 32])
def test_names_that_no_database_has(name: str) -> None:
    with pytest.raises(HoldfastError):
        names.check_database(name)


@pytest.mark.parametrize(
    ("schedule", "hours"),
    [
        ("0 2 * * *", 24.0),
        ("0 * * * *", 1.0),
        ("*/15 * * * *", 0.25),
        ("0 */6 * * *", 6.0),
        ("0 2,14 * * *", 12.0),
        ("0 2 * * 0", 168.0),
        ("@hourly", 1.0),
        ("0 2 1 * *", None),
        ("nonsense", None),
    ],
)
def test_the_gap_of_a_schedule(schedule: str, hours: Optional[float]) -> None:
    assert settings.hours_between(schedule) == hours


@pytest.mark.req("SC-94")
def test_a_schedule_that_cannot_keep_the_rpo_is_refused() -> None:
    with pytest.raises(HoldfastError, match="schedule"):
        settings.load({**GIVEN, "rpo_hours": 2})
    hourly = {"rpo_hours": 2, "schedule": "0 * * * *"}
    with pytest.raises(HoldfastError, match="a trial restore every 24 h"):
        settings.load({**GIVEN, **hourly})
    assert settings.load({**GIVEN, **hourly, "verify_schedule": "30 * * * *"}).rpo_hours == 2


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"databases": []}, "databases"),
        ({"secret": ""}, "secret"),
        ({"name": "Bad"}, "name"),
        ({"nmae": "x"}, "nmae"),
    ],
)
def test_settings_that_cannot_work_name_the_field(change: dict[str, Any], field: str) -> None:
    with pytest.raises(HoldfastError) as caught:
        settings.load({**GIVEN, **change})
    assert caught.value.field == field


def test_what_a_restore_replaced_is_chosen_by_name_or_time_only() -> None:
    damage, good = backup("20261122T020000Z", "then", reason="safety"), backup("20261121T020000Z", "then")
    for wanted in ("latest", "latest verified"):
        assert backups.choose([damage, good], wanted) is good
    for wanted in ("20261122T020000Z", "2026-11-22T02:00"):
        assert backups.choose([damage, good], wanted) is damage
    with pytest.raises(Refused):
        backups.choose([damage], "latest verified")


def test_choosing_a_backup() -> None:
    found = [
        backup("20261122T020000Z"),
        backup("20261121T020000Z", "then"),
        backup("20261120T020000Z", "then"),
    ]
    for wanted, name in (
        ("latest", "20261122T020000Z"),
        ("latest verified", "20261121T020000Z"),
        ("20261120T020000Z", "20261120T020000Z"),
        ("2026-11-21T02:00", "20261121T020000Z"),
        ("2026-11-21T03:59:00+02:00", "20261120T020000Z"),
    ):
        assert backups.choose(found, wanted).name == name
    for wanted in ("20200101T000000Z", "2001-01-01", "yesterday"):
        with pytest.raises(HoldfastError):
            backups.choose(found, wanted)
    with pytest.raises(Refused):
        backups.choose([], "latest")
    assert backups.age_hours(found[0], datetime(2026, 11, 22, 5, 30, tzinfo=timezone.utc)) == 3.5


def test_reading_and_checking_a_volume(tmp_path: Path) -> None:
    home = tmp_path / "shop" / "20261120T020000Z"
    (home / "dump").mkdir(parents=True)
    (home / "dump/toc.dat").write_text("toc")
    entry = {"path": "dump/toc.dat", "bytes": 3, "sha256": backups.sha256(home / "dump/toc.dat")}
    (home / "manifest.json").write_text(json.dumps({"format": 1, "database": "shop", "files": [entry]}))
    (home / "SHA256SUMS").write_text(f"{backups.sha256(home / 'manifest.json')}  manifest.json\n")
    (tmp_path / "shop/20261121T020000Z").mkdir()
    (tmp_path / "shop/.tmp-20261122T020000Z").mkdir()
    found, broken = backups.read(str(tmp_path), "shop")
    assert [b.name for b in found] == [home.name] and [b["name"] for b in broken] == ["20261121T020000Z"]
    assert backups.check(found[0], full=True) == []
    (home / "dump/toc.dat").write_text("tok")
    assert backups.check(found[0], full=False) == [] and "changed" in backups.check(found[0], full=True)[0]
    (home / "dump/toc.dat").write_text("to")
    assert "2 bytes instead of 3" in backups.check(found[0], full=False)[0]


@pytest.mark.parametrize(
    ("wish", "chosen", "seen", "problems", "says"),
    [
        ({}, backup(), server(), ["x is missing"], "damaged"),
        ({"database": "other"}, backup(), server(), [], "not of"),
        ({}, backup(rows=0), server(), [], "no rows"),
        ({"database": "postgres", "source_database": "shop"}, backup(), server(), [], "maintenance"),
        ({}, backup(database_info={"server_version_num": 160001}), server(), [], "PostgreSQL 16"),
        ({}, backup(extensions=[{"extension": "postgis"}]), server(), [], "postgis"),
        ({}, backup(), server(holders={"shop": ["slot s"]}), [], "slot s"),
        ({}, backup(), server(free_kb=1000), [], "no space"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_touched(
    wish: dict[str, Any], chosen: backups.Backup, seen: live.Server, problems: list[str], says: str
) -> None:
    with pytest.raises(Refused, match=says):
        restore_plan.preflight(
            restore_plan.Wish(**{"database": "shop", **wish}), chosen, problems, seen, "postgres"
        )


def test_a_plan_shrinks_as_phases_pass() -> None:
    wish = restore_plan.Wish("shop", stop=("api",))
    kinds = {}
    for phase in restore_plan.PHASES:
        record = restore_plan.Record("20261120T020000Z", "b", phase, {"api": 2})
        kinds[phase] = [a.kind for a in restore_plan.plan(wish, backup(), server(), record)]
    assert kinds["preparing"] == ["prepare", "stop", "swap", "start"]
    assert kinds["prepared"] == ["stop", "swap", "start"]
    assert kinds["stopped"] == ["swap", "start"] and kinds["swapped"] == ["start"]
    notes = restore_plan.preflight(wish, backup(), [], live.Server(why="down"), "postgres")
    assert any("not been proven" in note for note in notes) and any("down" in note for note in notes)


@pytest.mark.req("CAP-55")
@pytest.mark.parametrize(
    ("after", "quiet", "wrong"),
    [
        ({"public.t": 10}, True, 0),
        ({"public.t": 11}, True, 1),
        ({"public.t": 11}, False, 0),
        ({"public.t": 0}, False, 1),
        ({}, False, 1),
    ],
)
def test_the_independent_count(after: dict[str, Optional[int]], quiet: bool, wrong: int) -> None:
    assert len(restore_plan.judge(backup().manifest, after, quiet)) == wrong


@pytest.mark.parametrize(
    ("seen", "counts", "claims", "cause", "remedy"),
    [
        (server(), {"public.t": 10}, {}, "none", "none"),
        (server(), {"public.t": 0}, {}, "tables empty", "restore"),
        (server(), {}, {}, "tables missing", "restore"),
        (server(databases={}), {}, {}, "database missing", "restore"),
        (live.Server(why="no ready pod"), {}, {}, "pod", "pods"),
        (server(), {}, {"data": "Missing"}, "volume", "person"),
        (server(databases={"shop": {"open": False}}), {}, {}, "database closed", "reopen"),
    ],
)
def test_the_cause_and_its_remedy(
    seen: live.Server, counts: dict[str, Optional[int]], claims: dict[str, str], cause: str, remedy: str
) -> None:
    found = diagnose.judge("shop", seen, backup().manifest, counts, claims)
    assert (found["cause"], found["remedy"]) == (cause, remedy)


@pytest.mark.req("BR-05", "SN-07", "SN-48")
def test_every_job_is_locked_down() -> None:
    made = manifests.objects(settings.load(GIVEN), "postgres:15", {"app": "postgres"})
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


OFFSITE = {"repository": "s3:https://s3.example.com:9000/b/music", "image": "restic:1", "secret": "keys"}


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


class Api:
    """Just enough of an API server for jobs: each is kept under its name."""

    def __init__(self) -> None:
        self.jobs: dict[str, dict[str, Any]] = {}

    def path_for(self, version: str, kind: str, namespace: str = "", name: Optional[str] = None) -> str:
        return name or ""

    def get(self, path: str) -> Optional[dict[str, Any]]:
        return self.jobs.get(path)

    def list(self, path: str, label_selector: str = "") -> list[dict[str, Any]]:
        return list(self.jobs.values())

    def request(self, method: str, path: str, body: dict[str, Any]) -> None:
        self.jobs[body["metadata"]["name"]] = {**body, "status": {}}


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


def test_what_a_restore_has_set_aside() -> None:
    def state(stamp: str, of: str = "shop") -> dict[str, Any]:
        return {"comment": json.dumps({"holdfast": "before", "of": of, "stamp": stamp})}

    known = {
        "a": state("1"),
        "b": state("2"),
        "c": state("3", "other"),
        "d": {"comment": "mine"},
        "e": {"comment": None},
    }
    assert undo.kept(server(databases=known), "shop") == ["b", "a"]
