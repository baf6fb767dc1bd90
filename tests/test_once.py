"""Requests that happen once: numbered, remembered, repeated, over severed sessions and restarts of both."""

import random
from contextlib import asynccontextmanager

import attrs
import pytest
import trio

from goblins_py import (
    Map,
    PersistenceEnv,
    Refusal,
    RemoteError,
    Symbol,
    Tagged,
    actor,
    make_promise,
    mycapn_env,
    open_persistent_vat,
    send,
    spawn,
    spawn_mycapn,
)
from goblins_py.abc import NearOnly
from goblins_py.captp import SessionLimits
from goblins_py.errors import LocatorError, NotNearError, NotPassableError, QueueFullError
from goblins_py.lib import Once, lib_env, spawn_once, spawn_outbox
from goblins_py.lib._once import WINDOW
from goblins_py.testing import SyncVats
from netlayers import LoopbackNetlayer, LoopbackNetwork, loopback_env
from persistence import MemoryStore
from runtime_kit import person, until
from vat_kit import Disk, Persistent

BOB, CAROL = b"Bob's outbox 123", b"Carol's outbox 1"


@actor
class Ledger:
    """Adds up, refuses negative amounts, and fails and waits when asked to."""

    total: int = 0
    notes: tuple = ()

    def add(self, amount, *, note=""):
        self.total += amount
        self.notes = (*self.notes, note or amount)
        if amount < 0:
            raise Refusal("nothing is taken out")
        return self.total

    def fail(self):
        self.total = 1000
        raise ValueError("internal detail")

    def ask(self, other):
        self.total = 1000
        return send(other).add(1)

    async def wait(self, promise):
        self.total = 1000
        await promise

    def spoil(self):
        self.total, self.notes = 1000, (spawn(lambda: 1),)
        return "done"

    def give(self, what):
        self.total += 1
        return ODD[what]() if what in ODD else what

    def refuse(self, what):
        raise Refusal(ODD[what]())

    def read(self):
        return self.total, self.notes


class Tool(NearOnly):
    """Something of this vat."""


ODD = {
    "unsavable": lambda: spawn(lambda: 1),
    "long": lambda: b"x" * (30 << 20),
    "long inside": lambda: Map({"a": (Tagged("b", "x" * (30 << 20)),)}),
    "many": lambda: (1,) * 300_000,
    "digits": lambda: 10**10_000,
    "references": lambda: (spawn(Ledger),) * 10_000,
    "promise": lambda: make_promise()[0],
    "promise inside": lambda: (1, Map({"a": frozenset([make_promise()[0]])})),
    "near": Tool,
}
"""What cannot be remembered, or sent."""

env = PersistenceEnv(Ledger, extends=[lib_env, mycapn_env, loopback_env])


# --- the receiver's half ------------------------------------------------------------------


@attrs.define
class Desk:
    """A ledger behind a `Once`."""

    vat: object
    once: object
    ledger: object

    def add(self, number, known, amount, client=BOB, **kwargs):
        return self.ask(number, known, "add", args=(amount,), kwargs=kwargs, client=client)

    def ask(self, number, known, method, *, args=(), kwargs=None, client=BOB):
        more = args, Map(kwargs or {})
        request = self.vat.run(lambda: self.once.request(client, (number, known), Symbol(method), *more))
        return self.vat.take(request)

    @property
    def total(self):
        return self.ledger._behaviour.total


def desk_in(vat, **options):
    ledger = vat.run(spawn, Ledger)
    return Desk(vat, vat.run(lambda: spawn_once(ledger, **options)), ledger)


@pytest.fixture
def vat():
    return SyncVats().open()


@pytest.fixture
def desk(vat):
    return desk_in(vat)


def test_a_request_that_comes_again_is_answered_as_it_was_and_not_done_again(desk):
    """However often, and after later ones as well."""
    assert [(True, 5), (True, 15)] == [desk.add(1, 0, 5), desk.add(2, 0, 10, note="ten")]
    assert [(True, 15), (True, 5), (True, 5)] == [desk.add(2, 0, 10), desk.add(1, 0, 5), desk.add(1, 0, 7)]
    assert (True, 16) == desk.add(3, 2, 1)
    assert (16, (5, "ten", 1)) == (desk.total, desk.ledger._behaviour.notes)


