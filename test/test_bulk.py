"""Many deletions at once are bounded, in order, and nothing about them is lost."""

from __future__ import annotations

import asyncio
import enum
import io
import itertools
import json
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
import uuid
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from types import FrameType, SimpleNamespace
from typing import Any

import pytest
import tqdm.auto
from peers import Peer, answering, http, make_api

import tator
from tator import bulk
from tator.testing import LocalTator, Request

TOKEN = "0123456789abcdef"


class Gate:
    """Holds back the answers of a `LocalTator`, whose work is done by then."""

    def __init__(self, server: LocalTator) -> None:
        self._arrivals = threading.Semaphore(0)
        self._open = threading.Event()
        self._lock = threading.Lock()
        self.held = 0
        self.most_held = 0
        self.connections: set[int] = set()
        self._free_path = ""
        server.on_request = self._hold

    def let_through(self, run_uid: str) -> None:
        self._free_path = f"/rest/Job/{run_uid}"

    def _hold(self, request: Request) -> None:
        if request.path == self._free_path:
            return
        with self._lock:
            self.connections.add(threading.get_ident())
            self.held += 1
            self.most_held = max(self.most_held, self.held)
        self._arrivals.release()
        self._open.wait(30)
        with self._lock:
            self.held -= 1

    def wait_for(self, count: int) -> None:
        for _ in range(count):
            assert self._arrivals.acquire(timeout=30)

    def open(self) -> None:
        self._open.set()


@pytest.fixture
def server() -> Iterator[LocalTator]:
    with LocalTator(TOKEN) as local_tator:
        yield local_tator


@pytest.fixture
def api(server: LocalTator) -> Iterator[tator.JobApi]:
    api = tator.get_api(server.host, TOKEN)
    yield api
    api.api_client.close()


@pytest.fixture
def gate(server: LocalTator) -> Iterator[Gate]:
    gate = Gate(server)
    yield gate
    gate.open()


def interrupt_when(ready: Callable[[], object]) -> threading.Thread:
    """Press Ctrl-C, so to speak, when `ready` returns."""

    def press() -> None:
        ready()
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    return thread


# Outcomes


def test_outcomes_are_in_the_order_given(server: LocalTator, api: tator.JobApi) -> None:
    """The result maps ids to outcomes in the order of the ids, whichever ends first."""
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
    """An id counts once, be it a string or a UUID."""
    run_uids = server.launch(50).run_uids
    repeated = [run_uids[0], uuid.UUID(run_uids[0]), *run_uids, *run_uids]
    result = bulk.delete_jobs(api, repeated, max_workers=4)
    assert result.deleted == list(run_uids)
    assert len(server.requests) == 50


def test_an_enumeration_of_ids_stands_for_its_values(server: LocalTator, api: tator.JobApi) -> None:
    """A member that is a string is sent, and listed, as that string."""
    (run_uid,) = server.launch().run_uids
    kind = enum.Enum("kind", {"WRONG_VIDEO": run_uid}, type=str)
    assert bulk.delete_jobs(api, list(kind)).deleted == [run_uid]


def test_a_bad_id_is_an_outcome(server: LocalTator, api: tator.JobApi) -> None:
    """What can't be an id fails without a request, and the rest goes on."""
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


def test_nothing_to_do_is_done(server: LocalTator, api: tator.JobApi) -> None:
    """Without ids the result is empty, and no thread is started."""
    before = threading.active_count()
    assert dict(bulk.delete_jobs(api, [])) == {}
    assert list(bulk.iter_delete_jobs(api, iter([]))) == []
    assert threading.active_count() == before


def test_a_length_that_can_be_read_only_once_is_enough(
    server: LocalTator, api: tator.JobApi
) -> None:
    """Ids inside someone's own progress bar are read once."""
    run_uids = server.launch(3).run_uids
    wrapped = tqdm.auto.tqdm((run_uid for run_uid in run_uids), total=3, file=io.StringIO())
    assert bulk.delete_jobs(api, wrapped).deleted == list(run_uids)


