"""The loop: read an input, have the vat run it, show what came of it.

The vat lives in the background thread. This one reads and waits, so that Ctrl-C finds a wait that it can
end, and never a turn.
"""

from __future__ import annotations

import ast
import codeop
import importlib.metadata
import linecache
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import CodeType, ModuleType
from typing import Any, Final

import attrs

from goblins_py.abc import Store
from goblins_py.actors import PersistenceEnv, Promise, Ref, spawn
from goblins_py.repl._errors import short_traceback
from goblins_py.repl._failures import FailedTurns
from goblins_py.repl._history import line_editing
from goblins_py.repl._home import Home
from goblins_py.repl._input import LABEL, Input
from goblins_py.repl._show import Display
from goblins_py.runtime import VatThread, spawn_mycapn, spawn_persistent_vat, spawn_vat

__all__ = ["ReplOptions", "run_repl"]

_PRELUDE: Final = """
from goblins_py import *
from goblins_py.lib import *
from netlayers import LoopbackNetlayer, LoopbackNetwork, TcpTlsNetlayer, tcp_tls_env
from persistence import MemoryStore, SyrupStore
"""
"""What everybody would type first."""

_GRACE: Final = 4.0
"""Seconds that the vat has to end."""
_SOON: Final = 1.0
"""Seconds that an interrupted input has to come to its end."""
_UNDONE: Final = "undone: nothing of this turn has happened"


@attrs.frozen
class ReplOptions:
    """What a REPL is started with.

    Attributes:
        netlayer: spawns the netlayer of `mycapn`; in a turn.
        modules: whose names shall be at hand.
        store: where to keep `home` and `mycapn`; None keeps nothing.
        env: what can be kept there.
    """

    netlayer: Callable[[], Ref[Any]]
    modules: Sequence[ModuleType]
    store: Store | None
    env: PersistenceEnv


def run_repl(options: ReplOptions) -> int:
    """Run until Ctrl-D, or the end of stdin.

    Returns:
        The exit code: 1 if stdin is no terminal and an input failed.

    Raises:
        StoreLockedError, StoreCorruptError, UnknownObjectError, VersionMismatchError, OSError: the store
        cannot be used.
    """
    vat, at_hand = _open(options)
    namespace = _namespace(options, at_hand)
    shell = Shell(vat, namespace)
    try:
        with shell.hooked():
            return _interact(shell, options) if sys.stdin.isatty() else _run_script(shell)
    finally:
        _close(vat, shell.display)


def _open(options: ReplOptions) -> tuple[VatThread, dict[str, Any]]:
    if options.store is None:
        vat = spawn_vat("repl")
        return vat, {"mycapn": vat.run(lambda: spawn_mycapn(options.netlayer()))}

    def roots() -> tuple[Ref[Any], ...]:
        return spawn_mycapn(options.netlayer()), spawn(Home)

    vat, (mycapn, home) = spawn_persistent_vat(options.env, roots, options.store, name="repl")
    return vat, {"mycapn": mycapn, "home": home}


def _namespace(options: ReplOptions, at_hand: dict[str, Any]) -> dict[str, Any]:
    namespace: dict[str, Any] = {"__name__": "__main__", "__builtins__": __builtins__}
    exec(_PRELUDE, namespace)  # noqa: S102 - our own text
    for module in options.modules:
        namespace[module.__name__.rpartition(".")[2]] = module
        own = {
            name: thing
            for name, thing in vars(module).items()
            if getattr(thing, "__module__", "") == module.__name__
        }
        namespace |= {name: thing for name, thing in own.items() if not name.startswith("_")}
    return namespace | at_hand


def _close(vat: VatThread, display: Display) -> None:
    def close() -> None:
        try:
            vat.close()
        except OSError as error:
            display.note(f"the store failed: {error}")

    closing = threading.Thread(target=close, daemon=True)
    closing.start()
    closing.join(_GRACE)
    if closing.is_alive():
        display.note("the vat is in a turn that does not end; leaving it behind")


