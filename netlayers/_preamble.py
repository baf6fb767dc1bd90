"""The cleartext preamble of tcp-tls: the server's certificate, before TLS.

Only this file knows how it is written: four bytes of length, little-endian, then that many
bytes of PEM text. (Goblins uses the byte order of its machine; every machine that it runs on
is little-endian.) No I/O here: `PreambleReader` says how many bytes may be read next, so that
whoever reads the socket never takes a byte that belongs to TLS.
"""

from __future__ import annotations

import struct

from goblins_py.errors import NetlayerError

__all__ = ["MAX_PEM_SIZE", "PreambleReader", "encode_preamble"]

MAX_PEM_SIZE = 16 * 1024
"""Bytes. An RSA-4096 certificate of Goblins has 1984; more than this is no certificate."""

_LENGTH = struct.Struct("<I")


def encode_preamble(pem: bytes) -> bytes:
    """What a server sends at once on accept.

    Raises:
        NetlayerError: `pem` is longer than any reader takes.
    """
    if len(pem) > MAX_PEM_SIZE:
        raise NetlayerError(f"a certificate of {len(pem)} bytes; at most {MAX_PEM_SIZE} can be sent")
    return _LENGTH.pack(len(pem)) + pem


class PreambleReader:
    """Collects one preamble. Feed it at most `wanted` bytes at a time, until that is 0."""

    def __init__(self) -> None:
        self._read = bytearray()
        self._total = _LENGTH.size

    @property
    def wanted(self) -> int:
        """How many bytes may be read next; 0 when the preamble is complete."""
        return self._total - len(self._read)

    @property
    def pem(self) -> bytes:
        """The PEM text byte for byte, once `wanted` is 0."""
        return bytes(self._read[_LENGTH.size :])

    def feed(self, data: bytes) -> None:
        """Take what was read.

        Raises:
            NetlayerError: the announced length is 0 or over `MAX_PEM_SIZE`. Nothing of it is
                read, let alone allocated; the reader is of no more use.
        """
        self._read += data
        if self._total == _LENGTH.size == len(self._read):
            (size,) = _LENGTH.unpack(self._read)
            if not 0 < size <= MAX_PEM_SIZE:
                raise NetlayerError(f"its preamble announces a certificate of {size} bytes")
            self._total += size
