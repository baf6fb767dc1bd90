"""House style, as far as a program can see it: short functions and modules, few positionals, no globals."""

import ast
from collections.abc import Iterator, Mapping

import pytest

from sources import ROOT, Source, functions, parse, project_sources, read
from style_exceptions import AMBIENT, LONG_FUNCTIONS, LONG_MODULES, MANY_POSITIONALS

MAX_FUNCTION_LINES = 45
MAX_MODULE_LINES = 400
MAX_POSITIONALS = 4
MAX_AMBIENT = 2

SOURCES = project_sources()
TESTS = [read(path) for path in sorted((ROOT / "tests").glob("**/test_*.py"))]

EMPTY_CONTAINERS = frozenset({"Counter", "OrderedDict", "WeakKeyDictionary", "WeakSet", "WeakValueDictionary",
                              "bytearray", "defaultdict", "deque", "dict", "list", "set"})  # fmt: skip
PER_THREAD = frozenset({"ContextVar", "local"})


def body_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from the first statement after the docstring to the last, comments and blanks included."""
    body = node.body[1:] if ast.get_docstring(node, clean=False) is not None else node.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def positionals(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    names = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args)]
    return len(names) - (names[:1] in (["self"], ["cls"]))


def global_state(tree: ast.Module) -> Iterator[str]:
    """Module-level names that hold something to be filled or rebound later.

    A filled table in capitals (or a dunder) is data. An empty container can only be meant to be filled,
    a slot per thread to be set, and `global` rebinds whatever it names.
    """
    slots = PER_THREAD | {node.name for node in tree.body if isinstance(node, ast.ClassDef) and is_slot(node)}
    for node in tree.body:
        value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
        if value and (is_empty_container(value) or called(value) in slots or is_lowercase_table(node)):
            yield from (name for name in names_bound(node) if not name.startswith("__"))
    for inner in ast.walk(tree):
        if isinstance(inner, ast.Global):
            yield from inner.names


def names_bound(node: ast.stmt) -> list[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def called(value: ast.expr) -> str:
    return last_name(value.func) if isinstance(value, ast.Call) else ""


def last_name(expression: ast.expr) -> str:
    return expression.attr if isinstance(expression, ast.Attribute) else getattr(expression, "id", "")


def is_empty_container(value: ast.expr) -> bool:
    if isinstance(value, ast.List):
        return not value.elts
    if isinstance(value, ast.Dict):
        return not value.keys
    return isinstance(value, ast.Call) and called(value) in EMPTY_CONTAINERS and not value.args


def is_slot(node: ast.ClassDef) -> bool:
    return any(last_name(base) in PER_THREAD for base in node.bases)


def is_lowercase_table(node: ast.stmt) -> bool:
    value = getattr(node, "value", None)
    table = isinstance(value, ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp)
    constant = all(name.isupper() or name.startswith("__") for name in names_bound(node))
    return table and not constant


def too_long_functions() -> Iterator[tuple[str, int]]:
    for source in SOURCES:
        for name, node in functions(source.tree):
            if body_lines(node) > MAX_FUNCTION_LINES:
                yield f"{source.path}::{name}", body_lines(node)


def too_many_positionals() -> Iterator[tuple[str, int]]:
    for source in SOURCES:
        for name, node in functions(source.tree):
            if positionals(node) > MAX_POSITIONALS:
                yield f"{source.path}::{name}", positionals(node)


def too_long_modules() -> Iterator[tuple[str, int]]:
    for source in SOURCES:
        lines = len(source.text.splitlines())
        if lines > MAX_MODULE_LINES:
            yield source.path, lines


def ambient_names() -> Iterator[tuple[str, int]]:
    for source in SOURCES:
        for name in global_state(source.tree):
            yield f"{source.path}::{name}", 1


@pytest.mark.parametrize(
    ("found", "exceptions"),
    [
        pytest.param(too_long_functions, LONG_FUNCTIONS, id="functions of at most 45 lines"),
        pytest.param(too_long_modules, LONG_MODULES, id="modules of at most 400 lines"),
        pytest.param(too_many_positionals, MANY_POSITIONALS, id="at most 4 positional parameters"),
        pytest.param(ambient_names, AMBIENT, id="no mutable state in modules"),
    ],
)
def test_the_rule_holds_but_for_the_listed_exceptions(found, exceptions: Mapping[str, str]) -> None:
    """Nothing breaks the rule unlisted, and no exception is listed that is not needed."""
    assert {} == {place: size for place, size in dict(found()).items() if place not in exceptions}
    assert set() == set(exceptions) - set(dict(found()))


def test_a_long_function_is_justified_by_a_measurement() -> None:
    """A reason without a number is an opinion."""
    unmeasured = [place for place, why in LONG_FUNCTIONS.items() if not any(map(str.isdigit, why))]
    assert [] == unmeasured


def test_at_most_two_things_are_ambient() -> None:
    """The current turn and the default background host, and no third."""
    assert len(AMBIENT) <= MAX_AMBIENT


@pytest.mark.parametrize("source", TESTS, ids=lambda source: source.name)
def test_every_test_says_what_it_proves(source: Source) -> None:
    """A docstring on every test: the name is the sentence, the docstring its terms."""
    tests = [(name, node) for name, node in functions(source.tree) if node.name.startswith("test_")]
    assert [] == [name for name, node in tests if not ast.get_docstring(node)]


def test_lines_are_counted_without_the_docstring() -> None:
    """Comments and blank lines between statements count: they are what one has to read."""
    text = (
        'def f(self, a, b, *, c):\n    """Says.\n\n    More.\n    """\n    # why\n    x = 1\n\n    return x\n'
    )
    ((name, node),) = functions(parse("m", text).tree)
    assert ("f", 3, 2) == (name, body_lines(node), positionals(node))


def test_global_state_is_told_from_tables() -> None:
    """Empty containers, per-thread slots, lower-case tables and rebinding are state; the rest is data."""
    state = "a = {}\nB = []\nc = {1: 2}\nd = local()\nE = WeakSet()\ndef f():\n    global g\n    g = 1\n"
    state += "class Slot(threading.local):\n    x = 1\n_s = Slot()\n"
    data = "T = {1: 2}\n__all__ = []\nU = frozenset()\nv = Lock()\nW: Final = (1,)\ndef f():\n    h = {}\n"
    assert ["a", "B", "c", "d", "E", "_s", "g"] == list(global_state(parse("m", state).tree))
    assert [] == list(global_state(parse("m", data).tree))
