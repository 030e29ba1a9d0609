"""A bare host whose registry speaks TLS and asks for a password, with k3s pulling through it."""

from __future__ import annotations

import datetime
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from lab import mirror
from lab.host import LabHost
from tests.scenario import Play, fresh_host, play

NAME = "regsecure"
USER, PASSWORD = "pusher", "canary-registry-password"
BCRYPT = "$2b$08$El5gnNa7cir462BVpz8/EeU2xVTpaC23W6yhzfRx7hEHoR1cVUHt6"  # of that password
AUTHORITY = "/etc/ssl/registry-test-ca.pem"
STORAGE = "/var/lib/docker-registry/docker/registry/v2"
IMAGE = "localhost:5000/lab/sample-app:1.0.0"


def certificates() -> dict[str, str]:
    """An authority and what it signed for localhost, as PEM: `authority`, `certificate`, `key`."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    now = datetime.datetime.now(datetime.timezone.utc)
    pem = serialization.Encoding.PEM

    def signed(name: str, key: Any, signer: Any, issuer: str, *extensions: Any) -> Any:
        builder = x509.CertificateBuilder()
        builder = builder.subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]))
        builder = builder.issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, issuer)]))
        builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - datetime.timedelta(days=1))
        builder = builder.not_valid_after(now + datetime.timedelta(days=30))
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        about = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
        builder = builder.add_extension(about, False)
        for extension in extensions:
            builder = builder.add_extension(extension, True)
        return builder.sign(signer, hashes.SHA256())

    root, leaf = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    usage = dict.fromkeys(
        ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
         "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"), False,
    )  # fmt: skip
    signs = x509.KeyUsage(**{**usage, "key_cert_sign": True, "crl_sign": True})
    authority = signed(
        "test authority", root, root, "test authority", x509.BasicConstraints(True, None), signs
    )
    names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    certificate = signed("localhost", leaf, root, "test authority", names)
    private = leaf.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return {
        "authority": authority.public_bytes(pem).decode(),
        "certificate": certificate.public_bytes(pem).decode(),
        "key": private.decode(),
    }


class Registry:
    """The host and its registry, set up and asked as an operator would."""

    def __init__(self, host: LabHost) -> None:
        self.host = host
        self.files = certificates()

    @property
    def variables(self) -> dict[str, Any]:
        """What the inventory of such a host says."""
        return {
            "registry_tls_certificate": self.files["certificate"],
            "registry_tls_key": self.files["key"],
            "registry_ca_file": AUTHORITY,
            "registry_users": [{"name": USER, "bcrypt": BCRYPT}],
            "registry_username": USER,
            "registry_password": PASSWORD,
            "registry_images": [{"ref": IMAGE, "src": f"{mirror.url()}/images/sample-app.tar"}],
            "k3s_registries": {
                "mirrors": {"localhost:5000": {"endpoint": ["https://localhost:5000"]}},
                "configs": {
                    "localhost:5000": {
                        "auth": {"username": USER, "password": PASSWORD},
                        "tls": {"ca_file": AUTHORITY},
                    }
                },
            },
        }

    def converge(self, *arguments: str) -> Play:
        """Run the roles k3s and registry."""
        return play(NAME, "--tags", "k3s,registry,summary", *arguments, **self.variables)

    def curl(self, path: str, *arguments: str, login: str | None = f"{USER}:{PASSWORD}") -> tuple[str, str]:
        """HTTP status and body; the password goes through standard input."""
        config = f'user = "{login}"\n' if login else ""
        asked = self.host.run(
            ["curl", "-sS", "-K", "-", "--cacert", AUTHORITY, "--max-time", "60", "-w", "\\n%{http_code}", *arguments,
             f"https://localhost:5000{path}"], stdin=config.encode(), check=False,
        )  # fmt: skip
        body, _, status = asked.out.rpartition("\n")
        return status or asked.err, body

    def push(self, *wanted: str) -> dict[str, Any]:
        """Push made-up images (see pusher.py); returns their digests."""
        self.host.put("/tmp/pusher.py", (Path(__file__).parent / "pusher.py").read_bytes())
        about = json.dumps({"user": USER, "password": PASSWORD, "authority": AUTHORITY, "wanted": wanted})
        return json.loads(self.host.run(["python3", "/tmp/pusher.py"], stdin=about.encode()).out)

    def on_disk(self, digest: str) -> bool:
        """Whether the storage holds a blob's data."""
        value = digest.split(":")[1]
        return self.host.exists(f"{STORAGE}/blobs/sha256/{value[:2]}/{value}/data")

    def lose(self, digest: str) -> None:
        """Lose a blob's data, as a disk would."""
        value = digest.split(":")[1]
        self.host.sudo(["rm", f"{STORAGE}/blobs/sha256/{value[:2]}/{value}/data"])


@pytest.fixture(scope="session")
def registry() -> Iterator[Registry]:
    """A host on which both roles ran; gone afterwards."""
    machine = fresh_host(NAME)
    found = Registry(machine)
    machine.put(AUTHORITY, found.files["authority"].encode())
    found.converge().ok()
    yield found
    machine.down()
