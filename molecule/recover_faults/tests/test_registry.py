"""The registry stops, loses content, or is not reached as configured; pods wait for images that nobody has."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from as_operator import run_module
from harness import done, ready, score

from lab.host import LabHost
from tests.scenario import until

NAMESPACE = "fault-images"
IMAGE = "localhost:5000/lab/redis:7"
STORE = "/var/lib/docker-registry/docker/registry/v2"
HOSTS = "/var/lib/rancher/k3s/agent/etc/containerd/certs.d/localhost:5000/hosts.toml"


def deployment(name: str, image: str) -> bytes:
    """A Deployment of one pod that always pulls."""
    container = {
        "name": "main",
        "image": image,
        "imagePullPolicy": "Always",
        "command": ["sleep", "100000"],
        "securityContext": {"runAsNonRoot": True, "runAsUser": 999, "allowPrivilegeEscalation": False},
    }
    return json.dumps(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": {"app": name}},
                "template": {
                    "metadata": {"labels": {"app": name}},
                    "spec": {"containers": [container], "terminationGracePeriodSeconds": 0},
                },
            },
        }
    ).encode()


def kubectl(host: LabHost, *args: str, stdin: bytes | None = None, check: bool = True) -> str:
    return host.sudo(["/usr/local/bin/k3s", "kubectl", *args], stdin=stdin, check=check).out


def waiting(host: LabHost, name: str) -> bool:
    """The pod is in ImagePullBackOff or ErrImagePull."""
    out = kubectl(host, "get", "pods", "-n", NAMESPACE, "-l", f"app={name}", "--no-headers")
    return "ImagePull" in out


def running(host: LabHost, name: str) -> bool:
    out = kubectl(host, "get", "pods", "-n", NAMESPACE, "-l", f"app={name}", "--no-headers")
    return " Running " in f" {out} "


@pytest.fixture
def apps(host: LabHost) -> Iterator[LabHost]:
    """A namespace of its own, gone afterwards; the registry serves before and after."""
    host.sudo(["systemctl", "start", "docker-registry"])
    kubectl(host, "create", "namespace", NAMESPACE, check=False)
    yield host
    host.sudo(["systemctl", "start", "docker-registry"])
    kubectl(host, "delete", "namespace", NAMESPACE, "--wait=false", check=False)
    until("no namespace", lambda: not kubectl(host, "get", "ns", NAMESPACE, "--ignore-not-found").strip())


def recover(host: LabHost, **options: Any) -> dict[str, Any]:
    """registry_recover for this test's namespace."""
    result = run_module("registry_recover", namespaces=[NAMESPACE], **options)
    assert not result["failed"], result.get("msg")
    return result


@pytest.mark.req("SN-36", "SN-37", "SN-38")
def test_registry_stopped(apps: LabHost) -> None:
    host = apps
    host.sudo(["systemctl", "stop", "docker-registry"])
    kubectl(host, "apply", "-f", "-", stdin=deployment("stopped", IMAGE))
    until("the pod waits for its image", lambda: waiting(host, "stopped"))
    seen = run_module("registry_info", namespaces=[NAMESPACE])
    assert seen["answers"] is False and seen["failing"][0]["cause"] == "REGISTRY-DOWN"
    result = recover(host)
    score("registry stopped", result, "registry: REGISTRY-DOWN")
    assert result["verified"], result
    assert done(result)[0] == "restart_registry"
    until("the pod runs", lambda: running(host, "stopped"))
    again = recover(host)
    assert again["verified"] and not again["changed"]


def lose_largest_blob(host: LabHost) -> None:
    """Remove the largest layer of the image from the registry's disk."""
    link = f"{STORE}/repositories/lab/redis/_layers/sha256"
    script = (
        f"for d in $(ls {link}); do f={STORE}/blobs/sha256/$(echo $d | cut -c1-2)/$d/data; "
        "[ -f $f ] && stat -c '%s %n' $f; done | sort -n | tail -1 | cut -d' ' -f2 | xargs rm -v"
    )
    assert "removed" in host.sudo(["sh", "-c", script]).out
    seen = run_module("registry_info", namespaces=[NAMESPACE])
    assert seen["missing"] == [IMAGE] and seen["images"][IMAGE]["cause"] == "BLOB-MISSING"


def pushed(result: dict[str, Any]) -> str:
    """Where the image that was pushed came from."""
    return next(one["detail"]["from"] for one in result["actions"] if one["kind"] == "push_image")


def test_blob_lost(apps: LabHost) -> None:
    """The registry still answers HEAD from its cache: only reading the bytes tells.

    First containerd has the whole image, then only what a pull beside a running container leaves it.
    """
    host = apps
    kubectl(host, "apply", "-f", "-", stdin=deployment("blob", IMAGE))
    until("the pod runs", lambda: running(host, "blob"))
    before = run_module("registry_info", namespaces=[NAMESPACE])
    assert before["missing"] == [], before
    crictl = ["/usr/local/bin/k3s", "crictl"]
    ctr = ["/usr/local/bin/k3s", "ctr", "--namespace", "k8s.io"]
    host.sudo([*ctr, "content", "fetch", IMAGE])
    for source in ("containerd", "containerd's blobs"):
        lose_largest_blob(host)
        result = recover(host)
        score("registry lost a blob", result, "registry: BLOB-MISSING")
        assert result["verified"], result
        assert pushed(result) == source and result["pulled"] == {IMAGE: "ok"}
        assert not recover(host)["changed"]
        host.sudo([*crictl, "rmi", IMAGE])
        host.sudo([*crictl, "pull", IMAGE])
        until("layers are left out", lambda: "incomplete" in host.sudo([*ctr, "images", "check"]).out)
    host.sudo([*ctr, "content", "fetch", IMAGE])


def test_hosts_toml_wrong(apps: LabHost) -> None:
    host = apps
    wrong = 'server = "http://localhost:5999/v2"\n[host."http://localhost:5999/v2"]\n  capabilities = ["pull", "resolve"]\n'
    host.put(HOSTS, wrong.encode(), 0o600)
    result = recover(host)
    score("wrong hosts.toml", result, "registry: HOSTS-TOML")
    assert done(result) == ["rewrite_hosts"] and result["verified"], result
    assert not host.exists(HOSTS) or "5999" not in host.read(HOSTS)
    assert not recover(host)["changed"]
    until("node Ready", lambda: ready(host))


def test_misspelt_name_is_for_a_person(apps: LabHost) -> None:
    host = apps
    kubectl(host, "apply", "-f", "-", stdin=deployment("typo", "localhost:5000/lab/rediss:7"))
    until("the pod waits for its image", lambda: waiting(host, "typo"))
    result = recover(host)
    verdict = result["images"]["localhost:5000/lab/rediss:7"]
    assert verdict["cause"] == "TYPO" and "lab/redis" in verdict["fix"]
    assert done(result) == [] and result["verified"] is False
    score("an image's name misspelt", result, "registry: TYPO", verdict["fix"])
