"""Adds to pyproject.toml what it cannot say: the codec in C, and innermost modules compiled as they stand.

A build without a compiler leaves them out. So does one in place (as `pip install -e` does) with the modules:
compiled copies would hide every change to their sources.
"""

import os
from typing import Final

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

CODEC: Final = "goblins_py/syrup/native"
COMPILED: Final = (
    "goblins_py.actors._behaviour",
    "goblins_py.actors._crossroads",
    "goblins_py.actors._passable",
    "goblins_py.actors._promise",
    "goblins_py.actors._reference",
    "goblins_py.actors._send",
    "goblins_py.actors._turn",
    "goblins_py.actors._vat",
    "goblins_py.actors._vat_turn",
    "goblins_py.captp._inbound",
    "goblins_py.captp._outbound",
    "goblins_py.captp._outbox",
    "goblins_py.captp._records",
    "goblins_py.captp._references",
    "goblins_py.captp._tables",
    "persistence._reading",
    "persistence._records",
)
"""Modules that every message, or every object of a store, passes; a .pxd beside says what C has to know."""
QUICK: Final = ["-O2", "-g0"]
"""What these modules call decides how fast they are, not how C is optimised."""


class BuildExt(build_ext):
    """Leaves compiled sources out of a build in place."""

    def finalize_options(self) -> None:
        """As the base does, and less."""
        super().finalize_options()
        if self.inplace or self.editable_mode:
            self.extensions = [each for each in self.extensions if each.name.endswith("._native")]
        self.parallel = self.parallel or os.cpu_count()


codec = Extension(
    "goblins_py.syrup._native",
    [f"{CODEC}/{name}.c" for name in ("module", "decode", "encode", "symbols")],
    depends=[f"{CODEC}/native.h"],
    optional=True,
)
compiled = cythonize(
    [
        Extension(name, [f"{name.replace('.', '/')}.py"], extra_compile_args=QUICK, optional=True)
        for name in COMPILED
    ],
    build_dir="build/cython",
    quiet=True,
    language_level=3,
    compiler_directives={"annotation_typing": False},
)
setup(cmdclass={"build_ext": BuildExt}, ext_modules=[codec, *compiled])
