"""One recovery at a time on a host: two at once would undo each other."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from ansible_collections.holdfast.k3s.plugins.module_utils.core.clock import Deadline
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import Refused

UNWRITABLE = (errno.EROFS, errno.ENOSPC, errno.EDQUOT)
LOOK_EVERY = 0.5


@contextlib.contextmanager
def only_one(state_dir: str, check_mode: bool, patience: Deadline) -> Iterator[None]:
    """Hold the host's recovery lock; another recovery is waited for until the patience is over. A preview needs none."""
    if check_mode:
        yield
        return
    descriptor, name = opened(Path(state_dir))
    try:
        take(descriptor, name, patience)
        yield
    finally:
        os.close(descriptor)


def opened(folder: Path) -> tuple[int, str]:
    """What is locked, open, and its name.

    A disk that is full or read-only is a thing to recover from: there the nearest directory, which is not written for it,
    takes the place of the file.
    """
    path = folder / "recover.lock"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # not opened for writing: a file that is there already suffices on any disk
        return os.open(path, os.O_RDONLY | os.O_CREAT, 0o600), str(path)
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
    nearest = next(one for one in (folder, *folder.parents) if one.is_dir())
    return os.open(nearest, os.O_RDONLY), str(nearest)


def take(descriptor: int, name: str, patience: Deadline) -> None:
    """Lock it; Refused when another recovery still has it at the end of the patience."""
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            if patience.expired():
                raise Refused(
                    "another recovery runs on this host", field="lock", value=name, fix="wait for it to end"
                ) from error
        patience.sleep(LOOK_EVERY)
