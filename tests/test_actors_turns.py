"""A turn happens whole or not at all, and a near call inside it as well."""

import gc
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goblins_py.actors import (
    Effect,
    actor,
    become,
    call,
    current_turn,
    is_near,
    live,
    make_promise,
    on,
    ref_to,
    require_turn,
    send,
    send_only,
    spawn,
)
from goblins_py.errors import (
    ActorError,
    NoCurrentTurnError,
    NoSuchMethodError,
    NotNearError,
    NotPassableError,
    Refusal,
    VatClosedError,
)
from goblins_py.syrup import Map, Symbol
from goblins_py.testing import SyncVats
from vat_kit import Log


@actor
class Counter:
    count: int = 0

    def add(self, more: int = 1) -> int:
        self.count += more
        return self.count

    def get(self) -> int:
        return self.count

    def add_and_fail(self, more: int = 1) -> None:
        self.count += more
        raise ValueError("on purpose")

    def recurse(self) -> int:
        self.count += 1
        return ref_to(self).recurse()


@actor
class Other:
    label: str = "other"

    def get(self) -> str:
        return self.label


@actor
class Shifty:
    count: int = 0

    def get(self) -> int:
        return self.count

    def shift(self) -> str:
        become(self, Other("shifted"))
        self.count += 1  # it is still this until the method returns
        return "soon"

    def shift_and_fail(self) -> None:
        become(self, Other())
        raise ValueError("no")

    def shift_to(self, instance) -> None:
        become(self, instance)


@actor
class Caller:
    target: object
    tried: int = 0

    def try_it(self, method: str, *args):
        self.tried += 1
        try:
            getattr(self.target, method)(*args)
        except Exception as error:  # noqa: BLE001 - any
            return type(error).__name__
        return "no error"


@pytest.fixture
def vat():
    return SyncVats().open()


def failing(function):
    """A turn that does all that and fails."""

    def fail() -> None:
        function()
        raise LookupError("the turn fails")

    return fail


def test_a_turn_that_fails_sets_state_back(vat) -> None:
    """Also what was assigned more than once."""
    counter = vat.run(spawn, Counter)
    with pytest.raises(LookupError):
        vat.run(failing(lambda: (counter.add(), counter.add())))
    assert 0 == vat.run(counter.get)


def test_a_near_call_that_raises_is_undone_before_the_caller_sees_it(vat) -> None:
    """A savepoint: what the caller did before and does afterwards stays."""
    counter = vat.run(spawn, Counter)

    def turn() -> int:
        counter.add(10)
        with pytest.raises(ValueError, match="on purpose"):
            counter.add_and_fail(100)
        return counter.add(1)

    assert 11 == vat.run(turn)


def test_a_near_call_that_raises_sends_nothing(vat) -> None:
    """Messages, handlers and resolutions of a failed near call never happened."""
    counter = vat.run(spawn, Counter)
    promise, resolver = vat.run(make_promise)

    def does_much() -> None:
        send(counter).add(5)
        send_only(counter).add(6)
        on(7, counter.add)
        resolver.fulfill(8)
        raise ValueError("undone")

    def turn() -> None:
        thing = spawn(does_much)
        with pytest.raises(ValueError, match="undone"):
            thing()

    vat.run(turn)
    assert 0 == vat.run(counter.get)
    with pytest.raises(ActorError, match="not settled"):
        vat.take(promise)


def test_nested_savepoints_undo_only_their_own(vat) -> None:
    """The inner failure is caught by an actor in the middle, whose own change stays."""
    counter = vat.run(spawn, Counter)
    caller = vat.run(spawn, Caller, counter)
    assert "ValueError" == vat.run(lambda: caller.try_it("add_and_fail", 5))
    assert 0 == vat.run(counter.get)
    assert 2 == vat.run(lambda: (caller.try_it("get"), caller.try_it("get")) and 2)


def test_endless_recursion_is_undone_like_any_failure(vat) -> None:
    """However deep it got, nothing of it is left, and the vat goes on."""
    counter = vat.run(spawn, Counter)
    with pytest.raises(RecursionError):
        vat.run(counter.recurse)
    assert 0 == vat.run(counter.get)
    caller = vat.run(spawn, Caller, counter)
    assert "RecursionError" == vat.run(lambda: caller.try_it("recurse"))
    assert 0 == vat.run(counter.get)


