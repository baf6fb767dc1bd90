"""Framing by Syrup byte strings: `<decimal length>:<message>`, with nothing after it. No I/O.

A frame *is* a Syrup value, so reading is the Syrup decoder's work, its limits included.
"""

from __future__ import annotations

from typing import Final

from goblins_py.errors import SyrupDecodeError
from goblins_py.syrup import NEED_DATA, Decoder, Limits

__all__ = ["LARGEST_MESSAGE", "Deframer", "frame"]

LARGEST_MESSAGE: Final = 8 * 2**20
"""Bytes of one message."""


def frame(message: bytes) -> bytes:
    """The frame around one message. Raises `ValueError`: it is empty, or over `LARGEST_MESSAGE`."""
    size = len(message)
    if not 0 < size <= LARGEST_MESSAGE:
        raise ValueError(f"a message of {size} bytes, where 1 to {LARGEST_MESSAGE} are possible")
    return b"%d:%b" % (size, message)


class Deframer:
    """Bytes in, any split of them; whole messages out. After an error it is of no more use."""

    def __init__(self) -> None:
        prefix = len(f"{LARGEST_MESSAGE}:")
        self._decoder = Decoder(Limits(value_size=prefix + LARGEST_MESSAGE, depth=1))

    def feed(self, data: bytes) -> None:
        """Add bytes. Raises `SyrupDecodeError` if it has raised before."""
        self._decoder.feed(data)

    def next_message(self) -> bytes | None:
        """The next whole message; None: more bytes are needed.

        Raises:
            SyrupDecodeError: something else than frames, an empty one, or one over the limit.
        """
        value = self._decoder.next_value()
        if value is NEED_DATA:
            return None
        if type(value) is not bytes or not 0 < len(value) <= LARGEST_MESSAGE:
            raise SyrupDecodeError("a frame that holds no message", self._decoder.offset)
        return value

    def finish(self) -> None:
        """The stream has ended. Raises `SyrupDecodeError`: within a frame."""
        self._decoder.finish()
