"""Who makes the calls of a bulk run: its own threads, pools of others, and a cluster."""

from __future__ import annotations

import contextvars
import itertools
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from types import FrameType
from typing import Any

import pytest
from gates import TOKEN, Gate

import tator
from tator import bulk, bulk_workers
from tator.testing import LocalTator, Request


@pytest.fixture
def spawned() -> Iterator[ProcessPoolExecutor]:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        yield executor


def in_background(function: Callable[..., Any], *args: Any, **options: Any) -> Future[Any]:
    """Call a function on another thread."""
    future: Future[Any] = Future()

    def work() -> None:
        try:
            future.set_result(function(*args, **options))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    return future


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
        outcomes: dict[str, Any] = values["self"].known
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


def test_threads_of_the_caller_share_the_client(server: LocalTator, api: tator.JobApi) -> None:
    """Within the process nothing is pickled, so that any hook works."""
    api.api_client.configuration.refresh_api_key_hook = lambda configuration: None
    run_uids = server.launch(10).run_uids
    with ThreadPoolExecutor(4) as executor:
        assert len(bulk.delete_jobs(api, run_uids, executor=executor).deleted) == 10
    assert api.api_client.last_response is not None


def test_a_thread_pool_has_no_more_in_flight_than_asked_for(
    server: LocalTator, api: tator.JobApi, gate: Gate
) -> None:
    """`max_workers` counts where the pool has more threads."""
    run_uids = server.launch(20).run_uids
    with ThreadPoolExecutor(8) as executor:
        result = in_background(bulk.delete_jobs, api, run_uids, max_workers=3, executor=executor)
        gate.wait_for(3)
        gate.open()
        assert len(result.result(60).deleted) == 20
    assert gate.most_held == 3


@pytest.mark.parametrize(("workers", "held"), [(4, 4), (1, 1), (5, 4)])
def test_a_process_pool_has_no_more_in_flight_than_asked_for(
    server: LocalTator,
    api: tator.JobApi,
    gate: Gate,
    spawned: ProcessPoolExecutor,
    workers: int,
    held: int,
) -> None:
    """The threads of both processes together are `max_workers`, or one less."""
    run_uids = server.launch(60).run_uids
    result = in_background(bulk.delete_jobs, api, run_uids, max_workers=workers, executor=spawned)
    try:
        gate.wait_for(held)
        gate.check_no_more()
    finally:
        gate.open()  # before the pool ends, which waits for its processes
    assert result.result(60).deleted == list(run_uids)
    assert gate.most_held == held


def test_a_process_pool_does_the_work(
    server: LocalTator, api: tator.JobApi, spawned: ProcessPoolExecutor
) -> None:
    """Spawned processes return outcomes as threads do, and keep their connections between runs."""
    connections = set()
    server.on_request = lambda request: connections.add(threading.get_ident())
    for _ in range(2):
        run_uids = server.launch(100).run_uids
        result = bulk.delete_jobs(api, [*run_uids, "unknown", ""], max_workers=2, executor=spawned)
        assert result.deleted == list(run_uids)
        assert isinstance(result["unknown"], tator.ServiceException)
        assert isinstance(result[""], tator.ApiValueError)
    assert 1 <= len(connections) <= 2


def test_a_process_pool_handles_ids_that_are_shown_alike(
    server: LocalTator, api: tator.JobApi, spawned: ProcessPoolExecutor
) -> None:
    """Values that can't be IDs are included; each value has a separate outcome."""

    class Odd(str):
        """A string with another `str()`, whose class is unknown in other processes."""

        def __str__(self) -> str:
            return "odd"

    run_uids = server.launch(5).run_uids
    bad: list[Any] = [None, 7, "", "..", b"x", [], float("nan")]
    given = [*map(Odd, run_uids), *bad]
    run = in_background(bulk.delete_jobs, api, given, max_workers=8, executor=spawned)
    result = run.result(60)
    assert result.deleted == list(run_uids)
    assert list(result.failed) == [str(run_uid) for run_uid in bad]
    assert not any(error.maybe_applied for error in result.failed.values())


@pytest.mark.parametrize("workers", [2, 8])
def test_a_process_pool_stops_at_a_bad_token(
    server: LocalTator, spawned: ProcessPoolExecutor, workers: int
) -> None:
    """Each process sends what is in flight; the rest of its chunk and later ones are not sent."""
    run_uids = server.launch(300).run_uids
    api = tator.get_api(server.host, "wrong")
    result = bulk.delete_jobs(api, run_uids, max_workers=workers, executor=spawned)
    assert 1 <= len(result.failed) == len(server.requests) <= workers
    assert len(result.not_attempted) == 300 - len(result.failed)


