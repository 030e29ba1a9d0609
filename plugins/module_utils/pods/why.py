# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One line on why a pod is broken, and the smallest safe fix. Pure: objects and events in, words out."""

from __future__ import annotations

import re
from typing import Any, NamedTuple, Optional

from ansible_collections.holdfast.k3s.plugins.module_utils.cluster import predicates
from ansible_collections.holdfast.k3s.plugins.module_utils.pods import why_messages
from ansible_collections.holdfast.k3s.plugins.module_utils.pods.finalizers import (
    explain as explain_finalizers,
)
from ansible_collections.holdfast.k3s.plugins.module_utils.pods.model import (
    Facts,
    Pod,
    claims,
    seconds_since,
    statuses,
    uid,
)

OOM = "OOMKilled"
KILLED = 137
SIGNALS = {1: "SIGHUP", 6: "SIGABRT", 9: "SIGKILL", 11: "SIGSEGV", 15: "SIGTERM"}
EXIT_MEANING = {
    126: "the command is not executable",
    127: "the command was not found",
    255: "it was lost or gave up",
}


class Why(NamedTuple):
    """cause: a stable id. text: one line. fix: the smallest safe thing to do."""

    cause: str
    text: str
    fix: str


def explain(pod: Pod, facts: Facts, log: Optional[str] = None) -> Why:
    """The most telling cause that the pod, its events, its claims and (if given) its last log lines show."""
    events = facts.events.get(uid(pod)) or []
    status = pod.get("status") or {}
    if pod["metadata"].get("deletionTimestamp"):
        return _terminating(pod, facts)
    if status.get("phase") == "Failed" and status.get("reason"):
        return _failed(status)
    for _role, container in statuses(pod):
        found = _container(pod, container, events, log, facts)
        if found is not None:
            return found
    if status.get("phase") == "Pending":
        found = _pending(pod, facts, events)
        if found is not None:
            return found
    found = _probes(pod, events)
    if found is not None:
        return found
    if status.get("phase") == "Unknown" or status.get("reason") == "NodeLost":
        return Why("unknown", "its node stopped reporting", "bring the node back; holdfast.k3s.recover does")
    ready, reason = predicates.pod_settled(pod)
    if ready:
        return Why("none", "nothing is wrong with it", "nothing to do")
    return Why("not_ready", reason or "not ready yet", "wait; look at its log if it stays so")


def creation_failure(events: list[dict[str, Any]]) -> Optional[Why]:
    """Why an owner cannot create its pods: quota, a webhook, admission. From the owner's newest FailedCreate event."""
    for event in reversed(events):
        if event.get("reason") == "FailedCreate":
            return Why(*why_messages.creation(str(event.get("message") or "")))
    return None


def survived_oom(pod: Pod, facts: Facts, within: float = 3600) -> Optional[Why]:
    """Of a pod that runs again: that a container was killed for its memory in the last `within` seconds, else None."""
    for _role, status in statuses(pod):
        ended = (status.get("lastState") or {}).get("terminated") or {}
        since = seconds_since(facts.now, ended.get("finishedAt"))
        again = ended.get("reason") == OOM and "running" in (status.get("state") or {})
        if again and since is not None and since <= within:
            restarts = int(status.get("restartCount") or 0)
            return _oom(pod, status, f" {since / 60:.0f} min ago, restarted {restarts} times, runs again")
    return None


def _terminating(pod: Pod, facts: Facts) -> Why:
    finalizers = list(pod["metadata"].get("finalizers") or [])
    since = seconds_since(facts.now, pod["metadata"]["deletionTimestamp"]) or 0
    if finalizers:
        return Why(
            "finalizer",
            f"terminating, {explain_finalizers(finalizers, facts)}",
            "repair the finalizer's controller first",
        )
    if since < 0:
        return Why("terminating", "is ending, within the time it was given", "wait")
    node = (pod.get("spec") or {}).get("nodeName")
    if node and facts.nodes.get(node) is False:
        return Why("terminating", f"cannot end because node {node} is not Ready", "bring the node back first")
    return Why(
        "terminating",
        f"should have ended {since:.0f} s ago; its container or a volume does not let go",
        "holdfast.k3s.recover_pods ends it once it is past terminating_age",
    )


