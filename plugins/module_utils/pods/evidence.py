# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is kept of pods before they go. A thousand of them cost one list, one list of events and a sample of logs."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.client import Client
from ansible_collections.holdfast.k3s.plugins.module_utils.core.clock import Clock
from ansible_collections.holdfast.k3s.plugins.module_utils.core.command import Commands
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError
from ansible_collections.holdfast.k3s.plugins.module_utils.core.evidence import Bundle, prune
from ansible_collections.holdfast.k3s.plugins.module_utils.core.plan import Action
from ansible_collections.holdfast.k3s.plugins.module_utils.pods import facts as look
from ansible_collections.holdfast.k3s.plugins.module_utils.pods.model import Facts, Pod, statuses, uid

LOG_LINES = 200
LOG_BYTES = 256 * 1024
LOG_WORKERS = 8
KEEP_DAYS = 30
STAMP = "%Y%m%dT%H%M%SZ"  # with which a bundle's name begins
KEEP_BYTES = 1024 * 1024 * 1024
# Whose logs are worth most when there are more pods than the sample holds.
TELLING = ("crash_loop", "failed", "terminating", "unknown", "evicted", "rejected", "image_pull", "completed")


def write(
    client: Client,
    commands: Commands,
    clock: Clock,
    facts: Facts,
    actions: list[Action],
    *,
    root: str,
    log_pods: int,
) -> str:
    """Write and seal the bundle; return its path.

    root: where bundles live; old ones are pruned afterwards. log_pods: how many pods' logs are kept.
    Raises EvidenceError when it cannot be written. A part that the API cannot give is noted inside.
    """
    bundle = Bundle.open("pod-reap", root, clock)
    wanted = {action.params["uid"]: action for action in actions}
    pods = [pod for pod in facts.pods if uid(pod) in wanted]
    bundle.add_json("plan.json", [action.as_dict() for action in actions])
    bundle.add_json("pods.json", [lean(pod) for pod in pods])
    namespaces = tuple(sorted({str(pod["metadata"]["namespace"]) for pod in pods}))
    _part(bundle, "events.json", lambda: _events(client, namespaces, set(wanted)))
    _part(bundle, "owners.json", lambda: _owners(client, namespaces, pods))
    _part(bundle, "nodes.json", lambda: [lean(n) for n in client.list("/api/v1/nodes")])
    if facts.cri is not None or facts.cri_error:
        bundle.add_json("cri.json", {"living": facts.cri, "error": facts.cri_error})
    _part(bundle, "k3s.journal", lambda: _journal(commands))
    for name, text in _logs(client, pods, wanted, log_pods):
        bundle.add_text(name, text)
    path = bundle.seal()
    with contextlib.suppress(OSError):  # that old evidence stays is no reason to keep dead pods
        _prune(path, root, clock)
    return path


def _prune(sealed: str, root: str, clock: Clock) -> None:
    """Remove old bundles, unless all but the new one are too old at once: then it is the clock that is ahead."""
    oldest = (clock.now() - timedelta(days=KEEP_DAYS)).strftime(STAMP)
    others = [one.name for one in Path(root).glob("*Z-*") if one.name != Path(sealed).name]
    if any(name >= oldest for name in others):
        prune(root, KEEP_DAYS, KEEP_BYTES, clock)


def lean(obj: dict[str, Any]) -> dict[str, Any]:
    """The object without the bookkeeping of server-side apply, which is half of its size."""
    meta = {key: value for key, value in obj["metadata"].items() if key != "managedFields"}
    return {**obj, "metadata": meta}


def _part(bundle: Bundle, name: str, get: Any) -> None:
    try:
        found = get()
    except HoldfastError as failure:
        found = f"not available: {failure}\n"
    if isinstance(found, str):
        bundle.add_text(name, found)
    else:
        bundle.add_json(name, found)


def _events(client: Client, namespaces: tuple[str, ...], uids: set[str]) -> list[dict[str, Any]]:
    by_uid = look.events(client, namespaces)
    return [lean(event) for found in sorted(uids & set(by_uid)) for event in by_uid[found]]


def _owners(client: Client, namespaces: tuple[str, ...], pods: list[Pod]) -> list[dict[str, Any]]:
    """The owner chain: controllers of the pods, and what controls those."""
    references = [reference for pod in pods for reference in pod["metadata"].get("ownerReferences") or []]
    kinds = {str(reference["kind"]) for reference in references}
    known = look.owners(client, namespaces, kinds)
    direct = [known[found] for found in sorted({r["uid"] for r in references} & set(known))]
    above = {}
    for owner in direct:
        for reference in owner["metadata"].get("ownerReferences") or []:
            if reference["uid"] not in above:
                path = client.path_for(
                    reference["apiVersion"],
                    reference["kind"],
                    owner["metadata"]["namespace"],
                    reference["name"],
                )
                above[reference["uid"]] = client.get(path)
    return [lean(owner) for owner in [*direct, *[found for found in above.values() if found]]]


def _journal(commands: Commands) -> str:
    argv = ["journalctl", "-u", "k3s", "-n", "200", "--no-pager", "-o", "short-iso"]
    return commands.run(argv, timeout=10, check=False).out


def _logs(client: Client, pods: list[Pod], actions: dict[str, Action], limit: int) -> list[tuple[str, str]]:
    placed = [pod for pod in pods if (pod.get("spec") or {}).get("nodeName") and statuses(pod)]
    placed.sort(key=lambda pod: TELLING.index(str(actions[uid(pod)].params["class"])))
    asked = [
        (pod, str(status["name"]), previous)
        for pod in placed[: max(0, limit)]
        for _role, status in statuses(pod)
        for previous in ((False, True) if status.get("restartCount") else (False,))
    ]

    def fetch(item: tuple[Pod, str, bool]) -> tuple[str, str]:
        pod, container, previous = item
        meta = pod["metadata"]
        name = f"logs/{meta['namespace']}/{meta['name']}/{container}{'.previous' if previous else ''}.log"
        try:
            text = client.logs(
                meta["namespace"],
                meta["name"],
                container=container,
                previous=previous,
                tail_lines=LOG_LINES,
                limit_bytes=LOG_BYTES,
            )
        except HoldfastError as failure:
            text = f"not available: {failure}\n"
        return name, text

    if not asked:
        return []
    with ThreadPoolExecutor(LOG_WORKERS) as pool:
        return list(pool.map(fetch, asked))
