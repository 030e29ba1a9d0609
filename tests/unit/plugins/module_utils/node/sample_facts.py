"""Facts of a healthy host, and a way to bend them into a broken one."""

from __future__ import annotations

import copy
from typing import Any

NOW = 1_790_000_000.0
DATABASE = "/var/lib/rancher/k3s/server/db/state.db"

HEALTHY: dict[str, Any] = {
    "installed": True,
    "unit": {
        "name": "k3s", "exists": True, "enabled": "enabled", "active": "active", "sub": "running",
        "n_restarts": 0, "main_pid": 700, "result": "success", "exit_status": 0,
        "activating_seconds": 0.0, "active_seconds": 5000.0,
    },
    "processes": [
        {"pid": 700, "start": 10, "state": "S", "comm": "k3s", "role": "k3s"},
        {"pid": 710, "start": 12, "state": "S", "comm": "containerd", "role": "containerd"},
        {"pid": 711, "start": 12, "state": "S", "comm": "k3s", "role": "kube-apiserver"},
    ],
    "config": {"node_name": "songnodes", "fail_cgroupv1_off": True},
    "journal": {"lines": [], "attempt": []},
    "datastore": {
        "kind": "sqlite", "path": DATABASE, "size": 4 << 20, "wal_size": 1 << 20, "quick_check": "ok",
        "foreign_writers": [], "bootstrap": [],
    },
    "runtime": {
        "socket": True, "meta_db": {"exists": True, "size": 1 << 17, "magic_ok": True}, "log": [],
        "cri": {"ok": True}, "sandboxes": ["live"], "sandbox": {"ok": True, "seconds": 0.4},
    },
    "api": {
        "readyz": {"ok": True, "status": 200},
        "node": {"name": "songnodes", "known": True, "ready": True, "reason": "", "others": [], "pressure": [],
                 "lease_age": 4.0},
        "events": [],
        "write": {"ok": True, "seconds": 0.02},
    },
    "kubelet": {"ok": True, "text": "ok"},
    "host": {
        "disks": [{"path": "/var/lib/rancher/k3s", "free_percent": 60.0, "free_bytes": 9 << 30,
                   "inodes_free_percent": 90.0, "read_only": False}],
        "memory": {"total_mb": 8000, "available_mb": 4000},
        "inotify": {"max_user_instances": 8192, "max_user_watches": 524288, "instances": 60},
        "cgroup": {"version": 2, "controllers": []},
        "clock": {"now": NOW, "newest_write": NOW - 3, "synchronised": None},
        "ports": {"6443": {"pid": 700, "start": 10, "comm": "k3s"}},
        "uptime": 90000.0,
    },
    "certificates": {"items": [
        {"path": "/x/client-admin.crt", "not_before": NOW - 9e6, "not_after": NOW + 2e7, "ca": False},
        {"path": "/x/server-ca.crt", "not_before": NOW - 9e6, "not_after": NOW + 3e8, "ca": True},
    ]},
    "node_password": {"present": True, "empty": False},
    "cni": {"subnets": ["10.42.0.0/24"], "usable": 253, "taken": 8, "stale": [], "allocations": []},
    "token": {"file_present": True, "file_empty": False, "configured": True, "agree": True,
              "file_opens": True, "config_opens": True},
}  # fmt: skip


def facts(**changes: Any) -> dict[str, Any]:
    """The healthy facts with some values replaced: `facts(unit__active="failed")`."""
    bent = copy.deepcopy(HEALTHY)
    for path, value in changes.items():
        *steps, last = path.split("__")
        place = bent
        for step in steps:
            place = place[step]
        place[last] = value
    return bent


def looping(line: str, **changes: Any) -> dict[str, Any]:
    """A unit that starts again and again and says `line` each time."""
    usual: dict[str, Any] = {
        "unit__active": "activating", "unit__sub": "auto-restart", "unit__n_restarts": 7, "unit__main_pid": 0,
        "unit__activating_seconds": 2.0, "api__readyz": {"ok": False, "status": 0, "error": "connection refused"},
        "api__node": {}, "api__write": {}, "kubelet": {"ok": False, "text": "connection refused"}, "host__ports": {},
        "journal__attempt": ["Starting k3s v1.36.3+k3s1 (66a14f0e)", line],
    }  # fmt: skip
    return facts(**{**usual, **changes})


def hanging(**changes: Any) -> dict[str, Any]:
    """A unit that hangs in `activating` without a word."""
    usual: dict[str, Any] = {
        "unit__active": "activating", "unit__sub": "start", "unit__activating_seconds": 300.0,
        "api__readyz": {"ok": False, "status": 0, "error": "connection refused"}, "api__node": {}, "api__write": {},
        "kubelet": {"ok": False, "text": "connection refused"}, "runtime__socket": False,
        "runtime__cri": {"ok": False, "error": "missing"},
    }  # fmt: skip
    return facts(**{**usual, **changes})


def event(reason: str, message: str, image: str = "") -> list[dict[str, str]]:
    """One recent warning, about a container of that image."""
    return [
        {"reason": reason, "object": "Pod default/x", "message": message, "image": image, "seconds_ago": "5"}
    ]
