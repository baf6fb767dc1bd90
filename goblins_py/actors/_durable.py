"""Promises as part of what a vat saves: each that was held unsettled has a portrait of its own.

So the promise and its resolver find each other again, and when it settles one small portrait is written,
not those of its holders. Promises that had settled when they were first held are written in place.

| portrait | `is` |
|---|---|
| `<promise>` | `<encase value>`, `<broken text>`: settled so |
| | `<promise slot>`: follows that one |
| | `<lost why>`: settled with what cannot be saved |
| | `<pending why>`: not settled; `why` nothing that is saved can settle it, or empty |
| `<resolver>` | the promise, as in any state |

After a restart a promise is pending again if a resolver of it is there; else it is broken, and says why.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast
from weakref import ref as weak

from goblins_py.actors._crossroads import Junction
from goblins_py.actors._dormant import LostReferenceError
from goblins_py.actors._on import Resolver, promise_of, resolves
from goblins_py.actors._outgoing import Posting, Relay
from goblins_py.actors._portrait import Portrait
from goblins_py.actors._portray import Depicter, Reviver, last_of, record
from goblins_py.actors._promise import (
    FRESH,
    Broken,
    Following,
    Fresh,
    Fulfilled,
    Listen,
    Listener,
    Outcome,
    Pending,
    Promise,
    RemotePending,
)
from goblins_py.actors._reference import Ref
from goblins_py.actors._turn import Home
from goblins_py.errors import NotPortrayableError, StoreCorruptError
from goblins_py.syrup import Map, Record, Symbol

__all__ = ["PROMISE", "RESOLVER", "Durables", "resolver_portrait"]

PROMISE: Final = "<promise>"
RESOLVER: Final = "<resolver>"
"""Names of portraits; no class can have them."""

_UNRESOLVED: Final = "a promise had not settled, and nothing that was saved can settle it"
_A_PEERS: Final = "a promise had not settled: a peer was to settle it"
_ANOTHERS: Final = "a promise had not settled: another vat was to settle it"


class _Kept(Listener):
    """What is known of one saved promise; it waits there to have it saved again.

    Attributes:
        lost: what it settled with cannot be saved, for this reason.
        told: what a promise of another vat has become.
    """

    __slots__ = ("dirty", "lost", "promise", "slot", "told")
    stays = True

    def __init__(self, promise: Promise[Any], slot: int, dirty: list[_Kept]) -> None:
        self.promise = weak(promise)
        self.slot = slot
        self.dirty = dirty
        self.lost = ""
        self.told: Outcome | None = None

    def changed(self, vat: Home, promise: Promise[object]) -> None:
        self.dirty.append(self)
        if isinstance(promise._state, RemotePending):
            cast(Junction, vat).listen(promise, self)

    def notify(self, vat: Home, outcome: Outcome) -> None:
        self.told = outcome
        self.dirty.append(self)


class Durables:
    """The promises of one vat's graph.

    Args:
        vat: whose graph it is.
    """

    def __init__(self, vat: Junction) -> None:
        self._vat = vat
        self._kept: dict[int, _Kept] = {}  # by the id of the promise
        self._ids: dict[int, int] = {}  # by its slot
        self._dirty: list[_Kept] = []
        self._elsewhere: list[_Kept] = []
        self._unsettled: dict[int, tuple[Promise[Any], str]] = {}
        self._resolvable: set[int] = set()

    # --- while portraits are taken ---------------------------------------------

    def slot_of(self, promise: Promise[Any]) -> int | None:
        """Its slot, if it has one."""
        kept = self._kept.get(id(promise))
        return kept.slot if kept is not None and kept.promise() is promise else None

    def keep(self, promise: Promise[Any], slot: int) -> None:
        """It has this slot from now on: notice when it settles."""
        kept = _Kept(promise, slot, self._dirty)
        self._kept[id(promise)] = kept
        self._ids[slot] = id(promise)
        if promise._home is not self._vat:
            self._elsewhere.append(kept)
            return
        state = promise._state
        if isinstance(state, Fresh):
            promise._state = state = Pending()
        if isinstance(state, Pending):
            state.listeners.append(kept)
        elif isinstance(state, RemotePending):
            self._vat.listen(promise, kept)

    def drop(self, slot: int) -> None:
        """Nothing is at this slot any more."""
        key = self._ids.pop(slot, None)
        kept = None if key is None else self._kept.get(key)
        if key is not None and kept is not None and kept.slot == slot:
            del self._kept[key]

    @property
    def has_news(self) -> bool:
        """Is there anybody to ask, or anything that has changed by itself?"""
        return bool(self._elsewhere or self._dirty)

    def listen_elsewhere(self) -> None:
        """Ask other vats about promises of theirs that are held here; what is asked leaves with the churn."""
        if not self._elsewhere:
            return
        asked, self._elsewhere = self._elsewhere, []
        for kept in asked:
            promise = kept.promise()
            if promise is not None and self._kept.get(id(promise)) is kept:
                self._vat.outbox.append(Posting(promise._home, Listen(promise, Relay(self._vat, kept))))

    def take_settled(self) -> list[Promise[Any]]:
        """Those that have changed by themselves since the last call."""
        if not self._dirty:
            return []
        dirty = self._dirty[:]
        self._dirty.clear()  # they all know this very list
        living = ((kept, kept.promise()) for kept in dirty)
        return [each for kept, each in living if each is not None and self._kept.get(id(each)) is kept]

    def give_up(self, promise: Promise[Any], error: NotPortrayableError) -> None:
        """What it settled with cannot be saved."""
        self._kept[id(promise)].lost = f"a promise settled with what cannot be saved: {error}"

    def portrait(self, promise: Promise[Any], depicter: Depicter) -> Portrait:
        """Of a promise that has a slot."""
        kept = self._kept[id(promise)]
        written = record("lost", kept.lost) if kept.lost else self._state(promise, kept, depicter)
        return Portrait(PROMISE, 0, Map({"is": written}))

    def _state(self, promise: Promise[Any], kept: _Kept, depicter: Depicter) -> object:
        last, state = last_of(promise, self._vat)
        state = kept.told or state
        if isinstance(state, Fulfilled | Broken):
            return depicter.settled(state)
        if last is not promise:
            return depicter.depict(last)
        if state is None:
            return record("pending", _ANOTHERS)
        return record("pending", _A_PEERS if isinstance(state, RemotePending) else "")

    # --- while a graph is restored ---------------------------------------------

    def empty(self, name: str, slot: int, new_ref: Callable[[int], Ref[Any]]) -> Any:
        """A promise or resolver to be, at this slot; None if it is neither."""
        if name == RESOLVER:
            resolver = new_ref(slot)
            resolver.__class__ = Resolver  # others may have made the reference, and not known what it is
            return resolver
        if name != PROMISE:
            return None
        promise: Promise[Any] = Promise(self._vat)
        self._kept[id(promise)] = _Kept(promise, slot, self._dirty)
        self._ids[slot] = id(promise)
        return promise

    def revive(self, thing: Any, portrait: Portrait, reviver: Reviver) -> None:
        """Make it what it was."""
        written = portrait.state.get("is")
        if isinstance(thing, Resolver):
            promise = reviver.revive(written)
            if not isinstance(promise, Promise):
                raise StoreCorruptError("a resolver of what is no promise")
            resolves(thing, promise)
            self._resolvable.add(id(promise))
        elif isinstance(written, Record) and written.label == Symbol("pending"):
            self._unsettled[id(thing)] = (thing, str(written.fields[0]) if written.fields else "")
        else:
            revived = reviver.state({"is": written})["is"]
            if not isinstance(revived, Promise):
                raise StoreCorruptError("a promise that is none")
            if reviver.aged:
                self._dirty.append(self._kept[id(thing)])
            thing._state = Following(revived) if revived._state is FRESH else revived._state

    def revived(self) -> None:
        """All are there: a promise is pending if it can be settled, else broken.

        Raises:
            StoreCorruptError: promises follow each other in a circle.
        """
        self._check_circles()
        unsettled, self._unsettled = self._unsettled, {}
        for key, (promise, why) in unsettled.items():
            kept = self._kept[key]
            if not why and key in self._resolvable:
                promise._state = pending = Pending()
                pending.listeners.append(kept)
            else:
                promise._state = Broken(LostReferenceError(why or _UNRESOLVED), heard=True)
                self._dirty.append(kept)
        self._resolvable.clear()

    def _check_circles(self) -> None:
        """Nobody would ever come to the end of one."""
        sound: set[int] = set()
        for kept in self._kept.values():
            promise, path = kept.promise(), set[int]()
            while promise is not None and isinstance(promise._state, Following) and id(promise) not in sound:
                if id(promise) in path:
                    raise StoreCorruptError("promises follow each other in a circle")
                path.add(id(promise))
                promise = promise._state.to
            sound |= path


def resolver_portrait(resolver: Resolver[Any], depicter: Depicter) -> Portrait:
    """Of a resolver."""
    return Portrait(RESOLVER, 0, Map({"is": depicter.depict(promise_of(resolver))}))
