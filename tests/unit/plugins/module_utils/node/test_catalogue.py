"""Every detector against what a real k3s printed, and against a healthy host."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.holdfast.k3s.plugins.module_utils.node.catalogue import CAUSES, by_id, diagnose
from ansible_collections.holdfast.k3s.plugins.module_utils.node.model import Options

sys.path.insert(0, str(Path(__file__).parent))
from sample_facts import DATABASE, NOW, event, facts, hanging, looping

SANDBOX = (
    'plugin type="bridge" failed (add): failed to allocate for range 0: no IP addresses available in range set: '
    "10.42.0.1-10.42.0.254"
)
CGROUP = (
    'level=fatal msg="Error: kubelet exited: kubelet is configured to not run on a host using cgroup v1. cgroup v1 support '
    'is unsupported and will be removed in a future release"'
)
MALFORMED = 'level=warning msg="Startup VACUUM failed (non-fatal): database disk image is malformed"'

CASES: list[tuple[str, dict[str, Any]]] = [
    ("DB-CORRUPT", hanging(datastore__quick_check="database disk image is malformed")),
    ("DB-CORRUPT", hanging(datastore__quick_check="file is not a database")),
    ("DB-CORRUPT", hanging(datastore__quick_check="not checked: locked", journal__attempt=[MALFORMED])),
    ("DB-TORN-WAL", hanging(datastore__quick_check="*** in database main *** page 7", datastore__quick_check_without_wal="ok")),
    ("DB-BLOATED", facts(datastore__size=3 << 30)),
    ("DB-LOCKED", facts(datastore__foreign_writers=[{"pid": 9, "start": 1, "comm": "sqlite3"}])),
    ("DB-LOCKED", facts(api__write={"ok": False, "seconds": 6.0, "error": "timed out"})),
    ("DB-LOCKED", looping('level=fatal msg="Error: starting kubernetes: database is locked"')),
    ("DB-IO", looping('level=fatal msg="Error: setup db: disk I/O error"')),
    ("TOKEN-MISMATCH", looping(
        'level=fatal msg="Error: preparing server: failed to bootstrap cluster data: bootstrap data already found and '
        'encrypted with different token"')),
    ("BOOTSTRAP-NEWER", looping(
        'level=fatal msg="Error: /var/lib/rancher/k3s/server/tls/server-ca.crt newer than datastore and could cause a cluster '
        'outage. Remove the file(s) from disk and restart to be recreated from datastore."')),
    ("TOKEN-EMPTY", looping('level=fatal msg="Error: failed to get CA certs: EOF"', token__file_empty=True)),
    ("CERT-EXPIRED", facts(certificates__items=[
        {"path": "/x/client-admin.crt", "not_before": NOW - 4e7, "not_after": NOW - 90000, "ca": False}])),
    ("CA-EXPIRED", facts(certificates__items=[
        {"path": "/x/server-ca.crt", "not_before": NOW - 4e8, "not_after": NOW - 90000, "ca": True}])),
    ("CLOCK-SKEW", facts(host__clock={"now": NOW - 6e7, "newest_write": NOW})),
    ("CLOCK-SKEW", facts(host__clock={"now": NOW + 6e7, "newest_write": NOW})),
    ("DB-DISK-FULL", facts(host__disks=[{"path": "/db", "free_percent": 0.0, "free_bytes": 0, "datastore": True,
                                         "inodes_free_percent": 50.0, "read_only": False}],
                           api__readyz={"ok": False, "status": 500, "failed": ["etcd"]}, api__write={"ok": False})),
    ("API-FILTERED", facts(host__ports={"6443": {"pid": 700, "comm": "k3s"}, "knock": "timed out"},
                           api__readyz={"ok": False, "status": 0, "error": "timed out"}, api__node={}, api__write={})),
    ("CLOCK-SKEW", looping(
        'level=fatal msg="Error: preparing server: x509: certificate has expired or is not yet valid: current time 2020-01-01T00:00:00Z is before 2026-01-01T00:00:00Z"')),
    ("CRI-STOPPED", facts(processes=[{"pid": 710, "start": 12, "state": "T", "comm": "containerd", "role": "containerd"}],
                          runtime__cri={"ok": False, "error": "DeadlineExceeded"})),
    ("API-STOPPED", facts(processes=[{"pid": 711, "start": 12, "state": "T", "comm": "k3s", "role": "kube-apiserver"}],
                          api__readyz={"ok": False, "status": 0, "error": "timed out"}, api__node={}, api__write={})),
    ("CRI-META-CORRUPT", facts(runtime__cri={"ok": False, "error": "x"}, runtime__socket=False,
                               runtime__meta_db={"exists": True, "size": 9, "magic_ok": False})),
    ("CRI-META-CORRUPT", facts(runtime__cri={"ok": False, "error": "x"},
                               runtime__log=["panic: freepages: failed to get all reachable pages (page 12: multiple references)"])),
    ("CRI-STALE-SANDBOX", facts(runtime__cri={"ok": False, "error": "x"}, runtime__log=[
        'level=fatal msg="Failed to run CRI service" error="failed to recover state: failed to get metadata for stored '
        'sandbox \\"0c1d\\": unsupported storage version"'])),
    ("CRI-WEDGED", facts(runtime__cri={"ok": False, "late": True, "error": "context deadline exceeded while waiting for connections"})),
    ("CRI-WEDGED", facts(runtime__sandbox={"ok": False, "late": True, "error": "rpc error: code = DeadlineExceeded"})),
    ("CRI-NO-SOCKET", facts(runtime__socket=False, runtime__cri={"ok": False, "error": "missing"})),
    ("IMAGE-CONTENT", facts(api__events=event("Failed", 'failed to pull image "localhost:5000/lab/redis:7": content digest '
                                              "sha256:0123456789abcdef0123456789abcdef: not found"))),
    ("CNI-EXHAUSTED", facts(cni__taken=253, cni__stale=[{"file": "/f", "address": "10.42.0.9", "sandbox": "gone"}])),
    ("CNI-EXHAUSTED", facts(cni__taken=252, api__events=event("FailedCreatePodSandBox", SANDBOX))),
    ("NET-LEFTOVER", facts(api__events=event("FailedCreatePodSandBox",
                                             '"cni0" already has an IP address different from 10.42.1.1/24'))),
    ("NODE-PASSWORD", facts(api__events=event("NodePasswordValidationFailed", "hash does not match"))),
    ("NODE-RENAMED", facts(api__node={"known": False, "others": ["old-name"], "ready": False})),
    ("ETCD-RESTORE", looping('level=fatal msg="Error: starting etcd: member 8e9e not found in cluster"')),
    ("DISK-FULL", facts(host__disks=[{"path": "/var/lib", "free_percent": 2.0, "free_bytes": 1, "inodes_free_percent": 50.0,
                                      "read_only": False}])),
    ("DISK-FULL", facts(host__disks=[{"path": "/var/lib", "free_percent": 50.0, "free_bytes": 1, "inodes_free_percent": 1.0,
                                      "read_only": False}])),
    ("DISK-READ-ONLY", facts(host__disks=[{"path": "/var/lib", "free_percent": 50.0, "free_bytes": 1,
                                           "inodes_free_percent": 50.0, "read_only": True}])),
    ("INOTIFY", facts(host__inotify={"max_user_instances": 128, "max_user_watches": 1, "instances": 127})),
    ("INOTIFY", looping('level=fatal msg="Error: kubelet exited: inotify_init: too many open files"')),
    ("CGROUP-V1", looping(CGROUP)),
    ("CGROUP-CONTROLLER", looping('level=fatal msg="Error: failed to find memory cgroup (v2)"')),
    ("BAD-ARGUMENT", looping('level=error msg="Shutdown request received: \\"apiserver exited: unknown flag: --nosuchflag\\""')),
    ("PORT-TAKEN", looping("x", host__ports={"6443": {"pid": 4242, "start": 1, "comm": "python3"}})),
    ("NOT-INSTALLED", facts(installed=False)),
    ("UNIT-INACTIVE", facts(unit__active="failed", unit__sub="failed", unit__main_pid=0)),
    ("STARTING", facts(unit__active="activating", unit__sub="auto-restart", unit__n_restarts=1)),
    ("CRASH-LOOP", looping('level=fatal msg="Error: something new"')),
    ("START-HANG", hanging()),
    ("API-DOWN", facts(api__readyz={"ok": False, "status": 500, "failed": ["etcd"]})),
    ("KUBELET-DOWN", facts(kubelet={"ok": False, "text": "connection refused"})),
    ("NODE-NOT-READY", facts(api__node={"known": True, "ready": False, "reason": "KubeletNotReady", "name": "songnodes"})),
    ("UNIT-OOM", facts(unit__result="oom-kill")),
    ("NODE-PRESSURE", facts(api__node={"known": True, "ready": True, "pressure": ["MemoryPressure"]})),
    ("IMAGE-GC", facts(api__events=event("ImageGCFailed", "wanted to free 1 bytes, but freed 0"))),
]  # fmt: skip


@pytest.mark.parametrize(("cause", "broken"), CASES, ids=[f"{n}-{case[0]}" for n, case in enumerate(CASES)])
def test_the_fault_is_named(cause: str, broken: dict[str, Any]) -> None:
    found = diagnose(broken, Options())
    assert cause in [one.cause for one in found]
    first = next(one for one in found if one.cause == cause)
    assert first.evidence
    assert first.actions or first.needs_person, "neither a plan nor a word to a person"


def test_every_cause_has_a_case() -> None:
    assert {case[0] for case in CASES} == {cause.id for cause in CAUSES}


@pytest.mark.req("SN-33")
def test_the_image_without_content_is_the_one_that_the_text_or_the_pod_names() -> None:
    lost = "error unpacking image: blob sha256:196f934bd836 expected at /blobs/sha256/196f934bd836: blob not found: not found"
    named = 'failed to pull image "localhost:5000/lab/redis:7": content digest sha256:0123456789ab: not found'
    broken = facts(
        api__events=event("Failed", lost, "shop:1")
        + event("Failed", named, "redis:7")
        + event("Failed", lost)
    )
    actions = next(one for one in diagnose(broken, Options()) if one.cause == "IMAGE-CONTENT").actions
    assert [(one.kind, one.target) for one in actions] == [
        ("refetch_image", "localhost:5000/lab/redis:7"),
        ("refetch_image", "shop:1"),
    ]


def test_a_missing_socket_is_said_in_words() -> None:
    found = diagnose(facts(runtime__socket=False, runtime__cri={"ok": False, "error": "x"}), Options())
    assert "containerd failed to start" in found[0].evidence


def test_a_healthy_host_has_no_findings() -> None:
    assert diagnose(facts(), Options()) == []


def test_probes_that_failed_are_no_findings() -> None:
    """A probe that could not run proves nothing."""
    blind: dict[str, Any] = facts()
    for name in ("datastore", "runtime", "api", "kubelet", "host", "certificates", "cni", "journal", "token"):
        blind[name] = {"error": "no answer within 75 s"}
    assert diagnose(blind, Options()) == []


def test_a_check_that_was_not_made_leaves_the_word_to_k3s() -> None:
    late = hanging(datastore={"error": "no answer within 75 s"}, journal__attempt=[MALFORMED])
    assert "DB-CORRUPT" in [one.cause for one in diagnose(late, Options())]
    etcd = hanging(datastore={"kind": "etcd"}, journal__attempt=[MALFORMED])
    assert "DB-CORRUPT" not in [one.cause for one in diagnose(etcd, Options())]


def test_old_texts_do_not_count_while_the_api_is_ready() -> None:
    line = "bootstrap data already found and encrypted with different token"
    assert diagnose(facts(journal__attempt=[line]), Options()) == []


DOWN: dict[str, Any] = {"ok": False, "status": 500, "failed": ["etcd"]}
WEBHOOK = 'level=error msg="failed calling webhook: x509: certificate has expired or is not yet valid: current time {}"'
HISTORY = [
    WEBHOOK.format("2026-06-01T00:00:00Z is after 2026-05-01T00:00:00Z"),
    WEBHOOK.format("2026-06-01T00:00:00Z is before 2027-05-01T00:00:00Z"),
    'level=error msg="error in txn: database is locked"',
]


@pytest.mark.parametrize("line", HISTORY)
def test_a_line_of_weeks_ago_does_not_hide_that_the_api_is_down(line: str) -> None:
    found = {one.cause for one in diagnose(facts(api__readyz=DOWN, journal__attempt=[line]), Options())}
    assert "API-DOWN" in found and not {"CERT-EXPIRED", "CLOCK-SKEW"} & found
    hung = {one.cause for one in diagnose(hanging(journal__attempt=[line]), Options())}
    assert "START-HANG" in hung


def test_a_line_about_a_port_is_history_once_the_unit_is_active() -> None:
    line = 'level=error msg="listen tcp :9100: bind: address already in use"'
    found = [one.cause for one in diagnose(facts(api__readyz=DOWN, journal__attempt=[line]), Options())]
    assert found == ["API-DOWN"]
    assert "PORT-TAKEN" in [one.cause for one in diagnose(looping(line), Options())]


def test_a_late_look_resets_no_containerd_for_a_line_of_history() -> None:
    line = "failed to recover state: failed to get metadata for stored sandbox"
    late = {"error": "no answer within 75 s"}
    wedged = {"ok": False, "late": True, "error": "DeadlineExceeded"}
    found = diagnose(facts(api=late, runtime__cri=wedged, journal__attempt=[line]), Options())
    assert [one.cause for one in found] == ["CRI-WEDGED"]


@pytest.mark.parametrize("line", HISTORY[:2])
def test_the_text_counts_where_no_certificate_could_be_read(line: str) -> None:
    found = {one.cause for one in diagnose(looping(line, certificates={"error": "x"}), Options())}
    assert {"CERT-EXPIRED", "CLOCK-SKEW"} & found


@pytest.mark.parametrize(
    "api", [{"error": "no answer within 75 s"}, {"readyz": {"ok": False, "status": 0, "error": "timed out"}}]
)
def test_a_look_at_the_api_that_was_late_makes_no_cause_of_history(api: dict[str, Any]) -> None:
    line = 'level=error msg="bootstrap data already found and encrypted with different token"'
    found = {one.cause for one in diagnose(facts(api=api, journal__attempt=[line]), Options())}
    assert "TOKEN-MISMATCH" not in found


def test_a_certificate_that_an_older_k3s_left_behind_is_no_fault() -> None:
    def ended(*paths: str) -> list[str]:
        items = [
            {"path": path, "not_before": NOW - 4e7, "not_after": NOW - 9e4, "ca": False} for path in paths
        ]
        return [one.cause for one in diagnose(facts(certificates__items=items), Options())]

    assert ended("/tls/client-cloud-controller.crt", "/tls/client-kube-proxy.crt") == []
    assert (
        ended("/tls/serving-kube-apiserver.crt") == ["CERT-EXPIRED"] == ended("/agent/client-kube-proxy.crt")
    )


def test_a_plain_crash_of_containerd_is_no_damaged_metadata() -> None:
    crash = ["panic: runtime error: invalid memory address or nil pointer dereference"]
    found = diagnose(facts(runtime__cri={"ok": False, "error": "x"}, runtime__log=crash), Options())
    assert "CRI-META-CORRUPT" not in [one.cause for one in found]


def test_an_api_that_answers_is_not_filtered() -> None:
    """Wherever the knock went: the API itself was asked, and answered."""
    broken = facts(host__ports={"6443": {"pid": 700, "comm": "k3s"}, "knock": "timed out"})
    assert diagnose(broken, Options()) == []


def test_the_filter_is_named_with_the_address_that_k3s_is_bound_to() -> None:
    ports = {"7443": {"pid": 700, "comm": "k3s"}, "knock": "timed out", "address": ["10.0.0.5", 7443]}
    late = {"ok": False, "status": 0, "error": "timed out"}
    found = diagnose(facts(host__ports=ports, api__readyz=late, api__node={}, api__write={}), Options())
    assert [one.cause for one in found] == ["API-FILTERED"]
    assert "k3s listens on port 7443" in found[0].evidence and "10.0.0.5" in found[0].evidence


def test_the_next_process_of_k3s_itself_takes_no_port() -> None:
    """In a crash loop the ports are read when the process of the tree is gone and the next one runs."""
    ports = {"6443": {"pid": 4242, "start": 1, "comm": "k3s-server", "own": True}}
    found = [one.cause for one in diagnose(looping("level=fatal x", host__ports=ports), Options())]
    assert found == ["CRASH-LOOP"]


def test_consequences_stay_in_the_background() -> None:
    found = diagnose(hanging(datastore__quick_check="file is not a database"), Options())
    assert [one.cause for one in found if one.severity == "down"] == ["DB-CORRUPT"]


def test_the_first_seconds_after_a_start_are_no_outage() -> None:
    early = facts(unit__active_seconds=4.0, api__readyz={"ok": False, "status": 500, "failed": ["etcd"]},
                  kubelet={"ok": False, "text": "connection refused"})  # fmt: skip
    assert diagnose(early, Options()) == []


def test_certificates_wait_while_the_clock_is_in_doubt() -> None:
    broken = facts(host__clock={"now": NOW + 6e7, "newest_write": NOW})
    assert [one.cause for one in diagnose(broken, Options())] == ["CLOCK-SKEW"]


def test_the_token_that_opens_the_datastore_is_named() -> None:
    line = "bootstrap data already found and encrypted with different token"
    broken = looping(line, token__config_opens=False)
    assert "the configured one does not" in diagnose(broken, Options())[0].evidence


def test_ids_are_unique_and_every_row_of_the_catalogue_is_covered() -> None:
    assert len({cause.id for cause in CAUSES}) == len(CAUSES)
    # rows 14 and 15 are about pods and shutdown: they are the pods' and the role's business
    assert {cause.row for cause in CAUSES} >= set(range(1, 26)) - {14, 15}


def test_by_id() -> None:
    assert by_id("DB-CORRUPT").row == 1
    assert DATABASE.endswith("state.db")
