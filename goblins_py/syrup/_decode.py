"""Bytes to values, in any split, with work and memory in proportion to the bytes.

Nothing is read twice: open containers wait on an explicit stack, a number cut in two waits as its
digits, and the body of a string waits until all of it is there. "Not yet" is `NEED_DATA`, never
an exception.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from math import isnan
from typing import Final

from goblins_py.errors import SyrupDecodeError
from goblins_py.syrup._bigint import parse_decimal
from goblins_py.syrup._canonical import check_canonical
from goblins_py.syrup._collect import make_map, make_set
from goblins_py.syrup._limits import DEFAULT_LIMITS, NEED_DATA, Limits
from goblins_py.syrup._symbols import MANY_SYMBOLS, SHORT_SYMBOL, short_symbol
from goblins_py.syrup._values import Record, Symbol, Value

__all__ = ["Decoder"]


_LIST, _DICT, _SET, _RECORD, _NOTHING = ord("["), ord("{"), ord("#"), ord("<"), -1
_OPENERS: Final = {
    ord("<"): (_RECORD, ord(">")),
    ord("["): (_LIST, ord("]")),
    ord("{"): (_DICT, ord("}")),
    ord("#"): (_SET, ord("$")),
    ord("("): (_LIST, ord(")")),
    ord("l"): (_LIST, ord("e")),
    ord("d"): (_DICT, ord("e")),
}
_DIGITS: Final = re.compile(rb"[0-9]*")
_BLANKS: Final = re.compile(rb"[ \t\n]*")
_NAN: Final = float("nan")
"""The one NaN that is ever read, so that two of them as keys are found to be the same."""
_DOUBLE: Final = struct.Struct(">d")
_FLOATS: Final = {ord("D"): _DOUBLE, ord("F"): struct.Struct(">f")}
_BOUND: Final = 10**8
_new_record: Final[Callable[[type[Record]], Record]] = object.__new__
_put_label: Final[Callable[[Record, Value], None]] = Record.__dict__["label"].__set__
_put_fields: Final[Callable[[Record, tuple[Value, ...]], None]] = Record.__dict__["fields"].__set__


class Decoder:
    """Reads a stream of Syrup values: bytes in by `feed`, values out by `next_value`.

    After any error, also one that `special` raises, it is broken: every later call raises it again.

    Args:
        limits: see `Limits`.
        canonical: refuse everything that `encode` would have written otherwise. Without it, read
            what Goblins reads: leading zeros, `0-`, blanks, tabs and newlines before tokens,
            `(...)`, `l...e`, `d...e`, dictionaries and sets in any order, single floats.
            Double keys are refused either way.
        special: called with label and fields when a record ends; what it returns stands in the
            record's place. It must be hashable. Default: `Record`.
    """

    def __init__(
        self,
        limits: Limits = DEFAULT_LIMITS,
        *,
        canonical: bool = False,
        special: Callable[[Value, tuple[Value, ...]], Value] | None = None,
    ) -> None:
        self._limits = limits
        # Numbers from here on are for _number.
        self._bound = _BOUND if limits.digits > 8 else 10 ** (limits.digits - 1)
        self._special = special
        self._error: BaseException | None = None
        # What was fed: _buffer, of which _position is consumed, then _tail. _base is the offset
        # of _buffer in the whole input. Below _need unread bytes there is no use in looking.
        self._buffer = b""
        self._position = 0
        self._tail = bytearray()
        self._base = 0
        self._need = 1
        # The value being read: where it starts, a number cut in two, and the open containers:
        # the innermost in _items, _kind, _closer, those around it on the stack.
        self._start = 0
        self._digits = bytearray()
        self._stack: list[tuple[list[Value], int, int]] = []
        self._items: list[Value] = []
        self._kind = _NOTHING
        self._closer = _NOTHING
        self._count = 0  # of items in the containers of this value that are closed
        # Symbols already seen. Bounded, because the peer fills it.
        self._symbols: dict[bytes, Symbol] = {}
        # Canonical only: the bytes of the value that have left _buffer.
        self._raw = bytearray() if canonical else None

    @property
    def buffered(self) -> int:
        """How many bytes were fed and are not consumed yet."""
        return len(self._buffer) - self._position + len(self._tail)

    @property
    def offset(self) -> int:
        """How many bytes of the whole input are consumed."""
        return self._base + self._position

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Add bytes, any number. They are looked at by `next_value` only."""
        if self._error is not None:
            raise self._error.with_traceback(None)
        if self._position == len(self._buffer) and not self._tail:
            if self._raw is not None:
                self._drop_consumed()
            self._base += self._position
            self._position = 0
            self._buffer = bytes(data)
        else:
            self._tail += data

    def next_value(self) -> Value:
        """The next whole value, or `NEED_DATA`.

        Raises:
            SyrupDecodeError: the bytes are no Syrup, or pass a limit.
        """
        if self._error is not None:
            raise self._error.with_traceback(None)
        try:
            while True:
                if len(self._buffer) - self._position + len(self._tail) >= self._need:
                    value = self._scan()
                    if value is not NEED_DATA:
                        return value
                    self._check_size(self._base + len(self._buffer))
                self._drop_consumed()
                if not self._tail or self.buffered < self._need:
                    return NEED_DATA
                self._buffer += self._tail
                self._tail = bytearray()
        except BaseException as error:
            self._break(error)
            raise

    def at_border(self) -> bool:
        """Whether all that was fed is consumed and no value is open."""
        return not self.buffered and self._start == self.offset

    def finish(self) -> None:
        """Say that the input has ended; call it after `next_value` returned `NEED_DATA`.

        Raises:
            SyrupDecodeError: it ended within a value.
        """
        if self._error is None and not self.at_border():
            end = self.offset + self.buffered
            self._break(SyrupDecodeError("the input ended within a value", end))
        if self._error is not None:
            raise self._error.with_traceback(None)

    def _break(self, error: BaseException) -> None:
        """Remember the error, and let go of everything else."""
        interrupted = SyrupDecodeError("reading was interrupted", self.offset)
        self._error = error if isinstance(error, Exception) else interrupted
        self._base += self._position
        self._buffer, self._position, self._tail = b"", 0, bytearray()
        self._stack, self._items, self._digits = [], [], bytearray()
        self._symbols = {}

    def _drop_consumed(self) -> None:
        if position := self._position:
            if self._raw is not None:
                self._raw += self._buffer[max(self._start - self._base, 0) : position]
            self._base += position
            self._buffer = self._buffer[position:]
            self._position = 0

    # The one function that is longer than the house allows: splitting it costs a call per
    # token (60 ns of some 350 ns each), and every byte that comes from a peer goes through here.
    def _scan(self) -> Value:  # noqa: C901
        """Read on in the buffer until a value is whole or the buffer is used up."""
        buffer, position = self._buffer, self._position
        size = len(buffer)
        stack, items, kind, closer = self._stack, self._items, self._kind, self._closer
        symbols, special = self._symbols, self._special
        limits, bound, openers, unpack_double = self._limits, self._bound, _OPENERS, _DOUBLE.unpack_from
        depth, count, most = limits.depth, self._count, limits.items
        value: Value
        if self._digits and position < size:
            value = self._number()
            position = self._position
            if value is NEED_DATA:
                return value
            if closer < 0:
                return self._complete(value)
            items.append(value)
        while position < size:
            code = buffer[position]
            if code == closer:
                position += 1
                count += len(items)
                if count > most:
                    raise self._fault(f"more than {most} items in a value: items limit", position - 1)
                if kind == _LIST:
                    value = tuple(items)
                elif kind == _RECORD and items:
                    label = items.pop(0)
                    if special is not None:
                        value = special(label, tuple(items))
                    else:
                        value = _new_record(Record)
                        _put_label(value, label)
                        _put_fields(value, tuple(items))
                elif kind == _DICT:
                    value = make_map(items, self._base + position - 1)
                elif kind == _SET:
                    value = make_set(items, self._base + position - 1)
                else:
                    raise self._fault("a record without a label", position - 1)
                items, kind, closer = stack.pop()
            elif 49 <= code <= 57:  # "1" to "9"
                start = position
                number = code - 48
                position += 1
                try:  # it costs nothing, and saves asking for the end before each digit
                    while 48 <= (code := buffer[position]) <= 57 and number < bound:
                        number = number * 10 + code - 48
                        position += 1
                except IndexError:
                    code = 48
                if code == 39 or code == 34 or code == 58:  # noqa: PLR1714  # a set is slower
                    position += 1
                    end = position + number
                    if end > size:
                        self._position = start
                        self._await(end - start)
                        break
                    raw = buffer[position:end]
                    position = end
                    if code == 58:
                        value = raw
                    elif code == 34:
                        try:
                            value = raw.decode()
                        except UnicodeDecodeError:
                            raise self._fault("invalid UTF-8 in a string", start) from None
                    else:
                        value = symbols.get(raw) or self._symbol(raw, start)
                elif code == 43:  # "+"
                    position += 1
                    value = number
                elif code == 45:  # "-"
                    position += 1
                    value = -number
                else:
                    self._position = start
                    value = self._slow(buffer[start])
                    position = self._position
                    if value is NEED_DATA:
                        break
            elif (opened := openers.get(code)) is not None:
                if len(stack) >= depth:
                    raise self._fault(f"more than {depth} containers open at once: depth limit", position)
                stack.append((items, kind, closer))
                items = []
                kind, closer = opened
                position += 1
                continue
            elif code == 68 and position + 8 < size:  # "D"
                (value,) = unpack_double(buffer, position + 1)
                if value != value:  # noqa: PLR0124  # NaN, without a call
                    value = _NAN
                self._position = position = position + 9
            elif code == 48 and buffer[position + 1 : position + 2] == b"+":
                value = 0
                self._position = position = position + 2
            elif code == 116:  # "t"
                position += 1
                value = True
            elif code == 102:  # "f"
                position += 1
                value = False
            elif code in b" \t\n":
                match = _BLANKS.match(buffer, position)
                position = match.end() if match else position
                if closer < 0 and self._raw is None:
                    self._start = self._base + position
                continue
            else:
                self._position = position
                value = self._slow(code)
                position = self._position
                if value is NEED_DATA:
                    break
            if closer < 0:
                self._position, self._items = position, items
                self._kind = self._closer = _NOTHING
                return self._complete(value)
            items.append(value)
        else:
            self._position = position
            self._need = 1
        self._items, self._kind, self._closer, self._count = items, kind, closer, count
        self._check_items(position)
        return NEED_DATA

    def _check_items(self, position: int) -> None:
        """Those of the open containers count, too: looked at now and then, so that it costs nothing."""
        count = self._count + len(self._items) + sum(len(items) for items, _, _ in self._stack)
        if count > self._limits.items:
            raise self._fault(f"more than {self._limits.items} items in a value: items limit", position)

    def _complete(self, value: Value) -> Value:
        """Hand out a whole value, which ends at `_position`."""
        end = self._base + self._position
        if end - self._start > self._limits.value_size:
            self._check_size(end)
        if self._raw is not None:
            self._raw += self._buffer[max(self._start - self._base, 0) : self._position]
            check_canonical(bytes(self._raw), self._start)
            self._raw.clear()
        self._start = end
        self._need = 1
        self._count = 0
        return value

    def _slow(self, code: int) -> Value:
        """Read the token at `_position` that is a rare one, or a number that is long or cut in two."""
        if 48 <= code <= 57:
            return self._number()
        if code not in _FLOATS:
            raise self._fault(f"unexpected byte 0x{code:02x}", self._position)
        form = _FLOATS[code]
        if self._position + form.size >= len(self._buffer):
            self._await(1 + form.size)
            return NEED_DATA
        (number,) = form.unpack_from(self._buffer, self._position + 1)
        self._position += 1 + form.size
        return _NAN if isnan(number) else number

    def _number(self) -> Value:
        """Read a number and what it stands for, the digits in `_digits` being read already."""
        match = _DIGITS.match(self._buffer, self._position)
        digits = match.group() if match else b""
        start, end = self._position - len(self._digits), self._position + len(digits)
        if end - start > self._limits.digits:
            raise self._fault(f"more than {self._limits.digits} digits in a number: digits limit", start)
        self._digits += digits
        self._position = end
        if end == len(self._buffer):
            self._await(1)
            return NEED_DATA
        code = self._buffer[end]
        if code not in b"+-:\"'":
            raise self._fault(f"unexpected byte 0x{code:02x} after a number", end)
        number = parse_decimal(bytes(self._digits))
        if code in b"+-":
            value: Value = number if code == 43 else -number
            number = 0
        elif end + 1 + number > len(self._buffer):
            self._await(1 + number)
            return NEED_DATA
        else:
            value = self._text(code, self._buffer[end + 1 : end + 1 + number], start)
        self._position = end + 1 + number
        self._digits.clear()
        return value

    def _text(self, code: int, raw: bytes, start: int) -> Value:
        if code == 39:
            return self._symbols.get(raw) or self._symbol(raw, start)
        if code == 58:
            return raw
        try:
            return raw.decode()
        except UnicodeDecodeError:
            raise self._fault("invalid UTF-8 in a string", start) from None

    def _symbol(self, raw: bytes, start: int) -> Symbol:
        try:
            if len(raw) > SHORT_SYMBOL:
                return Symbol(raw.decode())
            symbol = short_symbol(raw)
        except UnicodeDecodeError:
            raise self._fault("invalid UTF-8 in a symbol", start) from None
        if len(self._symbols) < MANY_SYMBOLS:
            self._symbols[raw] = symbol
        return symbol

    def _await(self, count: int) -> None:
        """Look again when `count` bytes from `_position` are there, if they ever may be."""
        self._check_size(self._base + self._position + count)
        self._need = count

    def _check_size(self, end: int) -> None:
        if end - self._start > self._limits.value_size:
            text = f"a value of more than {self._limits.value_size} bytes: value_size limit"
            raise SyrupDecodeError(text, self._start)

    def _fault(self, text: str, position: int) -> SyrupDecodeError:
        return SyrupDecodeError(text, self._base + position)
