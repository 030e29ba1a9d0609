"""Backups in another place, a real S3 server and a real SSH server, and everything of this host lost but the escrow file."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from database import DATABASE, NAMESPACE, Database, run_module, run_play

from lab import mirror
from lab.host import LabHost
from lab.offsite import REFERENCE
from tests.scenario import until

SPACE, ACCESS, SECRET = "elsewhere", "holdfast-access", "CANARY-s3-secret-7c1e"
KUBECTL = ["/usr/local/bin/k3s", "kubectl"]
SETTINGS = {
    "backup_offsite_repository": f"s3:http://s3.{SPACE}.svc.cluster.local:7070/backups/songnodes",
    "backup_offsite_image": REFERENCE,
    "backup_offsite_secret": "offsite-access",
}
PLACE = f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: s3, namespace: {SPACE}}}
spec:
  selector: {{matchLabels: {{app: s3}}}}
  template:
    metadata: {{labels: {{app: s3}}}}
    spec:
      automountServiceAccountToken: false
      securityContext: {{fsGroup: 999}}
      containers:
        - name: s3
          image: {REFERENCE}
          imagePullPolicy: Never
          command: [versitygw, --port, ":7070", posix, /data]
          env:
            - {{name: ROOT_ACCESS_KEY, value: {ACCESS}}}
            - {{name: ROOT_SECRET_KEY, value: {SECRET}}}
          readinessProbe: {{tcpSocket: {{port: 7070}}}}
          volumeMounts: [{{name: data, mountPath: /data}}]
      volumes: [{{name: data, emptyDir: {{}}}}]
---
apiVersion: v1
kind: Service
metadata: {{name: s3, namespace: {SPACE}}}
spec: {{selector: {{app: s3}}, ports: [{{port: 7070}}]}}
---
apiVersion: v1
kind: Secret
metadata: {{name: offsite-access, namespace: {NAMESPACE}}}
stringData: {{AWS_ACCESS_KEY_ID: {ACCESS}, AWS_SECRET_ACCESS_KEY: {SECRET}}}
"""


@pytest.fixture(scope="module", autouse=True)
def image(host: LabHost, database: Database) -> Iterator[None]:
    """The image with restic; afterwards the backup is as the inventory describes it again."""
    load = 'curl -fsS "$1/images/offsite.tar" | /usr/local/bin/k3s ctr images import -'
    host.sudo(["sh", "-c", load, "sh", mirror.url()], timeout=300)
    yield
    done = run_play("site", "--tags", "backup")
    assert done.returncode == 0, done.stdout[-3000:]
    crons = database.kubectl("get", "cronjobs", "-o", "name")
    assert "postgres-backup-offsite" not in crons, "what the inventory no longer asks for has to go"
    database.kubectl("delete", "secret", "postgres-backup-offsite-key")
    volume = run_module("pg_backup_info")["volume"]
    host.sudo(["find", volume, "-name", "offsite.json", "-delete"])


@pytest.fixture
def s3(host: LabHost, database: Database) -> Iterator[None]:
    """An S3 server in a namespace of its own."""
    host.sudo([*KUBECTL, "create", "namespace", SPACE], check=False)
    host.sudo([*KUBECTL, "apply", "-f", "-"], stdin=PLACE.encode())
    server = ["-n", SPACE, "get", "deployment", "s3"]
    until("the S3 server", lambda: host.kubectl(server)["status"].get("readyReplicas"))
    yield
    database.kubectl("delete", "secret", "offsite-access")
    host.sudo([*KUBECTL, "delete", "namespace", SPACE, "--wait=false"])


@pytest.fixture
def ssh(host: LabHost, database: Database, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """A user of an SSH server, the host's own; yields the role's variables for it and its private key."""
    key = tmp_path / "id_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    home = "/home/keeper"
    make = f"useradd -m keeper && install -d -m 700 -o keeper {home}/.ssh && install -m 600 -o keeper /dev/stdin {home}/.ssh/authorized_keys"
    host.sudo(["sh", "-c", make], stdin=key.with_suffix(".pub").read_bytes())
    addresses = host.kubectl(["get", "node", host.name])["status"]["addresses"]
    address = next(entry["address"] for entry in addresses if entry["type"] == "InternalIP")
    known = f"{address} {host.read('/etc/ssh/ssh_host_ed25519_key.pub')}"
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "offsite-ssh", "namespace": NAMESPACE},
        "stringData": {"id_ed25519": key.read_text(), "known_hosts": known},
    }
    host.sudo([*KUBECTL, "apply", "-f", "-"], stdin=json.dumps(secret).encode())
    yield {
        "variables": {
            "backup_offsite_repository": f"sftp:keeper@{address}:{home}/songnodes",
            "backup_offsite_image": REFERENCE,
            "backup_offsite_secret": "offsite-ssh",
        },
        "key": key.read_text(),
    }
    database.kubectl("delete", "secret", "offsite-ssh")
    host.sudo(["userdel", "-rf", "keeper"], check=False)


