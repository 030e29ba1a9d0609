"""Observe a k3s server without needing its API: every probe at once, each with its own deadline."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as Late
from pathlib import Path
from typing import Any, Callable

from ansible_collections.holdfast.k3s.plugins.module_utils.core.command import Commands
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError
from ansible_collections.holdfast.k3s.plugins.module_utils.node import (
    api,
    datastore,
    host,
    identity,
    process,
    runtime,
    unit,
)
from ansible_collections.holdfast.k3s.plugins.module_utils.node.paths import Paths

Facts = dict[str, Any]


def look(facts: Facts, path: str, default: Any = None) -> Any:
    """A value deep inside the facts, `look(facts, "api.readyz.ok")`; the default when any step is missing."""
    value: Any = facts
    for step in path.split("."):
        if not isinstance(value, dict) or step not in value:
            return default
        value = value[step]
    return value


def in_parallel(probes: dict[str, Callable[[], Any]], seconds: float) -> Facts:
    """Run probes in daemon threads; one that raises or is late leaves `{"error": …}` in its place."""
    futures: dict[str, Future[Any]] = {}
    for name, probe in probes.items():
        future: Future[Any] = Future()
        futures[name] = future

        def work(probe: Callable[[], Any] = probe, future: Future[Any] = future) -> None:
            try:
                future.set_result(probe())
            except Exception as error:
                future.set_exception(error)

        threading.Thread(target=work, daemon=True, name=f"probe-{name}").start()
    deadline = time.monotonic() + seconds
    facts: Facts = {}
    for name, future in futures.items():
        try:
            facts[name] = future.result(timeout=max(0.01, deadline - time.monotonic()))
        except Late:
            facts[name] = {"error": f"no answer within {seconds:.0f} s"}
        except Exception as error:
            facts[name] = {"error": f"{type(error).__name__}: {error}"}
    return facts


def own_pids(tree: list[dict[str, Any]]) -> set[int]:
    return {one["pid"] for one in tree}


def observe(
    commands: Commands,
    paths: Paths,
    *,
    deep: bool = True,
    write: bool = True,
    seconds: float = 75,
) -> Facts:
    """The facts of the host.

    deep: create and delete a sandbox. write: write a Lease through the API. Both are probes that leave nothing
    behind that matters, and both are off in check mode.
    seconds: deadline of the whole look.
    """
    began = time.monotonic()
    configuration = identity.config(paths)
    name = identity.node_name(configuration)
    try:
        state = unit.probe(commands, paths.unit)
    except HoldfastError as error:
        state = {"name": paths.unit, "active": "unknown", "error": str(error), "main_pid": 0}
    processes = process.table()
    tree = process.k3s_tree(processes, state["main_pid"], paths.data_dir)
    facts: Facts = {
        "unit": state,
        "processes": tree,
        "shims": len([one for one in processes if process.is_shim(one, paths.data_dir)]),
        "installed": Path(paths.binary).exists(),
        "config": {
            "node_name": name,
            "fail_cgroupv1_off": any("fail-cgroupv1=false" in str(x) for x in _as_list(configuration)),
        },
    }
    running = bool(state["main_pid"])
    probes: dict[str, Callable[[], Any]] = {
        "journal": lambda: unit.journal(commands, paths.unit, unit.starts_that_count(state)),
        "datastore": lambda: datastore.probe(
            paths.database, own=own_pids(tree), running=running, config=configuration,
            scratch=f"{paths.state_dir}/scratch",
        ),
        "runtime": lambda: runtime.probe(commands, paths, deep=deep),
        "api": lambda: api.probe(paths.kubeconfig, name, write=write),
        "kubelet": api.kubelet,
        "host": lambda: host.probe(commands, paths),
        "certificates": lambda: {"items": identity.certificates(paths)},
        "node_password": lambda: identity.node_password(paths),
        "cni": lambda: identity.cni(paths),
    }  # fmt: skip
    facts.update(in_parallel(probes, seconds))
    facts["token"] = identity.token(paths, configuration, look(facts, "datastore.bootstrap", []))
    facts["cni"]["stale"] = stale_allocations(facts)
    facts["seconds"] = round(time.monotonic() - began, 2)
    return facts


def _as_list(configuration: dict[str, Any]) -> list[Any]:
    value = configuration.get("kubelet-arg", [])
    return value if isinstance(value, list) else [value]


def stale_allocations(facts: Facts) -> list[dict[str, str]] | None:
    """Pod addresses whose sandbox is gone; None when the runtime cannot be asked."""
    known = look(facts, "runtime.sandboxes")
    taken = look(facts, "cni.allocations")
    if known is None or taken is None:
        return None
    return [one for one in taken if one["sandbox"] not in known]
