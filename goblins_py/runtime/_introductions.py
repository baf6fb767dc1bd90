"""Handoffs at run time: the receiver's withdrawals, and the exporter's desk for each session.

What is decided lives in `captp` (certificates, gifts); here it is done, in turns.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from goblins_py.abc import Asker
from goblins_py.actors import (
    HandlerTurn,
    Message,
    NearOnly,
    Promise,
    Ref,
    Resolve,
    Vat,
    make_promise,
    on,
    outcome_of,
    require_turn,
)
from goblins_py.captp import (
    NO_REASON,
    GiftDesk,
    Given,
    Introduced,
    Session,
    SessionLimits,
    make_receive,
    verify_own_give,
    verify_withdrawal,
)
from goblins_py.errors import HandoffError, RemoteError
from goblins_py.locators import PeerLocator
from goblins_py.syrup import Symbol

__all__ = ["Introductions"]

_WITHDRAW: Final = Symbol("withdraw-gift")
_TRIES: Final = 8


class Introductions(NearOnly):
    """All handoffs of one mycapn.

    Args:
        connect: a promise of a peer's bootstrap object, for whoever asks for it; called in a turn.
        is_ours: whether a locator is one of our own.
        limits: of what each peer may have waiting here.
    """

    def __init__(
        self,
        vat: Vat,
        connect: Callable[[PeerLocator, Asker | None], Promise[Any]],
        is_ours: Callable[[PeerLocator], bool],
        limits: SessionLimits | None = None,
    ) -> None:
        self._vat = vat
        self._connect = connect
        self._is_ours = is_ours
        self._limits = limits or SessionLimits()
        self._sessions: dict[bytes, tuple[Session, GiftDesk]] = {}

    # --- sessions ------------------------------------------------------------

    def open(self, session: Session) -> None:
        """A session has started: its peer may deposit gifts."""
        self._sessions[session.session_id] = (session, GiftDesk(self._limits))

    def close(self, session: Session) -> None:
        """It has ended: its gifts are gone. Between turns; nothing if it never started."""
        if session.peer is None:
            return
        gone = session.session_id  # asked once: it is computed, and the sessions left may be thousands
        _, desk = self._sessions.pop(gone, (None, None))
        if desk is not None:
            self._vat.post(HandlerTurn(desk.close, ("the session with the gifter has ended",)))
            for _, other in self._sessions.values():
                other.forget(gone)

    def _find(self, session_id: bytes) -> Session | None:
        session, _ = self._sessions.get(session_id, (None, None))
        return session

    # --- exporter --------------------------------------------------------------

    def deposit(self, session: Session, gift_id: object, gift: object) -> None:
        """A gifter deposits one of our objects. Raises `HandoffError`."""
        self._desk(session).deposit(gift_id, gift)

    def withdraw(self, session: Session, envelope: object) -> object:
        """A receiver comes for its gift: the object, or a promise of it. Raises `HandoffError`."""
        withdrawal = verify_withdrawal(
            envelope, receiver=session, gifter_of=self._find, is_ours=self._is_ours
        )
        desk = self._sessions[withdrawal.gifter.session_id][1]
        desk.use(withdrawal.receiver, withdrawal.count)
        return self._claim(desk, withdrawal.gift_id)

    def _claim(self, desk: GiftDesk, gift_id: object) -> object:
        gift = desk.claim(gift_id)
        if gift is not None:
            return gift
        promise, resolver = make_promise()
        waiting = desk.wait(gift_id, promise, resolver)
        seconds = self._limits.gift_seconds
        late = f"the gift was not deposited within {seconds:g} s"
        self._vat.host.post_later(seconds, self._vat, HandlerTurn(desk.give_up, (gift_id, resolver, late)))
        return waiting

    def _desk(self, session: Session) -> GiftDesk:
        entry = self._sessions.get(session.session_id)
        if entry is None:
            raise HandoffError("the session has ended")
        return entry[1]

    # --- receiver ----------------------------------------------------------------

    def receive(self, gifter: Session, introduced: Introduced, asked_by: Asker | None = None) -> None:
        """We were given somebody's object: withdraw it, in a turn of its own.

        Args:
            asked_by: the gifter, who may make us dial the exporter.
        """
        self._vat.post(HandlerTurn(self._receive, (gifter, introduced.given, introduced.promise, asked_by)))

    def _receive(
        self, gifter: Session, given: Given, promise: Promise[object], asked_by: Asker | None
    ) -> None:
        if self._is_ours(given.exporter):
            self._resolve(promise, on(None, lambda _: self._withdraw_own(given)))
            return
        bootstrap = on(None, lambda _: self._connect(given.exporter, asked_by))
        gift = on(bootstrap, partial(self._withdraw, gifter, given, 1))
        self._resolve(promise, gift)

    def _withdraw_own(self, given: Given) -> object:
        gifter, gift_id = verify_own_give(given.envelope, gifter_of=self._find)
        return self._claim(self._sessions[gifter.session_id][1], gift_id)

    def _withdraw(self, gifter: Session, given: Given, attempt: int, bootstrap: Ref[Any]) -> Promise[Any]:
        exporter: Any = bootstrap._connector
        if not isinstance(exporter, Session):
            raise HandoffError("the exporter is no remote peer")
        count = exporter.next_count()
        envelope = make_receive(given, gifter=gifter, exporter=exporter, count=count)
        turn = require_turn()
        answer: Promise[Any] = Promise(turn.home)
        turn.effects.append(Message(bootstrap, (_WITHDRAW, envelope), answer=answer))

        def refused(reason: BaseException) -> object:
            if bootstrap._connector is not exporter:  # it lost a crossing: the winner has another id
                return self._withdraw(gifter, given, attempt, bootstrap)
            untold = isinstance(reason, RemoteError) and reason.reason == NO_REASON
            if attempt >= _TRIES or not untold:
                raise reason
            exporter.skip_counts()
            return self._withdraw(gifter, given, attempt + 1, bootstrap)

        return on(answer, None, refused)

    def _resolve(self, promise: Promise[object], outcome: Promise[object]) -> None:
        require_turn().effects.append(Resolve(promise, outcome_of(outcome)))
