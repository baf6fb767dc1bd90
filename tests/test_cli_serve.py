"""`goblins serve`: one URI on stdout, the same after every end, and clear words when it cannot serve."""

import signal
import socket
from contextlib import closing

import pytest

from cli_kit import THINGS, assert_one_line, run, serving
from goblins_py.locators import Sturdyref

STORED = ("things.py:Things", "--store", "things.syrup")


def call(server, *args: str) -> str:
    done = run("call", "-", *args, cwd=server.err_path.parent, stdin=server.uri)
    assert 0 == done.code, done.err
    return done.out.strip()


def refused(tmp_path, *args: str, code: int = 2, words: tuple[str, ...] = ()) -> None:
    """`goblins serve` ends at once with this code and one line."""
    done = run("serve", *args, cwd=tmp_path)
    assert (code, "") == (done.code, done.out), done.err
    assert_one_line(done.err, *words)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "things.py").write_text(THINGS)
    return tmp_path


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_the_uri_and_the_state_survive_every_end(tmp_path, number: signal.Signals) -> None:
    """A signal to stop ends it with 0; not even SIGKILL loses what somebody was told."""
    with serving(tmp_path, *STORED) as server:
        assert ["1", "2"] == [call(server, "up"), call(server, "up")]
        code, rest = server.end(number)
        assert (-number if number is signal.SIGKILL else 0, "") == (code, rest)
    with serving(tmp_path, *STORED) as again:
        assert again.uri == server.uri
        assert "3" == call(again, "up")


def test_peers_are_told_that_it_ends(tmp_path) -> None:
    """Who waits for an answer hears of it at once, and why."""
    with serving(tmp_path) as server:
        server.when_waited_for(server.process.terminate)
        done = run("call", "-", "never", cwd=tmp_path, stdin=server.uri)
        assert 1 == done.code
        assert_one_line(done.err, "closing")
        assert 0 == server.process.wait(5)


def test_only_the_uri_is_on_stdout_and_people_are_told_the_rest(tmp_path) -> None:
    """Who can reach it, and what becomes of its state."""
    with serving(tmp_path) as server:
        assert "127.0.0.1" == Sturdyref.from_uri(server.uri).peer.hints["host"]
        assert "programs on this machine only" in server.err
        assert "lost when this process ends" in server.err
        assert server.uri not in server.err
        assert (0, "") == server.end(signal.SIGTERM)


def test_arguments_make_the_object_once(tmp_path) -> None:
    """`--arg` counts for a new store; later it is ignored, and that is said."""
    with serving(tmp_path, *STORED, "--arg", "40") as server:
        assert "42" == call(server, "up", "2")
    with serving(tmp_path, *STORED, "--arg", "7") as again:
        assert "43" == call(again, "up")
        assert "--arg is ignored" in again.err


def test_a_restart_keeps_the_address_and_says_so(tmp_path) -> None:
    """Other wishes for host or port cannot be met: URIs that were given out name the old ones."""
    with serving(tmp_path, *STORED, "--host", "localhost") as server:
        pass
    with serving(tmp_path, *STORED, "--host", "127.0.0.1") as again:
        assert again.uri == server.uri
        assert "--host and --port are ignored" in again.err


def test_what_fails_is_undone_and_logged_shortly(tmp_path) -> None:
    """The log shows the frames of the object's author, and none of ours."""
    with serving(tmp_path) as server:
        assert 1 == run("call", "-", "fail", cwd=tmp_path, stdin=server.uri).code
        assert "1" == call(server, "up")
        assert 'raise ValueError("an internal detail")' in server.err
        assert "goblins_py/actors" not in server.err


def test_verbose_errors_reach_the_caller(tmp_path) -> None:
    """For callers who are the developers."""
    with serving(tmp_path, "things.py:Things", "--verbose-errors") as server:
        done = run("call", "-", "fail", cwd=tmp_path, stdin=server.uri)
        assert_one_line(done.err, "ValueError: an internal detail")


@pytest.mark.parametrize(
    ("target", "word"),
    [
        ("missing.py:Things", "there is no file"),
        ("missing_module:Things", "there is no module"),
        ("things.py:Missing", "its actors are Things, Other"),
        ("things.py:NOT_AN_ACTOR", "is no @actor class"),
        ("things.py", "FILE_OR_MODULE:Actor"),
        ("broken.py:Things", "line 2: SyntaxError"),
        ("failing.py:Things", "line 1: ZeroDivisionError"),
    ],
)
def test_what_cannot_be_served_is_a_usage_error(folder, target: str, word: str) -> None:
    """Exit code 2 and one line that says what is wrong with it."""
    (folder / "broken.py").write_text("\n(\n")
    (folder / "failing.py").write_text("1 / 0\n")
    refused(folder, target, words=(word,))


