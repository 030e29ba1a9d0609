# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A small client of the registry HTTP API v2: catalogue, manifests and blobs, with nothing but the standard library."""

from __future__ import annotations

import base64
import http.client
import json
import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any, Optional
from urllib.parse import quote, urlencode, urljoin, urlsplit

from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError

MANIFEST_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)


class RegistryError(HoldfastError):
    """The registry answered with an error, or not at all. `status` is the HTTP status, 0 without an answer."""

    def __init__(self, msg: str, *, status: int = 0, **kwargs: Any) -> None:
        super().__init__(msg, **kwargs)
        self.status = status

    @property
    def wants_login(self) -> bool:
        """It answers, but not to whoever asks: nothing that a restart could mend."""
        return self.status in (401, 403)


class Garbled(RegistryError):
    """It answered, but no registry says such a thing: damaged, or another service on its port."""


def parsed(body: bytes, what: str) -> dict[str, Any]:
    """The object in an answer. what: what was asked for."""
    try:
        found = json.loads(body.decode("utf-8"))
    except ValueError:
        found = None
    if isinstance(found, dict):
        return found
    raise Garbled(
        f"was answered with what is no JSON object: {body[:60]!r}",
        field="registry",
        value=what,
        fix="see which service listens there (ss -ltnp), or push what is damaged again",
    )


@dataclass(frozen=True)
class Manifest:
    """A manifest as the registry keeps it: its digest, its media type and its exact bytes."""

    digest: str
    media_type: str
    body: bytes

    def data(self) -> dict[str, Any]:
        """The manifest parsed."""
        return parsed(self.body, f"manifest {self.digest}")

    def blobs(self) -> list[tuple[str, Optional[int]]]:
        """Digest and size of the config and the layers that an image manifest names; empty for an index."""
        data = self.data()
        named = [data["config"]] if "config" in data else []
        return [(one["digest"], one.get("size")) for one in [*named, *data.get("layers", [])]]

    def children(self) -> list[str]:
        """Digests of the manifests that an index names; empty for an image manifest."""
        return [entry["digest"] for entry in self.data().get("manifests", [])]


