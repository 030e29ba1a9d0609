"""What needs no system of its own: off hours, and a registry that wants to know who pulls."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from one_service import IMAGE, NAME, SERVICE, SMALL, deliver, refusal
from turn import KUBECTL, play

from lab.host import LabHost
from tests.scenario import until

# So much that starting does not make the autoscaler add a pod.
AMPLE = {"cpu": "200m", "memory": "16Mi"}
ASLEEP = {"enabled": True, "down": "0 20 * * *", "up": "0 6 * * *", "exclude": ["always"]}
VALUES: dict[str, Any] = {
    "name": NAME,
    "profile": "custom",
    "environment": "staging",
    "services": {
        "web": {**SERVICE, "replicas": 2},
        "scaled": {
            **SERVICE,
            "autoscaling": {"min": 1, "max": 2, "cpu": 80},
            "resources": {**SMALL, "requests": AMPLE},
        },
        "always": SERVICE,
    },
}
SETTINGS = f"/etc/holdfast/off-hours/{NAME}.json"
UNIT = f"holdfast-off-hours-{NAME}"
PROVIDERS = "/var/lib/rancher/credentialprovider"
PASSWORD = "canary-of-the-registry"
# What a cloud's own program does: kubelet asks on standard input, the answer is a user and a token.
PROVIDER = f"""#!/bin/sh
cat > {PROVIDERS}/asked
printf '%s' '{{"kind": "CredentialProviderResponse", "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
  "cacheKeyType": "Registry", "cacheDuration": "0s",
  "auth": {{"localhost:5000": {{"username": "AWS", "password": "{PASSWORD}"}}}}}}'
