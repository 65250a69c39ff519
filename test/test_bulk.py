"""Many cancellations at once are bounded, in order, and nothing about them is lost."""

from __future__ import annotations

import asyncio
import enum
import io
import itertools
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
import uuid
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import FrameType, SimpleNamespace
from typing import Any
from unittest import mock

import pandas
import pytest
import tqdm.auto
from gates import TOKEN, Gate, interrupt_when
from peers import Connection, Peer, answering, http, make_api
from urllib3.exceptions import InsecureRequestWarning

import tator
from tator import bulk, bulk_executors, bulk_result, bulk_workers
from tator.testing import LocalTator


class SoftLimit(Exception):
    """What a signal handler raises, as Celery's for its soft time limit."""


@pytest.fixture(params=[Exception, ConnectionError, TimeoutError, ValueError, RuntimeError])
def soft_limit(request: pytest.FixtureRequest) -> Iterator[type[Exception]]:
    """A class that the handler of SIGUSR1 raises; tator's errors have the same bases."""
    kind = type("SoftLimit", (SoftLimit, request.param), {})

    def handler(number: int, frame: FrameType | None) -> None:
        raise kind

    previous = signal.signal(signal.SIGUSR1, handler)
    yield kind
    signal.signal(signal.SIGUSR1, previous)


def test_outcomes_are_in_the_order_given(server: LocalTator, api: tator.JobApi) -> None:
    """The result maps IDs to outcomes in the order of the IDs, whichever ends first."""
    run_uids = server.launch(50).run_uids
    result = bulk.delete_jobs(api, run_uids)
    assert list(result) == list(run_uids) == result.deleted
    assert all(isinstance(result[run_uid], tator.InlineResponse2044) for run_uid in run_uids)
    assert len(result) == 50
    assert set(server.jobs.values()) == {"cancelled"}


def test_one_failure_never_stops_the_others(server: LocalTator, api: tator.JobApi) -> None:
    """An unknown job among others is the only one that fails."""
    first, second = server.launch(2).run_uids
    result = bulk.delete_jobs(api, [first, "unknown", second])
    assert result.deleted == [first, second]
    assert list(result.failed) == ["unknown"]
    assert isinstance(result["unknown"], tator.ServiceException)
    assert result["unknown"].__traceback__ is None
    assert result.not_attempted == []


def test_a_repeated_id_is_asked_for_once(server: LocalTator, api: tator.JobApi) -> None:
    """An ID counts once, be it a string or a UUID."""
    run_uids = server.launch(50).run_uids
    repeated = [run_uids[0], uuid.UUID(run_uids[0]), *run_uids, *run_uids]
    result = bulk.delete_jobs(api, repeated, max_workers=4)
    assert result.deleted == list(run_uids)
    assert len(server.requests) == 50


def test_the_values_of_an_enumeration_are_the_ids(server: LocalTator, api: tator.JobApi) -> None:
    """A member that is a string is sent, and listed, as that string."""
    (run_uid,) = server.launch().run_uids
    kind = enum.Enum("kind", {"WRONG_VIDEO": run_uid}, type=str)
    assert bulk.delete_jobs(api, list(kind)).deleted == [run_uid]


def test_a_bad_id_is_an_outcome(server: LocalTator, api: tator.JobApi) -> None:
    """What can't be an ID fails without a request, and the rest goes on."""
    run_uid = server.launch().run_uids[0]
    bad: list[Any] = [None, 7, float("nan"), "", "..", "../x", "\udc80", b"x", [], "x" * 300]
    result = bulk.delete_jobs(api, [*bad, run_uid])
    assert result.deleted == [run_uid]
    assert list(result.failed) == [str(run_uid) for run_uid in bad]
    assert all(
        isinstance(error, (tator.ApiTypeError, tator.ApiValueError)) and not error.maybe_applied
        for error in result.failed.values()
    )
    assert len(server.requests) == 1


def test_an_empty_list_of_ids_gives_an_empty_result(server: LocalTator, api: tator.JobApi) -> None:
    """Without IDs the result is empty, and no thread is started."""
    before = set(threading.enumerate())
    assert dict(bulk.delete_jobs(api, [])) == {}
    assert list(bulk.iter_delete_jobs(api, iter([]))) == []
    assert set(threading.enumerate()) <= before


def test_a_length_that_can_be_read_only_once_is_enough(
    server: LocalTator, api: tator.JobApi
) -> None:
    """IDs inside someone's own progress bar are read once."""
    run_uids = server.launch(3).run_uids
    wrapped = tqdm.auto.tqdm((run_uid for run_uid in run_uids), total=3, file=io.StringIO())
    assert bulk.delete_jobs(api, wrapped).deleted == list(run_uids)


