"""Sphinx: what the pages of this folder are made with."""

import re
from importlib.metadata import version as installed

project = "goblins_py"
author = "the goblins_py developers"
copyright = author
release = installed("goblins_py")
version = release

extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["_build", "_performance_tables.rst"]

html_theme = "furo"
html_title = f"goblins_py {release}"

autodoc_default_options = {"members": True, "show-inheritance": True, "member-order": "bysource"}
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False

SPAN = re.compile(r"(``.+?``|(?<![:\w`])`(?:[^`\n]|\n(?!\n))+`(?!`)|:[\w:]+:`[^`]+`)")


def plain(text: str) -> str:
    """The text with names that end in an underscore, which would be hyperlinks, escaped."""
    return re.sub(r"(\w)_(?!\w)", r"\1\\_", text)


def quoted(span: str) -> str:
    """Code as reStructuredText wants it: our docstrings quote it once, and may set a plural s behind it."""
    return f"\\ `{span}`\\ " if span[0] == "`" != span[1] else span


def rewrite(lines, outside, inside) -> None:
    """Apply one function to what is not quoted, another to what is."""
    parts = SPAN.split("\n".join(lines))
    text = "".join(inside(part) if at % 2 else outside(part) for at, part in enumerate(parts))
    lines[:] = text.split("\n")


def double_quotes(app, what, name, obj, options, lines) -> None:
    """Before napoleon, which looks for colons outside of code."""
    rewrite(lines, str, quoted)


def escape_underscores(app, what, name, obj, options, lines) -> None:
    """After napoleon, which escapes the names of parameters itself."""
    rewrite(lines, plain, str)


def is_from_elsewhere(app, what, name, obj, skip, options) -> bool | None:
    """What a package passes on is documented where it is from; only the facade shows it again."""
    here = app.env.temp_data.get("autodoc:module")
    home = getattr(obj, "__module__", None) or here
    return True if what == "module" and here != "goblins_py" and not home.startswith(here) else None


def setup(app) -> None:
    """Sphinx calls this by its name."""
    app.connect("autodoc-process-docstring", double_quotes, priority=100)
    app.connect("autodoc-process-docstring", escape_underscores, priority=900)
    app.connect("autodoc-skip-member", is_from_elsewhere)
