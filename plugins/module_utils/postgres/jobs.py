# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Jobs made from a backup's CronJobs: started, followed, picked up again. Bytes never pass through here."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Callable, Optional

from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.client import Client
from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.errors import ApiError, ApiUnreachable
from ansible_collections.holdfast.k3s.plugins.module_utils.core.clock import Deadline
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import (
    DeadlineExceeded,
    HoldfastError,
    Refused,
)
from ansible_collections.holdfast.k3s.plugins.module_utils.core.progress import Progress
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres.manifests import ROLE_LABEL, literal

Obj = dict[str, Any]
REFUSED_CODES = (64, 65)
KEEP_SECONDS = 7 * 86400  # finished jobs stay a week, for whoever asks what happened
TRIES = 20
# What tells two requests for the same script apart; times and wishes that change nothing about the subject do not.
SUBJECT = ("DATABASE", "SOURCE", "BACKUP", "MODE", "BEFORE", "SCHEMA", "TABLE", "ROWS", "APPLY")


@dataclass
class JobResult:
    """How a job ended. result: its last result line. error, code: its last error line. events: every line it said."""

    name: str
    succeeded: bool
    result: Obj = field(default_factory=dict)
    error: str = ""
    code: int = 0
    events: list[Obj] = field(default_factory=list)

    def require(self) -> JobResult:
        """Itself, or the error that the script named. What a retry cannot change is Refused."""
        if self.succeeded:
            return self
        kind = Refused if self.code in REFUSED_CODES else HoldfastError
        raise kind(self.error or f"job {self.name} failed without a word; see its events")


def jobs_path(client: Client, namespace: str, name: Optional[str] = None) -> str:
    """The path of the namespace's jobs, or of one."""
    return client.path_for("batch/v1", "Job", namespace, name)


def from_cron(cron: Obj, name: str, script: str, env: Mapping[str, str]) -> Obj:
    """A Job like the CronJob's, running another script of the same ConfigMap with further environment. Pure."""
    template = copy.deepcopy(cron["spec"]["jobTemplate"])
    spec = template["spec"]
    labels = {**template["metadata"].get("labels", {}), "holdfast.dev/script": script.split(".")[0]}
    pod = spec["template"]["spec"]
    container = pod["containers"][0]
    container["command"] = ["sh", f"/scripts/{script}"]
    kept = [entry for entry in container.get("env", []) if entry["name"] not in env]
    container["env"] = kept + [{"name": key, "value": literal(value)} for key, value in sorted(env.items())]
    # Pods of a failed try stay, so that their last words can be read; a refusal is not tried again.
    pod["restartPolicy"] = "Never"
    spec["template"]["metadata"] = {"labels": labels}
    spec["ttlSecondsAfterFinished"] = KEEP_SECONDS
    codes = {"containerName": container["name"], "operator": "In", "values": list(REFUSED_CODES)}
    spec["podFailurePolicy"] = {"rules": [{"action": "FailJob", "onExitCodes": codes}]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": cron["metadata"]["namespace"],
            "labels": labels,
        },
        "spec": spec,
    }


def cron_job(client: Client, namespace: str, name: str) -> Obj:
    """The CronJob that everything is made from, or an error that says how to get it."""
    found = client.get(client.path_for("batch/v1", "CronJob", namespace, name))
    if found is None:
        raise HoldfastError(
            f"namespace {namespace} has no CronJob of this name",
            field="name",
            value=name,
            fix="run role backup first, or name the backup as backup_name says",
        )
    return found


def env_of(pod: Obj) -> dict[str, str]:
    """The literal environment of a pod template's container. Pure."""
    return {
        entry["name"]: str(entry["value"]).replace("$$(", "$(")
        for entry in pod["spec"]["containers"][0].get("env", [])
        if "value" in entry
    }


def subject(job: Obj) -> tuple[str, ...]:
    """What a job works on: its script, and the part of its environment that names a database, backup or table. Pure."""
    template = job["spec"]["template"]
    env = env_of(template)
    return (template["spec"]["containers"][0]["command"][-1], *(env.get(key, "") for key in SUBJECT))


def start(client: Client, job: Obj) -> str:
    """Create a job and return its name; the one that an earlier run started for the same subject is picked up.

    A name that is taken by another request (of the same second) or by a failed try gets a number.
    """
    namespace, base = job["metadata"]["namespace"], job["metadata"]["name"]
    for attempt in range(1, TRIES + 1):
        name = base if attempt == 1 else f"{base}-{attempt}"
        there = client.get(jobs_path(client, namespace, name))
        if there is None:
            wanted = {**job, "metadata": {**job["metadata"], "name": name}}
            try:
                client.request("POST", jobs_path(client, namespace), wanted)
                return name
            except ApiError as error:
                if error.status != 409:
                    raise
            there = client.get(jobs_path(client, namespace, name))
        if there is not None and subject(there) == subject(job) and outcome_of(there) is not False:
            return name
    raise HoldfastError(
        f"job {base} failed too often", fix="read its pods' logs; delete the jobs to try again"
    )


