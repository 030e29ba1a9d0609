# The role puts the shebang before this.
# Holdfast's command on the host: holdfast boot | watch | status
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, "/usr/local/lib/holdfast")

from ansible_collections.holdfast.k3s.plugins.module_utils.node.local import main  # noqa: E402

sys.exit(main())
