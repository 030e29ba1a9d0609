# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Another place for the backups, by restic: what it is told, and its Kubernetes objects. Pure."""

from __future__ import annotations

import base64
import re
import secrets
from dataclasses import dataclass
from typing import Any, Optional
from urllib.parse import urlsplit

from ansible_collections.holdfast.k3s.plugins.module_utils.core.errors import HoldfastError, Refused

Obj = dict[str, Any]
DIRECTORY = "/offsite"  # where a claim with a directory repository is mounted
KEY = "RESTIC_PASSWORD"
_KINDS = (
    "s3:https://HOST/BUCKET/PATH, sftp:USER@HOST:/PATH, rest:https://HOST/PATH or /offsite/PATH with a claim"
)


@dataclass(frozen=True)
class Offsite:
    """repository: as restic writes it. image: one that has restic. secret: further environment (access keys), and for SFTP
    the files id_ed25519 and known_hosts. claim: volume claim of a directory repository. hours: age at which it is too old.
    """

    repository: str
    image: str
    secret: str = ""
    claim: str = ""
    schedule: str = "30 4 * * *"
    keep_daily: int = 14
    keep_weekly: int = 8
    keep_monthly: int = 12
    check_subset: str = "5%"
    hours: int = 50

    @property
    def by_ssh(self) -> bool:
        """Whether restic reaches the repository by SFTP."""
        return self.repository.startswith("sftp:")


@dataclass(frozen=True)
class Kept:
    """What the controller keeps. key: in the escrow file, empty when there is none. where: the file's path.

    shared: its name does not say which host it is of, so that another one may have written it.
    """

    key: str = ""
    where: str = ""
    shared: bool = False


def load(raw: Optional[dict[str, Any]]) -> Optional[Offsite]:
    """The settings, None when there is no other place; the first thing that cannot work is a HoldfastError."""
    values = {key: value for key, value in (raw or {}).items() if value not in (None, "")}
    if not values.get("repository"):
        return None
    unknown = sorted(set(values) - set(Offsite.__dataclass_fields__))
    if unknown:
        raise HoldfastError("no such setting", field=f"offsite_{unknown[0]}", fix="see the role's README")
    if not values.get("image"):
        raise HoldfastError("is needed", field="offsite_image", fix="name an image that has restic")
    found = Offsite(**values)
    if not re.fullmatch(r"\d+(\.\d+)?%|\d+/\d+|\d+[KMGT]?", found.check_subset):
        raise HoldfastError(
            "is no share of the data", field="offsite_check_subset", value=found.check_subset, fix='like "5%"'
        )
    port(found)
    return found


def port(offsite: Offsite) -> Optional[int]:
    """The TCP port that the repository is reached at; None for a directory. Errors name what cannot be a repository."""
    repository = offsite.repository
    if repository.startswith("/"):
        if not offsite.claim or not repository.startswith(f"{DIRECTORY}/"):
            raise HoldfastError(
                "a directory needs a volume claim",
                field="offsite_repository",
                value=repository,
                fix=f"set offsite_claim, and put the repository below {DIRECTORY}",
            )
        return None
    kind, _colon, rest = repository.partition(":")
    if kind == "sftp":
        if not offsite.secret:
            raise HoldfastError(
                "is needed for SFTP",
                field="offsite_secret",
                fix="name a Secret with the files id_ed25519 and known_hosts",
            )
        return (urlsplit(repository).port or 22) if rest.startswith("//") else 22
    parts = urlsplit(rest)
    if kind not in ("s3", "rest") or parts.scheme not in ("http", "https") or not parts.hostname:
        raise HoldfastError("no such repository", field="offsite_repository", value=repository, fix=_KINDS)
    if parts.password or parts.username:
        raise HoldfastError(
            "credentials do not belong here", field="offsite_repository", fix="put them into offsite_secret"
        )
    return parts.port or (443 if parts.scheme == "https" else 80)


def ssh_command(offsite: Offsite) -> str:
    """How restic starts SFTP with the key and the known hosts of the Secret; empty for other kinds."""
    if not offsite.by_ssh:
        return ""
    options = (
        "-i /ssh/id_ed25519 -o IdentitiesOnly=yes -o UserKnownHostsFile=/ssh/known_hosts -o BatchMode=yes"
    )
    if offsite.repository.startswith("sftp://"):
        parts = urlsplit(offsite.repository)
        login = f"{parts.username}@{parts.hostname}" if parts.username else str(parts.hostname)
        return f"ssh {options} -p {port(offsite)} {login} -s sftp"
    return f"ssh {options} {offsite.repository[5:].split(':')[0]} -s sftp"


def key_secret(namespace: str, name: str, labels: dict[str, str], key: str = "") -> Obj:
    """The Secret that holds the repository's key; a new one when none is given."""
    value = key or secrets.token_urlsafe(32)
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": key_name(name), "namespace": namespace, "labels": labels},
        "type": "Opaque",
        "data": {KEY: base64.b64encode(value.encode()).decode()},
    }


def settle(given: str, live: str, kept: Kept, secret: str) -> str:
    """The repository's key; empty when nobody has one yet. Pure.

    given: by hand. live: in the cluster, in the Secret of this name. Two keys that differ are Refused: what was sent can be
    read with one of them alone, and nothing here can tell with which.
    """
    if not kept.key or (kept.shared and live):
        return given or live
    other = given or live
    if other and other != kept.key:
        what = "offsite_key" if given else f"the Secret {secret}"
        raise Refused(
            f"{what} and the escrow file {kept.where} hold different keys, and nothing was touched",
            fix="find out which one opens the repository ('restic cat config'); give that one as offsite_key, and move the "
            "escrow file away if it is the wrong one, or let offsite_escrow name a file of this host's own",
        )
    return kept.key


def key_name(name: str) -> str:
    """The name of that Secret."""
    return f"{name}-offsite-key"


def key_of(secret: Optional[Obj]) -> str:
    """The key in a Secret; empty when there is none."""
    return base64.b64decode(((secret or {}).get("data") or {}).get(KEY) or "").decode()


def escrow(repository: str, namespace: str, name: str, key: str) -> dict[str, str]:
    """What a person needs when nothing of the host is left."""
    return {
        "repository": repository,
        "restic_password": key,
        "host": f"{namespace}.{name}",
        "how": "set backup_offsite_key to this password on the new host, run role backup, then pg_offsite with direction fetch; "
        "or by hand: restic -r <repository> restore latest --host <host> --target DIRECTORY",
    }
