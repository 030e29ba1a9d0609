"""A registry over HTTP that does what the tests tell it to."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest


class FakeRegistry:
    """blobs: by digest; an upload never replaces one, as in distribution. status: what every answer is instead."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, bytes] = {}
        self.status, self.text = 0, b"{}"
        self.seen: list[tuple[str, str, Any]] = []
        self.url = ""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    registry: FakeRegistry

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def handle_any(self) -> None:
        one, path = self.registry, self.path.partition("?")[0]
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        one.seen.append((self.command, path, self.headers.get("Authorization")))
        last = path.rpartition("/")[2]
        if one.status:
            self.answer(one.status, one.text)
        elif self.command == "POST":
            self.answer(202, Location="/upload")
        elif self.command == "PUT":
            digest = re.sub("%3A", ":", self.path.partition("digest=")[2])
            one.blobs.setdefault(digest, body)
            self.answer(201)
        elif "/blobs/" in path and last in one.blobs:
            found = re.match(r"bytes=(\d+)-", self.headers.get("Range") or "")
            first = int(found[1]) if found else 0
            self.answer(206 if found else 200, one.blobs[last][first:])
        elif "/manifests/" in path and last in one.manifests:
            self.answer(200, one.manifests[last], Docker_Content_Digest="sha256:m")
        else:
            self.answer(200 if path in ("/v2/", "/v2/_catalog") else 404, one.text)

    do_GET = do_HEAD = do_POST = do_PUT = handle_any

    def log_message(self, *_arguments: Any) -> None:
        pass


@pytest.fixture
def served() -> Iterator[FakeRegistry]:
    """The registry, on a port of its own."""
    registry = FakeRegistry()
    handler = type("Bound", (Handler,), {"registry": registry})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    registry.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield registry
    server.shutdown()
    server.server_close()
