"""CapTP messages as websocket messages, over any stream connection of ours: one binary message each.

The frames are the work of `websockets`' protocol classes, which do no I/O; the bytes go through the stream
that is given. Three habits of peers decide how things are written here: each frame is a `send` of its own,
hence a TLS record of its own (Goblins leaves a second frame of one record unread); nobody is ever pinged
(Goblins, as a client, answers unmasked), an unsolicited pong keeps the way open; of the pings that come, only
what there is room for is answered, so that a flood of them fills nothing.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable
from typing import ClassVar, Final

import trio
from websockets.exceptions import InvalidState
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import Event, Protocol, State

from goblins_py.abc import UNPROVED, Connection, Proof

__all__ = ["SILENT", "WebsocketConnection"]

SILENT: Final = logging.Logger("netlayers.websocket.frames")  # noqa: LOG001 - nobody shall switch it on
"""For the protocol classes, which would log what messages hold: swiss numbers among it."""
SILENT.disabled = True

_MOST_QUEUED: Final = 256
"""Frames that may wait to go out; beyond it control frames are not answered."""
_MOST_IN_A_ROW: Final = 64
"""Messages that are received before others may run."""
_MOST_FRAGMENTS: Final = 2**16
"""Fragments of one message; a proxy may cut it every 4 KiB, a hostile peer everywhere."""


class WebsocketConnection(Connection):
    """A websocket whose opening handshake is done. It owns the stream.

    Args:
        stream: what carries the frames.
        protocol: in the state OPEN; its `max_message_size` is the limit of one message.
        events: what `protocol` has read already beyond the handshake.
    """

    message_oriented: ClassVar[bool] = True

    def __init__(self, stream: Connection, protocol: Protocol, events: Iterable[Event] = ()) -> None:
        self._stream = stream
        self._protocol = protocol
        self._proof = UNPROVED
        self._messages: deque[bytes] = deque()
        self._in_a_row = 0  # messages received since others could run
        self._parts = bytearray()  # of a message that comes in fragments
        self._fragments = 0  # how many of it
        self._queue: deque[bytes] = deque()  # frames on their way out, the first perhaps in part
        self._begun = False  # the message of a send_nowait that took nothing was queued, or is out by now
        self._sending = False
        self._idle = True  # nothing was sent since the last `keep_alive`
        self._waiting_since: float | None = None  # when `receive` began to wait for the stream
        self._fault: str | None = None  # why nothing more can be received
        self._ended = False
        self._closed = False
        self._take_all(events)

    @property
    def proof(self) -> Proof:
        """See `Connection.proof`."""
        return self._proof

    @property
    def remote_address(self) -> str | None:
        """See `Connection.remote_address`; behind a reverse proxy, the proxy's."""
        return self._stream.remote_address

    def admit(self, proof: Proof, max_message_size: int) -> None:
        """The peers have made themselves known: from now on this is a connection of CapTP."""
        self._proof = proof
        self._protocol.max_message_size = max_message_size

    # --- sending ---

    async def send(self, data: bytes) -> None:
        """See `Connection.send`. An empty message, which nobody could tell from the end, breaks it."""
        self._check_sendable()
        if not self._begun:
            self._queue.append(self._frame(data))
        self._sending = True
        try:
            while self._queue:
                await self._stream.send(self._queue[0])
                self._queue.popleft()
        finally:
            self._sending = self._begun = False
        self._idle = False

    def send_nowait(self, data: bytes) -> int:
        """See `Connection.send_nowait`.

        A message that was not taken must come first in the next `send` or `send_nowait`: part
        of it may be out already.
        """
        self._check_sendable()
        if not self._begun:
            self._queue.append(self._frame(data))
        self._begun = not self._drain()
        self._idle = False
        return 0 if self._begun else len(data)

    def keep_alive(self, now: float, patience: float) -> bool:
        """Say something if nothing was said since the last call: without waiting, a pong.

        Args:
            now: seconds on trio's clock.
            patience: seconds that the far end may stay silent; infinite if it owes us nothing.

        Returns:
            False: it was silent for longer, or the connection is of no use any more.
        """
        if self._closed or self._ended or self._fault is not None:
            return False
        if self._waiting_since is not None and now - self._waiting_since > patience:
            return False
        if self._idle and self._protocol.state is State.OPEN:
            self._protocol.send_pong(b"")
            self._answer()
        self._idle = True
        return True

    def _check_sendable(self) -> None:
        if self._closed:
            raise trio.ClosedResourceError("this connection was closed here")
        if self._sending:
            raise trio.BusyResourceError("another task is using this connection the same way")

    def _frame(self, data: bytes) -> bytes:
        if not data:
            raise self._break("an empty message cannot be sent")
        try:
            self._protocol.send_binary(data)
        except InvalidState:
            raise trio.BrokenResourceError(self._fault or "the far end has closed the websocket") from None
        return b"".join(self._protocol.data_to_send())

    def _drain(self) -> bool:
        """Write what the system takes; whether that was everything."""
        queue = self._queue
        while queue:
            part = queue[0]
            taken = self._stream.send_nowait(part)
            if taken < len(part):
                queue[0] = part[taken:]
                return False
            queue.popleft()
        return True

    def _answer(self) -> None:
        """Queue what the protocol wants said, and say it unless a message is in the way."""
        for frame in self._protocol.data_to_send():
            if frame and len(self._queue) < _MOST_QUEUED:  # an empty one stands for the end of the stream
                self._queue.append(frame)
        if self._sending or self._begun:
            return
        try:
            self._drain()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # whoever sends or receives next meets it again

    # --- receiving ---

    async def receive(self) -> bytes:
        """See `Connection.receive`: one message. A text, or one over the limit, breaks it."""
        if self._closed:
            raise trio.ClosedResourceError("this connection was closed here")
        if self._has_something():
            await self._pause()
        while not self._has_something():
            self._waiting_since = trio.current_time()
            try:
                data = await self._stream.receive()
            finally:
                self._waiting_since = None
            self._feed(data)
        return self._next()

    async def _pause(self) -> None:
        """A checkpoint; but the messages of one read are had in a row, as those of a stream are."""
        self._in_a_row += 1
        if self._messages and self._in_a_row < _MOST_IN_A_ROW:
            await trio.lowlevel.checkpoint_if_cancelled()
        else:
            self._in_a_row = 0
            await trio.lowlevel.checkpoint()

    async def await_first_message(self) -> bool:
        """Wait until something can be received; False: the connection has ended instead.

        Raises: as `receive`, which will serve what has come.
        """
        message = await self.receive()
        if message:
            self._messages.appendleft(message)
        return bool(message)

    def _has_something(self) -> bool:
        return bool(self._messages) or self._ended or self._fault is not None

    def _next(self) -> bytes:
        if self._closed:  # meanwhile
            raise trio.ClosedResourceError("this connection was closed here")
        if self._messages:
            return self._messages.popleft()
        if self._fault is not None:
            raise trio.BrokenResourceError(self._fault)
        return b""

    def _feed(self, data: bytes) -> None:
        protocol = self._protocol
        if data:
            protocol.receive_data(data)
        else:
            protocol.receive_eof()
            self._end()
        self._take_all(protocol.events_received())

    def _take_all(self, events: Iterable[Event]) -> None:
        for event in events:
            if isinstance(event, Frame) and self._fault is None and not self._ended:
                self._take(event)
        error = self._protocol.parser_exc
        if error is not None and not isinstance(error, EOFError) and self._fault is None:
            self._fault = f"what came is no websocket message that we take: {error}"
        self._answer()

    def _take(self, frame: Frame) -> None:
        match frame.opcode:
            case Opcode.BINARY if frame.fin:
                self._deliver(bytes(frame.data))
            case Opcode.BINARY | Opcode.CONT:
                self._collect(frame)
            case Opcode.TEXT:
                self._refuse(CloseCode.UNSUPPORTED_DATA, "a text message, where messages are binary")
            case Opcode.CLOSE:
                self._end()
            case _:
                pass  # a ping, which the protocol has answered, or a pong

    def _collect(self, fragment: Frame) -> None:
        self._parts += fragment.data
        self._fragments += 1
        if fragment.fin:
            message = bytes(self._parts)
            self._parts, self._fragments = bytearray(), 0
            self._deliver(message)
        elif self._fragments >= _MOST_FRAGMENTS:
            self._refuse(CloseCode.POLICY_VIOLATION, f"a message in over {_MOST_FRAGMENTS} fragments")

    def _deliver(self, message: bytes) -> None:
        if message:
            self._messages.append(message)
        else:
            self._refuse(CloseCode.UNSUPPORTED_DATA, "an empty message")

    def _end(self) -> None:
        if self._fragments:
            self._fault = "the connection was lost within a message"
        self._ended = True

    # --- both ---

    async def aclose(self) -> None:
        """See `Connection.aclose`. Tasks in `send` and `receive` get `trio.ClosedResourceError`."""
        if not self._closed:
            if self._protocol.state is State.OPEN and not (self._sending or self._begun):
                self._protocol.send_close(CloseCode.NORMAL_CLOSURE)
                self._answer()
            self._closed = True
            self._messages.clear()
        await self._stream.aclose()

    def _refuse(self, code: CloseCode, reason: str) -> None:
        self._fault = reason
        if self._protocol.parser_exc is None and self._protocol.state is State.OPEN:
            self._protocol.fail(code, reason)

    def _break(self, reason: str) -> trio.BrokenResourceError:
        self._fault = reason
        return trio.BrokenResourceError(reason)
