"""Session keys, ids and signatures, against the vectors of Guile Goblins."""

from hashlib import sha256

import pytest

from goblins_py.captp import SessionKeys
from goblins_py.captp._greeting import greeting, read_greeting
from goblins_py.captp._keys import (
    location_bytes,
    public_key_value,
    read_public_key,
    session_id,
    side_id,
    verify,
)
from goblins_py.captp._records import OpStartSession, operation_bytes, read_record
from goblins_py.errors import LocatorError, RemoteProtocolError
from goblins_py.locators import PeerLocator
from goblins_py.syrup import Map, Symbol, decode
from vectors_syrup import (
    DIGESTS,
    K1,
    K3,
    LOC,
    LOC_SIGNATURE,
    RECORDED_START_SESSION,
    SESSION_K1_K2,
    SIDE_K1,
    SIDE_K2,
    public_key,
)

KEYS_1 = SessionKeys.from_seed(b"\x01" * 32)
KEYS_2 = SessionKeys.from_seed(b"\x02" * 32)
KEYS_3 = SessionKeys.from_seed(b"\x03" * 32)
LOCATION = PeerLocator.from_record(LOC)
RECORDED_SIDE = bytes.fromhex("b301943e04caaada7c010a879aba67abfbb812d3dfa0031d843548d5a80a56c1")
THEIR_KEY = bytes.fromhex("f5b4bdcf6ac18a13a4a57a288371961ec2e89e9ac31ce3d54c8bd77846fa5d11")
THEIR_SIDE = bytes.fromhex("30e2b9988e59d1c675cdfdf38569a750835b05ee9b50df56c87857a9b28aacd5")
RECORDED_SESSION = bytes.fromhex("6bc949d4eda9e3f60b2f0a6a9fc759c96d0756b4d4a6d7663d9e7a1d4d835fbc")


def test_public_keys_side_ids_and_session_id_are_those_of_goblins() -> None:
    """Section 12 of wire/goblins."""
    assert (K1, K3) == (KEYS_1.public, KEYS_3.public)
    assert (SIDE_K1, SIDE_K2) == (side_id(KEYS_1.public), side_id(KEYS_2.public))
    assert session_id(SIDE_K1, SIDE_K2) == session_id(SIDE_K2, SIDE_K1) == SESSION_K1_K2


def test_our_start_session_is_that_of_goblins() -> None:
    """Signature and all, to the last byte."""
    data = operation_bytes(greeting(KEYS_1, LOCATION))
    assert (333, DIGESTS[0][2]) == (len(data), sha256(data).hexdigest())
    assert LOC_SIGNATURE == greeting(KEYS_1, LOCATION).signature


def test_a_recorded_start_session_of_goblins_is_read() -> None:
    """What a running Guile Goblins 0.18 once sent."""
    operation = decode(RECORDED_START_SESSION, special=read_record)
    public, location = read_greeting(operation, keys=KEYS_1, dialled=None)
    assert (RECORDED_SIDE, "tcp-tls") == (side_id(public), location.transport)
    assert RECORDED_SESSION == session_id(side_id(THEIR_KEY), side_id(public))
    assert THEIR_SIDE == side_id(THEIR_KEY)


def test_a_written_key_is_read_again() -> None:
    """And it is 32 bytes."""
    assert K1 == read_public_key(public_key_value(K1)) == read_public_key(public_key(K1))


@pytest.mark.parametrize(
    "value",
    [
        (),
        1,
        None,
        "public-key",
        b"x" * 96,
        Map({1: 2}),
        public_key(K1[:-1]),
        public_key(K1 + b"x"),
        public_key("a" * 32),
        public_key(tuple(K1)),
        (Symbol("private-key"), public_key(K1)[1]),
        (*public_key(K1), 1),
        ("public-key", public_key(K1)[1]),
    ],
)
def test_a_malformed_key_is_refused(value) -> None:
    """Exactly the list form, exactly 32 bytes."""
    with pytest.raises(RemoteProtocolError):
        read_public_key(value)


