# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Options of core.argspec.TIMING."""

from __future__ import annotations


class ModuleDocFragment:
    """Shared documentation."""

    DOCUMENTATION = r"""
options:
  deadline:
    description: Seconds that the whole run may take; finished work is kept when it passes.
    type: int
    default: 300
  budget:
    description: How many changing actions this run may take; no limit when not given. The rest is reported as skipped.
    type: int
"""
