"""The vat: an inbox, turns and churns. Synchronous; a host says when it may run.

A turn succeeds whole or not at all. A churn is what comes of one inbox item, until the vat is quiet;
only then (and once it is durable, in a persistent vat) does the host release what leaves the vat.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from enum import Enum
from typing import Final, cast

import attrs

from goblins_py.actors._crossroads import Junction
from goblins_py.actors._methods import SUSPENDED, Resume, SuspendedMethod
from goblins_py.actors._outgoing import Outgoing, Posting
from goblins_py.actors._portrait import Delta
from goblins_py.actors._promise import Answering, Broken, Message, Resolve
from goblins_py.actors._report import report_failure, report_unheard, without_traceback
from goblins_py.actors._turn import Effect, Host, Turn, Work, _current
from goblins_py.actors._vat_turn import VatTurn
from goblins_py.errors import VatClosedError

__all__ = ["Churn", "Keeper", "Vat"]


@attrs.define
class Churn:
    """What a churn leaves behind for the host.

    Attributes:
        outbox: to be released in order, once `delta` is durable.
        delta: what changed; None if nothing did, or the vat is not persistent.
    """

    outbox: list[Outgoing]
    delta: Delta | None


class Keeper(ABC):
    """Watches a persistent vat's turns and notes what has to be saved."""

    @abstractmethod
    def check(self, turn: Turn) -> None:
        """Portray what the turn changed. Raises `NotPortrayableError`: then the turn fails."""

    @abstractmethod
    def take_delta(self) -> Delta | None:
        """What changed since the last call."""

    def tidy(self) -> bool:
        """Called about once a second, between churns: is there anything to save or tell without a message?"""
        return False

    def closed(self) -> None:  # noqa: B027 - most have nobody to tell
        """The vat was closed."""


class Phase(Enum):
    """The life of a vat."""

    OPEN = "open"
    CLOSED = "closed"


_TOGETHER: Final = 16
"""Churns that leave what they leave together, where nothing is saved."""
_CLOSED: Final = Phase.CLOSED
"""Looked at for each message, and an enum's attribute takes its time."""


