# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Neo4j, one member."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.app.data.engine import (
    Engine,
    listens,
    port,
    probe_set,
    reference,
)

PORT = 7687
HTTP_PORT = 7474


def engine(app: Mapping[str, Any], service: Mapping[str, Any]) -> Engine:
    """Neo4j; `auth` refers to a secret key that holds `neo4j/<password>`."""
    env = {"NEO4J_AUTH": reference(service["auth"])} if service.get("auth") else {}
    # The setting's name since Neo4j 5.
    env.update(listens(service, PORT, "NEO4J_server_bolt_listen__address", ":{port}"))
    return Engine(
        mount="/data",
        ports=[port("bolt", service["port"]), port("http", HTTP_PORT)],
        env=env,
        probes=probe_set({"tcp": service["port"]}, startup=int(service.get("startup", 300))),
        writable=["/tmp", "/logs"],
    )
