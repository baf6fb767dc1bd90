"""Short symbols that decoders have read: a new decoder meets the same few names as the last one."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from goblins_py.syrup._values import Symbol

__all__ = ["MANY_SYMBOLS", "SHORT_SYMBOL", "short_symbol"]

SHORT_SYMBOL: Final = 64
"""So many bytes may the name of a symbol have that is remembered."""
MANY_SYMBOLS: Final = 1024
"""So many are remembered."""


@lru_cache(MANY_SYMBOLS)
def short_symbol(name: bytes) -> Symbol:
    """The symbol of a name in UTF-8; a peer may drive out those of others, but not fill more memory."""
    return Symbol(name.decode())