def test_what_the_target_refuses_is_undone_and_is_an_answer_too(desk):
    """Refused once, it stays refused, and those behind it go on."""
    assert (False, "nothing is taken out") == desk.add(1, 0, -5)
    assert (True, 5) == desk.add(2, 0, 5)
    assert (False, "nothing is taken out") == desk.add(1, 0, 5)
    assert 5 == desk.total


def test_a_failure_is_undone_logged_and_told_without_details(desk, caplog):
    """So is a message that there is not."""
    answers = [desk.ask(1, 0, "fail"), desk.ask(2, 0, "no-such"), desk.ask(3, 0, "add")]
    assert not any(done for done, _ in answers)
    assert not any("internal" in reason for _, reason in answers)
    assert "no such method" in answers[1][1]
    assert "internal detail" in caplog.text
    assert answers == [desk.ask(number, 0, "add", args=(1,)) for number in (1, 2, 3)]
    assert 0 == desk.total


def test_an_answer_that_is_not_there_at_once_cannot_be_remembered(vat, desk, caplog):
    """So what led to it is undone, whichever way it is awaited."""
    other = vat.run(spawn, Ledger)
    promise, _ = vat.run(make_promise)
    answers = [desk.ask(1, 0, "ask", args=(other,)), desk.ask(2, 0, "wait", args=(promise,))]
    assert not any(done for done, _ in answers)
    assert 0 == desk.total == other._behaviour.total
    assert "a promise, which a restart would lose" in caplog.text


def test_answers_that_the_client_knows_are_forgotten(desk):
    """What is remembered is bounded by the window, and asking for what one has confirmed is refused."""
    for number in range(1, 3 * WINDOW):
        desk.add(number, number - 1, 1)
        (answers,) = desk.once._behaviour._clients.values()
        assert len(answers._behaviour._kept) == 1
    with pytest.raises(Refusal, match="knows this answer"):
        desk.add(2, 1, 1)
    assert 3 * WINDOW - 1 == desk.total


@pytest.mark.parametrize(("number", "known"), [(3, 0), (1, 1), (0, 0), (-1, -2), (2, -1), (WINDOW + 2, 0)])
def test_numbers_have_no_gaps_and_stay_within_the_window(desk, number, known):
    """What cannot come from a client that keeps the rules is refused, and nothing is remembered of it."""
    desk.add(1, 0, 1)
    with pytest.raises(Refusal):
        desk.add(number, known, 1)
    assert (True, 2) == desk.add(2, 1, 1)


def test_a_client_may_be_ahead_by_the_window_and_no_more(desk):
    """Without confirmations it comes to a halt, and with one it goes on."""
    for number in range(1, WINDOW + 1):
        assert desk.add(number, 0, 1) == (True, number)
    with pytest.raises(Refusal, match="ahead"):
        desk.add(WINDOW + 1, 0, 1)
    assert desk.add(WINDOW + 1, 1, 1) == (True, WINDOW + 1)


def test_each_client_counts_for_itself(desk):
    """And an unknown one starts with its first request, or has lost something."""
    assert [(True, 1), (True, 11), (True, 12)] == [
        desk.add(1, 0, 1),
        desk.add(1, 0, 10, CAROL),
        desk.add(2, 1, 1),
    ]
    with pytest.raises(Refusal, match="missing"):
        desk.add(2, 1, 1, b"Dave, who has lost")


def test_the_number_of_clients_is_bounded(vat):
    """Those who are known already are served all the same."""
    desk = desk_in(vat, max_clients=1)
    desk.add(1, 0, 1)
    with pytest.raises(Refusal, match="too many"):
        desk.add(1, 0, 1, CAROL)
    assert (True, 2) == desk.add(2, 1, 1)