def raise_lookup_error(configuration: tator.Configuration) -> None:
    raise LookupError("no new token")


def test_an_exception_of_a_hook_in_another_process_is_raised(
    server: LocalTator, api: tator.JobApi, spawned: ProcessPoolExecutor
) -> None:
    """As it does on a thread: the run ends with it."""
    api.api_client.configuration.refresh_api_key_hook = raise_lookup_error
    with pytest.raises(LookupError, match="no new token"):
        bulk.delete_jobs(api, server.launch(10).run_uids, executor=spawned)
    assert server.requests == []


def end_this_process(configuration: tator.Configuration) -> None:
    os._exit(1)


def test_a_broken_pool_loses_nothing(
    server: LocalTator, api: tator.JobApi, spawned: ProcessPoolExecutor
) -> None:
    """When a process dies, its jobs in progress may be cancelled; the others are listed."""
    api.api_client.configuration.refresh_api_key_hook = end_this_process
    run_uids = server.launch(300).run_uids
    result = bulk.delete_jobs(api, run_uids, max_workers=4, executor=spawned)
    assert result.deleted == []
    assert all(isinstance(error, tator.ApiConnectionError) for error in result.failed.values())
    assert all(error.maybe_applied for error in result.failed.values())
    assert "BrokenProcessPool" in str(result.failed[run_uids[0]])
    assert result.not_attempted
    assert [*result, *result.not_attempted] == list(run_uids)


def test_a_client_that_cannot_be_pickled_is_reported_with_its_reason(
    server: LocalTator, api: tator.JobApi, spawned: ProcessPoolExecutor
) -> None:
    """A hook that does not pickle fails each job with that reason, and never shows the token."""
    api.api_client.configuration.refresh_api_key_hook = lambda configuration: None
    result = bulk.delete_jobs(api, ["a", "b"], executor=spawned)
    assert list(result.failed) == ["a", "b"]
    assert "lambda" in str(result.failed["a"])
    assert TOKEN not in repr(result.failed)
    assert server.requests == []
    # Python before 3.12.8 and 3.13.1 can hang if a pool ends while it notes such an error.
    assert spawned.submit(int).result(60) == 0


def test_row_55_an_executor_that_was_shut_down_leaves_the_first_job_unknown(
    server: LocalTator, api: tator.JobApi
) -> None:
    """Some executors raise after they have queued the work, so the first job may be cancelled."""
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    result = bulk.delete_jobs(api, ["a", "b", "c"], executor=executor)
    assert "cannot schedule new futures after shutdown" in str(result["a"])
    assert result.failed["a"].maybe_applied
    assert result.not_attempted == ["b", "c"]
    assert server.requests == []


class Queueing(Executor):
    """Queues the work, and then fails to start a thread."""

    def __init__(self) -> None:
        self.queued: list[Callable[[], object]] = []

    def submit(self, function: Callable[..., Any], /, *args: Any, **options: Any) -> Future[Any]:
        self.queued.append(lambda: function(*args, **options))
        raise RuntimeError("can't start new thread")


def test_row_55_an_executor_that_raises_after_it_queued_the_work_leaves_it_unknown(
    server: LocalTator, api: tator.JobApi
) -> None:
    """The job is cancelled later, when the queued work runs."""
    executor = Queueing()
    run_uids = server.launch(3).run_uids
    result = bulk.delete_jobs(api, run_uids, executor=executor)
    assert result.failed[run_uids[0]].maybe_applied
    assert result.not_attempted == list(run_uids[1:])
    executor.queued[0]()
    assert server.jobs[run_uids[0]] == "cancelled"


