"""The stores that a persistent vat can keep its objects in: one module per store."""

from persistence.memory import MemoryStore
from persistence.syrup_store import SyrupStore

__all__ = ["MemoryStore", "SyrupStore"]
