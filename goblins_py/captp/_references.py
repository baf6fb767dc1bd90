"""References of one session: which descriptor stands for what, each way."""

from __future__ import annotations

from typing import Any

from goblins_py.actors import Connector, Promise, Ref, RemotePending, Vat, resolver_for
from goblins_py.captp._records import DescAnswer, DescExport, DescImportObject, DescImportPromise
from goblins_py.captp._tables import Exports, HeldKind, Imports, Question, Remote
from goblins_py.errors import NotPassableError, RemoteProtocolError
from goblins_py.syrup import Record, Symbol, Value

__all__ = ["SessionReferences"]

_OUR_PROMISE = Symbol("desc:import-promise")
_OUR_OBJECT = Symbol("desc:import-object")
_YOUR_EXPORT = Symbol("desc:export")


class SessionReferences:
    """The tables, and the translation.

    Attributes:
        answers: promises of what the peer's messages return, by the peer's positions.
        bootstrap: the peer's bootstrap object.
    """

    def __init__(self, home: Vat, connector: Connector, bootstrap: Ref[Any], *, max_exports: int) -> None:
        self._home = home
        self._connector = connector
        self._max_exports = max_exports
        self.exports = Exports(bootstrap)
        self.imports = Imports()
        self.answers: dict[int, Promise[object]] = {}
        self.bootstrap: Ref[Any] = Ref(home, None, connector)
        self.imports.add(self.bootstrap, 0)
        self._written: list[int] = []

    # --- out -----------------------------------------------------------------

    def describe(self, thing: Remote) -> Value:
        """The descriptor of something that is being sent; counted until `undo_written`."""
        entry = self.imports.find(thing)
        if entry is not None and entry.kind is HeldKind.IMPORT:
            return Record(_YOUR_EXPORT, (entry.position,))
        if len(self.exports) >= self._max_exports:
            raise NotPassableError(f"the session holds {self._max_exports} exports already")
        position = self.exports.add(thing)
        self._written.append(position)
        return Record(_OUR_PROMISE if isinstance(thing, Promise) else _OUR_OBJECT, (position,))

    def start_writing(self) -> None:
        """A new message is going to be written."""
        self._written.clear()

    def undo_written(self) -> None:
        """It was not sent: what it would have exported is not."""
        for position in self._written:
            self.exports.drop(position, 1)
        self._written.clear()

    def designation(self, target: Remote) -> DescExport | DescAnswer | None:
        """How a message to something of the peer's is addressed; None if it is not the peer's."""
        entry = self.imports.find(target)
        if entry is None:
            return None
        return DescExport(entry.position) if entry.kind is HeldKind.IMPORT else DescAnswer(entry.position)

    # --- in ------------------------------------------------------------------

    def designate(self, descriptor: Any) -> object:
        """What a descriptor in a received value stands for. Raises `RemoteProtocolError`."""
        position: int = descriptor.position
        match descriptor:
            case DescImportObject() | DescImportPromise():
                return self._imported(position, promise=isinstance(descriptor, DescImportPromise))
            case DescExport():
                thing = self.exports.get(position)
                return self._resolver(thing) if isinstance(thing, Question) else thing
            case DescAnswer():
                return self.answer(position)
            case _:
                raise RemoteProtocolError("a descriptor where a value was expected")

    def _imported(self, position: int, *, promise: bool) -> Remote:
        known = self.imports.received(position)
        if known is not None:
            return known
        thing: Remote
        if promise:
            thing = Promise(self._home, RemotePending(self._connector))
        else:
            thing = Ref(self._home, None, self._connector)
        self.imports.add(thing, position)
        return thing

    def _resolver(self, question: Question) -> Ref[object]:
        promise = question.entry()
        return resolver_for(promise if isinstance(promise, Promise) else Promise(self._home))

    def answer(self, position: int) -> Promise[object]:
        """The answer at one of the peer's positions. Raises `RemoteProtocolError`."""
        promise = self.answers.get(position)
        if promise is None:
            raise RemoteProtocolError(f"unknown answer position {position}")
        return promise

    def find(self, to: DescExport | DescAnswer) -> Remote | Question:
        """The target of a received operation. Raises `RemoteProtocolError`."""
        return self.exports.get(to.position) if isinstance(to, DescExport) else self.answer(to.position)
