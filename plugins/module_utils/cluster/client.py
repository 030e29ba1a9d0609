# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The only code that talks to the Kubernetes API: plain dicts over the kubernetes package's transport."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any, Optional, Union
from urllib.parse import urlencode

from ansible_collections.holdfast.k3s.plugins.module_utils.cluster import connect, discovery, stream
from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.errors import (
    ApiError,
    from_answer,
    unreachable,
)
from ansible_collections.holdfast.k3s.plugins.module_utils.core.command import Result
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import PreconditionFailed

Query = Union[dict[str, Any], list[tuple[str, Any]], None]
MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
THROTTLE_RETRIES = 4


class Client:
    """One connection pool to one API server; safe to use from several threads."""

    def __init__(self, configuration: Any, timeout: float = 30) -> None:
        self.configuration, self.timeout = configuration, timeout
        # Kept here: refreshing a token makes the package read the kubeconfig again, server included.
        self.host = str(configuration.host).rstrip("/")
        self._pool = connect.pool(configuration)
        self._discovery = discovery.Discovery(self)

    @classmethod
    def connect(
        cls,
        kubeconfig: Optional[str] = None,
        context: Optional[str] = None,
        host: Optional[str] = None,
        timeout: float = 30,
    ) -> Client:
        """A client from a kubeconfig; no request is made yet. host: overrides the kubeconfig's server. timeout: seconds a request."""
        return cls(connect.configuration(kubeconfig, context, host), timeout)

    def raw(
        self,
        method: str,
        path: str,
        body: Any = None,
        query: Query = None,
        content_type: Optional[str] = None,
        timeout: Optional[float] = None,
        accept: str = "application/json",
    ) -> tuple[int, bytes]:
        """Status and bytes of an answer, whatever the status. Raises ApiUnreachable without an answer.

        body: bytes, or an object sent as JSON. A throttled request (429) is repeated as the server asks.
        """
        url = self.host + path
        pairs = [
            (k, v) for k, v in (query.items() if isinstance(query, dict) else query or []) if v is not None
        ]
        if pairs:
            url += ("&" if "?" in path else "?") + urlencode(pairs)
        headers = {"Accept": accept, "User-Agent": "holdfast", **connect.auth_headers(self.configuration)}
        payload = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        if payload is not None:
            headers["Content-Type"] = content_type or "application/json"
        for attempt in range(THROTTLE_RETRIES):
            answer = self._send(method, url, payload, headers, timeout or self.timeout)
            if answer.status != 429 or attempt == THROTTLE_RETRIES - 1:
                return answer.status, answer.data
            time.sleep(_retry_after(answer.headers))
        raise AssertionError("unreachable")

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        query: Query = None,
        content_type: Optional[str] = None,
        timeout: Optional[float] = None,
    ) -> dict[str, Any]:
        """The parsed answer. Raises ApiError when the server says no, ApiUnreachable when it says nothing."""
        status, data = self.raw(method, path, body, query, content_type, timeout)
        if status >= 300:
            raise from_answer(status, data, f"{method} {path}")
        try:
            return json.loads(data) if data else {}
        except ValueError:
            raise from_answer(status, data, f"{method} {path}") from None

    def list(
        self,
        path: str,
        *,
        label_selector: Optional[str] = None,
        field_selector: Optional[str] = None,
        limit: int = 500,
    ) -> Iterator[dict[str, Any]]:
        """Every object of a collection, page by page; each carries apiVersion and kind.

        An expired page token (410) goes on from the one that the server offers instead.
        """
        query: dict[str, Any] = {
            "labelSelector": label_selector,
            "fieldSelector": field_selector,
            "limit": limit,
        }
        while True:
            try:
                page = self.request("GET", path, query=query)
            except ApiError as gone:
                offered = (
                    (gone.body.get("metadata") or {}).get("continue") if isinstance(gone.body, dict) else None
                )
                if gone.status != 410 or not offered:
                    raise
                query["continue"] = offered
                continue
            kind = str(page.get("kind") or "").removesuffix("List")
            for item in page.get("items") or []:
                item.setdefault("apiVersion", page.get("apiVersion"))
                item.setdefault("kind", kind)
                yield item
            query["continue"] = (page.get("metadata") or {}).get("continue") or None
            if not query["continue"]:
                return

    def get(self, path: str) -> Optional[dict[str, Any]]:
        """An object, or None when it does not exist."""
        try:
            return self.request("GET", path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def delete(
        self,
        path: str,
        *,
        uid: Optional[str] = None,
        resource_version: Optional[str] = None,
        grace_seconds: Optional[int] = None,
        propagation: Optional[str] = None,
    ) -> Optional[dict[str, Any]]:
        """Delete, but only what was seen: another UID or resourceVersion raises PreconditionFailed. None when already gone."""
        options: dict[str, Any] = {"apiVersion": "v1", "kind": "DeleteOptions"}
        conditions = {k: v for k, v in (("uid", uid), ("resourceVersion", resource_version)) if v}
        if conditions:
            options["preconditions"] = conditions
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        if propagation:
            options["propagationPolicy"] = propagation
        try:
            return self.request("DELETE", path, options)
        except ApiError as error:
            if error.status == 404:
                return None
            if error.status == 409:
                raise PreconditionFailed(f"{path} changed since it was observed: {error.message}") from error
            raise

    def patch(
        self, path: str, body: Any, content_type: str = MERGE_PATCH, query: Query = None
    ) -> dict[str, Any]:
        """Patch an object; a conflict (a resourceVersion in the body that is no longer true) raises PreconditionFailed."""
        try:
            return self.request("PATCH", path, body, query, content_type)
        except ApiError as error:
            if error.status == 409 and content_type != APPLY_PATCH:
                raise PreconditionFailed(f"{path} changed since it was observed: {error.message}") from error
            raise

    def apply(
        self,
        obj: dict[str, Any],
        *,
        field_manager: str = "holdfast",
        force: bool = False,
        dry_run: bool = False,
    ) -> dict[str, Any]:
        """Server-side apply. A field that another manager owns is an ApiError (409) unless forced."""
        meta = obj.get("metadata") or {}
        path = self.path_for(obj["apiVersion"], obj["kind"], meta.get("namespace"), meta["name"])
        query: dict[str, Any] = {"fieldManager": field_manager, "force": "true" if force else "false"}
        if dry_run:
            query["dryRun"] = "All"
        return self.patch(path, obj, APPLY_PATCH, query)

    def exec(
        self,
        namespace: str,
        pod: str,
        argv: list[str],  # type: ignore[valid-type]
        *,
        container: Optional[str] = None,
        stdin: Optional[bytes] = None,
        timeout: float = 60,
    ) -> Result:
        """Run argv in a container. Bytes in, bytes out (Result.out_bytes); a non-zero exit is a Result, not an error."""
        return stream.execute(
            self.configuration,
            self.host,
            namespace,
            pod,
            argv,
            container=container,
            stdin=stdin,
            timeout=timeout,
        )

    def logs(
        self,
        namespace: str,
        pod: str,
        *,
        container: Optional[str] = None,
        previous: bool = False,
        tail_lines: int = 200,
        limit_bytes: Optional[int] = None,
    ) -> str:
        """The last lines of a container's log."""
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}/log"
        query = {
            "container": container,
            "previous": "true" if previous else None,
            "tailLines": tail_lines,
            "limitBytes": limit_bytes,
        }
        status, data = self.raw("GET", path, query=query, accept="*/*")
        if status >= 300:
            raise from_answer(status, data, f"GET {path}")
        return data.decode("utf-8", "replace")

    def path_for(
        self, api_version: str, kind: str, namespace: Optional[str] = None, name: Optional[str] = None
    ) -> str:
        """The path of an object, or of a collection without a name. Asks only the group it needs."""
        return self._discovery.path_for(api_version, kind, namespace, name)

    def serves(self, api_version: str, kind: str) -> bool:
        """Whether the server knows this kind (a CRD may be absent)."""
        return self._discovery.serves(api_version, kind)

    def _send(
        self, method: str, url: str, payload: Optional[bytes], headers: dict[str, str], timeout: float
    ) -> Any:
        from urllib3.exceptions import HTTPError, ProtocolError
        from urllib3.util import Timeout

        for last in (method != "GET", True):
            try:
                return self._pool.request(
                    method,
                    url,
                    body=payload,
                    headers=headers,
                    timeout=Timeout(connect=min(timeout, 10), read=timeout),
                    retries=False,
                )
            except ProtocolError as failure:
                # A kept connection that died with a restarted server: reading once more is harmless.
                if last:
                    raise unreachable(self.host, failure) from failure
            except (HTTPError, OSError) as failure:
                raise unreachable(self.host, failure) from failure
        raise AssertionError("unreachable")


def _retry_after(headers: Any) -> float:
    try:
        return min(5.0, max(0.1, float(headers.get("Retry-After") or 0.5)))
    except ValueError:
        return 0.5