def test_who_had_nothing_done_takes_no_place(vat):
    """Strangers with random numbers fill nothing up, and what they were answered is bounded as well."""
    desk = desk_in(vat, max_clients=2)
    for number in range(10):
        assert not desk.ask(1, 0, "no-such", client=b"a stranger's outbox %d" % number)[0]
    assert not desk.add(1, 0, -1)[0]
    assert [(True, 5), (True, 6)] == [desk.add(2, 0, 5), desk.add(1, 0, 1, CAROL)]
    assert (False, "nothing is taken out") == desk.add(1, 0, 5)
    once = desk.once._behaviour
    assert {BOB, CAROL} == set(once._clients)
    assert 1 <= len(once._guests) <= 2


def test_clients_who_ask_for_nothing_any_more_are_forgotten_by_who_is_near(vat):
    """Their places are free, they are refused, and others notice nothing."""
    desk = desk_in(vat, max_clients=2)
    desk.add(1, 0, 1)
    vat._vats.advance(100)
    desk.add(1, 0, 1, CAROL)
    assert [0, 1, 0] == [vat.run(Once.forget_idle, desk.once, seconds) for seconds in (200, 50, 50)]
    assert (True, 3) == desk.add(1, 0, 1, b"Dave's outbox 12")
    assert (True, 4) == desk.add(2, 1, 1, CAROL)
    with pytest.raises(Refusal, match="missing"):
        desk.add(2, 1, 1)


@pytest.mark.parametrize("first", [None, 1, Map(), Tool()])
def test_nobody_else_can_have_clients_forgotten(vat, desk, first):
    """Not by a message, whatever is in it, and not from another vat."""
    desk.add(1, 0, 1)
    with pytest.raises(Refusal):
        vat.run(desk.once.forget, first, -1)
    with pytest.raises(NotNearError):
        vat._vats.open("away").run(Once.forget_idle, desk.once, -1)
    with pytest.raises((Refusal, NotPassableError)):
        vat.take(vat._vats.open("away").send(desk.once).forget(first, -1))
    assert 1 == len(desk.once._behaviour._clients)


def test_clients_who_were_saved_without_a_time_count_as_here_now(vat, desk):
    """So nobody is forgotten because a store is old."""
    desk.add(1, 0, 1)
    (answers,) = desk.once._behaviour._clients.values()
    vat.run(setattr, answers._behaviour, "_last", 0.0)
    assert [0, 0] == [vat.run(Once.forget_idle, desk.once, 50) for _ in range(2)]
    vat._vats.advance(51)
    assert 1 == vat.run(Once.forget_idle, desk.once, 50)


@pytest.mark.parametrize("what", [what for what in ODD if what != "unsavable"])
def test_what_cannot_be_remembered_or_sent_is_no_answer(desk, what):
    """What led to it is undone, and that is the answer; a refusal with it is one without."""
    done, reason = desk.ask(1, 0, "give", args=(what,))
    assert (done, type(reason)) == (False, str)
    assert (False, "the object refused") == desk.ask(2, 0, "refuse", args=(what,)) or what == "near"
    assert (True, "fine") == desk.ask(3, 0, "give", args=("fine",))
    assert (False, reason) == desk.ask(1, 0, "give", args=("fine",))
    assert 1 == desk.total


def test_an_answer_may_be_of_some_size(desk):
    """Megabytes are fine."""
    assert (True, b"x" * 3_000_000) == desk.ask(1, 0, "give", args=(b"x" * 3_000_000,))


@pytest.mark.parametrize(
    ("method", "args"), [("spoil", ()), ("give", ("unsavable",)), ("refuse", ("unsavable",))]
)
@pytest.mark.parametrize("first", [1, 2])
def test_what_cannot_be_saved_is_undone_and_that_is_an_answer(first, method, args):
    """Nothing of it is in the store, the answer is, and those behind it go on."""
    disk = Disk()

    def up():
        ledger = spawn(Ledger)
        return spawn_once(ledger), ledger

    kept = Persistent(env, disk, up)
    desk = Desk(kept.vat, *kept.roots)
    for number in range(1, first):
        desk.add(number, 0, 0)
    failed = desk.ask(first, 0, method, args=args)
    assert not failed[0]
    assert 0 == desk.total
    assert (True, 5) == desk.add(first + 1, 0, 5)
    kept.save()
    again = Persistent(env, disk, up)
    desk = Desk(again.vat, *again.roots)
    assert [failed, (True, 5)] == [desk.ask(first, 0, method, args=args), desk.add(first + 1, 0, 5)]
    assert 5 == desk.total


