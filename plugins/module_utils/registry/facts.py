"""Look at the registry and at every image that live and desired pods need. Nothing is changed here."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.core.command import Commands
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError
from ansible_collections.holdfast.k3s.plugins.module_utils.registry import hosts, needed, service, sources
from ansible_collections.holdfast.k3s.plugins.module_utils.registry.access import Access, access
from ansible_collections.holdfast.k3s.plugins.module_utils.registry.client import (
    Garbled,
    RegistryClient,
    RegistryError,
)
from ansible_collections.holdfast.k3s.plugins.module_utils.registry.refs import Reference, parse
from ansible_collections.holdfast.k3s.plugins.module_utils.registry.whole import missing_blobs


@dataclass(frozen=True)
class Settings:
    """Where things are. registry: host and port as images name it. act_minutes: a pull this old is acted on (minutes)."""

    registry: str = "localhost:5000"
    unit: str = "docker-registry.service"
    username: str | None = None
    password: str | None = None
    ca_file: str | None = None
    registries_yaml: str = "/etc/rancher/k3s/registries.yaml"
    certs_d: str = "/var/lib/rancher/k3s/agent/etc/containerd/certs.d"
    archives: tuple[str, ...] = ("/var/lib/rancher/k3s/agent/images", "/var/lib/holdfast/images")
    binary: str = "/usr/local/bin/k3s"
    data_dir: str = "/var/lib/rancher/k3s"
    namespaces: tuple[str, ...] = ()
    act_minutes: float = 30
    disk_free_percent: float = 5

    @property
    def content(self) -> str:
        """containerd's content store: a file for each blob, named by its sha256."""
        return f"{self.data_dir}/agent/containerd/io.containerd.content.v1.content/blobs/sha256"


def read_registries(path: str) -> dict[str, Any]:
    """registries.yaml; an absent or broken file, or a Python without PyYAML, gives nothing."""
    try:
        import yaml
    except ImportError:
        return {}
    try:
        loaded = yaml.safe_load(Path(path).read_text())
    except (OSError, yaml.YAMLError):
        return {}
    return loaded if isinstance(loaded, dict) else {}


def connect(settings: Settings, registries: dict[str, Any], url: str, timeout: float) -> RegistryClient:
    """A connection with the options' credentials, else with containerd's own."""
    given = Access(settings.username, settings.password, settings.ca_file)
    used = access(registries, settings.registry, url, given)
    return RegistryClient(
        url, username=used.username, password=used.password, ca_file=used.ca_file, timeout=timeout
    )


def ask(client: RegistryClient) -> dict[str, Any]:
    """Whether the registry answers: ping_error (it does not), auth_error (it wants other credentials), repositories."""
    answer: dict[str, Any] = {"ping_error": "", "auth_error": "", "repositories": []}
    try:
        client.ping()
        answer["repositories"] = sorted(client.catalog())
    except RegistryError as error:
        answer["auth_error" if error.wants_login else "ping_error"] = str(error)
    return answer


def image_fact(client: RegistryClient, reference: Reference, known: dict[str, bool]) -> dict[str, Any]:
    """What the registry has of one image."""
    fact: dict[str, Any] = {"repository": reference.repository, "tag": reference.tag or reference.digest}
    try:
        fact["manifest"] = client.manifest_digest(reference.repository, reference.wanted) is not None
        if fact["manifest"]:
            fact["missing_blobs"] = missing_blobs(client, reference.repository, reference.wanted, known)
        else:
            fact["tags"] = client.tags(reference.repository)
    except RegistryError as error:
        fact["auth_error" if error.wants_login else "error"] = str(error)
        fact["damaged"] = error.status >= 500 or isinstance(error, Garbled)
    return fact


def disk_full(path: str, percent: float) -> str:
    """How full the disk is when it is full, else nothing."""
    usage = shutil.disk_usage(path if Path(path).exists() else "/")
    free = 100 * usage.free / usage.total
    return f"{free:.1f} % free below {path}" if free < percent else ""


def observe(commands: Commands, cluster: Any, settings: Settings, now: datetime) -> dict[str, Any]:
    """The facts. cluster: a cluster Client, or None when the API is not to be asked."""
    facts: dict[str, Any] = {
        "registry": settings.registry,
        "cluster_error": "",
        "images": {},
        "failing": [],
        "slow": [],
    }
    pods, workloads, events = [], [], []
    if cluster is not None:
        try:
            pods = list(cluster.list("/api/v1/pods"))
            for path in needed.WORKLOADS:
                workloads += list(cluster.list(path))
            events = list(cluster.list("/api/v1/events", field_selector="involvedObject.kind=Pod"))
        except HoldfastError as error:
            facts["cluster_error"] = str(error)
    if settings.namespaces:
        pods = [one for one in pods if one["metadata"]["namespace"] in settings.namespaces]
        workloads = [one for one in workloads if one["metadata"]["namespace"] in settings.namespaces]
    registries = read_registries(settings.registries_yaml)
    facts["url"] = hosts.address(registries, settings.certs_d, settings.registry)
    port = (
        int(settings.registry.rpartition(":")[2]) if settings.registry.rpartition(":")[2].isdigit() else 443
    )
    facts["runner"] = service.find(commands, settings.unit, port, pods)
    facts["deviation"] = hosts.deviation(registries, settings.certs_d, settings.registry) or ""
    facts["disk_full"] = disk_full(settings.data_dir, settings.disk_free_percent)
    facts["failing"] = needed.failing(pods)
    facts["slow"] = needed.slow_pulls(pods, events, now, settings.act_minutes)
    client = connect(settings, registries, facts["url"], timeout=10)
    facts.update(ask(client))
    users = needed.users([*needed.unfinished(pods), *workloads])
    have = sources.whole_in_containerd(commands, settings.binary)
    known: dict[str, bool] = {}
    for image in sorted({*users, *(one["image"] for one in facts["failing"])}):
        reference = parse(image)
        fact: dict[str, Any] = {"users": users.get(image, []), "local": False}
        if reference is not None and reference.registry == settings.registry:
            fact["local"] = True
            if not (facts["ping_error"] or facts["auth_error"]):
                fact.update(image_fact(client, reference, known))
            if broken(fact):
                lost = fact.get("missing_blobs", []) if fact.get("manifest") else []
                fact["available"] = sources.source_of(
                    reference, have, settings.archives, lost, settings.content
                )
            else:
                fact["available"] = ""
        facts["images"][image] = fact
    client.close()
    return facts


def broken(fact: dict[str, Any]) -> bool:
    """The registry lacks something of an image, or cannot read it; one that was only silent may have another image."""
    return fact.get("manifest") is False or bool(fact.get("missing_blobs")) or bool(fact.get("damaged"))
