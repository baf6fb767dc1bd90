"""The one table of CapTP vectors: operations and descriptors, and their bytes.

`goblins` marks those recorded from, or computed with, Guile Goblins 0.18 (wire/goblins, 3.6 and 12),
`endo` those recorded from Endo.
"""

from goblins_py.captp._records import (
    DescAnswer,
    DescExport,
    DescImportObject,
    DescImportPromise,
    OpAbort,
    OpDeliver,
    OpGcAnswers,
    OpGcExports,
    OpGet,
    OpIndex,
    OpListen,
    OpStartSession,
    OpUntag,
)
from goblins_py.syrup import Symbol
from vectors_syrup import K1, LOC, LOC_SIGNATURE, public_key

S = Symbol
SWISS = b"s" * 32

OPERATIONS = [
    (OpAbort("bye"), b"<8'op:abort3\"bye>"),
    (
        OpDeliver(DescExport(0), (S("fetch"), SWISS), 0, DescImportObject(1)),
        b"<10'op:deliver<11'desc:export0+>[5'fetch32:" + SWISS + b"]0+<18'desc:import-object1+>>",
    ),  # goblins
    (
        OpDeliver(DescExport(1), (S("fulfill"), DescImportObject(1)), False, False),
        b"<10'op:deliver<11'desc:export1+>[7'fulfill<18'desc:import-object1+>]ff>",
    ),  # goblins
    (
        OpDeliver(DescAnswer(1), (S("boom"),), 3, DescImportObject(5)),
        b"<10'op:deliver<11'desc:answer1+>[4'boom]3+<18'desc:import-object5+>>",
    ),  # goblins
    (
        OpDeliver(DescAnswer(4), (DescImportObject(50),), 5, DescImportObject(7)),
        b"<10'op:deliver<11'desc:answer4+>[<18'desc:import-object50+>]5+<18'desc:import-object7+>>",
    ),  # goblins
    (
        OpDeliver(DescExport(7), (), False, DescImportPromise(2)),
        b"<10'op:deliver<11'desc:export7+>[]f<19'desc:import-promise2+>>",
    ),
    (OpDeliver(DescExport(7), (0, False), 0, False), b"<10'op:deliver<11'desc:export7+>[0+f]0+f>"),
    (
        OpListen(DescExport(3), DescImportObject(9), wants_partial=False),
        b"<9'op:listen<11'desc:export3+><18'desc:import-object9+>f>",
    ),
    (
        OpListen(DescAnswer(3), DescImportPromise(9), wants_partial=True),
        b"<9'op:listen<11'desc:answer3+><19'desc:import-promise9+>t>",
    ),
    (OpGet(DescAnswer(1), "name", 2), b"<6'op:get<11'desc:answer1+>4\"name2+>"),  # endo
    (OpGet(DescExport(3), "", 0), b"<6'op:get<11'desc:export3+>0\"0+>"),
    (OpIndex(DescAnswer(0), 0, 0), b"<8'op:index<11'desc:answer0+>0+0+>"),
    (OpIndex(DescExport(3), 2**70, 9), b"<8'op:index<11'desc:export3+>1180591620717411303424+9+>"),
    (OpUntag(DescAnswer(1), "t", 2), b"<8'op:untag<11'desc:answer1+>1\"t2+>"),
    (OpGcExports((1, 2), (1, 300)), b"<13'op:gc-exports[1+2+][1+300+]>"),
    (OpGcExports((), ()), b"<13'op:gc-exports[][]>"),
    (OpGcAnswers((0, 1, 2, 3)), b"<13'op:gc-answers[0+1+2+3+]>"),  # goblins
    (DescImportObject(0), b"<18'desc:import-object0+>"),
    (DescImportPromise(2**70), b"<19'desc:import-promise1180591620717411303424+>"),
    (DescExport(10), b"<11'desc:export10+>"),
    (DescAnswer(1), b"<11'desc:answer1+>"),
]
"""Read and written alike."""

START = (OpStartSession("1.0", public_key(K1), LOC, LOC_SIGNATURE), 333)
"""goblins: its SHA-256 is the first of the Syrup vectors' digests."""