@pytest.mark.parametrize("run_uids", ["abc", b"abc", uuid.uuid1(), None, 5])
def test_a_single_id_is_rejected(api: tator.JobApi, run_uids: Any) -> None:
    """A string is not read as an iterable of IDs with one letter each."""
    for function in (bulk.delete_jobs, bulk.iter_delete_jobs):
        with pytest.raises(tator.ApiTypeError, match=r"run_uids must be .*write \[run_uid\]"):
            function(api, run_uids)


def test_a_data_frame_is_rejected_and_its_column_is_not(
    server: LocalTator, api: tator.JobApi
) -> None:
    """Iterating over a table gives the names of its columns, which are not jobs."""
    run_uids = server.launch(3).run_uids
    frame = pandas.DataFrame({"run_uid": run_uids, "video": [1, 2, 3]})
    for function in (bulk.delete_jobs, bulk.iter_delete_jobs):
        with pytest.raises(tator.ApiTypeError, match="Pass the column"):
            function(api, frame)
    assert server.requests == []
    result = bulk.delete_jobs(api, frame["run_uid"])
    assert result.deleted == list(run_uids)
    assert result[uuid.UUID(run_uids[0])] is result[run_uids[0]]


def test_a_double_of_the_api_is_accepted() -> None:
    """A program is tested without a server by what `create_autospec` makes."""
    double = mock.create_autospec(tator.JobApi, instance=True)
    failure = tator.NotFoundException(404)
    double.delete_job.side_effect = lambda run_uid: (
        {"a": tator.InlineResponse2044("Done.")}.get(run_uid) or pytest.fail(run_uid)
    )
    assert bulk.delete_jobs(double, ["a"]).deleted == ["a"]
    double.delete_job.side_effect = failure
    assert bulk.delete_jobs(double, ["a"]).failed == {"a": failure}
    assert bulk.delete_jobs(mock.Mock(), ["a"]).deleted == ["a"]


def test_an_api_that_cannot_delete_is_rejected() -> None:
    """A client in place of an API is a mistake."""
    client: Any = tator.get_api("http://127.0.0.1:9", TOKEN).api_client
    with pytest.raises(tator.ApiTypeError, match="api must be a JobApi, not ApiClient"):
        bulk.delete_jobs(client, ["a"])


def test_swapped_arguments_name_the_first(local_tator: LocalTator) -> None:
    """The IDs in place of the API are what the error is about."""
    swapped: Any = tator.get_api(local_tator.host, local_tator.token)
    ids: Any = ["a"]
    with pytest.raises(tator.ApiTypeError, match="api must be a JobApi, not list"):
        bulk.delete_jobs(ids, swapped)


@pytest.mark.parametrize(
    ("option", "value", "kind"),
    [
        ("max_workers", 0, tator.ApiValueError),
        ("max_workers", True, tator.ApiTypeError),
        ("max_workers", 2.0, tator.ApiTypeError),
        ("executor", "threads", tator.ApiTypeError),
        ("progress", "yes", tator.ApiTypeError),
    ],
)
def test_options_that_cannot_be_used_are_rejected(
    server: LocalTator,
    api: tator.JobApi,
    caplog: pytest.LogCaptureFixture,
    option: str,
    value: Any,
    kind: type[tator.ApiException],
) -> None:
    """A bad option is rejected by its name before anything is sent, and nothing is logged."""
    with pytest.raises(kind, match=option):
        bulk.delete_jobs(api, ["x"], **{option: value})
    assert server.requests == []
    assert not caplog.records


def test_outcomes_are_yielded_as_they_arrive(server: LocalTator, api: tator.JobApi) -> None:
    """A job that takes long does not hold up the outcomes of the others."""
    slow, *others = server.launch(10).run_uids
    release = threading.Event()
    server.on_request = lambda request: request.path.endswith(slow) and release.wait(30)
    ended = bulk.iter_delete_jobs(api, [slow, *others], max_workers=2)
    first = [run_uid for run_uid, _ in itertools.islice(ended, 9)]
    assert sorted(first) == sorted(others)
    release.set()
    assert [run_uid for run_uid, _ in ended] == [slow]


def test_work_in_flight_is_bounded(server: LocalTator, api: tator.JobApi, gate: Gate) -> None:
    """From an endless generator only as much is read as is needed to keep the workers busy."""
    read = []

    def endless() -> Iterator[str]:
        while True:
            read.append(server.launch().run_uids[0])
            yield read[-1]

    ended = bulk.iter_delete_jobs(api, endless(), max_workers=3)
    first: Future[Any] = Future()
    thread = threading.Thread(target=lambda: first.set_result(next(ended)))
    thread.start()
    gate.wait_for(3)
    assert len(read) <= 6
    gate.open()
    assert first.result(30)[0] in read
    thread.join()
    for _ in range(100):
        next(ended)
    ended.close()
    assert gate.most_held == 3
    assert len(gate.connections) == 3
    assert len(read) <= 101 + 7


