"""Why an image cannot be pulled: texts of kubelet and containerd, and what the probes saw."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.holdfast.k3s.plugins.module_utils.pods import why_messages
from ansible_collections.holdfast.k3s.plugins.module_utils.registry import hosts, needed, plan
from ansible_collections.holdfast.k3s.plugins.module_utils.registry.doctor import examine, from_text
from ansible_collections.holdfast.k3s.plugins.module_utils.registry.refs import parse

PREFIX = 'failed to pull and unpack image "localhost:5000/lab/redis:7": failed to resolve reference: '
TEXTS = [
    ("REGISTRY-DOWN", PREFIX + "dial tcp 127.0.0.1:5000: connect: connection refused"),
    ("DNS", PREFIX + "dial tcp: lookup registry.example: no such host"),
    ("TLS", PREFIX + "tls: failed to verify certificate: x509: certificate signed by unknown authority"),
    ("TLS-SCHEME", PREFIX + "http: server gave HTTP response to HTTPS client"),
    ("CLOCK", PREFIX + "x509: certificate has expired or is not yet valid: current time 2031-01-01T00:00:00Z is after"),
    ("AUTH", PREFIX + "unexpected status from HEAD request: 401 Unauthorized"),
    ("TAG-MISSING", PREFIX + "localhost:5000/lab/redis:7: not found"),
    ("BLOB-MISSING", 'failed to copy: httpReadSeeker: failed open: content at http://x/blobs/sha256:ab: blob unknown'),
    ("DISK-FULL", "failed to extract layer: write /var/lib/x: no space left on device"),
    ("ARCH", "no match for platform in manifest: not found"),
    ("RATE-LIMIT", "unexpected status: 429 Too Many Requests - toomanyrequests: You have reached your pull rate limit"),
    ("TIMEOUT", PREFIX + "dial tcp 10.0.0.9:443: i/o timeout"),
    ("BAD-NAME", 'InvalidImageName: couldn\'t parse image name "Lab/Redis:7": invalid reference format'),
    ("NEVER-PULL", 'Container image "x" is not present with pull policy of Never'),
]  # fmt: skip


@pytest.mark.parametrize(("cause", "message"), TEXTS, ids=[one[0] for one in TEXTS])
def test_a_message_gives_its_cause_away(cause: str, message: str) -> None:
    found = from_text(message)
    assert found and found[0] == cause and found[1]


@pytest.mark.parametrize("number", ["401", "403", "404", "429"])
def test_a_number_within_a_digest_says_nothing(number: str) -> None:
    digest = f"sha256:ab{number}cd"
    assert from_text(f"failed to copy: {digest}: connection refused") == (
        "REGISTRY-DOWN",
        "start the registry",
    )
    assert why_messages.image("x", "ErrImagePull", f"{digest}: connection refused")[0] == "registry_down"


def look(image: str = "localhost:5000/lab/redis:7", message: str = "", **facts: Any) -> Any:
    usual = {
        "local": True,
        "repository": "lab/redis",
        "tag": "7",
        "repositories": ["lab/redis"],
        "manifest": True,
    }
    return examine(image, message, {**usual, **facts})


CASES: list[tuple[str, str, dict[str, Any]]] = [
    ("REGISTRY-DOWN", "restart_registry", {"ping_error": "refused"}),
    ("HOSTS-TOML", "rewrite_hosts", {"deviation": "hosts.toml goes to :5999"}),
    ("BLOB-MISSING", "push_image", {"missing_blobs": ["sha256:" + "a" * 64], "available": "containerd"}),
    ("BLOB-MISSING", "", {"missing_blobs": ["sha256:" + "a" * 64]}),
    ("TAG-MISSING", "push_image", {"manifest": False, "available": "/x.tar"}),
    ("TAG-MISSING", "", {"manifest": False, "tag": "7.1", "tags": ["7.2"]}),
    ("UNSERVED", "push_image", {"manifest": None, "error": "500", "available": "/x.tar"}),
    ("UNSERVED", "", {"error": "500"}),
    ("AUTH", "", {"auth_error": "403"}),
    ("TYPO", "", {"manifest": False, "repository": "lab/rediss"}),
    ("DISK-FULL", "", {"disk_full": "2 % free", "ping_error": "refused"}),
]


@pytest.mark.parametrize(("cause", "automatic", "facts"), CASES, ids=range(len(CASES)))
def test_probes_decide(cause: str, automatic: str, facts: dict[str, Any]) -> None:
    verdict = look(**facts)
    assert (verdict.cause, verdict.automatic) == (cause, automatic)
    assert verdict.why and verdict.fix


def test_a_foreign_registry_is_never_repaired() -> None:
    verdict = examine("docker.io/library/x:1", TEXTS[0][1], {"local": False})
    assert verdict.cause == "REGISTRY-DOWN" and not verdict.automatic


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("nginx", "docker.io/library/nginx:latest"),
        ("rancher/pause:3", "docker.io/rancher/pause:3"),
        ("localhost:5000/lab/redis:7", "localhost:5000/lab/redis:7"),
        (f"ghcr.io/a/b@sha256:{'0' * 64}", f"ghcr.io/a/b@sha256:{'0' * 64}"),
    ],
)
def test_references(text: str, name: str) -> None:
    reference = parse(text)
    assert reference is not None and reference.name == name


@pytest.mark.parametrize("text", ["Lab/Redis:7", "a b", "x@sha256:1", ""])
def test_what_is_no_reference(text: str) -> None:
    assert parse(text) is None


MIRROR = {"mirrors": {"localhost:5000": {"endpoint": ["http://localhost:5000"]}}}


def test_a_loopback_registry_needs_no_hosts_toml(tmp_path: Path) -> None:
    assert hosts.deviation(MIRROR, str(tmp_path), "localhost:5000") is None


@pytest.mark.parametrize(
    ("registries", "content", "wrong"),
    [
        (MIRROR, '[host."http://localhost:5999/v2"]\n', True),
        (MIRROR, 'server = "http://localhost:5000/v2"\n[host]\n', False),
        ({"mirrors": {"r.example": {"endpoint": ["http://localhost:5000"]}}}, None, True),
        ({"mirrors": {"r.example": {"endpoint": ["https://r.example"]}}}, None, False),
        ({}, None, False),
    ],
)
def test_hosts_toml_against_registries_yaml(
    tmp_path: Path, registries: dict, content: str, wrong: bool
) -> None:
    registry = next(iter(registries.get("mirrors", {"r.example": 0})))
    if content:
        folder = tmp_path / registry
        folder.mkdir()
        (folder / "hosts.toml").write_text(content)
    assert bool(hosts.deviation(registries, str(tmp_path), registry)) is wrong


def facts(**changes: Any) -> dict[str, Any]:
    """A healthy registry and one pod's image."""
    image = {"local": True, "manifest": True, "missing_blobs": [], "users": ["Pod a/b"], "available": ""}
    usual = {
        "registry": "localhost:5000", "url": "http://localhost:5000", "cluster_error": "", "ping_error": "", "auth_error": "",
        "deviation": "", "disk_full": "", "repositories": ["lab/redis"], "failing": [], "slow": [],
        "runner": {"kind": "unit", "name": "docker-registry.service", "state": "active"},
        "images": {"localhost:5000/lab/redis:7": image},
    }  # fmt: skip
    return {**usual, **changes}


