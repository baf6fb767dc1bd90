"""One inner session's path through the relay: whole messages in, whole messages out.

Here, and only here, a session's bytes enter and leave the relay: what wraps them end to end one day wraps
`send_nowait` and `take`. Going out, each message is a `deliver` to the relay's session-out, and so many bytes
may be unacknowledged that the path is never idle and no more; an answer is asked for once in a while, and
stands for all before it. Coming in, messages wait in a queue until the session takes them; the relay is not
answered while the queue is long.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import Enum
from functools import partial
from typing import Any, Final, cast

import trio

from goblins_py.abc import Connection, Io, Proof
from goblins_py.actors import Broken, Home, Outcome, Ref, Vat, listen_outside, make_message, send_outside
from goblins_py.errors import GoblinsError, NoSuchMethodError, Refusal, RemoteError, SessionSeveredError
from goblins_py.syrup import Symbol
from netlayers._prelay_budget import Budget

__all__ = ["INBOXES", "DeliverIn", "PrelayConnection", "told"]

WINDOW: Final = 256 * 1024
"""Bytes on their way to the relay that it has not acknowledged; one message may be larger."""
_ASK_EVERY: Final = 32 * 1024
"""Bytes after which an answer is asked for."""
_INBOX_SOFT: Final = 128 * 1024
"""Bytes that wait to be received above which the relay gets no answers."""
_INBOX_HARD: Final = 4 * 2**20
"""Bytes above which whoever goes on sending is flooding us: the session ends."""
INBOXES: Final = 64 * 2**20
"""The same for all sessions of a netlayer together. Then those end that are above the soft bound and grow."""
_OVERHEAD: Final = 64
"""What a message counts beside its bytes, so that empty ones are not free."""
_LONGEST_REASON: Final = 200

_DELIVER: Final = Symbol("deliver")
_ABORT: Final = Symbol("abort")


class _State(Enum):
    OPENING = "opening"
    OPEN = "open"
    ENDED = "ended"
    """The far end has closed: what has come can still be received."""
    LOST = "lost"
    CLOSED = "closed"


class PrelayConnection(Connection):
    """One end of an inner session.

    Args:
        home: the vat in which all this happens.
        budget: of the netlayer, for what goes out.
        inboxes: of the netlayer, for what has come and waits.
        on_close: told once it carries nothing any more.
    """

    message_oriented = True

    def __init__(
        self,
        home: Home,
        io: Io,
        proof: Proof,
        *,
        budget: Budget,
        inboxes: Budget,
        on_close: Callable[[PrelayConnection], None],
    ) -> None:
        self._home = home
        self._io = io
        self._proof = proof
        self._budget = budget
        self._inboxes = inboxes
        self._held = 0  # of the budget
        self._on_close = on_close
        self._state = _State.OPENING
        self._why = ""
        self._out: Ref[Any] | None = None
        self._inbox: deque[bytes] = deque()
        self._inbox_size = 0
        self._unacknowledged = 0
        self._unasked = 0
        self._asked = False
        self._changed = trio.lowlevel.ParkingLot()

    @property
    def proof(self) -> Proof:
        """See `Connection.proof`: the relays say so, see docs/protocol/prelay."""
        return self._proof

    @property
    def why_lost(self) -> str | None:
        """See `Connection.why_lost`."""
        return self._why or None

    @property
    def is_over(self) -> bool:
        """Was it closed or lost already?"""
        return self._state in _OVER

    # --- out -------------------------------------------------------------------

    def open(self, session_out: Ref[Any]) -> None:
        """The path is there; in a turn."""
        if self._state is _State.OPENING:
            self._state, self._out = _State.OPEN, session_out
        elif self._state is _State.CLOSED:
            self._say_goodbye(session_out)
        self._changed.unpark_all()

    async def send(self, data: bytes) -> None:
        """See `Connection.send`. Cancelled, nothing of the message has left."""
        await trio.lowlevel.checkpoint()
        while not self.send_nowait(data):
            await self._changed.park()

    def send_nowait(self, data: bytes) -> int:
        """See `Connection.send_nowait`: all, or nothing while the window is full."""
        self._check_sending()
        out = self._out
        answers_come = self._unacknowledged > self._unasked
        if out is None or (answers_come and self._unacknowledged + len(data) > WINDOW):
            return 0
        if not self._budget.has_room(self._changed.unpark_all):
            return 0
        self._unacknowledged += len(data)
        self._unasked += len(data)
        if self._asked and self._unasked < _ASK_EVERY:
            self._home.post(make_message(out, (_DELIVER, data), {}, None))
        else:
            self._deliver_and_ask(out, data)
        return len(data)

    def _deliver_and_ask(self, out: Ref[Any], data: bytes) -> None:
        """With an answer, which stands for all that was sent up to now."""
        asked, self._unasked, self._asked = self._unasked, 0, True
        self._budget.take(asked)
        self._held += asked
        answer = send_outside(cast(Vat, self._home), out, (_DELIVER, data), {})
        listen_outside(answer, partial(self._acknowledged, asked))

    def _acknowledged(self, count: int, outcome: Outcome) -> None:
        self._unacknowledged -= count
        self._let_go(min(count, self._held))
        if isinstance(outcome, Broken):
            self.lose(told(outcome.reason))
        self._changed.unpark_all()

    def _let_go(self, count: int) -> None:
        self._held -= count
        self._budget.give_back(count)

    def _check_sending(self) -> None:
        match self._state:
            case _State.CLOSED:
                raise trio.ClosedResourceError("this connection was closed here")
            case _State.LOST | _State.ENDED:
                raise trio.BrokenResourceError(self._why or "the far end hung up")
            case _State.OPENING | _State.OPEN:
                pass

    # --- in --------------------------------------------------------------------

    def take(self, message: object) -> object:
        """A message from the relay, in a turn.

        Returns:
            True at once, or a promise of it once there is room again. Both say: send on.

        Raises:
            Refusal: the session has ended, this is no message, or there were far too many.
        """
        if self._state not in _TAKING:
            raise Refusal("this session has ended")
        if type(message) is not bytes or not message:
            raise Refusal("deliver takes bytes")
        if self._is_flooded():
            self.lose("the relay sent much more than was acknowledged")
            raise Refusal("this session has ended: too much was sent at once")
        self._inbox.append(message)
        self._inbox_size += len(message) + _OVERHEAD
        self._inboxes.take(len(message) + _OVERHEAD)
        self._changed.unpark_all()
        return True if self._inbox_size <= _INBOX_SOFT else self._io.start(self._room)

    def _is_flooded(self) -> bool:
        return self._inbox_size > (_INBOX_SOFT if self._inboxes.is_spent else _INBOX_HARD)

    async def _room(self) -> bool:
        while self._inbox_size > _INBOX_SOFT:
            if self._state is _State.CLOSED:
                raise Refusal("this session has ended")
            await self._changed.park()
        return True

    async def receive(self) -> bytes:
        """See `Connection.receive`. What had come is there even when the path is lost."""
        await trio.lowlevel.checkpoint()
        while True:
            if self._state is _State.CLOSED:
                raise trio.ClosedResourceError("this connection was closed here")
            if self._inbox:
                return self._take_out()
            if self._state is _State.ENDED:
                return b""
            if self._state is _State.LOST:
                raise trio.BrokenResourceError(self._why)
            await self._changed.park()

    def _take_out(self) -> bytes:
        message = self._inbox.popleft()
        self._inbox_size -= len(message) + _OVERHEAD
        self._inboxes.give_back(len(message) + _OVERHEAD)
        if self._inbox_size <= _INBOX_SOFT:
            self._changed.unpark_all()
        return message

    # --- the end -----------------------------------------------------------------

    def end(self, reason: object = None) -> None:
        """The far end, or the relay, says that it is over."""
        if self._state not in _TAKING:
            return
        if isinstance(reason, str) and reason:
            self.lose(_shortened(reason))
            return
        self._state = _State.ENDED
        self._over()

    def lose(self, reason: str) -> None:
        """The path is lost. Nothing if it has ended."""
        if self._state in _TAKING:
            self._state = _State.LOST
            self._why = reason
            self._over()

    async def aclose(self) -> None:
        """See `Connection.aclose`."""
        self.close()
        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        """The same at once."""
        if self._state is _State.CLOSED:
            return
        if self._state in _TAKING:
            self._say_goodbye(self._out)
        self._state = _State.CLOSED
        self._inbox.clear()
        self._inboxes.give_back(self._inbox_size)
        self._inbox_size = 0
        self._over()

    def _say_goodbye(self, out: Ref[Any] | None) -> None:
        if out is not None:
            self._home.post(make_message(out, (_ABORT,), {}, None))

    def _over(self) -> None:
        """Let go of the relay's object, too: it holds ours, and no collection finds a circle across vats."""
        self._out = None
        self._let_go(self._held)
        self._on_close(self)
        self._changed.unpark_all()


_TAKING: Final = frozenset({_State.OPENING, _State.OPEN})
_OVER: Final = frozenset({_State.LOST, _State.CLOSED})


class DeliverIn:
    """The behaviour of the object through which the relay delivers to a connection."""

    def __init__(self, connection: PrelayConnection) -> None:
        self._connection = connection

    def __call__(self, method: object = None, argument: object = None) -> object:
        if method == _DELIVER:
            return self._connection.take(argument)
        if method != _ABORT:
            raise NoSuchMethodError("a deliver-in takes deliver and abort")
        self._connection.end(argument)
        return None


def told(reason: BaseException) -> str:
    """Why something at the relay failed, for a log or an error: short, and of one line."""
    match reason:
        case Refusal(value=str(text)) | RemoteError(reason=str(text)):
            return _shortened(text)
        case SessionSeveredError():
            return f"the connection to the relay was lost: {_shortened(reason.reason)}"
        case RemoteError() | Refusal():
            return "the relay refused it, and does not say why"
        case GoblinsError():
            return _shortened(str(reason))
        case TimeoutError():
            return "the relay does not answer"
        case _:
            return type(reason).__name__


def _shortened(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text[:_LONGEST_REASON])
