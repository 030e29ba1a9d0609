"""The first day: a check that predicts, a run that does just that, and a second one that does nothing."""

from __future__ import annotations

import pytest
from conftest import NAME, role, traces

from lab.host import LabHost
from tests.scenario import all_pods_ready, pid, play

# Begun early and waited for at the end: a check can only tell of the beginning.
BEGUN = (
    "holdfast.k3s.k3s : Begin to install the Python libraries that the collection's modules need on the host"
)
ENDED = "holdfast.k3s.k3s : The Python libraries are installed"


@pytest.mark.timeout(1800)
def test_a_check_on_the_bare_host_changes_nothing_and_predicts_the_run(host: LabHost, bare: set[str]) -> None:
    check = role("--check", "--diff").ok()
    assert traces(host) - bare == set(), "a check changed the host"
    predicted = {ENDED if name == BEGUN else name for name in check.changed}
    assert any("Put the verified binary" in name for name in predicted), check.output[-3000:]
    first = role().ok()
    assert set(first.changed) == predicted
    before = pid(host)
    again = role().ok()
    assert again.changed == ()
    assert pid(host) == before, "a second run restarted k3s"
    all_pods_ready(host)


def test_what_cannot_be_done_here_is_said_with_its_reason(running: LabHost) -> None:
    """The lab's host is a container: its kernel settings belong to the machine below it."""
    shown = play(NAME, "--tags", "k3s,summary").ok()
    for control in ("sysctls", "inotify_limits", "kernel_defaults"):
        assert f"not hardened here: {control}:" in shown.words, shown.output[-3000:]
    assert "the values belong to the machine below it" in shown.words


def test_the_role_may_be_run_without_the_rest(running: LabHost) -> None:
    """Nothing of another role was put here."""
    assert not running.exists("/etc/docker/registry/config.yml")
    assert (
        running.kubectl(["get", "namespaces", "-l", "app.kubernetes.io/managed-by=holdfast"])["items"] == []
    )
