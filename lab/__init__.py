"""The lab: bare Debian hosts in containers, an artifact mirror and the images that the scenarios run on."""

from __future__ import annotations
