"""Real NAT: two people in private networks of the same addresses, and a relay between them."""

import signal
import subprocess
import sys
import time

import pytest

from cli_kit import GOBLINS, PATIENCE, assert_one_line, relaying, run, serving
from nat_kit import RELAY, nat, why_not

DIAL = "import socket, sys; socket.create_connection((sys.argv[1], 9), 1)"


@pytest.fixture
def spaces(in_ci):
    """The namespaces; where there can be none the test is skipped, and in CI it fails."""
    if reason := why_not():
        pytest.fail(reason) if in_ci else pytest.skip(reason)
    with nat() as made:
        yield made


def test_two_people_behind_nat_talk_and_come_back_when_the_relay_does(tmp_path, spaces):
    """Neither can be dialled; killing the relay severs, restarting it restores, at the same URI."""
    relay_args = ("--host", RELAY, "--port", "8088", "--store", "relay.syrup")
    in_relay = [*spaces.enter("relay"), *GOBLINS]
    by_bob = [*spaces.enter("bob"), *GOBLINS]
    with relaying(tmp_path, *relay_args, prefix=spaces.enter("relay")) as relay:
        made = run("relay", "add-account", "-", "alice", cwd=tmp_path, stdin=relay.uri, command=in_relay)
        (tmp_path / "account").write_text(made.out)
        serve = ("things.py:Things", "--prelay", "@account", "--store", "things.syrup")
        with serving(tmp_path, *serve, prefix=spaces.enter("alice")) as alice:
            for place, address in (("bob", "192.168.7.2"), ("relay", "192.168.7.2"), ("bob", "203.0.113.10")):
                assert_unreachable(spaces, place, address)
            assert "1\n" == run("call", "-", "up", cwd=tmp_path, stdin=alice.uri, command=by_bob).out
            alice.when_waited_for(relay.process.kill)
            begun = time.monotonic()
            done = run("call", "-", "never", cwd=tmp_path, stdin=alice.uri, command=by_bob)
            assert (1, True) == (done.code, time.monotonic() - begun < PATIENCE)
            assert_one_line(done.err, "lost")
            with relaying(tmp_path, *relay_args, prefix=spaces.enter("relay")) as again:
                assert again.uri == relay.uri
                said = [run("call", "-", "up", cwd=tmp_path, stdin=alice.uri, command=by_bob)]
                while said[-1].code and len(said) < 30:
                    time.sleep(0.5)
                    said.append(run("call", "-", "up", cwd=tmp_path, stdin=alice.uri, command=by_bob))
                assert "2\n" == said[-1].out
                assert 0 == alice.end(signal.SIGTERM)[0]


def assert_unreachable(spaces, place, address):
    """Nobody answers there, not even to refuse (bob's own address is his own machine's)."""
    done = subprocess.run(
        [*spaces.enter(place), sys.executable, "-c", DIAL, address],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert 1 == done.returncode
    assert place == "bob" or "refused" not in done.stderr
