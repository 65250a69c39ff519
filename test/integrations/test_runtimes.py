"""Event loops, processes, clocks, signals and traces of background calls."""

from __future__ import annotations

import threading

import pytest
from integrations.running import LIMIT, run_program

from tator.testing import LocalTator

pytestmark = pytest.mark.integrations


def test_uvloop_awaits_a_handle_and_may_stop_waiting(local_tator: LocalTator) -> None:
    """Results and errors arrive; a call that fails after its wait timed out leaves no log."""
    release = threading.Event()
    run_uids = [*local_tator.launch(2).run_uids, "unknown", *local_tator.launch().run_uids]
    local_tator.on_request = lambda request: (
        release.wait(LIMIT) if request.path.endswith(run_uids[-1]) else None
    )
    try:
        loop, first, second, status, timed_out, successful, logged = run_program(
            "with_uvloop", local_tator, *run_uids
        )
    finally:
        release.set()
    assert loop == "uvloop"
    assert "deleted" in first
    assert "deleted" in second
    assert status == 500
    assert timed_out == "timed out"
    assert not successful
    assert not logged


@pytest.mark.parametrize("how", ["instrumented", "plain"])
def test_each_call_in_the_background_joins_its_own_trace(local_tator: LocalTator, how: str) -> None:
    """A reused thread takes the caller's trace, also under OpenTelemetry's instrumentation."""
    run_uids = local_tator.launch(5).run_uids
    traces = run_program("with_threading_spans", local_tator, how, *run_uids)
    assert traces == ["first", "second", "bulk", "bulk", "bulk"]


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_a_client_works_in_other_processes(local_tator: LocalTator, method: str) -> None:
    """A client that traveled, one that the child has, and bulk on a process pool cancel jobs.

    An error travels back with its doubt, and the parent keeps its own connection.
    """
    seen = run_program("with_processes", local_tator, method, *local_tator.launch(21).run_uids)
    assert seen == {
        "calls": [True] * 9,
        "bulk": "10 cancelled",
        "error": ["ServiceException", 500, True],
    }
    assert set(local_tator.jobs.values()) == {"cancelled"}


def test_calls_work_while_freezegun_stops_the_clock(local_tator: LocalTator) -> None:
    """Calls, background calls, bulk and retries end while time stands still, and after."""
    seen = run_program("with_freezegun", local_tator, *local_tator.launch(8).run_uids)
    assert seen == [True, True, 5, 3, True]


def test_a_client_works_after_throttling_under_a_stopped_clock(
    local_tator: LocalTator,
) -> None:
    """No wait is taken over from freezegun's clock, also if the client has no deadline."""
    local_tator.fail(429, headers={"Retry-After": "1"})
    run_uids = local_tator.launch(2).run_uids
    assert run_program("with_freezegun_throttled", local_tator, *run_uids) == [True, True]


def test_a_signal_handler_may_call(local_tator: LocalTator) -> None:
    """A handler cancels jobs while the program is in a call, waits for one, or in a bulk run."""
    local_tator.delay(0.3)
    seen, handled = run_program("with_signals", local_tator, *local_tator.launch(12).run_uids)
    assert seen == [True, True, 1, True]
    assert handled == [True] * 8


def test_a_handler_may_call_at_any_point_of_a_call(local_tator: LocalTator) -> None:
    """Wherever a signal arrives, its handler can wait for a call in the background."""
    points, calls, outcomes = run_program("with_signals_anywhere", local_tator, "unknown")
    assert outcomes == ["ServiceException"]
    assert points > 50
    assert calls == 2 * points + 1
