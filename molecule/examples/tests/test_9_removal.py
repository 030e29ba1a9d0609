"""Taking a system away keeps its data unless it is given up."""

from __future__ import annotations

import pytest
from turn import Turn

from tests.scenario import until


@pytest.mark.req("ST-53")
def test_removal_keeps_the_data_and_coming_back_finds_it(turn: Turn) -> None:
    claims, secrets = set(turn.names("pvc")), set(turn.names("secrets"))
    absent = ("--tags", "app", "-e", "app_state=absent")
    assert turn.site(*absent) == 1
    until("no pod left", lambda: not turn.list("pods"))
    assert not turn.names("deployments") and not turn.names("services")
    assert set(turn.names("pvc")) == claims
    assert secrets <= set(turn.names("secrets"))
    assert turn.site(*absent) == 0