@pytest.mark.parametrize("run_uids", ["abc", b"abc", uuid.uuid1(), None])
def test_a_single_id_is_refused(api: tator.JobApi, run_uids: Any) -> None:
    """One id in place of many is a mistake, not many ids of one letter."""
    with pytest.raises(tator.ApiTypeError, match=r"write \[run_uid\]"):
        bulk.delete_jobs(api, run_uids)
    with pytest.raises(tator.ApiTypeError, match="not one"):
        bulk.iter_delete_jobs(api, run_uids)


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
def test_options_that_cannot_be_used_are_refused(
    server: LocalTator,
    api: tator.JobApi,
    option: str,
    value: Any,
    kind: type[tator.ApiException],
) -> None:
    """A bad option is refused by its name before anything is sent."""
    with pytest.raises(kind, match=option):
        bulk.delete_jobs(api, ["x"], **{option: value})
    assert server.requests == []


# In flight


def test_outcomes_come_as_they_end(server: LocalTator, api: tator.JobApi) -> None:
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
    """From an endless generator only as much is drawn as is needed to keep the workers busy."""
    drawn = []

    def endless() -> Iterator[str]:
        while True:
            drawn.append(server.launch().run_uids[0])
            yield drawn[-1]

    ended = bulk.iter_delete_jobs(api, endless(), max_workers=3)
    first: Future[Any] = Future()
    thread = threading.Thread(target=lambda: first.set_result(next(ended)))
    thread.start()
    gate.wait_for(3)
    assert len(drawn) <= 6
    gate.open()
    assert first.result(30)[0] in drawn
    thread.join()
    for _ in range(100):
        next(ended)
    ended.close()
    assert gate.most_held == 3
    assert len(gate.connections) == 3
    assert len(drawn) <= 101 + 7


@pytest.mark.parametrize("threads", [None, 8])
def test_no_more_is_in_flight_than_there_are_connections(
    server: LocalTator, api: tator.JobApi, threads: int | None
) -> None:
    """A smaller connection pool bounds the work, with our threads and with someone else's."""
    api.api_client.configuration.connection_pool_maxsize = 2
    ended, ahead = 0, []

    def drawn() -> Iterator[str]:
        for number, run_uid in enumerate(server.launch(40).run_uids, 1):
            ahead.append(number - ended)
            yield run_uid

    executor = None if threads is None else ThreadPoolExecutor(threads)
    for _ in bulk.iter_delete_jobs(api, drawn(), max_workers=8, executor=executor):
        ended += 1
    if executor is not None:
        executor.shutdown()
    assert max(ahead) <= (5 if threads is None else 3)


def test_an_outcome_does_not_wait_for_many_slow_ids(server: LocalTator, api: tator.JobApi) -> None:
    """Where ids are long in coming, an outcome is handed out before the window is full."""
    answered = threading.Semaphore(0)
    server.on_request = lambda request: answered.release()
    drawn = []

    def slow() -> Iterator[str]:
        for run_uid in server.launch(30).run_uids:
            drawn.append(run_uid)
            yield run_uid
            # The answers of all that went before are on their way when the next is drawn.
            assert answered.acquire(timeout=30)

    ended = bulk.iter_delete_jobs(api, slow())
    next(ended)
    assert len(drawn) < 30
    ended.close()


def test_memory_stays_flat(api: tator.JobApi) -> None:
    """What is kept for an id is a small part of the id itself."""

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


# What stops the work


@pytest.mark.parametrize(
    ("status", "token"), [(401, TOKEN), (403, "wrong"), (403, "with a space"), (403, None)]
)
def test_a_bad_token_ends_the_run(
    server: LocalTator, api: tator.JobApi, status: int, token: str | None
) -> None:
    """When the server does not know who asks, nothing more is sent and the rest is listed."""
    if status == 401:
        server.fail(401, times=100)
    keys = api.api_client.configuration.api_key
    keys.update({"Authorization": token}) if token else keys.clear()
    run_uids = server.launch(40).run_uids
    result = bulk.delete_jobs(api, run_uids, max_workers=1)
    assert list(result.failed) == list(run_uids[:1])
    assert result.failed[run_uids[0]].status == status
    assert result.not_attempted == list(run_uids[1:])
    assert len(server.requests) == 1


