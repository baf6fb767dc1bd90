"""One account's half of an inner session: two objects, what they pass on, and how they end.

*session-in* is what the other side delivers to, *session-out* what the account's client delivers to. On one
relay the session-out of one account is next to the session-in of another; between two lies a base session.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import trio

from goblins_py.abc import Io
from goblins_py.actors import Promise, Ref, on
from goblins_py.errors import GoblinsError, NoSuchMethodError, Refusal, RemoteError, SessionSeveredError
from goblins_py.relay._hop import OVERHEAD, Hop
from goblins_py.relay._quota import Meter
from goblins_py.syrup import Symbol

__all__ = ["Leg", "told"]

_DELIVER: Final = Symbol("deliver")
_ABORT: Final = Symbol("abort")
_OVERDRAWN: Final = 2**20
"""Bytes sent while it was told to wait above which a client does not heed that."""
_LONGEST_REASON: Final = 200


class Leg:
    """See the module.

    Args:
        on_end: told once when it is over.

    Attributes:
        inward: to our client. outward: to the other side. Each is there before its object is given out, and
            gone once it is over.
    """

    def __init__(self, io: Io, meter: Meter, on_end: Callable[[Leg], None]) -> None:
        self.inward: Hop | None = None
        self.outward: Hop | None = None
        self._io = io
        self._meter = meter
        self._on_end = on_end
        self._over: str | None = None
        self._slowed: Promise[Any] | None = None
        self._overdrawn = 0

    def lead_in(self, deliver_in: Ref[Any]) -> None:
        """What comes in goes to this object of our client's."""
        self.inward = Hop(deliver_in, self._meter, on_failed=lambda error: self.client_lost(told(error)))

    def lead_out(self, other_side: Ref[Any]) -> None:
        """What our client says goes to this object."""
        lost = self.other_side_lost
        self.outward = Hop(other_side, self._meter, on_failed=lambda error: lost(told(error)))

    # --- the two objects -----------------------------------------------------------

    def session_in(self, method: object = None, argument: object = None) -> object:
        """The behaviour of what the other side delivers to."""
        if method == _ABORT:
            self.end(_text(argument), tell_out=False)
            return None
        message = self._message(method, argument)
        return self._pass_on(self.inward, message)

    def session_out(self, method: object = None, argument: object = None) -> object:
        """The behaviour of what our client delivers to."""
        if method == _ABORT:
            self.end(_text(argument), tell_in=False)
            return None
        message = self._message(method, argument)
        seconds = self._meter.spend(len(message) + OVERHEAD)
        if seconds <= 0:
            self._overdrawn = 0
            return self._pass_on(self.outward, message)
        self._overdrawn += len(message)
        if self._overdrawn > _OVERDRAWN:
            return self._overrun(f"more than {self._meter.quota.bytes_per_second} bytes a second")
        return self._slow_down(seconds, self._pass_on(self.outward, message))

    def _message(self, method: object, argument: object) -> bytes:
        if self._over is not None:
            raise Refusal(self._over or "this session has ended")
        if method != _DELIVER:
            raise NoSuchMethodError("a relayed session takes deliver and abort")
        if type(argument) is not bytes or not argument:
            raise Refusal("deliver takes bytes")
        return argument

    def _pass_on(self, hop: Hop | None, message: bytes) -> object:
        if hop is None:
            raise Refusal("this session is not there yet")
        refusal = hop.refusal(len(message))
        if refusal is not None:
            return self._overrun(refusal)
        if hop is self.inward:
            self._meter.received += len(message)
        else:
            self._meter.sent += len(message)
        return hop.deliver(message)

    def _slow_down(self, seconds: float, passed_on: object) -> object:
        """Answer no sooner than the account may send again. One wait at a time is enough for all."""
        if self._slowed is None:
            self._slowed = on(self._io.start(self._wait_for_allowance, seconds), self._go_on)
        slowed = self._slowed
        return on(passed_on, lambda _: slowed)

    async def _wait_for_allowance(self, seconds: float) -> None:
        while seconds > 0:
            await trio.sleep(seconds)
            seconds = self._meter.spend(0)  # more may have come meanwhile

    def _go_on(self, _: object) -> bool:
        self._slowed = None
        return True

    @property
    def over(self) -> str | None:
        """Why it has ended; None if it has not."""
        return self._over

    # --- the end ---------------------------------------------------------------------

    def _overrun(self, what: str) -> bool:
        """End it. No exception, which would undo that both sides are told."""
        self._meter.aborted += 1
        self.end(f"the relay ended this session: {what}")
        return False

    def end(self, reason: str, *, tell_in: bool = True, tell_out: bool = True) -> None:
        """Close both ways and say why; nothing if it is over already.

        Both are let go of: what is there holds our objects, and no collection finds a circle across vats.
        """
        if self._over is not None:
            return
        self._over = reason
        self._on_end(self)
        for hop, tell in ((self.inward, tell_in), (self.outward, tell_out)):
            if hop is not None:
                hop.close()
                if tell:
                    hop.abort(reason)
        self.inward = self.outward = None

    def client_lost(self, reason: str) -> None:
        """The account's client is gone."""
        self.end(f"the relay lost the peer: {reason}", tell_in=False)

    def other_side_lost(self, reason: str) -> None:
        """The base session to the other side's relay is gone."""
        self.end(f"the relay lost the peer's relay: {reason}", tell_out=False)


def told(error: BaseException) -> str:
    """An error as a reason for others: short, of one line, and without what is foreign."""
    match error:
        case Refusal(value=str(text)) | RemoteError(reason=str(text)) | SessionSeveredError(reason=str(text)):
            return _text(text)
        case RemoteError() | Refusal():
            return "it was refused"
        case GoblinsError():
            return _text("; ".join([str(error), *map(str, getattr(error, "__notes__", ()))]))
        case _:
            return type(error).__name__


def _text(reason: object) -> str:
    """A reason from elsewhere: empty if there is none."""
    if not isinstance(reason, str):
        return ""
    return "".join(char if char.isprintable() else "?" for char in reason[:_LONGEST_REASON])