def unfinished(
    client: Client, namespace: str, backup: str, script: str, env: Optional[Mapping[str, str]] = None
) -> Optional[Obj]:
    """A job of this backup and script that has not ended: the one to attach to. env: as for find()."""
    found = [job for job in find(client, namespace, backup, script, env or {}) if outcome_of(job) is None]
    return found[-1] if found else None


def find(client: Client, namespace: str, backup: str, script: str, env: Mapping[str, str]) -> list[Obj]:
    """The jobs of this backup and script. env: what their environment has to say; a variable that is not there counts as empty."""
    selector = f"{ROLE_LABEL}={backup},holdfast.dev/script={script}"
    listed = client.list(jobs_path(client, namespace), label_selector=selector)
    return [job for job in listed if _says(job, env)]


def _says(job: Obj, env: Mapping[str, str]) -> bool:
    there = env_of(job["spec"]["template"])
    return all(there.get(key, "") == value for key, value in env.items())


def outcome_of(job: Obj) -> Optional[bool]:
    """True when complete, False when failed for good, None while it runs. Pure."""
    for condition in (job.get("status") or {}).get("conditions") or []:
        if condition.get("status") == "True" and condition.get("type") in ("Complete", "Failed"):
            return bool(condition["type"] == "Complete")
    return None


def parse(log: str) -> list[Obj]:
    """The JSON lines of a log; other lines (a crash of the shell) become events of kind "text". Pure."""
    events = []
    for line in log.splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            event = None
        events.append(event if isinstance(event, dict) else {"event": "text", "message": line})
    return events


def follow(
    client: Client,
    namespace: str,
    name: str,
    deadline: Deadline,
    progress: Progress,
    seen: Optional[Callable[[Obj], None]] = None,
) -> JobResult:
    """Wait for a job to end, passing on what it says. Short API outages are waited out.

    DeadlineExceeded leaves the job running: the next run attaches to it.
    """
    said = 0
    while True:
        try:
            job = client.get(jobs_path(client, namespace, name))
            if job is None:
                raise HoldfastError(f"job {name} was deleted while it was being followed")
            outcome = outcome_of(job)
            events = _events(client, namespace, name)
            for event in events[said:]:
                progress.report(
                    str(event.get("step")), event.get("tables_done"), event.get("total"), job=name
                )
                if seen:
                    seen(event)
            said = max(said, len(events))
            if outcome is not None:
                return _result(name, outcome, events, job)
        except ApiUnreachable:
            pass  # k3s may restart while the job goes on
        if deadline.expired():
            raise DeadlineExceeded(
                f"job {name} still runs after {deadline.seconds:g} s and goes on",
                fix="run again to pick it up, or allow more time with 'deadline'",
            )
        deadline.sleep(0.5)


def _events(client: Client, namespace: str, name: str) -> list[Obj]:
    path = client.path_for("v1", "Pod", namespace)
    pods = sorted(
        client.list(path, label_selector=f"batch.kubernetes.io/job-name={name}"),
        key=lambda pod: pod["metadata"]["creationTimestamp"],
    )
    events: list[Obj] = []
    for pod in pods:
        try:
            events += parse(client.logs(namespace, pod["metadata"]["name"], tail_lines=5000))
        except ApiError as error:
            if error.status not in (400, 404):  # not started yet, or already gone
                raise
    return events


def _result(name: str, outcome: bool, events: list[Obj], job: Obj) -> JobResult:
    results = [event for event in events if event.get("event") == "result"]
    errors = [event for event in events if event.get("event") == "error"]
    found = JobResult(name, outcome, results[-1] if results else {}, events=events)
    if not outcome:
        last = errors[-1] if errors else {}
        texts = [str(event["message"]) for event in events if event.get("event") == "text"][-3:]
        found.code = int(last.get("code") or 0)
        found.error = str(last.get("message") or "") or " | ".join(texts) or _condition(job)
    return found


def _condition(job: Obj) -> str:
    for condition in (job.get("status") or {}).get("conditions") or []:
        if condition.get("type") == "Failed":
            return f"{condition.get('reason')}: {condition.get('message')}"
    return ""
