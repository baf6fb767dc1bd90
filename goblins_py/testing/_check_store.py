"""The contract of `abc.Store` as a test that anybody's store can run.

Reads as one story: what is committed is there after the store was closed and opened again,
what is refused changes nothing, and only one has the store at a time. Crashes are not in it:
each kind of storage has its own.
"""

from __future__ import annotations

import math
import traceback
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from random import Random

import trio

from goblins_py.abc import Delta, Portrait, Snapshot, Store
from goblins_py.errors import PersistenceError, StoreLockedError
from goblins_py.syrup import Map, Record, Symbol, encode

__all__ = ["check_store"]

_VAT_ID = bytes(range(32))
_SECRET = "the-swiss-number-of-a-purse"  # noqa: S105 - made up


async def check_store(make_store: Callable[[], Store]) -> None:
    """Check a store against the contract, on storage that is new.

    Args:
        make_store: returns a store on the same storage each time it is called (a new object,
            or the same one). It is the only one who uses that storage meanwhile.

    Raises:
        AssertionError: the store breaks the contract; the text says where.
    """
    await _check_new(make_store)
    await _check_first_commit(make_store)
    await _check_values(make_store)
    await _check_order(make_store)
    await _check_roots(make_store)
    await _check_refusal(make_store)
    await _check_lock(make_store)
    await _check_cancellation(make_store)
    await _check_closing(make_store)
    await _check_silence(make_store)
    await _check_life(make_store)


# --- chapters: each starts with what the one before left --------------------


async def _check_new(make_store: Callable[[], Store]) -> None:
    for _ in range(2):
        async with _opened(make_store) as (store, snapshot):
            assert snapshot is None, "a store that was never committed to opened with a snapshot"
            await store.commit([])
            await store.commit([Delta()])
    await store.aclose()  # a second time: nothing happens
    await _expect_refused(make_store, [Delta({0: _portrait(0)})], ValueError)


async def _check_first_commit(make_store: Callable[[], Store]) -> None:
    first = Delta({0: _portrait("zero"), 7: _portrait("seven")}, vat_id=_VAT_ID, roots=(7, 0))
    async with _opened(make_store) as (store, snapshot):
        assert snapshot is None, "a refused commit left something behind"
        await store.commit([first])
    await _expect(make_store, (7, 0), {0: "zero", 7: "seven"})


async def _check_values(make_store: Callable[[], Store]) -> None:
    """Every kind of value comes back as itself, and of the same type."""
    for value in _VALUES:
        async with _opened(make_store) as (store, _):
            await store.commit([Delta({0: _portrait(value)})])
        async with _opened(make_store) as (_, snapshot):
            assert snapshot is not None, "what was committed is gone"
            found = snapshot.portraits[0].state["value"]
            assert encode(found) == encode(value), f"a {type(value).__name__} came back otherwise"
            assert type(found) is type(value), f"a {type(value).__name__} came back otherwise"


async def _check_order(make_store: Callable[[], Store]) -> None:
    """Deltas of one commit, and commits, count in their order; a slot can come back."""
    deltas = [
        Delta({0: _portrait(1), 1: _portrait(1), 2: _portrait(1)}),
        Delta({0: _portrait(2)}, removed=frozenset({1, 7, 99})),
        Delta(removed=frozenset({2})),
        Delta({2: _portrait(3)}),
    ]
    async with _opened(make_store) as (store, _):
        await store.commit(deltas)
    await _expect(make_store, (7, 0), {0: 2, 2: 3})
    async with _opened(make_store) as (store, _):
        for count in range(50):
            await store.commit([Delta({1: _portrait(count)})])
        await store.commit([Delta(removed=frozenset({2}))])
    await _expect(make_store, (7, 0), {0: 2, 1: 49})


async def _check_roots(make_store: Callable[[], Store]) -> None:
    async with _opened(make_store) as (store, _):
        await store.commit([Delta(roots=(1,)), Delta(roots_version=5)])
    await _expect(make_store, (1,), {0: 2, 1: 49}, roots_version=5)
    async with _opened(make_store) as (store, _):
        await store.commit([Delta(roots=())])
    await _expect(make_store, (), {0: 2, 1: 49}, roots_version=5)


async def _check_refusal(make_store: Callable[[], Store]) -> None:
    """A value that cannot be kept is refused with the whole commit; the store goes on."""
    nested: object = 0
    for _ in range(5000):
        nested = (nested,)
    for value in (object(), "\ud800", None, nested):
        bad = [Delta({0: _portrait("lost")}), Delta({1: _portrait(value)})]
        await _expect_refused(make_store, bad, (TypeError, ValueError))
    await _expect(make_store, (), {0: 2, 1: 49}, roots_version=5)


async def _expect_refused(
    make_store: Callable[[], Store],
    deltas: Sequence[Delta],
    errors: type[Exception] | tuple[type[Exception], ...],
) -> None:
    async with _opened(make_store) as (store, _):
        try:
            await store.commit(deltas)
        except errors:
            await store.commit([Delta()])  # still takes commits
        else:
            raise AssertionError("a commit that must be refused was not")


