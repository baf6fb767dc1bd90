"""Finds out whether a silent peer is still there, where the transport cannot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio

from goblins_py.actors import Outcome, Vat, listen_outside, send_outside
from goblins_py.captp import Session, SessionState
from goblins_py.syrup import Symbol

__all__ = ["Keepalive"]

_FETCH: Final = Symbol("fetch")
_SWISS_BYTES: Final = 32


class Keepalive:
    """Of one session.

    The sign of life is any byte. It is asked for by fetching an object that nobody has: every peer of every
    kind answers that.

    Args:
        interval: seconds of silence after which it is asked for, and then to wait for it.
    """

    def __init__(self, vat: Vat, session: Session, interval: float) -> None:
        self._vat = vat
        self._session = session
        self._interval = interval
        self._heard_at = trio.current_time()

    def heard(self) -> None:
        """Something came from the peer."""
        self._heard_at = trio.current_time()

    async def watch(self, give_up: Callable[[str], None]) -> None:
        """Until the peer is silent although it was asked; then `give_up(reason)`."""
        while True:
            due = self._heard_at + self._interval
            await trio.sleep_until(due)
            if self._heard_at + self._interval > due:
                continue
            if self._session.state is SessionState.ESTABLISHED:
                self._ask()
            await trio.sleep(self._interval)
            if self._heard_at + self._interval <= due:
                give_up(f"the peer gave no sign of life for {2 * self._interval:g} s")
                return

    def _ask(self) -> None:
        nobody = self._vat.host.random_bytes(_SWISS_BYTES)
        answer = send_outside(self._vat, self._session.references.bootstrap, (_FETCH, nobody), {})
        listen_outside(answer, _ignore)


def _ignore(_: Outcome) -> None:
    """That it answered is all we wanted to know, and that was heard."""
