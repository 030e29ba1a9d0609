# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Take secrets out of whatever is shown or kept as evidence."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

MASK = "***"
SHORT = 200
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"

# DB_PASS, PGPASS, MYSQL_PWD, REDIS_AUTH, requirepass; not PASS (of a test), PWD (a directory), BYPASS or OAUTH.
_SHORT_NAMES = r"(?:[_-](?:PASS|PWD|AUTH)|(?<![A-Z0-9])PGPASS|REQUIREPASS|MASTERAUTH)(?:[_-]?\d+)?"
# In running text a name with a hyphen is a workload's (`shop-auth-0: exited`), so only these count there.
_SHORT_WORDS = _SHORT_NAMES.replace("[_-]", "_", 1)
_SENSITIVE_NAME = re.compile(
    rf"PASSWORD|PASSWD|PASSPHRASE|TOKEN|KEY|SECRET|CREDENTIAL|{_SHORT_NAMES}$", re.IGNORECASE
)
# Fields of Kubernetes objects whose names look sensitive and whose values are names, numbers or booleans.
_PLAIN_FIELDS = frozenset(
    [
        "secretName",
        "secretRef",
        "secretKeyRef",
        "imagePullSecrets",
        "automountServiceAccountToken",
        "serviceAccountToken",
        "key",
        "keys",
        "topologyKey",
        "expirationSeconds",
        "tokenExpirationSeconds",
        "matchLabelKeys",
        "secrets",
        "secret",
        "optionalKey",
    ]
)
# The value of these is a secret wherever they stand.
_SECRET_FIELDS = re.compile(
    r"^(.*(password|passwd|passphrase)|.*[_-]?token|.*secret[_-]?(access)?[_-]?key|secret|api[_-]?key|.*private[_-]?key|"
    rf".*key-data|auth|\.dockerconfigjson|\.dockercfg|.*{_SHORT_NAMES})$",
    re.IGNORECASE,
)
# A value: quoted, quoted inside JSON that is a string itself, cut off within its quotes, or a word.
_VALUE = (
    r"(?!(?:true|false|null)(?:[\s,;\"'&}\]\\]|$))"
    r"(?:\"(?:[^\"\\]|\\.)*\"|'[^']*'"
    r"|(?P<escape>\\+)(?P<quote>[\"'])(?:(?!(?<!\\)(?P=escape)(?P=quote))[^\n])*(?:(?P=escape)(?P=quote))?"
    r"|[\"']?[^\s,;\"'&]+)"
)
_PATTERNS = (
    (
        re.compile(
            r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL
        ),
        f"<private key {MASK}>",
    ),
    # Patterns that begin with a run of characters look only where the run begins: else they take quadratic time.
    (re.compile(r"(?<![A-Za-z0-9+.-])([A-Za-z0-9+.-]+://[^\s:/@\"']*):[^\s@\"']+@"), rf"\1:{MASK}@"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}"), rf"\1 {MASK}"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"), MASK),
    (re.compile(r"\bK10[0-9a-f]{64}::[^\s\"']+"), MASK),
    (
        re.compile(
            r"(?i)((?<![A-Z0-9_.-])(?:[A-Z0-9_-]*\.)*"
            r"(?=[A-Z0-9_-]*(?:PASSWORD|PASSWD|PASSPHRASE|TOKEN|SECRET|API_?KEY|ACCESS_?KEY|_KEY"
            rf"|{_SHORT_WORDS}(?![A-Z0-9_-])))"
            rf"[A-Z0-9_-]+\\*[\"']?\s*(?:=|:\s|:(?=\\*[\"']))\s*){_VALUE}"
        ),
        rf"\1{MASK}",
    ),
    # An option and its value as two words, also as k3s's unit has them: quoted, each on a line of its own.
    (
        re.compile(
            r"(?i)((?<![\w-])--[\w-]*(?:TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|PASS|KEY|MASTERAUTH)"
            rf"(?:[\"'],?)?(?:[ \t]|\\\r?\n)+)(?!--){_VALUE}"
        ),
        rf"\1{MASK}",
    ),
)
# A cheap test before the patterns: thousands of strings of thousands of pods hold none of these.
_MAYBE = re.compile(r"(?i)://|bearer|basic|pass|pwd|auth|token|secret|key|eyJ|K10")


@lru_cache(maxsize=4096)
def sensitive_name(name: str) -> bool:
    """Whether a variable of this name is taken for a secret."""
    return bool(_SENSITIVE_NAME.search(name))


def redact_text(text: str, secrets: Iterable[str] = ()) -> str:
    """Text without secrets. secrets: literal values known to the caller (4 characters or more are replaced)."""
    for secret in sorted((s for s in secrets if s and len(s) >= 4), key=len, reverse=True):
        text = text.replace(secret, MASK)
    if _MAYBE.search(text) is None:
        return text
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


_short = lru_cache(maxsize=16384)(redact_text)


def redact_object(obj: Any, secrets: Iterable[str] = ()) -> Any:
    """A copy of a JSON-like object without secrets: Secret data, sensitive variables, fields and arguments."""
    return _value(obj, tuple(secrets))


def _value(obj: Any, secrets: tuple[str, ...]) -> Any:
    if isinstance(obj, str):
        # short ones are names and words that a thousand pods have in common
        return _short(obj, secrets) if len(obj) < SHORT else redact_text(obj, secrets)
    if isinstance(obj, dict):
        return _mapping(obj, secrets)
    if isinstance(obj, (list, tuple)):
        return _sequence(obj, secrets)
    return obj


def _mapping(obj: dict[Any, Any], secrets: tuple[str, ...]) -> dict[Any, Any]:
    is_secret = obj.get("kind") == "Secret"
    is_variable = isinstance(obj.get("name"), str) and "value" in obj and sensitive_name(obj["name"])
    copy: dict[Any, Any] = {}
    for key, value in obj.items():
        if is_secret and key in ("data", "stringData") and isinstance(value, dict):
            copy[key] = dict.fromkeys(value, MASK)
        elif is_variable and key == "value":
            copy[key] = MASK
        elif key == LAST_APPLIED and isinstance(value, str):
            copy[key] = _embedded(value, secrets)
        elif isinstance(value, str) and value and key not in _PLAIN_FIELDS and _is_secret_field(key):
            copy[key] = MASK
        else:
            copy[key] = _value(value, secrets)
    return copy


@lru_cache(maxsize=4096)
def _is_secret_field(key: Any) -> bool:
    if not isinstance(key, str):
        return False
    # A variable's name used as a key (ConfigMap data, an env mapping) is upper case.
    return bool(_SECRET_FIELDS.match(key)) or (key.isupper() and sensitive_name(key))


def _sequence(obj: Iterable[Any], secrets: tuple[str, ...]) -> list[Any]:
    copy: list[Any] = []
    hide_next = False
    for item in obj:
        if hide_next and isinstance(item, str):
            copy.append(MASK)
            hide_next = False
            continue
        hide_next = (
            isinstance(item, str) and item.startswith("--") and "=" not in item and _is_secret_field(item[2:])
        )
        copy.append(_value(item, secrets))
    return copy


def _embedded(text: str, secrets: tuple[str, ...]) -> str:
    try:
        return json.dumps(_value(json.loads(text), secrets))
    except ValueError:
        return MASK
