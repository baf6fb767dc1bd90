"""What `goblins serve`, `relay serve` and `repl` keep things in: plain, encrypted, with a past, or SQLite."""

from pathlib import Path

import pytest

from cli_kit import PATIENCE, Terminal, assert_one_line, relaying, run, serving

WORDS = "open sesame, and no one else"


@pytest.fixture
def words(tmp_path: Path) -> str:
    """Where a passphrase is found."""
    (tmp_path / "words").write_text(f"{WORDS}\n")
    return "@words"


def test_an_object_is_kept_encrypted(tmp_path: Path, words: str) -> None:
    """Nothing of it is readable, and with the passphrase it is there again under its URI."""
    options = ("things.py:Things", "--store", "kept", "--store-passphrase", words)
    uris = []
    for count in ("1", "2"):
        with serving(tmp_path, *options) as server:
            uris.append(server.uri)
            assert f"{count}\n" == run("call", "-", "up", cwd=tmp_path, stdin=server.uri).out
    assert 1 == len(set(uris))
    kept = (tmp_path / "kept").read_bytes()
    assert b"things.Things" not in kept
    assert b"BEGIN" not in kept


@pytest.mark.parametrize(
    ("options", "code", "text"),
    [
        ((), 2, "is encrypted with a passphrase"),
        (("--store-passphrase", "@wrong"), 1, "passphrase"),
        (("--store-passphrase", WORDS), 2, "would show in the list of processes"),
        (("--store-key", "@words"), 2, "a key is 32 bytes"),
    ],
)
def test_without_its_passphrase_it_is_not_served(
    tmp_path: Path, words: str, options: tuple[str, ...], *, code: int, text: str
) -> None:
    """One line says why, and repeats no secret."""
    (tmp_path / "wrong").write_text("close sesame\n")
    with serving(tmp_path, "things.py:Things", "--store", "kept", "--store-passphrase", words):
        pass
    done = run("serve", "things.py:Things", "--store", "kept", *options, cwd=tmp_path)
    assert (code, "") == (done.code, done.out)
    assert_one_line(done.err)
    assert text in done.err
    assert "sesame" not in done.err


def test_a_name_chooses_sqlite(tmp_path: Path) -> None:
    """And what is there is recognised by what is in it."""
    for count in ("1", "2"):
        with serving(tmp_path, "things.py:Things", "--store", "kept.sqlite") as server:
            assert f"{count}\n" == run("call", "-", "up", cwd=tmp_path, stdin=server.uri).out
    assert (tmp_path / "kept.sqlite").read_bytes().startswith(b"SQLite format 3")
    assert "sqlite" in run("store", "info", "kept.sqlite", cwd=tmp_path).out


def test_a_past_is_kept(tmp_path: Path) -> None:
    """A checkpoint of each run that changes something."""
    for _ in range(3):
        with serving(tmp_path, "things.py:Things", "--store", "kept", "--history", "2") as server:
            run("call", "-", "up", cwd=tmp_path, stdin=server.uri)
    with serving(tmp_path, "things.py:Things", "--store", "kept"):
        pass  # who says nothing of the past keeps it
    assert 2 == len(run("store", "history", "kept", cwd=tmp_path).out.strip().splitlines()) - 1


def test_a_database_keeps_no_past_and_says_so(tmp_path: Path) -> None:
    """Rather than that somebody misses it later; nothing is made."""
    (tmp_path / "things.py").write_text("from goblins_py import actor\n@actor\nclass Things: ...\n")
    done = run("serve", "things.py:Things", "--store", "kept.sqlite", "--history", "5", cwd=tmp_path)
    assert (2, "") == (done.code, done.out)
    assert_one_line(done.err, "kept.sqlite keeps no past states")
    assert [] == list(tmp_path.glob("kept*"))


def test_options_of_a_store_need_one(tmp_path: Path, words: str) -> None:
    """They are no use without."""
    (tmp_path / "things.py").write_text("from goblins_py import actor\n@actor\nclass Things: ...\n")
    done = run("serve", "things.py:Things", "--store-passphrase", words, cwd=tmp_path)
    assert 2 == done.code
    assert "no --store" in done.err


def test_a_relay_and_the_repl_are_kept_encrypted_as_well(tmp_path: Path, words: str) -> None:
    """With the same options."""
    options = ("--store", "kept", "--store-passphrase", words)
    with relaying(tmp_path, *options) as relay:
        uri = relay.uri
    with relaying(tmp_path, *options) as relay:
        assert uri == relay.uri
    options = ("repl", "--store", "home", "--store-passphrase", words)
    assert 0 == run(*options, cwd=tmp_path, stdin="home.keep('answer', 42)\n").code
    assert "42\n" == run(*options, cwd=tmp_path, stdin="home.get('answer')\n").out
    assert b"answer" not in (tmp_path / "home").read_bytes()


def test_who_is_asked_for_a_passphrase_may_leave(tmp_path: Path, words: str) -> None:
    """Ctrl-C at the prompt ends it at once."""
    with serving(tmp_path, "things.py:Things", "--store", "kept", "--store-passphrase", words):
        pass
    terminal = Terminal(tmp_path, "serve", "things.py:Things", "--store", "kept")
    try:
        terminal.expect("Passphrase")
        terminal.press("C")
        assert 0 != terminal.process.wait(PATIENCE)
    finally:
        terminal.close()
