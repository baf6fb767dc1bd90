"""Requests that happen once, however often they come: the receiver's half; the caller's is `Outbox`.

A caller whose session was severed does not know whether its request was done. So each of its
requests has a number, and whoever does them remembers what it answered, in the same turn and so in
the same write as what it did. A request that comes again gets the old answer.

What is remembered is bounded: each request says up to which number its client knows the answers,
those are forgotten, and a client may be ahead of that by a window. Requests are done in the
order of their numbers, as between two who were never separated.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

from goblins_py.actors import Promise, Ref, actor, is_near, require_turn, spawn
from goblins_py.errors import NoSuchMethodError, Refusal
from goblins_py.syrup import Map, Symbol

__all__ = ["WINDOW", "Once", "OnceAnswers", "spawn_once"]

WINDOW: Final = 64
"""How many requests of one client may be under way."""

_CLIENT_BYTES: Final = range(16, 65)
_MAX_CLIENTS: Final = 1000

Answer = tuple[bool, object]
"""What a request came to: true and the result, or false and the reason why it was not done."""

_log = logging.getLogger("goblins_py.lib")


@actor
class OnceAnswers:
    """What one client of a `Once` was answered, as far as it may ask again."""

    _done: int = 0
    _kept: Map[int, Any] = Map()

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


@actor
class Once:
    """Does requests for clients that may repeat them; see `spawn_once`."""

    _target: Ref[Any]
    _max_clients: int = _MAX_CLIENTS
    _clients: Map[bytes, Ref[OnceAnswers]] = Map()

    def request(self, client: bytes, turn: tuple[int, int], method: Symbol, *more: Any) -> Answer:
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
        number, known = _numbers(turn)
        args, kwargs = _arguments(*more)
        answers = self._answers_of(client, number)
        found: tuple[Answer, ...] = answers.recall(number, known)
        if found:
            return found[0]
        answer = _attempt(self._target, (method, *args), kwargs)
        answers.keep(answer)
        return answer

    def _answers_of(self, client: object, number: int) -> Ref[OnceAnswers]:
        if type(client) is not bytes or len(client) not in _CLIENT_BYTES:
            raise Refusal("a client is 16 to 64 bytes")
        answers = self._clients.get(client)
        if answers is None:
            if number != 1:
                raise Refusal("a request that comes before this one is missing")
            if len(self._clients) >= self._max_clients:
                raise Refusal("there are too many clients")
            answers = spawn(OnceAnswers)
            self._clients = self._clients.set(client, answers)
        return answers


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
    turn = require_turn()
    mark = turn.mark()
    try:
        result = target(*message, **kwargs)
    except Refusal as refusal:
        return False, refusal.value
    except NoSuchMethodError:
        return False, "the object has no such method"
    except Exception:  # noqa: BLE001 - whatever it is, it is what came of the request
        _log.exception("a request failed and was undone")
        return False, "the object failed; why is in its own vat's log"
    if isinstance(result, Promise):
        turn.rollback(mark)
        _log.error("a request was undone: its answer is a promise, which a restart would lose")
        return False, "the object cannot be asked so: its answer is not there at once"
    return True, result


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
