"""What a decoder takes from a peer, and how it says "not yet"."""

from __future__ import annotations

from enum import Enum
from typing import Final

import attrs

__all__ = ["DEFAULT_LIMITS", "NEED_DATA", "Limits", "NeedData"]


class NeedData(Enum):
    """The class of `NEED_DATA`."""

    NEED_DATA = "need data"

    def __repr__(self) -> str:
        return "NEED_DATA"


NEED_DATA: Final = NeedData.NEED_DATA
"""What `Decoder.next_value` returns as long as no whole value is there."""


@attrs.frozen
class Limits:
    """How much a decoder takes from its peer; going over one is an error that names it.

    Attributes:
        depth: how many containers may be open at once.
        value_size: bytes of one whole top-level value, white space in it included. A length prefix
            that leads beyond it is refused before its body is waited for. A value may take up to
            75 times its bytes in memory (many sets of one member are the worst, dictionaries 46,
            lists 19): for peers, choose it accordingly.
        digits: digits of one integer, leading zeros included.
        items: values inside one top-level value, at any depth. Memory and the time to look at a value go with
            these, hardly with its bytes.
    """

    depth: int = attrs.field(default=128, validator=attrs.validators.ge(1))
    value_size: int = attrs.field(default=64 * 1024 * 1024, validator=attrs.validators.ge(1))
    digits: int = attrs.field(default=4096, validator=attrs.validators.ge(1))
    items: int = attrs.field(default=2**24, validator=attrs.validators.ge(1))


DEFAULT_LIMITS: Final = Limits()
