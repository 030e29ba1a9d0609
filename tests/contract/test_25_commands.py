"""The subcommands that operators and the product call: texts, shapes and exit codes."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta, timezone

import pytest

from tests.contract.install import TOKEN
from tests.contract.k3s import DATA, K3s

CERTIFICATE_KEYS = {"Filename", "Subject", "Issuer", "Usages", "ExpiryTime", "ResidualTime", "Status"}
COLUMNS = ["FILENAME", "SUBJECT", "USAGES", "EXPIRES", "RESIDUAL TIME", "STATUS"]
CHECK_SECTIONS = [
    "Verifying binaries in ",
    "System:",
    "Limits:",
    "Generally Necessary:",
    "Optional Features:",
    "STATUS: ",
]
ROTATED = "contract-rotated"
LEAVES = {"client-admin.crt", "serving-kube-apiserver.crt", "client-kubelet.crt", "serving-kubelet.crt"}


def plain(text: str) -> str:
    """Return text without colour."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def token_file(k3s: K3s) -> str:
    """Return the server's token."""
    return k3s.host.sudo(["cat", f"{DATA}/server/token"]).out.strip()


def restart(k3s: K3s) -> None:
    """Restart k3s and wait until it serves."""
    cursor = k3s.start("restart")
    k3s.wait_line(cursor, "k3s is up and running", 120)
    k3s.wait_ready()


def test_certificates_as_json(k3s: K3s) -> None:
    answer = k3s.cli("certificate", "check", "-o", "json")
    found = json.loads(answer.out)["Certificates"]
    assert {entry["Filename"] for entry in found} >= LEAVES
    for entry in found:
        assert set(entry) == CERTIFICATE_KEYS
        assert entry["Status"] == "OK", entry
        assert isinstance(entry["ResidualTime"], int)
        expiry = datetime.fromisoformat(entry["ExpiryTime"].replace("Z", "+00:00"))
        assert expiry - datetime.now(timezone.utc) > timedelta(days=120)
    assert "Server detected, checking agent and server certificates" in answer.err


def test_each_leaf_is_followed_by_its_authority(k3s: K3s) -> None:
    found = json.loads(k3s.cli("certificate", "check", "-o", "json").out)["Certificates"]
    for leaf, authority in zip(found[::2], found[1::2], strict=True):
        assert leaf["Filename"] == authority["Filename"]
        assert leaf["Issuer"] == authority["Subject"]
        assert authority["Usages"] == ["CertSign"]
        assert "CertSign" not in leaf["Usages"]


def test_certificates_as_table(k3s: K3s) -> None:
    lines = k3s.cli("certificate", "check", "-o", "table").out.splitlines()
    assert lines[0] == ""
    assert re.split(r" {2,}", lines[1]) == COLUMNS
    row = next(line for line in lines if line.startswith("client-admin.crt"))
    assert re.split(r" {2,}", row)[1:3] == ["system:admin", "ClientAuth"]
    assert re.split(r" {2,}", row)[4:] in (["1 year", "OK"], ["12 months", "OK"])


def test_certificates_as_text(k3s: K3s) -> None:
    answer = k3s.cli("certificate", "check")
    assert answer.out == ""
    assert re.search(
        r'level=info msg="client-admin\.crt: certificate system:admin \(ClientAuth\) is ok, expires at ',
        answer.err,
    )


def test_unknown_certificate_service_is_named(k3s: K3s) -> None:
    answer = k3s.cli("certificate", "check", "--service", "nosuch", check=False)
    assert answer.rc == 1
    assert 'level=fatal msg="Error: service nosuch is not recognized"' in answer.err


def test_bootstrap_token_from_creation_to_deletion(k3s: K3s) -> None:
    authority = k3s.host.sudo(["sha256sum", f"{DATA}/server/tls/server-ca.crt"]).out.split()[0]
    made = k3s.cli("token", "create", "--ttl", "1h").out.strip()
    match = re.fullmatch(rf"K10{authority}::([a-z0-9]{{6}})\.([a-z0-9]{{16}})", made)
    assert match, made
    name, secret = match.groups()
    listed = k3s.cli("token", "list").out
    header = "TOKEN TTL EXPIRES USAGES DESCRIPTION EXTRA GROUPS"
    assert " ".join(listed.splitlines()[0].split()) == header
    row = next(line.split() for line in listed.splitlines() if line.startswith(name))
    assert row[1] in ("59m", "60m", "1h")
    assert row[3:] == ["authentication,signing", "<none>", "system:bootstrappers:k3s:default-node-token"]
    raw = k3s.cli("token", "list", "-o", "json").out
    assert secret not in raw
    entry = next(item for item in json.loads(raw) if item["expires"] == row[2])
    assert entry["token"] == {}
    assert k3s.cli("token", "delete", name).out == f'bootstrap token "{name}" deleted\n'
    assert name not in k3s.cli("token", "list").out


def test_generated_token_is_not_stored(k3s: K3s) -> None:
    made = k3s.cli("token", "generate").out.strip()
    assert re.fullmatch(r"[a-z0-9]{6}\.[a-z0-9]{16}", made)
    assert made.split(".")[0] not in k3s.cli("token", "list").out


def test_deleting_an_unknown_token_fails(k3s: K3s) -> None:
    answer = k3s.cli("token", "delete", "nosuch", check=False)
    assert answer.rc == 1
    assert 'failed to delete bootstrap token \\"nosuch\\"' in answer.err


def test_server_token_rotates_and_takes_its_record_along(k3s: K3s) -> None:
    """The file and the encrypted identity follow; afterwards the configured token is back in force."""
    first = k3s.cli("token", "rotate", "--new-token", ROTATED)
    rotated = token_file(k3s)
    with k3s.dropin("99-rotated", f"token: {ROTATED}\n"):
        restart(k3s)
        k3s.cli("token", "rotate", "--token", ROTATED, "--new-token", TOKEN)
    restart(k3s)
    # Looked at last, so that a difference here does not leave a server that cannot start.
    said = plain(first.out + first.err)
    assert "WARNING: Recommended to keep a record of the old token. If restoring from" in said
    assert "Token rotated, restart k3s nodes with new token" in said
    assert rotated.endswith(f"::server:{ROTATED}")
    assert token_file(k3s).endswith(f"::server:{TOKEN}")


@pytest.mark.parametrize("verb", [["save"], ["ls"], ["delete", "x"]])
def test_snapshots_need_etcd(k3s: K3s, verb: list[str]) -> None:
    answer = k3s.cli("etcd-snapshot", *verb, check=False)
    assert answer.rc == 1
    assert 'level=fatal msg="Error: see server log for details: etcd datastore disabled"' in answer.err
    assert "Unknown flag --disable found in config.yaml, skipping" in answer.err


def test_check_config_exits_with_its_failures(k3s: K3s) -> None:
    answer = k3s.cli("check-config", check=False)
    text = plain(answer.out)
    position = 0
    for section in CHECK_SECTIONS:
        position = text.index(section, position)
    status = text.strip().splitlines()[-1]
    if status == "STATUS: pass":
        assert answer.rc == 0
    else:
        failures = re.fullmatch(r"STATUS: (\d+) \(fail\)", status)
        assert failures, status
        assert answer.rc >= int(failures[1])


@pytest.mark.parametrize("command", ["token", "certificate", "secrets-encrypt"])
def test_unknown_subcommand_ends_with_3(k3s: K3s, command: str) -> None:
    answer = k3s.cli(command, "nosuch", check=False)
    assert answer.rc == 3
    assert "No help topic for 'nosuch'" in answer.out + answer.err
