"""References that lead nowhere just now: dormant ones, which wake with their first message, and lost ones.

A dormant reference knows who can enliven it (a mycapn, or anything with such a method) and with what (a
sturdyref). Messages to it go on to a promise, in order, so all that holds for promises holds for them:
they wait, are pipelined, and break as it breaks. It knows nothing of sessions and of clocks: its host
tells it when it may try again.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, Final, cast

from goblins_py.actors._crossroads import Junction
from goblins_py.actors._outgoing import Outgoing
from goblins_py.actors._promise import Broken, Listener, Message, Outcome, Promise
from goblins_py.actors._reference import Connector, Ref, Severable, Source
from goblins_py.actors._turn import Effect, Home
from goblins_py.errors import ActorError
from goblins_py.syrup import Symbol

__all__ = ["Dormant", "Lost", "LostReferenceError", "dormant_ref", "lost_ref"]

_ENLIVEN: Final = Symbol("enliven")
_FIRST_PAUSE: Final = 0.5
"""Seconds, at most, before the second try; then twice that, and so on."""
_LONGEST_PAUSE: Final = 60.0
_JITTER_BYTES: Final = 2


class LostReferenceError(ActorError):
    """The object that this reference, or promise, stood for could not be saved; `why` says what it was."""

    def __init__(self, why: str) -> None:
        super().__init__(f"this did not survive the restart: {why}")
        self.why = why


class _Indirect(Connector):
    """Leads messages on within the vat, so nothing of its own is ever delivered."""

    __slots__ = ()
    indirect = True

    def deliver(self, target: object, message: object) -> None:  # pragma: no cover - never a target
        raise AssertionError("a message was delivered to where no messages go")

    def select(self, target: object, request: object) -> None:  # pragma: no cover - likewise
        raise AssertionError("a message was delivered to where no messages go")

    def listen(self, promise: object) -> None:  # pragma: no cover - it has no promises
        raise AssertionError("an indirect reference has no promises of its own")


class Lost(_Indirect):
    """Every message breaks, and says why."""

    __slots__ = ("why",)

    def __init__(self, why: str) -> None:
        self.why = why

    def lead(self, home: Home) -> object:
        return Promise(home, Broken(LostReferenceError(self.why), heard=True))

    def saved_as(self, ref: object) -> Source | str:
        return self.why

    def watch(self, listener: Severable) -> None:
        listener.severed(f"this did not survive the restart: {self.why}")


def lost_ref(home: Home, why: str) -> Ref[Any]:
    """A reference that was restored broken."""
    return Ref(home, None, Lost(why))


class _Phase(Enum):
    ASLEEP = "asleep"
    WAKING = "waking"
    AWAKE = "awake"
    RESTING = "resting after a failure"


class Dormant(_Indirect):
    """What a restored remote reference is connected to.

    Args:
        source: who enlivens it, and with what.
        heals: falls asleep when its session ends, to be woken by the next message; else it is severed
            for good, as any live reference is.
    """

    __slots__ = ("_failures", "_heals", "_phase", "_promise", "_source", "_watchers", "real")

    def __init__(self, source: Source, *, heals: bool = False) -> None:
        self._source = source
        self._heals = heals
        self._phase = _Phase.ASLEEP
        self._failures = 0
        self._promise: Promise[Any] | None = None
        self._watchers: list[Severable] = []
        self.real: Ref[Any] | None = None

    @property
    def verified(self) -> bool:
        connector = None if self.real is None else self.real._connector
        return connector is not None and connector.verified

    def saved_as(self, ref: object) -> Source | str:
        return self._source

    def behind(self) -> Ref[Any] | None:
        return self.real

    def lead(self, home: Home) -> object:
        """The promise that messages go on to; between turns, in the vat of the reference."""
        if self._phase is _Phase.ASLEEP or self._promise is None:
            self._phase = _Phase.WAKING
            self._promise = promise = Promise[Any](home)
            junction = cast(Junction, home)
            junction.route(Message(self._source.enlivener, (_ENLIVEN, self._source.leaf), None, promise))
            junction.listen(promise, _Woken(self))
        return self._promise

    def watch(self, listener: Severable) -> None:
        connector = None if self.real is None else self.real._connector
        if connector is not None and not self._heals:
            connector.watch(listener)
        else:
            self._watchers.append(listener)

    # --- between turns, in the vat of the reference --------------------------------

    def settled(self, home: Home, outcome: Outcome) -> None:
        """It was enlivened, or could not be."""
        if isinstance(outcome, Broken):
            self._rest(home, outcome)
            return
        self._phase = _Phase.AWAKE
        self._failures = 0
        value = outcome.value
        self.real = value if isinstance(value, Ref) else None
        connector = None if self.real is None else self.real._connector
        if connector is not None:
            cast(Junction, home).outbox.append(_WatchReal(self, connector, home))

    def _rest(self, home: Home, broken: Broken) -> None:
        """Until some time has passed everything breaks at once, and nobody is bothered."""
        self._phase = _Phase.RESTING
        self._promise = Promise(home, Broken(broken.reason, heard=True))
        pause = min(_FIRST_PAUSE * 2.0**self._failures, _LONGEST_PAUSE)
        self._failures = min(self._failures + 1, 30)
        part = int.from_bytes(home.host.random_bytes(_JITTER_BYTES), "big") / 256**_JITTER_BYTES
        home.host.post_later(pause * (0.5 + part / 2), home, _Rested(self))

    def rested(self) -> None:
        """The next message may try again."""
        self._phase = _Phase.ASLEEP

    def take_watchers(self) -> list[Severable]:
        """Those who want to know of the next severance."""
        taken, self._watchers = self._watchers, []
        return taken

    def fall_asleep(self) -> None:
        """The session that it was awake in has ended."""
        if self._heals and self._phase is _Phase.AWAKE:
            self._phase, self.real = _Phase.ASLEEP, None


class _Woken(Listener):
    """Waits for an attempt."""

    __slots__ = ("dormant",)

    def __init__(self, dormant: Dormant) -> None:
        self.dormant = dormant

    def notify(self, vat: Home, outcome: Outcome) -> None:
        self.dormant.settled(vat, outcome)


class _Rested(Effect):
    __slots__ = ("dormant",)

    def __init__(self, dormant: Dormant) -> None:
        self.dormant = dormant

    def commit(self, vat: Home) -> None:
        self.dormant.rested()


class _WatchReal(Outgoing, Severable):
    """Hears of the end of the session that the reference is awake in."""

    __slots__ = ("connector", "dormant", "home")

    def __init__(self, dormant: Dormant, connector: Connector, home: Home) -> None:
        self.dormant = dormant
        self.connector = connector
        self.home = home

    def release(self) -> None:
        self.connector.watch(self)

    def severed(self, reason: str) -> None:
        for watcher in self.dormant.take_watchers():
            watcher.severed(reason)
        self.home.post(_FallAsleep(self.dormant))


class _FallAsleep(Effect):
    __slots__ = ("dormant",)

    def __init__(self, dormant: Dormant) -> None:
        self.dormant = dormant

    def commit(self, vat: Home) -> None:
        self.dormant.fall_asleep()


def dormant_ref(home: Home, source: Source, *, heals: bool = False) -> Ref[Any]:
    """A reference that is enlivened by its first message."""
    return Ref(home, None, Dormant(source, heals=heals))
