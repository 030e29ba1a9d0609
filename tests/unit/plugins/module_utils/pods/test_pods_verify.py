# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What counts as verified, and which answers of the API are waited out."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.errors import ApiError
from ansible_collections.holdfast.k3s.plugins.module_utils.core.clock import FakeClock
from ansible_collections.holdfast.k3s.plugins.module_utils.core.plan import Action, Outcome
from ansible_collections.holdfast.k3s.plugins.module_utils.pods.model import Options
from ansible_collections.holdfast.k3s.plugins.module_utils.pods.verify import verify


def outcome(word: str) -> Outcome:
    params = {"uid": f"uid-{word}", "namespace": "n", "owner": None}
    return Outcome(Action("delete_pod", f"n/{word}", "", params=params), word)


@pytest.mark.parametrize(
    ("words", "verified"),
    [
        ([], True),
        (["done"], True),
        (["skipped"], True),
        (["failed"], False),
        (["refused"], False),
        (["done", "failed"], False),
        (["done", "refused"], False),
    ],
)
def test_what_was_not_done_is_not_verified(cluster: Any, words: list[str], verified: bool) -> None:
    outcomes = [outcome(word) for word in words]
    assert verify(cluster, FakeClock(), Options(), outcomes, wait_seconds=0)[0] is verified


def failing(cluster: Any, status: int, times: int) -> None:
    """The next lists are answered with an error."""
    listed, left = cluster.list, [times]

    def answer(path: str, **options: Any) -> Any:
        if left[0]:
            left[0] -= 1
            raise ApiError(status, "", "etcd leader changed")
        return listed(path, **options)

    cluster.list = answer


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_that_stumbles_is_asked_again(cluster: Any, status: int) -> None:
    failing(cluster, status, 3)
    assert verify(cluster, FakeClock(), Options(), [outcome("done")], wait_seconds=30)[0]
    failing(cluster, status, 1000)
    verified, extra = verify(cluster, FakeClock(), Options(), [outcome("done")], wait_seconds=30)
    assert not verified and str(status) in extra["error"]


def test_what_waiting_does_not_change_ends_the_run(cluster: Any) -> None:
    failing(cluster, 403, 1)
    with pytest.raises(ApiError):
        verify(cluster, FakeClock(), Options(), [outcome("done")], wait_seconds=30)
