"""What goes out: messages and questions, listens, replies, and what we hold no more.

Everything here is called on the home vat's thread when a churn is released. Nothing here raises for what
somebody sent: what cannot be sent breaks the promise of its answer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final, cast
from weakref import ReferenceType, WeakKeyDictionary, WeakSet

from goblins_py.actors import (
    Broken,
    Fulfilled,
    Message,
    Outcome,
    Promise,
    Resolve,
    Select,
    SelectionKind,
    Vat,
)
from goblins_py.captp._chases import CYCLE, Chases
from goblins_py.captp._dialects import GOBLINS, OURS
from goblins_py.captp._limits import SessionLimits
from goblins_py.captp._marshal import write_args
from goblins_py.captp._outbox import Outbox
from goblins_py.captp._reasons import write_reason
from goblins_py.captp._records import (
    DescAnswer,
    DescExport,
    DescImportObject,
    OpDeliver,
    OpGcAnswers,
    OpGcExports,
    OpGet,
    OpIndex,
    OpListen,
    OpUntag,
    deliver_bytes,
    deliver_pieces,
    operation_bytes,
)
from goblins_py.captp._references import SessionReferences
from goblins_py.captp._reply import Reply
from goblins_py.captp._tables import HeldKind, Remote, WeakEntry
from goblins_py.errors import GoblinsError, NotPassableError, QueueFullError, Refusal, SessionSeveredError
from goblins_py.syrup import Symbol, encode

__all__ = ["Outbound"]

_FULFILL: Final = Symbol("fulfill")
_BREAK: Final = Symbol("break")
_FETCH: Final = Symbol("fetch")
_SWISS: Final = 32
"""Bytes of a swiss number."""
_SELECTIONS: Final[dict[SelectionKind, type]] = {
    SelectionKind.FIELD: OpGet,
    SelectionKind.ITEM: OpIndex,
    SelectionKind.UNTAGGED: OpUntag,
}
_LONG: Final = 2**14
"""Bytes of arguments above which a copy of them is worth a detour."""
_NEVER: Final = "nobody is left who could settle this promise"


class Outbound:
    """The sending half of a session.

    Attributes:
        waiting: promises that somebody here listens to, held until the peer settles them.
        unanswered: how many calls and listens of the peer's wait for a `reply`.
        lost: resolvers of those whose promise Python has collected: nobody could settle it any more.
        listening: the promises of ours at which such replies wait for a listen of the peer's.
    """

    def __init__(
        self, home: Vat, references: SessionReferences, outbox: Outbox, limits: SessionLimits
    ) -> None:
        self.waiting: set[Promise[object]] = set()
        self.unanswered = 0
        self.lost: deque[int] = deque()
        self.listening: WeakKeyDictionary[Reply, ReferenceType[Promise[object]]] = WeakKeyDictionary()
        self._home = home
        self._references = references
        self._outbox = outbox
        self._limits = limits
        self._refused: WeakSet[Promise[object]] = WeakSet()  # of calls that could not be sent
        self._has_refused = False  # any, ever: to look there takes as long as half a message
        self._chases = Chases(home.host.random_bytes)
        self._spent: dict[int, int] = {}  # positions of the peer's that we hold less often: how often
        self._severed: str | None = None

    def sever(self, reason: str) -> None:
        """From now on nothing can be sent."""
        self._severed = reason
        self.waiting.clear()
        self.listening.clear()
        self._chases.clear()
        self._spent.clear()

    # --- messages --------------------------------------------------------------

    def deliver(self, target: Remote, message: Message) -> None:
        """Send a message; its answer becomes a question."""
        answer = message.answer
        if self._severed is not None:
            self._refuse(answer, SessionSeveredError(self._severed))
            return
        references = self._references
        entry = references.imports.find(target)
        if entry is None:
            self._follow(target, message)
            return
        outbox, kwargs = self._outbox, message.kwargs
        if outbox.queued > outbox.hard or (answer is not None and references.exports.full):
            self._refuse(answer, self._full())
            return
        try:
            args = references.write(write_args(message.args, kwargs) if kwargs else message.args)
        except (NotPassableError, ValueError) as error:
            self._refuse(answer, NotPassableError(str(error)))
            return
        to = b"<11'desc:export%d+>" % entry.position if entry.kind is HeldKind.IMPORT else entry.address
        if answer is None:
            outbox.put(b"<10'op:deliver%b%bff>" % (to, args))
            return
        question = references.imports.ask(answer)
        if answer._home is not self._home:
            self.waiting.add(answer)  # its listeners are in its own vat, and do not tell us
        resolver = references.exports.ask(question)
        if len(args) > _LONG:
            outbox.put_long(*deliver_pieces(to, args, question.position, resolver))
        else:
            outbox.put(deliver_bytes(to, args, question.position, resolver))

    def select(self, target: Remote, request: Select) -> None:
        """Ask for a part of a promise; the answer becomes a question that is told of only if listened to."""
        answer = cast("Promise[object]", request.answer)
        if self._severed is not None:
            self._refuse(answer, SessionSeveredError(self._severed))
            return
        entry = self._references.imports.find(target)
        if entry is None:
            self._follow(target, request)
            return
        if self._outbox.full:
            self._refuse(answer, self._full())
            return
        question = self._references.imports.ask(answer, HeldKind.SELECTION)
        operation: Any = _SELECTIONS[request.selection.kind]
        self._outbox.put(
            operation_bytes(operation(_descriptor(entry), request.selection.key, question.position))
        )
        if answer._home is not self._home:
            self.listen(answer)  # its listeners are in its own vat, and do not tell us

    def refused(self, answer: Promise[object]) -> bool:
        """Is it the answer of a call that could not be sent?"""
        return answer in self._refused

    def _follow(self, target: Remote, message: Message) -> None:
        """The message was pipelined to a question that was not sent: it breaks as that does."""
        if isinstance(target, Promise) and target in self._refused:
            if message.answer is not None:
                self._note_refused(message.answer)
            self._home.post(message)
        else:
            self._refuse(message.answer, SessionSeveredError("the target is not of this session"))

    def _full(self) -> QueueFullError:
        if self._outbox.full:
            size = self._outbox.hard
            return QueueFullError(f"more than {size} bytes wait for the peer: queue_hard limit")
        count = self._limits.exports
        return QueueFullError(f"the peer holds {count} things or questions of ours: exports limit")

    def _refuse(self, answer: Promise[object] | None, error: GoblinsError) -> None:
        if answer is not None:
            self._note_refused(answer)
            answer._home.post(Resolve(answer, Broken(error)))

    def _note_refused(self, answer: Promise[object]) -> None:
        self._refused.add(answer)
        self._has_refused = True

    def listen(self, promise: Promise[object]) -> None:
        """Somebody here waits for a promise of the peer's: hold it, and if it is no question ask for it."""
        if self._has_refused and promise in self._refused:
            return
        entry = self._references.imports.find(promise)
        if entry is None or self._severed is not None:
            self._refuse(promise, SessionSeveredError(self._severed or "the promise is not of this session"))
            return
        if entry.kind is not HeldKind.QUESTION:
            if self._references.exports.full:
                self._refuse(promise, self._full())
                return
            resolver = self._references.exports.ask(entry)
            listen = OpListen(_descriptor(entry), DescImportObject(resolver), wants_partial=False)
            self._outbox.put(operation_bytes(listen))
        self.waiting.add(promise)

    def flush(self, promise: Promise[object]) -> None:
        """See that we hear when all has arrived that was sent to this promise of the peer's."""
        entry = self._references.imports.find(promise)
        if entry is not None and self._severed is None:
            to = DescAnswer if entry.kind is HeldKind.QUESTION else DescExport
            resolver = DescImportObject(self._references.exports.flush(entry))
            self._outbox.put(operation_bytes(OpListen(to(entry.position), resolver, wants_partial=False)))

    def ask_for_life(self) -> None:
        """Have the peer answer, whatever: where an unknown object is, or its bootstrap object.

        Guile Goblins prints a backtrace for the former, and Endo ends the session for the latter.
        """
        bootstrap = self._references.imports.find(self._references.bootstrap)
        if bootstrap is None:
            return
        resolver = DescImportObject(self._references.exports.flush(bootstrap))
        if self._references.dialect is GOBLINS:
            self._outbox.put(operation_bytes(OpListen(DescExport(0), resolver, wants_partial=False)))
        else:
            args = (_FETCH, self._home.host.random_bytes(_SWISS))
            self._outbox.put(operation_bytes(OpDeliver(DescExport(0), args, False, resolver)))

    def owns(self, promise: Promise[object]) -> bool:
        """Is it one that the peer has given us, and is to settle?"""
        entry = self._references.imports.find(promise)
        return entry is not None and entry.kind is HeldKind.IMPORT

    # --- cycles -----------------------------------------------------------------

    def forget(self, promise: Promise[object]) -> None:
        """Let go of a promise of the peer's, though it may still be there."""
        entry = self._references.imports.find(promise)
        if entry is not None:
            self._references.imports.forget(entry)

    def chase(self, promise: Promise[object], path: tuple[bytes, ...]) -> None:
        """See whether a promise of the peer's waits for itself: soon, or now if a chase is under way."""
        if path:
            self._chase_on(promise, path)
        else:
            self._chases.doubt(promise)

    def _chase_on(self, promise: Promise[object], path: tuple[bytes, ...]) -> None:
        entry = self._references.imports.find(promise)
        if entry is None or self._severed is not None or self._outbox.full:
            return
        if self._chases.closes(promise, path):
            self._home.post(Resolve(promise, Broken(Refusal(CYCLE))))
            self.forget(promise)
            return
        onward = self._chases.onward(promise, path)
        if onward is not None and self._references.dialect is OURS:  # others know nothing of this
            to = entry.address
            self._outbox.put(b"<10'op:deliver<11'desc:export0+>[5'chase%b%b]ff>" % (to, encode(onward)))

    # --- replies ----------------------------------------------------------------

    def reply(self, reply: Reply, outcome: Outcome) -> None:
        """Settle a promise of the peer's, through the resolver that it gave us."""
        self.unanswered -= 1
        if reply.in_order:  # of a listen: only those are noted
            self.listening.pop(reply, None)
        self._settle(reply.resolver, outcome)

    def _settle(self, resolver: int, outcome: Outcome) -> None:
        if self._severed is not None:
            return
        outbox = self._outbox
        if outbox.queued > outbox.hard:  # a small answer for a big one: a peer must read to get more
            outcome = Broken(self._full(), heard=True)
        try:
            if isinstance(outcome, Fulfilled):
                verdict = self._references.write((_FULFILL, outcome.value))
            else:
                verdict = self._break(outcome.reason)
        except NotPassableError as error:
            verdict = self._break(error)
        if len(verdict) > _LONG:
            outbox.put_long(b"<10'op:deliver<11'desc:export%d+>" % resolver, verdict, b"ff>")
        else:
            outbox.put(b"<10'op:deliver<11'desc:export%d+>%bff>" % (resolver, verdict))
        if resolver:
            self._spent[resolver] = self._spent.get(resolver, 0) + 1

    def _break(self, reason: BaseException) -> bytes:
        return self._references.write((_BREAK, write_reason(reason, verbose=self._home.verbose)))

    # --- garbage ------------------------------------------------------------------

    @property
    def has_garbage(self) -> bool:
        """Is there anything for `collect` to do?"""
        noted = self._spent or self._references.imports.collected or self.lost or self._chases.doubts
        return self._severed is None and bool(noted)

    def spend(self, position: int, count: int) -> None:
        """We hold something of the peer's so many times less. The bootstrap is not counted."""
        if position:
            self._spent[position] = self._spent.get(position, 0) + count

    def take_garbage(self) -> Callable[[], None]:
        """Take what we hold no more, and which promises will never settle: a function that tells the peer.

        It also asks after those that we have waited for for some time.
        """
        lost = [self.lost.popleft() for _ in range(len(self.lost))]
        answers = []
        for entry in self._references.imports.take_collected():
            if entry.kind is HeldKind.IMPORT:
                self.spend(entry.position, entry.count)
            else:
                answers.append(entry.position)
            entry.count = 0
        spent, self._spent = self._spent, {}
        return partial(self._tell_garbage, lost, answers, spent)

    def _tell_garbage(self, lost: list[int], answers: list[int], spent: dict[int, int]) -> None:
        """In one message each."""
        for promise in self._chases.due():
            if promise in self.waiting:
                self._chase_on(promise, ())
        for resolver in lost:
            self.unanswered -= 1
            self._settle(resolver, Broken(Refusal(_NEVER), heard=True))
        for position, count in self._spent.items():  # the resolvers, among others
            spent[position] = spent.get(position, 0) + count
        self._spent = {}
        if self._severed is not None:
            return
        if answers:
            self._outbox.put(operation_bytes(OpGcAnswers(tuple(answers))))
        if spent:
            self._outbox.put(operation_bytes(OpGcExports(tuple(spent), tuple(spent.values()))))


def _descriptor(entry: WeakEntry) -> DescExport | DescAnswer:
    """How something of the peer's is addressed."""
    return DescExport(entry.position) if entry.kind is HeldKind.IMPORT else DescAnswer(entry.position)
