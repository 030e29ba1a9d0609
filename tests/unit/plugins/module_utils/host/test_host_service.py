"""When k3s is restarted, and when it counts as ready, crashing or hanging."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.holdfast.k3s.plugins.module_utils.core.clock import Deadline, FakeClock
from ansible_collections.holdfast.k3s.plugins.module_utils.core.command import Result
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import DeadlineExceeded, HoldfastError
from ansible_collections.holdfast.k3s.plugins.module_utils.host import readiness, stamps
from ansible_collections.holdfast.k3s.plugins.module_utils.host.readiness import Unit
from ansible_collections.holdfast.k3s.plugins.module_utils.host.service import Facts, Options, plan
from ansible_collections.holdfast.k3s.plugins.module_utils.host.service_io import Service

ROOT = Path(__file__).resolve().parents[5]
RUNNING = Unit("active", "running", "enabled", pid=7, loaded=True)
SAME = {"/etc/rancher/k3s/config.yaml": "1", stamps.BINARY: "2"}
OPTIONS = Options("k3s")
STEADY = Facts(RUNNING, SAME, dict(SAME))


def kinds(options: Options, facts: Facts) -> list[str]:
    """Kinds of the planned actions."""
    return [action.kind for action in plan(options, facts)]


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (STEADY, []),
        (replace(STEADY, stamps={**SAME, stamps.BINARY: "3"}), ["restart"]),
        (replace(STEADY, stamps={**SAME, "/etc/rancher/k3s/registries.yaml": "n"}), ["restart"]),
        (replace(STEADY, stamps={stamps.BINARY: "2"}), ["restart"]),
        (replace(STEADY, started_with=None), ["restart"]),
        (replace(STEADY, unit=replace(RUNNING, reload=True)), ["daemon_reload"]),
        (replace(STEADY, unit=Unit(loaded=True, enabled="enabled")), ["start"]),
        (replace(STEADY, unit=Unit()), ["daemon_reload", "enable", "start"]),
    ],
)
def test_a_restart_happens_exactly_when_something_changed(facts: Facts, expected: list[str]) -> None:
    assert kinds(OPTIONS, facts) == expected


def test_the_plan_says_what_changed() -> None:
    found = plan(OPTIONS, replace(STEADY, stamps={**SAME, stamps.BINARY: "3"}))
    assert found[0].why == f"changed since it started: {stamps.BINARY}"


def test_check_mode_predicts_the_restart_from_pending_files() -> None:
    pending = stamps.relevant(["/etc/rancher/k3s/registries.yaml", "/etc/sysctl.d/90-kubelet.conf"])
    assert pending == ["/etc/rancher/k3s/registries.yaml"]
    assert kinds(replace(OPTIONS, pending=pending), STEADY) == ["daemon_reload", "restart"]


def test_encryption_of_an_existing_cluster_takes_three_steps() -> None:
    facts = replace(STEADY, datastore=True, stamps={**SAME, "/etc/rancher/k3s/config.yaml": "9"})
    options = replace(OPTIONS, encryption=True)
    assert kinds(options, facts) == ["enable_encryption", "restart", "rotate_keys", "restart"]
    assert kinds(options, replace(facts, encryption_configured=True)) == ["restart"]
    assert kinds(options, replace(facts, unit=Unit(loaded=True, enabled="enabled"), datastore=False)) == [
        "start"
    ]


def test_small_things_are_done_without_a_restart() -> None:
    options = replace(
        OPTIONS,
        sysctls={"kernel.panic": "10"},
        inhibit_seconds=75,
        service_accounts=["default"],
        network_policies=False,
    )
    facts = replace(
        STEADY,
        sysctls={"kernel.panic": "0"},
        inhibit_seconds=5,
        open_accounts=["default", "kube-system"],
        stray_policies=["/apis/x"],
    )
    assert kinds(options, facts) == ["sysctl", "reload_logind", "service_account", "delete"]
    assert kinds(replace(OPTIONS, force_restart=True), STEADY) == ["restart"]
    assert kinds(replace(OPTIONS, state="stopped"), STEADY) == ["stop"]


def test_the_recording_script_reads_the_same_files() -> None:
    script = (ROOT / "roles/k3s/files/k3s-record-start").read_text()
    assert stamps.RECORD in script
    listed = re.findall(r"^ {8}(/\S+?);?(?: \\| do)$", script, re.MULTILINE)
    assert sorted(listed) == sorted(stamps.GLOBS)


def test_current_sees_drop_ins_but_not_what_k3s_writes_itself(tmp_path: Path) -> None:
    kubelet = tmp_path / "var/lib/rancher/k3s/agent/etc/kubelet.conf.d"
    kubelet.mkdir(parents=True)
    for name in ("00-k3s-defaults.conf", "10-cli-config.conf", "50-holdfast.conf"):
        (kubelet / name).write_text(name)
    assert [path.rsplit("/", 1)[1] for path in stamps.current(tmp_path)] == ["50-holdfast.conf"]
    assert stamps.parse("abc  /a b\n\nbroken\n") == {"/a b": "abc"}


CRASH = [
    'time="x" level=info msg="Starting k3s"',
    'time="x" level=fatal msg="Error: preparing server: bootstrap data already found and encrypted with different token"',
    "k3s.service: Main process exited",
]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (CRASH, "Error: preparing server: bootstrap data already found and encrypted with different token"),
        (
            ['level=info msg="Shutdown request received: \\"apiserver exited\\""'],
            'Shutdown request received: "apiserver exited"',
        ),
        (["level=info msg=fine", "Failed to start"], "Failed to start"),
        ([], "the journal has no line about it"),
    ],
)
def test_last_error(lines: list[str], expected: str) -> None:
    assert readiness.last_error(lines) == expected


class Systemd:
    """Commands whose `systemctl show` answers come from a list; the last one repeats."""

    def __init__(self, states: list[str], journal: list[str]) -> None:
        self.states, self.journal = states, journal

    def run(self, argv: list[str], **_options: Any) -> Result:
        if argv[0] == "journalctl":
            return Result(argv, 0, "\n".join(self.journal))
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        return Result(argv, 0, state)


def show(active: str, restarts: int = 0, sub: str = "start") -> str:
    """What systemctl show prints."""
    return f"ActiveState={active}\nSubState={sub}\nNRestarts={restarts}\nLoadState=loaded\nMainPID=7\n"


def waiter(
    states: list[str], problem: Any = lambda: "", seconds: float = 100, hang: float = 50
) -> dict[str, Any]:
    """Run the wait against scripted states."""
    clock = FakeClock()
    host = Service(OPTIONS, Systemd(states, CRASH), clock, None)
    return host.wait(0, problem, Deadline(clock, seconds), hang)


@pytest.mark.req("SN-02")
def test_wait_ends_when_all_is_ready() -> None:
    reasons = iter(["the API does not answer", "node box is not Ready", ""])
    found = waiter([show("activating"), show("active", sub="running")], lambda: next(reasons))
    assert found == {"active_seconds": 0.2, "ready_seconds": 0.8}


def test_a_crash_loop_is_recognised_by_restarts_and_named() -> None:
    states = [show("activating", n, "auto-restart") for n in range(5)]
    with pytest.raises(HoldfastError, match=r"3 automatic restarts.*different token"):
        waiter(states)


def test_a_hanging_start_is_recognised_by_time() -> None:
    with pytest.raises(HoldfastError, match="hangs in activating/start"):
        waiter([show("activating")])


def test_the_deadline_names_what_is_missing() -> None:
    with pytest.raises(DeadlineExceeded, match="coredns is not available"):
        waiter([show("active")], lambda: "coredns is not available")


def deployment(name: str, available: int) -> dict[str, Any]:
    """A deployment as the API shows it."""
    return {
        "metadata": {"name": name, "generation": 1},
        "spec": {"replicas": 1},
        "status": {"observedGeneration": 1, "availableReplicas": available},
    }


def test_packaged_components() -> None:
    good = [deployment(name, 1) for name in ("coredns", "local-path-provisioner", "metrics-server")]
    assert readiness.packaged_problem(good, [], ["traefik", "servicelb"]) == ""
    assert "traefik has not been created" in readiness.packaged_problem(good, [], [])
    waiting = {"waiting": {"reason": "ErrImagePull", "message": "no route"}}
    pod = {"metadata": {"name": "coredns-1"}, "status": {"containerStatuses": [{"state": waiting}]}}
    bad = [deployment("coredns", 0), *good[1:]]
    assert "ErrImagePull no route" in readiness.packaged_problem(bad, [pod], ["traefik"])


def test_node() -> None:
    def node(status: str) -> dict[str, Any]:
        condition = {"type": "Ready", "status": status, "message": "cni not ready"}
        return {"metadata": {"name": "box"}, "status": {"conditions": [condition]}}

    assert readiness.node_problem([node("True")], "box") == ""
    assert "cni not ready" in readiness.node_problem([node("False")], "box")
    assert "not registered" in readiness.node_problem([], "box")
