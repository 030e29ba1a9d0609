"""Everything of the host is lost but what lies elsewhere: the backups, the copy of the Secrets, the inventory."""

from __future__ import annotations

import json
import re
import subprocess
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ACCESS, SECRET
from database import DATABASE, NAMESPACE, ROOT, SYSTEM, Database, run_module, run_play

from lab.host import LabHost
from tests.scenario import all_pods_ready, fresh_host

PASSPHRASE = "CANARY-passphrase-5d20"
RECORDS = "/var/lib/holdfast/rebuild"
OFFSITE_SECRET = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "offsite-access", "namespace": NAMESPACE},
    "stringData": {"AWS_ACCESS_KEY_ID": ACCESS, "AWS_SECRET_ACCESS_KEY": SECRET},
}


def settings(elsewhere: str, image: dict[str, str], folder: Path) -> dict[str, Any]:
    """What an inventory adds for the day on which the machine is lost."""
    lab = yaml.safe_load((ROOT / "inventories/lab/group_vars/all/lab.yml").read_text())
    return {
        "registry_images": [*lab["registry_images"], image],
        "backup_offsite_repository": f"s3:{elsewhere}/backups/songnodes",
        "backup_offsite_image": image["ref"],
        "backup_offsite_secret": "offsite-access",
        "backup_offsite_escrow": str(folder / "escrow.json"),
        "backup_secrets_passphrase": PASSPHRASE,
        "backup_secrets_file": str(folder / "secrets.vault"),
    }


def secrets_of(host: LabHost) -> dict[str, dict[str, str]]:
    """Name to data of every Secret of the application."""
    found = host.kubectl(["-n", NAMESPACE, "get", "secrets"])["items"]
    return {one["metadata"]["name"]: one["data"] for one in found}


def ok(done: subprocess.CompletedProcess[str]) -> str:
    """Output of a play that ended well, without the passphrase and the key."""
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-1000:]
    return told(done)


def told(done: subprocess.CompletedProcess[str]) -> str:
    """Output as one line; nothing secret in it."""
    text = done.stdout + done.stderr
    assert PASSPHRASE not in text and SECRET not in text
    return " ".join(text.split())


def restores(host: LabHost) -> list[str]:
    """Databases that restores have set aside."""
    return (
        Database(host)
        .sql(f"SELECT datname FROM pg_database WHERE datname LIKE '{DATABASE}__before_%'")
        .split()
    )


