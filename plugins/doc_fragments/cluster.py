# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Options of core.argspec.CLUSTER."""

from __future__ import annotations


class ModuleDocFragment:
    """Shared documentation."""

    DOCUMENTATION = r"""
options:
  kubeconfig:
    description: Kubeconfig on the host where the module runs.
    type: path
    default: /etc/rancher/k3s/k3s.yaml
  context:
    description: Context of the kubeconfig; its current one when not given.
    type: str
  api_timeout:
    description: Seconds that one request to the API may take.
    type: int
    default: 30
requirements:
  - kubernetes (Python package) on the host where the module runs, 22.6 or newer
"""
