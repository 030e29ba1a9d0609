"""Faults of containerd, the pod network and k3s's own processes."""

from __future__ import annotations

import re

from ansible_collections.holdfast.k3s.plugins.module_utils.core.plan import Action
from ansible_collections.holdfast.k3s.plugins.module_utils.node.facts import Facts, look
from ansible_collections.holdfast.k3s.plugins.module_utils.node.model import (
    GENTLE,
    KILLALL,
    RESET,
    RESTART,
    Cause,
    Options,
    clean_start,
    event_text,
    line_with,
    matching_events,
    refusing,
    restart,
    start_text,
    step,
)

CONTENT = (
    r"(?:blob|content digest|content) (sha256:[0-9a-f]{12,64})[^\n]*: not found|missing parent [^\n]* bucket"
    r"|exec format error"
)


def _halted(facts: Facts, want_runtime: bool) -> list[dict[str, object]]:
    """Processes of k3s in state T (stopped by a signal)."""
    return [
        one for one in look(facts, "processes", [])
        if one["state"] in ("T", "t") and (one["role"] == "containerd") == want_runtime
    ]  # fmt: skip


def _names(found: list[dict[str, object]]) -> str:
    return ", ".join(f"{one['role']} (PID {one['pid']})" for one in found)


def runtime_stopped(facts: Facts, _options: Options) -> str | None:
    found = _halted(facts, want_runtime=True)
    return f"stopped by a signal, not ended: {_names(found)}" if found else None


def api_stopped(facts: Facts, _options: Options) -> str | None:
    found = _halted(facts, want_runtime=False)
    return f"stopped by a signal, not ended: {_names(found)}" if found else None


def _resume(facts: Facts, evidence: str, want_runtime: bool) -> list[Action]:
    return [
        step("continue_process", f"{one['role']} {one['pid']}", evidence, GENTLE, pid=one["pid"], start=one["start"])
        for one in _halted(facts, want_runtime)
    ]  # fmt: skip


def resume_runtime(facts: Facts, _options: Options, evidence: str) -> list[Action]:
    return _resume(facts, evidence, True)


def resume_api(facts: Facts, _options: Options, evidence: str) -> list[Action]:
    return _resume(facts, evidence, False)


def meta_corrupt(facts: Facts, _options: Options) -> str | None:
    meta = look(facts, "runtime.meta_db", {})
    if look(facts, "runtime.cri.ok"):
        return None
    if meta.get("exists") and not meta.get("magic_ok"):
        return "containerd's meta.db is not a bolt database (both of its headers are damaged)"
    text = line_with(
        look(facts, "runtime.log", [])[-40:],
        r"panic: .*(bolt|page|freelist|invalid database)|bolt.*(invalid database|checksum|corrupt)|invalid database"
        r"|panic: page \d+|freepages: failed|unexpected fault address",
    )
    return text or start_text(facts, r"containerd.*(invalid database|panic: page|checksum error|freepages)")


def _log(facts: Facts) -> list[str]:
    return look(facts, "runtime.log", [])[-40:] + (
        look(facts, "journal.attempt", []) if refusing(facts) else []
    )


def stale_sandbox(facts: Facts, _options: Options) -> str | None:
    if look(facts, "runtime.cri.ok"):
        return None
    return line_with(_log(facts), r"failed to recover state: failed to get metadata for stored sandbox")


def reset(facts: Facts, options: Options, evidence: str) -> list[Action]:
    """Put containerd's metadata aside; images come back from the air-gap files and the registry."""
    if not options.allow_containerd_reset:
        return []
    aside = step("reset_containerd", "containerd metadata", evidence, RESET, risk="medium", destructive=True)
    return clean_start(facts, evidence, RESET, [aside])


def wedged(facts: Facts, _options: Options) -> str | None:
    if look(facts, "unit.active") != "active" or not look(facts, "runtime.socket"):
        return None
    # a question that failed at once was answered, or never put: a restart of containerd is no remedy for that
    error = str(look(facts, "runtime.cri.error", ""))
    if look(facts, "runtime.cri.late") or "connection refused" in error:
        return "containerd does not answer a version call: " + error[-250:]
    if look(facts, "runtime.sandbox.late"):
        error = str(look(facts, "runtime.sandbox.error", ""))
        return "containerd answers, but creates no sandbox in time: " + error[-250:]
    return None


def restart_runtime(facts: Facts, _options: Options, evidence: str) -> list[Action]:
    """End the containerd that does not answer: k3s notices, systemd starts both again, containers stay."""
    found = [one for one in look(facts, "processes", []) if one["role"] == "containerd"]
    ended = [
        step("kill_process", f"containerd {one['pid']}", evidence, RESTART, risk="medium", pid=one["pid"],
             start=one["start"]) for one in found
    ]  # fmt: skip
    return [*ended, *restart(facts, evidence)]


