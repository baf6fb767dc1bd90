"""CapTP, sans-I/O: sessions between peers. Bytes in, events out; messages in, bytes out."""

from goblins_py.captp._keys import SessionKeys
from goblins_py.captp._lifecycle import SessionEvent, SessionState
from goblins_py.captp._session import CAPTP_VERSION, Event, Session, SessionLimits, Severed, Started

__all__ = [
    "CAPTP_VERSION",
    "Event",
    "Session",
    "SessionEvent",
    "SessionKeys",
    "SessionLimits",
    "SessionState",
    "Severed",
    "Started",
]
