# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the Kubernetes API can answer instead of the thing asked for."""

from __future__ import annotations

import contextlib
import json
from typing import Any, Optional

from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError


class ApiUnreachable(HoldfastError):
    """No HTTP answer at all: refused, reset, timed out, or TLS failed."""


class ApiError(HoldfastError):
    """The server answered with an error. status: HTTP code. reason: Kubernetes' machine-readable word. body: parsed or text."""

    def __init__(self, status: int, reason: str, message: str, body: Any = None, *, what: str = "") -> None:
        super().__init__(
            f"{what + ': ' if what else ''}the API answered {status} {reason}: {message}".rstrip(": ")
        )
        self.status, self.reason, self.message, self.body = status, reason, message, body


def passing(failure: HoldfastError) -> bool:
    """Whether the same question may be answered a moment later: nobody answered, the server broke, or it was too busy."""
    if isinstance(failure, ApiError):
        return failure.status >= 500 or failure.status == 429
    return isinstance(failure, ApiUnreachable)


def from_answer(status: int, data: bytes, what: str) -> ApiError:
    """The error of an HTTP answer, whether it holds a Status object or plain text."""
    text = data.decode("utf-8", "replace")
    body: Any = text
    with contextlib.suppress(ValueError):
        body = json.loads(text)
    if isinstance(body, dict):
        return ApiError(
            status, str(body.get("reason") or ""), str(body.get("message") or ""), body, what=what
        )
    return ApiError(status, "", text.strip()[:300], body, what=what)


def unreachable(host: str, failure: BaseException) -> ApiUnreachable:
    """A short sentence of whatever the transport raised."""
    cause: Optional[BaseException] = failure
    text = str(getattr(cause, "reason", None) or cause) or type(failure).__name__
    text = text.split(": ", 1)[1] if text.startswith("<") and ": " in text else text
    return ApiUnreachable(
        f"the API does not answer: {text}",
        field="host",
        value=host,
        fix="see whether k3s runs (systemctl status k3s); node-level recovery works without the API",
    )
