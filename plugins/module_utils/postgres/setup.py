# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Bring the objects of a backup into the cluster, and leave the pointer to its health on the host."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.client import Client
from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.errors import ApiError, ApiUnreachable
from ansible_collections.holdfast.k3s.plugins.module_utils.core.clock import Clock
from ansible_collections.holdfast.k3s.plugins.module_utils.core.envelope import Envelope
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError, Refused
from ansible_collections.holdfast.k3s.plugins.module_utils.core.plan import Action, Outcome
from ansible_collections.holdfast.k3s.plugins.module_utils.core.runner import run
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres import (
    manifests,
    offsite,
    pointer,
    policies,
    volume,
)
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres.settings import Settings

_SERVER_FIELDS = ("managedFields", "resourceVersion", "uid", "generation", "creationTimestamp")
_NOTHING_KEPT = offsite.Kept()
Obj = dict[str, Any]


@dataclass
class Facts:
    """reachable: the API answered. changes: (wanted, live or None, what the server would make of it).

    gone: objects of an earlier run that the settings no longer ask for.
    """

    reachable: bool = True
    wanted: list[Obj] = field(default_factory=list)
    changes: list[tuple[Obj, Optional[Obj], Obj]] = field(default_factory=list)
    gone: list[Obj] = field(default_factory=list)


def setup(
    settings: Settings,
    client: Optional[Client],
    *,
    check_mode: bool,
    deadline: float,
    budget: Optional[int] = None,
    pointers: str = pointer.DIRECTORY,
    offsite_key: str = "",
    kept: offsite.Kept = _NOTHING_KEPT,
) -> Envelope:
    """Apply what differs; verified means that the server holds every object as wanted.

    client: None only in check mode on a host that has no cluster yet; then everything would be made.
    offsite_key: of the repository; empty: the one that is kept or in the cluster, or a new one. kept: the escrow file's.
    """

    def observe() -> Facts:
        try:
            if client is not None:
                return _observe(settings, client, check_mode, offsite_key, kept)
        except ApiUnreachable:
            if not check_mode:
                raise
        wanted = manifests.objects(settings, settings.image or "unknown", {})
        return Facts(False, wanted, [(obj, None, obj) for obj in wanted])

    def plan(facts: Facts) -> list[Action]:
        actions = []
        for wanted, live, _result in facts.changes:
            kind = "create" if live is None else "update"
            why = "it does not exist" if live is None else "it is not as the inventory describes it"
            actions.append(
                Action(kind, f"{wanted['kind']}/{wanted['metadata']['name']}", why, params={"object": wanted})
            )
        for live in facts.gone:
            target = f"{live['kind']}/{live['metadata']['name']}"
            why = "the inventory no longer asks for it"
            actions.append(Action("delete", target, why, "medium", params={"object": live}))
        return actions

    def act(action: Action, _context: Any) -> None:
        if client is None:
            raise AssertionError("the API client comes with observe()")
        if action.kind == "delete":
            obj = action.params["object"]
            meta = obj["metadata"]
            path = client.path_for(obj["apiVersion"], obj["kind"], meta["namespace"], meta["name"])
            client.delete(path, uid=meta["uid"])
            return
        client.apply(action.params["object"], force=True)

    def verify(facts: Facts, outcomes: list[Outcome]) -> tuple[bool, dict[str, Any]]:
        failed = [outcome for outcome in outcomes if outcome.outcome != "done"]
        if failed:
            raise HoldfastError(f"{failed[0].action.target} was not applied: {failed[0].error}")
        if client is None:
            raise AssertionError("the API client comes with observe()")
        left = _observe(settings, client, False, offsite_key, kept)
        return not left.changes and not left.gone, {"diff": _diff(facts)}

    envelope = run(
        observe=observe,
        plan=plan,
        act=act,
        verify=verify,
        check_mode=check_mode,
        clock=Clock(),
        deadline_seconds=deadline,
        budget=budget,
    )
    if not check_mode and client is not None:
        where = volume.host_path(client, settings.namespace, settings.claim)
        written = pointer.write(
            settings.namespace,
            settings.name,
            where,
            settings.directories,
            settings.rpo_hours,
            pointers,
            offsite_hours=settings.offsite.hours if settings.offsite else None,
        )
        envelope.changed = envelope.changed or written
    return envelope


def connect(params: dict[str, Any], check_mode: bool) -> Optional[Client]:
    """The client that a module's options describe; None in check mode on a host without a cluster."""
    try:
        return Client.connect(params["kubeconfig"], params["context"], timeout=params["api_timeout"])
    except HoldfastError:
        if check_mode:
            return None
        raise


def escrow(client: Optional[Client], namespace: str, name: str, repository: str) -> dict[str, str]:
    """What a person must keep to read the repository; empty when there is no key yet."""
    if client is None:
        return {}
    key = offsite.key_of(client.get(client.path_for("v1", "Secret", namespace, offsite.key_name(name))))
    return offsite.escrow(repository, namespace, name, key) if key else {}


