"""SSH to a lab host: the checkout's key, and options that make many short connections cheap."""

from __future__ import annotations

import hashlib
import os
import shlex
import socket
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from lab.cache import locked
from lab.errors import LabError
from lab.paths import CHECKOUT, KEY, STATE
from lab.proc import Result, run

USER = "ops"


def ensure_key() -> Path:
    """Return the checkout's private key, generated once."""
    with locked(STATE / ".key.lock"):
        if not KEY.exists():
            KEY.with_name(KEY.name + ".pub").unlink(missing_ok=True)
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "holdfast-lab", "-f", str(KEY)])
    return KEY


def public_key() -> str:
    """Return the checkout's public key line."""
    return ensure_key().with_name(KEY.name + ".pub").read_text()


def _control_folder() -> Path:
    # A socket path may have 107 bytes at most, so it cannot live below the checkout.
    mark = hashlib.sha256(str(CHECKOUT).encode()).hexdigest()[:8]
    folder = Path(tempfile.gettempdir()) / f"holdfast-ssh-{os.getuid()}-{mark}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def common_options() -> list[str]:
    """Return ssh options that Ansible uses too: hosts are made anew all the time, their keys are not kept."""
    return [
        "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
        "-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=6",
    ]  # fmt: skip


def argv(name: str, port: int, *, tty: bool = False) -> list[str]:
    """Return the ssh command line up to the remote command."""
    return [
        "ssh", *common_options(), "-i", str(KEY), "-p", str(port), "-l", USER,
        "-o", "BatchMode=yes", "-o", "ConnectTimeout=30", "-o", "IdentitiesOnly=yes",
        *(["-tt"] if tty else ["-o", "ControlMaster=auto", "-o", f"ControlPath={_control_folder()}/{name}-{port}",
                               "-o", "ControlPersist=30"]),
        "127.0.0.1",
    ]  # fmt: skip


def remote(
    name: str, port: int, command: Sequence[str], *, check: bool, timeout: float, stdin: bytes | None
) -> Result:
    """Run ``command`` on the host; the remote shell sees each word quoted."""
    result = run([*argv(name, port), "--", shlex.join(command)], check=False, timeout=timeout, stdin=stdin)
    if check and result.rc:
        raise LabError(f"on {name}: '{shlex.join(command)}' ended with {result.rc}:\n{result.tail()}")
    return result


def forget(name: str, port: int) -> None:
    """Close the shared connection, before the host goes away under it."""
    run([*argv(name, port)[:-1], "-O", "exit", "127.0.0.1"], check=False, timeout=10)
    (_control_folder() / f"{name}-{port}").unlink(missing_ok=True)


def wait(name: str, port: int, seconds: float) -> float:
    """Wait until a command runs over SSH; return the seconds it took. Raises :class:`LabError` after ``seconds``."""
    start = time.monotonic()
    last = ""
    while time.monotonic() - start < seconds:
        if _banner(port):
            answer = run([*argv(name, port), "--", "true"], check=False, timeout=40)
            if answer.rc == 0:
                return time.monotonic() - start
            last = answer.tail(2)
        time.sleep(0.2)
    raise LabError(
        f"host {name} did not answer SSH on port {port} within {seconds:.0f} s ({last or 'no banner'})"
    )


def _banner(port: int) -> bool:
    """Tell whether an SSH server speaks on the port: cheaper than an ssh client while the host boots."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.settimeout(2)
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False
