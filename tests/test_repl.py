"""`goblins repl`: typed at on a pseudo-terminal, and fed from stdin."""

import time

import pytest

from cli_kit import THINGS, assert_one_line, run, serving, terminal

COUNTER = (
    "@actor",
    "class Counter:",
    "    count: int = 0",
    "    def up(self, by=1):",
    "        self.count += by",
    "        return self.count",
    "    def fail(self):",
    "        self.count += 100",
    "        raise ValueError('no')",
    "",
)
UNDONE = "undone: nothing of this turn has happened"


@pytest.fixture(scope="module")
def screen(tmp_path_factory):
    """One terminal with a counter, for the tests that need no more."""
    with terminal(tmp_path_factory.mktemp("repl")) as screen:
        screen.ask(*COUNTER)
        yield screen


@pytest.fixture
def counter(screen):
    """A fresh counter `c` on that terminal."""
    screen.ask("c = spawn(Counter)")
    return screen


def test_a_class_of_many_lines_can_be_spawned_and_called(counter) -> None:
    """What is defined in one input is there in the next, and results are shown."""
    assert "\n1" in counter.ask("c.up()")
    assert "\n3" in counter.ask("c.up(2)")
    assert "\n4" in counter.ask("_ + 1")


def test_an_error_undoes_its_turn_and_is_short(counter) -> None:
    """State is set back; only the user's frames are shown."""
    shown = counter.ask("c.fail()")
    assert "ValueError: no" in shown
    assert "in fail, line 9: raise ValueError('no')" in shown
    assert UNDONE in shown
    assert "goblins_py/" not in shown
    assert "\n1" in counter.ask("c.up()")


def test_names_that_a_failing_turn_bound_are_taken_back(counter) -> None:
    """Else they would name objects that never came to be."""
    counter.ask("kept = 1")
    assert UNDONE in counter.ask("kept = 2; gained = 3; 1/0")
    assert "\n1" in counter.ask("kept")
    assert "NameError" in counter.ask("gained")


def test_each_stretch_between_awaits_is_a_turn(counter) -> None:
    """What came before the await stays, what came after is undone."""
    shown = counter.ask("c.up(); await send(c).up(); c.up(); 1/0")
    assert "ZeroDivisionError" in shown
    assert UNDONE in shown
    assert "\n3" in counter.ask("c.up()")


def test_await_gives_the_value_and_raises_what_broke_it(counter) -> None:
    """Also the failure of an object elsewhere is told once, with its own frames."""
    assert "\n5" in counter.ask("await send(c).up(5)")
    shown = counter.ask("await send(c).fail()")
    assert 1 == shown.count("ValueError: no")
    assert "Counter.fail failed" in shown
    assert "\n6" in counter.ask("c.up()")


def test_promises_are_shown_when_they_settle(counter) -> None:
    """A quick one at once, a slow one before a later prompt, a broken one with its reason."""
    assert "= 1" in counter.ask("send(c).up()")
    counter.ask("p, r = make_promise()")
    assert "not settled yet" in counter.ask("p")
    assert "= 'at last'" in counter.ask("r.fulfill('at last')") + counter.ask("")
    assert "ValueError: no" in counter.ask("send(c).fail()")


def test_ctrl_c_ends_a_wait_and_not_the_vat(counter) -> None:
    """The rest of the input is not run, and its `finally` is."""
    counter.ask("log = []")
    function = [
        "    try:",
        "        await make_promise()[0]",
        "    finally:",
        "        log.append('finally')",
    ]
    counter.ask("async def wait():", *function, "")
    counter.type("await wait(); log.append('never')")
    counter.expect(r"'never'\)\n")
    time.sleep(0.5)
    counter.press("C")
    assert "waits no more" in counter.expect(r"\n>>> ")
    assert "['finally']" in counter.ask("log")
    assert "\n1" in counter.ask("c.up()")


def test_ctrl_c_undoes_the_turn_that_ends_the_wait(counter) -> None:
    """What came before the await stays; the vat goes on."""
    counter.type("c.up(); await make_promise()[0]")
    counter.expect(r"\[0\]\n")
    time.sleep(0.5)
    counter.press("C")
    assert "waits no more" in counter.expect(r"\n>>> ")
    assert "\n2" in counter.ask("c.up()")


def test_ctrl_c_at_the_prompt_drops_the_line(counter) -> None:
    """And says how to leave."""
    counter.type("def unfinished():")
    counter.expect(r"\.\.\. ")
    counter.press("C")
    assert "Ctrl-D leaves" in counter.expect(r"\n>>> ")
    assert "\n1" in counter.ask("c.up()")


@pytest.mark.parametrize("line", ["1 +* 2", "await", "'a' 5"])
def test_a_syntax_error_is_shown_and_nothing_else_happens(counter, line: str) -> None:
    """The next input works."""
    assert "SyntaxError" in counter.ask(line)
    assert "\n1" in counter.ask("c.up()")