@pytest.mark.req("SC-92", "SC-93", "SC-94", "SC-95", "CAP-56", "SN-40")
def test_a_bare_host_becomes_what_the_lost_one_was(
    host: LabHost, elsewhere: str, offsite_image: dict[str, str], tmp_path: Path
) -> None:
    given = settings(elsewhere, offsite_image, tmp_path)
    Database(host).sql("DROP TABLE IF EXISTS since_then")  # of a run that was interrupted
    host.sudo(
        ["/usr/local/bin/k3s", "kubectl", "apply", "-f", "-"], stdin=json.dumps(OFFSITE_SECRET).encode()
    )
    ok(run_play("site", "--tags", "registry,backup", **given))
    # The copy holds what the first run made; a second run finds it as it is.
    copy = Path(given["backup_secrets_file"])
    first = copy.read_bytes()
    assert first.startswith(b"$ANSIBLE_VAULT;") and copy.stat().st_mode & 0o077 == 0
    assert run_module("pg_backup")["verified"]
    assert run_module("pg_backup_verify")["verified"]
    assert run_module("pg_offsite")["verified"]
    before, database = secrets_of(host), Database(host)
    good, rows = database.content(), database.sql("SELECT count(*) FROM tracks")

    # A host that has something to lose is refused.
    refused = run_play("rebuild", **given)
    assert refused.returncode != 0 and "already has a k3s" in told(refused)

    host = fresh_host(SYSTEM)

    # Bad input is told before anything is touched.
    for wrong, words in (
        ({"backup_secrets_passphrase": "another"}, "has another passphrase"),
        ({"backup_secrets_passphrase": ""}, "the Secrets of the lost host cannot be brought back"),
        ({"backup_offsite_repository": ""}, "cannot be fetched from anywhere"),
        ({"rebuild_address_tasks": "/nowhere.yml"}, "there is no such file on the controller"),
    ):
        done = run_play("rebuild", **{**given, **wrong})
        assert done.returncode != 0 and words in told(done), done.stdout[-3000:]
    assert not host.exists("/usr/local/bin/k3s") and not host.exists(RECORDS)
    preview = ok(run_play("rebuild", "--check", **given))
    assert "to do: provision, secrets, database, applications, upkeep, address, proof" in preview
    assert not host.exists("/usr/local/bin/k3s")

    # The hook fails: everything before it is done, and stays done.
    hook = tmp_path / "address.yml"
    moved = tmp_path / "moved"
    task = {"name": "Move", "ansible.builtin.command": {"argv": ["mv", str(tmp_path / "new"), str(moved)]}}
    hook.write_text(yaml.safe_dump([task]))
    given["rebuild_address_tasks"] = str(hook)
    broken = run_play("rebuild", **given)
    assert broken.returncode != 0 and not moved.exists()
    record = json.loads(host.read(f"{RECORDS}/current.json"))
    done_steps = ["provision", "secrets", "database", "applications", "upkeep"]
    assert [one["phase"] for one in record["steps"]] == done_steps
    restored = next(one for one in record["steps"] if one["phase"] == "database")["result"]["timing"]
    deployed = host.kubectl(["-n", NAMESPACE, "get", "deployment", "rest-api"])["metadata"][
        "creationTimestamp"
    ]
    began = datetime.fromisoformat(restored["at"])
    assert datetime.fromisoformat(deployed) >= began + timedelta(seconds=restored["seconds"] - 1)
    Database(host).sql("CREATE TABLE since_then (id int)")  # what users did meanwhile must stay

    (tmp_path / "new").touch()
    again = ok(run_play("rebuild", **given))
    assert moved.exists()
    assert "to do: address, proof" in again, "what was done is not done again"
    assert len(restores(host)) == 1
    database = Database(host)
    assert database.sql("SELECT count(*) FROM since_then") == "0"
    database.sql("DROP TABLE since_then")
    assert database.content() == good and database.sql("SELECT count(*) FROM tracks") == rows
    now = secrets_of(host)
    assert {name: now[name] for name in before} == before
    all_pods_ready(host)

    found = re.search(r"page: (\S+)/timeline\.html", again)
    assert found
    timeline = json.loads(host.read(f"{found.group(1)}/timeline.json"))
    assert [one["phase"] for one in timeline["entries"]] == [*done_steps, "address", "proof"]
    kept = [line for line in host.sudo(["ls", RECORDS]).out.split() if line != "current.json"]
    measured = json.loads(host.read(f"{RECORDS}/{kept[0]}"))
    assert 0 < measured["rto_seconds"] < 4 * 3600 and not host.exists(f"{RECORDS}/current.json")
    print(
        f"rebuilt in {measured['rto_seconds']} s: {[(s['phase'], s['result']['timing']['seconds']) for s in measured['steps']]}"
    )

    # The host is as site would have made it.
    site = ok(
        run_play("site", **{key: value for key, value in given.items() if not key.startswith("rebuild")})
    )
    recap = re.search(rf"{SYSTEM} : ok=\d+ changed=(\d+)", site)
    assert recap and recap.group(1) == "0", site[-4000:]


@pytest.mark.req("SC-95")
def test_a_missed_target_fails_after_the_work_is_done(host: LabHost) -> None:
    """The last step of a rebuild that began long ago: healthy, told, and still a failure."""
    host = LabHost.get(SYSTEM)
    steps = ["provision", "secrets", "database", "applications", "upkeep", "address"]
    long_ago = {"at": "2026-01-01T00:00:00+00:00", "seconds": 1.0}
    record = {
        "began": long_ago["at"],
        "steps": [{"phase": one, "result": {"verdict": "done", "timing": long_ago}} for one in steps],
    }
    host.put(f"{RECORDS}/current.json", json.dumps(record).encode(), 0o600)
    late = run_play("rebuild", rebuild_without_secrets=True, rebuild_without_data=True)
    assert late.returncode != 0
    assert "The host is rebuilt and healthy, but it took" in told(late)
    assert not host.exists(f"{RECORDS}/current.json")
