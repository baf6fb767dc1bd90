"""`goblins call`: what it sends, prints and exits with, against a real `goblins serve`."""

import json
import signal
import socket
import subprocess
import threading
from contextlib import closing, suppress

import pytest

from cli_kit import GOBLINS, PATIENCE, Server, assert_one_line, run, serving
from goblins_py.locators import PeerLocator, Sturdyref

GOOD = "rmjzmop527wfxokq4atnavfbdhokroh6min5zl6az3ukgnv6i5wa"
SWISS = "wsbN0UwV2SrIDiu18PtJlAbs6KvbtNTQZNcEZ-wOj6I"

MALFORMED = {
    "empty": "",
    "no URI": "hello",
    "another scheme": "http://example.com/",
    "no transport": f"ocapn://{GOOD}/s/{SWISS}",
    "of a peer": f"ocapn://{GOOD}.tcp-tls?host=127.0.0.1&port=1",
    "a padded swiss number": f"ocapn://{GOOD}.tcp-tls/s/{SWISS}=?host=127.0.0.1&port=1",
    "a bad escape": f"ocapn://{GOOD}.tcp-tls/s/{SWISS}?host=%zz",
    "a fragment": f"ocapn://{GOOD}.tcp-tls/s/{SWISS}#top",
    "a port in the host": f"ocapn://{GOOD}.tcp-tls:80/s/{SWISS}",
    "a blank": f"ocapn://{GOOD}.tcp-tls/s/{SWISS} ?host=127.0.0.1",
    "too long": f"ocapn://{GOOD}.tcp-tls/s/{SWISS}?host={'a' * 20_000}",
    "hints without values": f"ocapn://{GOOD}.tcp-tls/s/{SWISS}?host",
}

