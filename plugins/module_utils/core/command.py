# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Run programs by argv, with a deadline that also ends their children."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from typing import Optional

from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import CommandError
from ansible_collections.holdfast.k3s.plugins.module_utils.core.redact import redact_text

LAST_LINES = 5


@dataclass
class Result:
    """What a command did. out, err: text with undecodable bytes replaced; out_bytes: as it came. seconds: wall time."""

    argv: list[str]
    rc: int
    out: str = ""
    err: str = ""
    seconds: float = 0.0
    out_bytes: bytes = b""


class Commands:
    """The one way to run programs; tests hand in their own object with the same run()."""

    def run(
        self,
        argv: list[str],
        *,
        timeout: float = 30,
        stdin: Optional[bytes] = None,
        check: bool = True,
        env: Optional[dict[str, str]] = None,
    ) -> Result:
        """Run argv and wait.

        timeout: seconds; then the whole process group is killed and CommandError raised, whatever `check` says.
        stdin: bytes to feed; nothing (an empty input) by default. env: added to this process's environment.
        check: raise CommandError on a non-zero exit. A missing program gives rc 127 (or raises).
        """
        began = time.monotonic()
        environment = {**os.environ, "LC_ALL": "C.UTF-8", **(env or {})}
        try:
            process = subprocess.Popen(  # pylint: disable=ansible-bad-function
                argv,
                stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment,
                start_new_session=True,  # its own group, so that a timeout reaches grandchildren too
            )
        except OSError as failure:
            result = Result(list(argv), 127, err=f"{failure.strerror or failure}: {argv[0]}")
            if check:
                raise CommandError(
                    f"cannot run {_shown(argv)}: {failure.strerror or failure}", result=result
                ) from failure
            return result
        try:
            out, err = process.communicate(stdin, timeout=timeout)
        except subprocess.TimeoutExpired:
            out, err = _kill(process)
            result = _result(argv, -signal.SIGKILL, out, err, began)
            raise CommandError(
                f"{_shown(argv)} did not end within {timeout:g} s and was killed{_tail(result.err)}",
                result=result,
            ) from None
        except BaseException:
            _kill(process)
            raise
        result = _result(argv, process.returncode, out, err, began)
        if check and result.rc != 0:
            raise CommandError(
                f"{_shown(argv)} exited with {result.rc}{_tail(result.err or result.out)}", result=result
            )
        return result


def _result(argv: list[str], rc: int, out: bytes, err: bytes, began: float) -> Result:
    return Result(
        list(argv),
        rc,
        out.decode("utf-8", "replace"),
        err.decode("utf-8", "replace"),
        time.monotonic() - began,
        out,
    )


def _kill(process: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    try:
        return process.communicate(timeout=2)
    except (subprocess.TimeoutExpired, ValueError):
        return b"", b""  # a process in uninterruptible sleep keeps the pipes open; do not hang with it


def _shown(argv: list[str]) -> str:
    text = " ".join(argv)
    return redact_text(text if len(text) <= 200 else text[:197] + "...")


def _tail(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()][-LAST_LINES:]
    return ": " + redact_text(" | ".join(lines)) if lines else ""
