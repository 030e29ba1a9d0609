# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The controller's half of holdfast.k3s.app: check the values, render them, hand the objects to the host."""

from __future__ import annotations

from typing import Any, Optional

from ansible.plugins.action import ActionBase

from ansible_collections.holdfast.k3s.plugins.module_utils.app import release
from ansible_collections.holdfast.k3s.plugins.module_utils.app.expects import expectations
from ansible_collections.holdfast.k3s.plugins.module_utils.app.plain import plain
from ansible_collections.holdfast.k3s.plugins.module_utils.app.render import PHASES

INTERNAL = (
    "name",
    "namespace",
    "objects",
    "secret_data",
    "secret_generate",
    "expects",
    "findings",
    "waivers",
)


class ActionModule(ActionBase):
    """Runs before the module of the same name."""

    TRANSFERS_FILES = False

    def run(self, tmp: Optional[str] = None, task_vars: Optional[dict[str, Any]] = None) -> dict[str, Any]:
        """Fail with every problem at once, or run the module with the rendered objects."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        options = dict(self._task.args)
        values, overlay = plain(options.pop("values", None)), plain(options.pop("values_overlay", None) or {})
        if values is None:
            return {
                **result,
                "failed": True,
                "changed": False,
                "msg": "values: They are required. Fix: give app_values.",
            }
        try:
            app, rendered, findings = release.build(values, [overlay])
        except release.BadValues as failure:
            found = [finding.as_dict() for finding in failure.findings]
            return {**result, "failed": True, "changed": False, "msg": str(failure), "findings": found}
        delivery = app.get("delivery", "manifests")
        if delivery != "manifests":
            message = f"delivery = '{delivery}': the objects of {app['name']} belong to {delivery}, and one app has one owner."
            return {
                **result,
                "failed": True,
                "changed": False,
                "msg": f"{message} Fix: use role app, which delivers that way.",
            }
        options = {key: value for key, value in options.items() if key not in INTERNAL}
        steps = rendered.steps
        if options.get("until") == "data":
            steps = [step for step in steps if PHASES.index(step.phase) <= PHASES.index(options["until"])]
            options["prune"] = False
        options.update(
            name=rendered.name,
            namespace=rendered.namespace,
            objects=[
                {"phase": step.phase, "order": step.order, "timeout": step.timeout, "manifest": step.manifest}
                for step in steps
            ],
            secret_data=rendered.secret_data,
            secret_generate=rendered.secret_generate,
            expects=expectations(app, rendered),
            findings=[finding.as_dict() for finding in findings],
            waivers=app["waivers"],
        )
        outcome = self._execute_module("holdfast.k3s.app", module_args=options, task_vars=task_vars)
        # What was sent is the values once more, rendered: it would drown the result.
        outcome.pop("invocation", None)
        return {**result, **outcome}
