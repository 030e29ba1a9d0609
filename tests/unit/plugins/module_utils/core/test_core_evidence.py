# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The bundle is sealed, private, capped, pruned, and its absence stops destruction."""

from __future__ import annotations

import json
import stat
from datetime import datetime, timezone
from pathlib import Path

import pytest

from ansible_collections.holdfast.k3s.plugins.module_utils.core import evidence
from ansible_collections.holdfast.k3s.plugins.module_utils.core.clock import FakeClock
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import EvidenceError
from ansible_collections.holdfast.k3s.plugins.module_utils.core.evidence import Bundle


def test_a_sealed_bundle_is_private_and_whole(tmp_path: Path) -> None:
    bundle = Bundle.open("pod reap/x", str(tmp_path / "incidents"), FakeClock())
    bundle.add_text("logs/a.log", "PASSWORD=canary-1\n")
    bundle.add_json("pods.json", [{"kind": "Secret", "data": {"a": "canary-2"}}, {"kind": "Pod"}])
    path = Path(bundle.seal())
    assert path.name == "20260101T000000Z-pod-reap-x"
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    files = [f for f in path.rglob("*") if f.is_file()]
    assert {f.name for f in files} == {"a.log", "pods.json", "manifest.json"}
    assert {stat.S_IMODE(f.stat().st_mode) for f in files} == {0o600}
    assert not any("canary" in f.read_text() for f in files)
    assert len(json.loads((path / "pods.json").read_text())) == 2
    assert evidence.verify(str(path)) == []
    (path / "pods.json").write_text("[]")
    (path / "new").write_text("")
    assert evidence.verify(str(path)) == ["new: not in the manifest", "pods.json: changed"]
    with pytest.raises(EvidenceError, match="sealed"):
        bundle.add_text("late", "")


def test_the_cap_keeps_the_end(tmp_path: Path) -> None:
    bundle = Bundle.open("x", str(tmp_path), FakeClock(), max_bytes=10)
    bundle.add_text("a", "0123456789ABCDEF")
    bundle.add_text("b", "more")
    path = Path(bundle.seal())
    assert (path / "a").read_text() == "6789ABCDEF"
    assert (path / "b").read_text() == ""
    entries = json.loads((path / "manifest.json").read_text())["files"]
    assert [entry["truncated"] for entry in entries] == [True, True]


def test_two_bundles_of_one_second_do_not_meet(tmp_path: Path) -> None:
    clock = FakeClock()
    assert Bundle.open("x", str(tmp_path), clock).path != Bundle.open("x", str(tmp_path), clock).path


def test_a_place_that_cannot_be_written_is_refused_with_a_fix(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EvidenceError, match=r"evidence_dir = .*nothing destructive was started.*Fix:"):
        Bundle.open("x", str(tmp_path / "file"), FakeClock())


@pytest.mark.parametrize("name", ["../x", "a/../../x", "manifest.json"])
def test_names_stay_inside(tmp_path: Path, name: str) -> None:
    with pytest.raises(EvidenceError):
        Bundle.open("x", str(tmp_path), FakeClock()).add_text(name, "")


def test_files_are_taken_by_their_tail(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("a" * 100 + "END")
    bundle = Bundle.open("x", str(tmp_path / "i"), FakeClock())
    bundle.add_file("log", str(tmp_path / "log"), tail_bytes=5)
    bundle.add_file("gone", str(tmp_path / "nothing"))
    assert (bundle.path / "log").read_text() == "aaEND"
    assert "not readable" in (bundle.path / "gone").read_text()


def test_prune_by_age_then_size_never_the_newest_never_strangers(tmp_path: Path) -> None:
    for day in (1, 10, 20, 30):
        bundle = Bundle.open("x", str(tmp_path), FakeClock(datetime(2026, 1, day, tzinfo=timezone.utc)))
        bundle.add_text("a", "x" * 1000)
        bundle.seal()
    (tmp_path / "notes").mkdir()
    clock = FakeClock(datetime(2026, 1, 31, tzinfo=timezone.utc))
    assert [Path(p).name[:8] for p in evidence.prune(str(tmp_path), 25, 10**9, clock)] == ["20260101"]
    assert [Path(p).name[:8] for p in evidence.prune(str(tmp_path), 25, 10, clock)] == [
        "20260110",
        "20260120",
    ]
    assert sorted(p.name[:8] for p in tmp_path.iterdir()) == ["20260130", "notes"]
    assert evidence.prune(str(tmp_path / "nothing")) == []