@pytest.mark.parametrize(
    ("args", "word"),
    [
        (["--arg", "1", "--arg", "2"], "too many positional arguments"),
        (["--arg", '{"@nonsense": 1}'], "bad --arg"),
        (["--netlayer", "pigeon"], "there is tcp-tls"),
        (["--host", "0.0.0.0"], "the name that others reach you by"),
    ],
)
def test_bad_options_are_a_usage_error(folder, args: list[str], word: str) -> None:
    """Exit code 2 and one line; no store was made."""
    refused(folder, *STORED, *args, words=(word,))
    assert [] == [path.name for path in folder.iterdir() if path.name == "things.syrup"]


def test_a_port_in_use_is_named(folder) -> None:
    """Exit code 1; with another port the same store works."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        refused(folder, *STORED, "--port", str(port), code=1, words=(str(port), "in use"))
    with serving(folder, *STORED) as server:
        assert "1" == call(server, "up")


def test_a_store_is_for_one_process(tmp_path) -> None:
    """Exit code 1, and the first goes on."""
    with serving(tmp_path, *STORED) as server:
        refused(tmp_path, *STORED, code=1, words=("things.syrup", "in use by another process"))
        assert "1" == call(server, "up")


def test_a_damaged_store_is_left_as_it_is(folder) -> None:
    """Exit code 1, and the line says where the damage is."""
    with serving(folder, *STORED) as server:
        call(server, "up")
    store = folder / "things.syrup"
    damaged = bytearray(store.read_bytes())
    damaged[len(damaged) // 3] ^= 0xFF
    store.write_bytes(damaged)
    refused(folder, *STORED, code=1, words=("things.syrup", "at byte"))
    assert bytes(damaged) == store.read_bytes()


def test_a_store_of_another_class_is_not_taken_up(folder) -> None:
    """Exit code 1, naming both classes; also if another file had made it."""
    with serving(folder, *STORED):
        pass
    refused(folder, "things.py:Other", *STORED[1:], code=1, words=("things.Things", "things.Other"))
    (folder / "more.py").write_text(THINGS)
    refused(folder, "more.py:Things", *STORED[1:], code=1, words=("things.Things", "more.py"))


def test_a_store_that_cannot_be_opened_is_named(folder) -> None:
    """A missing folder, and a folder in its place."""
    refused(folder, *STORED[:2], "nowhere/x.syrup", code=1, words=("nowhere/x.syrup", "No such file"))
    (folder / "x.syrup").mkdir()
    refused(folder, *STORED[:2], "x.syrup", code=1, words=("x.syrup",))


def test_a_file_does_not_change_the_module_path(tmp_path) -> None:
    """It is loaded by its path under its stem; what lies beside it is not importable by that."""
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "beside.py").write_text("")
    (inner / "json.py").write_text(
        "import importlib.util, sys\nfrom goblins_py import actor\n"
        "@actor\nclass Path:\n    def found(self):\n"
        "        same = sys.modules['json'].__file__ == __file__\n"
        "        return [importlib.util.find_spec('beside') is not None, __name__, same]\n"
    )
    with serving(tmp_path, "inner/json.py:Path") as server:
        assert '[false, "json", false]' == call(server, "found")


def test_a_module_can_be_served(tmp_path) -> None:
    """An importable module is named with dots."""
    with serving(tmp_path, "things:Things") as server:
        assert "1" == call(server, "up")


COUNTER = '''
"""Things under another name, in another file, with a field of another name."""
from goblins_py import PersistenceEnv, actor, upgrade

@actor(version=1)
class Counter:
    total: int = 0

    @upgrade(from_version=0)
    @staticmethod
    def _from_things(state):
        return {"total": state["count"]}

    def up(self) -> int:
        self.total += 1
        return self.total
'''
ALIAS = 'env = PersistenceEnv(Counter, aliases={"things.Things": Counter})\n'


def test_a_class_that_was_renamed_and_upgraded_is_served_from_its_old_store(folder) -> None:
    """Under the same URI; once it has been, the former name need not be known any more."""
    with serving(folder, *STORED) as server:
        assert ["1", "2"] == [call(server, "up"), call(server, "up")]
    (folder / "counter.py").write_text(COUNTER)
    refused(folder, "counter.py:Counter", *STORED[1:], code=1, words=("things.Things", "does not fit"))
    (folder / "counter.py").write_text(COUNTER + ALIAS)
    with serving(folder, "counter.py:Counter", *STORED[1:]) as renamed:
        assert renamed.uri == server.uri
        assert "3" == call(renamed, "up")
    (folder / "counter.py").write_text(COUNTER)
    with serving(folder, "counter.py:Counter", *STORED[1:]) as again:
        assert (server.uri, "4") == (again.uri, call(again, "up"))


def test_an_upgrade_that_fails_is_one_line(folder) -> None:
    """Exit code 1, with class, versions and the kind of error; the store is as it was."""
    with serving(folder, *STORED) as server:
        call(server, "up")
    before = (folder / "things.syrup").read_bytes()
    (folder / "counter.py").write_text((COUNTER + ALIAS).replace('["count"]', '["typo"]'))
    words = ("does not fit", "things.Things cannot be upgraded from version 0 to 1: KeyError")
    refused(folder, "counter.py:Counter", *STORED[1:], code=1, words=words)
    assert before == (folder / "things.syrup").read_bytes()
