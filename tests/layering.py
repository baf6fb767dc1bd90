"""Which package may import which, as a table, and the reader that holds the sources to it.

Imports are read from the syntax tree, so one inside a function or under TYPE_CHECKING counts like any
other: a layer is what a module *knows*, not what happens to be loaded.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping

import attrs

from sources import PACKAGES, Source

FACADE = "goblins_py"
VALUES = frozenset({"goblins_py.errors", "goblins_py.syrup", "goblins_py.locators"})
CONTRACTS = VALUES | {"goblins_py.actors", "goblins_py.abc"}
CORE = CONTRACTS | {"goblins_py.captp", "goblins_py.runtime"}
TOP = CORE | {"netlayers", "persistence"}

# `errors` is free to all: it is the one vocabulary of the whole tree. Wherever locators may be seen, so may
# the values that they are made of.
ALLOWED: Mapping[str, frozenset[str]] = {
    "goblins_py.errors": frozenset(),
    "goblins_py.syrup": frozenset({"goblins_py.errors"}),
    "goblins_py.locators": frozenset({"goblins_py.errors", "goblins_py.syrup"}),
    "goblins_py.actors": frozenset({"goblins_py.errors", "goblins_py.syrup"}),
    "goblins_py.abc": VALUES | {"goblins_py.actors"},
    "goblins_py.captp": VALUES | {"goblins_py.actors"},
    "goblins_py.runtime": CONTRACTS | {"goblins_py.captp"},
    "netlayers": CONTRACTS,
    "persistence": CONTRACTS,
    FACADE: CORE,
    "goblins_py.lib": TOP,
    "goblins_py.relay": TOP,
    "goblins_py.testing": TOP,
    "goblins_py.repl": TOP | {"goblins_py.lib"},
    "goblins_py.cli": TOP | {"goblins_py.lib", "goblins_py.relay", "goblins_py.testing", "goblins_py.repl"},
    "goblins_py.__main__": frozenset({"goblins_py.cli"}),
}

# Layers that are bytes in, events out, or turns without a clock: they must not know that I/O exists.
PURE = frozenset(f"goblins_py.{name}" for name in ("errors", "syrup", "locators", "actors", "captp"))
OUTSIDE = frozenset({"OpenSSL", "asyncio", "selectors", "socket", "ssl", "subprocess", "trio"})


@attrs.frozen
class Arrow:
    """One import: who, whom, and where it is written."""

    source: str
    target: str
    place: str


def owner(module: str) -> str:
    """The layer that a module belongs to: `goblins_py.actors._turn` is `goblins_py.actors`."""
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == FACADE else parts[0]


def arrows(sources: Iterable[Source]) -> list[Arrow]:
    sources = list(sources)
    known = frozenset(source.name for source in sources)
    return [
        Arrow(source.name, target, f"{source.path}:{node.lineno}")
        for source in sources
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for target in targets(node, source, known)
    ]


def targets(node: ast.Import | ast.ImportFrom, source: Source, known: frozenset[str]) -> Iterator[str]:
    """What an import names: a submodule where there is one, else the module that it takes names from."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    base = absolute(node, source)
    names = [f"{base}.{alias.name}" for alias in node.names]
    yield from (name for name in names if name in known)
    if not all(name in known for name in names):
        yield base


def absolute(node: ast.ImportFrom, source: Source) -> str:
    if not node.level:
        return node.module or ""
    parts = source.name.split(".")
    up = node.level - 1 if source.is_package else node.level
    package = parts[: len(parts) - up]
    return ".".join([*package, node.module] if node.module else package)


def wrong_layers(found: Iterable[Arrow]) -> list[str]:
    return [
        f"{arrow.place}: {arrow.source} imports {arrow.target}" for arrow in found if not permitted(arrow)
    ]


def permitted(arrow: Arrow) -> bool:
    here, there = owner(arrow.source), owner(arrow.target)
    if there.split(".")[0] not in PACKAGES:
        return here not in PURE or there not in OUTSIDE
    return here == there or there in ALLOWED.get(here, frozenset())


def private_meetings(found: Iterable[Arrow]) -> list[str]:
    """Imports of another layer's private module: a file with a leading underscore is its package's own."""
    return [
        f"{arrow.place}: {arrow.source} imports {arrow.target}"
        for arrow in found
        if owner(arrow.source) != owner(arrow.target)
        and arrow.target.split(".")[0] in PACKAGES
        and any(part.startswith("_") for part in arrow.target.split("."))
    ]


def cycles(found: Iterable[Arrow]) -> list[list[str]]:
    """Knots of modules that import each other, by Tarjan's algorithm; a module that imports itself is one."""
    graph: dict[str, set[str]] = {}
    for arrow in found:
        graph.setdefault(arrow.source, set()).add(arrow.target)
    search = _Knots(graph)
    for module in graph:
        if module not in search.index:
            search.visit(module)
    return search.knots


@attrs.define(eq=False)
class _Knots:
    graph: dict[str, set[str]]
    index: dict[str, int] = attrs.field(factory=dict)
    low: dict[str, int] = attrs.field(factory=dict)
    stack: list[str] = attrs.field(factory=list)
    knots: list[list[str]] = attrs.field(factory=list)

    def visit(self, module: str) -> None:
        self.index[module] = self.low[module] = len(self.index)
        self.stack.append(module)
        for target in sorted(self.graph.get(module, ())):
            if target not in self.index:
                self.visit(target)
                self.low[module] = min(self.low[module], self.low[target])
            elif target in self.stack:
                self.low[module] = min(self.low[module], self.index[target])
        if self.low[module] == self.index[module]:
            self.close(module)

    def close(self, module: str) -> None:
        start = self.stack.index(module)
        knot, self.stack = self.stack[start:], self.stack[:start]
        if len(knot) > 1 or module in self.graph.get(module, ()):
            self.knots.append(sorted(knot))