class Vat(Junction):
    """Objects that share one queue.

    Attributes:
        name: for people, in logs and reprs.
        verbose: tell peers what went wrong in detail (class and text of exceptions).
        keeper: of a persistent vat; set by whoever restores it.
    """

    def __init__(self, host: Host, name: str = "vat", *, verbose: bool = False) -> None:
        super().__init__()
        self.host = host
        self.name = name
        self.verbose = verbose
        self.keeper: Keeper | None = None
        self._phase = Phase.OPEN
        self._inbox: deque[Effect] = deque()
        self._turn = VatTurn(self)  # one for all turns: there is never more than one

    # --- from anywhere ---------------------------------------------------

    def post(self, item: Effect) -> None:
        if self._phase is _CLOSED:
            item.refuse(self.closed_error())
            return
        self._inbox.append(item)
        self.host.wake()
        self._refuse_if_closed()

    @property
    def busy(self) -> bool:
        """Is there anything to run?"""
        return bool(self.queue or self._inbox)

    @property
    def closed(self) -> bool:
        """Was it closed?"""
        return self._phase is _CLOSED

    @property
    def backlog(self) -> int:
        """How many items wait in the inbox."""
        return len(self._inbox)

    def closed_error(self) -> VatClosedError:
        """What whoever waits for a closed vat is told."""
        return VatClosedError(f"vat {self.name!r} is closed")

    # --- for the host ------------------------------------------------------

    def run(self, max_turns: int) -> Churn | None:
        """Run one churn, or go on with the one that was cut; call only while `busy`.

        Without a store some churns run together, as nothing of them has to be saved.

        Returns:
            What it leaves; None if it was cut after `max_turns` turns and nothing may leave yet (a
            persistent vat saves whole churns only; another one lets go of what it has).
        """
        queue, inbox = self.queue, self._inbox
        more = _TOGETHER if self.keeper is None else 1
        if inbox and (not queue or self.keeper is None):  # a churn that was cut does not starve others
            more -= 1
            self._begin_churn(inbox.popleft())
        while max_turns > 0:
            if queue:
                max_turns -= 1
                self._run_turn(queue.popleft())
            elif inbox and more > 0 and self.keeper is None:
                more -= 1
                self._begin_churn(inbox.popleft())
            else:
                break
        if queue and self.keeper is not None:
            return None
        if self.unheard:
            self._report_unheard()
        delta = None if self.keeper is None else self.keeper.take_delta()  # first: it may add to the outbox
        outbox, self.outbox = self.outbox, []
        return Churn(outbox, delta)

    def _begin_churn(self, item: Effect) -> None:
        if isinstance(item, Message) and item.answer is not None and item.answer._home is not self:
            self.owed.add(item.answer)
        item.commit(self)

    def close(self) -> list[Outgoing]:
        """End it, and tell everyone who waits. Idempotent.

        Suspended methods get `VatClosedError` in a last turn whose effects are dropped.

        Returns:
            Nothing that needs saving: what outsiders are told.
        """
        if self.closed:
            return []
        self._phase = _CLOSED
        if self.keeper is not None:
            self.keeper.closed()
            for lost in self.outbox:  # of a churn that was cut: nothing of it is saved
                lost.drop(self.closed_error())
            self.outbox = []
        self._end_methods()
        while self.queue:
            self.queue.popleft().drop(self.closed_error())
        self._refuse_inbox()
        for outsider in list(self.outsiders):
            outsider.abandon(self.closed_error())
        self.outsiders.clear()
        for answer in self.owed:
            self.outbox.append(Posting(answer._home, Resolve(answer, Broken(self.closed_error()))))
        self.owed.clear()
        self._report_unheard()
        outbox, self.outbox = self.outbox, []
        return outbox

    def _refuse_if_closed(self) -> None:
        """Its own thread may have closed it while this one posted, and not have seen what was posted."""
        if self._phase is _CLOSED:
            self._refuse_inbox()

    def _refuse_inbox(self) -> None:
        inbox = self._inbox
        while inbox:
            try:
                item = inbox.popleft()
            except IndexError:  # another thread was faster
                return
            item.refuse(self.closed_error())

    def _end_methods(self) -> None:
        waiting = [*self.suspended, *(work.method for work in self.queue if isinstance(work, Resume))]
        self.suspended.clear()
        for method in waiting:
            self._last_turn(cast(SuspendedMethod, method))

    def _last_turn(self, method: SuspendedMethod) -> None:
        reason = self.closed_error()
        turn = self._turn
        _current.turn = turn
        try:
            method.stretch(turn, Broken(reason))
        except BaseException as error:  # noqa: BLE001 - the other methods end as well
            if error is not reason:
                report_failure(self.name, method.label, error)
        finally:
            self._undo(turn)
            method.close()

    # --- turns ---------------------------------------------------------------

    def _run_turn(self, work: Work) -> None:
        """Run one turn: all of it happens, or nothing but that its work hears of the failure."""
        turn = self._turn
        _current.turn = turn
        try:
            result = turn.deliver(work) if type(work) is Message else work.perform(turn)
            if turn.undo:
                if self.keeper is not None:
                    self.keeper.check(turn)
                turn.undo.clear()
        except BaseException as error:  # noqa: BLE001 - no method may stop a vat
            self._undo(turn)
            work.failed(self, error)
            return
        _current.turn = None
        effects = turn.effects
        if effects:
            turn.effects = []
            for effect in effects:
                if type(effect) is Message:  # as its `commit` does
                    self.route(effect)
                else:
                    effect.commit(self)
        if result is not SUSPENDED:
            work.done(self, result)

    def _undo(self, turn: VatTurn) -> None:
        try:
            turn.frame = turn.becoming = None
            turn.rollback()
        finally:
            _current.turn = None

    def fail(self, work: Answering, error: BaseException) -> None:
        cause = work.cause
        if isinstance(cause, Broken) and cause.reason is error:
            without_traceback(error)
            broken = cause.passed_on()
        else:
            report_failure(self.name, work.label, error)
            broken = Broken(error, heard=True)
        if work.answer is not None:
            self.resolve(work.answer, broken)
        else:
            broken.unheard = self.unheard

    def _report_unheard(self) -> None:
        while self.unheard:
            report_unheard(self.name, self.unheard.popleft())