def test_an_object_spawned_in_a_failed_turn_does_not_exist(vat) -> None:
    """A reference to it that leaked is of no use."""
    leaked = []
    with pytest.raises(LookupError):
        vat.run(failing(lambda: leaked.append(spawn(Counter))))
    with pytest.raises(ActorError, match="no such object"):
        vat.run(leaked[0].get)


def test_become_counts_when_the_method_returns(vat) -> None:
    """Until then the method sees, and changes, the old behaviour."""
    shifty = vat.run(spawn, Shifty)
    assert "soon" == vat.run(shifty.shift)
    assert "shifted" == vat.run(shifty.get)


def test_become_is_undone_with_its_turn(vat) -> None:
    """By a method that raises afterwards, and by a caller that does."""
    shifty = vat.run(spawn, Shifty)
    with pytest.raises(ValueError, match="no"):
        vat.run(shifty.shift_and_fail)
    with pytest.raises(LookupError):
        vat.run(failing(shifty.shift))
    assert 0 == vat.run(shifty.get)


@actor
class Attempts:
    next: object = live()

    def prepare(self, make) -> None:
        self.next = make()

    def attempt(self) -> None:
        become(self, self.next)


def test_a_successor_whose_turn_failed_may_be_tried_again(vat) -> None:
    """Rollback sets back whom the successor belongs to."""
    attempts = vat.run(spawn, Attempts)
    attempts._behaviour.prepare(lambda: Other("again"))
    with pytest.raises(LookupError):
        vat.run(failing(attempts.attempt))
    vat.run(attempts.attempt)
    assert "again" == vat.run(attempts.get)


class Undecorated(Other):
    def __call__(self) -> None: ...


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(lambda: Other, "make an instance", id="a class"),
        pytest.param(lambda: 5, "as a int", id="a number"),
        pytest.param(lambda: spawn(Counter), "as a Ref", id="a reference"),
        pytest.param(Undecorated, "as a Undecorated", id="a subclass that is not decorated"),
        pytest.param(lambda: spawn(Counter)._behaviour, "already belongs", id="somebody else's behaviour"),
    ],
)
def test_become_takes_only_a_fresh_behaviour(vat, make, message) -> None:
    """What cannot behave is refused where it is named."""
    attempts = vat.run(spawn, Attempts)
    vat.run(attempts._behaviour.prepare, make)
    with pytest.raises(ActorError, match=message):
        vat.run(attempts.attempt)


def test_become_works_only_on_self(vat) -> None:
    """Not on others, not in a handler, not outside of turns."""
    shifty = vat.run(spawn, Shifty)
    behaviour = shifty._behaviour
    with pytest.raises(ActorError, match="only on self"):
        vat.run(lambda: become(behaviour, Other()))
    with pytest.raises(ActorError, match="only on self"):
        become(behaviour, Other())


def test_a_plain_callable_can_be_a_successor(vat) -> None:
    """It gets all arguments, the method's name with them."""

    @actor
    class Starter:
        def start(self) -> None:
            become(self, lambda *args: args)

    starter = vat.run(spawn, Starter)
    vat.run(starter.start)
    assert (Symbol("start"), 1) == vat.run(lambda: starter.start(1))


def test_a_behaviour_that_was_replaced_takes_no_state(vat) -> None:
    """A handler of the old behaviour is told, instead of changing what nobody sees."""

    @actor
    class Old:
        seen: int = 0

        def go(self, promise):
            on(promise, self._arrived)
            become(self, Other("new"))

        def _arrived(self, number) -> None:
            self.seen = number

    old = vat.run(spawn, Old)
    with Log() as log:
        vat.run(lambda: old.go(5))
    assert "something else" in log.texts[0]
    assert "new" == vat.run(old.get)


def test_a_handler_may_outlive_the_last_reference(vat) -> None:
    """The behaviour in the handler is still that of an object: its state changes, `self` can be passed."""
    seen = vat.run(spawn, Counter)

    @actor
    class Short:
        done: int = 0

        def go(self, promise) -> None:
            on(promise, self._arrived)

        def _arrived(self, number: int) -> None:
            self.done = number
            send_only(self).report(seen)

        def report(self, to) -> None:
            to.add(self.done)

    promise, resolver = vat.run(make_promise)
    vat.run(lambda: send_only(spawn(Short)).go(promise))
    gc.collect()
    vat.run(lambda: resolver.fulfill(7))
    assert 7 == vat.run(seen.get)


def test_an_object_without_references_is_gone_at_once(vat) -> None:
    """No cycle keeps it: the behaviour knows its reference only weakly."""
    ref = vat.run(spawn, Counter)
    gone = weakref.ref(ref._behaviour.__class__), weakref.ref(ref)
    del ref
    assert gone[1]() is None


