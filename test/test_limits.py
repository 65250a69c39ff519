"""The limits of one try; what they do to a call is in the tests of the faults."""

from __future__ import annotations

import time

import pytest

from tator.limits import Limits


def test_no_operation_begins_when_the_time_is_up() -> None:
    """Otherwise a socket would be told to wait for less than no time."""
    with pytest.raises(TimeoutError):
        Limits(0, 1e-9, None).wait()


def test_the_shorter_of_two_limits_counts() -> None:
    """Of the silence that is allowed and the time that is left, an operation may take the less."""
    now = time.monotonic()
    assert Limits(now, (None, 5), now + 60).wait() == 5
    assert 55 < (Limits(now, (None, 99), now + 60).wait() or 0) <= 60
    assert 25 < (Limits(now, 30, now + 60).wait() or 0) <= 30


def test_without_any_limit_a_wait_has_no_end() -> None:
    """Whoever lifts the deadline and names no other limit waits as long as it takes."""
    assert Limits(0, None, None).wait() is None
