# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Credentials: where they come from, and where they must not stand."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.app.rules.model import HIDDEN, Finding
from ansible_collections.holdfast.k3s.plugins.module_utils.app.rules.references import owners

_CREDENTIAL = re.compile(
    r"(PASSWORD|PASSWD|(^|_)PASS|_PWD|SECRET|TOKEN|API_?KEY|ACCESS_KEY|PRIVATE_KEY|CREDENTIAL)S?$",
    re.IGNORECASE,
)
# MAX_TOKENS: 4096 counts tokens, ALLOW_EMPTY_PASSWORD: "yes" is a switch.
_COUNT = re.compile(r"TOKENS$", re.IGNORECASE)
_SWITCH = re.compile(r"^(true|false|yes|no|on|off)$", re.IGNORECASE)
_USERINFO = re.compile(r"://[^/@\s:]*:([^/@\s]+)@")
_PLACEHOLDER = re.compile(r"^(changeme|change-me|change_me|todo|xxx+|replace.?me|<.*>)$", re.IGNORECASE)


def _literal_credential(name: str, value: Any) -> bool:
    text = str(value)
    userinfo = _USERINFO.search(text)
    if userinfo and not userinfo.group(1).startswith("$("):
        return True
    return (
        bool(_CREDENTIAL.search(name))
        and bool(text)
        and not text.startswith("$(")
        and not _SWITCH.match(text)
        and not (_COUNT.search(name) and text.isdigit())
    )


def literal_credentials(app: Mapping[str, Any]) -> Iterator[Finding]:
    """A password in a workload or a ConfigMap is a password in every listing."""
    for path, owner in owners(app):
        for name, value in owner["env"].items():
            if not isinstance(value, Mapping) and _literal_credential(name, value):
                yield _found(
                    f"{path}.env.{name}", "{secret: NAME, key: KEY}, or $(OTHER_VARIABLE) that comes from one"
                )
    for name, config in app["config"].items():
        for key, value in config["data"].items():
            if _literal_credential(key, value):
                yield _found(f"config.{name}.{key}", "move the key to secrets")
    for name, service in app["data_services"].items():
        for field in ("password", "auth"):
            if service.get(field) and not isinstance(service[field], Mapping):
                yield _found(f"data_services.{name}.{field}", "{secret: NAME, key: KEY}")


def secrets_in_objects(app: Mapping[str, Any]) -> Iterator[Finding]:
    """A Secret among the objects of one's own is shown wherever objects are: in differences, files and results."""
    for number, obj in enumerate(app.get("extra_objects") or []):
        for field in ("data", "stringData"):
            if obj["kind"] == "Secret" and obj.get(field):
                yield _found(f"extra_objects[{number}].{field}", f"it as secrets.{obj['metadata']['name']}")


def _found(path: str, fix: str) -> Finding:
    return Finding(
        "secrets.literal",
        path,
        "A credential stands here in clear text.",
        f"write {fix}",
        HIDDEN,
        source="SN-61",
    )


def missing_values(app: Mapping[str, Any]) -> Iterator[Finding]:
    """Every key that is named has a value, and none is a placeholder."""
    for name, secret in app["secrets"].items():
        provided = {
            "static": {**secret["values"], **secret["generate"]},
            "external": secret["data"],
            "csi": secret["data"],
        }.get(secret["provider"])
        if provided is None:
            continue
        for key in secret["keys"]:
            value = str(provided.get(key, ""))
            if not value.strip() or _PLACEHOLDER.match(value):
                what = (
                    "It has no value." if not value.strip() else "It still has the placeholder of an example."
                )
                yield Finding(
                    "secrets.missing_value",
                    f"secrets.{name}.{key}",
                    what,
                    "give it a value in the vault",
                    HIDDEN,
                    source="WC-49",
                )


def external_store(app: Mapping[str, Any]) -> Iterator[Finding]:
    """An external Secret says which store it comes from."""
    for name, secret in app["secrets"].items():
        if secret["provider"] == "external" and not secret.get("store"):
            yield Finding(
                "secrets.no_store",
                f"secrets.{name}.store",
                "An external secret needs the store that it comes from.",
                "store: {name: …, kind: ClusterSecretStore}; or provider: static with values from a vault",
                source="ST-20",
            )


def provider_fields(app: Mapping[str, Any]) -> Iterator[Finding]:
    """values belong to static, data to external and csi."""
    for name, secret in app["secrets"].items():
        provider = secret["provider"]
        wrong = [f for f in ("values", "generate") if secret[f] and provider != "static"]
        wrong += [f for f in ("data",) if secret[f] and provider not in ("external", "csi")]
        for field in wrong:
            yield Finding(
                "secrets.provider_fields",
                f"secrets.{name}.{field}",
                f"Provider {provider} does not use it.",
                "set the provider that does, or remove the field",
                provider,
            )


def exact_keys(app: Mapping[str, Any]) -> Iterator[Finding]:
    """A Secret that is exact has the keys that are listed, and no other."""
    for name, secret in app["secrets"].items():
        for key in secret["extra"]:
            yield Finding(
                "secrets.extra_key",
                f"secrets.{name}.{key}",
                "It is not among the keys, and exact allows no other.",
                f"add it to secrets.{name}.keys, or remove it",
                HIDDEN,
                source="WC-49",
            )


RULES = (literal_credentials, secrets_in_objects, missing_values, external_store, provider_fields, exact_keys)