@pytest.mark.parametrize(
    "error",
    [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), StopIteration(1), RecursionError(), Refusal(5)],
    ids=lambda error: type(error).__name__,
)
def test_whatever_a_method_raises_breaks_its_promise_and_nothing_else(vat, error) -> None:
    """Also what is no Exception: the turn is undone, the vat goes on."""
    counter = vat.run(spawn, Counter)

    def raises() -> None:
        counter.add()
        raise error

    thing = vat.run(spawn, raises)
    with Log() as log, pytest.raises(type(error)):
        vat.take(vat.send(thing)())
    assert 1 == len(log.records)
    assert 0 == vat.run(counter.get)


def test_the_parts_of_a_group_hold_on_to_no_frames_either(vat) -> None:
    """A promise that broke with many reasons is as light as with one."""

    def fails() -> None:
        try:
            raise KeyError("part")
        except KeyError as error:
            raise ExceptionGroup("whole", [error]) from None

    thing = vat.run(spawn, fails)
    with Log(), pytest.raises(ExceptionGroup) as caught:
        vat.take(vat.send(thing)())
    assert caught.value.exceptions[0].__traceback__ is None


def test_what_cannot_be_let_go_of_does_not_stop_the_rollback(vat) -> None:
    """The rest is undone, and the log has it."""

    class Stuck(Effect):
        def commit(self, home) -> None: ...

        def cancel(self) -> None:
            raise RecursionError

    counter = vat.run(spawn, Counter)

    def turn() -> None:
        counter.add()
        require_turn().effects.append(Stuck())
        raise LookupError

    with Log() as log, pytest.raises(LookupError):
        vat.run(turn)
    assert "could not be let go of" in log.texts[0]
    assert 0 == vat.run(counter.get)


def test_become_works_in_a_message_that_is_sent(vat) -> None:
    """As in one that is called."""
    shifty = vat.run(spawn, Shifty)
    assert "soon" == vat.take(vat.send(shifty).shift())
    assert "shifted" == vat.run(shifty.get)


def test_what_an_outside_turn_raises_is_undone_and_raised_there(vat) -> None:
    """It has its traceback, and is not logged: the caller has it."""
    counter = vat.run(spawn, Counter)
    with Log() as log, pytest.raises(ValueError, match="on purpose") as caught:
        vat.run(counter.add_and_fail)
    assert "add_and_fail" in [entry.name for entry in caught.traceback]
    assert [] == log.texts


def test_a_failed_turn_is_logged_once_with_names_and_without_values(vat) -> None:
    """Actor and method, the user's frames, no argument and nothing of ours in between."""
    counter = vat.run(spawn, Counter)
    caller = vat.run(spawn, Forwarder, counter)
    with Log() as log:
        promise = vat.send(caller).pass_on("a secret argument")
        with pytest.raises(ValueError, match="on purpose"):
            vat.take(promise)
    (text,) = log.texts
    assert "Forwarder.pass-on" in text
    assert "in add_and_fail" in text
    assert "in pass_on" in text
    assert "a secret argument" not in text
    assert "goblins_py/actors" not in text


@actor
class Forwarder:
    target: object

    def pass_on(self, secret: str) -> None:
        try:
            raise KeyError("first")
        except KeyError:
            self.target.add_and_fail(5)


def test_a_refusal_is_one_line_and_its_value_is_not_in_it(vat) -> None:
    """Refusing is no error of anybody's, and its value is for the caller."""

    def refuse() -> None:
        raise Refusal("the secret reason")

    thing = vat.run(spawn, refuse)
    with Log() as log, pytest.raises(Refusal) as caught:
        vat.take(vat.send(thing)())
    assert "the secret reason" == caught.value.value
    assert ["INFO refuse in vat 'vat' refused"] == [text.replace(REFUSE, "refuse") for text in log.texts]


REFUSE = "test_a_refusal_is_one_line_and_its_value_is_not_in_it.<locals>.refuse"


def test_a_failure_holds_on_to_no_frames(vat) -> None:
    """The promise keeps the exception, not the locals of the method that raised it, nor of its causes."""

    class Big:
        pass

    witness = []

    def fails() -> None:
        big = Big()
        witness.append(weakref.ref(big))
        try:
            raise KeyError("cause")
        except KeyError as error:
            raise ValueError("effect") from error

    thing = vat.run(spawn, fails)
    promise = vat.send(thing)()
    with Log(), pytest.raises(ValueError, match="effect"):
        vat.take(promise)
    assert witness[0]() is None


