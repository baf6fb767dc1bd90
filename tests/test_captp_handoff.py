"""Handoffs as values: the vectors of Guile Goblins, and each refusal with a text of its own."""

from hashlib import sha256

import attrs
import pytest

from captp_kit import new_vat, run_vat
from goblins_py.actors import Broken, Fulfilled, HandlerTurn, listen_outside, make_promise, spawn
from goblins_py.captp import (
    GiftDesk,
    SessionKeys,
    SessionLimits,
    make_receive,
    verify_own_give,
    verify_withdrawal,
)
from goblins_py.captp._handoff import HandoffSession, make_give, read_give
from goblins_py.captp._keys import public_key_value, session_id, side_id
from goblins_py.captp._records import DescSigEnvelope, to_record
from goblins_py.errors import HandoffError
from goblins_py.locators import PeerLocator
from goblins_py.syrup import Map, Record, Symbol, encode
from vectors_syrup import GIVE_ENVELOPE, LOC, SESSION_K1_K2, SIDE_K2, signature

KEYS = [SessionKeys.from_seed(bytes([number]) * 32) for number in range(8)]
EXPORTER = PeerLocator.from_record(LOC)
GIFT = b"\xaa" * 32


class Talk(HandoffSession):
    """One side of a session, as handoffs see it."""

    def __init__(self, ours, theirs, their_location=LOC):
        self._ours, self._theirs, self._location = ours, theirs, their_location

    introducible = True
    our_side = property(lambda self: side_id(self._ours.public))
    their_side = property(lambda self: side_id(self._theirs.public))
    session_id = property(lambda self: session_id(self.our_side, self.their_side))
    our_key = property(lambda self: self._ours.public)
    their_key = property(lambda self: self._theirs.public)
    their_location = property(lambda self: self._location)

    def sign(self, data):
        return self._ours.sign(data)

    def deposit(self, gift_id, gift):
        raise NotImplementedError


# Each of three sessions from both of its sides, named by who looks at whom.
GIFTER_EXPORTER, EXPORTER_GIFTER = Talk(KEYS[1], KEYS[2]), Talk(KEYS[2], KEYS[1])
GIFTER_RECEIVER, RECEIVER_GIFTER = Talk(KEYS[4], KEYS[3]), Talk(KEYS[3], KEYS[4])
RECEIVER_EXPORTER, EXPORTER_RECEIVER = Talk(KEYS[5], KEYS[6]), Talk(KEYS[6], KEYS[5])

GIVE = make_give(exporter=GIFTER_EXPORTER, receiver=GIFTER_RECEIVER, gift_id=GIFT)
GIVEN = read_give(GIVE, RECEIVER_GIFTER)
RECEIVE = make_receive(GIVEN, gifter=RECEIVER_GIFTER, exporter=RECEIVER_EXPORTER, count=7)


def open_sessions(session):
    """The exporter's open sessions, by id."""
    return {EXPORTER_GIFTER.session_id: EXPORTER_GIFTER}.get(session)


def withdraw(envelope, *, receiver=EXPORTER_RECEIVER, gifter_of=open_sessions, ours=EXPORTER):
    return verify_withdrawal(
        envelope, receiver=receiver, gifter_of=gifter_of, is_ours=lambda locator: locator == ours
    )


def signed(content, keys):
    """An envelope whose signature fits."""
    return DescSigEnvelope(content, keys.sign(encode(content, to_record)))


def give_with(**changes):
    """The give, changed and signed anew by the gifter."""
    return signed(attrs.evolve(GIVE.content, **changes), KEYS[1])


def receive_with(*, keys=KEYS[3], **changes):
    """The withdrawal, changed and signed anew by the receiver."""
    return signed(attrs.evolve(RECEIVE.content, **changes), keys)


