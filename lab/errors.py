"""The lab's one kind of error: a sentence for the person at the terminal."""

from __future__ import annotations


class LabError(Exception):
    """Something the lab cannot do; the message names the thing and what to do about it."""