def test_a_bad_token_ends_an_endless_run(server: LocalTator) -> None:
    """No more is drawn from a generator once the token is known to be bad."""
    with tator.get_api(server.host, "wrong").api_client as client:
        run_uids = (str(uuid.uuid1()) for _ in itertools.count())
        result = bulk.delete_jobs(tator.JobApi(client), run_uids, max_workers=4)
    assert 1 <= len(server.requests) == len(result.failed) <= 5
    assert result.deleted == []


def test_a_missing_right_does_not_end_the_run(server: LocalTator) -> None:
    """A 403 about rights may be about one job alone."""
    server.add_token("looker", "view_only")
    run_uids = server.launch(5).run_uids
    with tator.get_api(server.host, "looker").api_client as client:
        result = bulk.delete_jobs(tator.JobApi(client), run_uids, max_workers=1)
    assert {error.status for error in result.failed.values()} == {403}
    assert len(result.failed) == 5


@pytest.mark.parametrize(
    ("words", "attempted"),
    [
        ("Insufficient permission on the project Tokenizer.", 3),
        ("The user of this token may not cancel jobs.", 3),
        ("Token has expired.", 1),
        ("Invalid token header. No credentials provided.", 1),
    ],
)
def test_the_words_of_a_403_tell_whether_it_is_about_the_token(words: str, attempted: int) -> None:
    """That the word "token" occurs in it is not enough to give up all the others."""
    body = json.dumps({"detail": words}).encode()
    with Peer(answering(http(403, body), keep=True)) as peer:
        result = bulk.delete_jobs(make_api(peer.host), ["a", "b", "c"], max_workers=1)
    assert len(result.failed) == attempted


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
        if thread.name.startswith("tator-"):
            thread.join(30)
            assert not thread.is_alive()
    assert len(server.requests) == 3
    assert list(server.jobs.values()).count("cancelled") == 3


def test_an_error_of_the_ids_comes_after_the_outcomes(
    server: LocalTator, api: tator.JobApi
) -> None:
    """When the source of ids fails, the outcomes of all that it gave come first."""
    run_uids = server.launch(5).run_uids

    def failing() -> Iterator[str]:
        yield from run_uids
        raise LookupError("no more pages")

    ended = bulk.iter_delete_jobs(api, failing())
    assert {run_uid for run_uid, _ in itertools.islice(ended, 5)} == set(run_uids)
    with pytest.raises(LookupError, match="no more pages"):
        next(ended)
    with pytest.raises(LookupError, match="no more pages"):
        bulk.delete_jobs(api, failing())


# Ctrl-C


def test_ctrl_c_loses_no_known_outcome(server: LocalTator, api: tator.JobApi, gate: Gate) -> None:
    """It returns soon with what is known, what is not known, and what was not sent."""
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
    """Answers that come just after the interrupt still count."""
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