def _failed(status: dict[str, Any]) -> Why:
    reason, message = str(status["reason"]), str(status.get("message") or "").strip()
    if reason == "Evicted":
        return Why(
            "evicted",
            f"evicted: {message or 'the node ran short of a resource'}",
            why_messages.eviction_fix(message),
        )
    if reason in ("Shutdown", "NodeShutdown", "Terminated"):
        return Why(
            "shutdown",
            f"ended with its node ({reason}): {message}".rstrip(": "),
            "delete it; its owner has replaced it",
        )
    return Why("rejected", f"{reason}: {message}".rstrip(": "), "delete it; its owner creates another one")


def _container(
    pod: Pod, status: dict[str, Any], events: list[dict[str, Any]], log: Optional[str], facts: Facts
) -> Optional[Why]:
    state, last = status.get("state") or {}, (status.get("lastState") or {}).get("terminated") or {}
    name = status.get("name")
    waiting = state.get("waiting") or {}
    reason, message = str(waiting.get("reason") or ""), str(waiting.get("message") or "")
    if reason in (
        "ImagePullBackOff",
        "ErrImagePull",
        "InvalidImageName",
        "ErrImageNeverPull",
        "ImageInspectError",
    ):
        told = _newest(events, "Failed") or message
        return Why(*why_messages.image(str(status.get("image") or ""), reason, f"{message} {told}"))
    if reason in ("CreateContainerConfigError", "CreateContainerError", "RunContainerError"):
        return Why(
            "config",
            f"container {name} cannot be created: {message or reason}",
            why_messages.config_fix(message),
        )
    ended = state.get("terminated") or {}
    if ended.get("reason") in ("Unknown", "ContainerStatusUnknown"):
        return Why(
            "unknown",
            f"container {name} was lost with its node",
            "wait for the kubelet to start it again, else delete it",
        )
    if (
        reason == "CrashLoopBackOff"
        or (ended and ended.get("exitCode"))
        or (last and not status.get("ready") and last.get("exitCode"))
    ):
        return _exit(pod, status, ended or last, events, log)
    return None


def _exit(
    pod: Pod, status: dict[str, Any], ended: dict[str, Any], events: list[dict[str, Any]], log: Optional[str]
) -> Why:
    name, restarts = status.get("name"), int(status.get("restartCount") or 0)
    times = f", restarted {restarts} times" if restarts else ""
    if ended.get("reason") == OOM:
        return _oom(pod, status, times)
    killed_by = _newest(events, "Killing")
    if "failed liveness probe" in killed_by or "failed startup probe" in killed_by:
        probe = "liveness" if "liveness" in killed_by else "startup"
        detail = _newest(events, "Unhealthy")
        return Why(
            f"probe_{probe}",
            f"container {name} is killed by its {probe} probe{times}: {detail}".rstrip(": "),
            "see why the probe fails; give a slow starter a longer startup probe",
        )
    code = int(ended.get("exitCode") or 0)
    if code == KILLED and _memory_limit(pod, str(name)):
        # The runtime may see the end of the process before it hears of the kernel's kill; nobody else kills like this.
        return _oom(pod, status, times, sure=False)
    meaning = EXIT_MEANING.get(code) or (
        f"ended by {SIGNALS.get(code - 128, f'signal {code - 128}')}" if code > 128 else ""
    )
    text = f"container {name} exited with {code}" + (f" ({meaning})" if meaning else "") + times
    told = why_messages.from_log(log or str(ended.get("message") or ""))
    if told is not None:
        return Why(told[0], f"{text}: {told[1]}", told[2])
    return Why("exit", text, "read its previous log: the reason stands in its last lines")


