"""Secrets at rest: what a sealed journal shows, who opens it, and that nobody else changes it unnoticed."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from zlib import crc32

import pytest

from faulty_files import FaultyFiles, When, disk_full
from goblins_py.abc import Delta, Portrait
from goblins_py.errors import StoreCorruptError, StoreKeyError
from journal_kit import DELTAS, FIRST, KEY, PATH, cell, contents, disk_with, image, opened, states
from persistence import SyrupStore
from persistence._frames import HEAD_SIZE, FileHeader, frame
from persistence._records import join_records, next_record
from persistence._sealing import Secret, Vault
from store_kit import CHEAP

SECRETS = [b"hunter2-the-swiss-number", b"bank.Purse", b"coins", KEY]
PURSE = Delta({5: Portrait("bank.Purse", 0, {"_key": SECRETS[0], "coins": "gold", "mine": KEY})})
OTHER_KEY = bytes(32)


def frames(data: bytes, borders: list[int]) -> list[list[bytes]]:
    """The stored records of each frame."""
    result = []
    for start, end in pairwise(borders):
        payload, position, found = data[start + HEAD_SIZE : end], 0, []
        while position < len(payload):
            first, position = next_record(payload, position)
            found.append(payload[first:position])
        result.append(found)
    return result


def assembled(data: bytes, stored: list[list[bytes]]) -> FaultyFiles:
    """A journal with the first line of `data` and these records, each frame with right checksums."""
    header = FileHeader.parse(data)
    made = header.line
    for records in stored:
        made += frame(join_records(records), len(made), header.seed)
    return disk_with(made)


# --- secrecy -----------------------------------------------------------------------


def test_nothing_that_is_stored_is_in_the_file() -> None:
    """No value, no name of a class or field, no key: not after commits, nor after a compaction."""
    files = FaultyFiles()
    journal, _ = opened(files, min_compact=0, key=KEY, history=2)
    journal.append([FIRST, PURSE])
    seen = bytes(files.names[PATH].data)
    for count in range(5):
        journal.append([cell(1, count)])
        seen += bytes(files.names[PATH].data)
    assert journal.compactions > 0
    assert [] == [secret for secret in [*SECRETS, bytes(32), b"portrait"] if secret in seen]
    journal.close()
    assert contents(files, key=KEY, history=2) == {0: 0, 1: 4, 5: None}


def test_equal_records_look_different() -> None:
    """Nobody can tell that a value was stored before."""
    data, borders = image([FIRST, cell(1, "same"), cell(1, "same")], key=KEY)
    stored = frames(data, borders)
    assert stored[1][0][:40] != stored[2][0][:40]
    assert len(stored[1][0]) == len(stored[2][0])


@pytest.mark.parametrize("options", [{"key": KEY}, {"passphrase": "hunter2-open sesame", "_cost": CHEAP}])
@pytest.mark.parametrize(
    "wrong", [{}, {"key": OTHER_KEY}, {"passphrase": "hunter2"}, {"key": bytes(range(1, 33))}]
)
@pytest.mark.trio
async def test_another_key_or_none_is_refused_with_a_clear_error(
    options: dict[str, object], wrong: dict[str, object], tmp_path: Path
) -> None:
    """Also a key in place of a passphrase. The store is unchanged, and the text holds no key."""
    path = tmp_path / "vat.syrup"
    store = SyrupStore(path, **options)
    await store.open()
    await store.commit([FIRST, PURSE])
    await store.aclose()
    before = path.read_bytes()
    for store in (SyrupStore(path, **wrong), SyrupStore(path, read_only=True, **wrong)):
        with pytest.raises(StoreKeyError) as caught:
            await store.open()
        text = "".join(traceback.format_exception(caught.value)) + repr(store) + repr(vars(store))
        assert "hunter2" not in text
        assert repr(KEY) not in text
        assert repr(KEY)[2:20] not in text
    assert path.read_bytes() == before
    store = SyrupStore(path, **options)
    assert await store.open() is not None
    await store.aclose()


@pytest.mark.trio
async def test_a_plain_store_is_not_taken_for_an_encrypted_one(tmp_path: Path) -> None:
    """Somebody with the disk but no key cannot put a store of his own in its place."""
    path = tmp_path / "vat.syrup"
    store = SyrupStore(path)
    await store.open()
    await store.commit([FIRST])
    await store.aclose()
    for wrong in (SyrupStore(path, key=KEY), SyrupStore(path, passphrase="x")):
        with pytest.raises(StoreKeyError, match="not encrypted"):
            await wrong.open()


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"key": b"short"}, "32 bytes"),
        ({"key": KEY, "passphrase": "x"}, "not both"),
        ({"passphrase": ""}, "empty"),
        ({"history": -1}, "history"),
    ],
)
def test_options_that_make_no_sense_are_refused_at_once(
    options: dict[str, object], word: str, tmp_path: Path
) -> None:
    """Before there is a file."""
    with pytest.raises(ValueError, match=word):
        SyrupStore(tmp_path / "vat.syrup", **options)


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"key": bytearray(b"hunter2".ljust(32))}, TypeError),
        ({"key": "hunter2".ljust(32)}, TypeError),
        ({"passphrase": b"hunter2"}, TypeError),
        ({"passphrase": 2}, TypeError),
        ({"passphrase": "hunter2\udcff"}, ValueError),
    ],
)
def test_a_secret_of_the_wrong_kind_is_refused_at_once_and_not_repeated(
    options: dict[str, object], kind: type[Exception], tmp_path: Path
) -> None:
    """Before there is a file or its lock."""
    with pytest.raises(kind) as caught:
        SyrupStore(tmp_path / "vat.syrup", **options)
    assert type(caught.value) is kind
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert [] == list(tmp_path.iterdir())


def test_a_file_cannot_ask_for_any_amount_of_memory() -> None:
    """The cost of a passphrase is read from the file: more than Argon2id's own largest is refused."""
    for words in (b"9 4398046511104", b"4294967295 8192", b"0 8192", b"x 8192"):
        line = b"goblins-store 2 0011223344556677 passphrase %s %s %s " % (words, b"00" * 16, b"00" * 16)
        header = FileHeader.parse(line + b"%08x\n" % crc32(line))
        with pytest.raises(StoreKeyError, match="passphrase"):
            Vault.reopen(Secret(passphrase="x"), header)


