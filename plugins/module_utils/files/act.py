# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Read paths and bring them to their wanted state, each change atomic and on disk before it counts."""

from __future__ import annotations

import errno
import grp
import os
import pwd
import stat
import tempfile
from dataclasses import replace
from pathlib import Path

from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError
from ansible_collections.holdfast.k3s.plugins.module_utils.files.model import Current, Entry


def read(path: str) -> Current:
    """What the path is now; a file's content is read whole (these are configuration files)."""
    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return Current()
    mode = stat.S_IMODE(found.st_mode)
    now = Current(kind="other", mode=mode, owner=_user(found.st_uid), group=_group(found.st_gid))
    if stat.S_ISLNK(found.st_mode):
        return replace(now, kind="link", src=str(Path(path).readlink()))
    if stat.S_ISDIR(found.st_mode):
        return replace(now, kind="directory")
    if stat.S_ISREG(found.st_mode):
        return replace(now, kind="file", content=Path(path).read_bytes())
    return now


def apply(entry: Entry) -> None:
    """Bring one path to its wanted state."""
    try:
        _apply(entry)
    except OSError as failure:
        fix = "free space on that filesystem" if failure.errno == errno.ENOSPC else "look at the path"
        raise HoldfastError(
            f"cannot be brought to state {entry.state}: {failure.strerror}",
            field="path",
            value=entry.path,
            fix=fix,
        ) from failure


def _apply(entry: Entry) -> None:
    target = Path(entry.path)
    if entry.state == "absent":
        _remove(target)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if entry.state == "directory":
        if target.is_symlink() or (target.exists() and not target.is_dir()):
            target.unlink()
        target.mkdir(exist_ok=True)
        _attributes(target, entry)
    elif entry.state == "link":
        _replace_with_link(target, entry.src)
    elif read(entry.path).kind == "file" and target.read_bytes() == entry.content:
        _attributes(target, entry)
    else:
        _write(target, entry)
    _sync_directory(target.parent)


def _write(target: Path, entry: Entry) -> None:
    """Temporary file beside the target (0600 from its first byte), then rename."""
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".holdfast", dir=str(target.parent))
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(entry.content)
            stream.flush()
            _attributes(temporary, entry)
            os.fsync(stream.fileno())
        temporary.replace(target)
    except BaseException:
        temporary.unlink()
        raise


def _replace_with_link(target: Path, src: str) -> None:
    temporary = target.with_name(f".{target.name}.holdfast-link")
    if temporary.is_symlink():
        temporary.unlink()
    temporary.symlink_to(src)
    temporary.replace(target)


def _remove(target: Path) -> None:
    if target.is_dir() and not target.is_symlink():
        target.rmdir()  # only an empty one: this module never deletes what it was not told about
    else:
        target.unlink()
    _sync_directory(target.parent)


def _attributes(target: Path, entry: Entry) -> None:
    found = target.stat()
    wanted = (_uid(entry), _gid(entry))
    if (found.st_uid, found.st_gid) != wanted:
        os.chown(target, *wanted)
    if entry.mode is not None and stat.S_IMODE(target.stat().st_mode) != entry.mode:
        target.chmod(entry.mode)


def _sync_directory(directory: Path) -> None:
    handle = os.open(str(directory), os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _uid(entry: Entry) -> int:
    if entry.owner.isdigit():
        return int(entry.owner)
    try:
        return pwd.getpwnam(entry.owner).pw_uid
    except KeyError:
        raise HoldfastError(
            f"no such user for {entry.path}", field="owner", value=entry.owner, fix="create it first"
        ) from None


def _gid(entry: Entry) -> int:
    if entry.group.isdigit():
        return int(entry.group)
    try:
        return grp.getgrnam(entry.group).gr_gid
    except KeyError:
        raise HoldfastError(
            f"no such group for {entry.path}", field="group", value=entry.group, fix="create it first"
        ) from None
