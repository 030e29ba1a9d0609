# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Data services that run in the cluster: what would start and still not be one database."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.app.rules.model import Finding

_ONE_MORE = {
    "postgres": "replicas: 1, with replica: {replicas: 1} for a copy that follows, or mode: external with its host",
    "redis": "replicas: 1, with sentinel: true, or mode: external with its host",
}
# A key file, or a file of settings, which may name one.
_KEY_FILE = {"--keyFile", "--config", "-f"}


def in_cluster(app: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(path, entry) of every data service that the release runs itself."""
    for name, service in app["data_services"].items():
        if service["mode"] == "in_cluster":
            yield f"data_services.{name}", service


def members(app: Mapping[str, Any]) -> Iterator[Finding]:
    """Only a MongoDB replica set has members that know each other; of the rest each pod is a server of its own."""
    for path, service in in_cluster(app):
        is_set = service["engine"] == "mongodb" and service["kind"] == "statefulset"
        if service["replicas"] > 1 and not is_set:
            yield Finding(
                "data.replicas",
                f"{path}.replicas",
                "These would be servers that know nothing of each other behind one name: each client meets another one's data.",
                f"set {_ONE_MORE.get(service['engine'], 'replicas: 1, or mode: external with its host')}",
                service["replicas"],
            )


def engine_named(app: Mapping[str, Any]) -> Iterator[Finding]:
    """Nothing is rendered for an engine that nobody named, and clients would wait for it for ever."""
    for path, service in in_cluster(app):
        if service["engine"] == "other":
            yield Finding(
                "data.no_engine",
                f"{path}.engine",
                "The entry's name is not an engine and none is given, so nothing would run.",
                "set engine (postgres, redis, rabbitmq, mongodb, neo4j), or mode: external with its host",
                service["engine"],
            )


def mongodb_without_key_file(app: Mapping[str, Any]) -> Iterator[Finding]:
    """A member of a replica set that checks passwords has to know the others by a key file, or it does not start."""
    for path, service in in_cluster(app):
        given = {str(argument).partition("=")[0] for argument in service["args"]}
        if service["engine"] != "mongodb" or service.get("command") or given & _KEY_FILE:
            continue
        for field in ("user", "password"):
            if service.get(field):
                yield Finding(
                    "data.mongodb_auth",
                    f"{path}.{field}",
                    "With a password the members of a MongoDB replica set need a key file, and mongod refuses to start without.",
                    "remove user and password (network_policy keeps others out), set mode: external, "
                    "or mount a key file with volumes, args: [--keyFile, PATH] and initiate: false",
                )


RULES = (members, engine_named, mongodb_without_key_file)
