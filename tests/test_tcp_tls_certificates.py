"""Keys, certificates and the preamble of tcp-tls: all pure."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa

from goblins_py.errors import NetlayerError
from netlayers import generate_tls_certificate, generate_tls_private_key
from netlayers._certificates import canonical_pair, designator_of, load_private_key
from netlayers._preamble import MAX_PEM_SIZE, PreambleReader, encode_preamble

KEY, CERT = canonical_pair(None, None)


def pem_of(private_key, password=None):
    encryption = (
        serialization.NoEncryption() if password is None else serialization.BestAvailableEncryption(password)
    )
    return private_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, encryption
    )


# --- certificates ---


@pytest.mark.parametrize("kind", ["p256", "ed25519", "rsa"])
def test_certificate_lasts_until_the_latest_date_that_guile_takes(kind):
    """Each kind of key gets a certificate from a day back until 2^31 - 1 seconds."""
    certificate = x509.load_pem_x509_certificate(
        generate_tls_certificate(generate_tls_private_key(kind)).encode()
    )
    assert certificate.not_valid_after_utc == datetime(2038, 1, 19, 3, 14, 7, tzinfo=UTC)
    age = datetime.now(UTC) - certificate.not_valid_before_utc
    assert timedelta(hours=23) < age < timedelta(hours=25)
    assert certificate.subject == certificate.issuer
    basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert basic.value.ca is False


def test_unknown_kind_of_key_is_refused():
    """The text names the kinds that there are."""
    with pytest.raises(ValueError, match="p256, ed25519 and rsa"):
        generate_tls_private_key("dsa")


def test_designator_is_the_double_hash_of_the_pem_text_in_unpadded_lower_case_base32():
    """52 characters, and other line breaks are another peer."""
    designator = designator_of(CERT.encode())
    assert len(designator) == 52
    assert set(designator) <= set("abcdefghijklmnopqrstuvwxyz234567")
    assert designator_of(CERT.encode() + b"\n") != designator
    number = int.from_bytes(sha256(sha256(CERT.encode()).digest()).digest(), "big")
    assert "abcdefghijklmnopqrstuvwxyz234567"[number >> 251] == designator[0]


def test_new_pairs_differ():
    """No key and no certificate is ever made twice."""
    assert canonical_pair(None, None) != canonical_pair(None, None)
    assert generate_tls_certificate(KEY) != generate_tls_certificate(KEY)


def test_canonical_pair_stays_as_it_is():
    """So a restored netlayer keeps its designator."""
    assert canonical_pair(KEY, CERT) == (KEY, CERT)
    assert canonical_pair(KEY.encode(), CERT.encode()) == (KEY, CERT)


@pytest.mark.parametrize(
    "rewrite",
    [
        lambda pem: pem.replace("\n", "\r\n"),
        lambda pem: pem.rstrip("\n"),
        lambda pem: "subject=whoever\n\n" + pem + "\n\n",
        lambda pem: rewrapped(pem, 76),
    ],
)
def test_pem_text_is_rewritten_with_64_columns_and_lf(rewrite):
    """However the user's file was wrapped, the identity is the same."""
    assert canonical_pair(KEY, rewrite(CERT)) == (KEY, CERT)


def rewrapped(pem, columns):
    first, *body, last = pem.strip().splitlines()
    text = "".join(body)
    return "\n".join([first, *(text[i : i + columns] for i in range(0, len(text), columns)), last, ""])


def test_chain_is_reduced_to_the_leaf():
    """Only the certificate of the key itself is kept, wherever in the file it is."""
    other = generate_tls_certificate(generate_tls_private_key())
    assert canonical_pair(KEY, CERT + other) == (KEY, CERT)
    assert canonical_pair(KEY, other + CERT) == (KEY, CERT)


def test_key_of_another_certificate_is_refused():
    """The text says what is wrong, and holds no key."""
    with pytest.raises(NetlayerError, match="does not belong to the certificate") as caught:
        canonical_pair(generate_tls_private_key(), CERT)
    assert "PRIVATE" not in str(caught.value)


def test_certificate_without_key_is_refused():
    """Nobody could use it."""
    with pytest.raises(NetlayerError, match="without its private key"):
        canonical_pair(None, CERT)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("nonsense", "no PEM text"),
        ("\ud800", "no PEM text"),
        (pem_of(ec.generate_private_key(ec.SECP256R1()), b"secret"), "encrypted"),
        (pem_of(rsa.generate_private_key(65537, 1024)), "1024 bits is too short"),
        (pem_of(ec.generate_private_key(ec.SECP256K1())), "no curve secp256k1"),
        (pem_of(dsa.generate_private_key(2048)), "EC, Ed25519 and RSA"),
    ],
)
def test_unusable_key_is_refused_with_the_reason(key, text):
    """Encrypted, unreadable, too short, or of a kind that TLS 1.3 lacks."""
    with pytest.raises(NetlayerError, match=text):
        load_private_key(key)


def test_unreadable_certificate_is_refused():
    """It is the user's file: an error, not a crash."""
    with pytest.raises(NetlayerError, match="no PEM text"):
        canonical_pair(KEY, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")


@pytest.mark.parametrize("bits", [2048, 4096])
def test_rsa_pair_in_the_form_of_goblins_is_taken(bits):
    """BEGIN RSA PRIVATE KEY, as Goblins writes its own."""
    key = pem_of(rsa.generate_private_key(65537, bits))
    assert b"BEGIN RSA PRIVATE KEY" in key
    assert canonical_pair(key, generate_tls_certificate(key))[0].startswith("-----BEGIN PRIVATE KEY-----")


# --- preamble ---


def feed_all(reader, data, step):
    """Feed as a socket would, never more than wanted; return what was not taken."""
    while reader.wanted and data:
        size = min(step, reader.wanted)
        reader.feed(data[:size])
        data = data[size:]
    return data


def test_preamble_is_a_little_endian_length_and_the_pem():
    """As recorded from Goblins: c0 07 00 00 before its 1984 bytes."""
    assert encode_preamble(b"x" * 1984)[:5] == b"\xc0\x07\x00\x00x"


@pytest.mark.parametrize("step", [1, 3, 4, 5, 100_000])
def test_preamble_is_read_whole_or_in_pieces_and_never_beyond_its_end(step):
    """What follows it belongs to TLS."""
    reader = PreambleReader()
    assert feed_all(reader, encode_preamble(CERT.encode()) + b"\x16\x03\x03", step) == b"\x16\x03\x03"
    assert reader.wanted == 0
    assert reader.pem == CERT.encode()


def test_every_proper_prefix_of_a_preamble_wants_more():
    """Nothing is complete too early."""
    whole = encode_preamble(b"short pem")
    for size in range(len(whole)):
        reader = PreambleReader()
        feed_all(reader, whole[:size], 1)
        assert reader.wanted > 0


@pytest.mark.parametrize("size", [0, MAX_PEM_SIZE + 1, 2**30, 2**32 - 1])
def test_preamble_of_an_impossible_length_is_refused_before_it_is_read(size):
    """A gibibyte is neither waited for nor allocated."""
    with pytest.raises(NetlayerError, match=f"a certificate of {size} bytes"):
        PreambleReader().feed(size.to_bytes(4, "little"))


def test_longest_preamble_is_read():
    """The limit itself is allowed, on both sides."""
    reader = PreambleReader()
    feed_all(reader, encode_preamble(b"p" * MAX_PEM_SIZE), 4096)
    assert len(reader.pem) == MAX_PEM_SIZE
    with pytest.raises(NetlayerError):
        encode_preamble(b"p" * (MAX_PEM_SIZE + 1))
