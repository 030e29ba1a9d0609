"""The helper modules beside the tests are importable, and every test of a run gets a server of its own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """An empty cluster in the place of the real one."""
    from apply_server import Server, run_module  # late: the path is set above

    found = Server()
    monkeypatch.setattr(run_module, "_client", lambda params, check_mode: found)
    monkeypatch.setattr(run_module, "DIRECTORY", str(tmp_path))
    return found