@pytest.mark.parametrize(
    "signature",
    [
        (),
        1,
        None,
        "sig",
        b"x" * 64,
        Map({1: 2, 3: 4}),
        (Symbol("sig-val"), (Symbol("eddsa"), (Symbol("r"), b"x" * 32), (Symbol("s"), b"x" * 31))),
        (Symbol("sig-val"), (Symbol("eddsa"), (Symbol("r"), "x" * 32), (Symbol("s"), "x" * 32))),
        (Symbol("sig-val"), (Symbol("eddsa"), (Symbol("r"), (1,) * 32), (Symbol("s"), (1,) * 32))),
        (Symbol("sig-val"), (Symbol("eddsa"), (Symbol("r"), 5), (Symbol("s"), 6))),
        (Symbol("sig-val"), (Symbol("eddsa"), (Symbol("s"), b"x" * 32), (Symbol("r"), b"x" * 32))),
        (Symbol("sig-val"), (Symbol("eddsa"), (Symbol("r"), b"x" * 32), (Symbol("s"), b"x" * 32))),
    ],
)
def test_a_malformed_signature_does_not_fit(signature) -> None:
    """Whatever it is made of, nothing is raised."""
    assert not verify(KEYS_1.public, b"data", signature)


def test_a_signature_fits_its_key_and_its_data_only() -> None:
    """Another key, other data, a key that is no point: no."""
    signature = KEYS_1.sign(b"data")
    assert verify(KEYS_1.public, b"data", signature)
    assert not verify(KEYS_2.public, b"data", signature)
    assert not verify(KEYS_1.public, b"date", signature)
    assert not verify(bytes(32), b"data", signature)


def changed(**fields):
    good = greeting(KEYS_2, LOCATION)
    names = ("captp_version", "public_key", "location", "signature")
    return OpStartSession(**{name: getattr(good, name) for name in names} | fields)


@pytest.mark.parametrize(
    ("operation", "text"),
    [
        (changed(captp_version="1.1"), "CapTP version is incompatible"),
        (changed(captp_version=""), "CapTP version is incompatible"),
        (changed(public_key=()), "malformed public key"),
        (changed(public_key=public_key(K1)), "Invalid location signature"),
        (changed(signature=()), "Invalid location signature"),
        (changed(signature=LOC_SIGNATURE), "Invalid location signature"),
        (changed(location=PeerLocator("tcp-tls", "another").to_record()), "Invalid location signature"),
        (changed(location=LOC.__class__(Symbol("ocapn-peer"), ())), "ocapn-peer"),
        (greeting(KEYS_1, LOCATION), "the same key"),
    ],
)
def test_a_wrong_start_session_is_refused_for_what_is_wrong(operation, text) -> None:
    """Version, key, signature, location, a mirror of our own."""
    with pytest.raises((RemoteProtocolError, LocatorError), match=text):
        read_greeting(operation, keys=KEYS_1, dialled=None)


def test_only_who_was_dialled_may_answer() -> None:
    """Transport and designator count, hints do not."""
    elsewhere = PeerLocator(LOCATION.transport, LOCATION.designator, {"host": "::1"})
    operation = greeting(KEYS_2, LOCATION)
    assert (KEYS_2.public, LOCATION) == read_greeting(operation, keys=KEYS_1, dialled=elsewhere)
    with pytest.raises(RemoteProtocolError, match="another peer"):
        read_greeting(operation, keys=KEYS_1, dialled=PeerLocator("tcp-tls", "other"))


def test_secret_keys_stay_out_of_sight() -> None:
    """A repr ends up in logs."""
    assert "SessionKeys()" == repr(KEYS_1)
    assert location_bytes(LOCATION).startswith(b"<11'my-location<10'ocapn-peer")