@pytest.mark.parametrize("what", [lambda ref: ref.get(), lambda ref: ref(), spawn, send, require_turn])
def test_what_needs_a_turn_says_so(vat, what) -> None:
    """Spawning, sending and calling outside of turns are one clear error."""
    counter = vat.run(spawn, Counter)
    with pytest.raises(NoCurrentTurnError):
        if what is spawn:
            spawn(Counter)
        elif what is send:
            send(counter).get()
        elif what is require_turn:
            require_turn()
        else:
            what(counter)
    with pytest.raises(NoCurrentTurnError):
        is_near(counter)
    assert current_turn() is None


def test_state_changes_only_in_a_turn_of_its_vat() -> None:
    """Neither outside of turns nor in the turn of another vat, whoever has the instance."""
    vats = SyncVats()
    home, away = vats.open("home"), vats.open("away")
    behaviour = home.run(spawn, Counter)._behaviour  # the reference dies here, and does not matter
    with pytest.raises(NoCurrentTurnError, match="turn of its vat"):
        behaviour.add()
    with pytest.raises(NoCurrentTurnError, match="turn of its vat"):
        away.run(behaviour.add)
    assert 1 == home.run(behaviour.add)


def test_only_near_objects_can_be_called() -> None:
    """The error says what to use instead."""
    vats = SyncVats()
    home, away = vats.open("home"), vats.open("away")
    counter = home.run(spawn, Counter)
    promise, _ = home.run(make_promise)
    with pytest.raises(NotNearError, match="send"):
        away.run(counter.get)
    with pytest.raises(NotNearError, match="send"):
        home.run(lambda: call(promise, Counter.get))
    assert 0 == home.run(lambda: call(counter, Counter.get))
    assert (True, False) == (home.run(is_near, counter), away.run(is_near, counter))
    assert not home.run(is_near, 5)


def test_a_near_call_cannot_give_out_what_is_no_value(vat) -> None:
    """The result passes the same border as a message's, and if it cannot the call is undone."""
    counter = vat.run(spawn, Counter)

    def leaks():
        counter.add()
        return object()

    thing = vat.run(spawn, leaks)

    def turn() -> int:
        with pytest.raises(NotPassableError):
            thing()
        return counter.get()

    assert 0 == vat.run(turn)
    with Log(), pytest.raises(NotPassableError):
        vat.take(vat.send(thing)())
    assert 0 == vat.run(counter.get)


def test_on_start_runs_in_a_turn_of_its_own(vat) -> None:
    """After the turn that spawned; if it fails, that turn stays; it may become, and may await."""

    @actor
    class Starts:
        how: str
        started: object = None

        def on_start(self, restored: bool):
            self.started = restored
            if self.how == "fail":
                raise ValueError("cannot start")
            if self.how == "become":
                become(self, Other("become"))
            return self._later() if self.how == "await" else None

        async def _later(self) -> None:
            self.started = await on("later")

        def get(self):
            return self.started

    with Log() as log:
        refs = vat.run(lambda: [spawn(Starts, how) for how in ("plain", "fail", "become", "await")])
    assert [False, None, "become", "later"] == [vat.run(ref.get) for ref in refs]
    assert ["Starts.on_start" in text for text in log.texts] == [True]
    with pytest.raises(NoSuchMethodError):
        vat.run(lambda: refs[0].on_start(True))


def test_on_start_of_a_failed_turn_does_not_run(vat) -> None:
    """The object was never spawned."""
    started = []

    @actor
    class Starts:
        def on_start(self, restored: bool) -> None:
            started.append(self)

    with pytest.raises(LookupError):
        vat.run(failing(lambda: spawn(Starts)))
    assert [] == started


def test_live_fields_are_outside_the_transaction(vat) -> None:
    """They hold anything and are not set back."""

    @actor
    class Holder:
        held: object = live()

        def hold(self, fail: bool) -> None:
            self.held = ["anything"]
            if fail:
                raise ValueError("fail")

        def get(self):
            return self.held

    holder = vat.run(spawn, Holder)
    with pytest.raises(ValueError, match="fail"):
        vat.run(lambda: holder.hold(True))
    assert ("anything",) == vat.run(holder.get)