NOWHERE = {
    "an unknown transport": (f"ocapn://{GOOD}.pigeon/s/{SWISS}", "pigeon"),
    "no host": (f"ocapn://{GOOD}.tcp-tls/s/{SWISS}", "host"),
    "no port number": (f"ocapn://{GOOD}.tcp-tls/s/{SWISS}?host=127.0.0.1&port=99999", "port"),
    "a designator of no certificate": (f"ocapn://me.tcp-tls/s/{SWISS}?host=127.0.0.1&port=1", "designator"),
    "a closed port": (
        f"ocapn://{GOOD}.tcp-tls/s/{SWISS}?host=127.0.0.1&port=1",
        "127.0.0.1:1: Connection refused",
    ),
    "an impossible name": (f"ocapn://{GOOD}.tcp-tls/s/{SWISS}?host=..&port=1", "..:1"),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One for all tests that leave it as it is."""
    with serving(tmp_path_factory.mktemp("things")) as server:
        yield server


@pytest.fixture
def call(server: Server, tmp_path):
    """`goblins call` on it."""
    return lambda *args, **kwargs: run(
        "call", "env:URI", *args, cwd=tmp_path, env={"URI": server.uri}, **kwargs
    )


def altered(uri: str, *, designator: str | None = None, swiss_num: bytes | None = None) -> str:
    right = Sturdyref.from_uri(uri)
    peer = PeerLocator("tcp-tls", designator or right.peer.designator, right.peer.hints)
    return Sturdyref(peer, swiss_num or right.swiss_num).uri


@pytest.mark.parametrize("uri", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_uri_is_a_usage_error(tmp_path, uri: str) -> None:
    """Exit code 2 and one line that repeats nothing of the secret."""
    done = (
        run("call", "-", "greet", cwd=tmp_path, stdin=uri) if uri else run("call", "", "greet", cwd=tmp_path)
    )
    assert (2, "") == (done.code, done.out)
    assert_one_line(done.err)
    assert SWISS not in done.err


@pytest.mark.parametrize(("uri", "word"), NOWHERE.values(), ids=NOWHERE)
def test_a_uri_that_leads_nowhere_cannot_be_connected(tmp_path, uri: str, word: str) -> None:
    """Exit code 3 and one line that says which address was tried and why it failed."""
    done = run("call", "-", "greet", cwd=tmp_path, stdin=uri)
    assert (3, "") == (done.code, done.out)
    assert_one_line(done.err, word)
    assert SWISS not in done.err


def test_another_peer_at_the_address_is_not_taken_for_the_right_one(server: Server, tmp_path) -> None:
    """Exit code 3: the designator is who it is, the address only where."""
    done = run("call", "-", "up", cwd=tmp_path, stdin=altered(server.uri, designator=GOOD))
    assert (3, "") == (done.code, done.out)
    assert_one_line(done.err, "another peer")


def test_an_unknown_swiss_number_breaks_the_promise(server: Server, tmp_path) -> None:
    """Exit code 1: the peer is there, the object is not."""
    done = run("call", "-", "up", cwd=tmp_path, stdin=altered(server.uri, swiss_num=b"guess"))
    assert (1, "") == (done.code, done.out)
    assert_one_line(done.err, "no object is registered")


@pytest.mark.parametrize("words", [b"", b"SSH-2.0-OpenSSH\r\n" * 1000], ids=["silence", "another protocol"])
def test_a_stranger_at_the_address_is_no_peer(tmp_path, words: bytes) -> None:
    """Silence times out (4), another protocol cannot be connected (3)."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:

        def answer() -> None:
            connection, _ = listening.accept()
            with connection, suppress(OSError):
                connection.sendall(words)
                while connection.recv(65536):
                    pass

        threading.Thread(target=answer, daemon=True).start()
        port = listening.getsockname()[1]
        uri = f"ocapn://{GOOD}.tcp-tls/s/{SWISS}?host=127.0.0.1&port={port}"
        done = run("call", "--timeout", "1", "-", "greet", cwd=tmp_path, stdin=uri)
    assert (3 if words else 4, "") == (done.code, done.out)
    assert_one_line(done.err)


def test_an_answer_that_does_not_come_times_out(call) -> None:
    """Exit code 4, and it says what it was waiting for; the option may stand last."""
    done = call("never", "--timeout", "0.5")
    assert (4, "") == (done.code, done.out)
    assert_one_line(done.err, "0.5 s", "waiting for the answer")


@pytest.mark.parametrize(
    ("method", "word"),
    [("fail", "the object failed"), ("refuse", "not today"), ("missing", "no method 'missing'")],
    ids=["an exception", "a refusal", "no such method"],
)
def test_a_broken_promise_exits_with_one(call, method: str, word: str) -> None:
    """The reason is on stderr, and of an exception nothing internal."""
    done = call(method)
    if method == "missing":  # Things can be called without a method name: then it gets the symbol
        assert (0, '["called", \'missing]\n') == (done.code, done.out)
        return
    assert (1, "") == (done.code, done.out)
    assert_one_line(done.err, word)
    assert "internal detail" not in done.err


def test_a_reason_cannot_steer_the_terminal(call) -> None:
    """Escape sequences and line breaks of a stranger are shown, not done."""
    done = call("rude")
    assert_one_line(done.err, "\\x1b[2Jred alert")


def test_a_peer_that_dies_before_its_answer_breaks_the_promise(tmp_path) -> None:
    """Exit code 1, not 3: the message may have arrived."""
    with serving(tmp_path) as server:
        server.when_waited_for(server.process.kill)
        done = run("call", "-", "never", cwd=tmp_path, stdin=server.uri)
    assert (1, "") == (done.code, done.out)
    assert_one_line(done.err, "severed", "whether the message arrived is unknown")


def test_a_uri_comes_from_stdin_a_file_or_the_environment(server: Server, tmp_path) -> None:
    """`-` takes the first line, `@FILE` and `env:NAME` too; written out it works as well."""
    (tmp_path / "uri").write_text(f"{server.uri}\n")
    for uri, stdin in (("-", f"{server.uri}\nmore\n"), ("@uri", ""), ("env:U", ""), (server.uri, "")):
        done = run("call", uri, "echo", cwd=tmp_path, stdin=stdin, env={"U": server.uri})
        assert (0, "[]\n", "") == (done.code, done.out, done.err)


@pytest.mark.parametrize("uri", ["-", "@missing", "env:MISSING", "@"])
def test_a_missing_source_of_a_uri_is_a_usage_error(tmp_path, uri: str) -> None:
    """Exit code 2, and it says where there was none."""
    done = run("call", uri, "greet", cwd=tmp_path)
    assert (2, "") == (done.code, done.out)
    assert_one_line(done.err, "URI")


def test_arguments_are_json_where_they_parse_and_text_elsewhere(call) -> None:
    """Negative numbers are numbers, a lone dash and what follows `--` are arguments."""
    done = call(
        "echo",
        "-5",
        "1.5",
        "true",
        "null",
        "Bob",
        '"5"',
        '{"b": [1], "a": {}}',
        "NaN",
        "-",
        "--",
        "--x",
        "--",
    )
    assert (0, "") == (done.code, done.err)
    expected = [-5, 1.5, True, None, "Bob", "5", {"a": {}, "b": [1]}, "NaN", "-", "--x", "--"]
    assert expected == json.loads(done.out)


def test_a_mistyped_option_is_no_argument(call) -> None:
    """It is a usage error, before anything is sent."""
    done = call("echo", "--timeot", "5")
    assert (2, "") == (done.code, done.out)
    assert "--timeot" in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("args", [(), ("-",)])
def test_a_call_without_a_method_gets_the_arguments_alone(call, args) -> None:
    """No METHOD, or `-` in its place."""
    done = call(*args, *(["1"] if args else []))
    assert ["called", *([1] if args else [])] == json.loads(done.out)


def test_values_that_json_lacks_travel_both_ways(call) -> None:
    """What `--json` prints can be given as an argument and comes back the same."""
    values = [
        {"@bytes": "AAH/"},
        {"@symbol": "a-name"},
        {"@set": [1, 2]},
        {"@map": [[1, "one"]]},
        {"@map": [["@odd", 1]]},
        {"@float": "-inf"},
        {"@tagged": ["decimal", "1.5"]},
        {"@record": [{"@symbol": "point"}, 1, 2]},
        {"@sturdyref": f"ocapn://{GOOD}.tcp-tls/s/{SWISS}"},
        {"@peer": f"ocapn://{GOOD}.tcp-tls?host=a"},
    ]
    done = call("echo", *map(json.dumps, values), "--json")
    assert (0, "") == (done.code, done.err)
    assert values == json.loads(done.out)


def test_a_reference_has_a_text_and_a_json_form(call) -> None:
    """It means nothing outside of the process, so it only says what it is."""
    assert "<Ref to a remote object>\n" == call("myself").out
    assert {"@reference": "Ref to a remote object"} == json.loads(call("myself", "--json").out)


@pytest.mark.parametrize("arg", ['{"@reference": "x"}', '{"@bytes": "!"}', '{"@nonsense": 1}', '"\\ud800"'])
def test_an_argument_that_is_no_value_is_a_usage_error(call, arg: str) -> None:
    """Exit code 2 and one line; nothing was sent."""
    done = call("echo", arg)
    assert (2, "") == (done.code, done.out)
    assert_one_line(done.err, "bad argument")


def test_version_and_help_work_by_either_name(tmp_path) -> None:
    """`python -m goblins_py` is `goblins`."""
    assert "goblins 0." in run("--version", cwd=tmp_path).out
    done = run("call", "--help", cwd=tmp_path)
    assert 0 == done.code
    assert [] == [word for word in ("@FILE", "env:NAME", "Exit codes", "--timeout") if word not in done.out]


def test_ctrl_c_ends_a_call_quietly(server: Server, tmp_path) -> None:
    """Exit code 130 and one line."""
    command = [*GOBLINS, "call", "-", "never"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        server.when_waited_for(lambda: process.send_signal(signal.SIGINT))
        process.stdin.write(f"{server.uri}\n".encode())
        process.stdin.flush()
        out, err = process.communicate(timeout=PATIENCE)
    assert (130, b"") == (process.returncode, out)
    assert_one_line(err.decode(), "interrupted")
