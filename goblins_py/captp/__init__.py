"""CapTP, sans-I/O: sessions between peers. Bytes in, events out; messages in, bytes out."""

from goblins_py.captp._chases import read_path
from goblins_py.captp._dialects import OURS, Dialect
from goblins_py.captp._events import Event, Introduced, Severed, Started
from goblins_py.captp._gifts import GiftDesk
from goblins_py.captp._greeting import CAPTP_VERSION
from goblins_py.captp._handoff import Given, Withdrawal, make_receive, verify_own_give, verify_withdrawal
from goblins_py.captp._keys import SessionKeys
from goblins_py.captp._lifecycle import TRANSITIONS, SessionEvent, SessionState
from goblins_py.captp._limits import SessionLimits
from goblins_py.captp._peers import Abort, Action, Await, Belief, Fail, GiveUp, HandOver, PeerTable, Use
from goblins_py.captp._reasons import NO_REASON
from goblins_py.captp._session import Session

__all__ = [
    "CAPTP_VERSION",
    "NO_REASON",
    "OURS",
    "TRANSITIONS",
    "Abort",
    "Action",
    "Await",
    "Belief",
    "Dialect",
    "Event",
    "Fail",
    "GiftDesk",
    "GiveUp",
    "Given",
    "HandOver",
    "Introduced",
    "PeerTable",
    "Session",
    "SessionEvent",
    "SessionKeys",
    "SessionLimits",
    "SessionState",
    "Severed",
    "Started",
    "Use",
    "Withdrawal",
    "make_receive",
    "read_path",
    "verify_own_give",
    "verify_withdrawal",
]