def test_a_closed_vat_runs_nothing_more(vat) -> None:
    """Who asks is told."""
    counter = vat.run(spawn, Counter)
    vat.close()
    with pytest.raises(VatClosedError):
        vat.run(counter.get)
    with pytest.raises(VatClosedError):
        vat.take(vat.send(counter).get())


# --- a failing turn leaves the vat equal ------------------------------------------------


@actor
class Node:
    number: int = 0
    friend: object = None
    items: Map = Map()

    def set_number(self, number: int) -> None:
        self.number = number

    def befriend(self, other) -> None:
        self.friend = other

    def put(self, key: str, value: int) -> None:
        self.items = self.items.set(key, value)

    def turn_into(self, number: int) -> None:
        become(self, Node(number, self.friend, self.items))

    async def wait(self, promise) -> None:
        self.number += 1
        self.number = await promise

    def look(self):
        return (self.number, self.friend, self.items)


OPERATIONS = st.one_of(
    st.tuples(st.just("set_number"), st.integers(0, 9)),
    st.tuples(st.just("put"), st.sampled_from("abc"), st.integers(0, 9)),
    st.tuples(st.just("befriend")),
    st.tuples(st.just("turn_into"), st.integers(0, 9)),
    st.tuples(st.just("wait")),
    st.tuples(st.just("send"), st.integers(0, 9)),
    st.tuples(st.just("on"), st.integers(0, 9)),
    st.tuples(st.just("fulfill"), st.integers(0, 9)),
    st.tuples(st.just("break"), st.integers(0, 9)),
    st.tuples(st.just("spawn")),
)
SCRIPTS = st.recursive(
    st.lists(st.tuples(st.integers(0, 2), OPERATIONS), max_size=6),
    lambda inner: st.lists(st.one_of(st.tuples(st.integers(0, 2), OPERATIONS), inner), max_size=6),
    max_leaves=12,
)


class World:
    """Three objects and a promise, and what has been seen of them."""

    def __init__(self) -> None:
        self.vat = SyncVats().open()
        self.nodes = self.vat.run(lambda: [spawn(Node) for _ in range(3)])
        self.promise, self.resolver = self.vat.run(make_promise)
        self.seen: list[object] = []

    def play(self, script) -> None:
        for step in script:
            if isinstance(step, list):
                self.savepoint(step)
            else:
                self.act(*step)

    def savepoint(self, script) -> None:
        """A near call that does these things and fails."""

        def fails() -> None:
            self.play(script)
            raise ValueError("inner")

        try:
            spawn(fails)()
        except ValueError:
            pass

    def act(self, which: int, operation) -> None:
        node, name, args = self.nodes[which], operation[0], operation[1:]
        match name:
            case "befriend":
                node.befriend(self.nodes[(which + 1) % 3])
            case "wait":
                node.wait(self.promise)
            case "send":
                send(node).set_number(*args)
            case "on":
                on(args[0], self.seen.append)
            case "fulfill":
                self.resolver.fulfill(*args)
            case "break":
                self.resolver.break_(*args)
            case "spawn":
                node.befriend(spawn(Node))
            case _:
                getattr(node, name)(*args)

    def state(self) -> list[object]:
        return self.vat.run(lambda: [node.look() for node in self.nodes])


@given(before=SCRIPTS, failing_script=SCRIPTS)
def test_a_failing_turn_leaves_the_vat_equal(before, failing_script) -> None:
    """Whatever it did, savepoints inside: the same state, nothing sent, nothing settled, nothing waits."""
    world = World()
    with Log():
        world.vat.run(world.play, before)
        state, seen = world.state(), list(world.seen)
        settled, waiting = world.promise._state, set(world.vat.vat.suspended)
        with pytest.raises(LookupError):
            world.vat.run(failing(lambda: world.play(failing_script)))
        assert state == world.state()
        assert seen == world.seen
        assert settled is world.promise._state
        assert waiting == world.vat.vat.suspended


@given(script=SCRIPTS)
def test_a_failing_near_call_leaves_the_turn_equal(script) -> None:
    """The same one level down: the turn goes on as if the call had not been."""
    once, twice = World(), World()
    with Log():
        once.vat.run(lambda: [once.act(0, ("set_number", 1)), once.act(1, ("befriend",))])
        twice.vat.run(
            lambda: [
                twice.act(0, ("set_number", 1)),
                twice.savepoint(script),
                twice.act(1, ("befriend",)),
            ]
        )
    numbers = [
        [(number, friend is None, items) for number, friend, items in w.state()] for w in (once, twice)
    ]
    assert numbers[0] == numbers[1]
    assert [] == twice.seen
