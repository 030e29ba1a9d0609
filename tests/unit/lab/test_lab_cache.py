"""The cache of slow builds: keyed by inputs, complete or absent, safe under two builds."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from lab import cache


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Use an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "holdfast"


def write(scratch: Path) -> None:
    (scratch / "made").write_text("x")


def test_key_follows_content_name_and_mode(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    file = folder / "a"
    file.write_text("1")
    keys = [cache.key_of([folder])]
    file.write_text("2")
    keys.append(cache.key_of([folder]))
    file.chmod(0o755)
    keys.append(cache.key_of([folder]))
    file.rename(folder / "b")
    keys.append(cache.key_of([folder]))
    keys.append(cache.key_of([folder, "more"]))
    assert len(set(keys)) == 5
    assert cache.key_of([folder, "more"]) == keys[-1]


def test_built_once(root: Path) -> None:
    calls = []

    def build(scratch: Path) -> None:
        calls.append(scratch)
        write(scratch)

    first = cache.cached("thing", ["a"], build)
    assert cache.cached("thing", ["a"], build) == first
    assert (first / "made").read_text() == "x"
    assert len(calls) == 1
    assert first.parent == root


def test_failed_build_leaves_nothing(root: Path) -> None:
    def fail(scratch: Path) -> None:
        write(scratch)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        cache.cached("thing", ["a"], fail)
    assert not list(root.glob("*thing-*"))
    assert cache.cached("thing", ["a"], write).is_dir()


def test_half_built_remains_of_a_killed_run_are_removed(root: Path) -> None:
    left = root / ".tmp-thing-1"
    other = root / ".tmp-thing-more-1"
    for folder in (left, other):
        folder.mkdir(parents=True)
    cache.cached("thing", ["a"], write)
    assert not left.exists()
    assert other.exists(), "another kind may be building right now"


def test_three_newest_keys_stay(root: Path) -> None:
    made = [cache.cached("thing", [str(number)], write) for number in range(5)]
    kept = {path for path in root.glob("thing-*") if path.is_dir()}
    assert len(kept) == 3
    assert made[-1] in kept


def test_two_builds_at_once_build_once(root: Path) -> None:
    calls: list[int] = []
    begun = threading.Event()

    def build(scratch: Path) -> None:
        calls.append(1)
        begun.set()
        begun.wait(0.2)
        write(scratch)

    threads = [threading.Thread(target=cache.cached, args=("thing", ["a"], build)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls == [1]