@pytest.mark.parametrize("threads", [None, 8])
def test_more_may_be_in_flight_than_connections_are_kept(
    server: LocalTator, api: tator.JobApi, gate: Gate, threads: int | None
) -> None:
    """`connection_pool_maxsize` bounds the idle connections, `max_workers` the work."""
    api.api_client.configuration.connection_pool_maxsize = 2
    executor = None if threads is None else ThreadPoolExecutor(threads)
    run_uids = server.launch(24).run_uids
    results: Future[bulk.BulkResult] = Future()

    def run() -> None:
        results.set_result(bulk.delete_jobs(api, run_uids, max_workers=8, executor=executor))

    thread = threading.Thread(target=run)
    thread.start()
    gate.wait_for(8)
    gate.open()
    assert results.result(30).deleted == list(run_uids)
    thread.join()
    if executor is not None:
        executor.shutdown()
    assert gate.most_held == 8
    assert api.api_client.rest_client.idle_connections <= 2


def test_an_outcome_does_not_wait_for_many_slow_ids(server: LocalTator, api: tator.JobApi) -> None:
    """While the next ID is awaited, outcomes are yielded; nothing waits for more IDs."""
    responded = threading.Semaphore(0)
    server.on_request = lambda request: responded.release()
    read = []

    def slow() -> Iterator[str]:
        for run_uid in server.launch(30).run_uids:
            read.append(run_uid)
            yield run_uid
            # The responses to all earlier ones are on their way when the next is read.
            assert responded.acquire(timeout=30)

    ended = bulk.iter_delete_jobs(api, slow())
    next(ended)
    assert len(read) < 30
    ended.close()


def test_memory_stays_flat(api: tator.JobApi) -> None:
    """What is kept for an ID is a small part of the ID itself."""

    class Instant(tator.JobApi):
        def delete_job(self, run_uid: Any, **options: Any) -> Any:
            return tator.InlineResponse2044("Cancelled.")

    def peak(count: int) -> int:
        run_uids = (str(uuid.uuid1()) for _ in range(count))
        tracemalloc.start()
        try:
            for _ in bulk.iter_delete_jobs(Instant(api.api_client), run_uids):
                pass
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(20_000) - peak(1_000) < 1_000_000


@pytest.mark.parametrize("generation", ["2020-05", "2020-08", "2025-06"])
@pytest.mark.parametrize("token", ["wrong", "with a space", None])
def test_row_63_a_bad_token_ends_the_run(token: str | None, generation: str) -> None:
    """When the server rejects the token, no more requests are sent; the other IDs are listed."""
    with LocalTator(TOKEN, server=generation) as server:
        api = tator.get_api(server.host, TOKEN)
        keys = api.api_client.configuration.api_key
        keys.update({"Authorization": token}) if token else keys.clear()
        run_uids = server.launch(40).run_uids
        result = bulk.delete_jobs(api, run_uids, max_workers=1)
        assert list(result.failed) == list(run_uids[:1])
        assert isinstance(result[run_uids[0]], tator.UnauthorizedException)
        assert result.not_attempted == list(run_uids[1:])
        assert len(server.requests) == 1


def test_row_63_a_401_ends_the_run(server: LocalTator, api: tator.JobApi) -> None:
    """Servers with single sign-on respond so."""
    server.fail(401, times=100)
    run_uids = server.launch(40).run_uids
    result = bulk.delete_jobs(api, run_uids, max_workers=1)
    assert result.failed[run_uids[0]].status == 401
    assert result.not_attempted == list(run_uids[1:])
    assert len(server.requests) == 1


def test_a_bad_token_ends_an_endless_run(server: LocalTator) -> None:
    """No more is read from a generator once the token is known to be bad."""
    with tator.get_api(server.host, "wrong").api_client as client:
        run_uids = (str(uuid.uuid1()) for _ in itertools.count())
        result = bulk.delete_jobs(tator.JobApi(client), run_uids, max_workers=4)
    assert 1 <= len(server.requests) == len(result.failed) <= 5
    assert result.deleted == []


def test_a_missing_permission_does_not_end_the_run(server: LocalTator) -> None:
    """A 403 about permissions may be about one job alone."""
    server.add_token("looker", "view_only")
    run_uids = server.launch(5).run_uids
    with tator.get_api(server.host, "looker").api_client as client:
        result = bulk.delete_jobs(tator.JobApi(client), run_uids, max_workers=1)
    assert {error.status for error in result.failed.values()} == {403}
    assert len(result.failed) == 5


