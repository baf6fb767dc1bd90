"""The public surface is a reviewed list: growing it is a line in this file, not an accident."""

import importlib
import pkgutil

import pytest

from sources import PACKAGES, ROOT

MAX_FACADE_NAMES = 40

FACADE = """
    GoblinsError Map Null PeerLocator PersistenceEnv Promise Ref Refusal RemoteError
    Resolver Sturdyref Symbol Tagged actor all_of any_of become call flushed is_near is_verified
    live make_promise mycapn_env on on_sever open_persistent_vat open_vat parse_uri race ref_to send
    send_only spawn spawn_mycapn spawn_persistent_vat spawn_vat timeout upgrade value
""".split()


def public_packages() -> list[str]:
    """Packages on disk whose dotted name has no private part."""
    found = [path.parent.relative_to(ROOT) for top in PACKAGES for path in (ROOT / top).rglob("__init__.py")]
    return sorted(
        ".".join(path.parts) for path in found if not any(part.startswith("_") for part in path.parts)
    )


def test_the_facade_exports_the_reviewed_names() -> None:
    """What `from goblins_py import ...` offers is this list, sorted, and short enough to be learned."""
    facade = importlib.import_module("goblins_py")
    assert FACADE == sorted(facade.__all__)
    assert len(FACADE) <= MAX_FACADE_NAMES


@pytest.mark.parametrize("name", public_packages())
def test_every_package_says_what_is_public(name: str) -> None:
    """Each package has `__all__`, without duplicates, and each name in it exists."""
    package = importlib.import_module(name)
    names = list(package.__all__)
    assert sorted(set(names)) == sorted(names)
    assert [] == [public for public in names if not hasattr(package, public)]


@pytest.mark.parametrize("name", public_packages())
def test_every_public_name_belongs_to_a_public_place(name: str) -> None:
    """No exported name is private, and none is a module in disguise but for the package's own."""
    package = importlib.import_module(name)
    modules = {module.name for module in pkgutil.iter_modules(package.__path__)}
    assert [] == [
        public for public in package.__all__ if public.startswith("_") and not public.startswith("__")
    ]
    assert modules >= {
        public for public in package.__all__ if type(getattr(package, public)).__name__ == "module"
    }
