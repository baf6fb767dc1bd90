"""Where a peer is (`PeerLocator`), and which object there (`Sturdyref`): as values, Syrup and URIs.

    ocapn://DESIGNATOR.TRANSPORT[?hint=value&...]           a peer
    ocapn://DESIGNATOR.TRANSPORT/s/SWISS[?hint=value&...]   an object

Whoever knows a swiss number may use the object, so it is in `uri`, `swiss_num` and `to_record()`
only: in no repr, no error text, no pickle. What a hint means is the netlayers' business.

Where Goblins, Endo and plain reason differ:

- Hints are read by percent-decoding keys and values, `+` being a blank. Of a repeated key the
  first value counts: hints are unsigned, and a link with something appended must not lead
  elsewhere. Unknown keys are kept.
- No hints (None) and an empty dict are two values, because a signed locator must be written again
  as it was; both are written without `?`, which reads as None. The bare `?` that Goblins writes
  for an empty dict is read as one.
- A port, a user name or a fragment in a URI is an error, where Goblins drops it in silence.
- `/s/` with nothing after it is the empty swiss number, as in Goblins.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Final, NoReturn, Self
from urllib.parse import quote, unquote_to_bytes

import attrs

from goblins_py.errors import LocatorError
from goblins_py.syrup import Leaf, Map, Record, Symbol

__all__ = ["PeerLocator", "Sturdyref", "base32_decode", "base32_encode", "parse_uri"]

MAX_URI: Final = 16 * 1024
_MAX_DESIGNATOR: Final = 4096
_PEER: Final = Symbol("ocapn-peer")
_STURDYREF: Final = Symbol("ocapn-sturdyref")
_TRANSPORT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}")
_URI: Final = re.compile(
    r"[oO][cC][aA][pP][nN]://(?P<host>[A-Za-z0-9._~%-]*)(?P<path>/[^?]*)?(?:\?(?P<query>.*))?"
)
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_BASE64: Final = re.compile(r"[A-Za-z0-9_-]*")
_BASE32: Final = re.compile(r"[a-z2-7]*")


class _Value(Leaf):
    """What both have in common: immutable, so a copy is the thing itself."""

    __slots__ = ()

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self


def _transport(value: str) -> str:
    if type(value) is not str or not _TRANSPORT.fullmatch(value):
        raise LocatorError("a transport is a name of letters, digits and hyphens")
    return value


def _designator(value: str) -> str:
    if type(value) is not str or not value or not value.isprintable():
        raise LocatorError("a designator is a printable text that is not empty")
    if len(value) > _MAX_DESIGNATOR:
        raise LocatorError(f"a designator has at most {_MAX_DESIGNATOR} characters")
    return value


def _hints(value: Mapping[str, str] | None) -> Map[str, str] | None:
    if value is None:
        return None
    try:
        hints = Map(value)
    except TypeError:
        raise LocatorError("hints are a mapping of str to str, or None") from None
    if any(type(text) is not str for item in hints.items() for text in item):
        raise LocatorError("hints are a mapping of str to str, or None")
    return hints


@attrs.frozen(repr=False)
class PeerLocator(_Value):
    """Where a peer is. Two are equal if transport and designator are: hints do not count.

    Attributes:
        transport: which netlayer reaches it, e.g. "tcp-tls".
        designator: who it is to that netlayer; for most a hash or a key, in base32.
        hints: what helps to find it, e.g. host and port. Unsigned, so never to be trusted.

    Raises:
        LocatorError: on creation, if an attribute is malformed.
    """

    transport: str = attrs.field(converter=_transport)
    designator: str = attrs.field(converter=_designator)
    hints: Mapping[str, str] | None = attrs.field(default=None, converter=_hints, eq=False)

    @property
    def uri(self) -> str:
        """The `ocapn:` URI, hints included, in the order of their keys.

        Raises:
            LocatorError: it would be longer than the 16 KiB that are read.
        """
        return _uri(self, "")

    @classmethod
    def from_uri(cls, text: str) -> PeerLocator:
        """Read the URI of a peer; see `parse_uri`. That of an object is a LocatorError."""
        located = parse_uri(text)
        if not isinstance(located, PeerLocator):
            raise LocatorError("this URI is of an object, where that of a peer belongs")
        return located

    def to_record(self) -> Record:
        """`<ocapn-peer 'transport "designator" hints>`, hints being false if there are none."""
        hints = False if self.hints is None else self.hints
        return Record(_PEER, (Symbol(self.transport), self.designator, hints))

    @classmethod
    def from_record(cls, record: object) -> PeerLocator:
        """Read what `to_record` writes.

        Raises:
            LocatorError: it is no such record.
        """
        match record:
            case Record(
                label=Symbol(name="ocapn-peer"),
                fields=(Symbol(name=transport), str(designator), (False | Map()) as hints),
            ):
                return cls(transport, designator, None if hints is False else hints)
            case _:
                raise LocatorError("this is no ocapn-peer record")

    def __repr__(self) -> str:
        return f"<PeerLocator {_redacted(self)}>"


@attrs.frozen(repr=False)
class Sturdyref(_Value):
    """An object that a peer has registered. Whoever has this may use the object.

    Attributes:
        peer: where it is.
        swiss_num: the secret under which it is registered there; normally 32 bytes.

    Raises:
        LocatorError: on creation, if an attribute is malformed.
    """

    peer: PeerLocator = attrs.field()
    swiss_num: bytes = attrs.field()

    @peer.validator
    def _check_peer(self, attribute: object, value: object) -> None:
        if not isinstance(value, PeerLocator):
            raise LocatorError("the peer of a sturdyref is a PeerLocator")

    @swiss_num.validator
    def _check_swiss_num(self, attribute: object, value: object) -> None:
        if type(value) is not bytes:
            raise LocatorError("a swiss number is bytes")

    @property
    def uri(self) -> str:
        """The `ocapn:` URI, **swiss number included**: hand it only to whom you trust with the object.

        Raises:
            LocatorError: it would be longer than the 16 KiB that are read.
        """
        swiss = base64.urlsafe_b64encode(self.swiss_num).rstrip(b"=").decode()
        return _uri(self.peer, f"/s/{swiss}")

    @classmethod
    def from_uri(cls, text: str) -> Sturdyref:
        """Read the URI of an object; see `parse_uri`. That of a peer is a LocatorError."""
        located = parse_uri(text)
        if not isinstance(located, Sturdyref):
            raise LocatorError("this URI is of a peer, where that of an object belongs")
        return located

    def to_record(self) -> Record:
        """`<ocapn-sturdyref peer swiss-num>`, **swiss number included**."""
        return Record(_STURDYREF, (self.peer.to_record(), self.swiss_num))

    @classmethod
    def from_record(cls, record: object) -> Sturdyref:
        """Read what `to_record` writes; the peer in it may be a `PeerLocator` already.

        Raises:
            LocatorError: it is no such record.
        """
        match record:
            case Record(label=Symbol(name="ocapn-sturdyref"), fields=(peer, bytes(swiss_num))):
                located = peer if isinstance(peer, PeerLocator) else PeerLocator.from_record(peer)
                return cls(located, swiss_num)
            case _:
                raise LocatorError("this is no ocapn-sturdyref record")

    def __repr__(self) -> str:
        return f"<Sturdyref {_redacted(self.peer)}>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a sturdyref is a secret and is not pickled; write its uri where you must")


def parse_uri(text: str) -> PeerLocator | Sturdyref:
    """Read an `ocapn:` URI.

    The designator keeps its case, and the transport is what follows the last dot.

    Raises:
        LocatorError: it is malformed. The text says how and repeats no part of it.
    """
    if len(text) > MAX_URI:
        raise LocatorError(f"a URI has at most {MAX_URI} characters")
    if not text.isascii() or not text.isprintable() or " " in text:
        raise LocatorError("a URI has ASCII characters only, and no blanks")
    if "#" in text:
        raise LocatorError("an ocapn URI has no fragment (#)")
    match = _URI.fullmatch(text)
    if match is None:
        raise LocatorError("this is no ocapn URI: it does not read ocapn://DESIGNATOR.TRANSPORT...")
    host, path, query = match["host"], match["path"], match["query"]
    designator, dot, transport = host.rpartition(".")
    if not dot or not designator or not transport:
        raise LocatorError("the host of an ocapn URI reads DESIGNATOR.TRANSPORT")
    peer = PeerLocator(transport, _unescape(designator), _parse_hints(query))
    if path is None or path == "/":
        return peer
    if not path.startswith("/s/"):
        raise LocatorError("the path of an ocapn URI is empty, or /s/ and a swiss number")
    return Sturdyref(peer, _parse_swiss_num(path.removeprefix("/s/")))


def _parse_hints(query: str | None) -> dict[str, str] | None:
    if query is None:
        return None
    hints: dict[str, str] = {}
    for pair in query.split("&") if query else ():
        key, equals, value = pair.partition("=")
        if not key or not equals or "=" in value:
            raise LocatorError("the hints of an ocapn URI read key=value&key=value")
        hints.setdefault(_unescape(key, blank="+"), _unescape(value, blank="+"))
    return hints


def _unescape(text: str, *, blank: str = "") -> str:
    if _BAD_ESCAPE.search(text):
        raise LocatorError("a % in an ocapn URI is followed by two hexadecimal digits")
    try:
        return unquote_to_bytes(text.replace(blank, " ") if blank else text).decode()
    except UnicodeDecodeError:
        raise LocatorError("an ocapn URI holds invalid UTF-8") from None


def _parse_swiss_num(text: str) -> bytes:
    """Unpadded base64url, in the one form that `Sturdyref.uri` writes."""
    if _BASE64.fullmatch(text) and len(text) % 4 != 1:
        swiss_num = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        if base64.urlsafe_b64encode(swiss_num).rstrip(b"=").decode() == text:
            return swiss_num
    raise LocatorError("the swiss number of this URI is no unpadded base64url")


def _uri(peer: PeerLocator, path: str) -> str:
    hints = sorted((peer.hints or {}).items())
    query = "&".join(f"{quote(key, safe='')}={quote(value, safe='')}" for key, value in hints)
    uri = f"ocapn://{quote(peer.designator, safe='')}.{peer.transport}{path}{'?' * bool(query)}{query}"
    if len(uri) > MAX_URI:
        raise LocatorError(f"a URI has at most {MAX_URI} characters: shorten the hints")
    return uri


def _redacted(peer: PeerLocator) -> str:
    shown = peer.designator if len(peer.designator) <= 6 else peer.designator[:6] + "…"
    return f"{peer.transport} {shown}"


def base32_encode(data: bytes) -> str:
    """RFC 4648 base32 in lower case without padding, as designators are written."""
    return base64.b32encode(data).decode().rstrip("=").lower()


def base32_decode(text: str) -> bytes:
    """Read what `base32_encode` writes, and nothing else.

    Raises:
        LocatorError: upper case, padding, other characters, an impossible length, stray bits.
    """
    if _BASE32.fullmatch(text):
        try:
            data = base64.b32decode(text.upper() + "=" * (-len(text) % 8))
        except binascii.Error:
            data = b""
        if base32_encode(data) == text:
            return data
    raise LocatorError("this is no unpadded lower-case base32")
