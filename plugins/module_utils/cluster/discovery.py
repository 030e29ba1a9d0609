# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which path an object has. Only the group in question is asked, so a dead aggregated API disturbs nobody else."""

from __future__ import annotations

from typing import Any, Optional

from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.errors import ApiError
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError


class Discovery:
    """Resources by group and version, each asked once. client: whoever has request()."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._known: dict[str, dict[str, dict[str, Any]]] = {}

    def path_for(self, api_version: str, kind: str, namespace: Optional[str], name: Optional[str]) -> str:
        """A path, or HoldfastError when the server does not know the kind."""
        resource = self._resource(api_version, kind)
        if resource is None:
            raise HoldfastError(
                f"this cluster has no {kind} in {api_version}",
                field="kind",
                value=f"{api_version}/{kind}",
                fix="install the CRD or the API service that serves it, or correct apiVersion and kind",
            )
        path = base_path(api_version)
        if namespace and resource.get("namespaced"):
            path += f"/namespaces/{namespace}"
        path += f"/{resource['name']}"
        return path + (f"/{name}" if name else "")

    def serves(self, api_version: str, kind: str) -> bool:
        """Whether the kind is served; an API whose backend is dead counts as not served."""
        return self._resource(api_version, kind) is not None

    def _resource(self, api_version: str, kind: str) -> Optional[dict[str, Any]]:
        if kind not in self._known.get(api_version, {}):
            try:
                answer = self._client.request("GET", base_path(api_version))
            except ApiError as error:
                if error.status not in (404, 503):
                    raise
                return None
            # Not cached when absent: a CRD applied a moment ago must be found.
            self._known[api_version] = {
                resource["kind"]: resource
                for resource in answer.get("resources") or []
                if "/" not in resource["name"]
            }
        return self._known[api_version].get(kind)


def base_path(api_version: str) -> str:
    """/api/v1 for the core, /apis/<group>/<version> for the rest."""
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
