"""Fewer rows than the newest backup's manifest: found table by table, and only there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Optional

import pytest

from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres import live, pointer, rows
from ansible_collections.holdfast.k3s.plugins.module_utils.postgres import run as runs

MANIFEST: dict[str, Any] = {
    "format": 1,
    "database": "music",
    "tables": [
        {"schema": "public", "table": "tracks", "kind": "r", "rows": 8},
        {"schema": "public", "table": "sessions", "kind": "r", "rows": 5},
        {"schema": "public", "table": "parted", "kind": "p", "rows": 9},
        {"schema": "public", "table": "foreign", "kind": "r", "rows": None},
    ],
}
TRACKS, SESSIONS = "public.tracks", "public.sessions"
CASES: list[tuple[dict[str, Optional[int]], tuple[str, ...], list[str]]] = [
    ({TRACKS: 8, SESSIONS: 5}, (), []),
    ({TRACKS: 900, SESSIONS: 5}, (), []),
    ({TRACKS: 7, SESSIONS: 5}, (), ["public.tracks 7/8"]),
    ({TRACKS: 8, SESSIONS: None}, (), ["public.sessions None/5"]),
    ({TRACKS: 0, SESSIONS: 0}, (), ["public.tracks 0/8", "public.sessions 0/5"]),
    ({TRACKS: 0, SESSIONS: 0}, ("music.public.sess*",), ["public.tracks 0/8"]),
    ({TRACKS: 8, SESSIONS: 0}, ("other.public.sessions",), ["public.sessions 0/5"]),
]


@pytest.mark.parametrize(("counts", "may_shrink", "expected"), CASES, ids=range(len(CASES)))
def test_compare(counts: dict[str, Optional[int]], may_shrink: tuple[str, ...], expected: list[str]) -> None:
    found = rows.compare(MANIFEST, counts, may_shrink)
    assert [f"{one['table']} {one['rows']}/{one['expected']}" for one in found] == expected


def test_every_database_of_the_host_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One with a backup, one without, one whose pod is away: none hides the others."""
    volume, state = tmp_path / "volume", tmp_path / "backups"
    newest, older = volume / "music/20261120T020000Z", volume / "music/20261119T020000Z"
    for path, content in ((newest, MANIFEST), (older, {**MANIFEST, "tables": []})):
        path.mkdir(parents=True)
        (path / "manifest.json").write_text(json.dumps(content))
    pointer.write("shop", "postgres-backup", str(volume), ["music", "empty"], 26, str(state))
    pointer.write("away", "postgres-backup", str(volume), ["music"], 26, str(state))
    (state / "torn.file.json").write_text("{")

    def observe(_client: Any, namespace: str, _name: str, _script: str) -> Any:
        if namespace == "away":
            raise HoldfastError("namespace away has no CronJob of this name")
        environment = [{"name": "PGUSER", "value": "owner"}, {"name": "PGHOST", "value": "db.shop"}]
        pod = {"spec": {"containers": [{"env": environment}]}}
        return runs.Target({"spec": {"jobTemplate": {"spec": {"template": pod}}}}, [], None, {})

    monkeypatch.setattr(rows.runs, "observe", observe)
    monkeypatch.setattr(live, "pod_of", lambda _client, _namespace, host: f"{host}-0")
    monkeypatch.setattr(live, "counts", lambda _psql, _database, _tables: {TRACKS: 3, SESSIONS: 5})
    client: Any = None
    found = {(one["namespace"], one["database"]): one for one in rows.since_backup(client, (), str(state))}
    assert found[("shop", "music")]["backup"] == "20261120T020000Z"
    assert found[("shop", "music")]["fewer"] == [{"table": TRACKS, "rows": 3, "expected": 8}]
    assert "no backup" in found[("shop", "empty")]["unproven"]
    assert "no CronJob" in found[("away", "music")]["error"]
