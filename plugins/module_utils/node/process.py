"""Read processes from /proc: who runs, in which state, since when. No signals are sent here."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any


def stat(pid: int, proc: str = "/proc") -> dict[str, Any] | None:
    """State, parent and start time (ticks since boot: with the PID it names one process for ever) of a process."""
    try:
        text = Path(proc, str(pid), "stat").read_text(errors="replace")
    except OSError:
        return None
    name, _bracket, rest = text.partition("(")[2].rpartition(")")
    fields = rest.split()
    return {
        "pid": pid,
        "comm": name,
        "state": fields[0],
        "parent": int(fields[1]),
        "start": int(fields[19]),
    }


def arguments(pid: int, proc: str = "/proc") -> list[str]:
    """The argv of a process; empty for kernel threads and processes that ended."""
    try:
        raw = Path(proc, str(pid), "cmdline").read_bytes()
    except OSError:
        return []
    return [part.decode("utf-8", "replace") for part in raw.split(b"\0") if part]


def open_files(pid: int, proc: str = "/proc") -> list[str]:
    """What a process's descriptors point to; one that is closed meanwhile does not hide the others."""
    found = []
    try:
        descriptors = list(Path(proc, str(pid), "fd").iterdir())
    except OSError:
        return []
    for descriptor in descriptors:
        try:
            found.append(str(descriptor.readlink()))
        except OSError:
            continue
    return found


def in_unit(pid: int, unit: str, proc: str = "/proc") -> bool:
    """Whether a process belongs to a systemd service: its control group says so, whatever became of its parents."""
    try:
        lines = Path(proc, str(pid), "cgroup").read_text().splitlines()
    except OSError:
        return False
    return any(f"{unit}.service" in line.rpartition(":")[2].split("/") for line in lines)


def table(proc: str = "/proc") -> list[dict[str, Any]]:
    """Every process with its argv."""
    found = []
    for entry in Path(proc).iterdir():
        if not entry.name.isdigit():
            continue
        one = stat(int(entry.name), proc)
        if one is not None:
            one["argv"] = arguments(one["pid"], proc)
            found.append(one)
    return found


def descendants(processes: list[dict[str, Any]], root: int) -> list[dict[str, Any]]:
    """`root` and all processes below it."""
    children: dict[int, list[dict[str, Any]]] = {}
    for one in processes:
        children.setdefault(one["parent"], []).append(one)
    found = [one for one in processes if one["pid"] == root]
    queue = [root]
    while queue:
        for child in children.get(queue.pop(), []):
            found.append(child)
            queue.append(child["pid"])
    return found


def is_shim(one: dict[str, Any], data_dir: str) -> bool:
    """A containerd shim that k3s started (the pattern that k3s-killall.sh uses)."""
    argv = one.get("argv") or [""]
    return bool(re.match(re.escape(data_dir) + r"/data/[^/]*/bin/containerd-shim", argv[0]))


def role(one: dict[str, Any]) -> str:
    """What a k3s process does: containerd, the part named in its first arguments, or its command name."""
    argv = [word.strip() for word in one.get("argv") or []]  # k3s's containerd pads its name with blanks
    base = Path(argv[0]).name if argv else one["comm"]
    if base.startswith("containerd-shim"):
        return "shim"
    for word in [base, *argv[1:3]]:
        for part in ("containerd", "kine", "kube-apiserver", "apiserver", "kubelet", "kube-proxy",
                     "kube-scheduler", "kube-controller-manager"):  # fmt: skip
            if Path(word).name == part:
                return part
    return base


def k3s_tree(processes: list[dict[str, Any]], main_pid: int, data_dir: str) -> list[dict[str, Any]]:
    """The server and its own helpers: not the shims, not what runs in containers."""
    tree = descendants(processes, main_pid) if main_pid else []
    shims = {one["pid"] for one in processes if is_shim(one, data_dir)}
    inside: set[int] = set()
    for pid in shims:
        inside |= {one["pid"] for one in descendants(processes, pid)}
    own = [one for one in tree if one["pid"] not in inside]
    # a containerd that outlived its k3s is nobody's child any more, and still in the way
    known = {one["pid"] for one in own}
    orphans = [
        one
        for one in processes
        if one["pid"] not in known and one["pid"] not in inside and role(one) == "containerd"
        and any(data_dir in word for word in one["argv"])
    ]  # fmt: skip
    return [
        {k: one[k] for k in ("pid", "start", "state", "comm")} | {"role": role(one)}
        for one in [*own, *orphans]
    ]


def container_roots(processes: list[dict[str, Any]], data_dir: str) -> list[dict[str, Any]]:
    """The first process of every container: the children of the shims."""
    shims = {one["pid"] for one in processes if is_shim(one, data_dir)}
    return [one for one in processes if one["parent"] in shims and one["pid"] not in shims]


def same(pid: int, start: int, proc: str = "/proc") -> bool:
    """Whether `pid` is still the process that was looked at."""
    one = stat(pid, proc)
    return one is not None and one["start"] == start and one["state"] != "Z"


def lock_holders(path: str, proc: str = "/proc") -> list[dict[str, Any]]:
    """Processes that hold a POSIX write lock on a file, from /proc/locks."""
    try:
        info = Path(path).stat()
        lines = Path(proc, "locks").read_text().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        words = line.split()
        if "->" in words or len(words) < 6 or words[3] != "WRITE":
            continue
        if words[5].rpartition(":")[2] == str(info.st_ino):
            one = stat(int(words[4]), proc)
            if one is not None:
                found.append({"pid": one["pid"], "start": one["start"], "comm": one["comm"]})
    return found
