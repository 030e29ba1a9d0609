"""One recovery at a time; the next one waits, and a disk that cannot be written is no reason to do nothing."""

from __future__ import annotations

import errno
import fcntl
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.holdfast.k3s.plugins.module_utils.core.clock import Deadline, FakeClock
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import Refused
from ansible_collections.holdfast.k3s.plugins.module_utils.node.lock import only_one

sys.path.insert(0, str(Path(__file__).parent))
from recovery_host import Host


class Holder(FakeClock):
    """Another recovery that holds the lock and ends when so many seconds have passed."""

    def __init__(self, folder: Path, seconds: float) -> None:
        super().__init__()
        folder.mkdir(exist_ok=True)
        self.until, self.lock = seconds, (folder / "recover.lock").open("a")
        fcntl.flock(self.lock, fcntl.LOCK_EX)

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        if self.monotonic() >= self.until:
            self.lock.close()


def unwritable(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """No file can be made, as on a disk that is full or read-only."""
    real = os.open

    def refused(path: Any, flags: int, *more: Any, **options: Any) -> int:
        if flags & os.O_CREAT and not Path(path).exists():
            raise OSError(number, os.strerror(number), str(path))
        return real(path, flags, *more, **options)

    monkeypatch.setattr(os, "open", refused)


def test_the_end_of_the_other_recovery_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(tmp_path, monkeypatch, [])
    host.found, host.well, host.clock = [[]], True, Holder(tmp_path, 100)
    envelope = host.recover(deadline_seconds=900)
    assert envelope.verified and envelope.extra["verdict"] == "the host is well"
    assert host.clock.monotonic() >= 100


@pytest.mark.parametrize("options", [{"deadline_seconds": 60}, {"lock_wait": 0}], ids=str)
def test_the_patience_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]) -> None:
    host = Host(tmp_path, monkeypatch, [])
    host.clock = Holder(tmp_path, 9999)
    with pytest.raises(Refused, match="another recovery runs"):
        host.recover(**options)
    assert host.clock.monotonic() <= 61 and host.looks == 0
    host.recover(check_mode=True)


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC])
def test_a_disk_that_takes_no_file_is_looked_at_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    host = Host(tmp_path, monkeypatch, [])
    unwritable(monkeypatch, number)
    assert host.recover().extra["findings"][0]["id"] == "API-DOWN"
    now = Deadline(FakeClock(), 0)
    with only_one(str(tmp_path / "not" / "there"), False, now):
        pass
    with only_one(str(tmp_path), False, now), pytest.raises(Refused), only_one(str(tmp_path), False, now):
        pass


def test_another_error_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError), only_one(str(tmp_path / "file"), False, Deadline(FakeClock(), 0)):
        pass
