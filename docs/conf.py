"""Sphinx: what the pages of this folder are made with."""

from importlib.metadata import version as installed

project = "goblins_py"
author = "the goblins_py developers"
copyright = author
release = installed("goblins_py")
version = release

extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["_build"]
nitpicky = False

html_theme = "furo"
html_title = f"goblins_py {release}"

autodoc_default_options = {"members": True, "show-inheritance": True, "member-order": "bysource"}
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