def _oom(pod: Pod, status: dict[str, Any], times: str, *, sure: bool = True) -> Why:
    limit = _memory_limit(pod, str(status.get("name")))
    return Why(
        "oom",
        f"container {status.get('name')} was killed{'' if sure else ' (137), most likely'} for using more memory than its limit"
        f"{f' of {limit}' if limit else ''}{times}",
        "raise its memory limit in the inventory, or lower what it uses; then deploy",
    )


def _pending(pod: Pod, facts: Facts, events: list[dict[str, Any]]) -> Optional[Why]:
    namespace = str(pod["metadata"].get("namespace"))
    for claim in claims(pod):
        pvc = facts.pvcs.get((namespace, claim))
        if facts.pvcs and pvc is None:
            return Why("pvc_missing", f"its claim {claim} does not exist", "deploy the claim, or restore it")
        if pvc is not None and not predicates.pvc_bound(pvc)[0] and not _waits_for_consumer(facts, pvc):
            return Why(
                "pvc",
                f"its claim {claim} {predicates.pvc_bound(pvc)[1]}",
                "see the claim's events: storage class and free space",
            )
    scheduling = _newest(events, "FailedScheduling")
    if scheduling and not (pod.get("spec") or {}).get("nodeName"):
        return Why(*why_messages.scheduling(scheduling))
    for reason in ("FailedMount", "FailedAttachVolume"):
        told = _newest(events, reason)
        if told:
            return Why("volume", f"a volume cannot be mounted: {told}", why_messages.config_fix(told))
    sandbox = _newest(events, "FailedCreatePodSandBox")
    if sandbox:
        return Why(*why_messages.sandbox(sandbox))
    pulling = [event for event in events if event.get("reason") in ("Pulling", "Pulled")]
    if pulling and pulling[-1]["reason"] == "Pulling":
        since = seconds_since(facts.now, pulling[-1].get("lastTimestamp")) or 0
        return Why(
            "pulling",
            f"has been pulling for {since / 60:.0f} min: {pulling[-1].get('message')}",
            "wait; large images take their time after a restart",
        )
    for condition in (pod.get("status") or {}).get("conditions") or []:
        if condition.get("type") == "Initialized" and condition.get("status") == "False":
            return Why(
                "init",
                f"waits for its init containers: {condition.get('message')}",
                "start what they wait for",
            )
    return None


def _probes(pod: Pod, events: list[dict[str, Any]]) -> Optional[Why]:
    if predicates.pod_settled(pod)[0]:
        return None
    for event in reversed(events):
        message = str(event.get("message") or "")
        if event.get("reason") == "Unhealthy" and re.match(
            r"(?i)(readiness|startup|liveness) probe", message
        ):
            probe = message.split(" ", 1)[0].lower()
            return Why(
                f"probe_{probe}",
                f"runs, but {message[0].lower()}{message[1:300]}",
                "see why the probe fails: a dependency, the port or the path",
            )
    return None


def _waits_for_consumer(facts: Facts, pvc: dict[str, Any]) -> bool:
    """A claim of a WaitForFirstConsumer class stays Pending until its pod is scheduled: not the cause then."""
    told = facts.events.get(str(pvc["metadata"].get("uid"))) or []
    return bool(told) and told[-1].get("reason") == "WaitForFirstConsumer"


def _newest(events: list[dict[str, Any]], reason: str) -> str:
    for event in reversed(events):
        if event.get("reason") == reason:
            return str(event.get("message") or "").strip()[:400]
    return ""


def _memory_limit(pod: Pod, name: str) -> str:
    spec = pod.get("spec") or {}
    for container in (spec.get("containers") or []) + (spec.get("initContainers") or []):
        if container.get("name") == name:
            return str(((container.get("resources") or {}).get("limits") or {}).get("memory") or "")
    return ""
