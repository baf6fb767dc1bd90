"""The one table of Syrup vectors: values and their canonical bytes, and bytes that only mean the same.

`goblins` marks those computed with, or recorded from, Guile Goblins 0.18.
"""

import struct

from goblins_py.syrup import Map, Record, Symbol

S = Symbol
INFINITY = float("inf")

DES = "ssrmwc3afq3gujbsm3olvdi6jkvbfnazqhrpukl4yxfiiyrsh6nq"
LOC = Record(S("ocapn-peer"), (S("tcp-tls"), DES, Map({"host": "127.0.0.1", "port": "22100"})))
K1 = bytes.fromhex("8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c")
K3 = bytes.fromhex("ed4928c628d1c2c6eae90338905995612959273a5c63f93636c14614ac8737d1")
SESSION_K1_K2 = bytes.fromhex("6b248816eff9da5d1c6f08f46a0d688471ebd75819daf42f7bf7f8bd552923c0")
SIDE_K1 = bytes.fromhex("2d286aaab4800a1019d650b42e4e6b34042748b08fa2bdaf7b6583c780825355")
SIDE_K2 = bytes.fromhex("671b33806a3fd20084f052db631fda65f8a56c265178c68878e1bae342d23933")


def public_key(key):
    """A public key as the list of symbols that Goblins writes."""
    return (
        S("public-key"),
        (S("ecc"), (S("curve"), S("Ed25519")), (S("flags"), S("eddsa")), (S("q"), key)),
    )


def signature(text):
    """A signature (hexadecimal) as the list of symbols that Goblins writes."""
    raw = bytes.fromhex(text)
    return (S("sig-val"), (S("eddsa"), (S("r"), raw[:32]), (S("s"), raw[32:])))


def envelope(signed, text):
    """A signed object."""
    return Record(S("desc:sig-envelope"), (signed, signature(text)))


LOC_SIGNATURE = signature(
    "78abdfc68883a786a00a761348a43bf0eb14c5add098a4fb4177c8e9b3fcf96e"
    "1170b1eedfb0cbd508cd8ae42c1eb0e8ad47bc06fdd2eb38f3a13efdd920d800"
)
GIVE = Record(S("desc:handoff-give"), (public_key(K3), LOC, SESSION_K1_K2, SIDE_K1, b"\xaa" * 32))
GIVE_ENVELOPE = envelope(
    GIVE,
    "b6f7ea36a6724ab97abd5fe6baff689321192d1af7858b5295236a5810946793"
    "a96e6b9dcc2399e262a4cde3920cabc373e7e489e15d014c4c26c4c53772de04",
)

VALUES = [
    (True, b"t"),
    (False, b"f"),
    (0, b"0+"),
    (1, b"1+"),
    (-1, b"1-"),
    (10, b"10+"),
    (123456789, b"123456789+"),
    (-1234567890, b"1234567890-"),
    (2**64, b"18446744073709551616+"),
    (-(10**700), b"1" + b"0" * 700 + b"-"),
    (0.0, b"D" + bytes(8)),
    (-0.0, b"D\x80" + bytes(7)),
    (1.5, b"D\x3f\xf8" + bytes(6)),
    (INFINITY, b"D\x7f\xf0" + bytes(6)),
    (-INFINITY, b"D\xff\xf0" + bytes(6)),
    (5e-324, b"D" + bytes(7) + b"\x01"),
    (b"", b"0:"),
    (b"abc", b"3:abc"),
    (b"\x00]\xff", b"3:\x00]\xff"),
    ("", b'0"'),
    ("abc", b'3"abc'),
    ("é€😀", b'9"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80'),
    ("ab" * 50, b'100"' + b"ab" * 50),
    (S(""), b"0'"),
    (S("abc"), b"3'abc"),
    (S("é"), b"2'\xc3\xa9"),
    ((), b"[]"),
    ((1, ("two", S("three")), b"4"), b"[1+[3\"two5'three]1:4]"),
    (Map(), b"{}"),
    (Map({"b": 1, "a": 2, "aa": 3}), b'{1"a2+1"b1+2"aa3+}'),  # goblins
    (Map({10: (), 9: Map({S("k"): b""})}), b"{10+[]9+{1'k0:}}"),
    (Map({(1, 2): "t", frozenset({1}): "s", Record(S("r"), ()): "r"}), b'{#1+$1"s<1\'r>1"r[1+2+]1"t}'),
    (frozenset(), b"#$"),
    (frozenset({10, 9, S("a"), "a"}), b"#1\"a1'a10+9+$"),  # goblins
    (Record(S("void"), ()), b"<4'void>"),
    (Record("text", (1, False)), b'<4"text1+f>'),
    (Record(S("ocapn-peer"), (S("fake"), "abc", False)), b"<10'ocapn-peer4'fake3\"abcf>"),  # goblins
    (Record(S("op:abort"), ("bye",)), b"<8'op:abort3\"bye>"),
    (
        Record(
            S("op:deliver"),
            (
                Record(S("desc:export"), (5,)),
                (S("greet"), "Bob"),
                7,
                Record(S("desc:import-object"), (8,)),
            ),
        ),
        b"<10'op:deliver<11'desc:export5+>[5'greet3\"Bob]7+<18'desc:import-object8+>>",
    ),
    (
        LOC,
        b"<10'ocapn-peer7'tcp-tls52\"" + DES.encode() + b'{4"host9"127.0.0.14"port5"22100}>',
    ),  # goblins
    (
        public_key(K1),
        b"[10'public-key[3'ecc[5'curve7'Ed25519][5'flags5'eddsa][1'q32:" + K1 + b"]]]",
    ),
    (Record(S("init:peer-auth"), (bytes(32),)), b"<14'init:peer-auth32:" + bytes(32) + b">"),  # goblins
]

