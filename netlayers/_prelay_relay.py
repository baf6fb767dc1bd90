"""A client's tie to its relay: found, registered with, lost, found again.

All of it happens in turns. Attempts are spaced by doubling waits, each varied by chance, so that a thousand
clients of a relay that comes back do not all come at once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from enum import Enum
from functools import partial
from typing import Any, Final

import trio

from goblins_py.abc import Io
from goblins_py.actors import (
    Connector,
    Promise,
    Ref,
    Resolver,
    make_promise,
    on,
    on_sever,
    send,
    spawn,
    timeout,
)
from goblins_py.errors import ConnectFailedError, Refusal, RemoteError
from goblins_py.locators import Sturdyref
from netlayers._prelay_connection import told

__all__ = ["RelayTie", "backoff"]

PATIENCE: Final = 30.0
"""Seconds for each step at the relay."""
_ABSENCE: Final = 20.0
"""Seconds for a dial to wait until there is one."""
_FIRST: Final = 0.5
_LONGEST: Final = 60.0
_DOUBLINGS: Final = 10

_log = logging.getLogger("netlayers.prelay")


def backoff(attempt: int, chance: float) -> float:
    """Seconds to wait before attempt number `attempt`, from 0: doubling, bounded, half of it by chance.

    Args:
        chance: from 0 to 1.
    """
    whole = min(_LONGEST, _FIRST * 2.0 ** min(attempt, _DOUBLINGS))
    return whole * (0.5 + chance / 2)


class _State(Enum):
    SEEKING = "seeking"
    TIED = "tied"
    WAITING = "waiting"


class RelayTie:
    """See the module.

    Args:
        enliven: an object with the message `enliven`.
        listener: the behaviour of the object that takes incoming sessions.
        on_lost: told why, in a turn, whenever the relay is lost.
    """

    def __init__(
        self,
        io: Io,
        enliven: Ref[Any],
        controller: Sturdyref,
        *,
        listener: Callable[..., object],
        on_lost: Callable[[str], None],
    ) -> None:
        self._io = io
        self._enliven = enliven
        self._sturdyref = controller
        self._listener = listener
        self._on_lost = on_lost
        self._state = _State.WAITING
        self._controller: Ref[Any] | None = None
        self._watched: Connector | None = None
        self._attempt = 0
        self._number = 0  # of attempts in all: what belongs to an earlier one is not heeded
        self._why = "not tried yet"
        self._awaited: tuple[Promise[Any], Resolver[Any]] | None = None

    @property
    def is_tied(self) -> bool:
        """Is this client registered at its relay?"""
        return self._state is _State.TIED

    def controller(self) -> Promise[Any] | Ref[Any]:
        """The controller, or a promise of it that breaks with `ConnectFailedError` if it takes too long."""
        if self._controller is not None:
            return self._controller
        if self._awaited is None:
            self._awaited = make_promise()
        return on(timeout(self._awaited[0], _ABSENCE), None, self._not_there)

    def _not_there(self, _: BaseException) -> object:
        error = ConnectFailedError("there is no connection to our relay")
        error.add_note(f"the relay: {self._why}")
        raise error

    # --- attempts ----------------------------------------------------------------

    def seek(self) -> None:
        """Find the controller and register with it; in a turn. For ever, until it works."""
        self._state = _State.SEEKING
        self._number += 1
        number = self._number
        found = timeout(send(self._enliven).enliven(self._sturdyref), PATIENCE)
        on(found, partial(self._found, number), partial(self._failed, number))

    def _found(self, number: int, controller: Ref[Any]) -> None:
        listener = spawn(self._listener)
        registered = timeout(send(controller).set_session_listener(listener), PATIENCE)
        on(registered, lambda _: self._registered(number, controller), partial(self._failed, number))

    def _registered(self, number: int, controller: Ref[Any]) -> None:
        if number != self._number or self._state is not _State.SEEKING:
            return
        _log.info("registered at the relay %r", self._sturdyref.peer)
        self._state, self._controller, self._attempt = _State.TIED, controller, 0
        self._watch(controller)
        awaited, self._awaited = self._awaited, None
        if awaited is not None:
            awaited[1].fulfill(controller)

    def _watch(self, controller: Ref[Any]) -> None:
        """Once per base session, however often we register over it."""
        connector = controller._connector
        if connector is not None and connector is not self._watched:
            self._watched = connector
            on_sever(controller, partial(self._severed, connector))

    def dismissed(self, reason: str) -> None:
        """The relay says that it serves us no more; in a turn. We ask again, whether that lasts."""
        if self._state is not _State.TIED:
            return
        _log.warning("dismissed by the relay %r: %s", self._sturdyref.peer, reason)
        self._controller = None
        self._on_lost(f"dismissed by the relay: {reason}")
        self._wait(reason)

    def _severed(self, connector: Connector, reason: str) -> None:
        if connector is not self._watched:
            return
        self._watched = self._controller = None
        self._on_lost(f"the connection to the relay was lost: {reason}")
        if self._state is not _State.WAITING:
            self._wait(f"the connection was lost: {reason}")

    def _failed(self, number: int, error: BaseException) -> None:
        if number == self._number and self._state is _State.SEEKING:
            refused = isinstance(error, RemoteError | Refusal)
            self._wait(_with_notes(error), logging.WARNING if refused else logging.INFO)

    def _wait(self, why: str, level: int = logging.INFO) -> None:
        self._state, self._why = _State.WAITING, why
        chance = self._io.random_bytes(1)[0] / 255
        seconds = backoff(self._attempt, chance)
        _log.log(level, "the relay %r: %s; again in %.1f s", self._sturdyref.peer, why, seconds)
        self._attempt += 1
        on(self._io.start(trio.sleep, seconds), lambda _: self.seek())


def _with_notes(error: BaseException) -> str:
    notes = [note for note in getattr(error, "__notes__", ()) if isinstance(note, str)]
    return "; ".join([told(error), *notes])
