"""Let unit tests import the collection by its real name, straight from the checkout."""

from __future__ import annotations

import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


def pytest_configure() -> None:
    """Install Ansible's own finder, so that imports resolve exactly as they do inside Ansible."""
    from ansible.utils.collection_loader import AnsibleCollectionConfig
    from ansible.utils.collection_loader._collection_finder import _AnsibleCollectionFinder

    if AnsibleCollectionConfig.collection_finder is None:
        _AnsibleCollectionFinder(paths=[str(CHECKOUT / ".ansible" / "collections")])._install()
    if str(CHECKOUT) not in sys.path:
        sys.path.insert(0, str(CHECKOUT))
