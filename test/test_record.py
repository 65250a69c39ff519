"""Records hold values under the names that their classes declare."""

from __future__ import annotations

import pytest

from tator.record import Record

pytestmark = pytest.mark.fast


class Point(Record):
    """One value that must be given, and one that need not."""

    x: int
    y: int = 0


def test_a_record_has_the_values_given_and_the_defaults_of_its_class() -> None:
    """By name, since two of a kind could be mixed up by place."""
    point = Point(x=3)
    assert (point.x, point.y) == (3, 0)
    assert Point(x=1, y=2).y == 2
    with pytest.raises(TypeError):
        Point(3)  # type: ignore[misc]  # which is what is shown
