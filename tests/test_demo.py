"""`goblins demo`: it holds what it says, in time, and leaves nothing behind."""

import signal
import subprocess
import time

import pytest

from cli_kit import EXAMPLES, GOBLINS, PATIENCE, environment, run
from goblins_py.cli import _demo_programs


def test_the_demo_succeeds_in_time_and_cleans_up(tmp_path) -> None:
    """Exit code 0, the killed vat has lost nothing, no file is left."""
    started = time.monotonic()
    done = run("demo", cwd=tmp_path, env={"TMPDIR": str(tmp_path)})
    assert (0, "") == (done.code, done.err)
    assert "All of it held" in done.out
    assert "the URI is the same" in done.out
    assert time.monotonic() - started < PATIENCE
    assert [] == list(tmp_path.iterdir())


def test_the_demo_of_a_relay_succeeds_and_cleans_up(tmp_path) -> None:
    """Two people who only dial share a URI, and the relay may be killed."""
    done = run("demo", "--prelay", cwd=tmp_path, env={"TMPDIR": str(tmp_path)}, patience=4 * PATIENCE)
    assert (0, "") == (done.code, done.err)
    assert "All of it held" in done.out
    assert ".prelay/s/" in done.out
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_demo_leaves_nothing_behind(tmp_path, number: signal.Signals) -> None:
    """Neither its folder nor Alice's process."""
    env = environment({"TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"})
    with subprocess.Popen(
        [*GOBLINS, "demo"], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as demo:
        while b"ocapn://" not in demo.stdout.readline():
            assert demo.poll() is None
        children = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(demo.pid)], capture_output=True, text=True, check=True
        ).stdout.split()
        assert children
        demo.send_signal(number)
        _, err = demo.communicate(timeout=PATIENCE)
    assert 128 + number == demo.returncode
    assert b"Traceback" not in err
    assert [] == list(tmp_path.iterdir())
    alive = subprocess.run(["ps", "-o", "pid=", "-p", ",".join(children)], capture_output=True, check=False)
    assert b"" == alive.stdout.strip()


@pytest.mark.parametrize("name", ["guest_book", "sign_guest_book"])
def test_the_demo_plays_the_examples(name: str) -> None:
    """What it writes into its folder is what the repository shows."""
    assert (EXAMPLES / f"{name}.py").read_text() == getattr(_demo_programs, name.upper())
