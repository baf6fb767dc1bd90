"""Actors ready to be spawned, each a few lines that show how actors are written here.

Cells, durable references, facets, revocable forwarders, swappables, sealers, and requests that happen once. A
persistent vat that has some needs `lib_env` in its environment.
"""

from typing import Final

from goblins_py.actors import PersistenceEnv
from goblins_py.lib._cell import Cell, ReadOnlyCell, WriteOnlyCell, spawn_read_only, spawn_write_only
from goblins_py.lib._durable_ref import DurableRef, durable_ref
from goblins_py.lib._facet import Facet, spawn_facet
from goblins_py.lib._forwarder import Forwarder, Revoker, Swapper, spawn_revocable, spawn_swappable
from goblins_py.lib._once import Once, OnceAnswers, spawn_once
from goblins_py.lib._outbox import Letter, Outbox, spawn_outbox
from goblins_py.lib._sealers import Brand, SealChecker, SealedBox, Sealer, Unsealer, spawn_sealer_triplet

__all__ = [
    "Brand",
    "Cell",
    "DurableRef",
    "Facet",
    "Forwarder",
    "Letter",
    "Once",
    "OnceAnswers",
    "Outbox",
    "ReadOnlyCell",
    "Revoker",
    "SealChecker",
    "SealedBox",
    "Sealer",
    "Swapper",
    "Unsealer",
    "WriteOnlyCell",
    "durable_ref",
    "lib_env",
    "spawn_facet",
    "spawn_once",
    "spawn_outbox",
    "spawn_read_only",
    "spawn_revocable",
    "spawn_sealer_triplet",
    "spawn_swappable",
    "spawn_write_only",
]

_ACTORS: Final = (
    Brand,
    Cell,
    DurableRef,
    Facet,
    Forwarder,
    Letter,
    Once,
    OnceAnswers,
    Outbox,
    ReadOnlyCell,
    Revoker,
    SealChecker,
    SealedBox,
    Sealer,
    Swapper,
    Unsealer,
    WriteOnlyCell,
)

lib_env: Final = PersistenceEnv(named={f"goblins_py.lib.{cls.__name__}": cls for cls in _ACTORS})
"""What a persistent vat needs to save and restore these actors."""
