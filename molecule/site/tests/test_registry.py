"""The registry serves, its images are whole, and its garbage collection leaves it writable."""

from __future__ import annotations

import json

import pytest

from lab.host import LabHost


def ask(host: LabHost, path: str, *arguments: str) -> str:
    """The registry's answer; a registry that just restarts is waited for."""
    return host.run(
        [
            "curl",
            "-sS",
            "--max-time",
            "60",
            "--retry",
            "20",
            "--retry-connrefused",
            *arguments,
            f"http://localhost:5000{path}",
        ]
    ).out


@pytest.mark.req("BR-04")
def test_the_catalogue_answers_and_each_image_is_whole(host: LabHost) -> None:
    repositories = json.loads(ask(host, "/v2/_catalog"))["repositories"]
    assert {"lab/postgres", "lab/redis", "lab/rabbitmq", "lab/sample-app"} <= set(repositories)
    accept = "Accept: application/vnd.oci.image.manifest.v1+json"
    manifest = json.loads(ask(host, "/v2/lab/sample-app/manifests/1.0.0", "-H", accept))
    for blob in [manifest["config"], *manifest["layers"]]:
        code = ask(
            host, f"/v2/lab/sample-app/blobs/{blob['digest']}", "-I", "-o", "/dev/null", "-w", "%{http_code}"
        )
        assert code == "200"


def test_it_is_a_hardened_local_service(host: LabHost) -> None:
    assert host.sudo(["systemctl", "is-enabled", "docker-registry"]).out.strip() == "enabled"
    listening = host.sudo(["ss", "-Hltn", "sport = :5000"]).out
    assert "127.0.0.1:5000" in listening and "*:5000" not in listening
    shown = host.sudo(
        ["systemctl", "show", "docker-registry", "--property=User,NoNewPrivileges,ProtectSystem"]
    ).out
    assert {"User=docker-registry", "NoNewPrivileges=yes", "ProtectSystem=strict"} <= set(shown.split())


def test_k3s_pulls_through_it(host: LabHost) -> None:
    host.sudo(["k3s", "crictl", "pull", "localhost:5000/lab/sample-app:1.0.0"], timeout=120)


def test_garbage_collection_ends_writable(host: LabHost) -> None:
    host.sudo(["systemctl", "start", "docker-registry-gc.service"], timeout=300)
    assert not host.exists("/run/systemd/system/docker-registry.service.d/90-readonly.conf")
    started = ask(
        host, "/v2/gc/probe/blobs/uploads/", "-X", "POST", "-o", "/dev/null", "-w", "%{http_code}"
    )  # fmt: skip
    assert started == "202", "an upload may begin again"
    assert "lab/postgres" in ask(host, "/v2/_catalog")