# --- tampering ----------------------------------------------------------------------


def test_any_changed_bit_is_an_error_or_a_torn_tail_and_never_another_state() -> None:
    """Also where the checksums, which need no key, are put right."""
    data, borders = image(DELTAS, key=KEY)
    stored = frames(data, borders)
    assert contents(assembled(data, stored), key=KEY) == states(DELTAS)[-1]
    for changed in flipped(stored):
        with pytest.raises(StoreCorruptError, match="tampered"):
            opened(assembled(data, changed), key=KEY)


def flipped(stored: list[list[bytes]]) -> Iterator[list[list[bytes]]]:
    for number, records in enumerate(stored):
        for place, record in enumerate(records):
            for position in range(len(record)):
                changed = [list(each) for each in stored]
                changed[number][place] = bytes(byte ^ (at == position) for at, byte in enumerate(record))
                yield changed


def test_records_cannot_be_exchanged_moved_repeated_or_left_out() -> None:
    """Each is bound to its place in the file, and a commit to its last record."""
    deltas = [FIRST, Delta({1: cell(1, "aa").portraits[1], 2: cell(2, "bb").portraits[2]}), cell(1, "cc")]
    data, borders = image(deltas, key=KEY)
    graph_and_first, (one, two), (three,) = frames(data, borders)
    assert len(one) == len(two) == len(three)
    for forged in (
        [graph_and_first, [two, one], [three]],
        [graph_and_first, [one, three], [two]],
        [graph_and_first, [three, two], [one]],
        [graph_and_first, [one, one], [three]],
        [graph_and_first, [one], [two], [three]],
        [graph_and_first, [one]],  # half of the last commit
        [graph_and_first, [one, two, three]],  # two commits as one
        [[graph_and_first[0]], [one, two], [three]],
        [[graph_and_first[0]]],
        [[graph_and_first[1], graph_and_first[0]], [one, two], [three]],
    ):
        with pytest.raises(StoreCorruptError):
            opened(assembled(data, forged), key=KEY)


def test_records_of_another_file_of_the_same_key_do_not_fit() -> None:
    """Not even at the same place: each file has a key of its own."""
    data, borders = image(DELTAS, key=KEY)
    files = FaultyFiles()
    files.log.append("other random bytes")
    journal, _ = opened(files, key=KEY)
    places = [journal.end]
    for delta in DELTAS:
        journal.append([delta])
        places.append(journal.end)
    other = bytes(files.names[PATH].data)
    assert places == borders
    mixed = [*frames(data, borders)[:-1], frames(other, borders)[-1]]
    with pytest.raises(StoreCorruptError, match="tampered"):
        opened(assembled(data, mixed), key=KEY)