def test_a_caller_in_the_same_vat_that_fails_has_asked_for_nothing():
    """What it wanted is neither done nor saved."""
    disk = Disk()

    def up():
        ledger = spawn(Ledger)
        return spawn_once(ledger), ledger

    def ask_and_fail():
        kept.roots[0].request(BOB, (1, 0), Symbol("add"), (5,))
        raise ValueError("on purpose")

    kept = Persistent(env, disk, up)
    with pytest.raises(ValueError, match="on purpose"):
        kept.run(ask_and_fail)
    kept.save()
    desk = Desk(kept.vat, *Persistent(env, disk, up).roots)
    assert (0, Map()) == (desk.total, desk.once._behaviour._clients)


@pytest.mark.parametrize(
    "request_",
    [
        ("Bob", (1, 0), Symbol("add"), (1,)),
        (b"short", (1, 0), Symbol("add"), (1,)),
        (bytes(65), (1, 0), Symbol("add"), (1,)),
        (BOB, 1, Symbol("add"), (1,)),
        (BOB, (1, 0, 0), Symbol("add"), (1,)),
        (BOB, (1.0, 0), Symbol("add"), (1,)),
        (BOB, (True, False), Symbol("add"), (1,)),
        (BOB, (1, 0), Symbol("add"), 1),
        (BOB, (1, 0), Symbol("add"), (1,), ()),
        (BOB, (1, 0), Symbol("add"), (1,), Map(), 5),
    ],
)
def test_a_malformed_request_is_refused_and_leaves_nothing(vat, desk, request_):
    """No client, no answer, no change."""
    with pytest.raises(Refusal):
        vat.run(desk.once.request, *request_)
    assert (0, 0) == (desk.total, len(desk.once._behaviour._clients))


def test_names_that_no_python_argument_has_are_told_as_a_failure(desk):
    """They are the client's fault, and its answer."""
    assert [False, False] == [
        desk.ask(number, 0, "add", kwargs=kwargs)[0] for number, kwargs in ((1, {"self": 1}), (2, {5: 1}))
    ]
    assert 0 == desk.total


def test_the_target_of_a_once_is_near(vat):
    """What it does and what is remembered of it must be saved together."""
    away = vat._vats.open("away").run(spawn, Ledger)
    for target in (away, 5, vat.run(make_promise)[0]):
        with pytest.raises(TypeError, match="near"):
            vat.run(spawn_once, target)


def test_what_was_done_and_its_answer_are_saved_as_one():
    """A restart after any request knows both, or neither."""
    disk = Disk()

    def up():
        ledger = spawn(Ledger)
        return spawn_once(ledger), ledger

    for number in range(1, 10):
        kept = Persistent(env, disk, up)
        desk = Desk(kept.vat, *kept.roots)
        if number > 1:
            assert desk.add(number - 1, number - 2, 1) == (True, number - 1)
        assert desk.add(number, number - 2 if number > 1 else 0, 1) == (True, number)
        assert desk.total == number
        kept.save()


# --- both halves --------------------------------------------------------------------------


@actor
class Clerk:
    """Asks by an outbox, and hears what came of it."""

    outbox: object
    heard: tuple = ()

    def add(self, amount):
        """For who waits for it."""
        return self.outbox.post("add", amount, note=f"{amount}")

    def add_and_note(self, amount):
        """For who does not."""
        self.outbox.post_then(self, "add", amount)

    def ask(self, method, *args):
        """Anything."""
        return self.outbox.post(method, *args)

    def ask_and_note(self, method, *args):
        """Anything, for who does not wait."""
        self.outbox.post_then(self, method, *args)

    def add_and_fail(self, amount):
        """Change one's mind."""
        self.outbox.post("add", amount)
        raise ValueError("on purpose")

    def fulfill(self, value):
        self.heard = (*self.heard, ("done", value))

    def break_(self, reason):
        self.heard = (*self.heard, ("not done", reason))

    def waiting(self):
        return self.outbox.status()["waiting"]


clerk_env = PersistenceEnv(Clerk, extends=[env])