def test_gives_and_receives_are_those_of_goblins() -> None:
    """Section 12 of wire/goblins: lengths, digests and signatures."""
    pair = Talk(KEYS[1], KEYS[2])
    give = make_give(exporter=pair, receiver=GIFTER_RECEIVER, gift_id=GIFT)
    assert encode(give, to_record) == encode(GIVE_ENVELOPE)
    data = encode(give.content, to_record)
    assert (334, "566859178937d251c17611bd0a3a833cede660848b3351550b1ce8c1ac797212") == (
        len(data),
        sha256(data).hexdigest(),
    )
    receiver = Talk(KEYS[2], KEYS[1])  # the vectors use one pair of keys for every session
    receive = make_receive(
        read_give(give, RECEIVER_GIFTER), gifter=RECEIVER_GIFTER, exporter=receiver, count=0
    )
    data = encode(receive.content, to_record)
    assert (553, "08bc3560aa8b00c81da51d95be9a926f4055e23cf96f757c0d6f122bd45b4704") == (
        len(data),
        sha256(data).hexdigest(),
    )
    assert (SESSION_K1_K2, SIDE_K2) == (receive.content.receiving_session, receive.content.receiving_side)
    assert receive.signature == signature(
        "c8f8ca16e8e3ae68e050845cb7d421cbc5a668ff6c11d8769606b52cd6fcd115"
        "8a9d71e1bef8cc23d192e7292d569179803230f1883275055c12e2ef8cdfe40e"
    )


def test_a_give_is_read_by_its_receiver() -> None:
    """Where the object is, and the envelope unchanged."""
    assert GIVEN.exporter == EXPORTER
    assert GIVEN.envelope is GIVE


def test_a_withdrawal_in_order_is_accepted() -> None:
    """What the exporter learns from it."""
    withdrawal = withdraw(RECEIVE)
    assert withdrawal.gifter is EXPORTER_GIFTER
    assert withdrawal.gift_id == GIFT
    assert (withdrawal.receiver, withdrawal.count) == (EXPORTER_RECEIVER.session_id, 7)


def test_hints_of_the_exporters_location_do_not_matter() -> None:
    """Identity is transport and designator; the exporter may have moved."""
    moved = PeerLocator(EXPORTER.transport, EXPORTER.designator, {"host": "elsewhere"}).to_record()
    withdraw(receive_with(signed_give=give_with(exporter_location=moved)))


BAD_LOCATION = Record(Symbol("ocapn-peer"), (1, 2, 3))
ELSEWHERE = PeerLocator("tcp-tls", "somebody-else").to_record()

REFUSED_GIVES = {
    "another key": (
        give_with(receiver_key=public_key_value(KEYS[7].public)),
        "the give is for another receiver's key",
    ),
    "a malformed key": (give_with(receiver_key=()), "the give is for another receiver's key"),
    "no give": (RECEIVE, "a signed envelope that holds no give stands where a reference was expected"),
    "a malformed location": (
        give_with(exporter_location=BAD_LOCATION),
        "the give's exporter location is malformed",
    ),
}


@pytest.mark.parametrize("case", REFUSED_GIVES)
def test_the_receiver_refuses(case) -> None:
    """What it can see without the gifter's key."""
    envelope, text = REFUSED_GIVES[case]
    with pytest.raises(HandoffError, match=text):
        read_give(envelope, RECEIVER_GIFTER)


REFUSED_WITHDRAWALS = {
    "no envelope": (b"gift", "withdraw-gift takes a signed desc:handoff-receive"),
    "an unsigned one": (RECEIVE.content, "withdraw-gift takes a signed desc:handoff-receive"),
    "a give alone": (GIVE, "withdraw-gift takes a signed desc:handoff-receive"),
    "no give inside": (
        receive_with(signed_give=signed(Record(Symbol("x"), ()), KEYS[1])),
        "the withdrawal holds no signed desc:handoff-give",
    ),
    "a session that is not open": (
        receive_with(signed_give=give_with(session=b"x" * 32)),
        "the give names a session that is not open here",
    ),
    "another gifter side": (
        receive_with(signed_give=give_with(gifter_side=SIDE_K2)),
        "the give names another side of its session",
    ),
    "another exporter": (
        receive_with(signed_give=give_with(exporter_location=ELSEWHERE)),
        "the give names another exporter",
    ),
    "a malformed location": (
        receive_with(signed_give=give_with(exporter_location=BAD_LOCATION)),
        "the give names another exporter",
    ),
    "another gift than was signed": (
        receive_with(signed_give=DescSigEnvelope(give_with(gift_id=b"x").content, GIVE.signature)),
        "the give's signature does not fit",
    ),
    "a give signed by the receiver": (
        receive_with(signed_give=signed(GIVE.content, KEYS[3])),
        "the give's signature does not fit",
    ),
    "a malformed give signature": (
        receive_with(signed_give=DescSigEnvelope(GIVE.content, ())),
        "the give's signature does not fit",
    ),
    "another receiving session": (
        receive_with(receiving_session=EXPORTER_GIFTER.session_id),
        "the withdrawal names another session",
    ),
    "another receiving side": (
        receive_with(receiving_side=EXPORTER_RECEIVER.our_side),
        "the withdrawal names another side",
    ),
    "a malformed receiver key": (
        receive_with(signed_give=give_with(receiver_key=(Symbol("public-key"),))),
        "the give's receiver key is malformed",
    ),
    "a thief's signature": (receive_with(keys=KEYS[7]), "the withdrawal's signature does not fit"),
    "the key of the exporter's session": (
        receive_with(keys=KEYS[5]),
        "the withdrawal's signature does not fit",
    ),
    "another count than was signed": (
        DescSigEnvelope(receive_with(handoff_count=8).content, RECEIVE.signature),
        "the withdrawal's signature does not fit",
    ),
    "a malformed signature": (
        DescSigEnvelope(RECEIVE.content, (Symbol("sig-val"),)),
        "the withdrawal's signature does not fit",
    ),
}