def test_row_44_an_exception_of_a_signal_handler_is_raised_in_submit(
    server: LocalTator, api: tator.JobApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told from what the executor itself raises."""

    def handler(number: int, frame: FrameType | None) -> None:
        raise TimeoutError("soft limit")

    def submit(self: ThreadPoolExecutor, *args: Any) -> Future[Any]:
        signal.raise_signal(signal.SIGUSR1)
        raise AssertionError

    previous = signal.signal(signal.SIGUSR1, handler)
    monkeypatch.setattr(ThreadPoolExecutor, "submit", submit)
    try:
        with ThreadPoolExecutor(1) as executor, pytest.raises(TimeoutError, match="soft limit"):
            bulk.delete_jobs(api, ["a"], executor=executor)
    finally:
        signal.signal(signal.SIGUSR1, previous)


class Interrupting(Executor):
    """Is interrupted while the second piece of work is submitted."""

    def __init__(self) -> None:
        self._turns = itertools.count()

    def submit(self, function: Callable[..., Any], /, *args: Any, **options: Any) -> Future[Any]:
        if next(self._turns):
            raise KeyboardInterrupt
        future: Future[Any] = Future()
        future.set_result(function(*args, **options))
        return future


def test_an_interrupt_while_work_is_submitted_leaves_it_unknown(
    server: LocalTator, api: tator.JobApi
) -> None:
    """The executor may have started the work, so the job may be cancelled."""
    run_uids = server.launch(3).run_uids
    with pytest.raises(bulk.BulkInterrupted) as caught:
        bulk.delete_jobs(api, run_uids, max_workers=2, executor=Interrupting())
    result = caught.value.result
    assert (result.deleted, list(result.failed)) == ([run_uids[0]], [run_uids[1]])
    assert result.failed[run_uids[1]].maybe_applied
    assert result.not_attempted == [run_uids[2]]


class Elsewhere(Executor):
    """Cancels a future at once, though the work goes on, as a cluster may."""

    def __init__(self, count: int) -> None:
        self._threads = ThreadPoolExecutor(1)
        self._left = count
        self.has_all = threading.Event()

    def submit(self, function: Callable[..., Any], /, *args: Any, **options: Any) -> Future[Any]:
        outer: Future[Any] = Future()
        inner = self._threads.submit(function, *args, **options)
        inner.add_done_callback(lambda done: outer.cancelled() or outer.set_result(done.result()))
        self._left -= 1
        if not self._left:
            self.has_all.set()
        return outer

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._threads.shutdown()


def test_a_job_that_another_executor_cancels_may_have_been_sent(server: LocalTator) -> None:
    """Only of the standard executors does a cancelled future prove that nothing was sent."""
    run_uids = server.launch(9).run_uids
    api = tator.get_api(server.host, "wrong")
    with Elsewhere(3) as executor:
        server.on_request = lambda request: executor.has_all.wait(30)
        result = bulk.delete_jobs(api, run_uids, max_workers=3, executor=executor)
    assert isinstance(result[run_uids[0]], tator.UnauthorizedException)
    assert [str(result[run_uid])[:9] for run_uid in list(result)[1:]] == ["Cancelled"] * 2
    assert result.failed[run_uids[1]].maybe_applied
    assert result.not_attempted == list(run_uids[3:])


class Waiting(Executor):
    """Does nothing until it is told to."""

    def __init__(self) -> None:
        self.tasks: list[Callable[[], object]] = []
        self.futures: list[Future[Any]] = []
        self.on_submit: Callable[[], object] = lambda: None

    def submit(self, function: Callable[..., Any], /, *args: Any, **options: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.tasks.append(lambda: future.set_result(function(*args, **options)))
        self.futures.append(future)
        self.on_submit()
        return future


def test_work_that_is_submitted_while_the_run_stops_is_cancelled(server: LocalTator) -> None:
    """A bad token is noticed on another thread, just as the next job is on its way."""
    executor = Waiting()

    def end_the_first() -> None:
        if len(executor.futures) == 2:
            executor.tasks[0]()

    executor.on_submit = end_the_first
    api = tator.get_api(server.host, "wrong")
    run_uids = server.launch(5).run_uids
    result = bulk.delete_jobs(api, run_uids, max_workers=4, executor=executor)
    assert executor.futures[1].cancelled()
    assert list(result.failed) == list(run_uids[:2])
    assert result.not_attempted == list(run_uids[2:])
    assert len(server.requests) == 1


class Cluster(Waiting):
    """Passes for one of Dask's."""

    __module__ = "distributed.cfexecutor"


@pytest.mark.parametrize(("workers", "tasks"), [(3, 1), (4, 1), (8, 2)])
def test_a_cluster_gets_no_more_tasks_at_a_time_than_asked_for(
    server: LocalTator, api: tator.JobApi, workers: int, tasks: int
) -> None:
    """The number of concurrent tasks is unknown; each makes up to four calls at once."""

    class Counting(Cluster):
        __module__ = Cluster.__module__
        most = 0

        def submit(
            self, function: Callable[..., Any], /, *args: Any, **options: Any
        ) -> Future[Any]:
            future = super().submit(function, *args, **options)
            self.most = max(self.most, sum(not future.done() for future in self.futures))
            in_background(self.tasks[-1])
            return future

    executor = Counting()
    run_uids = server.launch(100).run_uids
    result = bulk.delete_jobs(api, run_uids, max_workers=workers, executor=executor)
    assert result.deleted == list(run_uids)
    assert 1 <= executor.most <= tasks


def test_a_chunk_that_was_not_submitted_when_the_run_stopped_is_not_attempted(
    server: LocalTator,
) -> None:
    """Its IDs are listed with those that come after it."""
    executor = Cluster()
    run_uids = server.launch(10).run_uids

    def slow() -> Iterator[str]:
        yield from run_uids[:5]  # the fifth is alone in its chunk
        executor.tasks[0]()
        yield from run_uids[5:]

    api = tator.get_api(server.host, "wrong")
    result = bulk.delete_jobs(api, slow(), max_workers=8, executor=executor)
    assert 1 <= len(result.failed) <= 4
    assert [*result, *result.not_attempted] == list(run_uids[:6])
    assert len(executor.futures) == 1


@pytest.mark.parametrize("way", ["never", "twice", "late"])
def test_row_56_a_run_ends_after_a_callback_is_lost(
    server: LocalTator, api: tator.JobApi, way: str
) -> None:
    """The run looks for futures that are done, if nothing has ended for half a second."""

    class Struck(Future[Any]):
        """An exception was thrown into the thread that was about to call back."""

        late: Callable[[Future[Any]], object] | None = None

        def add_done_callback(self, function: Callable[[Future[Any]], object]) -> None:
            if way == "late":
                self.late = function
            for _ in range(2 if way == "twice" else 0):
                super().add_done_callback(function)

        def cancelled(self) -> bool:
            """Call back at last, while the run has begun to look at the future."""
            late, self.late = self.late, None
            if late is not None:
                late(self)
            return super().cancelled()

    class Inline(Executor):
        def submit(
            self, function: Callable[..., Any], /, *args: Any, **options: Any
        ) -> Future[Any]:
            future = Struck()
            future.set_result(function(*args, **options))
            return future

    run_uids = server.launch(3).run_uids
    result = bulk.delete_jobs(api, run_uids, executor=Inline())
    assert result.deleted == list(run_uids)


def test_the_arguments_of_a_task_show_no_token(server: LocalTator, api: tator.JobApi) -> None:
    """A scheduler that displays the arguments of its work shows nothing sensitive."""
    shown = []

    class Showing(Executor):
        def submit(
            self, function: Callable[..., Any], /, *args: Any, **options: Any
        ) -> Future[Any]:
            arrived = pickle.loads(pickle.dumps((function, args, options)))
            shown.extend([repr((function, args, options)), repr(arrived)])
            future: Future[Any] = Future()
            future.set_result(arrived[0](*arrived[1]))
            return future

    run_uids = server.launch(2).run_uids
    result = bulk.delete_jobs(api, run_uids, max_workers=1, executor=Showing())
    assert result.deleted == list(run_uids)
    assert len(shown) == 4
    assert TOKEN not in "".join(shown)


class Keeping(Executor):
    """Keeps every future, as an executor may that was left early."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self.futures: list[Future[Any]] = []

    def submit(self, function: Callable[..., Any], /, *args: Any, **options: Any) -> Future[Any]:
        future = self._executor.submit(function, *args, **options)
        self.futures.append(future)
        return future


def test_a_dask_cluster_does_the_work(server: LocalTator, api: tator.JobApi) -> None:
    """A real cluster of two processes cancels jobs through the executor of its client."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the cluster's own modules
        from distributed import Client, LocalCluster

        run_uids = server.launch(100).run_uids
        with (
            LocalCluster(
                n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1"
            ) as cluster,
            Client(cluster) as client,
        ):
            executor = client.get_executor()
            result = bulk.delete_jobs(api, [*run_uids, "unknown"], executor=executor)
            assert result.deleted == list(run_uids)
            assert isinstance(result["unknown"], tator.ServiceException)
            # Dask returns the result of an equal task, as long as anyone refers to its future.
            keeping = Keeping(executor)
            failed = bulk.delete_jobs(api, run_uids[:1], executor=keeping).failed[run_uids[0]]
            assert failed.status == 500
            server.fail(503, times=3)
            again = bulk.delete_jobs(api, run_uids[:1], executor=keeping)
            assert len(keeping.futures) == 2
    assert again.failed[run_uids[0]].status == 503


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