@pytest.mark.parametrize(
    ("status", "message", "attempted"),
    [
        (403, "Insufficient permission on the project Tokenizer.", 3),
        (403, "The user of this token may not cancel jobs.", 3),
        (403, "Token has expired.", 3),
        (403, "Invalid token header. No credentials provided.", 1),
        (400, "User inactive or deleted.", 1),
        (400, "(401) Reason: Invalid token.", 3),
    ],
)
def test_only_the_whole_sentence_of_the_framework_ends_the_run(
    status: int, message: str, attempted: int
) -> None:
    """The run continues if a message only contains the word "token"."""
    body = json.dumps({"detail": message}).encode()
    with Peer(answering(http(status, body), keep=True)) as peer:
        result = bulk.delete_jobs(make_api(peer.host), ["a", "b", "c"], max_workers=1)
    assert len(result.failed) == attempted


def test_row_64_a_throttled_run_cancels_every_job() -> None:
    """More requests than the server takes are waited for; no job fails of it."""
    with LocalTator(TOKEN, server="2025-06") as server:
        server.throttle(80)
        run_uids = server.launch(120).run_uids
        result = bulk.delete_jobs(tator.get_api(server.host, TOKEN), run_uids)
        assert result.deleted == list(run_uids)
        statuses = [request.status for request in server.requests]
        assert set(server.jobs.values()) == {"cancelled"}
    assert statuses.count(200) == 120
    assert 1 <= statuses.count(400) <= 32  # each worker is throttled once at most


def test_row_64_the_whole_run_pauses_for_a_throttling_server() -> None:
    """A worker that was not throttled itself sends nothing either until the time is up."""
    throttled = b'{"message": "Request was throttled. Expected available in 1 second."}'
    arrivals: list[float] = []

    def script(connection: Connection) -> None:
        while True:
            connection.request()
            arrivals.append(time.monotonic())
            if len(arrivals) == 1:
                connection.send(http(400, throttled))
                continue
            if len(arrivals) == 2:
                # Until the client has read the other response; earlier would be right too.
                connection.peer.closing.wait(0.3)
            connection.send(http())

    with Peer(script) as peer:
        result = bulk.delete_jobs(make_api(peer.host), ["a", "b", "c", "d"], max_workers=2)
    assert len(result.deleted) == 4
    assert len(arrivals) == 5
    assert arrivals[2] - arrivals[0] > 0.9


def test_closing_the_iterator_stops_the_work(
    server: LocalTator, api: tator.JobApi, gate: Gate
) -> None:
    """After `close()` nothing more is sent, and it does not wait for what is in flight."""
    before = set(threading.enumerate())
    quick, *others = server.launch(20).run_uids
    gate.let_through(quick)
    ended = bulk.iter_delete_jobs(api, [quick, *others], max_workers=2)
    assert next(ended)[0] == quick
    gate.wait_for(2)
    ended.close()
    gate.open()
    assert next(ended, None) is None
    del ended
    for thread in set(threading.enumerate()) - before:
        if thread.name.startswith("tator-bulk"):
            thread.join(30)
            assert not thread.is_alive()
    assert len(server.requests) == 3
    assert list(server.jobs.values()).count("cancelled") == 3


def test_an_error_of_the_ids_is_raised_after_the_outcomes(
    server: LocalTator, api: tator.JobApi
) -> None:
    """When the source of IDs fails, `iter_delete_jobs` yields the outcomes of all others first."""
    run_uids = server.launch(5).run_uids

    def failing() -> Iterator[str]:
        yield from run_uids
        raise LookupError("no more pages")

    class Pages:
        """Goes on after its error, which a generator does not."""

        def __init__(self) -> None:
            self._pages = failing()

        def __iter__(self) -> Iterator[str]:
            return self

        def __next__(self) -> str:
            return next(self._pages, "read after the error")

    for source in (failing(), Pages()):
        ended = bulk.iter_delete_jobs(api, source)
        assert {run_uid for run_uid, _ in itertools.islice(ended, 5)} == set(run_uids)
        with pytest.raises(LookupError, match="no more pages"):
            next(ended)
    assert len(server.requests) == 10


def the_warning(caplog: pytest.LogCaptureFixture) -> str:
    """The one line on the logger `tator`."""
    (record,) = (record for record in caplog.records if record.name == "tator")
    assert record.levelno == logging.WARNING
    return record.getMessage()