READ_ONLY = [
    (
        b"<9'op:listen<11'desc:export3+><18'desc:import-object9+>>",
        OpListen(DescExport(3), DescImportObject(9), wants_partial=False),
    ),
    (b"<8'op:untag<11'desc:answer1+>1't2+>", OpUntag(DescAnswer(1), S("t"), 2)),
    (b"<11'desc:answer007+>", DescAnswer(7)),
    (b" <8'op:abort 3\"bye >", OpAbort("bye")),
]
"""Peers write these, we do not."""

MALFORMED = [
    b"<11'desc:exportf>",
    b"<11'desc:exportt>",
    b"<11'desc:export1->",
    b"<11'desc:export1\"1>",
    b"<11'desc:exportD\x00\x00\x00\x00\x00\x00\x00\x00>",
    b"<11'desc:export>",
    b"<11'desc:export1+2+>",
    b"<11'desc:answer[1+]>",
    b"<18'desc:import-objectf>",
    b"<19'desc:import-promise<11'desc:export1+>>",
    b"<10'op:deliver<11'desc:export1+>[]t f>",
    b"<10'op:deliver<11'desc:export1+>[]1-f>",
    b"<10'op:deliver<11'desc:export1+>[]f t>",
    b"<10'op:deliver<11'desc:export1+>[]f0+>",
    b"<10'op:deliver<11'desc:export1+>[]f<11'desc:export1+>>",
    b"<10'op:deliver<11'desc:export1+>{}ff>",
    b"<10'op:deliver<11'desc:export1+>\"ff>".replace(b'"', b'1"a'),
    b"<10'op:deliver<18'desc:import-object1+>[]ff>",
    b"<10'op:deliver 1+[]ff>",
    b"<10'op:deliver<11'desc:export1+>[]f>",
    b"<10'op:deliver<11'desc:export1+>[]fff>",
    b"<9'op:listen<11'desc:export1+>f>",
    b"<9'op:listen<11'desc:export1+>>",
    b"<9'op:listen<11'desc:export1+><18'desc:import-object9+>0+>",
    b"<9'op:listen<11'desc:export1+><18'desc:import-object9+>ff>",
    b"<6'op:get<11'desc:answer1+>1\"af>",
    b"<6'op:get<11'desc:answer1+>1'a1+>",
    b"<6'op:get<11'desc:answer1+>1\"a1->",
    b"<6'op:get<11'desc:answer1+>1\"a>",
    b"<6'op:get<18'desc:import-object1+>1\"a1+>",
    b"<6'op:get1+1\"a1+>",
    b"<8'op:index<11'desc:answer1+>f1+>",
    b"<8'op:index<11'desc:answer1+>t1+>",
    b"<8'op:index<11'desc:answer1+>1-1+>",
    b"<8'op:index<11'desc:answer1+>1\"01+>",
    b"<8'op:index<11'desc:answer1+>0+f>",
    b"<8'op:index<11'desc:answer1+>0+1+1+>",
    b"<8'op:untag<11'desc:answer1+>1:t1+>",
    b"<8'op:untag<11'desc:answer1+>0+1+>",
    b"<8'op:untag<11'desc:answer1+>1\"tt>",
    b"<13'op:gc-exports[1+][0+]>",
    b"<13'op:gc-exports[1+][1-]>",
    b"<13'op:gc-exports[t][1+]>",
    b"<13'op:gc-exports[1+][t]>",
    b"<13'op:gc-exports1+1+>",
    b"<13'op:gc-exports[1+]>",
    b"<13'op:gc-answers[f]>",
    b"<13'op:gc-answers[1-]>",
    b"<13'op:gc-answers1+>",
    b"<8'op:abort1+>",
    b"<8'op:abort3'bye>",
    b"<8'op:abort>",
    b"<16'op:start-session1+[]<1'a>[]>",
    b"<16'op:start-session3\"1.0[]<1'a>>",
    b"<16'op:start-session3\"1.0[]1+[]>",
]
"""Ours by their labels, and nothing that means anything."""