class RegistryClient:
    """Talk to one registry.

    url: `http://localhost:5000` or `https://…`.
    username, password: basic auth, when both are given.
    ca_file: PEM bundle that signs the registry's certificate; default: the system's.
    timeout: seconds for each single request.
    """

    def __init__(
        self,
        url: str,
        *,
        username: Optional[str] = None,
        password: Optional[str] = None,
        ca_file: Optional[str] = None,
        timeout: float = 30.0,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise RegistryError(
                "not a registry address", field="url", value=url, fix="write http(s)://HOST:PORT"
            )
        self.url = url.rstrip("/")
        self._host, self._port = parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
        self._context = self._trust(ca_file) if parts.scheme == "https" else None
        self._timeout = timeout
        self._headers: dict[str, str] = {}
        if username and password:
            pair = base64.b64encode(f"{username}:{password}".encode()).decode()
            self._headers["Authorization"] = f"Basic {pair}"
        self._connection: Optional[http.client.HTTPConnection] = None

    def close(self) -> None:
        """Drop the connection; the next request opens a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def ping(self) -> None:
        """Raise RegistryError unless the API answers as version 2."""
        self._call("GET", "/v2/", ok=(200,))

    def catalog(self, page: int = 200) -> Iterator[str]:
        """Names of all repositories, page by page."""
        path: Optional[str] = f"/v2/_catalog?{urlencode({'n': page})}"
        while path:
            headers, body = self._call("GET", path, ok=(200,))[1:]
            yield from self._parsed(body, path).get("repositories") or []
            path = self._next_page(headers, path)

    def tags(self, repository: str) -> list[str]:
        """Tags of a repository; empty when it is unknown or has none."""
        path = f"/v2/{quote(repository)}/tags/list"
        status, _headers, body = self._call("GET", path, ok=(200, 404))
        return sorted(self._parsed(body, path).get("tags") or []) if status == 200 else []

    def manifest(self, repository: str, reference: str) -> Optional[Manifest]:
        """The manifest of a tag or digest; None when the registry has none."""
        status, headers, body = self._call(
            "GET",
            f"/v2/{quote(repository)}/manifests/{quote(reference, safe=':')}",
            headers={"Accept": ", ".join(MANIFEST_TYPES)},
            ok=(200, 404),
        )
        if status == 404:
            return None
        return Manifest(headers.get("docker-content-digest", ""), headers.get("content-type", ""), body)

    def manifest_digest(self, repository: str, reference: str) -> Optional[str]:
        """Digest of the manifest behind a tag, without its bytes; None when there is none."""
        status, headers, _body = self._call(
            "HEAD",
            f"/v2/{quote(repository)}/manifests/{quote(reference, safe=':')}",
            headers={"Accept": ", ".join(MANIFEST_TYPES)},
            ok=(200, 404),
        )
        return headers.get("docker-content-digest") if status == 200 else None

    def put_manifest(self, repository: str, reference: str, media_type: str, body: bytes) -> str:
        """Store a manifest under a tag or digest; returns the digest that the registry computed."""
        headers = self._call(
            "PUT",
            f"/v2/{quote(repository)}/manifests/{quote(reference, safe=':')}",
            headers={"Content-Type": media_type},
            body=body,
            ok=(201, 202),
        )[1]
        return headers.get("docker-content-digest", "")

    def delete_manifest(self, repository: str, digest: str) -> bool:
        """Delete a manifest by digest; False when it was not there."""
        return (
            self._call("DELETE", f"/v2/{quote(repository)}/manifests/{digest}", ok=(202, 404, 405))[0] == 202
        )

    def blob_size(self, repository: str, digest: str) -> Optional[int]:
        """Size in bytes of a blob that the registry can serve; None when it cannot."""
        status, headers, _body = self._call("HEAD", f"/v2/{quote(repository)}/blobs/{digest}", ok=(200, 404))
        return int(headers.get("content-length", "0")) if status == 200 else None

    def readable(self, repository: str, digest: str, expected: Optional[int] = None) -> bool:
        """Whether the blob's last byte can be read: the registry answers HEAD from a cache that outlives the file.

        expected: the size that the manifest names; a file that was cut off is served as if it were whole.
        """
        try:
            size = self.blob_size(repository, digest)
        except RegistryError as error:
            if error.status < 500:
                raise
            return False
        if size is None or (expected is not None and size != expected):
            return False
        try:
            headers = {"Range": f"bytes={max(0, size - 1)}-{max(0, size - 1)}"}
            path = f"/v2/{quote(repository)}/blobs/{digest}"
            status, _headers, body = self._call("GET", path, headers=headers, ok=(200, 206, 404, 416))
        except RegistryError:
            return False  # a file that is gone or cut off ends the answer early, or with a server error
        return status in (200, 206) and (bool(body) or size == 0)

    def blob(self, repository: str, digest: str) -> Optional[bytes]:
        """The whole blob in memory (meant for configs, not for layers); None when it is missing."""
        status, _headers, body = self._call("GET", f"/v2/{quote(repository)}/blobs/{digest}", ok=(200, 404))
        return body if status == 200 else None

    def upload_blob(self, repository: str, digest: str, content: bytes | IO[bytes], size: int) -> bool:
        """Upload a blob in one piece unless the registry can serve it; True when bytes were sent.

        Raises RegistryError when the registry takes the bytes and still cannot serve them.
        """
        if self.readable(repository, digest, size):
            return False
        headers = self._call("POST", f"/v2/{quote(repository)}/blobs/uploads/", body=b"", ok=(202,))[1]
        location = urljoin(f"{self.url}/", headers.get("location", ""))
        parts = urlsplit(location)
        query = f"{parts.query}&" if parts.query else ""
        self._call(
            "PUT",
            f"{parts.path}?{query}{urlencode({'digest': digest})}",
            headers={"Content-Type": "application/octet-stream", "Content-Length": str(size)},
            body=content,
            ok=(201,),
        )
        if not self.readable(repository, digest, size):
            raise _kept_damaged(self.url, digest)
        return True

    def _trust(self, ca_file: Optional[str]) -> ssl.SSLContext:
        """What certificates are checked against."""
        try:
            return ssl.create_default_context(cafile=ca_file)
        except OSError as failure:  # SSLError is one too
            raise RegistryError(
                f"cannot be read as PEM: {failure}",
                field="ca_file",
                value=ca_file,
                fix="name the file with the registry's authority, also in configs of registries.yaml",
            ) from failure

    def _parsed(self, body: bytes, path: str) -> dict[str, Any]:
        return parsed(body, f"GET {self.url}{path}")

    def _next_page(self, headers: dict[str, str], path: str) -> Optional[str]:
        found = re.search(r'<([^>]+)>\s*;\s*rel="?next"?', headers.get("link", ""))
        if not found:
            return None
        parts = urlsplit(urljoin(f"{self.url}{path}", found.group(1)))
        return f"{parts.path}?{parts.query}"

    def _connect(self) -> http.client.HTTPConnection:
        if self._connection is None:
            self._connection = (
                http.client.HTTPSConnection(
                    self._host, self._port, timeout=self._timeout, context=self._context
                )
                if self._context
                else http.client.HTTPConnection(self._host, self._port, timeout=self._timeout)
            )
        return self._connection

    def _call(
        self,
        method: str,
        path: str,
        *,
        headers: Optional[dict[str, str]] = None,
        body: bytes | IO[bytes] | None = None,
        ok: tuple[int, ...] = (200,),
    ) -> tuple[int, dict[str, str], bytes]:
        """One request on the kept connection; a connection that the server closed meanwhile is opened anew once."""
        retryable = not hasattr(body, "read")
        for last in (not retryable, True):
            fresh = self._connection is None
            connection = self._connect()
            try:
                connection.request(method, path, body=body, headers={**self._headers, **(headers or {})})
                answer = connection.getresponse()
                content = answer.read()
                break
            except (OSError, http.client.HTTPException) as failure:
                self.close()
                if last or fresh:
                    raise RegistryError(
                        f"the registry does not answer {method} {path}: {failure}",
                        field="url",
                        value=self.url,
                        fix="look at its unit: systemctl status docker-registry",
                    ) from failure
        found = {name.lower(): value for name, value in answer.getheaders()}
        if answer.status not in ok:
            text = content[:300].decode("utf-8", "replace").strip()
            raise RegistryError(
                f"{method} {path} was answered {answer.status} {answer.reason}: {text}",
                status=answer.status,
                field="url",
                value=self.url,
            )
        return answer.status, found, content


def _kept_damaged(url: str, digest: str) -> RegistryError:
    """A registry drops an upload when a file of that digest exists, whatever is in that file."""
    algorithm, _colon, value = digest.partition(":")
    data = f"docker/registry/v2/blobs/{algorithm}/{value[:2]}/{value}/data"
    return RegistryError(
        f"took {digest} and still cannot serve it whole: its own damaged file stands in the way",
        field="url",
        value=url,
        fix=f"delete {data} below the registry's storage directory, then run this again",
    )
