"""The stores that a persistent vat can keep its objects in: one module per store."""

from persistence._copying import copy_store
from persistence._facts import Checkpoint, Progress, StoreFacts
from persistence._recognise import StoreKind, recognise
from persistence.memory import MemoryStore
from persistence.sqlite_store import SqliteStore
from persistence.syrup_store import SyrupStore

__all__ = [
    "Checkpoint",
    "MemoryStore",
    "Progress",
    "SqliteStore",
    "StoreFacts",
    "StoreKind",
    "SyrupStore",
    "copy_store",
    "recognise",
]