def missing_socket(facts: Facts, _options: Options) -> str | None:
    if look(facts, "runtime.socket") is False and look(facts, "unit.active") == "active":
        if look(facts, "unit.active_seconds", 0) < 15:
            return None
        return "containerd failed to start: its socket is missing"
    return start_text(facts, r"containerd exited")


def missing_content(facts: Facts, _options: Options) -> str | None:
    return event_text(facts, CONTENT)


def refetch(facts: Facts, _options: Options, evidence: str) -> list[Action]:
    """Every image concerned: the one that the text names, else the one of the container that the warning is about."""
    images = set()
    for event in matching_events(facts, CONTENT):
        named = re.search(r"image \"?([\w./:@-]+)\"?", event["message"])
        images.add(named.group(1) if named else event.get("image", ""))
    return [step("refetch_image", one, evidence, GENTLE, risk="low") for one in sorted(images - {""})]


def cni_full(facts: Facts, _options: Options) -> str | None:
    usable, taken = look(facts, "cni.usable", 253), look(facts, "cni.taken", 0)
    if taken >= usable:
        stale = look(facts, "cni.stale")
        return f"{taken} of {usable} pod addresses are taken, " + (
            "by whom is unknown while containerd is silent"
            if stale is None
            else f"{len(stale)} by pods that are gone"
        )
    text = event_text(facts, r"no IP addresses available in range set")
    return text if text and taken >= usable - 2 else None


def free_addresses(facts: Facts, _options: Options, evidence: str) -> list[Action]:
    """Release only what belongs to no sandbox; with containerd silent a killall clears the range."""
    stale = look(facts, "cni.stale")
    if stale is None:
        return clean_start(facts, evidence)
    return [step("free_addresses", f"{len(stale)} reservations", evidence, GENTLE)] if stale else []


def network_leftover(facts: Facts, _options: Options) -> str | None:
    return event_text(facts, r"\"?cni0\"? already has an IP address different from")


def killall_only(facts: Facts, _options: Options, evidence: str) -> list[Action]:
    return clean_start(facts, evidence, KILLALL)


CAUSES = (
    Cause(
        "CRI-STOPPED", 0, "containerd is stopped by a signal", "down", runtime_stopped, resume_runtime,
        hides=("CRI-WEDGED", "CRI-META-CORRUPT", "KUBELET-DOWN", "NODE-NOT-READY", "CNI-EXHAUSTED"),
    ),
    Cause(
        "API-STOPPED", 0, "A process of k3s is stopped by a signal", "down", api_stopped, resume_api,
        hides=("API-DOWN", "API-FILTERED", "START-HANG", "KUBELET-DOWN", "NODE-NOT-READY", "DB-LOCKED", "CRI-WEDGED"),
    ),
    Cause(
        "CRI-META-CORRUPT", 11, "containerd's metadata is damaged", "down", meta_corrupt, reset,
        person="allow it with allow_containerd_reset: true: metadata is moved aside, images come back from "
        "agent/images and the registry",
        hides=("CRI-WEDGED", "CRI-NO-SOCKET", "CRASH-LOOP", "START-HANG", "NODE-NOT-READY", "KUBELET-DOWN"),
    ),
    Cause(
        "CRI-STALE-SANDBOX", 12, "containerd cannot recover a stored sandbox", "down", stale_sandbox, reset,
        person="allow it with allow_containerd_reset: true",
        hides=("CRI-WEDGED", "CRI-NO-SOCKET", "CRASH-LOOP", "START-HANG"),
    ),
    Cause(
        "CRI-WEDGED", 0, "containerd does not answer in time", "down", wedged, restart_runtime,
        hides=("NODE-NOT-READY", "KUBELET-DOWN"),
    ),
    Cause("CRI-NO-SOCKET", 11, "containerd failed to start", "down", missing_socket, restart_runtime),
    Cause(
        "IMAGE-CONTENT", 13, "An image's content is missing", "degraded", missing_content, refetch,
        person="remove the image (k3s crictl rmi NAME) and pull it again, or run registry_recover",
    ),
    Cause(
        "CNI-EXHAUSTED", 16, "The pod network has no free address", "degraded", cni_full, free_addresses,
        person="every address belongs to a live pod: run fewer pods or give the node a larger range",
    ),
    Cause(
        "NET-LEFTOVER", 17, "The pod bridge carries the address of another range", "degraded", network_leftover,
        killall_only,
    ),
)  # fmt: skip
