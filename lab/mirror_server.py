"""The mirror's HTTP server: ``python3 -m lab.mirror_server FOLDER ADDRESS PORT``, on ADDRESS and on loopback."""

from __future__ import annotations

import functools
import http.server
import socket
import sys
import threading

IP_FREEBIND = 15  # the bridge's address comes and goes with the hosts


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Files with Range support left out: every client here reads them whole."""

    protocol_version = "HTTP/1.1"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log failures only; a scenario fetches hundreds of packages."""
        if str(code).startswith(("4", "5")) and "304" not in str(code):
            super().log_request(code, size)


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def server_bind(self) -> None:
        """Bind also to an address that this machine does not have yet."""
        self.socket.setsockopt(socket.SOL_IP, IP_FREEBIND, 1)
        # Not HTTPServer.server_bind: it looks the address up in DNS, which can take seconds.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = "lab-mirror", self.server_address[1]


def main(folder: str, address: str, port: int) -> None:
    """Serve ``folder`` until the process is ended."""
    handler = functools.partial(_Handler, directory=folder)
    servers = [_Server((host, port), handler) for host in dict.fromkeys((address, "127.0.0.1"))]
    threads = [threading.Thread(target=server.serve_forever) for server in servers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
