"""One recovery of the registry and of the pods that wait for its images."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.core.clock import Clock, Deadline
from ansible_collections.holdfast.k3s.plugins.module_utils.core.command import Commands
from ansible_collections.holdfast.k3s.plugins.module_utils.core.envelope import Envelope
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import (
    EvidenceError,
    HoldfastError,
    PreconditionFailed,
    Refused,
)
from ansible_collections.holdfast.k3s.plugins.module_utils.core.evidence import Bundle
from ansible_collections.holdfast.k3s.plugins.module_utils.core.plan import Action, Outcome
from ansible_collections.holdfast.k3s.plugins.module_utils.core.runner import Context, run
from ansible_collections.holdfast.k3s.plugins.module_utils.registry import (
    hosts,
    needed,
    plan,
    service,
    sources,
)
from ansible_collections.holdfast.k3s.plugins.module_utils.registry.archive import Archive, push
from ansible_collections.holdfast.k3s.plugins.module_utils.registry.client import (
    RegistryClient,
    RegistryError,
)
from ansible_collections.holdfast.k3s.plugins.module_utils.registry.facts import (
    Settings,
    broken,
    connect,
    image_fact,
    observe,
    read_registries,
)
from ansible_collections.holdfast.k3s.plugins.module_utils.registry.refs import Reference, parse

SETTLE_SECONDS = 90.0


class Recovery:
    """State of one run. cluster: a cluster Client or None."""

    def __init__(
        self, settings: Settings, cluster: Any, commands: Commands, clock: Clock, params: dict[str, Any]
    ) -> None:
        self.settings, self.cluster, self.commands, self.clock = settings, cluster, commands, clock
        self.params = params
        self.facts: dict[str, Any] = {}
        self.done: set[str] = set()

    def observe(self) -> dict[str, Any]:
        """Facts, kept for the report of a preview."""
        self.facts = observe(self.commands, self.cluster, self.settings, self.clock.now())
        return self.facts

    def plan(self, facts: dict[str, Any]) -> list[Action]:
        return plan.plan(facts, retry_pods=self.params["retry_pods"], restart_k3s=self.params["restart_k3s"])

    def evidence(self, facts: dict[str, Any], actions: list[Action]) -> str | None:
        """Facts, plan and the pods as they are."""
        try:
            bundle = Bundle.open("registry", root=self.params["evidence_dir"], clock=self.clock)
            bundle.add_json("facts.json", facts)
            bundle.add_json("plan.json", [one.as_dict() for one in actions])
            for one in actions:
                if one.kind == "retry_pod":
                    path = f"/api/v1/namespaces/{one.params['namespace']}/pods/{one.params['pod']}"
                    bundle.add_json(f"pods/{one.target.replace('/', '_')}.json", self.cluster.get(path))
            return str(bundle.seal())
        except EvidenceError:
            if self.params["evidence_required"]:
                raise
            return None

    # --- act ---------------------------------------------------------------------------------------------------
    def act(self, action: Action, _context: Context) -> Any:
        """One action."""
        handlers = {
            "restart_registry": self.restart_registry,
            "rewrite_hosts": self.rewrite_hosts,
            "push_image": self.push_image,
            "retry_pod": self.retry_pod,
        }
        answer = handlers[action.kind](action)
        self.done.add(plan.step_name(action))
        return answer

    def client(self) -> RegistryClient:
        """A connection to the registry."""
        registries = read_registries(self.settings.registries_yaml)
        return connect(self.settings, registries, self.facts["url"], timeout=60)

    def restart_registry(self, _action: Action) -> dict[str, Any]:
        """Restart it and wait until it answers."""
        service.restart(self.commands, self.facts["runner"])
        began, patience = self.clock.monotonic(), Deadline(self.clock, self.params["registry_timeout"])
        while True:
            try:
                self.client().ping()
                return {"answers_after": round(self.clock.monotonic() - began, 1)}
            except RegistryError as error:
                if error.wants_login:
                    return {"answers_after": round(self.clock.monotonic() - began, 1)}
                if patience.expired():
                    raise HoldfastError(
                        f"the registry does not answer after its restart: {error}", field="registry",
                        value=self.facts["url"], fix=f"journalctl -u {self.settings.unit} -n 50",
                    ) from error  # fmt: skip
            self.clock.sleep(0.5)

    def rewrite_hosts(self, _action: Action) -> dict[str, Any]:
        """Set the strange hosts.toml aside; k3s writes the right one when it starts, if one is needed at all.

        containerd reads the file at every pull, so a registry that is its own default needs no restart.
        """
        used = hosts.effective(self.settings.certs_d, self.settings.registry)
        stamp = self.clock.now().strftime("%Y%m%dT%H%M%SZ")
        if used["exists"]:
            Path(used["path"]).rename(f"{used['path']}.aside-{stamp}")
        registries = read_registries(self.settings.registries_yaml)
        if not hosts.deviation(registries, self.settings.certs_d, self.settings.registry):
            return {"restarted": False}
        self.commands.run(["systemctl", "--no-block", "restart", self.params["k3s_unit"]], timeout=20)
        patience = Deadline(self.clock, 180)
        argv = ["systemctl", "is-active", self.params["k3s_unit"]]
        while True:
            wrong = hosts.deviation(registries, self.settings.certs_d, self.settings.registry)
            active = self.commands.run(argv, timeout=10, check=False).out.strip() == "active"
            if active and not wrong:
                return {"restarted": True}
            if patience.expired():
                raise HoldfastError(
                    f"after a restart of k3s still: {wrong or 'k3s is not active'}", field="hosts.toml",
                    value=self.settings.registry, fix="compare registries.yaml; see journalctl -u k3s",
                )  # fmt: skip
            self.clock.sleep(0.5)

    def push_image(self, action: Action) -> dict[str, Any]:
        """Put a lost image back: from containerd, from a tar file, or blob by blob."""
        reference = parse(action.target)
        if reference is None or not reference.tag:
            raise Refused("only an image with a tag can be pushed again", field="image", value=action.target)
        source = action.params["source"]
        if source == sources.BLOBS:
            return {"from": source, "bytes": self.push_blobs(reference, action.params["blobs"])}
        with tempfile.TemporaryDirectory(prefix="holdfast-", dir="/var/tmp") as folder:
            path = source
            if source == sources.CONTAINERD:
                path = f"{folder}/image.tar"
                ctr = [self.settings.binary, "ctr", "--namespace", "k8s.io"]
                self.commands.run([*ctr, "images", "export", path, reference.name], timeout=600)
            archive = Archive(path)
            try:
                name = f"{reference.registry}/{reference.repository}:{reference.tag}"
                image = archive.image(name, exact=source != sources.CONTAINERD)
                sent = push(archive, image, self.client(), reference.repository, reference.tag)
            finally:
                archive.close()
        return {"from": source, "bytes": sent, "digest": image.digest}

    def push_blobs(self, reference: Reference, digests: list[str]) -> int:
        """Upload single blobs of an image whose manifest the registry still has; returns the number of bytes sent."""
        client, sent = self.client(), 0
        manifest = client.manifest(reference.repository, reference.wanted)
        children = {one["digest"]: one for one in manifest.data().get("manifests", [])} if manifest else {}
        for digest in digests:
            path = sources.blob_file(self.settings.content, digest)
            size = path.stat().st_size
            if digest in children:
                media_type = children[digest]["mediaType"]
                client.put_manifest(reference.repository, digest, media_type, path.read_bytes())
                sent += size
                continue
            with path.open("rb") as stream:
                sent += size if client.upload_blob(reference.repository, digest, stream, size) else 0
        client.close()
        return sent

    def retry_pod(self, action: Action) -> Any:
        """Delete a pod that still waits, as it is now; its owner makes a new one without the back-off."""
        one = action.params
        undone = [step for step in one["needs"] if step not in self.done]
        if undone:
            raise Refused(
                f"its image cannot be had yet: {', '.join(undone)} came to nothing",
                field="pod", value=action.target,
            )  # fmt: skip
        self.check_image(one["image"])
        path = f"/api/v1/namespaces/{one['namespace']}/pods/{one['pod']}"
        # the kubelet writes to such a pod at every attempt to pull, so one look may be too old already
        for last in (False, False, True):
            pod = self.cluster.get(path)
            waits = pod is not None and pod["metadata"]["uid"] == one["uid"] and needed.failing([pod])
            if not waits:
                return Outcome(action, "skipped", error="it does not wait for an image any more")
            try:
                version = pod["metadata"]["resourceVersion"]
                self.cluster.delete(path, uid=one["uid"], resource_version=version)
                break
            except PreconditionFailed:
                if last:
                    raise
        return {}

    def check_image(self, image: str) -> None:
        """Refuse what the registry cannot serve; one that did not answer when the plan was made may lack it."""
        reference = parse(image)
        if reference is None:
            return
        client = self.client()
        fact = image_fact(client, reference, {})
        client.close()
        if broken(fact):
            raise Refused("the registry cannot serve it", field="image", value=image, fix="push it again")

    # --- verify ------------------------------------------------------------------------------------------------
    def verify(self, _facts: dict[str, Any], outcomes: list[Outcome]) -> tuple[bool, dict[str, Any]]:
        """Look again; what was pushed is pulled through containerd, the way kubelet would."""
        acted = any(one.outcome == "done" for one in outcomes)
        patience = Deadline(self.clock, SETTLE_SECONDS if acted else 0)
        while True:
            facts = observe(self.commands, self.cluster, self.settings, self.clock.now())
            if plan.healthy(facts) or patience.expired():
                break
            self.clock.sleep(2)
        pulled = {
            one.action.target: self.pullable(one.action.target)
            for one in outcomes
            if one.action.kind == "push_image" and one.outcome == "done"
        }
        before = plan.report(self.facts)
        after = plan.report(facts)
        extra = {**after, "found": before["images"], "pulled": pulled, "was_answering": before["answers"]}
        return plan.healthy(facts) and all(one == "ok" for one in pulled.values()), extra

    def pullable(self, image: str) -> str:
        """`ok`, or why the node cannot pull the image through its effective configuration."""
        argv = [self.settings.binary, "crictl", "--timeout", "120s", "pull", image]
        try:
            self.commands.run(argv, timeout=130)
            return "ok"
        except HoldfastError as error:
            return str(error)[-300:]


def recover(params: dict[str, Any], check_mode: bool, *, cluster: Any, commands: Commands | None = None,
            clock: Clock | None = None) -> Envelope:  # fmt: skip
    """registry_recover from its options to its envelope."""
    clock = clock or Clock()
    one = Recovery(settings_from(params), cluster, commands or Commands(), clock, params)
    envelope = run(
        observe=one.observe,
        plan=one.plan,
        act=one.act,
        verify=one.verify,
        check_mode=check_mode,
        clock=clock,
        deadline_seconds=params["deadline"],
        budget=params["budget"],
        evidence=one.evidence,
    )
    if check_mode:
        envelope.extra.update(plan.report(one.facts))
    return envelope


def info(
    params: dict[str, Any], *, cluster: Any, commands: Commands | None = None, clock: Clock | None = None
) -> dict[str, Any]:
    """registry_info: the report, and whether all is well."""
    facts = observe(commands or Commands(), cluster, settings_from(params), (clock or Clock()).now())
    return {**plan.report(facts), "healthy": plan.healthy(facts), "changed": False}


def settings_from(params: dict[str, Any]) -> Settings:
    """Settings among a module's parameters."""
    return Settings(
        registry=params["registry"],
        unit=params["unit"],
        username=params["username"],
        password=params["password"],
        ca_file=params["ca_file"],
        registries_yaml=params["registries_yaml"],
        certs_d=f"{params['data_dir']}/agent/etc/containerd/certs.d",
        archives=tuple(params["archives"] or [f"{params['data_dir']}/agent/images"]),
        data_dir=params["data_dir"],
        namespaces=tuple(params["namespaces"]),
        act_minutes=params["slow_pull_minutes"],
    )
