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
from ansible_collections.holdfast.k3s.plugins.module_utils.core.plan import Action
from ansible_collections.holdfast.k3s.plugins.module_utils.host import readiness, stamps
from ansible_collections.holdfast.k3s.plugins.module_utils.host.api import NodeApi
from ansible_collections.holdfast.k3s.plugins.module_utils.host.readiness import Unit
from ansible_collections.holdfast.k3s.plugins.module_utils.host.service import Facts, Options, plan
from ansible_collections.holdfast.k3s.plugins.module_utils.host.service_io import Service
from ansible_collections.holdfast.k3s.plugins.modules import k3s_service

ROOT = Path(__file__).resolve().parents[5]
RUNNING = Unit("active", "running", "enabled", pid=7, loaded=True)
SAME = {"/etc/rancher/k3s/config.yaml": "1", stamps.BINARY: "2"}
STOPPED = Unit(loaded=True, enabled="enabled")
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
    assert kinds(options, replace(facts, encryption_configured=True, encrypts=True)) == ["restart"]
    assert kinds(OPTIONS, facts) == ["restart"], "it was not asked for"
    assert kinds(options, replace(facts, unit=STOPPED, datastore=False)) == ["start"]


CONVERT = ["rotate_keys", "restart"]
CHANGED = {**SAME, "/etc/rancher/k3s/config.yaml": "9"}


@pytest.mark.parametrize(
    ("what", "changes", "expected"),
    [
        ("encrypted", {"encryption_configured": True, "encrypts": True}, []),
        ("the keys were not rotated", {"encryption_configured": True}, CONVERT),
        (
            "not restarted either",
            {"encryption_configured": True, "stamps": CHANGED},
            ["restart", *CONVERT],
        ),
        (
            "broken off in the middle of the rotation",
            {"encryption_configured": True, "encrypts": True, "converting": True},
            ["restart", *CONVERT],
        ),
        ("stopped", {"unit": STOPPED}, ["begin_encryption", "start", *CONVERT]),
        ("enabled, stopped", {"unit": STOPPED, "encryption_configured": True}, ["start", *CONVERT]),
        (
            "stopped after the start of a conversion",
            {"unit": STOPPED, "encryption_configured": True, "encrypts": True, "converting": True},
            ["start", *CONVERT],
        ),
        (
            "a k3s that comes up again and again cannot be told to enable it",
            {"unit": replace(RUNNING, active="activating")},
            ["begin_encryption", "restart", *CONVERT],
        ),
        ("encrypted, stopped", {"unit": STOPPED, "encryption_configured": True, "encrypts": True}, ["start"]),
    ],
)
def test_a_conversion_goes_on_where_it_stopped(
    what: str, changes: dict[str, Any], expected: list[str]
) -> None:
    facts = replace(STEADY, datastore=True, **changes)
    assert kinds(replace(OPTIONS, encryption=True), facts) == expected, what


class Encryption:
    """Commands that answer `secrets-encrypt status` from a list, the last answer repeats; all others succeed."""

    def __init__(self, *answers: str) -> None:
        self.answers, self.asked = list(answers), [""]

    def run(self, argv: list[str], **_options: Any) -> Result:
        self.asked.append(" ".join(argv[1:3]))
        self.argv = argv
        if self.asked[-1] == "secrets-encrypt status":
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            return Result(argv, 0 if answer else 1, answer)
        return Result(argv, 0, show("active"))


def cluster(path: Path, *files: str) -> Path:
    """k3s's data with the named files."""
    for name in files:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).touch()
    return path


@pytest.mark.parametrize(
    ("files", "config", "expected"),
    [
        ([], None, (False, False, False)),
        (["db/state.db"], None, (True, False, False)),
        (["db/etcd/member"], None, (True, False, False)),
        (["db/state.db"], '{"resources": [{"providers": [{"identity": {}}]}]}', (True, True, False)),
        (
            ["db/state.db"],
            '{"resources": [{"providers": [{"aescbc": {}}, {"identity": {}}]}]}',
            (True, True, True),
        ),
    ],
)
def test_what_k3s_files_say_about_encryption(
    tmp_path: Path, files: list[str], config: str | None, expected: tuple[bool, bool, bool]
) -> None:
    server = cluster(tmp_path, *files)
    if config is not None:
        (server / "cred").mkdir()
        (server / "cred/encryption-config.json").write_text(config)
    found = Service(OPTIONS, Encryption("{}"), FakeClock(), None, server=server).observe()
    assert (found.datastore, found.encryption_configured, found.encrypts) == expected


