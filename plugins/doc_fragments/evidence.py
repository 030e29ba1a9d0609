# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Options of core.argspec.EVIDENCE."""

from __future__ import annotations


class ModuleDocFragment:
    """Shared documentation."""

    DOCUMENTATION = r"""
options:
  evidence_dir:
    description:
      - Directory on the host under which a bundle of evidence is written before anything destructive is done.
    type: path
    default: /var/lib/holdfast/incidents
  evidence_required:
    description: Refuse to do anything destructive when the evidence cannot be written.
    type: bool
    default: true
"""
