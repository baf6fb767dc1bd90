"""For tests: vats without an event loop, and conformance suites for your own netlayer or store."""

from goblins_py.testing._check_netlayer import check_netlayer
from goblins_py.testing._check_store import check_store
from goblins_py.testing._sync_vats import SyncVat, SyncVats

__all__ = ["SyncVat", "SyncVats", "check_netlayer", "check_store"]
