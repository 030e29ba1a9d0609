# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Labels and names: what the API accepts, and what keeps one workload's pods apart from another's."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.app import names
from ansible_collections.holdfast.k3s.plugins.module_utils.app.build.network import companions
from ansible_collections.holdfast.k3s.plugins.module_utils.app.rules.model import Finding

_OWN = ("app", *(f"app.kubernetes.io/{word}" for word in ("name", "component", "managed-by")))
_VALUE = re.compile(r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$")
_KEY = re.compile(r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$")
_KEY_FIX = "write letters, digits, dash, dot and underscore, such as team or example.net/team"
_CHANGES = "app.kubernetes.io/version"


def reserved(app: Mapping[str, Any]) -> Iterator[Finding]:
    """Labels that pods are found by are not the inventory's to set."""
    for key in sorted(set(app["labels"]) & set(_OWN)):
        yield Finding(
            "labels.reserved",
            f"labels.{key}",
            "The release sets this label itself, so this one is not used.",
            "remove it, or give it another name",
            app["labels"][key],
            severity="warning",
        )


def selectors(app: Mapping[str, Any]) -> Iterator[Finding]:
    """Selector labels exist, stay the same, and tell the workloads apart."""
    known = {*_OWN, names.PART_OF, *app["labels"]}
    wanted = app.get("selector_labels") or []
    for number, label in enumerate(wanted):
        if label not in known:
            why = "It changes with every version." if label == _CHANGES else "There is no such label."
            fix = f"one of: {', '.join(sorted(known))}"
            yield Finding("labels.selector", f"selector_labels[{number}]", why, fix, label)
    if not wanted or not set(wanted) <= known:
        return
    seen: dict[str, str] = {}
    for name in _with_pods(app):
        key = names.canonical(names.selector(app, name))
        if key in seen:
            yield Finding(
                "labels.selector_shared",
                "selector_labels",
                f"{seen[key]} and {name} would select each other's pods.",
                "add app, which differs for each",
                ", ".join(wanted),
            )
        seen.setdefault(key, name)


def _with_pods(app: Mapping[str, Any]) -> list[str]:
    data = [name for name, service in app["data_services"].items() if service["mode"] == "in_cluster"]
    return [*app["services"], *data, *companions(app)]


def name_clash(app: Mapping[str, Any]) -> Iterator[Finding]:
    """Two things of one name: one would be dropped, or a Service would send traffic to a Job's pods."""
    pods = dict.fromkeys([*app["data_services"], *companions(app)], "data service")
    for name in sorted(set(app["services"]) & set(pods)):
        yield _clash(f"services.{name}", "A data service has the same name.", name)
    inside = {name for name, service in app["data_services"].items() if service["mode"] == "in_cluster"}
    finders = {name: what for name, what in pods.items() if name in inside or name in companions(app)}
    finders.update({name: "service" for name, service in app["services"].items() if service["ports"]})
    for section in ("jobs", "cronjobs"):
        for name, job in app[section].items():
            where = "migrations" if job.get("migration") else section
            if name in finders:
                yield _clash(
                    f"{where}.{name}",
                    f"A {finders[name]} has the same name, and its Service finds pods by it.",
                    name,
                )
    for name, given in (app.get("migrations") or {}).items():
        job = app["jobs"].get(name, {"migration": True})
        if given.get("enabled", True) and not job.get("migration"):
            yield _clash(f"migrations.{name}", "A job has the same name.", name)


def _clash(path: str, message: str, name: str) -> Finding:
    return Finding(
        "names.clash", path, message, f"rename one, for example {name}-{path.split('.')[0].rstrip('s')}", name
    )


def values(app: Mapping[str, Any]) -> Iterator[Finding]:
    """Texts that become labels have a label's form."""
    texts = {"version": app.get("version"), "name": app["name"]}
    for section in ("labels", "namespace_labels"):
        for key, value in (app.get(section) or {}).items():
            texts[f"{section}.{key}"] = value
            if not _KEY.match(key):
                yield Finding("labels.key", f"{section}.{key}", "It is no label's name.", _KEY_FIX, key)
    for section in ("services", "data_services", "jobs", "cronjobs"):
        texts.update({f"{section}.{name}.component": e["component"] for name, e in app[section].items()})
    for path, text in texts.items():
        if text is not None and not (len(text) <= 63 and _VALUE.match(text)):
            legal = re.sub("[^A-Za-z0-9_.-]+", "-", text)[:63].strip("-_.")
            message = "It becomes a label: letters, digits, dash, dot and underscore, 63 at most."
            yield Finding("labels.value", path, message, f"write {legal}", text)


def dns_names(app: Mapping[str, Any]) -> Iterator[Finding]:
    """Namespaces, Services and containers have names without a dot; a Service's begins with a letter."""
    given = [("namespace", app["namespace"])]
    for section in ("services", "data_services", "jobs", "cronjobs"):
        given += [(f"{section}.{name}", name) for name in app[section]]
    for path, name in given:
        begins = path.startswith(("services.", "data_services.")) and name[:1].isdigit()
        if "." in name or begins:
            what = "It begins with a digit." if begins else "Its name has a dot."
            fix = f"write {'a letter first' if begins else name.replace('.', '-')}"
            yield Finding("names.form", path, f"{what} Kubernetes does not take that here.", fix, name)


RULES = (reserved, selectors, name_clash, values, dns_names)
