"""`goblins store`: what it says of a store, what it hides, and what it changes."""

import json
import os
import subprocess
from pathlib import Path
from unittest.mock import Mock

import apsw
import pytest
import trio

from cli_kit import GOBLINS, PATIENCE, Terminal, assert_one_line, environment, run, serving
from goblins_py.abc import Delta, Portrait
from goblins_py.cli._json import from_json
from goblins_py.cli._main import main
from goblins_py.errors import PersistenceError
from goblins_py.syrup import Map, Record, Symbol
from journal_kit import KEY
from persistence import SqliteStore, SyrupStore
from persistence._sqlite import APPLICATION_ID

SWISS = b"the-swiss-number-is-here"
STATE = {
    "name": "Alice",
    "_key": "-----BEGIN EC-----",
    "desk": Record(Symbol("near"), (1,)),
    "where": "ocapn://abc.tcp-tls/s/c3dpc3M?host=h",
    "by_swiss": Map({SWISS: Record(Symbol("near"), (1,)), b"other" * 5: 2}),
    "options": Map({"password": "hunter2", "color": "red"}),
    "odd\x1b[2J": ("\x1b[31m", frozenset({b"hunter2"})),
}
SECRETS = ["the-swiss", "BEGIN", "c3dpc3M", "hunter2", SWISS.hex()]
FIRST = Delta({0: Portrait("shop.Till", 1, STATE), 1: Portrait("shop.Desk", 0, {})},
              vat_id=bytes(range(32)), roots=(0,), roots_version=3)  # fmt: skip
ENV = {"STORE_KEY": KEY.hex(), "WORDS": "open sesame"}
UNLOCK = ("--key", "env:STORE_KEY")


