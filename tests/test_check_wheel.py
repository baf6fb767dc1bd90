"""The wheel holds the three packages and nothing else, and the check for that notices."""

from check_wheel import complaints, platform_complaints

WHEEL = [
    "goblins_py/__init__.py",
    "goblins_py/py.typed",
    "netlayers/__init__.py",
    "netlayers/py.typed",
    "persistence/__init__.py",
    "persistence/py.typed",
    "goblins_py-0.1.0.dist-info/METADATA",
]


def test_a_wheel_of_three_typed_packages_is_let_pass() -> None:
    """Sources, markers and the wheel's own description."""
    assert [] == complaints(WHEEL)


def test_strays_data_and_missing_markers_are_named() -> None:
    """A fourth package, a file that is no source, a package that forgot its py.typed."""
    found = complaints([*WHEEL[:-2], "tests/conftest.py", "netlayers/notes.txt"])
    assert ["stray: tests/conftest.py", "no source: netlayers/notes.txt"] == found[:2]
    assert "missing: persistence/py.typed" == found[-1]


def test_the_codec_in_c_is_let_pass_in_a_wheel_for_one_platform() -> None:
    """And only there; its sources are for the source distribution."""
    native = [*WHEEL, "goblins_py/syrup/_native.cpython-311-x86_64-linux-gnu.so"]
    for_all, for_one = "goblins_py-0.1.0-py3-none-any.whl", "goblins_py-0.1.0-cp311-cp311-linux_x86_64.whl"
    assert [] == complaints(native)
    assert [] == platform_complaints(for_one, WHEEL) == platform_complaints(for_one, native)
    assert [] == platform_complaints(for_all, WHEEL)
    assert 1 == len(platform_complaints(for_all, native))
    source = "goblins_py/syrup/native/decode.c"
    assert [f"no source: {source}"] == complaints([*native, source])
