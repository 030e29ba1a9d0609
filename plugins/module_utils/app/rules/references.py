# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Names that must lead somewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.app.build.wait import target
from ansible_collections.holdfast.k3s.plugins.module_utils.app.rules.data import in_cluster
from ansible_collections.holdfast.k3s.plugins.module_utils.app.rules.model import Finding

CREDENTIALS = ("user", "password", "database", "auth")


def owners(app: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(path, entry) of everything that has pods: services, jobs, cron jobs, data services in the cluster."""
    for section in ("services", "jobs", "cronjobs"):
        for name, entry in app[section].items():
            yield f"{section}.{name}", entry
    for path, entry in in_cluster(app):
        yield path, {"config": [], "secrets": [], "wait_for": [], "uses": [], **entry}


def switched_off(app: Mapping[str, Any], name: Any) -> str:
    """The sentence that explains a missing name by `enabled: false`; empty when that is not why."""
    return " It is there but switched off." if name in app["disabled"] else ""


def unknown_dependency(app: Mapping[str, Any]) -> Iterator[Finding]:
    """wait_for and uses name something of the release, or a host and a port."""
    known = {*app["services"], *app["data_services"]}
    for path, owner in owners(app):
        for wait in owner["wait_for"]:
            name = wait.get("service")
            if (name and name not in known) or (not name and not wait.get("host")):
                yield Finding(
                    "wait.unknown",
                    f"{path}.wait_for",
                    f"There is no such service or data service.{switched_off(app, name)}",
                    f"one of: {', '.join(sorted(known)) or 'none yet'}; or give host and port",
                    name,
                    source="SN-64",
                )
            elif target(app, wait)[1] == 0:
                yield Finding(
                    "wait.no_port",
                    f"{path}.wait_for",
                    "It has no port to wait for.",
                    "give port in wait_for, or to the service",
                    name or wait.get("host"),
                )
        for name in owner["uses"]:
            if name not in known:
                yield Finding(
                    "uses.unknown",
                    f"{path}.uses",
                    "There is no such service.",
                    f"one of: {', '.join(sorted(known))}",
                    name,
                )


def wait_cycle(app: Mapping[str, Any]) -> Iterator[Finding]:
    """Services that wait for each other never start."""
    edges = {
        name: [w["service"] for w in service["wait_for"] if w.get("service") in app["services"]]
        for name, service in app["services"].items()
    }
    reported: set[frozenset[str]] = set()
    for start in edges:
        for cycle in _cycles(edges, start, [start]):
            if frozenset(cycle) not in reported:
                reported.add(frozenset(cycle))
                yield Finding(
                    "wait.cycle",
                    f"services.{start}.wait_for",
                    "These services wait for each other, so none starts.",
                    "remove one of the waits",
                    " -> ".join([*cycle, start]),
                )


def _cycles(edges: Mapping[str, list[str]], start: str, path: list[str]) -> Iterator[list[str]]:
    for following in edges.get(path[-1], []):
        if following == start:
            yield path
        elif following not in path:
            yield from _cycles(edges, start, [*path, following])


def wait_order(app: Mapping[str, Any]) -> Iterator[Finding]:
    """Something rolled out earlier must not wait for something that is rolled out later."""
    for name, service in app["services"].items():
        for wait in service["wait_for"]:
            other = app["services"].get(wait.get("service", ""))
            if other and other["order"] > service["order"]:
                yield Finding(
                    "wait.order",
                    f"services.{name}.order",
                    f"It waits for {other['name']}, which comes later (order {other['order']}).",
                    f"set order to at least {other['order']}",
                    service["order"],
                )


def job_before_service(app: Mapping[str, Any]) -> Iterator[Finding]:
    """A job that runs before the services waits in vain for one of them."""
    for name, job in app["jobs"].items():
        section = "migrations" if job.get("migration") else "jobs"
        for wait in job["wait_for"]:
            if job["when"] == "pre" and wait.get("service") in app["services"]:
                yield Finding(
                    "wait.order",
                    f"{section}.{name}.wait_for",
                    "It runs before the services of the release, so this one is not there yet.",
                    "set when: post, or wait for what the service itself waits for",
                    wait["service"],
                )


def unknown_lender(app: Mapping[str, Any]) -> Iterator[Finding]:
    """The service that a job borrows image and environment from is there."""
    for section in ("jobs", "cronjobs"):
        for name, job in app[section].items():
            if job.get("service") and job["service"] not in app["services"]:
                yield Finding(
                    "jobs.unknown_service",
                    f"{'migrations' if job.get('migration') else section}.{name}.service",
                    f"There is no such service to borrow from.{switched_off(app, job['service'])}",
                    f"one of: {', '.join(sorted(app['services'])) or 'none yet'}",
                    job["service"],
                )


def unknown_config(app: Mapping[str, Any]) -> Iterator[Finding]:
    """ConfigMaps and Secrets that a pod names have to be declared."""
    for path, owner in owners(app):
        for kind, names in (("config", _config_of(owner)), ("secrets", _secrets_of(owner))):
            for name in sorted(names - set(app[kind])):
                extra = "; provider: existing for one that is already there" if kind == "secrets" else ""
                listed = name in owner[kind] or not path.startswith("data_services.")
                yield Finding(
                    f"{kind}.unknown",
                    f"{path}.{kind}" if listed else path,
                    f"It is not declared in {kind}.",
                    f"add {kind}.{name}{extra}",
                    name,
                )
    for name, service in app["data_services"].items():
        for field in CREDENTIALS:
            given = service.get(field)
            if isinstance(given, Mapping) and given["secret"] not in app["secrets"]:
                yield Finding(
                    "secrets.unknown",
                    f"data_services.{name}.{field}",
                    "It is not declared in secrets.",
                    f"add secrets.{given['secret']}",
                    given["secret"],
                )


def _config_of(owner: Mapping[str, Any]) -> set[str]:
    used = {v["config"] for v in owner["env"].values() if isinstance(v, Mapping) and "config" in v}
    return (
        used
        | set(owner["config"])
        | {v["config"] for v in owner["volumes"].values() if v.get("kind") == "config"}
    )


def _secrets_of(owner: Mapping[str, Any]) -> set[str]:
    used = {
        v["secret"]
        for v in owner["env"].values()
        if isinstance(v, Mapping) and "secret" in v and not v.get("optional")
    }
    return (
        used
        | set(owner["secrets"])
        | {v["secret"] for v in owner["volumes"].values() if v.get("kind") == "secret"}
    )


def missing_key(app: Mapping[str, Any]) -> Iterator[Finding]:
    """A variable that takes a key which the ConfigMap or Secret does not have."""
    for place, variable, value in _values(app):
        if isinstance(value, Mapping):
            key = value.get("key", variable)
            if (
                "config" in value
                and key not in app["config"].get(value["config"], {"data": {key: ""}})["data"]
            ):
                yield Finding(
                    "config.missing_key",
                    place,
                    "The ConfigMap has no such key.",
                    f"add config.{value['config']}.{key}",
                    key,
                )
            secret = app["secrets"].get(value.get("secret", ""))
            if secret and _lacks(secret, key) and not value.get("optional"):
                yield Finding(
                    "secrets.missing_key",
                    place,
                    f"Secret {value['secret']} has no such key (it has: {', '.join(secret['keys']) or 'none'}).",
                    f"add the key to secrets.{value['secret']}",
                    key,
                )


def _values(app: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """(path, name, value) of every variable, and of what a data service makes variables of itself."""
    for path, owner in owners(app):
        for variable, value in owner["env"].items():
            yield f"{path}.env.{variable}", variable, value
    for path, service in in_cluster(app):
        for field in CREDENTIALS:
            yield f"{path}.{field}", field, service.get(field)


def _lacks(secret: Mapping[str, Any], key: str) -> bool:
    """Whether the key is known not to be there: only of a static Secret does an empty list say so."""
    return key not in secret["keys"] and bool(secret["keys"] or secret["provider"] == "static")


def unknown_mode(app: Mapping[str, Any]) -> Iterator[Finding]:
    """mode is one of modes."""
    modes = sorted(app.get("modes") or {})
    if (app.get("mode") and app["mode"] not in modes) or (modes and not app.get("mode")):
        yield Finding(
            "mode.unknown",
            "mode",
            "It is not one of modes.",
            f"one of: {', '.join(modes) or 'none declared'}",
            app.get("mode"),
            source="SS-01",
        )


def unknown_split(app: Mapping[str, Any]) -> Iterator[Finding]:
    """A role split names services that exist, switched on or off."""
    known = {*app["services"], *app["disabled"]}
    for number, split in enumerate(app.get("role_splits") or []):
        for part in ("api", "worker"):
            if split[part] not in known:
                yield Finding(
                    "split.unknown",
                    f"role_splits[{number}].{part}",
                    "There is no such service.",
                    f"one of: {', '.join(sorted(known))}",
                    split[part],
                )


RULES = (
    unknown_dependency,
    wait_cycle,
    wait_order,
    job_before_service,
    unknown_lender,
    unknown_config,
    missing_key,
    unknown_mode,
    unknown_split,
)