TOLERATED = [
    (b"0-", 0),
    (b"007+", 7),
    (b"0000000000000007-", -7),
    (b"0003:abc", b"abc"),
    (b"00000000000001'a", S("a")),
    (b'000000000003"abc', "abc"),
    (b" \t\n5+", 5),
    (b"[ 1+\n2+\t]", (1, 2)),
    (b"< 1'a >", Record(S("a"), ())),
    (b"(1+2+)", (1, 2)),
    (b"l1+2+e", (1, 2)),
    (b'd1"a1+e', Map({"a": 1})),
    (b"ld1+(fe)ee".replace(b"(fe)", b"l3+e"), (Map({1: (3,)}),)),
    (b'{1"b1+1"a2+}', Map({"a": 2, "b": 1})),
    (b"#9+10+$", frozenset({9, 10})),
    (b"F" + struct.pack(">f", 1.5), 1.5),
]
"""Read in tolerant mode, refused in canonical mode."""

MALFORMED = [
    (b"x", 0),
    (b"5x", 1),
    (b"1234567890123x", 13),
    (b"-5", 0),
    (b"\r5+", 0),
    (b"]", 0),
    (b"e", 0),
    (b"$", 0),
    (b"[1+}", 3),
    (b"(1+]", 3),
    (b"l1+]", 3),
    (b"<1'a]", 4),
    (b"<>", 1),
    (b'{1"a}', 4),
    (b'{1"a1+1"a2+}', 11),
    (b"{1+1+t2+}", 8),
    (b"{D" + bytes(8) + b"1+0+2+}", 16),
    (b"{[1+]1+[t]2+}", 12),
    (b"{<1'a1+>1+<1'at>2+}", 18),
    (b"{D\x7f\xf8" + bytes(6) + b"1+D\x7f\xf8" + bytes(6) + b"2+}", 23),
    (b"#1+1+$", 5),
    (b"#1+t$", 4),
    (b"#[1+][t]$", 8),
    (b"#D" + bytes(8) + b"D\x80" + bytes(7) + b"$", 19),
    (b'1"\xff', 0),
    (b'[2"\xc3(]', 1),
    (b"1'\xff", 0),
    (b'3"\xed\xa0\x80', 0),  # a lone surrogate
    (b'0000000000001"\xff', 0),
]
"""Bytes that no mode reads, and the offset that the error gives."""

DIGESTS = [
    (
        Record(S("op:start-session"), ("1.0", public_key(K1), LOC, LOC_SIGNATURE)),
        333,
        "fd19bca47a852ff8badecfecfcdf47f12ed4aed037cd74b93dac763663562c9e",
    ),
    (
        envelope(
            Record(S("init:peer-auth"), (bytes(32),)),
            "014e61ad12e342466ba5d825507c669243090b2c2774a9304acc5c3d119f88b5"
            "5020d175aef2d45b45b6563c79b015157dccbc5ff839220cea87ddd63604a501",
        ),
        176,
        "b4fe0db5bb05c3a4c19d3e07f2562dc62e013928e8810b86f0fbfa89eaf298a5",
    ),
    (GIVE, 334, "566859178937d251c17611bd0a3a833cede660848b3351550b1ce8c1ac797212"),
    (
        Record(S("desc:handoff-receive"), (SESSION_K1_K2, SIDE_K2, 0, GIVE_ENVELOPE)),
        553,
        "08bc3560aa8b00c81da51d95be9a926f4055e23cf96f757c0d6f122bd45b4704",
    ),
]
"""goblins: value, length and SHA-256 of its Syrup."""

RECORDED_START_SESSION = bytes.fromhex(
    "3c3136276f703a73746172742d73657373696f6e3322312e305b313027707562"
    "6c69632d6b65795b33276563635b352763757276653727456432353531395d5b"
    "3527666c616773352765646473615d5b31277133323a6b6d10bfce594fbf9337"
    "1a6a8387ab56b07ec7163aba9894cb100317af623c365d5d5d3c3130276f6361"
    "706e2d7065657237277463702d746c733532227a746677357779737a6f777275"
    "7667376f626e667271776e756a7a657634616964796b35336675733470336663"
    "6479617a7379717b3422686f737439223132372e302e302e313422706f727435"
    "2232323130307d3e5b37277369672d76616c5b352765646473615b3127723332"
    "3a5e153422a256019be6ac0ffca6bfb51c2497459f99e9fc2c91189e07fdf394"
    "575d5b31277333323a04bbbbe28aca997a261b53350e2878c8e9f843580724f0"
    "9ff2acddc552b00e0e5d5d5d3e"
)
