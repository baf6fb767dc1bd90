"""The contracts between the parts: what a netlayer, a connection and a store must do.

An abstract class here states, per method, its effect, who may call it at the same
time, what it raises, and what is left after cancellation. `goblins_py.testing` has a
conformance suite for each (`check_netlayer`, `check_store`) that anybody's may run.
"""

from goblins_py.abc._asker import Asker
from goblins_py.abc._io import Io
from goblins_py.abc._netlayer import (
    UNPROVED,
    WITHOUT_IDENTITIES,
    Connection,
    Establisher,
    Netlayer,
    Proof,
    ProofKind,
)
from goblins_py.abc._store import Store
from goblins_py.actors import Delta, NearOnly, Portrait, Snapshot

__all__ = [
    "UNPROVED",
    "WITHOUT_IDENTITIES",
    "Asker",
    "Connection",
    "Delta",
    "Establisher",
    "Io",
    "NearOnly",
    "Netlayer",
    "Portrait",
    "Proof",
    "ProofKind",
    "Snapshot",
    "Store",
]
