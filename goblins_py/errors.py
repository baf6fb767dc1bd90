"""Every error of goblins_py, in one tree.

Each docstring says who is to blame and what still works afterwards.
No error text ever holds a secret: no swiss number, no key, no portrait.
"""

from __future__ import annotations

__all__ = [
    "ActorError",
    "CapTPError",
    "ConnectFailedError",
    "DesignatorMismatchError",
    "GoblinsError",
    "HandoffError",
    "InvalidHintError",
    "LocalProtocolError",
    "LocatorError",
    "NetlayerError",
    "NoCurrentTurnError",
    "NoSuchMethodError",
    "NotNearError",
    "NotPassableError",
    "NotPortrayableError",
    "PersistenceError",
    "QueueFullError",
    "Refusal",
    "RemoteError",
    "RemoteProtocolError",
    "SessionSeveredError",
    "StoreCorruptError",
    "StoreKeyError",
    "StoreLockedError",
    "SyrupDecodeError",
    "SyrupEncodeError",
    "SyrupError",
    "UnknownObjectError",
    "UnknownSwissNumError",
    "UnknownTransportError",
    "UpgradeFailedError",
    "VatClosedError",
    "VersionMismatchError",
]


class GoblinsError(Exception):
    """The root of all errors that goblins_py raises on purpose."""


# --- Syrup ---------------------------------------------------------------


class SyrupError(GoblinsError):
    """A value and its Syrup form do not fit together."""


class SyrupEncodeError(SyrupError, TypeError):
    """The caller gave a value that Syrup cannot write. Nothing was written."""


class SyrupDecodeError(SyrupError, ValueError):
    """Whoever made the bytes is to blame: they are no (canonical) Syrup, or pass a limit.

    A decoder that raised it stays broken: every later call raises it again.

    Attributes:
        offset: where in the whole input the offending token starts, in bytes.
    """

    def __init__(self, message: str, offset: int = 0) -> None:
        super().__init__(message)
        self.offset = offset

    def __str__(self) -> str:
        return f"{self.args[0]} (at byte {self.offset})"


# --- actors ----------------------------------------------------------------


class ActorError(GoblinsError):
    """The program used actors in a way that cannot work. The turn it happened in fails."""


class NoCurrentTurnError(ActorError):
    """Something that only a turn may do (spawn, near call, change state) was done outside one."""


class NotNearError(ActorError):
    """A reference of another vat or machine was called synchronously: use `send` instead."""


class NoSuchMethodError(ActorError):
    """The object has no message of that name. The object is untouched."""


class NotPassableError(ActorError, TypeError):
    """The sender put something into a message that cannot travel. Nothing was sent."""


class VatClosedError(ActorError):
    """The vat was closed, or had stopped, before this could happen in it."""


class Refusal(ActorError):
    """Raised by an object to break the promise with a passable value, on purpose.

    Attributes:
        value: the reason, any passable value. It crosses the wire as it is.
    """

    def __init__(self, value: object) -> None:
        super().__init__(value)
        self.value = value


# --- CapTP -----------------------------------------------------------------


class CapTPError(GoblinsError):
    """Something between two peers went wrong."""


class LocalProtocolError(CapTPError):
    """We asked a session for something that its state does not allow. The session is as before."""


class RemoteProtocolError(CapTPError):
    """The peer broke the protocol. Its session is aborted; all others go on."""


class SessionSeveredError(CapTPError):
    """The session that this depended on has ended; whether the message arrived is unknown.

    Attributes:
        reason: why, as a text.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"the session was severed: {reason}")
        self.reason = reason


class QueueFullError(CapTPError):
    """The peer does not read as fast as we send to it. This message was not sent; earlier ones were."""


class RemoteError(CapTPError):
    """An object elsewhere broke its promise. Data only: nothing of the peer's code runs here.

    Attributes:
        reason: what the peer gave as the reason, a passable value.
    """

    def __init__(self, reason: object) -> None:
        super().__init__(reason)
        self.reason = reason


class UnknownSwissNumError(CapTPError):
    """No object is registered under this swiss number (or no longer)."""


class HandoffError(CapTPError):
    """An introduction between three peers failed; the text says which check."""


# --- netlayers -------------------------------------------------------------


class NetlayerError(GoblinsError):
    """A netlayer cannot do what was asked of it."""


class UnknownTransportError(NetlayerError):
    """No netlayer for this transport is installed."""


class InvalidHintError(NetlayerError):
    """The locator's hints say nothing that this netlayer can dial."""


class ConnectFailedError(NetlayerError):
    """No address led to the peer. One note per address tried says why (`__notes__`)."""


class DesignatorMismatchError(NetlayerError):
    """Somebody else answered at that address: not the peer that the locator designates."""


# --- locators --------------------------------------------------------------


class LocatorError(GoblinsError, ValueError):
    """This is no well-formed locator or sturdyref. The text never repeats the swiss number."""


# --- persistence -----------------------------------------------------------


class PersistenceError(GoblinsError):
    """State cannot be saved or restored."""


class NotPortrayableError(PersistenceError):
    """An object holds something that cannot be saved. The turn that made it so is rolled back."""


class UnknownObjectError(PersistenceError):
    """The environment does not know a class, or two classes by one name."""


class StoreCorruptError(PersistenceError):
    """The store was damaged (not just cut short by a crash). It was not changed by us.

    Attributes:
        offset: where the first damaged record starts, in bytes.
    """

    def __init__(self, message: str, offset: int = 0) -> None:
        super().__init__(message)
        self.offset = offset

    def __str__(self) -> str:
        return f"{self.args[0]} (at byte {self.offset})"


class StoreKeyError(PersistenceError):
    """The store is encrypted and this is not its key, or none was given; or it is not encrypted at all.

    The store was not changed. The text never repeats a key.
    """


class StoreLockedError(PersistenceError):
    """Another process has the store open for writing."""


class VersionMismatchError(PersistenceError):
    """The store was written by a newer version, or lacks an upgrade to this one."""


class UpgradeFailedError(VersionMismatchError):
    """The program's own code that was to make saved state fit, an upgrade say, failed (see the cause).

    Nothing was started, and the store is as it was. The text names the class (or the roots) and the
    versions, and nothing of the state.
    """
