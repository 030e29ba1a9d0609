"""Health asks the registry as containerd does: where registries.yaml says, with its login."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.holdfast.k3s.plugins.module_utils.health.host_facts import registry as look

NAME = "registry.example:5000"


@pytest.fixture
def root(tmp_path: Path, served: Any) -> Path:
    """A host whose registries.yaml sends that name to the fake registry, with a login."""
    folder = tmp_path / "etc/rancher/k3s"
    folder.mkdir(parents=True)
    address = served.url.rpartition("://")[2]
    content = {
        "mirrors": {NAME: {"endpoint": [served.url]}},
        "configs": {address: {"auth": {"username": "k3s", "password": "pull"}}},
    }
    (folder / "registries.yaml").write_text(json.dumps(content))
    return tmp_path


def test_it_is_asked_where_containerd_asks_and_with_its_login(root: Path, served: Any) -> None:
    assert look(NAME, root, root) == {"url": served.url, "ok": True, "error": ""}
    wanted = "Basic " + base64.b64encode(b"k3s:pull").decode()
    assert served.seen[-1] == ("GET", "/v2/", wanted)


@pytest.mark.parametrize(("status", "ok"), [(401, True), (403, True), (503, False)])
def test_one_that_wants_another_login_answers(root: Path, served: Any, status: int, ok: bool) -> None:
    served.status = status
    assert look(served.url, root, root)["ok"] is ok


@pytest.mark.parametrize(
    "content", ["mirrors: [x]\n", "mirrors: {'registry.example:5000': {endpoint: ['http://h:x']}}\n"]
)
def test_a_file_that_makes_no_sense_is_told(tmp_path: Path, content: str) -> None:
    folder = tmp_path / "etc/rancher/k3s"
    folder.mkdir(parents=True)
    (folder / "registries.yaml").write_text(content)
    told = look(NAME, tmp_path, tmp_path)
    assert not told["ok"] and told["error"]


def test_none_and_one_that_is_away(root: Path) -> None:
    assert look("", root, root) == {}
    away = look("http://127.0.0.1:9", root, root)
    assert not away["ok"] and away["error"]