@attrs.define
class Side:
    """One end: a persistent vat on a network in memory, that may go down and come up again."""

    network: LoopbackNetwork
    name: str
    make_roots: object
    limits: object = attrs.field(factory=SessionLimits)
    store: MemoryStore = attrs.field(factory=MemoryStore)
    vat: object = None
    mycapn: object = None
    ref: object = None

    @asynccontextmanager
    async def up(self):
        """While it is up."""

        def roots():
            mycapn = spawn_mycapn(spawn(LoopbackNetlayer, self.name), limits=self.limits)
            return mycapn, self.make_roots(mycapn)

        async with open_persistent_vat(clerk_env, roots, self.store, name=self.name) as (vat, (mycapn, ref)):
            self.vat, self.mycapn, self.ref = vat, mycapn, ref
            await vat.run(lambda: mycapn._behaviour._netlayers["loopback"].attach(self.network))
            yield self

    def send(self):
        """To the object that this is about."""
        return self.vat.send(self.ref)


async def bank_and_clerk(network, **options):
    """Somebody whose ledger it is, and somebody whose outbox adds to it; both down."""
    bank = Side(network, "bank", lambda mycapn: spawn_once(spawn(Ledger)))
    async with bank.up():
        uri = (await bank.vat.send(bank.mycapn).register(bank.ref, "loopback", label="clerk")).uri
    return bank, Side(network, "clerk", lambda mycapn: spawn(Clerk, spawn_outbox(mycapn, uri)), **options)


def ledger_of(bank):
    return bank.ref._behaviour._target._behaviour


async def test_an_outbox_has_its_requests_done_and_tells_what_came_of_them():
    """By a promise to who waits, by a message to who is noted."""
    bank, clerk = await bank_and_clerk(LoopbackNetwork())
    async with bank.up(), clerk.up():
        assert [5, 15] == [await clerk.send().add(amount) for amount in (5, 10)]
        with pytest.raises(RemoteError, match="nothing is taken out"):
            await clerk.send().add(-1)
        await clerk.send().add_and_note(1)
        await clerk.send().add_and_note(-1)
        await until(lambda: len(clerk.ref._behaviour.heard) == 2)
        assert clerk.ref._behaviour.heard == (("done", 16), ("not done", "nothing is taken out"))
        assert ledger_of(bank).notes == ("5", "10", 1)
        assert await clerk.send().waiting() == 0


@pytest.mark.parametrize(
    ("method", "args"),
    [("spoil", ()), ("refuse", ("unsavable",)), *(("give", (what,)) for what in ODD)],
)
async def test_an_unlucky_request_does_not_block_those_behind_it(method, args):
    """It has failed, once and for all."""
    bank, clerk = await bank_and_clerk(LoopbackNetwork())
    async with bank.up(), clerk.up():
        for amount in (5, 10):
            with pytest.raises(RemoteError):
                await clerk.send().ask(method, *args)
            await clerk.send().add_and_note(amount)
        await until(lambda: clerk.ref._behaviour.heard == (("done", 5), ("done", 15)))
        assert ledger_of(bank).notes == (5, 10)
        assert await clerk.send().waiting() == 0


async def test_unlucky_requests_among_many_of_one_turn_change_nothing_in_their_order():
    """Sent one behind the other, without waiting."""
    bank, clerk = await bank_and_clerk(LoopbackNetwork())

    def post_all():
        outbox, me = clerk.ref._behaviour.outbox, clerk.ref
        for amount in range(1, 31):
            outbox.post_then(me, "add", amount)
            outbox.post_then(
                me, *random.Random(amount).choice([("spoil",), ("give", "unsavable"), ("fail",)])
            )

    async with bank.up(), clerk.up():
        await clerk.vat.run(post_all)
        await until(lambda: len(clerk.ref._behaviour.heard) == 60)
        assert ledger_of(bank).notes == tuple(range(1, 31))
        kinds = [kind for kind, _ in clerk.ref._behaviour.heard]
        assert kinds == ["done", "not done"] * 30