@pytest.mark.parametrize("case", REFUSED_WITHDRAWALS)
def test_the_exporter_refuses(case) -> None:
    """Each check with a text of its own."""
    envelope, text = REFUSED_WITHDRAWALS[case]
    with pytest.raises(HandoffError, match=f"^{text}$"):
        withdraw(envelope)


def test_a_withdrawal_is_worth_nothing_over_another_session() -> None:
    """Not even of the same receiver."""
    with pytest.raises(HandoffError, match="names another session"):
        withdraw(RECEIVE, receiver=Talk(KEYS[6], KEYS[7]))


def test_ones_own_give_is_checked_as_well() -> None:
    """A handoff that points at the receiver itself: its gifter and gift, or which check failed."""
    assert verify_own_give(GIVE, gifter_of=open_sessions) == (EXPORTER_GIFTER, GIFT)
    refused = {
        "holds no give": RECEIVE,
        "not open here": give_with(session=b"x" * 32),
        "another side": give_with(gifter_side=b"x" * 32),
        "another exporter": give_with(exporter_location=BAD_LOCATION),
        "signature does not fit": DescSigEnvelope(GIVE.content, RECEIVE.signature),
    }
    for text, envelope in refused.items():
        with pytest.raises(HandoffError, match=text):
            verify_own_give(envelope, gifter_of=open_sessions)


# --- the desk -------------------------------------------------------------------


class Exporter:
    """A desk, and a vat to work it in."""

    def __init__(self, limits=None):
        self.vat = new_vat()
        self.desk = GiftDesk(limits)
        self.gift = self.do(spawn, lambda: None)

    def do(self, function, *args):
        """Run as a turn; the result, or raise."""
        results, errors = [], []

        def turn():
            try:
                results.append(function(*args))
            except HandoffError as error:
                errors.append(error)

        self.vat.post(HandlerTurn(turn, ()))
        run_vat(self.vat)
        if errors:
            raise errors[0]
        return results[0]

    def deposit(self, gift_id=GIFT, gift=None):
        self.do(self.desk.deposit, gift_id, self.gift if gift is None else gift)

    def got_it(self, outcomes):
        (outcome,) = outcomes
        return isinstance(outcome, Fulfilled) and outcome.value is self.gift

    def wait(self, gift_id=GIFT):
        """Wait for a gift: what becomes of it, as a list, and the resolver."""
        promise, resolver = self.do(make_promise)
        outcomes = []
        listen_outside(self.do(self.desk.wait, gift_id, promise, resolver), outcomes.append)
        return outcomes, resolver


@pytest.fixture
def exporter():
    return Exporter()


def test_a_gift_is_given_out_once(exporter) -> None:
    """Then its id is free again."""
    exporter.deposit()
    assert exporter.desk.claim(GIFT) is exporter.gift
    assert exporter.desk.claim(GIFT) is None
    exporter.deposit()
    assert exporter.desk.claim(GIFT) is exporter.gift


def test_who_comes_before_the_deposit_waits(exporter) -> None:
    """And gets the gift, which does not stay for one more."""
    outcomes, _ = exporter.wait()
    assert outcomes == []
    exporter.deposit()
    assert exporter.got_it(outcomes)
    assert exporter.desk.claim(GIFT) is None


def test_ids_of_different_kinds_are_different(exporter) -> None:
    """Bytes, strings and integers."""
    for gift_id in (b"1", "1", 1):
        exporter.deposit(gift_id)
    assert [exporter.gift] * 3 == [exporter.desk.claim(gift_id) for gift_id in (b"1", "1", 1)]


