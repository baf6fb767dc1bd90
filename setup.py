"""Adds to pyproject.toml what it cannot say: the codec in C, which a build without a compiler leaves out."""

from setuptools import Extension, setup

NATIVE = "goblins_py/syrup/native"

setup(
    ext_modules=[
        Extension(
            "goblins_py.syrup._native",
            [f"{NATIVE}/{name}.c" for name in ("module", "decode", "encode", "symbols")],
            depends=[f"{NATIVE}/native.h"],
            optional=True,
        )
    ]
)
