"""The layers of the design hold, and the reader that says so can be trusted."""

import pytest

from layering import Arrow, arrows, cycles, private_meetings, wrong_layers
from sources import Source, parse, project_sources


def example(name: str, text: str, *, is_package: bool = False) -> Source:
    return parse(name, text, path=f"{name}.py", is_package=is_package)


def complaints(*sources: Source) -> list[str]:
    return wrong_layers(arrows(sources))


def test_no_module_imports_against_the_layers() -> None:
    """Section by section, the packages see only what the table lets them see."""
    assert [] == complaints(*project_sources())


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Module by module, so a circle inside one package is found too."""
    assert [] == cycles(arrows(project_sources()))


def test_no_layer_reaches_into_the_private_modules_of_another() -> None:
    """What another layer needs is exported by the package, and thus named in its __all__."""
    assert [] == private_meetings(arrows(project_sources()))


@pytest.mark.parametrize(
    "text",
    [
        "import goblins_py.runtime",
        "from goblins_py.runtime import open_vat",
        "from goblins_py import runtime",
        "from ..runtime import open_vat",
        "from .. import runtime",
        "def late():\n    from goblins_py.runtime._loop import Loop",
        "if TYPE_CHECKING:\n    import goblins_py.runtime",
        "from goblins_py import spawn",
        "import goblins_py",
        "import netlayers.tcp_tls",
        "import trio",
        "from trio.lowlevel import checkpoint",
    ],
)
def test_an_upward_import_is_reported_however_it_is_written(text: str) -> None:
    """Actors may know neither the runtime, nor the facade, nor a netlayer, nor trio."""
    runtime = example("goblins_py.runtime", "", is_package=True)
    assert 1 == len(complaints(runtime, example("goblins_py.actors._turn", text)))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("goblins_py.actors._turn", "from goblins_py.syrup import Symbol"),
        ("goblins_py.actors._turn", "from . import _reference"),
        ("goblins_py.actors._turn", "import logging"),
        ("goblins_py.runtime._loop", "import trio"),
        ("goblins_py.lib.cell", "from goblins_py.actors import actor"),
        ("netlayers.tcp_tls", "from goblins_py.abc import Netlayer"),
        ("goblins_py", "from .runtime import open_vat"),
        ("goblins_py.__main__", "from goblins_py.cli import main"),
    ],
)
def test_a_downward_import_is_let_pass(name: str, text: str) -> None:
    """The table's own arrows, and libraries where I/O is at home."""
    assert [] == complaints(example(name, text, is_package=name == "goblins_py"))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("netlayers.tcp_tls", "import persistence"),
        ("netlayers.tcp_tls", "from goblins_py.captp import Session"),
        ("goblins_py", "import netlayers"),
        ("goblins_py", "from goblins_py.cli import main"),
        ("goblins_py.lib.cell", "from goblins_py import actor"),
    ],
)
def test_siblings_and_the_facade_stay_apart(name: str, text: str) -> None:
    """Netlayers and stores see neither each other nor CapTP; nobody sees the facade, which sees no L6, L7."""
    assert 1 == len(complaints(example(name, text, is_package=name == "goblins_py")))


def test_a_circle_is_reported_whole() -> None:
    """Also one through a third module, and one through a package's own __init__."""
    ring = [
        example("goblins_py.actors", "from ._a import a", is_package=True),
        example("goblins_py.actors._a", "def f():\n    from . import _b"),
        example("goblins_py.actors._b", "from goblins_py.actors import a"),
    ]
    assert [["goblins_py.actors", "goblins_py.actors._a", "goblins_py.actors._b"]] == cycles(arrows(ring))


def test_a_tree_has_no_circle() -> None:
    """Two ways to one module are not a circle."""
    tree = [Arrow("a", "b", ""), Arrow("a", "c", ""), Arrow("b", "d", ""), Arrow("c", "d", "")]
    assert [] == cycles(tree)


def test_a_private_module_is_private_to_its_layer() -> None:
    """From inside it is the normal way, from outside it is reported."""
    inside = example("goblins_py.actors._vat", "from ._turn import Turn")
    outside = example("goblins_py.runtime._loop", "from goblins_py.actors._turn import Turn")
    assert 1 == len(private_meetings(arrows([inside, outside])))
