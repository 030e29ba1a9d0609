# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Plain kubeconfigs: read without the package, with certificates that a real TLS server checks; all others are left to it."""

from __future__ import annotations

import base64
import datetime
import ipaddress
import json
import ssl
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.client import Client
from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.kubeconfig import read

NOW = datetime.datetime.now(datetime.timezone.utc)


def written(path: Path, cluster: dict[str, Any], user: dict[str, Any]) -> str:
    """A kubeconfig with one context."""
    content = {
        "current-context": "default",
        "contexts": [{"name": "default", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": user}],
    }
    path.write_text(json.dumps(content))
    return str(path)


class Authority:
    """A certificate authority of the tests' own."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
        self.pem = self._sign(self.name, self.key, True).public_bytes(serialization.Encoding.PEM)

    def _sign(self, subject: x509.Name, key: Any, is_ca: bool) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
        )
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(NOW - datetime.timedelta(days=1))
        builder = builder.not_valid_after(NOW + datetime.timedelta(days=1))
        builder = builder.add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        builder = builder.add_extension(address, critical=False)
        usage = dict.fromkeys(
            (
                "content_commitment",
                "key_encipherment",
                "data_encipherment",
                "key_agreement",
                "encipher_only",
                "decipher_only",
            ),
            False,
        )
        builder = builder.add_extension(
            x509.KeyUsage(digital_signature=True, key_cert_sign=is_ca, crl_sign=is_ca, **usage), critical=True
        )
        builder = builder.add_extension(
            x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
        )
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False
        )
        return builder.sign(self.key, hashes.SHA256())

    def issue(self, name: str) -> tuple[bytes, bytes]:
        """Certificate and key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return self._sign(subject, key, False).public_bytes(serialization.Encoding.PEM), private


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def server(authority: Authority, tmp_path: Path) -> Iterator[str]:
    """A TLS server that tells whose certificate it was shown, and talks to nobody without one."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            """Tests need no access log."""

        def do_GET(self) -> None:
            subject = dict(pair[0] for pair in self.connection.getpeercert()["subject"])  # type: ignore[attr-defined]
            data = json.dumps({"client": subject["commonName"]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    certificate, key = authority.issue("server")
    (tmp_path / "server.pem").write_bytes(certificate + key)
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    context.load_verify_locations(tmp_path / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    found = HTTPServer(("127.0.0.1", 0), Handler)
    found.socket = context.wrap_socket(found.socket, server_side=True)
    threading.Thread(target=found.serve_forever, args=(0.01,), daemon=True).start()
    yield f"https://127.0.0.1:{found.server_address[1]}"
    found.shutdown()


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def test_embedded_certificates_open_the_door(authority: Authority, server: str, tmp_path: Path) -> None:
    certificate, key = authority.issue("operator")
    path = written(
        tmp_path / "kubeconfig",
        {"server": server, "certificate-authority-data": encoded(authority.pem)},
        {"client-certificate-data": encoded(certificate), "client-key-data": encoded(key)},
    )
    assert Client.connect(path).request("GET", "/version") == {"client": "operator"}
    plain = read(path, None)
    assert plain and plain.key_file
    assert Path(plain.key_file).read_bytes() == key
    assert stat.S_IMODE(Path(plain.key_file).stat().st_mode) == 0o600


def test_files_beside_the_kubeconfig_do_as_well(authority: Authority, server: str, tmp_path: Path) -> None:
    certificate, key = authority.issue("beside")
    (tmp_path / "own.crt").write_bytes(certificate)
    (tmp_path / "own.key").write_bytes(key)
    path = written(
        tmp_path / "kubeconfig",
        {"server": server, "certificate-authority": "ca.pem"},
        {"client-certificate": "own.crt", "client-key": "own.key"},
    )
    assert Client.connect(path).request("GET", "/version") == {"client": "beside"}


def test_another_authority_is_not_trusted(server: str, authority: Authority, tmp_path: Path) -> None:
    certificate, key = authority.issue("operator")
    path = written(
        tmp_path / "kubeconfig",
        {"server": server, "certificate-authority-data": encoded(Authority().pem)},
        {"client-certificate-data": encoded(certificate), "client-key-data": encoded(key)},
    )
    with pytest.raises(Exception, match="certificate verify failed"):
        Client.connect(path).request("GET", "/version")


@pytest.mark.parametrize(
    ("cluster", "user"),
    [
        ({"insecure-skip-tls-verify": True}, {"token": "t"}),
        ({"proxy-url": "http://proxy.example:3128"}, {"token": "t"}),
        ({}, {"exec": {"command": "aws"}}),
        ({}, {"tokenFile": "/var/run/token"}),
        ({}, {"username": "u", "password": "p"}),
        ({}, {"client-key-data": "not base64!"}),
    ],
    ids=lambda value: "-".join(value) or "plain",
)
def test_whatever_is_not_plain_is_the_packages(
    cluster: dict[str, Any], user: dict[str, Any], tmp_path: Path
) -> None:
    path = written(tmp_path / "kubeconfig", {"server": "https://127.0.0.1:1", **cluster}, user)
    assert read(path, None) is None


def test_a_proxy_is_the_packages(monkeypatch: pytest.MonkeyPatch, kubeconfig: str) -> None:
    assert read(kubeconfig, None)
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    assert read(kubeconfig, None) is None


@pytest.mark.parametrize("text", ["", "a: [", "current-context: nowhere", "- 1"])
def test_a_broken_file_is_the_packages_to_explain(text: str, tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(text)
    assert read(str(path), None) is None
    assert read(str(tmp_path / "none"), None) is None


def test_the_package_is_not_imported_and_nothing_is_left(kubeconfig: str, api: Any, tmp_path: Path) -> None:
    api.on("GET", "/version", {"major": "1"})
    content = json.loads(Path(kubeconfig).read_text())
    content["clusters"][0]["cluster"]["certificate-authority-data"] = encoded(b"nothing")
    Path(kubeconfig).write_text(json.dumps(content))
    program = """
import sys
from ansible.utils.collection_loader._collection_finder import _AnsibleCollectionFinder
_AnsibleCollectionFinder(paths=[sys.argv[1]])._install()
from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.client import Client
print(Client.connect(sys.argv[2]).request("GET", "/version"), "kubernetes" in sys.modules)
"""
    collections = str(Path(__file__).resolve().parents[5] / ".ansible/collections")
    done = subprocess.run(
        [sys.executable, "-c", program, collections, kubeconfig],
        env={"TMPDIR": str(tmp_path), "PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.strip() == "{'major': '1'} False", done.stderr
    assert list(tmp_path.glob("holdfast-*")) == []