async def test_an_outbox_and_its_once_may_be_of_one_vat():
    """All that is sent in one turn arrives in one churn: an unlucky request costs a pause, and no more."""
    side = Side(LoopbackNetwork(), "both", lambda mycapn: spawn_once(spawn(Ledger)))

    def wire(uri):
        outbox = spawn_outbox(side.mycapn, uri)
        clerk = spawn(Clerk, outbox)
        for request in (("add", 1), ("spoil",), ("add", 2), ("fail",), ("add", 3)):
            outbox.post_then(clerk, *request)
        return clerk

    async with side.up():
        sturdyref = await side.vat.send(side.mycapn).register(side.ref, "loopback")
        clerk = await side.vat.run(wire, sturdyref.uri)
        await until(lambda: len(clerk._behaviour.heard) == 5)
        assert ledger_of(side).notes == (1, 2, 3)


async def test_what_is_too_large_is_not_posted():
    """Who posts it is told at once."""
    _, clerk = await bank_and_clerk(LoopbackNetwork())
    async with clerk.up():
        for method in (clerk.send().ask, clerk.send().ask_and_note):
            with pytest.raises(NotPassableError, match="4 MiB"):
                await method("give", b"x" * 20_000_000)
        assert await clerk.send().waiting() == 0


async def test_what_turns_out_too_large_for_the_session_fails_and_others_go_on():
    """Whether it was posted now or before a restart; and the numbers that it had are no gap."""
    bank, clerk = await bank_and_clerk(LoopbackNetwork(), limits=SessionLimits(message_size=100_000))
    async with clerk.up():
        await clerk.send().add_and_note(1)
        await clerk.send().ask_and_note("give", "x" * 200_000)
        await clerk.send().add_and_note(2)
    async with bank.up(), clerk.up():
        heard = lambda: clerk.ref._behaviour.heard  # noqa: E731
        await until(lambda: len(heard()) == 3)
        assert [("done", 1), ("done", 3)] == [each for each in heard() if each[0] == "done"]
        assert any("message_size" in reason for kind, reason in heard() if kind == "not done")
        with pytest.raises(NotPassableError, match="message_size"):
            await clerk.send().ask("give", "x" * 200_000)
        assert await clerk.send().add(3) == 6
        assert await clerk.send().waiting() == 0
        assert ledger_of(bank).total == 6


async def test_what_a_failing_turn_has_posted_is_never_sent():
    """And the number that it had is that of the next request."""
    bank, clerk = await bank_and_clerk(LoopbackNetwork())
    async with bank.up(), clerk.up():
        with pytest.raises(ValueError, match="on purpose"):
            await clerk.send().add_and_fail(100)
        assert await clerk.send().add(1) == 1


async def test_requests_wait_for_a_peer_that_is_down_and_survive_ones_own_restart():
    """All of them, more than the window, in order, and each once."""
    bank, clerk = await bank_and_clerk(LoopbackNetwork())
    count = 2 * WINDOW + 10
    async with clerk.up():
        for number in range(count):
            await clerk.send().add_and_note(number)
        assert await clerk.send().waiting() == count
    async with clerk.up():
        await until(lambda: clerk.ref._behaviour.outbox._behaviour._trouble)
        async with bank.up():
            await until(lambda: len(clerk.ref._behaviour.heard) == count, 20)
            assert ledger_of(bank).notes == tuple(range(count))
        assert (await clerk.vat.run(clerk.ref._behaviour.outbox.status))["trouble"] is None


async def test_cut_lines_lose_nothing_and_repeat_nothing():
    """The network is cut again and again, at random moments; each request is done once, in order."""
    network = LoopbackNetwork(chunk=100)
    bank, clerk = await bank_and_clerk(network)
    moments = random.Random(6)
    async with bank.up(), clerk.up():
        answers = []

        async def ask(number):
            answers.append(await clerk.send().add(number))

        async with trio.open_nursery() as nursery:
            for number in range(1, 101):
                nursery.start_soon(ask, number)
                await trio.sleep(moments.choice([0, 0.001, 0.02]))
                if number % 4 == 0:
                    network.drop("bank", "clerk")
        totals = [sum(range(1, number + 1)) for number in range(1, 101)]
        assert sorted(answers) == totals
        assert len(ledger_of(bank).notes) == 100


