"""data.sh on a real volume (molecule/database_recovery has the running Redis and RabbitMQ)."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .server import Run, Server


@pytest.fixture
def files(pg: Server) -> Iterator[Path]:
    """A volume with files of all sorts."""
    home = pg.home / "volume"
    (home / "album one").mkdir(parents=True)
    (home / "album one/søng.flac").write_bytes(b"\\x00\\xff" * 5000)
    (home / "empty").write_text("")
    (home / "link").symlink_to("empty")
    yield home
    subprocess.run(["rm", "-rf", str(home), str(pg.home / "backups/data-files")], check=True)


def copy(pg: Server, **env: str) -> Run:
    given = {"KIND": "volume", "NAME": "data-files", "DATA": str(pg.home / "volume"), "HOST": ""}
    return pg.script("data.sh", **{**given, **env})


def test_a_volume_is_copied_between_its_hooks_and_read_back(pg: Server, files: Path) -> None:
    note = pg.home / "tmp/hooks"
    done = copy(pg, QUIESCE=f"echo before >>{note}", UNQUIESCE=f"echo after >>{note}")
    assert done.code == 0 and (done.result["count"], done.result["kind"]) == (2, "volume"), done.text
    assert note.read_text().split() == ["before", "after"]
    backup = pg.home / "backups/data-files" / done.result["backup"]
    assert (
        json.loads((backup / "manifest.json").read_text())["rows"] == 2
        and (backup / "VERIFIED.json").exists()
    )
    assert subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=backup).returncode == 0
    back = pg.home / "tmp/back"
    back.mkdir()
    subprocess.run(["tar", "-C", str(back), "-xf", str(backup / "dump/volume.tar")], check=True)
    assert subprocess.run(["diff", "-r", "--no-dereference", str(back), str(files)]).returncode == 0
    status = json.loads((pg.home / "backups/data-files/status.json").read_text())
    assert status["verified"] == backup.name and status["rows"] == 2
    note.unlink()
    subprocess.run(["rm", "-rf", str(back)], check=True)


def test_what_was_stopped_goes_on_whatever_happens(pg: Server, files: Path) -> None:
    note = pg.home / "tmp/hooks"
    hooks = {"QUIESCE": "true", "UNQUIESCE": f"echo after >>{note}"}
    (files / "secret").write_text("x")
    (files / "secret").chmod(0)
    if pg.prefix:  # as root nothing is unreadable for the test itself, but the script runs as another user
        done = copy(pg, **hooks)
        assert done.code == 1 and "cannot all be read" in done.error, done.text
        assert note.read_text().split() == ["after"]
        note.unlink()
    killed = copy(pg, QUIESCE="exit 3", UNQUIESCE=f"echo after >>{note}")
    assert (
        killed.code == 1
        and "before the copy failed" in killed.error
        and note.read_text().split() == ["after"]
    )
    note.unlink()
    left = list((pg.home / "backups/data-files").glob("[0-9]*"))
    assert left == [] and not list((pg.home / "backups/data-files").glob(".tmp*"))


@pytest.mark.parametrize(
    ("env", "code", "says"),
    [
        ({"KIND": "oracle"}, 64, "KIND is redis"),
        ({"KIND": "redis", "HOST": ""}, 64, "HOST is needed"),
        ({"DATA": "/nowhere"}, 64, "no volume at /nowhere"),
    ],
)
def test_what_cannot_work_is_one_clear_error(
    pg: Server, files: Path, env: dict[str, str], code: int, says: str
) -> None:
    done = copy(pg, **env)
    assert (done.code, says in done.error) == (code, True), done.text
