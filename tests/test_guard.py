"""The instruction guard: what it makes of counts, and that what it counts still runs (see `make guard`)."""

import json

import pytest

from guard import check
from guard.operations import OPERATIONS

REPORT = "".join(f"part: {part}\ntotals: {total}\n" for part, total in enumerate([9999, 100, 5, 600, 7]))


@pytest.mark.parametrize("name", OPERATIONS)
def test_each_operation_can_be_done_again(name: str) -> None:
    """As the guard does it: prepared once, done some times and then many."""
    prepare, times = OPERATIONS[name]
    run = prepare()
    run(8)
    run(times)


def test_every_second_part_of_a_report_is_an_operation() -> None:
    """What is between two marks that belong together; start, preparations and end are left out."""
    assert {"unit": 10.0, "b": 60.0} == check.per_operation(REPORT, {"unit": 10, "b": 10})
    with pytest.raises(ValueError, match="5 parts"):
        check.per_operation(REPORT, {"unit": 10})


def test_counts_are_in_units() -> None:
    """But for that of the unit itself."""
    assert {"unit": 200.0, "a": 0.25} == check.in_units({"unit": 200.0, "a": 50.0})


@pytest.mark.parametrize(
    ("before", "now", "complaint"),
    [
        (100.0, 100.0, ""),
        (100.0, 109.9, ""),
        (100.0, 90.1, ""),
        (100.0, 111.0, check.SLOWER),
        (100.0, 89.0, check.FASTER),
        (None, 100.0, check.NEW),
        (100.0, None, check.GONE),
    ],
)
def test_a_tenth_is_tolerated_either_way(before, now, complaint) -> None:
    """And what one side does not know is never tolerated."""
    sides = [{} if value is None else {"a": value} for value in (before, now)]
    assert [complaint] == [row.complaint for row in check.compare(*sides)]


def test_a_python_without_a_baseline_fails(capsys) -> None:
    """All of its operations are new."""
    assert not check.show("cpython 3.99 pure", {}, {"unit": 1000.0, "a": 1.0})
    assert check.NEW in capsys.readouterr().out


def test_another_build_of_python_is_told(capsys) -> None:
    """By its unit."""
    assert check.show("cpython 3.99 pure", {"unit": 900.0, "a": 1.0}, {"unit": 1000.0, "a": 1.05})
    assert "another build" in capsys.readouterr().out


def test_a_build_that_could_not_be_counted_is_told() -> None:
    """Of the same Python; others are not asked for."""
    known = ["cpython 3.11 native", "cpython 3.11 pure", "cpython 3.12 native"]
    assert ["cpython 3.11 native"] == check.uncounted(known, ["cpython 3.11 pure"])


def test_the_baseline_holds_every_operation() -> None:
    """Of every build in it."""
    for counts in json.loads(check.BASELINE.read_text()).values():
        assert set(OPERATIONS) == set(counts)
