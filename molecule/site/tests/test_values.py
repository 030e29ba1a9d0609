"""What the application's values promise, asked of the API server; and whether it takes what every inventory renders."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import yaml

from lab.host import LabHost
from tests.scenario import ROOT

sys.path.insert(0, str(ROOT / "tests/unit/plugins/module_utils/app"))
NAMESPACE = "songnodes"
# Their controllers are not on a lab host.
FOREIGN = ("traefik.io", "external-secrets.io", "cert-manager.io")
FORMS: list[tuple[str, dict[str, Any]]] = [
    ("soundspan", {}),
    ("soundspan", {"soundspan_mode": "individual"}),
    ("soundspan", {"soundspan_mode": "individual", "soundspan_ha": True}),
    ("soundcore", {}),
    ("starter", {}),
    ("whatsthecraic", {}),
]


@pytest.fixture(scope="session", autouse=True)
def collection() -> None:
    """Make the collection importable the way the unit tests do."""
    from ansible.utils.collection_loader import AnsibleCollectionConfig
    from ansible.utils.collection_loader._collection_finder import _AnsibleCollectionFinder

    if AnsibleCollectionConfig.collection_finder is None:
        _AnsibleCollectionFinder(paths=[str(ROOT / ".ansible" / "collections")])._install()


@pytest.mark.req("BR-06", "WC-36")
@pytest.mark.parametrize("lab", [False, True], ids=["as-it-is", "with-the-lab-overlay"])
@pytest.mark.parametrize(("system", "extra"), FORMS, ids=lambda value: str(value))
def test_the_server_accepts_what_is_rendered(
    host: LabHost, system: str, extra: dict[str, Any], lab: bool
) -> None:
    from inventory import Release

    overlay: dict[str, Any] = {"namespace": "default", "create_namespace": False}
    if extra.get("soundspan_ha") and not lab:
        extra = {**extra, "soundspan_redis_host": "redis.example.net"}
    manifests = Release(system, overlay, lab=lab, **extra).rendered.manifests
    known = [m for m in manifests if m["apiVersion"].split("/")[0] not in FOREIGN]
    path = "/tmp/holdfast-dry-run.yaml"
    host.put(path, yaml.safe_dump_all(known).encode(), 0o644)
    apply = ["k3s", "kubectl", "apply", "--server-side", "--dry-run=server", "--force-conflicts", "-f", path]
    answer = host.sudo(apply, check=False, timeout=120)
    assert answer.rc == 0, answer.err
    assert answer.out.count("serverside-applied") == len(known)


@pytest.mark.req("SN-04", "SN-05", "SN-06", "SN-08")
def test_claims_are_bound_and_as_large_as_promised(host: LabHost) -> None:
    found = {
        claim["metadata"]["name"]: (
            claim["status"]["phase"],
            claim["spec"]["resources"]["requests"]["storage"],
        )
        for claim in host.kubectl(["-n", NAMESPACE, "get", "pvc"])["items"]
    }
    wanted = {"postgres-storage-postgres-0": "20Gi", "rabbitmq-data-rabbitmq-0": "10Gi", "redis-pvc": "5Gi"}
    assert {name: found.get(name) for name in wanted} == {
        name: ("Bound", size) for name, size in wanted.items()
    }


@pytest.mark.req("SN-13", "SN-14", "SN-15", "SN-16", "SN-17", "SN-18", "SN-19")
def test_budgets(host: LabHost) -> None:
    budgets = host.kubectl(["-n", NAMESPACE, "get", "pdb"])["items"]
    found = {budget["metadata"]["name"]: budget["spec"]["minAvailable"] for budget in budgets}
    wanted = ["graph-visualization", "metadata-enrichment", "postgres", "rabbitmq", "redis", "rest-api"]
    assert {name: found.get(name) for name in wanted} == dict.fromkeys(wanted, 1)


@pytest.mark.req("SN-22", "SN-24", "SN-45", "SC-89")
def test_running_pods_are_not_root_and_have_limits(host: LabHost) -> None:
    pods = [
        pod
        for pod in host.kubectl(["-n", NAMESPACE, "get", "pods"])["items"]
        if pod["metadata"]["labels"].get("app.kubernetes.io/managed-by") == "holdfast"
        and pod["status"]["phase"] == "Running"
    ]
    assert len(pods) >= 7
    for pod in pods:
        assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
        for container in [*pod["spec"]["containers"], *pod["spec"].get("initContainers", [])]:
            assert {"cpu", "memory"} <= set(container["resources"]["limits"]), pod["metadata"]["name"]
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