def waiting(owner: str) -> list[dict[str, Any]]:
    return [{"namespace": "a", "pod": "b", "uid": "u", "resource_version": "1", "owner": owner,
             "image": "localhost:5000/lab/redis:7", "reason": "ImagePullBackOff", "message": "Back-off"}]  # fmt: skip


def test_nothing_to_do_on_a_healthy_host() -> None:
    assert plan.plan(facts()) == [] and plan.healthy(facts())
    assert not plan.healthy(facts(images={}, cluster_error="refused")), "nobody knows what is needed"


@pytest.mark.req("SN-37", "SN-38")
def test_pods_are_retried_only_where_an_owner_makes_new_ones() -> None:
    down = facts(ping_error="refused", failing=waiting("ReplicaSet"))
    assert [one.kind for one in plan.plan(down)] == ["restart_registry", "retry_pod"]
    assert [one.kind for one in plan.plan(facts(ping_error="refused", failing=waiting("")))] == [
        "restart_registry"
    ]
    assert [one.kind for one in plan.plan(facts(failing=waiting("ReplicaSet")))] == ["retry_pod"]


def test_a_registry_that_wants_credentials_is_not_restarted() -> None:
    closed = facts(auth_error="401 Unauthorized", failing=waiting("ReplicaSet"))
    closed["images"]["localhost:5000/lab/redis:7"] = {"local": True, "available": ""}
    assert plan.plan(closed) == [] and not plan.healthy(closed)
    told = plan.report(closed)
    assert told["answers"] and told["error"] == "401 Unauthorized"
    assert told["failing"][0]["cause"] == "AUTH"
    closed["failing"][0]["message"] = TEXTS[0][1]
    assert plan.report(closed)["failing"][0]["cause"] == "AUTH", "the kubelet's word is older than ours"


