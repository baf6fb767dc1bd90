"""The life of a session, as a table: state -> event -> state. What is not listed is a protocol error."""

from __future__ import annotations

from enum import Enum
from typing import Final

__all__ = ["TRANSITIONS", "SessionEvent", "SessionState"]


class SessionState(Enum):
    """Where a session is."""

    GREETING = "greeting"
    """Our op:start-session is under way, the peer's has not come yet."""
    ESTABLISHED = "established"
    """Both have started."""
    SEVERED = "severed"
    """It has ended, for good."""


class SessionEvent(Enum):
    """What moves it."""

    START = "op:start-session"
    OPERATION = "an operation"
    END = "the end"
    """op:abort, either way, or the connection's end."""


TRANSITIONS: Final[dict[SessionState, dict[SessionEvent, SessionState]]] = {
    SessionState.GREETING: {
        SessionEvent.START: SessionState.ESTABLISHED,
        SessionEvent.END: SessionState.SEVERED,
    },
    SessionState.ESTABLISHED: {
        SessionEvent.OPERATION: SessionState.ESTABLISHED,
        SessionEvent.END: SessionState.SEVERED,
    },
    SessionState.SEVERED: {},
}
