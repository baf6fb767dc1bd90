"""The stores that a persistent vat can keep its objects in: one module per store."""

from persistence._copying import copy_store
from persistence._facts import Checkpoint, StoreFacts
from persistence.memory import MemoryStore
from persistence.sqlite_store import SqliteStore
from persistence.syrup_store import SyrupStore

__all__ = ["Checkpoint", "MemoryStore", "SqliteStore", "StoreFacts", "SyrupStore", "copy_store"]