def test_a_ctrl_c_that_ends_no_wait_is_noticed(
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


def test_a_second_ctrl_c_still_gives_the_result(
    server: LocalTator, api: tator.JobApi, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Impatience ends the wait for what is in flight, not the report."""
    wait = bulk.wait_for_futures

    def wait_impatiently(futures: list[Future[Any]], seconds: float) -> Any:
        if seconds:
            signal.raise_signal(signal.SIGINT)
        return wait(futures, seconds)

    monkeypatch.setattr(bulk, "wait_for_futures", wait_impatiently)
    run_uids = server.launch(2).run_uids
    thread = interrupt_when(lambda: gate.wait_for(2))
    with pytest.raises(bulk.BulkInterrupted) as caught:
        bulk.delete_jobs(api, run_uids)
    thread.join()
    assert list(caught.value.result.failed) == list(run_uids)


@pytest.mark.parametrize("where", ["ids", "progress"])
def test_an_interrupt_in_the_users_own_code_counts_too(
    server: LocalTator, api: tator.JobApi, where: str
) -> None:
    """It may strike while an id is drawn or progress is shown."""
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
    """Wherever it strikes, each id is accounted for, and truly so."""
    files = {bulk.__file__, sys.modules["concurrent.futures._base"].__file__}
    files.add(sys.modules["tator.async_result"].__file__)

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


# Progress


@pytest.fixture(autouse=True)
def _bars_are_closed() -> Iterator[None]:
    """No bar is left open, whichever way a run ends."""
    yield
    assert not list(getattr(tqdm.auto.tqdm, "_instances", ()))


def test_a_callable_gets_done_and_total(server: LocalTator, api: tator.JobApi) -> None:
    """It is called for each outcome; repeated ids count once."""
    seen: list[tuple[int, int | None]] = []
    run_uids = server.launch(3).run_uids
    bulk.delete_jobs(api, [*run_uids, *run_uids], progress=lambda *counts: seen.append(counts))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_a_generator_has_no_total(server: LocalTator, api: tator.JobApi) -> None:
    """How many ids a generator will give is not known."""
    seen: list[tuple[int, int | None]] = []
    run_uids = server.launch(2).run_uids
    bulk.delete_jobs(api, iter(run_uids), progress=lambda *counts: seen.append(counts))
    assert seen == [(1, None), (2, None)]


def test_an_error_of_the_callable_stops_the_work(server: LocalTator, api: tator.JobApi) -> None:
    """It reaches the caller, and nothing more is sent."""

    def show(done: int, total: int | None) -> None:
        raise LookupError("no screen")

    run_uids = server.launch(30).run_uids
    with (
        ThreadPoolExecutor(1) as executor,
        pytest.raises(LookupError, match="no screen") as caught,
    ):
        bulk.delete_jobs(api, run_uids, executor=executor, progress=show)
    # The traceback is still there, and with it what the run held.
    assert caught.tb is not None
    assert len(server.requests) < 30


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


def test_nobody_watches_where_there_is_no_standard_error(
    server: LocalTator, api: tator.JobApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program without a console, such as one of pythonw, runs silently."""
    monkeypatch.setattr(sys, "stderr", None)
    assert len(bulk.delete_jobs(api, server.launch(3).run_uids).deleted) == 3


def test_a_notebook_is_watched(
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


def test_the_bar_is_closed_by_an_interrupt(
    server: LocalTator, api: tator.JobApi, gate: Gate, capfd: pytest.CaptureFixture[str]
) -> None:
    """The line of the bar is ended, so that what comes after it stands by itself."""
    thread = interrupt_when(lambda: gate.wait_for(2))
    with pytest.raises(bulk.BulkInterrupted):
        bulk.delete_jobs(api, server.launch(2).run_uids, progress=True)
    thread.join()
    assert capfd.readouterr().err.endswith("\n")


# The result


def a_result() -> bulk.BulkResult:
    failure = tator.ServiceException(
        500,
        "Internal Server Error",
        method="DELETE",
        url="http://x/b",
        maybe_applied=True,
        hint="Already gone?",
    )
    outcomes = {
        "a": tator.InlineResponse2044("Cancelled."),
        "b": failure,
        "c": tator.ForbiddenException(403, "Forbidden", message="Insufficient <b>permission</b>"),
    }
    return bulk.BulkResult(outcomes, ["d"])


def test_a_result_counts_in_words() -> None:
    """Text and repr are one short line."""
    assert str(a_result()) == "1 cancelled, 2 failed, 1 not attempted"
    assert repr(a_result()) == "<BulkResult: 1 cancelled, 2 failed, 1 not attempted>"
    assert str(bulk.BulkResult({})) == "0 cancelled"


def test_a_result_becomes_records() -> None:
    """Each id has one row, and all rows have the same columns."""
    records = a_result().to_records()
    assert [tuple(record.values()) for record in records] == [
        ("a", "deleted", None, "Cancelled.", None, True),
        (
            "b",
            "failed",
            500,
            None,
            str(a_result().failed["b"]),
            True,
        ),
        (
            "c",
            "failed",
            403,
            "Insufficient <b>permission</b>",
            "403 Forbidden: Insufficient <b>permission</b>",
            False,
        ),
        ("d", "not attempted", None, None, None, False),
    ]
    assert len({tuple(record) for record in records}) == 1


def test_a_result_raises_one_error_for_all_failures() -> None:
    """It counts them, names the first and is raised from it; without failures there is none."""
    with pytest.raises(tator.ApiException, match="1 cancelled, 2 failed, 1 not") as caught:
        a_result().raise_for_failures()
    assert caught.value.maybe_applied
    assert "500 Internal Server Error" in str(caught.value)
    assert isinstance(caught.value.__cause__, tator.ServiceException)
    bulk.BulkResult({"a": tator.InlineResponse2044()}).raise_for_failures()


def test_the_errors_sentences_end_once() -> None:
    """There is one full stop between what failed and what to do."""
    error = tator.ServiceException(500, "Error", hint="Look.", maybe_applied=True)
    with pytest.raises(tator.ApiException) as caught:
        bulk.BulkResult({"a": error}).raise_for_failures()
    assert str(caught.value).startswith("Not all jobs were cancelled: 0 cancelled, 1 failed. ")
    assert ".." not in str(caught.value)


def test_a_result_raises_for_what_was_not_attempted() -> None:
    """Jobs that nobody asked for still run, so that is a failure as well."""
    with pytest.raises(tator.ApiException, match="0 cancelled, 2 not attempted") as caught:
        bulk.BulkResult({}, ["a", "b"]).raise_for_failures()
    assert caught.value.__cause__ is None
    assert not caught.value.maybe_applied


def test_results_and_interrupts_pickle() -> None:
    """They travel to other processes."""
    interrupted = pickle.loads(pickle.dumps(bulk.BulkInterrupted(a_result())))
    assert interrupted.result.deleted == ["a"]
    assert interrupted.result.not_attempted == ["d"]
    assert str(interrupted) == str(a_result())


def test_a_result_is_a_table_in_a_notebook() -> None:
    """The counts come first, then failures with reasons, every word escaped."""
    html = a_result()._repr_html_()
    assert html.index("1 cancelled, 2 failed, 1 not attempted") < html.index("500 Internal")
    assert "Insufficient &lt;b&gt;permission&lt;/b&gt;." in html
    assert "500 Internal Server Error. Whether it was cancelled is not known. Already gone?" in html
    assert "Not attempted: nothing was sent." in html


def test_the_table_of_many_failures_stays_short() -> None:
    """Failures of one kind share a row, rare kinds share the last, long words are cut."""
    alike = {
        str(number): tator.ServiceException(500, "Internal Server Error", url=f"http://x/{number}")
        for number in range(10_000)
    }
    html = bulk.BulkResult(alike)._repr_html_()
    assert "10000 failed" in html
    assert html.count("<tr>") == 1
    assert "0, 1, 2, …" in html
    apart = {
        "x" * 1000 + str(number): tator.BadRequestException(400, message=str(number) + "y" * 1000)
        for number in range(10_000)
    }
    html = bulk.BulkResult(apart)._repr_html_()
    assert html.count("<tr>") == 11
    assert "9990" in html
    assert len(html) < 10_000


# Executors


@pytest.fixture
def spawned() -> Iterator[ProcessPoolExecutor]:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        yield executor


def test_a_process_pool_does_the_work(
    server: LocalTator, api: tator.JobApi, spawned: ProcessPoolExecutor
) -> None:
    """Spawned processes return outcomes as threads do, each over one connection of its own."""
    connections = set()
    server.on_request = lambda request: connections.add(threading.get_ident())
    run_uids = server.launch(40).run_uids
    result = bulk.delete_jobs(api, [*run_uids, "unknown", ""], executor=spawned)
    assert result.deleted == list(run_uids)
    assert isinstance(result["unknown"], tator.ServiceException)
    assert isinstance(result[""], tator.ApiValueError)
    assert 1 <= len(connections) <= 2


def test_a_process_pool_stops_at_a_bad_token(
    server: LocalTator, spawned: ProcessPoolExecutor
) -> None:
    """What the pool has not begun is taken back and counts as not attempted."""
    run_uids = server.launch(100).run_uids
    result = bulk.delete_jobs(tator.get_api(server.host, "wrong"), run_uids, executor=spawned)
    assert len(result.failed) == len(server.requests) < 40
    assert len(result.not_attempted) == 100 - len(result.failed)


def end_this_process(configuration: tator.Configuration) -> None:
    os._exit(1)


def test_a_broken_pool_loses_nothing(
    server: LocalTator, api: tator.JobApi, spawned: ProcessPoolExecutor
) -> None:
    """When a worker dies, jobs in flight may be cancelled, and what it refused was not sent."""
    api.api_client.configuration.refresh_api_key_hook = end_this_process
    run_uids = server.launch(50).run_uids
    result = bulk.delete_jobs(api, run_uids, max_workers=4, executor=spawned)
    assert 4 <= len(result.failed) <= 5
    assert all(isinstance(error, tator.ApiConnectionError) for error in result.failed.values())
    assert sum(error.maybe_applied for error in result.failed.values()) == 4
    assert "BrokenProcessPool" in str(result.failed[run_uids[0]])
    assert [*result, *result.not_attempted] == list(run_uids)


def test_a_client_that_cannot_travel_says_why(
    server: LocalTator, api: tator.JobApi, spawned: ProcessPoolExecutor
) -> None:
    """A hook that does not pickle fails each job with that reason, and never shows the token."""
    api.api_client.configuration.refresh_api_key_hook = lambda configuration: None
    result = bulk.delete_jobs(api, ["a", "b"], executor=spawned)
    assert "local object" in str(result.failed["a"])
    assert TOKEN not in repr(result.failed)
    assert server.requests == []


def test_an_executor_that_was_shut_down_attempts_nothing(
    server: LocalTator, api: tator.JobApi
) -> None:
    """The first job tells the reason, the others are not attempted."""
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    result = bulk.delete_jobs(api, ["a", "b", "c"], executor=executor)
    assert "cannot schedule new futures after shutdown" in str(result["a"])
    assert not result.failed["a"].maybe_applied
    assert result.not_attempted == ["b", "c"]
    assert server.requests == []


def test_threads_of_the_users_own_share_the_client(server: LocalTator, api: tator.JobApi) -> None:
    """Within the process nothing is pickled, so that any hook works."""
    api.api_client.configuration.refresh_api_key_hook = lambda configuration: None
    run_uids = server.launch(10).run_uids
    with ThreadPoolExecutor(4) as executor:
        assert len(bulk.delete_jobs(api, run_uids, executor=executor).deleted) == 10
    assert api.api_client.last_response is not None


class Elsewhere(Executor):
    """Cancels a future at once, though the work goes on, as a cluster may."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(1)
        self.futures: list[Future[Any]] = []

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        outer: Future[Any] = Future()
        self.futures.append(outer)
        inner = self._threads.submit(function, *args, **kwargs)
        inner.add_done_callback(lambda done: outer.cancelled() or outer.set_result(done.result()))
        return outer

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._threads.shutdown()


class Interrupting(Executor):
    """Is interrupted while it takes up the second piece of work."""

    def __init__(self) -> None:
        self._turns = itertools.count()

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        if next(self._turns):
            raise KeyboardInterrupt
        future: Future[Any] = Future()
        future.set_result(function(*args, **kwargs))
        return future


def test_an_interrupt_while_work_is_handed_over_leaves_it_unknown(
    server: LocalTator, api: tator.JobApi
) -> None:
    """Whether the executor took it up can't be told, so the job may be cancelled."""
    run_uids = server.launch(3).run_uids
    with pytest.raises(bulk.BulkInterrupted) as caught:
        bulk.delete_jobs(api, run_uids, max_workers=2, executor=Interrupting())
    result = caught.value.result
    assert (result.deleted, list(result.failed)) == ([run_uids[0]], [run_uids[1]])
    assert result.failed[run_uids[1]].maybe_applied
    assert result.not_attempted == [run_uids[2]]


def test_what_another_executor_takes_back_may_have_been_sent(
    server: LocalTator, gate: Gate
) -> None:
    """Only of the standard executors does a cancelled future prove that nothing was sent."""
    run_uids = server.launch(9).run_uids
    api = tator.get_api(server.host, "wrong")
    gate.open()
    with Elsewhere() as executor:
        result = bulk.delete_jobs(api, run_uids, max_workers=3, executor=executor)
    assert isinstance(result[run_uids[0]], tator.ForbiddenException)
    assert [str(result[run_uid])[:8] for run_uid in list(result)[1:]] == ["Given up"] * 2
    assert result.failed[run_uids[1]].maybe_applied
    assert result.not_attempted == list(run_uids[3:])


def test_a_dask_cluster_does_the_work(server: LocalTator, api: tator.JobApi) -> None:
    """A real cluster of two processes cancels jobs through the executor of its client."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the cluster's own modules
        from distributed import Client, LocalCluster

        connections = set()
        server.on_request = lambda request: connections.add(threading.get_ident())
        run_uids = server.launch(20).run_uids
        with (
            LocalCluster(
                n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1"
            ) as cluster,
            Client(cluster) as client,
        ):
            result = bulk.delete_jobs(api, [*run_uids, "unknown"], executor=client.get_executor())
            assert result.deleted == list(run_uids)
            assert isinstance(result["unknown"], tator.ServiceException)
            assert 1 <= len(connections) <= 2
            # Dask keeps the result of a task as long as anyone refers to it, as an executor may
            # that was left early.
            executor = client.get_executor()
            name = bulk._Run(api, run_uids, 1, executor)._name
            kept = executor.submit(partial(bulk._delete, bulk._Portable(api), run_uids[0], name))
            assert isinstance(kept.result(30), tator.ServiceException)
            server.fail(503, times=3)
            again = bulk.delete_jobs(api, run_uids[:1], executor=executor)
    assert again.failed[run_uids[0]].status == 503


def test_what_travels_shows_no_token(api: tator.JobApi) -> None:
    """A scheduler that displays the arguments of its work shows nothing secret."""
    portable = bulk._Portable(api)
    assert TOKEN not in repr(portable)
    arrived = pickle.loads(pickle.dumps(portable))
    assert arrived is pickle.loads(pickle.dumps(portable))
    assert TOKEN not in repr(arrived)
    assert arrived.api.api_client.configuration.host == api.api_client.configuration.host


# asyncio


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

    answers, ticks = asyncio.run(main())
    assert ticks == 100
    assert [answer.message for answer in answers] == [f"Job {uid} cancelled." for uid in run_uids]
    assert gate.most_held == 32


def test_an_awaited_failure_is_raised_where_it_is_awaited(
    server: LocalTator, api: tator.JobApi
) -> None:
    """`gather(..., return_exceptions=True)` gives outcomes as a bulk run does."""
    run_uid = server.launch().run_uids[0]

    async def main() -> list[Any]:
        calls = (api.delete_job(uid, async_req=True) for uid in (run_uid, "unknown"))
        return await asyncio.gather(*calls, return_exceptions=True)

    answers = asyncio.run(main())
    assert [type(answer) for answer in answers] == [
        tator.InlineResponse2044,
        tator.ServiceException,
    ]
