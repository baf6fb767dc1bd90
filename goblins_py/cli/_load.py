"""The actor classes in a file or module, and the environment that saves and restores them.

A file is loaded by its path, under its stem as module name, so that what it defines is saved under the same
names wherever it is served from. `sys.path` is never touched.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs

from goblins_py.actors import PersistenceEnv
from goblins_py.cli._failure import ExitCode, Failure, one_line, printable
from goblins_py.cli._netlayers import NETLAYERS
from goblins_py.errors import UnknownObjectError
from goblins_py.lib import lib_env
from goblins_py.runtime import mycapn_env
from netlayers import prelay_env

__all__ = ["Program", "check_arguments", "load_module", "load_program", "make_env"]


@attrs.frozen
class Program:
    """An actor class, and the module that it is served from."""

    module: ModuleType
    actor: type

    @property
    def name(self) -> str:
        """`module.Class`."""
        return f"{self.module.__name__}.{self.actor.__qualname__}"


def load_program(target: str) -> Program:
    """Load `FILE_OR_MODULE:Actor`. Raises `Failure`."""
    source, colon, name = target.rpartition(":")
    if not colon or not source or not name:
        raise Failure(ExitCode.USAGE, f"what to serve is written FILE_OR_MODULE:Actor, not {target!r}")
    module = load_module(source)
    found = getattr(module, name, None)
    if found is None:
        raise Failure(ExitCode.USAGE, f"{source} has no {name!r}{_there_are(module)}")
    if not _is_decorated(found, "__goblins_actor__"):
        raise Failure(ExitCode.USAGE, f"{name} of {source} is no @actor class{_there_are(module)}")
    return Program(module, found)


def load_module(source: str) -> ModuleType:
    """Load a file by its path, or import a module by its name. Raises `Failure`."""
    try:
        if source.endswith(".py") or "/" in source:
            return _load_file(Path(source))
        return importlib.import_module(source)
    except Failure:
        raise
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and error.name == source.partition(".")[0]:
            raise Failure(
                ExitCode.USAGE, f"there is no module {source!r} (a file is written with its .py)"
            ) from None
        raise Failure(ExitCode.USAGE, f"{source} cannot be loaded: {_where(error)}") from error


def _load_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise Failure(ExitCode.USAGE, f"there is no file {str(path)!r}")
    name = path.stem
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise Failure(ExitCode.USAGE, f"{str(path)!r} is no Python file")
    module = importlib.util.module_from_spec(spec)
    free = (
        name not in sys.modules
    )  # dataclasses and the like look there; a file must not replace a real module
    if free:
        sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        if free:
            del sys.modules[name]
        raise
    return module


def _where(error: BaseException) -> str:
    """What went wrong and in which line, in one line."""
    if isinstance(error, SyntaxError):
        return printable(f"line {error.lineno}: SyntaxError: {error.msg}")
    frames = traceback.extract_tb(error.__traceback__)
    line = f"{Path(frames[-1].filename).name}, line {frames[-1].lineno}: " if frames else ""
    return f"{line}{type(error).__name__}: {one_line(error)}"


def _is_decorated(thing: object, mark: str) -> bool:
    return isinstance(thing, type) and thing.__dict__.get(mark) is thing


def _there_are(module: ModuleType) -> str:
    own = [
        name
        for name, thing in vars(module).items()
        if _is_decorated(thing, "__goblins_actor__") and thing.__module__ == module.__name__
    ]
    return f"; its actors are {', '.join(own)}" if own else "; it has no @actor class"


def check_arguments(program: Program, args: Iterable[object]) -> None:
    """See whether the class takes these arguments, before anything is made. Raises `Failure`."""
    signature = inspect.signature(program.actor)
    try:
        signature.bind(*args)
    except TypeError as error:
        bare = [each.replace(annotation=inspect.Parameter.empty) for each in signature.parameters.values()]
        takes = inspect.Signature(bare)
        hint = " (give it by --arg)" if "missing" in str(error) else ""
        raise Failure(ExitCode.USAGE, f"{program.actor.__name__}{takes}: {error}{hint}") from None


def make_env(modules: Iterable[ModuleType], *extends: PersistenceEnv) -> PersistenceEnv:
    """An environment of all `@actor` and `@value` classes that the modules have, imported ones too.

    What every vat of ours may need (mycapn, netlayers, the actor library) is in it anyway. Environments that
    a module has count first, so that it can choose its names.
    """
    things: list[Any] = [thing for module in modules for thing in vars(module).values()]
    envs = [thing for thing in things if isinstance(thing, PersistenceEnv)]
    own = [mycapn_env, lib_env, prelay_env]
    base = _combine(own, [kind.env for kind in NETLAYERS.values()], extends, envs)
    classes = [thing for thing in things if _is_saved_class(thing) and base.name_of(thing) is None]
    try:
        return PersistenceEnv(*dict.fromkeys(classes), extends=[base])
    except UnknownObjectError as error:
        raise Failure(ExitCode.USAGE, one_line(error)) from None


def _combine(*groups: Iterable[PersistenceEnv]) -> PersistenceEnv:
    envs = [env for group in groups for env in group]
    try:
        return PersistenceEnv(extends=envs)
    except UnknownObjectError as error:
        raise Failure(ExitCode.USAGE, one_line(error)) from None


def _is_saved_class(thing: object) -> bool:
    return _is_decorated(thing, "__goblins_actor__") or _is_decorated(thing, "__goblins_value__")
