# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Shape the inputs of role k3s into the files that the host gets."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Callable

from ansible.errors import AnsibleFilterError

from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError
from ansible_collections.holdfast.k3s.plugins.module_utils.host.entries import build, part


def k3s_files(inputs: Mapping[str, Any], only: Collection[str] = ()) -> dict[str, Any]:
    """`files` and `secret_content` for the file_set module; `only` names the controls whose files are wanted."""
    try:
        return part(inputs, only) if only else build(inputs)
    except HoldfastError as failure:
        raise AnsibleFilterError(str(failure)) from failure


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The filters by name."""
        return {"k3s_files": k3s_files}
