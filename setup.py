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
    "actors._behaviour",
    "actors._crossroads",
    "actors._passable",
    "actors._promise",
    "actors._reference",
    "actors._send",
    "actors._turn",
    "actors._vat",
    "actors._vat_turn",
    "captp._inbound",
    "captp._outbound",
    "captp._outbox",
    "captp._records",
    "captp._references",
    "captp._tables",
)
"""Modules of goblins_py that every message passes; a .pxd beside each says what C has to know."""
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
        Extension(
            f"goblins_py.{name}",
            [f"goblins_py/{name.replace('.', '/')}.py"],
            extra_compile_args=QUICK,
            optional=True,
        )
        for name in COMPILED
    ],
    build_dir="build/cython",
    quiet=True,
    language_level=3,
    compiler_directives={"annotation_typing": False},
)
setup(cmdclass={"build_ext": BuildExt}, ext_modules=[codec, *compiled])