def test_an_image_that_the_registry_cannot_serve_is_lacking() -> None:
    broken = facts(failing=waiting("ReplicaSet"))
    broken["images"]["localhost:5000/lab/redis:7"].update(error="500", available="")
    assert plan.plan(broken) == [] and not plan.healthy(broken)
    broken["failing"] = []
    assert plan.report(broken)["missing"] == ["localhost:5000/lab/redis:7"] and not plan.healthy(broken)
    broken["images"]["localhost:5000/lab/redis:7"]["available"] = "containerd"
    assert [one.kind for one in plan.plan(broken)] == ["push_image"]


def test_a_lost_blob_needs_the_cache_gone_first() -> None:
    lost = facts()
    lost["images"]["localhost:5000/lab/redis:7"].update(missing_blobs=["sha256:x"], available="containerd")
    assert [one.kind for one in plan.plan(lost)] == ["restart_registry", "push_image"]


@pytest.mark.req("SN-59")
@pytest.mark.parametrize(("minute", "verdict"), [(10, "wait"), (29, "wait"), (31, "act")])
def test_slow_pulls(minute: int, verdict: str) -> None:
    pod = {"metadata": {"uid": "u", "namespace": "a", "name": "b"}, "status": {"phase": "Pending"}}
    event = {"involvedObject": {"uid": "u"}, "reason": "Pulling", "lastTimestamp": "2026-01-01T00:00:00Z"}
    now = datetime(2026, 1, 1, 0, minute, tzinfo=timezone.utc)
    assert needed.slow_pulls([pod], [event], now, 30)[0]["verdict"] == verdict


def test_images_of_every_kind_of_workload() -> None:
    spec = {"initContainers": [{"image": "i"}], "containers": [{"image": "c"}]}
    cron = {
        "kind": "CronJob",
        "metadata": {},
        "spec": {"jobTemplate": {"spec": {"template": {"spec": spec}}}},
    }
    deployment = {"kind": "Deployment", "metadata": {}, "spec": {"template": {"spec": spec}}}
    pod = {"kind": "Pod", "metadata": {}, "spec": spec}
    assert all(needed.images(one) == ["i", "c"] for one in (cron, deployment, pod))


@pytest.mark.parametrize(
    ("phase", "needs"), [("Running", True), ("Pending", True), ("Succeeded", False), ("Failed", False)]
)
def test_a_pod_that_has_ended_needs_no_image(phase: str, needs: bool) -> None:
    assert bool(needed.unfinished([{"status": {"phase": phase}}])) == needs