async def _check_lock(make_store: Callable[[], Store]) -> None:
    async with _opened(make_store):
        try:
            await make_store().open()
        except StoreLockedError:
            pass
        else:
            raise AssertionError("a store that is open opened a second time")
    await _expect(make_store, (), {0: 2, 1: 49}, roots_version=5)


async def _check_cancellation(make_store: Callable[[], Store]) -> None:
    """A commit that was begun is carried out; a cancelled open leaves the store free."""
    with trio.CancelScope() as scope:
        scope.cancel()
        await make_store().open()
    assert scope.cancelled_caught, "open did not notice that it was cancelled"
    store = make_store()
    await store.open()
    with trio.CancelScope() as scope:
        scope.cancel()
        try:
            await store.commit([Delta({0: _portrait("kept")})])
        finally:
            await store.aclose()
    await _expect(make_store, (), {0: "kept", 1: 49}, roots_version=5)


async def _check_closing(make_store: Callable[[], Store]) -> None:
    """Closing is carried out under cancellation; a closed store takes nothing and can be opened again."""
    store = make_store()
    await store.open()
    with trio.CancelScope() as scope:
        scope.cancel()
        await store.aclose()
    try:
        await store.commit([Delta({0: _portrait("lost")})])
    except PersistenceError:
        pass
    else:
        raise AssertionError("a store that was closed took a commit")
    await _expect(make_store, (), {0: "kept", 1: 49}, roots_version=5)


async def _check_silence(make_store: Callable[[], Store]) -> None:
    """What is refused may be a secret, and so may be what is kept: neither is in a text."""
    async with _opened(make_store) as (store, _):
        await store.commit([Delta({0: _portrait(_SECRET)})])
        assert _SECRET not in repr(store) + str(store), "a store shows what it keeps"
        try:
            await store.commit([Delta({0: _portrait((_SECRET, object()))})])
        except (TypeError, ValueError) as error:
            text = "".join(traceback.format_exception(error))
            assert _SECRET not in text, "an error shows what was refused"
    await _expect(make_store, (), {0: _SECRET, 1: 49}, roots_version=5)


async def _check_life(make_store: Callable[[], Store]) -> None:
    """Many commits of all sizes and several lives: what is there is always what was put there."""
    rng = Random(7)  # noqa: S311 - a test that can be repeated
    expected: dict[int, object] = {0: _SECRET, 1: 49}
    for _ in range(6):
        async with _opened(make_store) as (store, snapshot):
            assert snapshot is not None, "what was committed is gone"
            for _ in range(30):
                deltas = [_step(rng, expected) for _ in range(rng.choice((1, 1, 2, 20)))]
                await store.commit(deltas)
        await _expect(make_store, (), expected, roots_version=5)


def _step(rng: Random, expected: dict[int, object]) -> Delta:
    """Some change, made to `expected` as well."""
    slots = [rng.choice((rng.randrange(12), 1 << 40, 255, 256)) for _ in range(rng.randrange(4))]
    removed = frozenset(rng.sample(sorted(expected), min(len(expected), rng.randrange(3))))
    cells = {slot: bytes([rng.randrange(256)]) * rng.choice((0, 1, 100, 5000)) for slot in slots}
    expected.update(cells)
    for slot in removed:
        expected.pop(slot, None)
    return Delta({slot: _portrait(value) for slot, value in cells.items()}, removed)


# --- helpers ------------------------------------------------------------------

_VALUES: tuple[object, ...] = (
    True, False, 0, 1, -1, 10**30, -(10**5000), 0.0, -0.0, 1.5, math.inf, math.nan,
    b"", bytes(range(256)), b"x" * 200_000, "", "späte Grüße \U0001f40d", Symbol("near"),
    (), (1, (2, ())), Map({}), Map({"a": 1, Symbol("a"): (2,)}), frozenset({1, "1", b"1"}),
    Record(Symbol("near"), (7,)), tuple(range(10_000)),
)  # fmt: skip


def _portrait(value: object) -> Portrait:
    return Portrait("tests.Cell", 3, {"value": value})


@asynccontextmanager
async def _opened(make_store: Callable[[], Store]) -> AsyncIterator[tuple[Store, Snapshot | None]]:
    store = make_store()
    snapshot = await store.open()
    try:
        yield store, snapshot
    finally:
        await store.aclose()


async def _expect(
    make_store: Callable[[], Store],
    roots: tuple[int, ...],
    values: Mapping[int, object],
    *,
    roots_version: int = 0,
) -> None:
    """The store, opened again, holds exactly these cells."""
    async with _opened(make_store) as (_, snapshot):
        assert snapshot is not None, "what was committed is gone"
        assert snapshot.vat_id == _VAT_ID, "the vat id is another one"
        assert snapshot.roots == roots, f"roots are {snapshot.roots}, not {roots}"
        assert snapshot.roots_version == roots_version, "the roots' version is another one"
        found = {slot: portrait.state["value"] for slot, portrait in snapshot.portraits.items()}
        assert found == values, f"slots hold {found}, not {dict(values)}"
        assert all(
            (portrait.name, portrait.version) == ("tests.Cell", 3) for portrait in snapshot.portraits.values()
        ), "names or versions of portraits are others"
