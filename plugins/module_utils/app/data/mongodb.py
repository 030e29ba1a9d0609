# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""MongoDB as a replica set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.app.data.engine import (
    Engine,
    port,
    probe_set,
    reference,
)

_INITIATE = """\
set -eu
members=""
for n in $(seq 0 $((MEMBERS - 1))); do
  members="$members{_id: $n, host: \\"$SET_NAME-$n.$SET_NAME-members:$SET_PORT\\"},"
done
mongosh --quiet --host "$SET_NAME-0.$SET_NAME-members" --port "$SET_PORT" --eval "
  try { rs.status().ok } catch (e) {
    if (e.codeName !== 'NotYetInitialized') throw e;
    rs.initiate({_id: '$SET_ID', members: [$members]})
  }"
"""


def engine(app: Mapping[str, Any], service: Mapping[str, Any]) -> Engine:
    """A StatefulSet whose members find each other by name, and a Job that makes the set once."""
    env: dict[str, Any] = {}
    if service.get("user"):
        env["MONGO_INITDB_ROOT_USERNAME"] = reference(service["user"])
    if service.get("password"):
        env["MONGO_INITDB_ROOT_PASSWORD"] = reference(service["password"])
    set_id = service.get("replica_set", "rs0")
    args = ["mongod", "--replSet", set_id, "--bind_ip_all", "--port", str(service["port"])]
    jobs = []
    if service.get("initiate", True):
        jobs.append(
            {
                "name": f"{service['name']}-initiate",
                "image": service["image"],
                "command": ["sh", "-c", _INITIATE],
                "env": {
                    "MEMBERS": service["replicas"],
                    "SET_ID": set_id,
                    "SET_NAME": service["name"],
                    "SET_PORT": service["port"],
                },
                "resources": service["resources"],
                "security": service["security"],
                "retries": 6,
            }
        )
    return Engine(
        mount="/data/db",
        ports=[port("mongodb", service["port"])],
        env=env,
        args=args,
        probes=probe_set({"tcp": service["port"]}, startup=int(service.get("startup", 300))),
        writable=["/tmp", "/data/configdb"],
        headless=True,
        jobs=jobs,
    )
