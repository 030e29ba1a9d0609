"""Is containerd alive? Every question has a deadline, because a stopped one accepts connections and never answers."""

from __future__ import annotations

import json
import re
import stat
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any, Callable

from ansible_collections.holdfast.k3s.plugins.module_utils.core.command import Commands
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError
from ansible_collections.holdfast.k3s.plugins.module_utils.node.paths import Paths, tail

LATE = re.compile(r"deadline ?exceeded|timed? ?out", re.I)  # crictl's words
IMAGE = re.compile(
    r"failed to (get|pull|resolve)[^\n]* image", re.I
)  # a registry's lateness is not containerd's
BOLT_MAGIC = bytes.fromhex("edda0ced")


def is_late(error: HoldfastError, seconds: float, timeout: float) -> bool:
    """Whether a command failed because the runtime did not answer in time: killed by us, or told so by crictl.

    Only what the command printed counts: its own argv, part of the message, has a `--timeout` in it.
    """
    if seconds >= timeout:
        return True
    result = getattr(error, "result", None)
    said = (result.err or result.out) if result else ""
    return bool(LATE.search(said)) and not IMAGE.search(said)


def timed(commands: Commands, argv: list[str], timeout: float) -> dict[str, Any]:
    """Run a command with a deadline: ok, seconds, and the output, or the error and whether it was `late`."""
    began = time.monotonic()
    try:
        out = commands.run(argv, timeout=timeout).out
        return {"ok": True, "seconds": round(time.monotonic() - began, 2), "out": out}
    except HoldfastError as error:
        seconds = time.monotonic() - began
        late = is_late(error, seconds, timeout)
        return {"ok": False, "seconds": round(seconds, 2), "error": str(error)[-400:], "late": late}


def crictl(paths: Paths, *arguments: str, seconds: int = 5) -> list[str]:
    """The argv of a crictl call through k3s."""
    return [paths.binary, "crictl", "--timeout", f"{seconds}s", *arguments]


def twice(ask: Callable[[int], dict[str, Any]], seconds: int) -> dict[str, Any]:
    """Ask; an answer that was only late is asked for once more with double the patience: a busy host is not a wedged one."""
    answer = ask(seconds)
    return ask(2 * seconds) if answer.get("late") else answer


def meta_db(path: str) -> dict[str, Any]:
    """Whether containerd's metadata looks like a bolt database: one of its two meta pages must carry the magic."""
    try:
        with Path(path).open("rb") as handle:
            first = handle.read(64)
            handle.seek(4096)
            second = handle.read(64)
            size = handle.seek(0, 2)
    except OSError:
        return {"exists": False}
    # a meta page: 16 bytes of page header, then the magic (little endian)
    valid = [page[16:20] == BOLT_MAGIC for page in (first, second)]
    return {"exists": True, "size": size, "empty": not first, "magic_ok": any(valid)}


def sandbox_probe(commands: Commands, paths: Paths, seconds: int = 10) -> dict[str, Any]:
    """Create and delete a sandbox on the host's network: what a wedged runtime can no longer do."""
    name = f"holdfast-probe-{uuid.uuid4().hex[:8]}"
    document = {
        "metadata": {"name": name, "namespace": "holdfast-probe", "uid": str(uuid.uuid4()), "attempt": 0},
        "log_directory": "/tmp",
        "linux": {"security_context": {"namespace_options": {"network": 2, "pid": 1, "ipc": 1}}},
    }
    with tempfile.TemporaryDirectory(prefix="holdfast-") as folder:
        path = Path(folder, "sandbox.json")
        path.write_text(json.dumps(document))
        created = timed(commands, crictl(paths, "runp", str(path), seconds=seconds), seconds + 2)
    if not created["ok"]:
        return created
    sandbox = created["out"].strip().splitlines()[-1]
    removed = timed(commands, crictl(paths, "rmp", "--force", sandbox, seconds=seconds), seconds + 2)
    return {
        "ok": removed["ok"],
        "seconds": round(created["seconds"] + removed["seconds"], 2),
        **({} if removed["ok"] else {"error": removed["error"], "late": removed["late"]}),
    }


def sandboxes(commands: Commands, paths: Paths) -> list[str] | None:
    """Ids of all sandboxes that containerd knows; None when it does not answer."""
    listed = timed(commands, crictl(paths, "pods", "--quiet", "--no-trunc"), 8)
    return listed["out"].split() if listed["ok"] else None


def probe(commands: Commands, paths: Paths, *, deep: bool) -> dict[str, Any]:
    """Socket, version call, metadata file, log, and with `deep` a sandbox."""
    try:
        socket = stat.S_ISSOCK(Path(paths.socket).stat().st_mode)
    except OSError:
        socket = False
    fact: dict[str, Any] = {
        "socket": socket,
        "meta_db": meta_db(paths.meta_db),
        "log": tail(paths.containerd_log, 32768)[-60:],
    }
    if not socket:
        fact["cri"] = {"ok": False, "error": f"containerd failed to start: {paths.socket} is missing"}
        return fact
    fact["cri"] = twice(
        lambda seconds: timed(commands, crictl(paths, "version", seconds=seconds), seconds + 3), 5
    )
    fact["cri"].pop("out", None)
    if fact["cri"]["ok"]:
        fact["sandboxes"] = sandboxes(commands, paths)
        if deep:
            fact["sandbox"] = twice(lambda seconds: sandbox_probe(commands, paths, seconds), 10)
    return fact