def _observe(
    settings: Settings, client: Client, check_mode: bool, offsite_key: str, kept: offsite.Kept
) -> Facts:
    image, selector = database_of(settings, client, check_mode)
    facts = Facts(
        wanted=[
            *_key(settings, client, offsite_key, kept),
            *manifests.objects(settings, image, selector, _guarded(settings, client, selector)),
        ]
    )
    for wanted in facts.wanted:
        meta = wanted["metadata"]
        live = client.get(
            client.path_for(wanted["apiVersion"], wanted["kind"], meta["namespace"], meta["name"])
        )
        try:
            result = client.apply(wanted, force=True, dry_run=True)
        except ApiError as error:
            if live is None and error.status == 404 and check_mode:
                result = wanted  # the namespace is not there yet
            else:
                raise _explained(error, wanted, live) from error
        if live is None or _plain(live) != _plain(result):
            facts.changes.append((wanted, live, result))
    facts.gone = _gone(settings, client, facts.wanted)
    return facts


def _guarded(settings: Settings, client: Client, selector: dict[str, str]) -> bool:
    """Whether another NetworkPolicy already restricts who reaches the database."""
    if not settings.network_policy or not selector:
        return False
    wanted = ",".join(f"{key}={value}" for key, value in sorted(selector.items()))
    pods = client.list(client.path_for("v1", "Pod", settings.namespace), label_selector=wanted)
    found = [dict(pod["metadata"].get("labels") or {}) for pod in pods]
    found += [labels for labels, _image in _templates(settings, client, selector)]
    kind = client.path_for("networking.k8s.io/v1", "NetworkPolicy", settings.namespace)
    return policies.guarded(list(client.list(kind)), found or [selector])


def _templates(
    settings: Settings, client: Client, selector: dict[str, str]
) -> list[tuple[dict[str, str], str]]:
    """(labels, image) of each pod template that the database's Service selects."""
    path = client.path_for("apps/v1", "StatefulSet", settings.namespace)
    found = []
    for item in [*client.list(path), *client.list(path.replace("statefulsets", "deployments"))]:
        template = item["spec"]["template"]
        labels = dict(template["metadata"].get("labels") or {})
        if policies.selects({"matchLabels": selector}, labels):
            found.append((labels, str(template["spec"]["containers"][0]["image"])))
    return found


def _gone(settings: Settings, client: Client, wanted: list[Obj]) -> list[Obj]:
    """Schedules and policies that an earlier run made. Claims and keys hold data and stay, whatever the settings say."""
    kept = {(obj["kind"], obj["metadata"]["name"]) for obj in wanted}
    selector = f"{manifests.ROLE_LABEL}={settings.name},app.kubernetes.io/managed-by=holdfast"
    kinds = (("batch/v1", "CronJob"), ("networking.k8s.io/v1", "NetworkPolicy"))
    return [
        {**obj, "apiVersion": version, "kind": kind}
        for version, kind in kinds
        for obj in client.list(client.path_for(version, kind, settings.namespace), label_selector=selector)
        if (kind, obj["metadata"]["name"]) not in kept
    ]


def _key(settings: Settings, client: Client, given: str, kept: offsite.Kept = _NOTHING_KEPT) -> list[Obj]:
    """The Secret with the offsite key when it has to be made. A lost one is not made anew over what was sent with it."""
    if settings.offsite is None:
        return []
    namespace, name = settings.namespace, offsite.key_name(settings.name)
    there = offsite.key_of(client.get(client.path_for("v1", "Secret", namespace, name)))
    given = offsite.settle(given, there, kept, name)
    if there and given in ("", there):
        return []
    where = volume.host_path(client, namespace, settings.claim)
    if not given and where and list(Path(where).glob("*/offsite.json")):
        raise Refused(
            f"the Secret {name} is gone, and the repository cannot be read without its key",
            field="offsite_key",
            fix="set it to the password of the escrow file",
        )
    return [offsite.key_secret(namespace, settings.name, manifests.labels(settings, "offsite"), given)]


def _explained(error: ApiError, wanted: Obj, live: Optional[Obj]) -> HoldfastError:
    target = f"{wanted['kind']}/{wanted['metadata']['name']}"
    fix = None
    if wanted["kind"] == "PersistentVolumeClaim" and live is not None:
        fix = "a claim cannot shrink and local-path cannot grow it: keep storage_size as it was"
    return HoldfastError(f"the API refuses {target}: {error}", fix=fix)


def database_of(settings: Settings, client: Client, check_mode: bool = False) -> tuple[str, dict[str, str]]:
    """(image of the database, labels of its pods), read from the Service that the backup connects to.

    The image of the running server is used on purpose: its pg_dump always fits.
    """
    service = client.get(client.path_for("v1", "Service", settings.namespace, settings.host.split(".")[0]))
    selector = dict(((service or {}).get("spec") or {}).get("selector") or {})
    image = settings.image
    if not image and selector:
        image = next((image for _labels, image in _templates(settings, client, selector)), "")
    if not image and not check_mode:
        raise HoldfastError(
            f"no workload behind the service {settings.host} in namespace {settings.namespace} tells which image to use",
            field="image",
            fix="name the PostgreSQL image, or deploy the database first",
        )
    return image or "unknown", selector


def _plain(obj: Obj) -> Obj:
    meta = {key: value for key, value in obj.get("metadata", {}).items() if key not in _SERVER_FIELDS}
    return {**{key: value for key, value in obj.items() if key != "status"}, "metadata": meta}


def _diff(facts: Facts) -> dict[str, str]:
    def text(which: int) -> str:
        found = [change[which] for change in facts.changes]
        return "".join(
            json.dumps(_plain(obj), indent=1, sort_keys=True) + "\n"
            for obj in found
            if obj is not None and obj["kind"] not in ("ConfigMap", "Secret")
        )

    return {"before": text(1), "after": text(2)}
