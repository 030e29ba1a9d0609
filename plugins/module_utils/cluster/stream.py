# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Commands in containers over the websocket protocol of the API, safe for any bytes in both directions."""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
import time
from typing import Any, Optional
from urllib.parse import urlencode

from ansible_collections.holdfast.k3s.plugins.module_utils.cluster import connect
from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.errors import (
    ApiError,
    ApiUnreachable,
    from_answer,
    unreachable,
)
from ansible_collections.holdfast.k3s.plugins.module_utils.core.command import Result
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import (
    CommandError,
    ConnectionEnded,
    HoldfastError,
)

# Only the fifth version can say "end of input"; servers speak it since Kubernetes 1.30.
PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
STDIN, STDOUT, STDERR, STATUS, CLOSE = 0, 1, 2, 3, 255
CHUNK = 32 * 1024


def execute(
    configuration: Any,
    host: str,
    namespace: str,
    pod: str,
    argv: list[str],
    *,
    container: Optional[str],
    stdin: Optional[bytes],
    timeout: float,
) -> Result:
    """Run argv and collect what it says. Raises CommandError past `timeout` seconds, ApiError when the pod cannot be entered."""
    began = time.monotonic()
    pairs: list[tuple[str, str]] = [("command", part) for part in argv]
    pairs += [("stdout", "true"), ("stderr", "true")]
    if stdin is not None:
        pairs.append(("stdin", "true"))
    if container:
        pairs.append(("container", container))
    path = f"/api/v1/namespaces/{namespace}/pods/{pod}/exec"
    socket = _open(configuration, host, path + "?" + urlencode(pairs), timeout)
    try:
        if stdin is not None:
            if socket.getsubprotocol() != PROTOCOLS[0]:
                raise HoldfastError(
                    "this API server cannot end a command's input", fix="use Kubernetes 1.30 or newer"
                )
            threading.Thread(target=_feed, args=(socket, stdin), daemon=True).start()
        out, err, status = _collect(socket, argv, began + timeout, timeout)
    finally:
        with contextlib.suppress(Exception):
            socket.close(timeout=1)
    return Result(
        list(argv),
        exit_code(status, argv),
        out.decode("utf-8", "replace"),
        err.decode("utf-8", "replace"),
        time.monotonic() - began,
        bytes(out),
    )


def exit_code(status: bytes, argv: list[str]) -> int:
    """The exit code of a status message; ConnectionEnded when there is none."""
    try:
        message = json.loads(status)
    except ValueError:
        raise ConnectionEnded(f"the connection ended before {argv[0]} did") from None
    if message.get("status") == "Success":
        return 0
    for cause in (message.get("details") or {}).get("causes") or []:
        if cause.get("reason") == "ExitCode":
            return int(cause["message"])
    raise CommandError(f"{argv[0]} could not be run: {message.get('message')}")


def _collect(
    socket: Any, argv: list[str], until: float, timeout: float
) -> tuple[bytearray, bytearray, bytes]:
    import websocket

    streams = {STDOUT: bytearray(), STDERR: bytearray(), STATUS: bytearray()}
    while True:
        remaining = until - time.monotonic()
        try:
            if remaining <= 0:
                raise websocket.WebSocketTimeoutException
            socket.settimeout(remaining)
            opcode, data = socket.recv_data()
        except websocket.WebSocketTimeoutException:
            raise CommandError(f"{argv[0]} in the pod did not end within {timeout:g} s") from None
        except (websocket.WebSocketException, OSError):
            break
        if opcode == websocket.ABNF.OPCODE_CLOSE:
            break
        if data and data[0] in streams:
            streams[data[0]] += data[1:]
    return streams[STDOUT], streams[STDERR], bytes(streams[STATUS])


def _feed(socket: Any, stdin: bytes) -> None:
    # A command that ends before it read everything closes the connection; its exit code tells the story.
    with contextlib.suppress(Exception):
        for start in range(0, len(stdin), CHUNK):
            socket.send_binary(bytes([STDIN]) + stdin[start : start + CHUNK])
        socket.send_binary(bytes([CLOSE, STDIN]))


def _open(configuration: Any, host: str, path: str, timeout: float) -> Any:
    try:
        import websocket
    except ImportError as failure:
        raise HoldfastError(f"the Python package 'websocket-client' is missing: {failure}") from failure
    url = "ws" + host[len("http") :] + path
    socket = websocket.WebSocket(
        sslopt=_tls(configuration), enable_multithread=True, skip_utf8_validation=True
    )
    headers = [f"{name}: {value}" for name, value in connect.auth_headers(configuration).items()]
    options: dict[str, Any] = {"timeout": timeout}
    if configuration.proxy:
        from kubernetes.stream import ws_client

        options = ws_client.websocket_proxycare(options, configuration, url, {})
    try:
        socket.connect(url, header=headers, subprotocols=list(PROTOCOLS), **options)
    except websocket.WebSocketBadStatusException as refusal:
        raise _refusal(refusal, path) from refusal
    except (websocket.WebSocketException, OSError) as failure:
        raise unreachable(host, failure) from failure
    return socket


def _refusal(refusal: Any, path: str) -> HoldfastError:
    body = getattr(refusal, "resp_body", None) or b""
    status = int(getattr(refusal, "status_code", 0) or 0)
    what = path.split("?", 1)[0]
    if not status:
        return ApiUnreachable(str(refusal))
    return from_answer(status, body, what) if body else ApiError(status, "", str(refusal), what=what)


def _tls(configuration: Any) -> dict[str, Any]:
    options: dict[str, Any] = {"cert_reqs": ssl.CERT_NONE}
    if configuration.verify_ssl:
        options = {"cert_reqs": ssl.CERT_REQUIRED}
        if configuration.ssl_ca_cert:
            options["ca_certs"] = configuration.ssl_ca_cert
        if configuration.assert_hostname is not None:
            options["check_hostname"] = configuration.assert_hostname
    else:
        options["check_hostname"] = False
    if configuration.cert_file:
        options["certfile"] = configuration.cert_file
    if configuration.key_file:
        options["keyfile"] = configuration.key_file
    if getattr(configuration, "tls_server_name", None):
        options["server_hostname"] = configuration.tls_server_name
    return options
