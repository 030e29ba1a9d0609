# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Wait for a predicate under a deadline."""

from __future__ import annotations

from typing import Any, Callable, Union

from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.errors import ApiUnreachable
from ansible_collections.holdfast.k3s.plugins.module_utils.core.clock import Deadline
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import DeadlineExceeded

Answer = Union[bool, tuple[bool, Any], Any]


def until(
    predicate: Callable[[], Answer],
    deadline: Deadline,
    interval: float = 0.5,
    describe: str = "the condition",
    tolerate: tuple[type[Exception], ...] = (ApiUnreachable,),
) -> Any:
    """Ask predicate() until it agrees; return the second part of its answer (or the answer itself).

    predicate: returns something true or false, or (true or false, why). interval: seconds between two questions.
    tolerate: exceptions that mean "not yet". Raises DeadlineExceeded with the last reason.
    """
    while True:
        try:
            answer = predicate()
            met, why = answer if isinstance(answer, tuple) else (bool(answer), answer)
            if met:
                return why
        except tolerate as failure:
            why = failure
        if deadline.expired():
            raise DeadlineExceeded(
                f"{describe}: not so after {deadline.seconds:g} s" + (f"; last seen: {why}" if why else ""),
                fix="see the last state above; allow more time with 'deadline' if it is only slow",
            )
        deadline.sleep(interval)
