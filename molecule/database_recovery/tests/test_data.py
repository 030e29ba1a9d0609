"""Backups of what is no PostgreSQL database: the running Redis and RabbitMQ, and a volume."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from database import NAMESPACE, Database, run_module, run_play

from lab.host import LabHost

REGISTRY = "localhost:5000/lab"
DATA = [
    {"name": "redis", "kind": "redis", "image": f"{REGISTRY}/redis:7", "host": "redis"},
    {
        "name": "queues",
        "kind": "rabbitmq",
        "image": f"{REGISTRY}/rabbitmq:3",
        "host": "rabbitmq-management",
        "user": "songnodes",
        "secret": "rabbitmq-credentials",
        "secret_key": "RABBITMQ_PASSWORD",
    },
    {"name": "cache", "kind": "volume", "image": f"{REGISTRY}/redis:7", "claim": "redis-pvc"},
]


@pytest.fixture(scope="module")
def configured(database: Database, host: LabHost) -> Iterator[None]:
    """The role with data beside the databases; afterwards as the inventory describes it again."""
    database.kubectl("expose", "pod", "rabbitmq-0", "--name=rabbitmq-management", "--port=15672")
    done = run_play("site", "--tags", "backup", backup_data=DATA)
    assert done.returncode == 0, done.stdout[-4000:]
    yield
    done = run_play("site", "--tags", "backup")
    assert done.returncode == 0, done.stdout[-4000:]
    database.kubectl("delete", "service", "rabbitmq-management")
    assert "-data-" not in database.kubectl("get", "cronjobs", "-o", "name")
    volume = run_module("pg_backup_info")["volume"]
    host.sudo(["find", volume, "-maxdepth", "1", "-name", "data-*", "-exec", "rm", "-rf", "{}", "+"])


def test_redis_rabbitmq_and_a_volume(configured: None, database: Database, host: LabHost) -> None:
    database.kubectl("exec", "deploy/redis", "--", "redis-cli", "SET", "holdfast:canary", "still here")
    done = {item["name"]: run_module("data_backup", item=item["name"]) for item in DATA}
    assert all(not d["failed"] and d["verified"] and d["changed"] for d in done.values()), done
    path = done["redis"]["backup"]["path"]
    assert "still here" in host.sudo(["cat", f"{path}/dump/dump.rdb"]).out
    definitions = json.loads(host.read(f"{done['queues']['backup']['path']}/dump/definitions.json"))
    assert "songnodes" in [user["name"] for user in definitions["users"]], definitions.keys()
    listed = host.sudo(["tar", "-tf", f"{done['cache']['backup']['path']}/dump/volume.tar"]).out
    assert "./" in listed
    pointer = json.loads(host.read(f"/var/lib/holdfast/backups/{NAMESPACE}.postgres-backup.json"))
    assert {"data-redis", "data-queues", "data-cache"} <= {d["directory"] for d in pointer["databases"]}
    database.kubectl("exec", "deploy/redis", "--", "redis-cli", "DEL", "holdfast:canary")
