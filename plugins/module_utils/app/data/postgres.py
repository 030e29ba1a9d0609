# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""PostgreSQL, optionally with a streaming replica beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.app import names
from ansible_collections.holdfast.k3s.plugins.module_utils.app.build import pod, volumes, workload
from ansible_collections.holdfast.k3s.plugins.module_utils.app.data.engine import (
    Engine,
    listens,
    port,
    probe_set,
    reference,
)

PORT = 5432
DATA = "/var/lib/postgresql/data"
# Over TCP: while the image initializes a new database it listens on the socket only, and is not ready yet.
_READY = ["sh", "-c", 'exec pg_isready -q -h 127.0.0.1 -U "$POSTGRES_USER" -d "$POSTGRES_DB"']
_ALLOW_REPLICATION = """\
#!/bin/sh
# Runs once, when the database is created: a replica may connect.
echo "host replication all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
"""
_CLONE = """\
set -eu
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  rm -rf "$PGDATA.part"
  PGPASSWORD="$POSTGRES_PASSWORD" pg_basebackup -h "$PRIMARY" -U "$POSTGRES_USER" -D "$PGDATA.part" -X stream -R
  mv "$PGDATA.part" "$PGDATA"
fi
"""


def engine(app: Mapping[str, Any], service: Mapping[str, Any]) -> Engine:
    """PostgreSQL as the official image's contract describes it."""
    env = {
        "PGDATA": f"{DATA}/pgdata",
        "POSTGRES_DB": reference(service.get("database", "postgres")),
        "POSTGRES_PASSWORD": reference(service.get("password", "")),
        "POSTGRES_USER": reference(service.get("user", "postgres")),
        # The server, pg_isready and a replica's pg_basebackup all read it.
        **listens(service, PORT, "PGPORT"),
    }
    extra: list[dict[str, Any]] = []
    mounted: dict[str, Any] = {}
    if service.get("replica"):
        name = f"{service['name']}-init"
        metadata = workload.meta(app, name, service["component"])
        script = {"10-allow-replication.sh": _ALLOW_REPLICATION}
        extra.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": script})
        mounted["init"] = {"mount": "/docker-entrypoint-initdb.d", "kind": "config", "config": name}
        extra += _replica(app, service, env)
    return Engine(
        mount=DATA,
        ports=[port("postgres", service["port"])],
        env=env,
        probes=probe_set({"exec": _READY}, startup=int(service.get("startup", 300))),
        writable=["/tmp", "/var/run/postgresql"],
        volumes=mounted,
        extra=extra,
    )


def _replica(
    app: Mapping[str, Any], service: Mapping[str, Any], env: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """A read-only copy that follows the primary: a StatefulSet and a Service of its own."""
    given, name = service["replica"], f"{service['name']}-replica"
    storage = {**service["storage"], **(given.get("storage") or {})}
    owner: dict[str, Any] = {
        **service,
        "name": name,
        "ports": [port("postgres", service["port"])],
        "probes": probe_set({"exec": _READY}, startup=3600),
        "env": {**env, "PRIMARY": service["name"]},
        "config": [], "secrets": [], "wait_for": [], "volumes": {},
        "command": [], "resources": given.get("resources") or service["resources"],
    }  # fmt: skip
    template = pod.template(app, owner)
    main = template["spec"]["containers"][0]
    main["volumeMounts"] = [{"name": "data", "mountPath": DATA}]
    clone = {key: main[key] for key in ("image", "imagePullPolicy", "securityContext", "env", "volumeMounts")}
    clone.update(name="clone", command=["sh", "-c", _CLONE], resources=owner["resources"])
    template["spec"]["initContainers"] = [clone]
    claim = volumes.claim(app, "data", service["component"], storage)
    claim["metadata"] = {"name": "data", "labels": names.selector(app, name)}
    spec = {
        "replicas": int(given.get("replicas", 1)),
        "selector": {"matchLabels": names.selector(app, name)},
        "serviceName": name,
        "template": template,
        "volumeClaimTemplates": [claim],
    }
    stateful = {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": workload.meta(app, name, service["component"]),
        "spec": spec,
    }
    return [workload.network_service(app, owner), stateful]
