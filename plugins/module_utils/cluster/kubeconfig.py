# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Kubeconfigs that hold nothing but certificates or a token, such as k3s's own, read without the `kubernetes` package.

Importing that package reads several hundred files of models: longer than most of our work takes, and on a machine
in trouble many times that.
"""

from __future__ import annotations

import atexit
import base64
import contextlib
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

_CLUSTER = {"server", "certificate-authority-data", "certificate-authority", "tls-server-name"}
_USER = {"client-certificate-data", "client-certificate", "client-key-data", "client-key", "token"}
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


@dataclass
class Plain:
    """The part of the package's Configuration that the client uses, under the same names. Files are paths."""

    host: str
    ssl_ca_cert: Optional[str] = None
    cert_file: Optional[str] = None
    key_file: Optional[str] = None
    tls_server_name: Optional[str] = None
    token: str = ""
    verify_ssl: bool = True
    assert_hostname: Optional[bool] = None
    proxy: Optional[str] = None

    def auth_settings(self) -> dict[str, Any]:
        """The token in the package's form; empty with certificates."""
        return {"BearerToken": {"value": f"Bearer {self.token}"}} if self.token else {}


def read(path: str, context: Optional[str]) -> Optional[Plain]:
    """The configuration of a context (the current one by default); None for whatever needs the package to say or do."""
    if any(os.environ.get(name) or os.environ.get(name.lower()) for name in _PROXIES):
        return None
    try:
        import yaml
    except ImportError:
        return None
    try:
        document = yaml.load(Path(path).read_bytes(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
        chosen = _named(document, "contexts", context or document["current-context"], "context")
        cluster = _named(document, "clusters", chosen["cluster"], "cluster")
        user = _named(document, "users", chosen["user"], "user")
        if set(cluster) - _CLUSTER or set(user) - _USER:
            return None
        base = Path(path).parent
        return Plain(
            host=str(cluster["server"]).rstrip("/"),
            ssl_ca_cert=_file(base, cluster, "certificate-authority"),
            cert_file=_file(base, user, "client-certificate"),
            key_file=_file(base, user, "client-key"),
            tls_server_name=cluster.get("tls-server-name"),
            token=str(user.get("token") or ""),
        )
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError):
        return None


def _named(document: Mapping[str, Any], section: str, name: str, kind: str) -> Mapping[str, Any]:
    """An entry of a kubeconfig's list by its name."""
    for entry in document[section]:
        if entry["name"] == name:
            found: Mapping[str, Any] = entry[kind]
            return found
    raise KeyError(name)


def _file(base: Path, entry: Mapping[str, Any], key: str) -> Optional[str]:
    """The path of a certificate or key; one that is embedded goes into a file of our own, gone with the process."""
    embedded = entry.get(f"{key}-data")
    if not embedded:
        return str(base / entry[key]) if entry.get(key) else None
    content = base64.b64decode(embedded, validate=True)
    handle, name = tempfile.mkstemp(prefix="holdfast-")  # readable for its owner alone
    atexit.register(_remove, name)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    return name


def _remove(name: str) -> None:
    with contextlib.suppress(OSError):
        Path(name).unlink()