async def test_both_ends_come_and_go_and_each_request_is_done_once():
    """Restarts in any order, with requests under way."""
    bank, clerk = await bank_and_clerk(LoopbackNetwork())
    moments = random.Random(7)
    posted = 0
    for round_ in range(12):
        sides = [bank, clerk] if round_ % 2 else [clerk, bank]
        async with sides[0].up(), sides[1].up():
            for _ in range(5):
                await clerk.send().add_and_note(1)
                posted += 1
            await trio.sleep(moments.choice([0, 0.01, 0.1]))
    async with bank.up(), clerk.up():
        await until(lambda: len(clerk.ref._behaviour.heard) == posted, 20)
        assert clerk.ref._behaviour.heard == tuple(("done", number) for number in range(1, posted + 1))
        assert ledger_of(bank).total == posted


async def test_an_outbox_whose_sturdyref_was_taken_back_waits_and_says_why():
    """Until there is one again under that number; the request is not lost."""
    bank, clerk = await bank_and_clerk(LoopbackNetwork())
    async with bank.up(), clerk.up():
        mycapn = bank.vat.send(bank.mycapn)
        (given,) = await mycapn.sturdyrefs()
        await mycapn.unregister(bank.ref, label="clerk")
        await clerk.send().add_and_note(1)
        await until(lambda: clerk.ref._behaviour.outbox._behaviour._trouble)
        status = await clerk.vat.run(clerk.ref._behaviour.outbox.status)
        assert status["waiting"] == 1
        assert "no object is registered" in status["trouble"]
        registry = await mycapn.get_registry()
        await bank.vat.send(registry).register(bank.ref, given["sturdyref"].swiss_num)
        await until(lambda: clerk.ref._behaviour.heard == (("done", 1),))


async def put_in_place(other, clerk, odd_class):
    """Have another peer, at the bank's place, give out an odd object under the number that the clerk has."""
    number = clerk.ref._behaviour.outbox._behaviour._to.swiss_num
    odd = await other.vat.run(spawn, odd_class)
    registry = await other.vat.send(other.mycapn).get_registry()
    await other.vat.send(registry).register(odd, number)
    return number


async def test_an_outbox_that_leads_to_no_once_waits_and_says_so():
    """An answer of another form is none."""
    _, clerk = await bank_and_clerk(LoopbackNetwork())

    @actor
    class Odd:
        def request(self, *args):
            return "thanks"

    async with clerk.up(), person("bank", clerk.network) as other:
        await put_in_place(other, clerk, Odd)
        await clerk.send().add_and_note(1)
        await until(lambda: "no Once" in (clerk.ref._behaviour.outbox._behaviour._trouble or ""))
        assert await clerk.send().waiting() == 1


async def test_a_receiver_writes_nothing_into_our_log_but_its_words(caplog):
    """Whatever it refuses with: one line, of bounded length."""
    caplog.set_level("INFO", "goblins_py.lib")
    _, clerk = await bank_and_clerk(LoopbackNetwork())

    @actor
    class Odd:
        def request(self, *args):
            raise Refusal("no\nERROR forged" + "x" * 10_000)

    async with clerk.up(), person("bank", clerk.network) as other:
        number = await put_in_place(other, clerk, Odd)
        await clerk.send().add_and_note(1)
        await until(lambda: "forged" in caplog.text)
        (line,) = [record.getMessage() for record in caplog.records if "forged" in record.getMessage()]
        assert "\n" not in line
        assert len(line) < 400
        assert repr(number)[2:-1] not in line


async def test_an_outbox_is_bounded():
    """What is posted beyond that fails the turn that posts it."""
    _, clerk = await bank_and_clerk(LoopbackNetwork())
    async with clerk.up():
        outbox = clerk.ref._behaviour.outbox
        await clerk.vat.run(lambda: [outbox.post_then(clerk.ref, "add", 1) for _ in range(1000)] and None)
        with pytest.raises(QueueFullError, match="1000"):
            await clerk.send().add_and_note(1)


def test_an_outbox_needs_the_sturdyref_of_an_object(vat):
    """Not that of a peer, nor any text."""
    for bad in ("ocapn://abc.tcp-tls", "http://example.com"):
        with pytest.raises(LocatorError):
            vat.run(spawn_outbox, vat.run(spawn, Ledger), bad)
