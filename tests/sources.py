"""The project's own source files, parsed: what the tests about form have in common."""

import ast
from collections.abc import Iterator
from pathlib import Path

import attrs

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("goblins_py", "netlayers", "persistence")


@attrs.frozen
class Source:
    """One module: its dotted name, its path from the root, its text and tree."""

    name: str
    path: str
    text: str = attrs.field(repr=False)
    tree: ast.Module = attrs.field(repr=False, eq=False)
    is_package: bool = False


def parse(name: str, text: str, *, path: str = "<text>", is_package: bool = False) -> Source:
    return Source(name, path, text, ast.parse(text), is_package)


def module_name(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def read(path: Path) -> Source:
    relative = path.relative_to(ROOT)
    return parse(
        module_name(relative),
        path.read_text(encoding="utf-8"),
        path=relative.as_posix(),
        is_package=path.name == "__init__.py",
    )


def project_sources() -> list[Source]:
    """Every module of the three packages, read from the checkout, never from an installation."""
    return [read(path) for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def functions(
    tree: ast.AST, prefix: str = ""
) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Every function with its dotted place in the module, nested ones too."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{prefix}{node.name}", node
            yield from functions(node, f"{prefix}{node.name}.")
        elif isinstance(node, ast.ClassDef):
            yield from functions(node, f"{prefix}{node.name}.")
        else:
            yield from functions(node, prefix)
