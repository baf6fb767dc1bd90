"""What goes out over a session before its peer has sent anything: noted, for the session may lose a crossing.

Both sides may dial each other at once; then one of the two connections is given up (crossed hellos). Whose
dial was answered cannot know yet that it is that one, and uses it. A peer that gives a connection up does so
before it reads any operation, and says so in its op:abort. So what was sent over it had no effect, and is
sent again over the other one, its heir; promises of answers, and the bootstrap object, become the heir's.

It must not know what a message looks like, nor who wins.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Final, Protocol

import attrs

from goblins_py.actors import Connector, Message, Promise, Select, reconnect
from goblins_py.captp._outbound import Outbound
from goblins_py.captp._tables import Remote

__all__ = ["Probation", "Way"]

_MOST: Final = 10_000
"""Messages that are noted; who sends more before the peer's first word comes takes the risk."""


class Way(Protocol):
    """What takes what is sent: a session, or its sending half. See `Connector`."""

    def deliver(self, target: Remote, message: Message) -> None: ...
    def select(self, target: Remote, request: Select) -> None: ...
    def listen(self, promise: Promise[object]) -> None: ...


@attrs.frozen
class _Note:
    """Something that is sent.

    Attributes:
        send: do it, by this way.
        answer: the promise of its answer.
    """

    send: Callable[[Way], None]
    answer: Promise[object] | None = None


class ProbationState(Enum):
    """How it stands with a session that we dialled."""

    ON = "on"
    """What is sent is noted."""
    OVER = "over"
    """No heir is possible any more, or too much was sent to be noted."""
    LIMBO = "limbo"
    """The session was given up for another one, which has not come yet."""
    INHERITED = "inherited"
    """What is sent goes to the heir."""


class Probation(Way):
    """The sending half of a session, from our op:start-session to the peer's first operation.

    Attributes:
        heir: to which all was handed over.
    """

    def __init__(self, outbound: Outbound) -> None:
        self.heir: Connector | None = None
        self._outbound = outbound
        self._state = ProbationState.ON
        self._notes: list[_Note] = []
        self._old: Connector | None = None

    def deliver(self, target: Remote, message: Message) -> None:
        """See `Connector.deliver`."""
        self._send(_Note(lambda way: way.deliver(target, message), message.answer))

    def select(self, target: Remote, request: Select) -> None:
        """See `Connector.select`."""
        self._send(_Note(lambda way: way.select(target, request), request.answer))

    def listen(self, promise: Promise[object]) -> None:
        """See `Connector.listen`."""
        self._send(_Note(lambda way: way.listen(promise)))

    def _send(self, note: _Note) -> None:
        match self._state:
            case ProbationState.ON:
                note.send(self._outbound)
                self._note(note)
            case ProbationState.OVER:
                note.send(self._outbound)
            case ProbationState.LIMBO:
                self._notes.append(note)
            case ProbationState.INHERITED:
                self._bequeath(note)

    def _note(self, note: _Note) -> None:
        if note.answer is None or not self._outbound.refused(note.answer):
            self._notes.append(note)
        if len(self._notes) > _MOST:
            self.end()

    @property
    def in_limbo(self) -> bool:
        """Does what was sent wait for an heir?"""
        return self._state is ProbationState.LIMBO

    def enter_limbo(self) -> bool:
        """The session was given up. False if it is too late to save what was sent over it."""
        if self._state is ProbationState.ON:
            self._state = ProbationState.LIMBO
        return self.in_limbo

    def end(self) -> None:
        """There will be no heir."""
        self._state = ProbationState.OVER
        self._notes.clear()

    def hand_over(self, old: Connector, heir: Connector) -> None:
        """Send all of it again, in order, by the heir, where all that comes late goes from now on."""
        self._state = ProbationState.INHERITED
        self._old, self.heir = old, heir
        notes, self._notes = self._notes, []
        for note in notes:
            self._bequeath(note)

    def _bequeath(self, note: _Note) -> None:
        if self._old is not None and self.heir is not None:
            if note.answer is not None:
                reconnect(note.answer, self._old, self.heir)
            note.send(self.heir)
