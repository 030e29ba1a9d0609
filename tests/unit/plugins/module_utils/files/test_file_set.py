"""A set of files: parsing, the plan and the diff as tables; act and read on a real directory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError
from ansible_collections.holdfast.k3s.plugins.module_utils.files import act, plan
from ansible_collections.holdfast.k3s.plugins.module_utils.files.model import Current, Entry, parse

ME = {"owner": str(os.getuid()), "group": str(os.getgid())}
FILE = Current("file", b"a\n", mode=0o644, owner="root", group="root")


@pytest.mark.parametrize(
    ("entry", "current", "kind", "why"),
    [
        (Entry("/f", content=b"a\n", mode=0o644), Current(), "write", "missing"),
        (Entry("/f", content=b"b\n", mode=0o644), FILE, "write", "content differs"),
        (Entry("/f", content=b"a\n", mode=0o600), FILE, "attributes", "mode 0644 instead of 0600"),
        (Entry("/f", content=b"a\n", mode=0o644), FILE, None, ""),
        (Entry("/f", state="absent"), FILE, "remove", "there is a file"),
        (Entry("/f", state="absent"), Current(), None, ""),
        (Entry("/f", state="link", src="x"), FILE, "link", "is a file"),
        (Entry("/f", state="link", src="x"), Current("link", src="y"), "link", "points to y"),
        (Entry("/f", state="link", src="x"), Current("link", src="x"), None, ""),
        (Entry("/f", state="directory", mode=0o700), Current(), "mkdir", "missing"),
        (Entry("/f", content=b"a\n", mode=0o644), Current("directory"), "write", "is a directory"),
    ],
)
def test_plan_names_what_differs(entry: Entry, current: Current, kind: str | None, why: str) -> None:
    actions = plan.plan([entry], {entry.path: current})
    assert [(action.kind, action.why) for action in actions] == ([(kind, why)] if kind else [])


def test_diff_never_shows_secret_content() -> None:
    entry = Entry("/f", content=b"token: canary-1\n", mode=0o600, secret=True)
    old = Current("file", b"token: canary-0\n", mode=0o600, owner="root", group="root")
    shown = plan.diffs([entry], {"/f": old})[0]
    assert "canary" not in str(shown)
    assert shown["before"] != shown["after"]


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ({"path": "relative", "content": ""}, "absolute"),
        ({"path": "/a/../b", "content": ""}, "absolute"),
        ({"path": "/a"}, "content"),
        ({"path": "/a", "state": "link"}, "src"),
        ({"path": "/a", "content": "", "mode": "999"}, "octal"),
    ],
)
def test_mistakes_are_named(raw: dict[str, Any], words: str) -> None:
    with pytest.raises(HoldfastError, match=words):
        parse([raw], {})


def test_a_path_twice_and_a_secret_without_its_file_are_refused() -> None:
    with pytest.raises(HoldfastError, match="twice"):
        parse([{"path": "/a", "content": ""}, {"path": "/a", "content": ""}], {})
    with pytest.raises(HoldfastError, match="not in files"):
        parse([], {"/a": "x"})


def test_apply_reaches_the_wanted_state_and_then_there_is_nothing_to_do(tmp_path: Path) -> None:
    entries = [
        Entry(str(tmp_path / "d"), state="directory", mode=0o700, **ME),
        Entry(str(tmp_path / "d/f"), content=b"x", mode=0o600, **ME),
        Entry(str(tmp_path / "l"), state="link", src="d/f", **ME),
        Entry(str(tmp_path / "old"), state="absent", **ME),
    ]
    (tmp_path / "old").write_text("gone soon")
    for entry in entries:
        act.apply(entry)
    assert (tmp_path / "l").read_text() == "x"
    assert not (tmp_path / "old").exists()
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["d", "f", "l"], "no temporary file is left"
    assert (tmp_path / "d/f").stat().st_mode & 0o777 == 0o600


def test_a_directory_with_content_is_not_removed(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/keep").write_text("x")
    with pytest.raises(HoldfastError):
        act.apply(Entry(str(tmp_path / "d"), state="absent", **ME))
    assert (tmp_path / "d/keep").exists()


def test_an_unknown_owner_is_named_and_the_old_file_stays(tmp_path: Path) -> None:
    target = tmp_path / "f"
    target.write_text("old")
    with pytest.raises(HoldfastError, match="no-such-user"):
        act.apply(Entry(str(target), content=b"new", mode=0o644, owner="no-such-user"))
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["f"]
