# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The one place that knows AnsibleModule: options in, one envelope or one error out."""

from __future__ import annotations

import traceback
from typing import Any, Callable, Union

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.holdfast.k3s.plugins.module_utils.core.clock import Clock
from ansible_collections.holdfast.k3s.plugins.module_utils.core.envelope import Envelope
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError
from ansible_collections.holdfast.k3s.plugins.module_utils.core.redact import redact_text

Body = Callable[[dict[str, Any], bool, bool], Union[Envelope, dict[str, Any]]]


def run_module(spec: dict[str, Any], body: Body, **rules: Any) -> None:
    """Run body(params, check_mode, diff) as an Ansible module.

    spec: the argument spec. rules: further AnsibleModule arguments (required_if, mutually_exclusive …).
    Every result says when it began, how long it took, and after how long the plan stood (timing: at, seconds, detect).
    A HoldfastError becomes one fail_json with the partial envelope; anything else also gets its traceback.
    """
    clock = Clock()
    started, began = clock.now(), clock.monotonic()

    def timed(result: dict[str, Any]) -> dict[str, Any]:
        whole = {"at": started.isoformat(), "seconds": round(clock.monotonic() - began, 2)}
        return {**result, "timing": {**result.get("timing", {}), **whole}}

    module = AnsibleModule(argument_spec=spec, supports_check_mode=True, **rules)
    try:
        result = body(module.params, module.check_mode, module._diff)
    except HoldfastError as failure:
        module.fail_json(msg=redact_text(str(failure)), **timed(_partial(failure)))
    except Exception as bug:
        module.fail_json(
            msg=redact_text(f"{type(bug).__name__}: {bug}"),
            exception=redact_text(traceback.format_exc()),
            **timed(_partial(bug)),
        )
    else:
        module.exit_json(**timed(result.as_dict() if isinstance(result, Envelope) else result))


def _partial(failure: Exception) -> dict[str, Any]:
    envelope = getattr(failure, "envelope", None)
    shown = envelope.as_dict() if isinstance(envelope, Envelope) else {}
    shown.pop("msg", None)
    shown.pop("exception", None)
    return shown