def test_only_promises_can_be_awaited(counter) -> None:
    """And it says what to do instead."""
    shown = counter.ask("import trio; await trio.sleep(1)")
    assert "ActorError: in a method only promises can be awaited" in shown


def test_results_do_not_show_secrets(counter) -> None:
    """A sturdyref's repr is redacted; whoever wants the URI asks for it."""
    shown = counter.ask("[await send(mycapn).register(c, 'tcp-tls')]")
    assert "<Sturdyref tcp-tls" in shown
    assert "swiss" not in shown
    assert "ocapn://" in counter.ask("_[0].uri")


@pytest.mark.parametrize("last", ["exit()", "quit()", None])
def test_it_ends_by_ctrl_d_or_exit(tmp_path, last: str | None) -> None:
    """With exit code 0."""
    with terminal(tmp_path) as screen:
        screen.ask("x = 1")
        if last:
            screen.type(last)
            screen.expect("exit|quit")
        assert 0 == screen.leave()


def test_history_is_kept_without_uris(tmp_path) -> None:
    """What was typed is there next time, but for what would let a reader of the file use an object."""
    with terminal(tmp_path) as screen:
        screen.ask("remembered = 1")
        screen.ask("secret = 'ocapn://abc.tcp-tls/s/AAAA'")
        screen.leave()
    history = tmp_path / "state" / "goblins" / "repl_history"
    assert "remembered = 1" in history.read_text()
    assert "ocapn" not in history.read_text()
    assert 0o600 == history.stat().st_mode & 0o777


def test_a_served_object_can_be_used_from_the_repl(tmp_path) -> None:
    """Enliven its URI and send to it."""
    with serving(tmp_path) as server, terminal(tmp_path) as screen:
        screen.ask(f"things = await send(mycapn).enliven('{server.uri}')")
        assert "\n5" in screen.ask("await send(things).up(5)")
        assert "RemoteError: not today" in screen.ask("await send(things).refuse()")


def test_home_is_kept_in_the_store(tmp_path) -> None:
    """Values, objects of a loaded file and URIs survive; what the store cannot keep fails its turn."""
    (tmp_path / "things.py").write_text(THINGS)
    args = ("repl", "--store", "home.syrup", "--load", "things.py")
    first = "t = spawn(Things)\nhome.keep('t', t)\nt.up(7)\nhome.keep('n', 5)\nhome.names()\n"
    first += "(await send(mycapn).register(t, 'tcp-tls')).uri\n"
    done = run(*args, cwd=tmp_path, stdin=first)
    assert (0, "") == (done.code, done.err)
    *_, names, uri = done.out.splitlines()
    assert "('n', 't')" == names
    second = (
        "home.get('t').up()\nhome.get('n')\n(await send(mycapn).register(home.get('t'), 'tcp-tls')).uri\n"
    )
    assert ["8", "5", uri] == run(*args, cwd=tmp_path, stdin=second).out.splitlines()
    done = run(*args, cwd=tmp_path, stdin="home.keep('f', spawn(lambda: 1))\n")
    assert 1 == done.code
    assert "NotPortrayableError" in done.err


def test_a_store_without_its_classes_is_explained(tmp_path) -> None:
    """One line that says what is missing, and how to give it."""
    (tmp_path / "things.py").write_text(THINGS)
    made = run(
        "repl", "--store", "h", "--load", "things.py", cwd=tmp_path, stdin="home.keep('t', spawn(Things))\n"
    )
    assert 0 == made.code, made.err
    done = run("repl", "--store", "h", cwd=tmp_path)
    assert (1, "") == (done.code, done.out)
    assert_one_line(done.err, "things.Things", "--load FILE")


def test_stdin_that_is_no_terminal_is_run_statement_by_statement(tmp_path) -> None:
    """It goes on after an error, and exits with 1 if there was one."""
    done = run("repl", cwd=tmp_path, stdin="x = 1\n1/0\nif x:\n    y = 2\nx + y\n")
    assert (1, "3\n") == (done.code, done.out)
    assert "ZeroDivisionError" in done.err
    unfinished = run("repl", cwd=tmp_path, stdin="x = (\n")
    assert (1, "") == (unfinished.code, unfinished.out)
    assert "SyntaxError" in unfinished.err
    assert 0 == run("repl", cwd=tmp_path, stdin="").code


@pytest.mark.parametrize(
    "loop", ["while True: pass", "while True: await send(spawn(lambda: 1))() if 0 else None"]
)
def test_an_endless_turn_does_not_keep_the_user(tmp_path, loop: str) -> None:
    """A turn cannot be cut short: Ctrl-C says so, and Ctrl-D leaves all the same."""
    with terminal(tmp_path) as screen:
        screen.type(loop, "")
        screen.expect(r"\.\.\. ")
        time.sleep(0.5)
        screen.press("C")
        assert "cannot be cut short" in screen.expect(r"\n>>> ")
        assert 0 == screen.leave()
