"""Secrets encryption, switched on for a running cluster. Last: what is encrypted stays so."""

from __future__ import annotations

import base64
import json

from tests.contract.k3s import DATA, DROPINS, K3s, eventually

CONFIGURED = f"{DROPINS}/95-encryption.yaml"
CANARY = "contract-canary-plain-text"
ANNOTATION = "k3s.io/encryption-config-hash"


def status(k3s: K3s) -> dict[str, object]:
    """Return ``secrets-encrypt status -o json``."""
    found: dict[str, object] = json.loads(k3s.cli("secrets-encrypt", "status", "-o", "json").out)
    return found


def restart(k3s: K3s) -> None:
    """Restart k3s and wait until the node answers and tells its state of encryption."""
    cursor = k3s.start("restart")
    k3s.wait_line(cursor, "k3s is up and running", 120)
    k3s.wait_ready()


def stored_in_clear(k3s: K3s, name: str) -> bool:
    """Tell whether a Secret's value can be read in the datastore's file."""
    script = (
        "import sqlite3,sys;"
        f"c=sqlite3.connect('file:{DATA}/server/db/state.db?mode=ro',uri=True);"
        f"rows=c.execute(\"select value from kine where name='/registry/secrets/default/{name}'\").fetchall();"
        f"print(len(rows), any(b'{CANARY}' in bytes(r[0]) for r in rows))"
    )
    count, found = k3s.host.sudo(["python3", "-c", script]).out.split()
    assert int(count) > 0
    return found == "True"


def write_secret(k3s: K3s, name: str) -> None:
    """Write a Secret with the canary."""
    k3s.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": "default"},
            "data": {"value": base64.b64encode(CANARY.encode()).decode()},
        }
    )


def test_never_configured(k3s: K3s) -> None:
    assert (
        k3s.cli("secrets-encrypt", "status").out
        == "Encryption Status: Disabled, no configuration file found\n"
    )
    assert status(k3s) == {"stage": "", "activekey": ""}
    refused = k3s.cli("secrets-encrypt", "rotate-keys", check=False)
    assert refused.rc == 1
    assert "see server log for details: secret-encrypt error ID " in refused.err
    write_secret(k3s, "before")
    assert stored_in_clear(k3s, "before")


def test_enabled_after_a_restart_with_the_flag(k3s: K3s) -> None:
    assert k3s.cli("secrets-encrypt", "enable").out == "secrets-encryption enabled\n"
    k3s.host.put(CONFIGURED, b"secrets-encryption: true\n", 0o600)
    restart(k3s)
    eventually(lambda: status(k3s)["hashmatch"], 30, "the node's annotation")
    assert status(k3s) == {"stage": "start", "activekey": "", "enable": False, "hashmatch": True}
    lines = k3s.cli("secrets-encrypt", "status").out.splitlines()
    assert lines[:3] == [
        "Encryption Status: Disabled",
        "Current Rotation Stage: start",
        "Server Encryption Hashes: All hashes match",
    ]


def test_rotation_encrypts_what_is_there(k3s: K3s) -> None:
    answer = k3s.cli("secrets-encrypt", "rotate-keys", timeout=300)
    assert answer.out == "keys rotated, reencryption finished\n"
    write_secret(k3s, "after")
    assert not stored_in_clear(k3s, "after")
    restart(k3s)
    eventually(lambda: status(k3s)["hashmatch"], 30, "the node's annotation")
    found = status(k3s)
    assert found["stage"] == "reencrypt_finished"
    assert found["enable"] is True
    assert str(found["activekey"]).startswith("AES-CBC aescbckey-")
    annotation = k3s.get("node", k3s.node)["metadata"]["annotations"][ANNOTATION]
    assert annotation.startswith("reencrypt_finished-")
    for name in ("before", "after"):
        secret = k3s.get("secret", name, "-n", "default")
        assert base64.b64decode(secret["data"]["value"]).decode() == CANARY


def test_files_of_encryption_are_private(k3s: K3s) -> None:
    for name in ("encryption-config.json", "encryption-state.json"):
        listed = k3s.host.sudo(["stat", "-c", "%a %U:%G", f"{DATA}/server/cred/{name}"]).out.strip()
        assert listed == "600 root:root"