"""


def replicas(host: LabHost) -> dict[str, int]:
    """The wanted replicas of each Deployment."""
    found = host.kubectl(["-n", NAME, "get", "deployments"])["items"]
    return {one["metadata"]["name"]: one["spec"]["replicas"] for one in found}


@pytest.fixture
def by_the_clock(one_service: LabHost) -> Iterator[LabHost]:
    """The application with off hours whose timer stands still: the test says what time it is."""
    deliver({**VALUES, "off_hours": ASLEEP})
    one_service.sudo(["systemctl", "stop", f"{UNIT}.timer"])
    until("the first run is over", lambda: _inactive(one_service))
    yield one_service
    deliver(VALUES)


def _inactive(host: LabHost) -> bool:
    return host.sudo(["systemctl", "is-active", f"{UNIT}.service"], check=False).out.strip() in (
        "inactive",
        "failed",
    )


def at(host: LabHost, phase: str) -> None:
    """Let the schedule of the timer say that it is night, or day, and run it as the timer does."""
    settings = json.loads(host.read(SETTINGS))
    always, never = "* * * * *", "0 0 31 2 *"
    settings.update(down=always if phase == "down" else never, up=never if phase == "down" else always)
    host.put(SETTINGS, json.dumps(settings).encode())
    host.sudo(["systemctl", "start", f"{UNIT}.service"], timeout=300)


@pytest.mark.req("SC-98")
def test_a_release_sleeps_and_wakes_with_the_replicas_it_had(by_the_clock: LabHost) -> None:
    host, awake = by_the_clock, {"web": 2, "scaled": 1, "always": 1}
    at(host, "up")
    assert replicas(host) == awake
    at(host, "down")
    assert replicas(host) == {"web": 0, "scaled": 0, "always": 1}
    until("its pods are gone", lambda: len(host.kubectl(["-n", NAME, "get", "pods"])["items"]) == 1)
    at(host, "down")
    assert replicas(host) == {"web": 0, "scaled": 0, "always": 1}, "an autoscaler leaves zero alone"
    at(host, "up")
    assert replicas(host) == awake
    journal = ["journalctl", "-u", UNIT, "-o", "cat", "--no-pager"]
    for told in ("web: asleep, 2 replicas are remembered", "web: awake with 2 replicas"):
        until(f"the journal has '{told}'", lambda told=told: told in host.sudo(journal).out)


@pytest.mark.req("SC-98")
def test_a_delivery_wakes_what_sleeps_and_finds_nothing_to_change_then(by_the_clock: LabHost) -> None:
    host, values = by_the_clock, {**VALUES, "off_hours": ASLEEP}
    at(host, "down")
    assert replicas(host)["web"] == 0
    assert deliver(values) > 0
    assert replicas(host) == {"web": 2, "scaled": 1, "always": 1}
    assert deliver(values) == 0
    more = {**values, "services": {**VALUES["services"], "web": {**SERVICE, "replicas": 3}}}
    assert deliver(more) == 1, "the timer is no other owner of the number"
    assert replicas(host)["web"] == 3


def test_without_off_hours_nothing_is_left_of_them(one_service: LabHost) -> None:
    deliver({**VALUES, "off_hours": ASLEEP})
    assert one_service.sudo(["systemctl", "is-active", f"{UNIT}.timer"]).out.strip() == "active"
    assert one_service.sudo(["systemctl", "is-enabled", f"{UNIT}.timer"]).out.strip() == "enabled"
    deliver(VALUES)
    assert not one_service.exists(SETTINGS)
    assert not one_service.exists(f"/etc/systemd/system/{UNIT}.timer")
    assert one_service.sudo(["systemctl", "is-active", f"{UNIT}.timer"], check=False).rc != 0
    assert deliver(VALUES) == 0


@pytest.mark.req("SC-43", "SC-16")
def test_a_release_that_does_not_get_well_fails_the_play(one_service: LabHost) -> None:
    ill = {"services": {"web": {**SERVICE, "health": "/no-such-path", "rollout_timeout": 40}}}
    said = refusal({"name": NAME, **ill})
    assert "deployment/web" in said and ("not ready within 40 s" in said or "cannot become ready" in said), (
        said
    )
    assert deliver({"name": NAME, "services": {"web": SERVICE}}) == 1, "the next delivery heals it"


@pytest.mark.req("SC-85", "ST-28")
def test_a_new_secret_renews_its_users_and_nobody_else(one_service: LabHost) -> None:
    def values(token: str) -> dict[str, Any]:
        user = {**SERVICE, "secrets": ["keys"]}
        return {
            "name": NAME,
            "secrets": {"keys": {"values": {"TOKEN": token}}},
            "services": {"user": user, "other": SERVICE},
        }

    def pods() -> dict[str, str]:
        found = one_service.kubectl(["-n", NAME, "get", "pods"])["items"]
        return {
            one["metadata"]["labels"]["app"]: one["metadata"]["uid"]
            for one in found
            if "deletionTimestamp" not in one["metadata"]
        }

    deliver(values("first-value-of-a-token"))
    before = pods()
    assert deliver(values("second-value-of-a-token")) == 1
    until("the user is renewed", lambda: pods()["user"] != before["user"])
    assert pods()["other"] == before["other"]
    assert deliver(values("second-value-of-a-token")) == 0


@pytest.mark.req("WC-70")
def test_production_gets_what_was_tested_in_staging(one_service: LabHost) -> None:
    """The same values, two namespaces: what runs in both is one image, by its digest."""
    host = one_service

    def image(namespace: str) -> str:
        pods = host.kubectl(["-n", namespace, "get", "pods", "-l", "app=web"])["items"]
        (found,) = {one["status"]["containerStatuses"][0]["imageID"] for one in pods}
        assert "@sha256:" in found, found
        return str(found)

    staging = {"namespace": f"{NAME}-staging", "environment": "staging"}
    try:
        deliver({"name": NAME, **staging, "services": {"web": SERVICE}})
        address = host.kubectl(["-n", f"{NAME}-staging", "get", "service", "web"])["spec"]["clusterIP"]
        asked = ["curl", "-sSf", "--max-time", "20", f"http://{address}:8080/health"]
        until("staging answers", lambda: host.run(asked).out)
        deliver({"name": NAME, "environment": "production", "services": {"web": SERVICE}})
        assert image(NAME) == image(f"{NAME}-staging")
    finally:
        host.sudo([*KUBECTL, "delete", "namespace", f"{NAME}-staging", "--ignore-not-found"], timeout=300)


@pytest.mark.req("WC-41", "WC-50", "WC-51")
def test_kubelet_signs_in_by_itself(one_service: LabHost) -> None:
    """A registry with a password, no Secret, no refresh: the pod runs once kubelet has its program, and not before."""
    host = one_service
    host.put(f"{PROVIDERS}/lab-provider.given", PROVIDER.encode(), 0o700)
    digest = host.sudo(["sha256sum", f"{PROVIDERS}/lab-provider.given"]).out.split()[0]
    hashed = host.sudo(
        [
            "python3",
            "-W",
            "ignore",
            "-c",
            "import crypt, sys; print(crypt.crypt(sys.argv[1], '$2b$05$' + 'a' * 22))",
            PASSWORD,
        ]
    ).out
    closed = {
        "registry_users": [{"name": "AWS", "bcrypt": hashed.strip()}],
        "registry_username": "AWS",
        "registry_password": PASSWORD,
    }
    provider = {
        "name": "lab-provider",
        "src": f"file://{PROVIDERS}/lab-provider.given",
        "sha256": digest,
        "match_images": ["localhost:5000"],
        "cache": "1s",
    }
    pod = [
        "-n",
        "default",
        "run",
        "signed-in",
        f"--image={IMAGE}",
        "--image-pull-policy=Always",
        "--restart=Never",
    ]

    def waiting() -> str:
        (status,) = host.kubectl(["-n", "default", "get", "pod", "signed-in"])["status"].get(
            "containerStatuses", [{}]
        )
        return str((status.get("state") or {}).get("waiting", {}).get("message", ""))

    try:
        play({**closed}, "--tags", "k3s,registry")
        host.sudo([*KUBECTL, *pod])
        until("the pull is refused", lambda: "authorization failed" in waiting())
        play({**closed, "k3s_credential_providers": [provider]}, "--tags", "k3s,registry")
        until(
            "the pod runs",
            lambda: (
                host.kubectl(["-n", "default", "get", "pod", "signed-in"])["status"]["phase"] == "Running"
            ),
        )
        name, _colon, _tag = IMAGE.rpartition(":")
        assert f'"image":"{name}"' in host.read(f"{PROVIDERS}/asked")
        config = host.sudo(["stat", "-c", "%a %U", f"{PROVIDERS}/config.yaml"]).out.strip()
        assert config == "600 root"
        journal = host.sudo(["journalctl", "-u", "k3s", "-o", "cat", "--no-pager"]).out
        assert PASSWORD not in journal
        assert play({**closed, "k3s_credential_providers": [provider]}, "--tags", "k3s,registry") == 0
    finally:
        host.sudo(
            [*KUBECTL, "-n", "default", "delete", "pod", "signed-in", "--ignore-not-found", "--wait=false"]
        )
        play({}, "--tags", "k3s,registry")
        host.sudo(["rm", "-rf", PROVIDERS])