def deploy(escrow: Path, **extra: Any) -> Any:
    """Role backup with another place."""
    return run_play("site", "--tags", "backup", **{**SETTINGS, "backup_offsite_escrow": str(escrow), **extra})


def send_and_fetch(host: LabHost) -> None:
    """Send what is proven, send again, lose it here, and have it back as it was."""
    sent = run_module("pg_offsite")
    assert not sent["failed"] and sent["verified"] and sent["changed"], sent
    name = sent["sent"][DATABASE]
    again = run_module("pg_offsite")
    assert again["verified"] and not again["changed"], again
    listed = run_module("pg_backup_info", check="full")
    path = next(b["path"] for b in listed["databases"][0]["backups"] if b["name"] == name)
    host.sudo(["mv", path, f"{listed['volume']}/moved-away"])
    try:
        back = run_module("pg_offsite", direction="fetch", database=DATABASE, backup=name)
        assert not back["failed"] and back["verified"] and back["changed"], back
        same = host.sudo(["diff", "-r", path, f"{listed['volume']}/moved-away"], check=False)
        assert same.rc == 0, same.out
    finally:
        host.sudo(["rm", "-rf", f"{listed['volume']}/moved-away"])


def said_in_the_cluster(database: Database) -> str:
    """Everything about the backup that somebody without the right to read Secrets can see."""
    seen = database.kubectl("get", "jobs,cronjobs,configmaps,events", "-o", "yaml")
    for pod in database.kubectl("get", "pods", "-l", "holdfast.dev/backup", "-o", "name").split():
        seen += database.kubectl("logs", pod, check=False)
    return seen


@pytest.mark.req("CAP-52", "CAP-56")
def test_a_backup_survives_the_loss_of_the_host(
    s3: None, host: LabHost, database: Database, tmp_path: Path
) -> None:
    escrow = tmp_path / "keys" / "escrow.json"
    done = deploy(escrow)
    assert done.returncode == 0, done.stdout[-4000:]
    kept = json.loads(escrow.read_text())
    assert escrow.stat().st_mode & 0o077 == 0 and kept["repository"] == SETTINGS["backup_offsite_repository"]
    key = kept["restic_password"]
    assert len(key) > 30 and key not in done.stdout
    proof = run_module("pg_backup_verify", only_if_unverified=True)
    assert not proof["failed"], proof
    send_and_fetch(host)

    # The key in the cluster is lost: never made anew over what was sent with it; the escrow file's opens it again.
    database.kubectl("delete", "secret", "postgres-backup-offsite-key")
    refused = deploy(tmp_path / "elsewhere" / "escrow.json")
    assert refused.returncode != 0 and "cannot be read without its key" in refused.stdout, refused.stdout[
        -3000:
    ]
    other = deploy(escrow, backup_offsite_key="another-key")
    assert other.returncode != 0 and "hold different keys" in other.stdout, other.stdout[-3000:]
    given = deploy(escrow)
    assert given.returncode == 0 and key not in given.stdout, given.stdout[-3000:]
    assert json.loads(escrow.read_text())["restic_password"] == key
    once_more = run_module("pg_offsite")
    assert once_more["verified"], once_more

    seen = said_in_the_cluster(database)
    for canary in (key, SECRET, base64.b64encode(key.encode()).decode()):
        assert canary not in seen


@pytest.mark.req("CAP-52", "CAP-56")
def test_another_place_by_sftp(
    ssh: dict[str, Any], host: LabHost, database: Database, tmp_path: Path
) -> None:
    done = deploy(tmp_path / "escrow.json", **ssh["variables"])
    assert done.returncode == 0, done.stdout[-4000:]
    proof = run_module("pg_backup_verify", only_if_unverified=True)
    assert not proof["failed"], proof
    send_and_fetch(host)
    assert host.sudo(["find", "/home/keeper/songnodes/snapshots", "-type", "f"]).out.strip()

    # A server that is not the one it was is not told anything.
    other = host.read("/etc/ssh/ssh_host_ed25519_key.pub").split()[0] + " " + "A" * 68
    patch = {
        "stringData": {
            "known_hosts": f"{ssh['variables']['backup_offsite_repository'].split('@')[1].split(':')[0]} {other}\n"
        }
    }
    database.kubectl("patch", "secret", "offsite-ssh", "-p", json.dumps(patch))
    refused = run_module("pg_offsite")
    assert refused["failed"] and "cannot reach the repository" in refused["msg"], refused
    middle = ssh["key"].splitlines()[2]
    assert middle not in said_in_the_cluster(database)
