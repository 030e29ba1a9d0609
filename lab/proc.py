"""Running programs: argv lists, deadlines, and errors that carry the program's last words."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.errors import LabError


@dataclass(frozen=True)
class Result:
    """What a program answered: exit code, text of both streams, seconds it took."""

    argv: tuple[str, ...]
    rc: int
    out: str
    err: str
    seconds: float

    def tail(self, lines: int = 12) -> str:
        """Return the last lines of standard error, or of standard output when that is empty."""
        text = self.err.strip() or self.out.strip()
        return "\n".join(text.splitlines()[-lines:])


def say(message: str) -> None:
    """Tell the person at the terminal what happens now."""
    print(f"lab: {message}", file=sys.stderr, flush=True)


def run(
    argv: Sequence[str],
    *,
    check: bool = True,
    timeout: float = 120,
    stdin: bytes | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Result:
    """Run ``argv`` without a shell.

    ``timeout`` is in seconds; when it is over the whole process group is killed and :class:`LabError` is raised,
    also with ``check=False``. ``env`` is added to the environment. Raises :class:`LabError` on a non-zero exit
    when ``check`` is true.
    """
    start = time.monotonic()
    with subprocess.Popen(
        list(argv),
        stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **(env or {})},
        cwd=cwd,
        start_new_session=True,
    ) as process:
        try:
            out, err = process.communicate(stdin, timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise LabError(f"'{' '.join(argv)}' was not done after {timeout:.0f} s") from None
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    result = Result(
        tuple(argv),
        process.returncode,
        out.decode(errors="replace"),
        err.decode(errors="replace"),
        time.monotonic() - start,
    )
    if check and result.rc:
        raise LabError(f"'{' '.join(argv)}' ended with {result.rc}:\n{result.tail()}")
    return result