async def fill(store, first: Delta = FIRST) -> None:
    for count in range(3):
        await store.open()
        if count == 0:
            await store.commit([first])
        await store.commit([Delta({2: Portrait("shop.Purse", 0, {"coins": count})})])
        await store.aclose()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The same state in a plain journal, an encrypted one, and a database."""
    trio.run(fill, SyrupStore(tmp_path / "plain", history=5))
    trio.run(fill, SyrupStore(tmp_path / "sealed", history=5, key=KEY))
    trio.run(fill, SqliteStore(tmp_path / "db"))
    return tmp_path


EACH = [("plain",), ("sealed", *UNLOCK), ("db",)]


def store(folder: Path, *args: str, stdin: str = "", code: int = 0) -> str:
    done = run("store", *args, cwd=folder, stdin=stdin, env=ENV)
    assert code == done.code, done.err
    if code:
        assert "" == done.out
        assert_one_line(done.err)
    return done.err if code else done.out


@pytest.mark.parametrize("name", EACH, ids=lambda name: name[0])
def test_info_says_what_a_store_holds(folder: Path, name: tuple[str, ...]) -> None:
    """For people and as JSON; no secret is in it, and nothing is changed."""
    before = (folder / name[0]).read_bytes()
    out = store(folder, "info", *name)
    assert [] == [word for word in ("shop.Till", "shop.Purse", "version 3", "00010203") if word not in out]
    facts = json.loads(store(folder, "info", *name, "--json"))
    assert (3, [0], 3) == (facts["objects"], facts["roots"], facts["roots_version"])
    assert 1 == facts["classes"]["shop.Desk"]["objects"]
    assert {"plain": "none", "sealed": "key", "db": "none"}[name[0]] == facts["encryption"]
    assert ("sqlite" if name[0] == "db" else "syrup") == facts["kind"]
    assert [] == [secret for secret in SECRETS if secret in out + json.dumps(facts)]
    assert before == (folder / name[0]).read_bytes()


@pytest.mark.parametrize("name", EACH, ids=lambda name: name[0])
def test_dump_is_readable_and_hides_secrets_unless_asked(folder: Path, name: tuple[str, ...]) -> None:
    """Bytes, sturdyrefs in texts, and fields whose names speak of secrets; nothing steers the terminal."""
    out = store(folder, "dump", *name)
    assert out.startswith("0  shop.Till  version 1  root\n")
    assert '\n    name      "Alice"' in out
    assert "<'near 1>" in out
    assert '"color": "red"' in out
    assert [] == [secret for secret in SECRETS if secret in out]
    assert "\x1b" not in out
    assert 4 <= out.count("redacted")
    shown = store(folder, "dump", *name, "--secrets")
    assert [] == [secret for secret in SECRETS[:4] if secret not in shown]
    lines = store(folder, "dump", *name, "--json").splitlines()
    assert ["shop.Till", "shop.Desk", "shop.Purse"] == [json.loads(line)["class"] for line in lines]
    assert [] == [secret for secret in SECRETS if secret in "".join(lines)]


def test_history_lists_the_past_and_dump_shows_it(folder: Path) -> None:
    """Newer numbers are larger; what has none says so."""
    found = json.loads(store(folder, "history", "plain", "--json"))
    assert [1, 2] == [each["number"] for each in found]
    assert "2" in store(folder, "history", "sealed", *UNLOCK)
    assert "coins  0" in store(folder, "dump", "plain", "--at", "1")
    assert "coins  1" in store(folder, "dump", "sealed", *UNLOCK, "--at", "2")
    assert "no checkpoint 9; it has 1, 2" in store(folder, "dump", "plain", "--at", "9", code=1)
    assert "no checkpoints" in store(folder, "dump", "db", "--at", "1", code=2)
    assert "" == store(folder, "history", "db")


@pytest.mark.parametrize("name", EACH, ids=lambda name: name[0])
def test_verify_finds_damage(folder: Path, name: tuple[str, ...]) -> None:
    """0 for a sound store; 1, one line, and the file as it was for a damaged one."""
    assert "is sound: 3 objects" in store(folder, "verify", *name)
    path = folder / name[0]
    damaged = bytearray(path.read_bytes())
    at = damaged.rfind(b"coins") if name[0] == "db" else len(damaged) // 3
    damaged[at] ^= 1
    path.write_bytes(damaged)
    assert "damaged" in store(folder, "verify", *name, code=1)
    assert bytes(damaged) == path.read_bytes()


@pytest.mark.parametrize("name", EACH, ids=lambda name: name[0])
def test_compact_makes_the_file_smaller_and_loses_nothing(folder: Path, name: tuple[str, ...]) -> None:
    """The checkpoints stay."""
    path, before = folder / name[0], (held_by(folder, name[0]), checkpoints(folder, name[0]))
    if name[0] != "db":
        with path.open("ab") as file:
            file.write(bytes(5000))  # what file systems leave after a crash
    size = path.stat().st_size
    out = store(folder, "compact", *name)
    assert f"{path.stat().st_size:,}" in out
    assert path.stat().st_size <= size
    assert before == (held_by(folder, name[0]), checkpoints(folder, name[0]))


def test_copies_of_every_kind_hold_the_same(folder: Path) -> None:
    """To a database and back, encrypted on the way, and from the past; nothing is asked for."""
    there = held_by(folder, "plain")
    store(folder, "copy", "plain", "one.sqlite")
    store(folder, "copy", "one.sqlite", "two", "--new-passphrase", "env:WORDS")
    store(
        folder,
        "copy",
        "two",
        "three",
        "--passphrase",
        "-",
        "--new-key",
        "@key",
        stdin="open sesame\n",
        code=2,
    )
    (folder / "key").write_text(KEY.hex() + "\n")
    store(folder, "copy", "two", "three", "--passphrase", "-", "--new-key", "@key", stdin="open sesame\n")
    store(folder, "copy", "three", "four", *UNLOCK, "--to", "sqlite")
    assert there == held_by(folder, "four")
    assert b"shop" not in (folder / "two").read_bytes() + (folder / "three").read_bytes()
    store(folder, "copy", "plain", "past", "--at", "1")
    assert "coins  0" in store(folder, "dump", "past")


def reader(folder: Path, name: str):
    kinds = {"plain": {}, "sealed": {"key": KEY}}
    if name in kinds:
        return SyrupStore(folder / name, read_only=True, **kinds[name])
    return SqliteStore(folder / name, read_only=True)


def held_by(folder: Path, name: str) -> dict[int, Portrait]:
    """What is in a database, or in a journal."""
    return trio.run(reader(folder, name).inspect).snapshot.portraits


def checkpoints(folder: Path, name: str) -> object:
    return trio.run(reader(folder, name).inspect).checkpoints


def test_nothing_is_overwritten(folder: Path) -> None:
    """Not a store, not the source, not anything else."""
    (folder / "note").write_text("hello")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert "not empty" in store(folder, "copy", "plain", "db", "--to", "sqlite", code=1)
    assert "source itself" in store(folder, "copy", "plain", "./plain", code=2)
    assert "not a goblins store" in store(folder, "copy", "plain", "note", code=1)
    assert before == {name: (folder / name).read_bytes() for name in before}


def test_a_key_is_needed_and_never_taken_from_the_command_line(folder: Path) -> None:
    """Wrong, missing or written out: one line, which does not repeat it."""
    assert "--key env:NAME" in store(folder, "info", "sealed", code=2)
    assert "another one" in store(folder, "info", "sealed", "--key", "-", stdin="00" * 32, code=1)
    assert "32 bytes" in store(folder, "info", "sealed", "--key", "-", stdin="abc", code=2)
    assert "with a key" in store(folder, "info", "sealed", "--passphrase", "env:WORDS", code=1)
    assert "not encrypted" in store(folder, "info", "plain", *UNLOCK, code=1)
    assert "not both" in store(folder, "info", "sealed", *UNLOCK, "--passphrase", "ask", code=2)
    assert "there is no key" in store(folder, "info", "sealed", "--key", "env:NOTHING", code=2)
    err = store(folder, "info", "sealed", "--key", KEY.hex(), code=2)
    assert "list of processes" in err
    assert KEY.hex() not in err


def test_who_sits_at_a_terminal_is_asked(folder: Path) -> None:
    """What is typed is not shown; a wrong one is a clear error."""
    for typed, code, word in ((KEY.hex(), 0, "is sound: 3 objects"), ("00" * 32, 1, "another one")):
        screen = Terminal(folder, "store", "verify", "sealed")
        try:
            screen.expect("Key: ")
            screen.type(typed)
            assert typed not in screen.expect(word)
            assert code == screen.process.wait(PATIENCE)
        finally:
            screen.close()


@pytest.mark.parametrize("command", ["dump", "compact"])
def test_what_is_no_store_is_refused(folder: Path, command: str) -> None:
    """Missing: 2; another file, or a newer format: 1; each in one line with its name."""
    (folder / "note").write_text("hello")
    assert "there is no file missing" in store(folder, command, "missing", code=2)
    assert "note" in store(folder, command, "note", code=1)


def test_numbers_that_python_does_not_print_are_shown(tmp_path: Path) -> None:
    """As hexadecimal digits, in every command that shows states."""
    huge = 1 << 20_000
    state = {"one": huge, "some": (Map({"less": -huge}), True, 7)}
    first = Delta({0: Portrait("shop.Till", huge, state)}, vat_id=bytes(32), roots=(0,), roots_version=huge)
    trio.run(fill, SyrupStore(tmp_path / "huge"), first)
    out = store(tmp_path, "dump", "huge")
    assert f"one   {hex(huge)}\n" in out
    assert f'[{{"less": {hex(-huge)}}}, true, 7]' in out
    shown = json.loads(store(tmp_path, "dump", "huge", "--json").splitlines()[0])
    assert {"@int": hex(huge)} == shown["version"] == shown["state"]["one"]
    assert state == from_json(shown["state"])
    assert "0x1000" in store(tmp_path, "info", "huge")
    assert {"@int": hex(huge)} == json.loads(store(tmp_path, "info", "huge", "--json"))["roots_version"]


def test_a_passphrase_that_is_no_text_is_refused_before_anything_is_made(folder: Path) -> None:
    """From wherever it comes; nothing of it is repeated."""
    (folder / "words").write_bytes(b"hunter2\xff\n")
    env = {**ENV, "BYTES": "hunter2\udcff"}
    before = set(folder.iterdir())
    for source in ("env:BYTES", "@words"):
        done = run("store", "copy", "plain", "new", "--new-passphrase", source, cwd=folder, env=env)
        assert (2, "") == (done.code, done.out)
        assert_one_line(done.err, "is not UTF-8")
        assert "hunter2" not in done.err
        assert "ff" not in done.err
    assert before == set(folder.iterdir())


@pytest.mark.parametrize(
    "table",
    [
        "CREATE TABLE other (slot, crc, data)",
        "CREATE TABLE record (slot INTEGER PRIMARY KEY, data)",
        "CREATE TABLE record (slot, crc, data); INSERT INTO record VALUES ('one', 1, 'text')",
    ],
)
def test_a_forged_database_is_no_store(tmp_path: Path, table: str) -> None:
    """One line, whatever is done with it."""
    (tmp_path / "things.py").write_text("from goblins_py import actor\n@actor\nclass Things: ...\n")
    connection = apsw.Connection(str(tmp_path / "forged"))
    connection.execute(f"{table}; PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = 1")
    connection.close()
    for command in ("verify", "info", "dump", "compact"):
        assert "forged" in store(tmp_path, command, "forged", code=1)
    done = run("serve", "things.py:Things", "--store", "forged", cwd=tmp_path)
    assert (1, "") == (done.code, done.out)
    assert_one_line(done.err, "forged cannot be used")


def test_a_past_beyond_the_calendar_is_listed(tmp_path: Path) -> None:
    """A clock can be wrong by ten thousand years."""
    trio.run(fill, SyrupStore(tmp_path / "late", history=5, _clock=lambda: 1e15))
    assert "1000000000000000 s after 1970" in store(tmp_path, "history", "late")


@pytest.mark.parametrize("command", [("info", "plain"), ("info", "plain", "--json"), ("dump", "plain")])
def test_a_full_disk_under_its_output_is_one_line(folder: Path, command: tuple[str, ...]) -> None:
    """Whether it is noticed at once or at the end."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*GOBLINS, "store", *command], cwd=folder, stdout=full, stderr=subprocess.PIPE, text=True,
            env=environment(ENV), timeout=PATIENCE, check=False,
        )  # fmt: skip
    assert 1 == done.returncode
    assert_one_line(done.stderr, "No space left")


