"""Nobody gets in without TLS and the password; k3s does, and keeps both secret."""

from __future__ import annotations

import json

import pytest
from conftest import IMAGE, PASSWORD, Registry

from tests.scenario import pid, until

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "pulled", "namespace": "default"},
    "spec": {"containers": [{"name": "c", "image": IMAGE, "imagePullPolicy": "Always"}]},
}


@pytest.mark.req("BR-04")
def test_only_with_tls_and_the_password(registry: Registry) -> None:
    assert registry.curl("/v2/_catalog", login=None)[0] == "401"
    assert registry.curl("/v2/_catalog", login="pusher:wrong")[0] == "401"
    assert registry.curl("/v2/lab/sample-app/manifests/1.0.0", login=None)[0] == "401"
    status, body = registry.curl("/v2/_catalog")
    assert status == "200" and "lab/sample-app" in json.loads(body)["repositories"]
    plain = registry.host.run(
        ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "http://localhost:5000/v2/"], check=False
    )
    assert plain.out.strip() not in ("200", "401"), "it answers without TLS"
    old = registry.curl("/v2/", "--tls-max", "1.1")
    assert old[0] not in ("200", "401"), "it speaks TLS 1.1"


@pytest.mark.timeout(900)
@pytest.mark.req("BR-04")
def test_k3s_pulls_with_them_and_the_pod_runs(registry: Registry) -> None:
    host = registry.host
    host.sudo(["k3s", "kubectl", "-n", "default", "delete", "pod", "pulled", "--ignore-not-found"])
    host.sudo(["k3s", "crictl", "rmi", IMAGE], check=False)
    assert IMAGE not in host.sudo(["k3s", "ctr", "images", "ls", "-q"]).out
    host.sudo(["k3s", "kubectl", "create", "-f", "-"], stdin=json.dumps(POD).encode())

    def pulled() -> bool:
        pod = host.kubectl(["-n", "default", "get", "pod", "pulled"])
        started = pod["status"].get("containerStatuses") or [{}]
        if not started[0].get("imageID"):
            raise AssertionError(json.dumps(started))
        return True

    until("the image is pulled", pulled)
    assert IMAGE in host.sudo(["k3s", "ctr", "images", "ls", "-q"]).out
    journal = ["journalctl", "-u", "docker-registry", "-o", "cat", "--no-pager"]

    def authorized() -> bool:
        gets = [line for line in host.sudo(journal).out.splitlines() if "/v2/lab/sample-app/" in line]
        return any("containerd" in line and "authorized request" in line for line in gets)

    until("the registry tells of containerd's request", authorized)
    host.sudo(["k3s", "kubectl", "-n", "default", "delete", "pod", "pulled", "--wait=false"])


@pytest.mark.timeout(1200)
def test_neither_password_nor_key_can_be_read_anywhere(registry: Registry) -> None:
    host = registry.host
    files = ["/etc/docker/registry/key", "/etc/docker/registry/htpasswd", "/etc/rancher/k3s/registries.yaml"]
    modes = host.sudo(["stat", "-c", "%a %U", *files]).out.split("\n")
    assert {line for line in modes if line} == {"600 root"}
    assert PASSWORD not in host.sudo(["ps", "-e", "-o", "args="]).out
    units = ["-u", "k3s", "-u", "docker-registry", "-t", "ansible-holdfast.k3s.registry_service"]
    assert PASSWORD not in host.sudo(["journalctl", *units, "-o", "cat", "--no-pager"]).out
    shown = registry.converge("-vvv", "--diff").ok()
    assert PASSWORD not in shown.output
    assert "PRIVATE KEY" not in shown.output


@pytest.mark.timeout(1200)
def test_a_second_run_changes_nothing_and_the_summary_knows_the_registry(registry: Registry) -> None:
    before = pid(registry.host, "docker-registry")
    again = registry.converge().ok()
    assert again.changed == ()
    assert pid(registry.host, "docker-registry") == before
    assert "registry: https://localhost:5000 with lab/sample-app" in again.words, again.output[-2000:]


@pytest.mark.timeout(900)
def test_it_serves_while_k3s_is_down(registry: Registry) -> None:
    registry.host.sudo(["systemctl", "stop", "k3s"], timeout=180)
    try:
        assert registry.curl("/v2/_catalog")[0] == "200"
    finally:
        registry.host.sudo(["systemctl", "start", "--no-block", "k3s"])
    until(
        "k3s is back",
        lambda: registry.host.sudo(["k3s", "kubectl", "get", "--raw", "/readyz"], check=False).out == "ok",
    )
