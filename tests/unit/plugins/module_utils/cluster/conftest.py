# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A small but real HTTP server that behaves like the API in the ways that the client relies on."""

from __future__ import annotations

import base64
import hashlib
import json
import struct
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Callable
from urllib.parse import parse_qs, urlsplit

import pytest

Answer = tuple[int, Any]


class FakeApi:
    """routes: (method, path) → callable(query, body, headers) → (status, object). seen: every request."""

    def __init__(self) -> None:
        self.routes: dict[tuple[str, str], Callable[[dict, Any, dict], Answer]] = {}
        self.seen: list[tuple[str, str, dict, Any, dict]] = []
        self.exec_script: Callable[[list[str], bytes], tuple[bytes, bytes, dict]] | None = None
        self.hang_exec = False
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: Any) -> None:
                """Tests need no access log."""

            def _serve(self) -> None:
                parts = urlsplit(self.path)
                query = {k: v[0] for k, v in parse_qs(parts.query).items()}
                if self.headers.get("Upgrade", "").lower() == "websocket":
                    api.websocket(self, parts.path, parse_qs(parts.query))
                    return
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length)
                headers = {k.lower(): v for k, v in self.headers.items()}
                parsed = json.loads(body) if body else None
                api.seen.append((self.command, parts.path, query, parsed, headers))
                route = api.routes.get((self.command, parts.path))
                status, answer = (
                    route(query, parsed, headers) if route else status_object(404, "NotFound", "no")
                )
                data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                if status == 429:
                    self.send_header("Retry-After", "0")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def on(self, method: str, path: str, answer: Any) -> None:
        """Answer a route with an object (200), an Answer or a callable."""
        if callable(answer):
            self.routes[method, path] = answer
        else:
            fixed = answer if isinstance(answer, tuple) else (200, answer)
            self.routes[method, path] = lambda query, body, headers: fixed

    def websocket(self, handler: Any, path: str, query: dict[str, list[str]]) -> None:
        """One exec session in v5.channel.k8s.io."""
        handler.close_connection = True
        if self.exec_script is None:
            data = json.dumps(status_object(404, "NotFound", 'pods "x" not found')[1]).encode()
            handler.send_response(404)
            handler.send_header("Content-Length", str(len(data)))
            handler.end_headers()
            handler.wfile.write(data)
            return
        magic = handler.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        handler.send_response(101)
        handler.send_header("Upgrade", "websocket")
        handler.send_header("Connection", "Upgrade")
        accept = base64.b64encode(hashlib.sha1(magic.encode()).digest()).decode()
        handler.send_header("Sec-WebSocket-Accept", accept)
        handler.send_header("Sec-WebSocket-Protocol", "v5.channel.k8s.io")
        handler.end_headers()
        handler.wfile.flush()
        stdin = bytearray()
        while "stdin" in query:
            frame = read_frame(handler.rfile)
            if frame[:1] == b"\xff":
                break
            stdin += frame[1:]
        if self.hang_exec:
            read_frame(handler.rfile)
            return
        out, err, status = self.exec_script(query["command"], bytes(stdin))
        for channel, data in ((1, out), (2, err), (3, json.dumps(status).encode())):
            for start in range(0, len(data), 1000):
                send_frame(handler.wfile, bytes([channel]) + data[start : start + 1000])
        send_frame(handler.wfile, struct.pack(">H", 1000), opcode=8)


def status_object(code: int, reason: str, message: str, **more: Any) -> Answer:
    return code, {"kind": "Status", "code": code, "reason": reason, "message": message, **more}


def read_frame(stream: Any) -> bytes:
    head = stream.read(2)
    if len(head) < 2:
        return b"\xff"
    length = head[1] & 127
    if length == 126:
        length = struct.unpack(">H", stream.read(2))[0]
    elif length == 127:
        length = struct.unpack(">Q", stream.read(8))[0]
    mask = stream.read(4)
    data = stream.read(length)
    mask = (mask * (length // 4 + 1))[:length]
    return (int.from_bytes(data, "big") ^ int.from_bytes(mask, "big")).to_bytes(length, "big")


def send_frame(stream: Any, data: bytes, opcode: int = 2) -> None:
    head = bytes([0x80 | opcode])
    head += bytes([len(data)]) if len(data) < 126 else b"\x7e" + struct.pack(">H", len(data))
    stream.write(head + data)
    stream.flush()


@pytest.fixture
def api() -> Iterator[FakeApi]:
    fake = FakeApi()
    yield fake
    fake.server.shutdown()
    fake.server.server_close()


@pytest.fixture
def kubeconfig(api: FakeApi, tmp_path: Path) -> str:
    path = tmp_path / "kubeconfig"
    contexts = [{"name": n, "context": {"cluster": "c", "user": n}} for n in ("first", "second")]
    users = [{"name": n, "user": {"token": f"token-{n}"}} for n in ("first", "second")]
    path.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "first",
                "clusters": [{"name": "c", "cluster": {"server": api.url}}],
                "contexts": contexts,
                "users": users,
            }
        )
    )
    return str(path)


@pytest.fixture
def client(kubeconfig: str) -> Any:
    # Not above: this file may be read before the collection finder is installed.
    from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.client import Client

    return Client.connect(kubeconfig, timeout=5)