def test_row_44_an_error_of_the_ids_ends_delete_jobs_at_once(
    server: LocalTator, api: tator.JobApi, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    """It does not wait for what is in flight; one line in the log says what is known."""

    def failing() -> Iterator[str]:
        yield from server.launch(2).run_uids
        gate.wait_for(2)
        raise LookupError("no more pages")

    with pytest.raises(LookupError, match="no more pages"):
        bulk.delete_jobs(api, failing())
    assert gate.held == 2
    assert the_warning(caplog) == "delete_jobs was stopped by LookupError: 0 cancelled, 2 failed"


def test_row_44_what_a_signal_handler_raises_ends_delete_jobs_at_once(
    server: LocalTator,
    api: tator.JobApi,
    gate: Gate,
    caplog: pytest.LogCaptureFixture,
    soft_limit: type[Exception],
) -> None:
    """It comes through as it is, whatever its class; one line in the log says what is known."""
    quick, *others = server.launch(10).run_uids
    gate.let_through(quick)

    def press() -> None:
        gate.wait_for(4)
        os.kill(os.getpid(), signal.SIGUSR1)

    thread = threading.Thread(target=press)
    thread.start()
    with pytest.raises(soft_limit):
        bulk.delete_jobs(api, [quick, *others], max_workers=4)
    thread.join()
    assert gate.held == 4
    assert the_warning(caplog) == (
        "delete_jobs was stopped by SoftLimit: 1 cancelled, 4 failed, 5 not attempted"
    )
    gate.open()
    assert api.delete_job(server.launch().run_uids[0]).message


def test_row_44_what_a_signal_handler_raises_ends_the_iterator_at_once(
    server: LocalTator, api: tator.JobApi, gate: Gate, soft_limit: type[Exception]
) -> None:
    """The outcomes that were yielded are the caller's; nothing more is sent."""

    def press() -> None:
        gate.wait_for(2)
        os.kill(os.getpid(), signal.SIGUSR1)

    thread = threading.Thread(target=press)
    thread.start()
    with pytest.raises(soft_limit):
        next(bulk.iter_delete_jobs(api, server.launch(10).run_uids, max_workers=2))
    thread.join()
    gate.open()
    assert len(server.requests) == 2


@pytest.mark.parametrize("executor", [None, ThreadPoolExecutor])
def test_row_44_what_a_hook_raises_ends_the_run(
    server: LocalTator,
    api: tator.JobApi,
    caplog: pytest.LogCaptureFixture,
    executor: Callable[[int], ThreadPoolExecutor] | None,
) -> None:
    """It comes through as it is; a job that was being started may have been cancelled."""
    calls = itertools.count()

    def hook(configuration: tator.Configuration) -> None:
        if next(calls) == 2:
            raise SoftLimit("no new token")

    api.api_client.configuration.refresh_api_key_hook = hook
    pool = executor and executor(1)
    run_uids = server.launch(10).run_uids
    with pytest.raises(SoftLimit, match="no new token"):
        bulk.delete_jobs(api, run_uids, max_workers=1, executor=pool)
    assert "2 cancelled, 1 failed, 7 not attempted" in the_warning(caplog)
    calls = itertools.count()
    outcomes = []
    with pytest.raises(SoftLimit, match="no new token"):
        outcomes.extend(bulk.iter_delete_jobs(api, run_uids, max_workers=1, executor=pool))
    if pool is not None:
        pool.shutdown()
    assert len(server.requests) == 4


def test_a_warning_points_at_the_line_of_the_caller() -> None:
    """A client warns once, when the run begins, and not from a thread."""
    plain = "http://tator.test"
    for function in (bulk.delete_jobs, bulk.iter_delete_jobs):
        api = tator.get_api(plain, TOKEN)
        with pytest.warns(InsecureRequestWarning, match="plain http") as caught:
            function(api, [])
        assert [warning.filename for warning in caught] == [__file__]
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            function(api, [])
    api = tator.get_api("https://tator.test", TOKEN)
    api.api_client.configuration.verify_ssl = False
    with pytest.warns(InsecureRequestWarning, match="verify_ssl is off") as caught:
        bulk.delete_jobs(api, [])
    assert caught[0].filename == __file__


def test_a_warning_that_is_an_error_is_raised_before_anything_is_sent(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It reaches the caller as itself."""
    with pytest.raises(InsecureRequestWarning):
        bulk.iter_delete_jobs(tator.get_api("http://tator.test", TOKEN), ["a"])
    assert not caplog.records


def test_row_62_thousands_of_failures_with_large_pages_take_little_memory() -> None:
    """What is kept of 3,000 of them is below 60 MB, so of 600 it is a fifth of that."""
    page = b"<html>" + b"x" * 150_000
    with Peer(answering(http(500, page), keep=True)) as peer:
        api = make_api(peer.host)
        run_uids = [str(number) for number in range(600)]
        tracemalloc.start()
        try:
            result = bulk.delete_jobs(api, run_uids, max_workers=4)
            kept, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert len(result.failed) == 600
    assert kept < 12_000_000
    assert most < 15_000_000


@pytest.mark.usefixtures("no_garbage_collection")
def test_ctrl_c_loses_no_known_outcome(server: LocalTator, api: tator.JobApi, gate: Gate) -> None:
    """The result soon lists known outcomes, unknown outcomes, and the IDs that were not sent."""
    quick, *others = server.launch(30).run_uids
    gate.let_through(quick)
    thread = interrupt_when(lambda: gate.wait_for(4))
    started = time.monotonic()
    with pytest.raises(bulk.BulkInterrupted) as caught:
        bulk.delete_jobs(api, [quick, *others], max_workers=4)
    assert time.monotonic() - started < 5
    thread.join()
    result = caught.value.result
    assert result.deleted == [quick]
    assert len(result.failed) == 4
    assert all(
        isinstance(error, tator.ApiConnectionError) and error.maybe_applied
        for error in result.failed.values()
    )
    assert set(result.failed) == {r.path.rpartition("/")[2] for r in server.requests} - {quick}
    assert [*result, *result.not_attempted] == [quick, *others]
    assert str(caught.value) == "1 cancelled, 4 failed, 25 not attempted"


def test_ctrl_c_waits_a_moment_for_what_is_in_flight(
    server: LocalTator, api: tator.JobApi, gate: Gate
) -> None:
    """Responses that arrive just after the interrupt still count."""
    run_uids = server.launch(2).run_uids

    def press_then_open() -> None:
        gate.wait_for(2)
        os.kill(os.getpid(), signal.SIGINT)
        gate.open()

    thread = threading.Thread(target=press_then_open)
    thread.start()
    with pytest.raises(bulk.BulkInterrupted) as caught:
        bulk.delete_jobs(api, run_uids)
    thread.join()
    assert caught.value.result.deleted == list(run_uids)


def test_a_ctrl_c_is_noticed_even_if_it_ends_no_wait(
    server: LocalTator, api: tator.JobApi, gate: Gate
) -> None:
    """On Windows, or where it comes just before a wait, it takes half a second more."""
    run_uids = server.launch(2).run_uids

    def press_here() -> None:
        gate.wait_for(2)
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)

    thread = threading.Thread(target=press_here)
    thread.start()
    previous = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    started = time.monotonic()
    try:
        with pytest.raises(bulk.BulkInterrupted):
            bulk.delete_jobs(api, run_uids)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous)
    assert time.monotonic() - started < 10
    thread.join()


def test_a_second_ctrl_c_ends_the_wait_for_what_is_in_flight(
    server: LocalTator, api: tator.JobApi, gate: Gate
) -> None:
    """The call ends at once with a complete result."""
    presses = 0
    ended = threading.Event()

    def handler(number: int, frame: FrameType | None) -> None:
        nonlocal presses
        while presses == 1 and frame and "grace" not in frame.f_locals:
            frame = frame.f_back
        if presses == 0 or (presses == 1 and frame and "gives_up" in frame.f_locals):
            presses += 1
            raise KeyboardInterrupt

    def press() -> None:
        gate.wait_for(2)
        while not ended.wait(0.02):
            os.kill(os.getpid(), signal.SIGINT)

    run_uids = server.launch(2).run_uids
    previous = signal.signal(signal.SIGINT, handler)
    thread = threading.Thread(target=press)
    thread.start()
    try:
        with pytest.raises(bulk.BulkInterrupted) as caught:
            bulk.delete_jobs(api, run_uids)
    finally:
        ended.set()
        thread.join()
        signal.signal(signal.SIGINT, previous)
    assert presses == 2
    assert list(caught.value.result.failed) == list(run_uids)


def test_a_second_ctrl_c_still_gives_the_result(server: LocalTator, api: tator.JobApi) -> None:
    """Impatience ends the wait for what is in flight, at whichever line it strikes."""

    def run(strike_at: int) -> tuple[bool, bulk.BulkResult | None]:
        """Interrupt the run, and the report as well; whether the report had so many lines."""
        lines = itertools.count()
        struck = False

        def trace(frame: FrameType, event: str, argument: object) -> Any:
            nonlocal struck
            if frame.f_code.co_name != "abandon":
                return None
            if event == "line" and next(lines) == strike_at:
                struck = True
                raise KeyboardInterrupt
            return trace

        def show(done: int, total: int | None) -> None:
            raise KeyboardInterrupt

        outer = sys.gettrace()
        sys.settrace(trace)
        try:
            bulk.delete_jobs(api, run_uids, max_workers=1, progress=show)
        except bulk.BulkInterrupted as interrupted:
            return struck, interrupted.result
        except KeyboardInterrupt:
            return struck, None
        finally:
            sys.settrace(outer)
        raise AssertionError("the run was not interrupted")

    struck, lines, without_result = True, 0, 0
    while struck:
        run_uids = server.launch(3).run_uids
        struck, result = run(lines)
        lines += 1
        if result is None:
            without_result += 1
            continue
        assert [*result, *result.not_attempted] == list(run_uids)
        assert all(server.jobs[run_uid] == "cancelled" for run_uid in result.deleted)
        assert all(server.jobs[run_uid] == "running" for run_uid in result.not_attempted)
        assert run_uids[0] in result.deleted
    assert lines > 10
    assert without_result <= 3  # before the report begins


@pytest.mark.parametrize("where", ["ids", "progress"])
def test_an_interrupt_in_the_users_own_code_counts_too(
    server: LocalTator, api: tator.JobApi, where: str
) -> None:
    """It may strike while an ID is read or progress is shown."""
    run_uids = server.launch(3).run_uids

    def interrupted() -> Iterator[str]:
        yield from run_uids
        raise KeyboardInterrupt

    def show(done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    ids, progress = (interrupted(), False) if where == "ids" else (run_uids, show)
    with pytest.raises(bulk.BulkInterrupted) as caught:
        bulk.delete_jobs(api, ids, progress=progress)
    result = caught.value.result
    assert [*result.deleted, *result.not_attempted] == list(run_uids)
    assert [run_uid for run_uid, state in server.jobs.items() if state == "cancelled"] == (
        result.deleted
    )


def test_an_interrupt_at_any_line_loses_nothing(server: LocalTator, api: tator.JobApi) -> None:
    """Wherever it strikes, each ID is accounted for, and truly so."""
    files = {module.__file__ for module in (bulk, bulk_executors, bulk_result, bulk_workers)}

    def run(strike_at: int) -> tuple[bool, bulk.BulkResult | None]:
        """Whether it struck before the end, and the result."""
        lines = itertools.count()

        def trace(frame: FrameType, event: str, argument: object) -> Any:
            if frame.f_code.co_filename not in files:
                return None
            if event == "line" and next(lines) == strike_at:
                raise KeyboardInterrupt
            return trace

        outer = sys.gettrace()
        sys.settrace(trace)
        try:
            return False, bulk.delete_jobs(api, run_uids, max_workers=2)
        except bulk.BulkInterrupted as interrupted:
            return True, interrupted.result
        except KeyboardInterrupt:
            return True, None
        finally:
            sys.settrace(outer)

    api.delete_job(server.launch().run_uids[0])
    struck, strikes = True, 0
    while struck:
        run_uids = server.launch(4).run_uids
        struck, result = run(strikes)
        strikes += 1
        jobs = server.jobs
        if result is None:
            assert {jobs[run_uid] for run_uid in run_uids} == {"running"}
            continue
        assert sorted([*result, *result.not_attempted]) == sorted(run_uids)
        assert all(jobs[run_uid] == "cancelled" for run_uid in result.deleted)
        assert all(jobs[run_uid] == "running" for run_uid in result.not_attempted)
        assert not result.failed
    assert strikes > 100


def test_a_process_ends_with_work_in_flight(server: LocalTator, gate: Gate) -> None:
    """Jobs that nobody waits for any more do not keep the interpreter from ending."""
    program = """
import sys, tator
from tator import bulk
api = tator.get_api(*sys.argv[1:3])
ended = bulk.iter_delete_jobs(api, sys.argv[3:])
print(next(ended)[0])
"""
    quick, *others = server.launch(5).run_uids
    gate.let_through(quick)
    run = subprocess.run(
        [sys.executable, "-c", program, server.host, TOKEN, quick, *others],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (run.returncode, run.stdout.split(), run.stderr) == (0, [quick], "")


@pytest.fixture(autouse=True)
def _bars_are_closed() -> Iterator[None]:
    """No bar is left open, whichever way a run ends."""
    yield
    assert not list(getattr(tqdm.auto.tqdm, "_instances", ()))


def test_a_callable_gets_done_and_total(server: LocalTator, api: tator.JobApi) -> None:
    """It is called for each outcome; repeated IDs count once."""
    seen: list[tuple[int, int | None]] = []
    run_uids = server.launch(3).run_uids
    bulk.delete_jobs(api, [*run_uids, *run_uids], progress=lambda *counts: seen.append(counts))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_a_generator_has_no_total(server: LocalTator, api: tator.JobApi) -> None:
    """The number of IDs that a generator will yield is unknown."""
    seen: list[tuple[int, int | None]] = []
    run_uids = server.launch(2).run_uids
    bulk.delete_jobs(api, iter(run_uids), progress=lambda *counts: seen.append(counts))
    assert seen == [(1, None), (2, None)]


def test_row_44_an_error_of_the_callable_stops_the_work(
    server: LocalTator, api: tator.JobApi, caplog: pytest.LogCaptureFixture
) -> None:
    """It reaches the caller, and nothing more is sent; one line in the log counts."""

    def show(done: int, total: int | None) -> None:
        raise LookupError("no screen")

    go = threading.Event()
    server.on_request = lambda request: len(server.requests) == 1 or go.wait(30)
    run_uids = server.launch(30).run_uids
    with ThreadPoolExecutor(1) as executor:
        with pytest.raises(LookupError, match="no screen") as caught:
            bulk.delete_jobs(api, run_uids, executor=executor, progress=show)
        go.set()
    # The traceback is still there, and with it what the run held.
    assert caught.tb is not None
    assert len(server.requests) < 30
    assert the_warning(caplog).startswith("delete_jobs was stopped by LookupError: 1 cancelled, ")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("progress", "stream", "shown"),
    [
        (True, io.StringIO, True),
        (None, Terminal, True),
        (None, io.StringIO, False),
        (False, Terminal, False),
    ],
)
def test_a_bar_is_shown_where_a_person_watches(
    server: LocalTator,
    api: tator.JobApi,
    monkeypatch: pytest.MonkeyPatch,
    progress: bool | None,
    stream: type[io.StringIO],
    shown: bool,
) -> None:
    """A terminal gets a bar, a file gets none, and the caller may force either."""
    screen = stream()
    monkeypatch.setattr(sys, "stderr", screen)
    bulk.delete_jobs(api, server.launch(3).run_uids, progress=progress)
    assert ("3/3" in screen.getvalue()) is shown
    assert shown or not screen.getvalue()


def test_no_bar_is_shown_without_standard_error(
    server: LocalTator, api: tator.JobApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program without a console, such as one of pythonw, runs silently."""
    monkeypatch.setattr(sys, "stderr", None)
    assert len(bulk.delete_jobs(api, server.launch(3).run_uids).deleted) == 3


def test_a_bar_is_shown_in_a_notebook(
    server: LocalTator, api: tator.JobApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shell that has a kernel shows a bar, IPython's own in a pipe does not."""
    screen = io.StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    shells: list[object] = [None, SimpleNamespace(), SimpleNamespace(kernel=1)]
    for shell in shells:
        ipython = SimpleNamespace(get_ipython=lambda shell=shell: shell)
        monkeypatch.setitem(sys.modules, "IPython", ipython)
        assert screen.getvalue() == ""
        bulk.delete_jobs(api, server.launch(2).run_uids)
    assert "2/2" in screen.getvalue()


def test_without_tqdm_there_is_no_bar(
    server: LocalTator, api: tator.JobApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is silent by default, and says what to install where a bar is asked for."""
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert len(bulk.delete_jobs(api, server.launch(2).run_uids).deleted) == 2
    with pytest.raises(tator.ApiValueError, match="pip install tqdm"):
        bulk.delete_jobs(api, server.launch(2).run_uids, progress=True)
    assert len(server.requests) == 2


@pytest.mark.usefixtures("no_garbage_collection")
def test_the_bar_is_closed_by_an_interrupt(
    server: LocalTator, api: tator.JobApi, gate: Gate, capfd: pytest.CaptureFixture[str]
) -> None:
    """The line of the bar is ended, so that what comes after it stands by itself."""
    thread = interrupt_when(lambda: gate.wait_for(2))
    with pytest.raises(bulk.BulkInterrupted):
        bulk.delete_jobs(api, server.launch(2).run_uids, progress=True)
    thread.join()
    assert capfd.readouterr().err.endswith("\n")


def test_hundreds_are_awaited_without_blocking_the_loop(
    server: LocalTator, api: tator.JobApi, gate: Gate
) -> None:
    """While all of them wait for the server, the loop goes on to run other things."""
    run_uids = server.launch(300).run_uids

    async def main() -> tuple[list[Any], int]:
        calls = asyncio.gather(*(api.delete_job(uid, async_req=True) for uid in run_uids))
        await asyncio.to_thread(gate.wait_for, 32)
        ticks = 0
        for _ in range(100):
            await asyncio.sleep(0)
            ticks += 1
        assert not calls.done()
        gate.open()
        return await calls, ticks

    responses, ticks = asyncio.run(main())
    assert ticks == 100
    assert [response.message for response in responses] == [
        f"Job with run UID {uid} deleted!" for uid in run_uids
    ]
    assert gate.most_held == 32


def test_an_awaited_failure_is_raised_where_it_is_awaited(
    server: LocalTator, api: tator.JobApi
) -> None:
    """`gather(..., return_exceptions=True)` gives outcomes as a bulk run does."""
    run_uid = server.launch().run_uids[0]

    async def main() -> list[Any]:
        calls = (api.delete_job(uid, async_req=True) for uid in (run_uid, "unknown"))
        return await asyncio.gather(*calls, return_exceptions=True)

    responses = asyncio.run(main())
    assert [type(response) for response in responses] == [
        tator.InlineResponse2044,
        tator.ServiceException,
    ]