@pytest.mark.parametrize("command", [("info", "plain"), ("dump", "plain")])
def test_nobody_who_reads_is_no_news(folder: Path, command: tuple[str, ...]) -> None:
    """As after `| head`: it ends, and says nothing."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*GOBLINS, "store", *command], cwd=folder, stdout=writing, stderr=subprocess.PIPE, text=True,
        env=environment(ENV), timeout=PATIENCE, check=False,
    )  # fmt: skip
    os.close(writing)
    assert (1, "") == (done.returncode, done.stderr)


@pytest.mark.parametrize("closed", [1, 2])
def test_a_closed_output_is_nobody_who_listens(folder: Path, closed: int) -> None:
    """It works all the same, and says nothing there."""
    command = ["sh", "-c", f'exec "$@" {closed}>&-', "sh", *GOBLINS]
    done = run("store", "info", "plain", cwd=folder, command=command)
    assert (0, "") == (done.code, done.err)
    assert (closed == 1) == (done.out == "")


@pytest.mark.parametrize("error", [OSError(5, "went wrong"), ValueError("wrong"), PersistenceError("wrong")])
def test_what_nobody_caught_is_one_line(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Never a traceback."""
    monkeypatch.setattr("goblins_py.cli._stores.Target.named", Mock(side_effect=error))
    monkeypatch.setattr("sys.argv", ["goblins", "store", "info", "it"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert 1 == ended.value.code
    assert_one_line(capsys.readouterr().err, "wrong")


def test_a_store_in_use_is_read_and_not_compacted(tmp_path: Path) -> None:
    """What a served object has saved can be looked at meanwhile; its URI is not shown."""
    with serving(tmp_path, "things.py:Things", "--store", "things.syrup") as server:
        assert "42" == run("call", "-", "up", "42", cwd=tmp_path, stdin=server.uri).out.strip()
        out = store(tmp_path, "dump", "things.syrup")
        assert "things.Things" in out
        assert "count  42" in out
        assert server.uri.split("/s/")[1].split("?")[0] not in out
        assert "PRIVATE" not in out
        assert "PRIVATE" in store(tmp_path, "dump", "things.syrup", "--secrets")
        assert "in use" in store(tmp_path, "compact", "things.syrup", code=1)
        store(tmp_path, "copy", "things.syrup", "backup.syrup")
    assert "count  42" in store(tmp_path, "dump", "backup.syrup")


def test_a_copy_serves_the_same_object_under_the_same_uri(tmp_path: Path) -> None:
    """A backup is the store; here it takes the place of the one that was lost."""
    stored = ("things.py:Things", "--store", "things.syrup")
    with serving(tmp_path, *stored) as server:
        run("call", "-", "up", "7", cwd=tmp_path, stdin=server.uri)
    store(tmp_path, "copy", "things.syrup", "there.sqlite")
    (tmp_path / "things.syrup").unlink()
    store(tmp_path, "copy", "there.sqlite", "things.syrup")
    with serving(tmp_path, *stored) as again:
        assert again.uri == server.uri
        assert "8" == run("call", "-", "up", cwd=tmp_path, stdin=again.uri).out.strip()