class Shell:
    """Runs inputs in a vat."""

    def __init__(self, vat: VatThread, namespace: dict[str, Any]) -> None:
        self._failed_turns = FailedTurns(LABEL)
        self.display = Display(self._failed_turns)
        self.failures = 0
        self.namespace = namespace
        self._vat = vat
        self._current: Input | None = None
        self._count = 0

    def next_filename(self, source: str) -> str:
        """A name for an input, under which tracebacks find its lines."""
        self._count += 1
        name = f"<input {self._count}>"
        linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
        return name

    @contextmanager
    def hooked(self) -> Iterator[None]:
        """Collect the values of expressions, and what the log would tell of failed turns."""
        before, sys.displayhook = sys.displayhook, self._collect
        try:
            with self._failed_turns.installed():
                yield
        finally:
            sys.displayhook = before

    def _collect(self, value: object) -> None:
        if value is not None and self._current is not None:
            self._current.shown.append(value)

    def run(self, code: CodeType) -> None:
        """Run an input to its end, and show what came of it. SystemExit goes through."""
        self._current = current = Input(code, self.namespace)
        try:
            if current.awaits:
                self._wait(current)
            else:
                self._vat.run(current.run)
        except KeyboardInterrupt:
            self._interrupted(current)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is shown
            self._failed(current, error)
        else:
            self._succeeded(current)

    def _wait(self, current: Input) -> None:
        try:
            self._vat.run(current.begin).wait()
        except KeyboardInterrupt:
            if current.stopper is not None:
                self._vat.send(current.stopper)()
            raise

    def _succeeded(self, current: Input) -> None:
        for value in current.shown:
            self.namespace["_"] = value
            self.display.result(value)

    def news(self) -> None:
        """Tell what has happened meanwhile: promises that settled, turns that failed."""
        self.display.settled()
        self.display.other_failures()

    def _failed(self, current: Input, error: Exception) -> None:
        self.failures += 1
        current.take_back()
        self.display.failure(error, current.told)
        self.display.note(_UNDONE)

    def _interrupted(self, current: Input) -> None:
        self.failures += 1
        if current.promise is not None and _ends(current.promise):
            current.take_back()
            self.display.note("\ninterrupted: this waits no more; what it sent stays sent")
        else:
            self.display.note("\na turn cannot be cut short: it goes on, and the next input comes after it")


def _ends(promise: Promise[Any]) -> bool:
    """Does it settle soon?"""
    try:
        promise.wait(_SOON)
    except TimeoutError:
        return False
    except (Exception, KeyboardInterrupt):  # noqa: BLE001 - however it ended
        return True
    return True


# --- at a terminal ---------------------------------------------------------------


def _interact(shell: Shell, options: ReplOptions) -> int:
    _greet(shell.display, options)
    compiler = codeop.CommandCompiler()
    compiler.compiler.flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    with line_editing(shell.namespace):
        while True:
            shell.news()
            try:
                code = _read(shell, compiler)
            except EOFError:
                shell.display.note("")
                return 0
            except KeyboardInterrupt:
                shell.display.note("\n(Ctrl-D leaves)")
                continue
            if code is not None:
                shell.run(code)


def _read(shell: Shell, compiler: codeop.CommandCompiler) -> CodeType | None:
    """One whole input; None if it is no Python, which was said. Raises EOFError, KeyboardInterrupt."""
    lines = [input(">>> ")]
    while True:
        source = "\n".join(lines)
        try:
            code = compiler(source, shell.next_filename(source), "single")
        except (SyntaxError, ValueError, OverflowError) as error:
            shell.display.error(short_traceback(error))
            return None
        if code is not None:
            return code
        lines.append(input("... "))


def _greet(display: Display, options: ReplOptions) -> None:
    version = importlib.metadata.version("goblins_py")
    lines = {
        "spawn(Class, ...)": "makes an object; ref.method(...) calls it at once",
        "send(ref).method(...)": "sends to an object anywhere, and is a promise: await it",
        "mycapn": "reaches others: await send(mycapn).enliven(uri)",
        "": "is reached by them: (await send(mycapn).register(ref, 'tcp-tls')).uri",
    }
    if options.store is not None:
        lines["home"] = "is kept: home.keep('name', ref), home.get('name'), home.names()"
    display.banner(
        f"goblins_py {version}: you are in a vat. Each input is a turn; one that fails is undone.", lines
    )
    display.note("  Ctrl-C interrupts a wait, Ctrl-D leaves.")


# --- without one -------------------------------------------------------------------


def _run_script(shell: Shell) -> int:
    """Each statement of stdin is one input."""
    source = sys.stdin.read()
    name = shell.next_filename(source)
    try:
        tree = compile(source, name, "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    except (SyntaxError, ValueError) as error:
        shell.display.error(short_traceback(error))
        return 1
    for statement in tree.body:
        one = ast.Interactive([statement])
        code = compile(one, name, "single", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        shell.run(code)
        shell.news()
    return 1 if shell.failures else 0
