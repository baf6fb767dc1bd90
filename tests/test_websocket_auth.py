"""init:peer-auth: who is at which end, against recorded bytes and against liars."""

import pytest

from goblins_py.errors import LocatorError, NetlayerError
from goblins_py.syrup import Record, Symbol, decode, encode
from netlayers._websocket_auth import (
    DesignatorKey,
    answer_auth,
    auth_message,
    check_auth_answer,
    dialler_payload,
    proved_dialler,
    public_key_of,
    read_auth_message,
)

ALICE = DesignatorKey.from_seed(b"\1" * 32)
BOB = DesignatorKey.from_seed(b"\2" * 32)
NONCE = b"n" * 32
CHALLENGE = b"c" * 32


def test_vectors_of_goblins():
    """Message, signature and envelope, byte for byte as Guile Goblins 0.18 has them for these keys."""
    message = auth_message(bytes(32))
    assert message.hex() == "3c313427696e69743a706565722d6175746833323a" + 32 * "00" + "3e"
    answer = answer_auth(ALICE, message)
    assert len(answer) == 176
    signature = bytes.fromhex(
        "014e61ad12e342466ba5d825507c669243090b2c2774a9304acc5c3d119f88b5"
        "5020d175aef2d45b45b6563c79b015157dccbc5ff839220cea87ddd63604a501"
    )
    assert signature[:32] in answer
    assert signature[32:] in answer
    assert ALICE.designator == "rkeohxlubhyzl7ks3mwtzos5olfgocn7dwkbeg7toseadnapn5oa"


@pytest.mark.parametrize("size", [0, 1, 32, 64, 128, 1000])
def test_payload_may_have_any_length(size):
    """Stock peers take any, and so do we."""
    assert read_auth_message(auth_message(b"x" * size)) == b"x" * size


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"<14'init:peer-auth32:",
        auth_message(NONCE) + b"x",
        auth_message(NONCE) + auth_message(NONCE),
        b" " + auth_message(NONCE),
        b"<14'init:peer-auth032:" + NONCE + b">",
        encode(Record(Symbol("init:peer-auth"), ("text",))),
        encode(Record(Symbol("init:peer-auth"), (NONCE, NONCE))),
        encode(Record(Symbol("init:peer-auth"), ())),
        encode(Record(Symbol("ocapn:dialler-auth"), (CHALLENGE, NONCE, ALICE.designator))),
        encode(Record(Symbol("op:start-session"), (NONCE,))),
        NONCE,
    ],
)
def test_nothing_else_is_signed(message):
    """The designator key is no oracle: trailing bytes, another label, another form are refused."""
    with pytest.raises(NetlayerError, match=r"no init:peer-auth"):
        answer_auth(ALICE, message)


def test_answer_proves_the_designator_and_no_other():
    """Of our own message, under the key that was dialled."""
    message = auth_message(NONCE)
    answer = answer_auth(ALICE, message)
    assert check_auth_answer(ALICE.designator, message, answer)
    assert not check_auth_answer(BOB.designator, message, answer)
    assert not check_auth_answer(ALICE.designator, auth_message(CHALLENGE), answer)


def test_only_the_signature_counts_in_an_answer():
    """The record inside may be anything: what was signed is what we sent."""
    message = auth_message(NONCE)
    envelope = decode(answer_auth(ALICE, message))
    other = encode(Record(envelope.label, (Record(Symbol("other"), ()), envelope.fields[1])))
    assert check_auth_answer(ALICE.designator, message, other)


@pytest.mark.parametrize("change", ["empty", "label", "cut", "trailing", "flipped", "short", "deep"])
def test_malformed_answers_prove_nothing(change):
    """Nor do they raise."""
    message = auth_message(NONCE)
    answer = answer_auth(ALICE, message)
    record, signature = decode(answer).fields
    bad = {
        "empty": b"",
        "label": encode(Record(Symbol("desc:other"), (record, signature))),
        "cut": answer[:-1],
        "trailing": answer + b"t",
        "flipped": answer[:-10] + bytes([answer[-10] ^ 1]) + answer[-9:],
        "short": encode(Record(Symbol("desc:sig-envelope"), (record, (Symbol("sig-val"), ())))),
        "deep": b"[" * 1000,
    }[change]
    assert not check_auth_answer(ALICE.designator, message, bad)


def test_dialler_proves_its_designator():
    """To the acceptor that it meant, over that acceptor's challenge."""
    payload = dialler_payload(BOB, CHALLENGE, NONCE, ALICE.designator)
    assert len(payload) == 128
    assert proved_dialler(payload, CHALLENGE, ALICE.designator) == BOB.designator


def test_proof_is_good_for_one_challenge_and_one_acceptor():
    """Replayed, or passed on by somebody else who was dialled, it is refused."""
    payload = dialler_payload(BOB, CHALLENGE, NONCE, ALICE.designator)
    mallory = DesignatorKey.from_seed(b"\3" * 32)
    claims = payload[:32] + mallory.public + payload[64:]
    for bad, challenge, acceptor in (
        (payload, b"d" * 32, ALICE.designator),
        (payload, CHALLENGE, mallory.designator),
        (claims, CHALLENGE, ALICE.designator),
        (bytes(128), CHALLENGE, ALICE.designator),
    ):
        with pytest.raises(NetlayerError, match="does not hold"):
            proved_dialler(bad, challenge, acceptor)


@pytest.mark.parametrize("public", [bytes(32), b"\1" + bytes(31), b"\xec" + b"\xff" * 30 + b"\x7f"])
def test_keys_that_anybody_can_sign_for_prove_nothing(public):
    """Points of small order: a signature of zeros fits every fourth or eighth message, or all."""
    signatures = [bytes(64), public + bytes(32), b"\1" + bytes(63)]
    for number in range(32):
        challenge = bytes([number]) * 32
        for signature in signatures:
            with pytest.raises(NetlayerError, match="does not hold"):
                proved_dialler(NONCE + public + signature, challenge, ALICE.designator)


@pytest.mark.parametrize("size", [0, 32, 64, 127, 129])
def test_other_payloads_prove_nothing_and_are_no_lie(size):
    """Goblins and Endo send 32 bytes."""
    assert proved_dialler(bytes(size), CHALLENGE, ALICE.designator) is None


@pytest.mark.parametrize("text", ["", "abc", "a" * 51, "A" * 52, "a" * 104])
def test_designator_that_is_no_key(text):
    """Said before anything is dialled."""
    with pytest.raises(LocatorError):
        public_key_of(text)


def test_key_shows_in_no_repr():
    """Nor in an error about it."""
    assert "\\x01" not in repr(ALICE)
    with pytest.raises(NetlayerError, match="32 random bytes, not 3") as caught:
        DesignatorKey.from_seed(b"abc")
    assert "abc" not in str(caught.value)
