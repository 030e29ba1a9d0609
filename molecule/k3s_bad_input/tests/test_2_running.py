"""Bad input on a host that runs k3s: the crash loop is recognised, what runs is kept, and the way back is one run."""

from __future__ import annotations

import pytest
from conftest import NAME, role

from lab.host import LabHost
from tests.scenario import pid

SECRETS = "/etc/rancher/k3s/config.yaml.d/90-holdfast-secrets.yaml"


@pytest.fixture(scope="module")
def running(host: LabHost) -> LabHost:
    """The host with a k3s that runs."""
    role().ok()
    return host


@pytest.mark.timeout(1800)
def test_a_wrong_token_is_recognised_as_a_crash_loop(running: LabHost) -> None:
    done = role(k3s_token="canary-wrong-token")
    assert done.status != 0
    assert "crashes again and again" in done.words and "different token" in done.words, done.output[-3000:]
    assert "canary-wrong-token" not in done.output
    assert running.sudo(["stat", "-c", "%a", SECRETS]).out.strip() == "600"
    role().ok()
    assert not running.exists(SECRETS)


@pytest.mark.timeout(1800)
def test_a_flag_that_k3s_does_not_know_is_named(running: LabHost) -> None:
    done = role(k3s_extra_config={"kube-apiserver-arg": ["no-such-flag=1"]})
    assert done.status != 0
    assert "crashes again and again" in done.words and "no-such-flag" in done.words, done.output[-3000:]
    role().ok()


@pytest.mark.timeout(900)
def test_a_tampered_upgrade_keeps_what_runs(running: LabHost) -> None:
    before, binary = pid(running), running.sudo(["sha256sum", "/usr/local/bin/k3s"]).out
    done = role(k3s_binary_sha256="0" * 64)
    assert done.status != 0 and "nothing on the host was replaced" in done.words, done.output[-3000:]
    assert pid(running) == before
    assert running.sudo(["sha256sum", "/usr/local/bin/k3s"]).out == binary


@pytest.mark.timeout(900)
def test_another_node_name_or_an_older_release_is_refused(running: LabHost) -> None:
    before = pid(running)
    renamed = role(k3s_node_name="renamed")
    assert renamed.status != 0 and f"set k3s_node_name: {NAME}" in renamed.words, renamed.output[-3000:]
    older = role(k3s_version="v1.35.4+k3s1")
    assert older.status != 0 and "its datastore may not open" in older.words, older.output[-3000:]
    skipping = role(k3s_version="v1.38.0+k3s1")
    assert skipping.status != 0 and "skips a minor release" in skipping.words, skipping.output[-3000:]
    assert pid(running) == before