@pytest.mark.parametrize("gift_id", [None, True, 1.0, (1,), Map(), b"x" * 2000, "x" * 2000, 2**9000])
def test_what_is_no_gift_id_is_refused(exporter, gift_id) -> None:
    """Bytes, strings and integers of a sensible size."""
    with pytest.raises(HandoffError, match="gift's id"):
        exporter.deposit(gift_id)
    with pytest.raises(HandoffError, match="gift's id"):
        exporter.wait(gift_id)


@pytest.mark.parametrize("gift", [False, 7, "text", (1,)])
def test_what_is_no_reference_is_no_gift(exporter, gift) -> None:
    """Values need no introduction."""
    with pytest.raises(HandoffError, match="only a reference"):
        exporter.deposit(GIFT, gift)


def test_two_gifts_of_one_id_are_refused(exporter) -> None:
    """The first stays."""
    exporter.deposit()
    with pytest.raises(HandoffError, match="a gift of this id is deposited already"):
        exporter.deposit(gift=exporter.do(spawn, lambda: 2))
    assert exporter.desk.claim(GIFT) is exporter.gift


def test_two_who_wait_for_one_gift_are_refused(exporter) -> None:
    """The first goes on waiting."""
    outcomes, _ = exporter.wait()
    with pytest.raises(HandoffError, match="somebody else waits for this gift"):
        exporter.wait()
    exporter.deposit()
    assert exporter.got_it(outcomes)


def test_a_count_is_used_once(exporter) -> None:
    """Also while the first withdrawal waits; another count or receiver is another use."""
    exporter.desk.use(b"receiver", 7)
    exporter.wait()
    with pytest.raises(HandoffError, match="this handoff count was used before"):
        exporter.desk.use(b"receiver", 7)
    exporter.desk.use(b"other", 7)
    exporter.desk.use(b"receiver", 3)


def test_counts_of_a_long_session_take_no_room_for_each(exporter) -> None:
    """The highest are remembered; all below them count as used."""
    for count in range(0, 20_000, 2):
        exporter.desk.use(b"receiver", count)
    for count in (0, 2, 3, 18_000, 19_998):
        with pytest.raises(HandoffError, match="used before"):
            exporter.desk.use(b"receiver", count)
    exporter.desk.use(b"receiver", 19_999)
    assert len(exporter.desk._used[b"receiver"]._counts) <= 1_000
    exporter.desk.forget(b"receiver")
    assert exporter.desk._used == {}


def test_gifts_are_limited() -> None:
    """Room is made by who takes one."""
    exporter = Exporter(SessionLimits(gifts=2))
    exporter.deposit(1)
    exporter.deposit(2)
    with pytest.raises(HandoffError, match="more than 2 gifts"):
        exporter.deposit(3)
    exporter.desk.claim(1)
    exporter.deposit(3)


def test_waits_are_limited() -> None:
    """Room is made by a deposit."""
    exporter = Exporter(SessionLimits(gift_waits=2))
    exporter.wait(1)
    exporter.wait(2)
    with pytest.raises(HandoffError, match="more than 2 withdrawals"):
        exporter.wait(3)
    exporter.deposit(1)
    exporter.wait(3)


def test_a_wait_ends_in_time(exporter) -> None:
    """With the reason; and the id is free for the next."""
    outcomes, resolver = exporter.wait()
    exporter.do(exporter.desk.give_up, GIFT, resolver, "too late")
    (outcome,) = outcomes
    assert isinstance(outcome, Broken)
    assert isinstance(outcome.reason, HandoffError)
    assert str(outcome.reason) == "too late"
    exporter.deposit()
    assert exporter.desk.claim(GIFT) is exporter.gift


def test_a_time_limit_is_of_its_own_wait_only(exporter) -> None:
    """Somebody who waits for a later gift of the same id has the whole time."""
    _, first = exporter.wait()
    exporter.deposit()
    outcomes, _ = exporter.wait()
    exporter.do(exporter.desk.give_up, GIFT, first, "too late")
    assert outcomes == []
    exporter.deposit()
    assert exporter.got_it(outcomes)


def test_all_goes_with_the_gifters_session(exporter) -> None:
    """Gifts are dropped, waits break, nobody waits any more."""
    exporter.deposit(1)
    outcomes, _ = exporter.wait(2)
    exporter.do(exporter.desk.close, "the gifter is gone")
    assert exporter.desk.claim(1) is None
    assert str(outcomes[0].reason) == "the gifter is gone"
    with pytest.raises(HandoffError, match="the gifter is gone"):
        exporter.wait(3)
