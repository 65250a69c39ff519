"""Who makes the calls of a bulk run: its threads, or the thread of the run."""

from __future__ import annotations

import contextvars
import itertools
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import FrameType
from typing import Any

import pytest
from gates import TOKEN, Gate

import tator
from tator import bulk, bulk_workers
from tator.testing import LocalTator, Request


def workers() -> list[threading.Thread]:
    """The threads of bulk runs."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("tator-bulk")]


@pytest.fixture(autouse=True)
def _workers_end() -> Iterator[None]:
    """Threads of a run end with it."""
    yield
    for thread in workers():
        thread.join(30)
        assert not thread.is_alive()


STRIKES = """
import ctypes, itertools, sys, threading
from tator import bulk, get_api
from tator.testing import LocalTator

class Strike(BaseException):
    pass

def strike():
    for thread in threading.enumerate():
        if thread.name.startswith("tator-bulk"):
            ident = ctypes.c_ulong(thread.ident)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, ctypes.py_object(Strike))

def into_idle():
    yield from run_uids[:4]
    for _ in range(4):
        assert arrived.acquire(timeout=30)
    strike()
    yield from run_uids[4:]

def into_busy():
    yield from run_uids

def again_and_again():
    for number, run_uid in enumerate(run_uids):
        yield run_uid
        if number % 7 == 6:
            strike()

def on_request(request):
    arrived.release()
    if way is into_busy:
        if len(server.requests) == 2:
            strike()
            go.set()
        go.wait(30)

# A socket whose opening was cut short is left to the garbage collector.
sys.unraisablehook = lambda unraisable: None
way = globals()[sys.argv[1]]
arrived, go = threading.Semaphore(0), threading.Event()
with LocalTator() as server:
    run_uids = server.launch(60 if way is again_and_again else 10).run_uids
    server.on_request = on_request
    api = get_api(server.host, server.token)
    outcomes = dict(bulk.iter_delete_jobs(api, way(), max_workers=2))
    assert sorted(outcomes) == sorted(run_uids), outcomes
    result = bulk.BulkResult(outcomes)
    assert all(error.maybe_applied for error in result.failed.values())
    assert all(server.jobs[run_uid] == "cancelled" for run_uid in result.deleted)
    assert len({request.path for request in server.requests}) == len(server.requests)
    print(result)
"""

WAYS = ("into_idle", "into_busy", "again_and_again")


@pytest.fixture(scope="module", autouse=True)
def strikes(request: pytest.FixtureRequest) -> Iterator[dict[str, subprocess.Popen[str]]]:
    """The processes that are struck: they mostly wait, beside the other tests of this file."""
    calls = [getattr(item, "callspec", None) for item in request.session.items]
    chosen = {call.params.get("struck") for call in calls if call}
    processes = {
        way: subprocess.Popen(
            [sys.executable, "-c", STRIKES, way],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for way in WAYS
        if way in chosen and "coverage" not in sys.modules
    }
    yield processes
    for process in processes.values():
        process.kill()
        process.communicate()


class Strike(BaseException):
    """Ends a thread of a run."""


def test_the_call_of_a_thread_that_died_may_have_been_applied(
    server: LocalTator, api: tator.JobApi
) -> None:
    """The run notices within a second, and goes on with another thread."""
    calls = itertools.count()

    def hook(configuration: tator.Configuration) -> None:
        if next(calls) == 0:
            raise Strike

    api.api_client.configuration.refresh_api_key_hook = hook
    first, other = server.launch(2).run_uids
    result = bulk.delete_jobs(api, [first, other], max_workers=1)
    assert result.deleted == [other]
    assert "The thread of the call was interrupted" in str(result[first])
    assert result.failed[first].maybe_applied
    assert len(server.requests) == 1


def test_row_56_a_run_ends_after_an_exception_at_any_line_of_a_thread(
    server: LocalTator, api: tator.JobApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of 50 threads gets the exception at another line; each job has its true outcome."""
    monkeypatch.setattr(threading, "excepthook", lambda args: None)
    threads = itertools.count()
    lines: dict[threading.Thread, Iterator[int]] = {}

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        if frame.f_code.co_filename != bulk_workers.__file__:
            return None
        thread = threading.current_thread()
        if thread not in lines:
            strike_at = next(threads)
            lines[thread] = iter(range(strike_at if strike_at < 50 else 10**9, -1, -1))
        if event == "line" and next(lines[thread]) == 0:
            raise Strike
        return trace

    run_uids = server.launch(200).run_uids
    outer = threading.gettrace()
    threading.settrace(trace)
    try:
        result = bulk.delete_jobs(api, run_uids, max_workers=50)
    finally:
        threading.settrace(outer)  # type: ignore[arg-type]  # None is what it was without coverage
    assert next(threads) > 50
    assert list(result) == list(run_uids)
    assert result.failed
    assert all(error.maybe_applied for error in result.failed.values())
    assert all(server.jobs[run_uid] == "cancelled" for run_uid in result.deleted)
    paths = [request.path for request in server.requests]
    assert len(set(paths)) == len(paths)


