"""Executors that make the calls of a bulk run: pools of threads and processes, and a cluster."""

from __future__ import annotations

import contextvars
import itertools
import multiprocessing
import os
import pickle
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from types import FrameType
from typing import Any

import pytest
from gates import TOKEN, Gate

import tator
from tator import bulk
from tator.bulk_executors import ExecutorWorkers
from tator.testing import LocalTator


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


def end_this_process(configuration: tator.Configuration) -> None:
    os._exit(1)


class HookError(Exception):
    """It can be pickled, but not unpickled: its constructor has another signature."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)


class LockedError(Exception):
    """It can't be pickled."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.lock = threading.Lock()


def raise_hook_error(configuration: tator.Configuration) -> None:
    """A hook whose exception can't be unpickled."""
    raise HookError(7, "no vault")


def raise_locked_error(configuration: tator.Configuration) -> None:
    """A hook whose exception can't be pickled."""
    raise LockedError("no vault")


class ByPost(Executor):
    """It pickles the work and what comes of it, as other processes do."""

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        function, args = pickle.loads(pickle.dumps((function, args)))
        future.set_result(pickle.loads(pickle.dumps(function(*args))))
        return future


failing_hooks = pytest.mark.parametrize(
    ("hook", "kind", "text"),
    [
        (raise_lookup_error, LookupError, "no new token"),
        (raise_hook_error, RuntimeError, "HookError: no vault"),
        (raise_locked_error, RuntimeError, "LockedError: no vault"),
    ],
)


def check_failing(
    hook: Any, kind: type[Exception], text: str, server: LocalTator, executor: Executor
) -> None:
    """What a hook raises in another process ends the run, as it does on a thread."""
    api = tator.get_api(server.host, TOKEN)
    api.api_client.configuration.refresh_api_key_hook = hook
    with pytest.raises(kind, match=text):
        bulk.delete_jobs(api, server.launch(10).run_uids, executor=executor)
    assert server.requests == []


@failing_hooks
def test_an_exception_that_cannot_travel_is_raised_in_words(
    server: LocalTator, hook: Any, kind: type[Exception], text: str
) -> None:
    """Lost on its way, it would take the outcomes beside it along."""
    check_failing(hook, kind, text, server, ByPost())


@failing_hooks
def test_a_process_pool_survives_an_exception_of_a_hook(
    server: LocalTator, spawned: ProcessPoolExecutor, hook: Any, kind: type[Exception], text: str
) -> None:
    """One that can't be unpickled would break the whole pool."""
    check_failing(hook, kind, text, server, spawned)
    assert spawned.submit(len, "abc").result(30) == 3


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


class LateCallback(ExecutorWorkers):
    """Its future is still there when the outcome of its last ID has been taken out."""

    def __init__(self, api: tator.JobApi, executor: Executor) -> None:
        super().__init__(api, contextvars.copy_context(), 1, executor)
        self.go_on = threading.Event()

    def tell(self, run_uid: str) -> None:
        """Tell it, and hold the callback."""
        super().tell(run_uid)
        assert self.go_on.wait(30)


def test_another_id_can_begin_when_none_is_in_progress(
    server: LocalTator, api: tator.JobApi
) -> None:
    """Without room, the run would take the IDs for finished, and forget those that are left."""
    with ThreadPoolExecutor(1) as executor:
        workers = LateCallback(api, executor)
        workers.begin("an ID", "an ID")
        assert not workers.has_room
        assert workers.take_out()
        has_room = workers.has_room
        workers.go_on.set()
    assert has_room


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
                n_workers=2, threads_per_worker=1, dashboard_address=":0", host="127.0.0.1"
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