def test_the_first_line_cannot_be_changed_without_the_key() -> None:
    """Its checksum can be put right by anybody, its tag cannot."""
    data, _ = image(DELTAS, key=KEY)
    line, _, rest = data.partition(b"\n")
    words = line.split(b" ")
    for changed in (
        [*words[:2], b"0011223344556677", *words[3:-1]],
        [*words[:-2], b"00" * 16],
        [*words[:3], b"plain"],
        [*words[:3]],
        [words[0], b"1", *words[2:-1]],
    ):
        forged = b" ".join(changed) + b" "
        files = disk_with(forged + b"%08x\n" % crc32(forged) + rest)
        with pytest.raises((StoreKeyError, StoreCorruptError)):
            opened(files, key=KEY)


def test_a_torn_tail_of_a_sealed_journal_is_cut() -> None:
    """Every length that a crash can leave opens with the state before the last commit."""
    data, borders = image(DELTAS, key=KEY)
    for size in range(borders[-2], borders[-1]):
        assert contents(disk_with(data[:size]), key=KEY) == states(DELTAS)[-2]


# --- formats ---------------------------------------------------------------------------

FIXTURES = Path(__file__).with_name("fixtures")


@pytest.mark.trio
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("format-1.syrup", {}),
        ("format-2.syrup", {}),
        ("format-2-key.syrup", {"key": KEY}),
        ("format-2-passphrase.syrup", {"passphrase": "open sesame"}),
    ],
)
async def test_stores_of_every_format_still_open(
    name: str, options: dict[str, object], tmp_path: Path
) -> None:
    """Made by earlier versions, kept as they were: the same state, and they take commits and checkpoints."""
    data = (FIXTURES / name).read_bytes()
    path = tmp_path / name
    path.write_bytes(data)
    reader = SyrupStore(path, read_only=True, **options)
    looked_at = await reader.open()
    await reader.aclose()
    assert path.read_bytes() == data
    store = SyrupStore(path, history=2, **options)
    snapshot = await store.open()
    assert snapshot == looked_at
    assert snapshot is not None
    assert (snapshot.vat_id, snapshot.roots, snapshot.roots_version) == (bytes(range(32)), (0,), 2)
    assert {slot: each.name for slot, each in snapshot.portraits.items()} == {0: "shop.Till", 1: "shop.Purse"}
    assert snapshot.portraits[1].state["_key"] == KEY
    assert snapshot.portraits[1].state["coins"]["gold"] == 4
    await store.commit([cell(9, "new")])
    await store.aclose()
    number = (await SyrupStore(path, **options).checkpoints())[-1].number
    past = SyrupStore(path, at=number, **options)
    assert await past.open() == snapshot
    await past.aclose()
    store = SyrupStore(path, **options)
    again = await store.open()
    assert again is not None
    assert set(again.portraits) == {0, 1, 9}
    await store.aclose()


def test_an_old_format_is_kept_until_the_first_commit() -> None:
    """Who opens it and cannot use what is in it leaves it for the program that wrote it."""
    data = (FIXTURES / "format-1.syrup").read_bytes()
    files = disk_with(data)
    journal, _ = opened(files)
    journal.close()
    assert files.names[PATH].data == data
    journal, _ = opened(files)
    journal.append([cell(9, "new")])
    journal.close()
    assert files.names[PATH].data.startswith(b"goblins-store 2 ")


def test_a_rewrite_of_an_old_format_that_fails_leaves_the_store_as_it_was() -> None:
    """A full disk: the commit says so, nothing is changed, and no more is taken."""
    data = (FIXTURES / "format-1.syrup").read_bytes()
    for name in ("create", "write new", "sync new", "replace"):
        files = disk_with(data)
        journal, _ = opened(files)
        files.trap = lambda _, operation, name=name: (When.HALF, disk_full()) if operation == name else None
        with pytest.raises(OSError, match="No space left"):
            journal.append([cell(9, "new")])
        files.trap = lambda number, name: None
        with pytest.raises(OSError, match="failed earlier"):
            journal.append([cell(9, "new")])
        journal.close()
        assert files.names[PATH].data == data
        assert not files.handles
        journal, _ = opened(files)
        journal.append([cell(9, "new")])
        journal.close()
        assert files.names[PATH].data.startswith(b"goblins-store 2 ")
