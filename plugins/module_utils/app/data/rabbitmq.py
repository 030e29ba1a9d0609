# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""RabbitMQ, one node with its queues on a volume."""

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

PORT = 5672
MANAGEMENT_PORT = 15672


def engine(app: Mapping[str, Any], service: Mapping[str, Any]) -> Engine:
    """RabbitMQ as the official image's contract describes it.

    The probes ask the AMQP port: `rabbitmq-diagnostics` starts a whole Erlang machine each time.
    """
    env = {
        "RABBITMQ_DEFAULT_USER": reference(service.get("user", "")),
        "RABBITMQ_DEFAULT_PASS": reference(service.get("password", "")),
        **listens(service, PORT, "RABBITMQ_NODE_PORT"),
    }
    ports = [port("amqp", service["port"])]
    if service.get("management"):
        ports.append(port("management", MANAGEMENT_PORT))
    return Engine(
        mount="/var/lib/rabbitmq",
        ports=ports,
        env={key: value for key, value in env.items() if value},
        probes=probe_set({"tcp": service["port"]}, startup=int(service.get("startup", 300))),
        writable=["/tmp", "/var/log/rabbitmq", "/etc/rabbitmq"],
    )
