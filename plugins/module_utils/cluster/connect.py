# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Configuration and authentication: plain kubeconfigs at once, all others by the `kubernetes` package (22 to today's)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Optional

from ansible_collections.holdfast.k3s.plugins.module_utils.cluster.kubeconfig import Plain, read
from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError

POOL_SIZE = 16


def configuration(kubeconfig: Optional[str], context: Optional[str], host: Optional[str]) -> Any:
    """A Plain or a kubernetes.client.Configuration. kubeconfig: path, or None for the package's default places."""
    if kubeconfig and not Path(kubeconfig).exists():
        raise HoldfastError(
            "no such file",
            field="kubeconfig",
            value=kubeconfig,
            fix="is k3s installed, and do you run as root?",
        )
    found = (read(kubeconfig, context) if kubeconfig else None) or _by_the_package(kubeconfig, context)
    if host:
        found.host = host
    return found


def _by_the_package(kubeconfig: Optional[str], context: Optional[str]) -> Any:
    try:
        from kubernetes.client.configuration import Configuration
        from kubernetes.config import kube_config
        from kubernetes.config.config_exception import ConfigException
    except ImportError as failure:
        raise HoldfastError(
            f"the Python package 'kubernetes' cannot be imported here: {failure}",
            fix="install python3-kubernetes on the host (role k3s does) or set ansible_python_interpreter",
        ) from failure
    wanted = Configuration()
    try:
        kube_config.load_kube_config(
            config_file=kubeconfig or None,
            context=context,
            client_configuration=wanted,
            persist_config=False,
        )
    except (ConfigException, OSError, ValueError, TypeError, KeyError) as failure:
        raise HoldfastError(
            f"cannot be used: {failure}",
            field="kubeconfig",
            value=kubeconfig,
            fix="name a valid kubeconfig and context",
        ) from failure
    wanted.connection_pool_maxsize = POOL_SIZE
    return wanted


def pool(wanted: Any) -> Any:
    """A urllib3 pool with TLS and client certificates; the package's own, with its proxies, where the package configured it."""
    if isinstance(wanted, Plain):
        from urllib3 import PoolManager

        named: dict[str, Any] = {"server_hostname": wanted.tls_server_name} if wanted.tls_server_name else {}
        return PoolManager(
            num_pools=4, maxsize=POOL_SIZE, cert_reqs="CERT_REQUIRED", ca_certs=wanted.ssl_ca_cert,
            cert_file=wanted.cert_file, key_file=wanted.key_file, **named,
        )  # fmt: skip
    from kubernetes.client.rest import RESTClientObject

    return RESTClientObject(wanted).pool_manager


def auth_headers(wanted: Any) -> dict[str, str]:
    """The bearer token of the configuration, refreshed by the package when it must be; empty with certificates."""
    setting = wanted.auth_settings().get("BearerToken")
    value = setting.get("value") if setting else None
    if not value:
        return {}
    return {"authorization": value if " " in value else f"Bearer {value}"}