@pytest.mark.parametrize("begin", ["begin_encryption", "enable_encryption", "rotate_keys"])
def test_a_conversion_is_remembered_until_its_last_restart(tmp_path: Path, begin: str) -> None:
    commands = Encryption('{"enable": true, "hashmatch": true}')
    server = cluster(tmp_path, "db/state.db")
    host = Service(OPTIONS, commands, FakeClock(), None, server=server)
    host.act(Action(begin, "secrets", ""), lambda _restarts: {})
    assert host.observe().converting
    host.act(Action("restart", "k3s", ""), lambda _restarts: {})
    assert host.observe().converting, "that was the restart before the rotation"
    host.act(Action("restart", "k3s", "", params={"converted": True}), lambda _restarts: {})
    assert not host.observe().converting


def test_the_rotation_waits_for_the_annotation_of_the_node(tmp_path: Path) -> None:
    commands = Encryption("", '{"enable": false}', '{"enable": false, "hashmatch": true}')
    host = Service(OPTIONS, commands, FakeClock(), None, server=tmp_path)
    host.act(Action("rotate_keys", "secrets", ""), lambda _restarts: {})
    assert commands.asked[1:] == [*["secrets-encrypt status"] * 3, "secrets-encrypt rotate-keys"]


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (['{"stage": "start", "enable": true}'], ""),
        (["", "torn", '{"enable": true}'], ""),
        (['{"stage": "", "activekey": ""}'], "Secrets are not encrypted"),
        (['{"stage": "start", "enable": false}'], "Secrets are not encrypted (stage start of a rotation)"),
        ([""], "Secrets are not encrypted"),
    ],
)
def test_whether_secrets_are_encrypted_is_asked(tmp_path: Path, answers: list[str], expected: str) -> None:
    host = Service(OPTIONS, Encryption(*answers), FakeClock(), None, server=tmp_path)
    assert host.encryption_problem(5) == expected


def test_another_port_is_said_to_the_command_that_reads_no_configuration(tmp_path: Path) -> None:
    commands = Encryption('{"enable": true}')
    host = Service(OPTIONS, commands, FakeClock(), NodeApi(port=7443), server=tmp_path)
    assert host.encryption_problem(5) == ""
    assert commands.argv[-2:] == ["--server", "https://127.0.0.1:7443"]


def test_a_status_that_cannot_be_had_is_no_lack_of_encryption(tmp_path: Path) -> None:
    class Refusing(Encryption):
        def run(self, argv: list[str], **_options: Any) -> Result:
            return Result(argv, 1, "", "usage\nlevel=fatal msg=refused")

    host = Service(OPTIONS, Refusing(""), FakeClock(), None, server=tmp_path)
    assert host.encryption_problem(5) == "secrets-encrypt status fails: level=fatal msg=refused"


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


@pytest.mark.parametrize("problem", ["", "Secrets are not encrypted"])
def test_each_start_has_its_own_deadline_and_encryption_is_looked_at(
    monkeypatch: pytest.MonkeyPatch, problem: str
) -> None:
    """Two starts of 250 s each within a timeout of 300; and a cluster in clear is no success."""
    clock, facts = FakeClock(), replace(STEADY, datastore=True, stamps=CHANGED)

    class Host:
        """A host on which each wait takes 250 s."""

        observe, unit = staticmethod(lambda: facts), staticmethod(lambda: RUNNING)
        encryption_problem = staticmethod(lambda _seconds: problem)

        def act(self, action: Action, wait: Any) -> dict[str, Any]:
            found: dict[str, Any] = wait(0) if action.kind == "restart" else {}
            return found

        def wait(self, _restarts: int, _problem: Any, deadline: Deadline, _hang: float) -> dict[str, Any]:
            clock.advance(250)
            deadline.check("the start")
            return {"active_seconds": 1.0, "ready_seconds": 250.0}

    monkeypatch.setattr(k3s_service, "Clock", lambda: clock)
    monkeypatch.setattr(k3s_service, "Service", lambda *_arguments: Host())
    monkeypatch.setattr(stamps, "current", dict)
    monkeypatch.setattr(stamps, "recorded", dict)
    params = {name: spec.get("default") for name, spec in k3s_service.SPEC.items()}
    params["encryption"] = True
    if problem:
        with pytest.raises(HoldfastError, match="k3s runs, but Secrets are not encrypted"):
            k3s_service.body(params, check_mode=False, diff=False)
    else:
        found = k3s_service.body(params, check_mode=False, diff=False)
        assert [one["outcome"] for one in found["actions"]] == ["done"] * 4
