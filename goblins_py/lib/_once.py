"""Requests that happen once, however often they come: the receiver's half; the caller's is `Outbox`.

A caller whose session was severed does not know whether its request was done. So each of its
requests has a number, and whoever does them remembers what it answered, in the same turn and so in
the same write as what it did. A request that comes again gets the old answer.

What is remembered is bounded: each request says up to which number its client knows the answers,
those are forgotten, and a client may be ahead of that by a window. Requests are done in the
order of their numbers, as between two who were never separated.

Each is tried in a turn of its own. If that turn fails at its end, for it would leave what cannot be
saved, there is no trace of it, and the next turn remembers that it failed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final

from goblins_py.actors import NearOnly, Promise, Ref, actor, is_near, on, require_turn, spawn
from goblins_py.errors import NoSuchMethodError, Refusal
from goblins_py.syrup import Leaf, Limits, Map, Record, Symbol, Tagged

__all__ = ["WINDOW", "Once", "OnceAnswers", "is_too_large", "parts_of", "spawn_once"]

WINDOW: Final = 64
"""How many requests of one client may be under way."""

_CLIENT_BYTES: Final = range(16, 65)
_MAX_CLIENTS: Final = 1000

_MAX_BYTES: Final = 4 * 2**20
_MAX_ITEMS: Final = 100_000
"""Of a request, or of its answer: well under what sessions take, for there is more in a message."""
_REFERENCE_BYTES: Final = 2048
"""What one may take in a message: as a handoff it has signatures and a place."""
_MAX_BITS: Final = int(Limits().digits / 0.302)
"""Of an integer that sessions take."""

Answer = tuple[bool, object]
"""What a request came to: true and the result, or false and the reason why it was not done."""

_log = logging.getLogger("goblins_py.lib")


@actor
class OnceAnswers:
    """What one client of a `Once` was answered, as far as it may ask again."""

    _done: int = 0
    _kept: Map[int, Any] = Map()
    _last: float = 0.0

    def recall(self, number: int, known: int) -> tuple[Answer, ...]:
        """The answer in a tuple; an empty one if this is the next request to be done.

        Args:
            known: the client has the answers to all requests up to this one, and will not ask again.

        Raises:
            Refusal: it is no request that the client may send now.
        """
        if not known < number <= known + WINDOW:
            raise Refusal(f"a request may be ahead of the last known answer by 1 to {WINDOW}")
        if number > self._done + 1:
            raise Refusal("a request that comes before this one is missing")
        if number <= self._done and number not in self._kept:
            raise Refusal("the client had said that it knows this answer")
        for old in [each for each in self._kept if each <= known]:
            self._kept = self._kept.delete(old)
        return () if number > self._done else (self._kept[number],)

    def keep(self, answer: Answer) -> None:
        """The next request was done, and this is its answer."""
        self._done += 1
        self._kept = self._kept.set(self._done, answer)
        self._last = _now()

    def is_idle_since(self, moment: float) -> bool:
        """Was its last new request before this moment?"""
        if not self._last:  # it was saved before this was noted
            self._last = _now()
        return self._last < moment


class _FromHere(NearOnly):
    """Comes with what only near callers may ask: nobody can send one."""

    __slots__ = ()


@actor
class Once:
    """Does requests for clients that may repeat them; see `spawn_once`."""

    _target: Ref[Any]
    _max_clients: int = _MAX_CLIENTS
    _clients: Map[bytes, Ref[OnceAnswers]] = Map()
    _guests: Map[bytes, Ref[OnceAnswers]] = Map()
    """Clients for whom nothing was done yet: all that they asked was refused, or failed."""

    def request(self, client: bytes, turn: tuple[int, int], method: Symbol, *more: Any) -> Promise[Answer]:
        """Do a request, or say again what came of it.

        Args:
            client: who asks: 16 to 64 random bytes that nobody else knows.
            turn: the number of the request, from 1 without gaps; and up to which number the client
                knows all answers.
            method: of the target.
            more: its arguments in a tuple, and those by name in a `Map`.

        Returns:
            `(true, result)`, or `(false, reason)` if the target refused or failed: then nothing was done.

        Raises:
            Refusal: the request cannot be one of this client's now, or there are too many clients.
        """
        numbers, (args, kwargs) = _numbers(turn), _arguments(*more)
        if type(client) is not bytes or len(client) not in _CLIENT_BYTES:
            raise Refusal("a client is 16 to 64 bytes")

        def try_it(_: object) -> Answer:
            return self._answer(client, numbers, lambda: _attempt(self._target, (method, *args), kwargs))

        def note_failure(error: BaseException) -> Answer:
            if isinstance(error, Refusal) or not isinstance(error, Exception):
                raise error
            return self._answer(client, numbers, lambda: (False, "what it would leave cannot be saved"))

        return on(on(None, try_it), None, note_failure)

    def _answer(self, client: bytes, numbers: tuple[int, int], attempt: Callable[[], Answer]) -> Answer:
        answers = self._clients.get(client) or self._guests.get(client)
        if answers is None and numbers[0] != 1:
            raise Refusal("a request that comes before this one is missing")
        answers = answers or spawn(OnceAnswers)
        found: tuple[Answer, ...] = answers.recall(*numbers)
        if found:
            return found[0]
        answer = attempt()
        answers.keep(answer)
        if client not in self._clients:
            self._let_in(client, answers, as_guest=not answer[0])
        return answer

    def _let_in(self, client: bytes, answers: Ref[OnceAnswers], *, as_guest: bool) -> None:
        """Who had nothing done yet takes no place from others, but may have to give way to its like."""
        if as_guest:
            if client not in self._guests and len(self._guests) >= self._max_clients:
                self._guests = self._guests.delete(_any_of(self._guests))
            self._guests = self._guests.set(client, answers)
            return
        if len(self._clients) >= self._max_clients:
            raise Refusal("there are too many clients")
        if client in self._guests:
            self._guests = self._guests.delete(client)
        self._clients = self._clients.set(client, answers)

    def forget(self, from_here: object, seconds: float) -> int:
        """`forget_idle`, as a message: a near one, for nobody else has its first argument."""
        if type(from_here) is not _FromHere:
            raise Refusal("clients are forgotten by who is near")
        before = _now() - seconds
        idle = [client for client, answers in self._clients.items() if answers.is_idle_since(before)]
        for client in idle:
            self._clients = self._clients.delete(client)
        return len(idle)

    @staticmethod
    def forget_idle(once: Ref[Once], seconds: float) -> int:
        """Forget the clients that asked for nothing new for so long: `vat.run(Once.forget_idle, once, 1e7)`.

        One that comes back is refused for good, and needs a new outbox. But its very first request, if it
        never got the answer, would be done again: forget who is gone, and not who was here today.

        Returns:
            How many places are free again.

        Raises:
            NotNearError: only its own vat may.
        """
        forgotten: int = once.forget(_FromHere(), seconds)
        return forgotten


def _now() -> float:
    return require_turn().home.host.wall_time()


def _any_of(guests: Map[bytes, Ref[OnceAnswers]]) -> bytes:
    """One that nobody can choose."""
    place = int.from_bytes(require_turn().home.host.random_bytes(8), "big") % len(guests)
    return next(islice(guests, place, None))


def _numbers(turn: object) -> tuple[int, int]:
    match turn:
        case (int(number), int(known)) if bool not in {type(number), type(known)} and known >= 0:
            return number, known
    raise Refusal("a request has a number, and that of the last known answer")


def _arguments(args: object = (), kwargs: object = Map(), *too_many: object) -> tuple[Any, Any]:
    if type(args) is not tuple or type(kwargs) is not Map or too_many:
        raise Refusal("a request has its arguments in a tuple, and those by name in a map")
    return args, kwargs


def _attempt(target: Ref[Any], message: tuple[object, ...], kwargs: Mapping[str, object]) -> Answer:
    """Have the target do it, all or nothing; what came of it, whatever that is."""
    if not all(type(name) is str for name in kwargs):
        return False, "the names of arguments are texts"
    turn = require_turn()
    mark = turn.mark()
    try:
        result = target(*message, **kwargs)
    except Refusal as refusal:
        return False, refusal.value if _why_not(refusal.value) is None else "the object refused"
    except NoSuchMethodError:
        return False, "the object has no such method"
    except Exception:  # noqa: BLE001 - whatever it is, it is what came of the request
        _log.exception("a request failed and was undone")
        return False, "the object failed; why is in its own vat's log"
    why = _why_not(result)
    if why is not None:
        turn.rollback(mark)
        _log.error("a request was undone: %s", why)
        return False, why
    return True, result


def _why_not(answer: object) -> str | None:
    """Why this cannot be remembered, and sent, as an answer."""
    if is_too_large(answer):
        return "the answer is too large"
    if isinstance(answer, NearOnly):
        return "the answer cannot leave its vat"
    if any(isinstance(part, Promise) for part in parts_of(answer)):
        return "the answer is, or holds, a promise, which a restart would lose"
    return None


def is_too_large(value: object) -> bool:
    """May this be too large for a message, as a request or an answer?"""
    size = 0
    for count, part in enumerate(parts_of(value), 1):
        size += _size(part)
        if size > _MAX_BYTES or count > _MAX_ITEMS or (type(part) is int and part.bit_length() > _MAX_BITS):
            return True
    return False


def parts_of(value: object) -> Iterator[object]:
    """All that a value is made of, itself first."""
    waiting = [value]
    while waiting:
        part = waiting.pop()
        yield part
        waiting += _inside(part)


def _inside(value: object) -> Iterable[object]:
    match value:
        case tuple() | frozenset():
            return value
        case Map():
            return (*value, *value.values())
        case Tagged():
            return value.tag, value.value
        case Record():
            return value.label, *value.fields
        case _:
            return ()


def _size(part: object) -> int:
    """Its bytes, rather too many than too few; without what is inside."""
    match part:
        case str():
            return len(part) if part.isascii() else 4 * len(part)
        case bytes():
            return len(part)
        case Symbol():
            return 4 * len(part.name)
        case int():
            return part.bit_length() // 3
        case Leaf():
            return _REFERENCE_BYTES
        case _:
            return 0


def spawn_once(target: Ref[Any], *, max_clients: int = _MAX_CLIENTS) -> Ref[Once]:
    """An object that passes requests on to the target, each of them once; give its sturdyref to `Outbox`es.

    The target must do what it is asked within its turn. What takes longer it notes and answers
    at once; what it asks of others it gives to an `Outbox` of its own.

    Args:
        target: near, and saved in the same store.
        max_clients: so many outboxes may ever send to this one.

    Raises:
        TypeError: the target is not near.
    """
    if not is_near(target):
        raise TypeError("the target must be near: what it does and what is remembered of it are saved as one")
    return spawn(Once, target, max_clients)
