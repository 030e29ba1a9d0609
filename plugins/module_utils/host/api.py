# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The API server of this very host, over its loopback address, with nothing but the standard library.

Bringing k3s up happens before any client library is sure to be there; everything later goes through `cluster`.
"""

from __future__ import annotations

import http.client
import json
import ssl
from pathlib import Path
from typing import Any, Optional

TLS_DIR = "/var/lib/rancher/k3s/server/tls"


class NotAnswering(Exception):
    """No usable answer; the text says why."""


class NodeApi:
    """The local API server as its administrator.

    tls_dir: k3s's certificates. port: https-listen-port. timeout: seconds for one request.
    """

    def __init__(self, tls_dir: str = TLS_DIR, port: int = 6443, timeout: float = 10.0) -> None:
        self._tls, self.port, self._timeout = Path(tls_dir), port, timeout
        self._connection: Optional[http.client.HTTPSConnection] = None

    def close(self) -> None:
        """Drop the connection and with it the client certificate that it was opened with."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def request(
        self, method: str, path: str, body: Optional[Any] = None, content_type: str = "application/json"
    ) -> tuple[int, bytes]:
        """Status and body. Raises NotAnswering when there is no HTTP answer at all."""
        try:
            connection = self._connect()
            payload = None if body is None else json.dumps(body).encode()
            headers = {"Accept": "application/json", **({"Content-Type": content_type} if payload else {})}
            connection.request(method, path, body=payload, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException) as failure:
            self.close()
            raise NotAnswering(str(failure) or type(failure).__name__) from failure

    def ready(self) -> str:
        """Why the server is not ready; empty when it is."""
        try:
            status, body = self.request("GET", "/readyz")
        except NotAnswering as failure:
            return f"the API does not answer: {failure}"
        if status == 200:
            return ""
        failed = [line for line in body.decode("utf-8", "replace").splitlines() if "failed" in line]
        return f"/readyz says {status}" + (f": {failed[0]}" if failed else "")

    def get(self, path: str) -> Optional[dict[str, Any]]:
        """An object or a list; None when it does not exist. Raises NotAnswering for every other answer."""
        status, body = self.request("GET", path)
        if status == 404:
            return None
        if status != 200:
            raise NotAnswering(f"GET {path} was answered {status}")
        return json.loads(body.decode("utf-8"))

    def items(self, path: str) -> list[dict[str, Any]]:
        """The items of a list, empty when the path does not exist."""
        return (self.get(path) or {}).get("items") or []

    def change(
        self, method: str, path: str, body: Optional[Any] = None, content_type: str = "application/json"
    ) -> None:
        """A write; raises NotAnswering unless the server accepted it."""
        status, answer = self.request(method, path, body, content_type)
        if status >= 300 and not (method == "DELETE" and status == 404):
            raise NotAnswering(
                f"{method} {path} was answered {status}: {answer[:200].decode('utf-8', 'replace')}"
            )

    def _connect(self) -> http.client.HTTPSConnection:
        if self._connection is None:
            context = ssl.create_default_context(cafile=str(self._tls / "server-ca.crt"))
            context.load_cert_chain(str(self._tls / "client-admin.crt"), str(self._tls / "client-admin.key"))
            self._connection = http.client.HTTPSConnection(
                "127.0.0.1", self.port, timeout=self._timeout, context=context
            )
        return self._connection