def test_an_outcome_that_a_thread_noted_before_it_died_is_kept(
    server: LocalTator, api: tator.JobApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is struck when it has noted the outcome, and not yet told the run."""
    monkeypatch.setattr(threading, "excepthook", lambda args: None)
    strikes = []

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        if frame.f_code.co_filename != bulk_workers.__file__:
            return None
        values = frame.f_locals
        if not strikes and frame.f_code.co_name == "note" and values["run_uid"] in known(values):
            strikes.append(values["run_uid"])
            raise Strike
        return trace

    def known(values: dict[str, Any]) -> dict[str, Any]:
        outcomes: dict[str, Any] = values["self"].noted
        return outcomes

    run_uids = server.launch(2).run_uids
    outer = threading.gettrace()
    threading.settrace(trace)
    try:
        result = bulk.delete_jobs(api, run_uids, max_workers=1)
    finally:
        threading.settrace(outer)  # type: ignore[arg-type]  # as above
    assert strikes == [run_uids[0]]
    assert result.deleted == list(run_uids)


@pytest.mark.parametrize("is_read", [False, True])
def test_an_id_that_is_in_the_queue_twice_is_sent_once(
    server: LocalTator, api: tator.JobApi, is_read: bool
) -> None:
    """What a dead thread may have taken out of the queue is put there again, in case it was lost.

    The second one is passed over, be the outcome of the first waiting or read by then.
    """
    struck, slow, quick, held, last = server.launch(5).run_uids
    arrived = {run_uid: threading.Event() for run_uid in (struck, slow, quick, held, last)}
    go = threading.Event()

    def on_request(request: Request) -> None:
        run_uid = request.path.rpartition("/")[2]
        arrived[run_uid].set()
        if run_uid in ((slow, held) if is_read else (slow,)):
            go.wait(30)

    class Dying(tator.JobApi):
        def delete_job(self, run_uid: Any, **options: Any) -> Any:
            if run_uid == struck:
                raise Strike
            return super().delete_job(run_uid, **options)

    server.on_request = on_request
    # The slow one keeps one of two threads, the other one dies.
    run_uids = [slow, struck, quick, held, last]
    ended = bulk.iter_delete_jobs(Dying(api.api_client), run_uids, max_workers=2)
    assert next(ended)[0] == struck
    if is_read:
        assert next(ended)[0] == quick
        assert arrived[held].wait(30)
    else:
        # It is behind the second ones in the queue.
        assert arrived[last].wait(30)
    go.set()
    assert {run_uid for run_uid, _ in ended} >= {slow, held, last}
    assert len(server.requests) == 4


LATE = """
import atexit, sys, threading, weakref
import tator
host, token, way, *run_uids = sys.argv[1:]

def cancel():
    print(tator.bulk.delete_jobs(tator.get_api(host, token), run_uids))

def later():
    threading.main_thread().join()
    cancel()

class Keep:
    pass

keep = Keep()
if way == "atexit":
    atexit.register(cancel)
elif way == "finalizer":
    weakref.finalize(keep, cancel)
else:
    threading.Thread(target=later).start()
"""


@pytest.mark.parametrize("way", ["atexit", "finalizer", "thread"])
def test_row_49_a_first_run_at_the_end_of_the_interpreter_works(
    server: LocalTator, way: str
) -> None:
    """That is when programs cancel what they launched; on 3.12 no thread can be started then."""
    run_uids = server.launch(5).run_uids
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", LATE, server.host, TOKEN, way, *run_uids],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "5 cancelled\n", "")
    assert set(server.jobs.values()) == {"cancelled"}


@pytest.fixture
def no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system has no threads left for a bulk run."""
    start = """
def start(self):
    if self.name.startswith("tator-bulk"):
        raise RuntimeError("can't start new thread")
    real(self)
"""
    names: dict[str, Any] = {"__name__": "threading", "real": threading.Thread.start}
    exec(start, names)  # in the name of `threading`, which raises it
    monkeypatch.setattr(threading.Thread, "start", names["start"])


@pytest.mark.usefixtures("no_threads")
def test_without_threads_the_run_makes_the_calls_itself(
    server: LocalTator, api: tator.JobApi
) -> None:
    """One job after the other, on the thread of the caller."""
    run_uids = server.launch(5).run_uids
    threads = set()
    api.api_client.configuration.refresh_api_key_hook = lambda configuration: threads.add(
        threading.current_thread()
    )
    result = bulk.delete_jobs(api, [*run_uids, "unknown"])
    assert result.deleted == list(run_uids)
    assert list(result.failed) == ["unknown"]
    assert threads == {threading.current_thread()}


@pytest.mark.usefixtures("no_threads")
def test_without_threads_a_bad_token_ends_the_run_too(server: LocalTator) -> None:
    """Nothing more is sent."""
    api = tator.get_api(server.host, "wrong")
    result = bulk.delete_jobs(api, server.launch(5).run_uids)
    assert (len(result.failed), len(result.not_attempted)) == (1, 4)


def test_row_44_an_exception_of_a_signal_handler_is_raised_while_a_thread_starts(
    server: LocalTator, api: tator.JobApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not taken for a lack of threads, though it is of the same class."""

    class SoftLimit(RuntimeError):
        pass

    def start(self: threading.Thread) -> None:
        raise SoftLimit

    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(SoftLimit):
        bulk.delete_jobs(api, ["a"])


request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="none")


@pytest.mark.parametrize("executor", [None, ThreadPoolExecutor])
def test_row_50_each_call_runs_in_a_copy_of_the_callers_context(
    server: LocalTator,
    api: tator.JobApi,
    executor: Callable[[int], ThreadPoolExecutor] | None,
) -> None:
    """It sees what the caller set, and nothing that another call set."""
    seen = []

    def hook(configuration: tator.Configuration) -> None:
        seen.append(request_id.get())
        request_id.set("of another call")

    api.api_client.configuration.refresh_api_key_hook = hook
    pool = executor and executor(2)
    if pool is not None:
        pool.submit(request_id.set, "of the pool").result()
    for name in ("first", "second"):
        request_id.set(name)
        ended = bulk.iter_delete_jobs(api, server.launch(4).run_uids, max_workers=2, executor=pool)
        request_id.set("later")
        assert len(list(ended)) == 4
    if pool is not None:
        pool.shutdown()
    assert seen == ["first"] * 4 + ["second"] * 4
    assert request_id.get() == "later"


class Clocks:
    """Ones that a test sets, in place of the system's."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.computed = 1000.0, 0.0
        monkeypatch.setattr("time.monotonic", lambda: self.now)
        monkeypatch.setattr("time.thread_time", lambda: self.computed)


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    """The time, and the seconds that each thread has computed by its next outcome."""
    return Clocks(monkeypatch)


@pytest.fixture
def crew(api: tator.JobApi, clocks: Clocks) -> Iterator[bulk_workers.ThreadWorkers]:
    """Up to 32 threads; the clocks stand still."""
    crew = bulk_workers.ThreadWorkers(api, contextvars.copy_context(), 32)
    yield crew
    crew.shut_down()


def call(server: LocalTator, crew: bulk_workers.ThreadWorkers, times: int = 1) -> None:
    """Let threads make calls; the outcomes wait to be taken out."""
    for run_uid in server.launch(times).run_uids:
        crew.begin(run_uid, run_uid)
    for run_uid in [crew.ended.get(timeout=30) for _ in range(times)]:
        crew.ended.put(run_uid)


def test_threads_are_added_when_those_that_are_there_leave_the_interpreter_idle(
    server: LocalTator, clocks: Clocks, crew: bulk_workers.ThreadWorkers
) -> None:
    few = crew.wanted_threads
    call(server, crew)
    clocks.now += 0.001  # too early to tell
    assert crew.take_out()
    assert crew.wanted_threads == few < 32
    clocks.computed = 0.6
    call(server, crew)
    clocks.now += 1
    assert crew.take_out()
    assert crew.wanted_threads == few
    clocks.now += 10
    assert not crew.take_out()
    assert crew.wanted_threads == 32


def test_no_more_are_in_progress_than_ended_between_two_reviews(
    server: LocalTator, clocks: Clocks, crew: bulk_workers.ThreadWorkers
) -> None:
    clocks.computed = 100
    call(server, crew, times=5)
    for _ in range(4):
        assert crew.take_out()
    clocks.now += 1
    assert crew.take_out()
    assert crew.wanted_threads < 5
    crew.in_progress.update(dict.fromkeys("abcd", "an ID"))
    assert crew.has_room
    crew.in_progress["e"] = "an ID"
    assert not crew.has_room


def test_each_id_has_a_thread_while_threads_can_be_added(
    server: LocalTator, api: tator.JobApi
) -> None:
    """However few are begun, and however long the next one is in coming."""
    gate = Gate(server)

    def slow() -> Iterator[str]:
        for run_uid in server.launch(5).run_uids:
            yield run_uid
            gate.wait_for(1)
        gate.open()

    assert len(bulk.delete_jobs(api, slow()).deleted) == 5
    assert gate.most_held == 5


def test_a_hook_can_end_the_program(server: LocalTator, api: tator.JobApi) -> None:
    """sys.exit() in a thread of the run does what it says, and nothing more is sent."""

    def leave(configuration: tator.Configuration) -> None:
        if len(server.requests) >= 5:
            sys.exit("enough")

    api.api_client.configuration.refresh_api_key_hook = leave
    with pytest.raises(SystemExit, match="enough"):
        bulk.delete_jobs(api, server.launch(100).run_uids, max_workers=2)
    assert len(server.requests) < 10


def test_the_first_exception_of_the_callers_code_is_the_one_to_raise(
    crew: bulk_workers.ThreadWorkers,
) -> None:
    first = KeyError("a hook's")
    crew.fail(first)
    crew.fail(ValueError("that of a hook beside it"))
    assert crew.failure is first


def test_threads_of_the_caller_share_the_client(server: LocalTator, api: tator.JobApi) -> None:
    """Within the process nothing is pickled, so that any hook works."""
    api.api_client.configuration.refresh_api_key_hook = lambda configuration: None
    run_uids = server.launch(10).run_uids
    with ThreadPoolExecutor(4) as executor:
        assert len(bulk.delete_jobs(api, run_uids, executor=executor).deleted) == 10
    assert api.api_client.last_response is not None


@pytest.mark.untraced
@pytest.mark.parametrize("struck", WAYS)
def test_row_56_exceptions_thrown_into_workers_hang_no_run(
    struck: str, strikes: dict[str, subprocess.Popen[str]]
) -> None:
    """Each job has one outcome and at most one request; the run replaces the threads.

    In a separate process: Python 3.11 hangs if it is traced, as for coverage, while such an
    exception is on its way to a thread that waits.
    """
    stdout, stderr = strikes[struck].communicate(timeout=120)
    assert (strikes[struck].returncode, stderr) == (0, "")
    if struck == "into_busy":
        assert stdout == "8 cancelled, 2 failed\n"
