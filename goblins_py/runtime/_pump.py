"""Moves the bytes of one session over one connection, and decides nothing.

To a stream goes all there is at once; to a message-oriented connection one message after the other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Final, cast

import trio

from goblins_py.abc import Connection
from goblins_py.actors import Effect
from goblins_py.captp import Event, Introduced, Session, SessionState, Severed, Started
from goblins_py.runtime._host import TrioHost

__all__ = ["Pump"]

_STALL: Final = 30.0
"""Seconds without any queued byte accepted after which the session severs."""
_FLUSH: Final = 2.0
"""Seconds for the last bytes when we end it."""
_LINGER: Final = 0.5
"""Seconds to go on reading after an abort: closing with unread bytes would reset the connection, and
the peer might never read why."""
_SLICE: Final = 2**16
"""Bytes of which each must be accepted before the next."""
_BIG_SLICE: Final = 2**18
"""Bytes of the rest of a message that are offered where nobody waits for them to be accepted."""
_AT_ONCE: Final = 2**22
"""Bytes after which somebody else has a turn, however much the system takes."""
_NOTICES: Final = frozenset({Started, Severed, Introduced})
_BREATH: Final = 0.02
"""Seconds after which a congested session reads a little all the same: else two that have much to say to each
other would both wait for the other to read, for ever. Its hard limit holds in any case."""


class Pump:
    """One connection's tasks.

    Args:
        notice: told of all events but effects, which go to the vat.
        handshake: seconds until the peer's op:start-session must be here.
    """

    def __init__(
        self,
        host: TrioHost,
        session: Session,
        connection: Connection,
        *,
        notice: Callable[[Started | Severed | Introduced], None],
        handshake: float,
    ) -> None:
        self._host = host
        self._session = session
        self._connection = connection
        self._notice = notice
        self._handshake = handshake
        self._whole = connection.message_oriented
        self._unsent: deque[bytes] = deque()
        self._start = 0  # of what is not sent of the first of them; only of a stream
        self._sending = False
        self._lost = False
        self._output = trio.Event()
        self._receipts = 0
        self._congested = False  # the reader waits for less
        self._drained = trio.Event()
        self._severed = trio.Event()
        session.on_output = self._on_output

    @property
    def remote_address(self) -> str | None:
        """See `Connection.remote_address`."""
        return self._connection.remote_address

    async def run(self) -> None:
        """Run until the session ends; then, and if cancelled, say goodbye (bounded) and close."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._watch_handshake)
                nursery.start_soon(self._watch_idleness)
                nursery.start_soon(self._write_forever)
                nursery.start_soon(self._end_with_session, nursery.cancel_scope)
                self._host.flush_soon(self)
                await self._read_all()
                nursery.cancel_scope.cancel()
        finally:
            self._session.abort("the vat is closing the connection")
            self.tell()
            await self._say_goodbye()

    async def _end_with_session(self, scope: trio.CancelScope) -> None:
        """However the session ends, and whatever the tasks wait for: the connection does not outlive it."""
        await self._severed.wait()
        scope.cancel()

    async def _say_goodbye(self) -> None:
        with trio.move_on_after(_FLUSH, shield=True):
            try:
                if not self._sending:
                    await self._send_rest()
                if self._session.aborted and not self._lost:
                    await self._linger()
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass
        with trio.CancelScope(shield=True):
            await self._connection.aclose()

    async def _send_rest(self) -> None:
        self._fetch()
        while self._unsent:
            part = self._next_part(_SLICE)
            await self._connection.send(part)
            self._took(len(part))

    async def _linger(self) -> None:
        with trio.move_on_after(_LINGER):
            while await self._connection.receive():
                pass

    # --- in ------------------------------------------------------------------------

    async def _read_all(self) -> None:
        session = self._session
        while session.state is not SessionState.SEVERED:
            if session.congested or self._host.crowded:
                await self._wait_for_room()
            try:
                data = await self._connection.receive()
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                self._lose(self._connection.why_lost or "the connection was lost")
                return
            if not data:
                self._lose("the peer closed the connection")
                return
            self._receipts += 1
            self._host.feed(self._sort(session.receive(data, whole=self._whole)))

    async def _wait_for_room(self) -> None:
        if self._session.congested and self._session.state is not SessionState.SEVERED:
            self._drained, self._congested = trio.Event(), True
            with trio.move_on_after(_BREATH):
                await self._drained.wait()
        if self._host.crowded:
            await self._host.room()

    def _sort(self, events: list[Event]) -> list[Effect]:
        if _NOTICES.isdisjoint(map(type, events)):  # as nearly always
            return cast("list[Effect]", events)
        effects = []
        for event in events:
            if isinstance(event, Started | Severed | Introduced):
                if isinstance(event, Severed):
                    self._severed.set()
                self._notice(event)
            else:
                effects.append(event)
        return effects

    def _lose(self, reason: str) -> None:
        self._lost = True
        self._session.connection_lost(reason)
        self.tell()

    def tell(self) -> None:
        """Pass on what has happened to the session other than by what was read."""
        self._host.feed(self._sort(self._session.take_events()))

    async def _watch_handshake(self) -> None:
        await trio.sleep(self._handshake)
        if self._session.state is SessionState.GREETING:
            self._session.abort(f"no op:start-session within {self._handshake:g} s")
            self.tell()
            await self._connection.aclose()

    async def _watch_idleness(self) -> None:
        """Where the connection would not notice that the peer is gone: ask, and sever if nothing comes."""
        idle = 0 if self._connection.notices_loss else self._session.limits.idle
        asked = False
        while idle:
            receipts = self._receipts
            await trio.sleep(idle)
            if receipts != self._receipts:
                asked = False
            elif asked:
                self._lose(f"the peer said nothing for {2 * idle:g} s")
                await self._connection.aclose()
                return
            else:
                asked = True
                self._session.ask_for_life()

    # --- out -----------------------------------------------------------------------

    def _on_output(self) -> None:
        self._host.flush_soon(self)

    def flush(self) -> None:
        """Write what the system takes; the writer task does the rest."""
        if self._sending:
            return
        self._fetch()
        try:
            self._write_nowait()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the writer meets it again, and ends the session
        if self._unsent:
            self._output.set()

    def _write_nowait(self) -> None:
        """As much as the system takes, up to a point: others want to write, too."""
        unsent, send = self._unsent, self._connection.send_nowait
        left = _AT_ONCE
        while unsent and left > 0:
            part = unsent[0]
            if self._start or len(part) > left:  # else it is offered whole, without a copy
                part = self._next_part(_BIG_SLICE)
            count = send(part)
            self._took(count)
            left -= count
            if count < len(part):
                return

    def _next_part(self, size: int) -> bytes:
        """What comes first: a slice of a stream, or a whole message."""
        data, start = self._unsent[0], self._start
        if self._whole or (not start and len(data) <= size):
            return data
        return data[start : start + size]

    def _took(self, count: int) -> None:
        self._start += count
        if self._start >= len(self._unsent[0]):
            self._unsent.popleft()
            self._start = 0
        self._session.sent(count)
        if self._congested and not self._session.congested:
            self._congested = False
            self._drained.set()

    def _fetch(self) -> None:
        """Take what the session wants written."""
        pieces = self._session.messages_to_send(in_pieces=not self._whole)
        if self._whole or len(pieces) == 1:
            self._unsent += pieces
        elif pieces:
            self._unsent += _joined(pieces)

    async def _write_forever(self) -> None:
        while True:
            await self._output.wait()
            self._output = trio.Event()
            self._sending = True
            try:
                await self._write_all()
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                self._lose(self._connection.why_lost or "the connection was lost")
                return
            finally:
                self._sending = False

    async def _write_all(self) -> None:
        while True:
            self._fetch()
            if not self._unsent:
                return
            part = self._next_part(_SLICE)
            with trio.move_on_after(_STALL) as scope:
                await self._connection.send(part)
            if scope.cancelled_caught:
                self._lose(f"the peer took no bytes for {_STALL:g} s")
                await self._connection.aclose()
                return
            self._took(len(part))
            self._write_nowait()  # without all that, as long as it goes


def _joined(messages: list[bytes]) -> Iterator[bytes]:
    """The same as fewer pieces, none of which is copied if it is big."""
    small: list[bytes] = []
    for message in messages:
        if len(message) <= _SLICE:
            small.append(message)
            continue
        if small:
            yield b"".join(small)
            small = []
        yield message
    if small:
        yield b"".join(small)
