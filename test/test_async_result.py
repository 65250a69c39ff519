"""A handle is read in every usual way, its call always ends, and it keeps no process alive."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import copy
import ctypes
import gc
import logging
import multiprocessing
import os
import pickle
import queue
import subprocess
import sys
import threading
import tracemalloc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from peers import UID, Connection, Peer, answering, http, make_api

import tator
from tator.async_result import AsyncResult, CallThreads, ResultNotReady
from tator.testing import LocalTator

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
warns_of_threads = pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")


@pytest.fixture
def api(local_tator: LocalTator) -> tator.JobApi:
    """An API of a server of the test's own."""
    return tator.get_api(local_tator.host, local_tator.token)


def submit(workers: CallThreads, call: Callable[[], Any]) -> AsyncResult[Any]:
    """Have a thread make a call."""
    handle = AsyncResult(call)
    workers.run(handle.run)
    return handle


def throw(thread: threading.Thread, kind: type[BaseException]) -> None:
    """Raise an exception in another thread, as debuggers and time limits do."""
    assert thread.ident is not None
    given = ctypes.c_ulong(thread.ident)
    assert ctypes.pythonapi.PyThreadState_SetAsyncExc(given, ctypes.py_object(kind)) == 1


def in_child(work: Callable[[], object]) -> int:
    """Do something in a forked child, and return its exit status: 0 if it was true."""
    child = os.fork()
    if child == 0:
        status = 2
        try:
            status = 0 if work() else 1
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_result_can_be_read_many_times(local_tator: LocalTator, api: tator.JobApi) -> None:
    """`get` and `result` return what the call returns."""
    (uid,) = local_tator.launch().run_uids
    handle = api.delete_job(uid, async_req=True)
    assert uid in (handle.get(10).message or "")
    assert handle.result() == handle.get()
    handle.wait()
    assert handle.ready()
    assert handle.done()
    assert handle.successful()


def test_an_error_of_the_call_is_raised_where_it_is_read(api: tator.JobApi) -> None:
    """Each reading raises it."""
    handle = api.delete_job_group("unknown", async_req=True)
    handle.wait(10)
    assert not handle.successful()
    for _ in range(2):
        with pytest.raises(tator.ServiceException):
            handle.get()


def test_a_rejected_argument_raises_at_once(api: tator.JobApi, local_tator: LocalTator) -> None:
    """The caller's own line raises, and nothing is sent."""
    with pytest.raises(tator.ApiValueError):
        api.delete_job("", async_req=True)
    assert local_tator.requests == []


@pytest.mark.usefixtures("no_backoff")
def test_a_wait_that_is_too_short_raises_each_kind_of_timeout_error(
    local_tator: LocalTator, api: tator.JobApi
) -> None:
    """The call goes on, and a program may catch multiprocessing's, a Future's or Python's."""
    local_tator.delay(60)
    handle = api.delete_job("x", async_req=True)
    handle.wait(0.01)
    assert not handle.ready()
    assert not handle.done()
    with pytest.raises(ValueError, match="wait"):
        handle.successful()
    futures = concurrent.futures.TimeoutError
    for error in (multiprocessing.TimeoutError, futures, TimeoutError, ResultNotReady):
        with pytest.raises(error):
            handle.get(timeout=0.01)
    local_tator.close()
    handle.wait()


def test_a_timeout_of_the_call_differs_from_a_timeout_of_the_wait(
    local_tator: LocalTator, api: tator.JobApi
) -> None:
    """A call that ended by its deadline raises its own error."""
    local_tator.delay(60)
    api.api_client.configuration.deadline = 0.2
    with pytest.raises(tator.ApiTimeoutError):
        api.delete_job("x", async_req=True).get(30)
    local_tator.delay(0)


def test_callbacks_get_the_handle(api: tator.JobApi) -> None:
    """A callback is called with the handle, also if the call has ended before."""
    called = threading.Event()
    seen: list[AsyncResult[tator.InlineResponse2044]] = []

    def note(handle: AsyncResult[tator.InlineResponse2044]) -> None:
        seen.append(handle)
        called.set()

    handle = api.delete_job("x", async_req=True)
    handle.add_done_callback(note)
    assert called.wait(10)
    handle.add_done_callback(seen.append)
    assert seen == [handle, handle]


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, ValueError])
def test_row_56_a_worker_survives_its_callbacks(
    kind: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    """What a callback raises is logged; the thread makes the next call, and all callbacks run."""
    workers = CallThreads(1)
    busy, called = threading.Event(), threading.Event()

    def fail(handle: AsyncResult[Any]) -> None:
        raise kind("no")

    first = submit(workers, lambda: busy.wait(10))
    first.add_done_callback(fail)
    first.add_done_callback(lambda handle: called.set())
    busy.set()
    assert submit(workers, threading.current_thread).get(10) is not None
    assert called.wait(10)
    [record] = [each for each in caplog.records if each.name == "tator"]
    assert (record.levelno, record.message) == (
        logging.ERROR,
        "a callback of an AsyncResult raised",
    )


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_a_callback_that_ends_the_program_ends_it_on_the_callers_thread(
    kind: type[BaseException],
) -> None:
    handle = AsyncResult(int)
    handle.run()

    def leave(handle: AsyncResult[Any]) -> None:
        raise kind

    with pytest.raises(kind):
        handle.add_done_callback(leave)


def test_a_callback_that_raises_at_once_is_logged_too(caplog: pytest.LogCaptureFixture) -> None:
    """It makes no difference whether the call has ended before."""
    handle = AsyncResult(int)
    handle.run()
    handle.add_done_callback(lambda handle: 1 // 0)
    assert [record.name for record in caplog.records] == ["tator"]


def test_a_handle_can_be_awaited(local_tator: LocalTator, api: tator.JobApi) -> None:
    """In a running loop, `await` returns the result or raises the error."""
    (uid,) = local_tator.launch().run_uids

    async def cancel() -> str | None:
        done = await api.delete_job(uid, async_req=True)
        with pytest.raises(tator.ServiceException):
            await api.delete_job(uid, async_req=True)
        return done.message

    assert uid in (asyncio.run(cancel()) or "")


def test_a_future_of_a_handle_can_be_waited_for(local_tator: LocalTator, api: tator.JobApi) -> None:
    """`asyncio.wait` takes what `asyncio.ensure_future` makes of a handle."""
    uids = local_tator.launch(2).run_uids

    async def cancel() -> set[str | None]:
        calls = [api.delete_job(uid, async_req=True) for uid in uids]
        done, pending = await asyncio.wait([asyncio.ensure_future(call) for call in calls])
        assert not pending
        return {call.result().message for call in done}

    assert len(asyncio.run(cancel())) == 2


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio.wait makes a task of a handle")
def test_a_handle_given_to_asyncio_wait_raises_at_once(
    local_tator: LocalTator, api: tator.JobApi
) -> None:
    """Otherwise the loop would never wake up: asyncio's callback belongs on the loop's thread."""
    local_tator.delay(60)
    handle = api.delete_job("x", async_req=True)

    async def wait() -> None:
        await asyncio.wait([handle], timeout=5)

    with pytest.raises(TypeError, match=r"pass asyncio\.ensure_future\(handle\)"):
        asyncio.run(wait())
    local_tator.delay(0)
    with pytest.raises(tator.ServiceException):
        handle.get(10)


@pytest.mark.parametrize("duplicate", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_handle_that_is_pickled_says_what_to_send(duplicate: Callable[[Any], object]) -> None:
    """A call in progress stays where it is; its result can travel."""
    with pytest.raises(TypeError, match=r"send its result, handle\.get\(\)"):
        duplicate(AsyncResult(int))


def test_a_wait_that_is_cancelled_leaves_the_call_to_the_others(
    local_tator: LocalTator, api: tator.JobApi
) -> None:
    """A wait that asyncio cancels cancels no call, whether it has begun or not."""
    api.api_client.configuration.connection_pool_maxsize = 1
    uids = local_tator.launch(2).run_uids
    local_tator.delay(60)

    async def main() -> list[str | None]:
        handles = [api.delete_job(uid, async_req=True) for uid in uids]
        for handle in handles:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(handle, 0.01)
        local_tator.delay(0)
        return [(await handle).message for handle in handles]

    messages = asyncio.run(main())
    assert all(uid in (text or "") for uid, text in zip(uids, messages, strict=True))


def test_row_51_a_handle_that_is_abandoned_logs_nothing(
    local_tator: LocalTator, api: tator.JobApi, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither asyncio nor tator mention the error of a call that nobody waits for."""
    caplog.set_level(logging.INFO)
    local_tator.delay(60)

    async def main() -> AsyncResult[tator.InlineResponse2044]:
        handle = api.delete_job("x", async_req=True)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(handle, 0.01)
        return handle

    handle = asyncio.run(main())
    local_tator.delay(0)
    handle.wait(10)
    del handle
    gc.collect()
    assert caplog.records == []


def test_a_call_may_end_after_the_loop_of_its_waiter(caplog: pytest.LogCaptureFixture) -> None:
    """A loop that is closed is told nothing."""
    workers, busy = CallThreads(1), threading.Event()
    handle = submit(workers, lambda: busy.wait(10))
    waiting = handle.__await__()

    async def begin() -> None:
        next(waiting)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(begin())
    loop.close()
    busy.set()
    assert handle.get(10)
    assert submit(workers, int).get(10) == 0  # the callbacks of the first have run
    waiting.close()
    assert caplog.records == []


def memory_of(work: Callable[[], object], times: int) -> int:
    """The bytes that stay allocated if something is done again and again."""
    tracemalloc.start()
    try:
        work()
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(times):
            work()
        gc.collect()
        return tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()


def test_row_56_a_failed_handle_can_be_read_again_and_again() -> None:
    """The traceback of its error does not grow."""
    handle = AsyncResult(lambda: [][0])
    handle.run()
    lengths = set()

    def read() -> None:
        with pytest.raises(IndexError) as caught:
            handle.get()
        lengths.add(len(caught.traceback))

    assert memory_of(read, 2_000) < 20_000
    assert len(lengths) == 1


def test_row_51_abandoned_waits_leave_nothing_behind() -> None:
    """2,000 cancelled waits for one handle keep no memory, and it still can be read."""
    workers, busy = CallThreads(1), threading.Event()
    handle = submit(workers, lambda: busy.wait(30))

    def give_up() -> None:
        handle.wait(0)

    async def main() -> None:
        for _ in range(2_000):
            wait = asyncio.ensure_future(_await(handle))
            await asyncio.sleep(0)
            wait.cancel()
            with pytest.raises(asyncio.CancelledError):
                await wait

    assert memory_of(lambda: asyncio.run(main()), 1) < 50_000
    assert memory_of(give_up, 2_000) < 20_000
    busy.set()
    assert handle.get(10)


async def _await(handle: AsyncResult[Any]) -> Any:
    return await handle


VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("VARIABLE", default="none")


class Tracing(tator.ApiClient):
    """A client that sends what its caller's context has."""

    def request(self, method: str, url: str, *args: Any, **options: Any) -> Any:
        options["headers"]["X-Trace"] = VARIABLE.get()
        VARIABLE.set("changed by the call")
        return super().request(method, url, *args, **options)


def test_row_50_each_call_has_its_callers_context(local_tator: LocalTator) -> None:
    """A call sees what was set when it began, and what it sets stays within it."""
    configuration = tator.Configuration(local_tator.host, connection_pool_maxsize=1)
    api = tator.JobApi(Tracing(configuration))
    for trace in ("first", "second"):
        token = VARIABLE.set(trace)
        handle = api.delete_job(trace, async_req=True)
        assert VARIABLE.get() == trace
        VARIABLE.reset(token)
        handle.wait(10)
    api.delete_job("third", async_req=True).wait(10)
    traces = [request.headers["x-trace"] for request in local_tator.requests]
    assert traces == ["first", "second", "none"]


def test_a_call_without_a_thread_is_a_connection_error(
    local_tator: LocalTator, api: tator.JobApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the system starts no thread, nothing is sent; later calls are made."""
    (uid,) = local_tator.launch().run_uids
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_thread)
        for _ in range(2):
            with pytest.raises(tator.ApiConnectionError, match="can't start new thread") as caught:
                api.delete_job(uid, async_req=True)
            assert not caught.value.maybe_applied
    assert uid in (api.delete_job(uid, async_req=True).get(10).message or "")
    assert len(local_tator.requests) == 1


def no_thread(self: threading.Thread) -> None:
    """As `Thread.start` where the system has no more threads."""
    raise RuntimeError("can't start new thread")


def test_one_thread_makes_all_calls_if_there_are_no_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """If no second thread can be had, the first makes both calls; then there is room again."""
    workers, busy = CallThreads(2), threading.Event()
    first = submit(workers, lambda: busy.wait(10) and threading.current_thread())
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_thread)
        second = submit(workers, threading.current_thread)
    busy.set()
    assert first.get(10) is second.get(10)
    both = threading.Barrier(2)
    assert all(
        handle.get(10) is not None for handle in [submit(workers, both.wait) for _ in range(2)]
    )


def test_row_49_the_caller_makes_the_call_if_the_interpreter_starts_no_thread(
    local_tator: LocalTator, api: tator.JobApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the end of a program, the handle has its outcome at once."""

    def start(self: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    other, uid = local_tator.launch(2).run_uids
    api.delete_job(other)  # the server has a thread for this connection now
    monkeypatch.setattr(threading.Thread, "start", start)
    handle = api.delete_job(uid, async_req=True)
    assert handle.done()
    assert uid in (handle.get().message or "")


def test_there_are_no_more_threads_than_kept_connections(
    local_tator: LocalTator, api: tator.JobApi
) -> None:
    """`connection_pool_maxsize` is the most, and idle threads are used again."""
    api.api_client.configuration.connection_pool_maxsize = 3
    before = set(threading.enumerate())
    uids = local_tator.launch(20).run_uids
    handles = [api.delete_job(uid, async_req=True) for uid in uids]
    assert all(handle.get(30) for handle in handles)
    after = set(threading.enumerate()) - before
    ours = [thread for thread in after if thread.name.startswith("tator-")]
    assert 1 <= len(ours) <= 3


def test_threads_end_with_their_client(local_tator: LocalTator) -> None:
    """`close()`, or dropping the client, ends the threads after the calls that were begun."""
    for end in (tator.ApiClient.close, lambda client: None):
        before = set(threading.enumerate())
        api = make_api(local_tator.host, connection_pool_maxsize=4)
        local_tator.delay(60)
        handles = [api.delete_job(UID, async_req=True) for _ in range(8)]
        threads = [
            thread
            for thread in set(threading.enumerate()) - before
            if thread.name.startswith("tator-")
        ]
        assert len(threads) == 4
        end(api.api_client)
        local_tator.delay(0)
        for handle in handles:
            handle.wait(10)
            assert handle.done()
        client = weakref.ref(api.api_client)
        del api, handle, handles
        gc.collect()
        assert client() is None
        for thread in threads:
            thread.join(10)
            assert not thread.is_alive()


def test_an_idle_thread_keeps_neither_call_nor_result() -> None:
    """What a caller has let go of is collected."""

    class Result:
        """Something that can be referred to weakly."""

    workers = CallThreads(1)
    handle = submit(workers, Result)
    result = weakref.ref(handle.get(10))
    submit(workers, int).get(10)
    del handle
    gc.collect()
    assert result() is None


class Thrown(BaseException):
    """What is thrown into threads here."""


@pytest.mark.untraced
@pytest.mark.parametrize("kind", [Thrown, RuntimeError, SystemExit])
def test_row_56_an_exception_in_an_idle_worker_stops_no_call(kind: type[BaseException]) -> None:
    """It strikes when the thread takes its next call, which is made anyway."""
    workers = CallThreads(1)
    for _ in range(20):
        thread = submit(workers, threading.current_thread).get(10)
        submit(workers, int).get(10)  # the thread is idle now, or soon
        throw(thread, kind)
        handles = [submit(workers, lambda: "made") for _ in range(2)]
        assert [outcome_of(handle, kind) for handle in handles] != ["thrown", "thrown"]


def outcome_of(handle: AsyncResult[Any], kind: type[BaseException]) -> Any:
    """What a call returned, or that the exception struck within it."""
    try:
        return handle.get(10)
    except (kind, tator.ApiConnectionError):
        return "thrown"


@pytest.mark.untraced
def test_row_56_an_exception_within_a_call_ends_that_call_alone() -> None:
    """The handle says that the outcome is unknown, and the thread goes on."""
    workers = CallThreads(1)
    begun, never = threading.Event(), threading.Event()

    def call() -> None:
        begun.set()
        while not never.wait(0.01):
            pass

    thread = submit(workers, threading.current_thread).get(10)
    handle = submit(workers, call)
    assert begun.wait(10)
    throw(thread, Thrown)
    with pytest.raises(tator.ApiConnectionError, match="interrupted by Thrown") as caught:
        handle.get(10)
    assert caught.value.maybe_applied
    assert submit(workers, threading.current_thread).get(10) is thread


def test_a_call_that_was_interrupted_before_it_was_made_ends_too() -> None:
    """A second `run` after an exception that struck between two steps finds no call to make."""
    handle = AsyncResult(int)
    seen: queue.SimpleQueue[str] = queue.SimpleQueue()
    lines = (line for line in ("call", "def"))  # the first line, and what follows it

    def trace(frame: Any, event: str, argument: object) -> Any:
        if frame.f_code is AsyncResult.run.__code__:
            if event == "line" and next(lines, None) is None:
                seen.put("struck")
                sys.settrace(None)
                raise Thrown
            return trace
        return None

    outer = sys.gettrace()
    sys.settrace(trace)
    try:
        handle.run()
    finally:
        sys.settrace(outer)
    assert seen.get(block=False) == "struck"
    with pytest.raises(tator.ApiConnectionError, match="interrupted by"):
        handle.get(10)
    handle.run()
    with pytest.raises(tator.ApiConnectionError, match="interrupted by"):
        handle.get(10)


@forks
@warns_of_threads
def test_row_35_a_forked_child_has_separate_threads(
    local_tator: LocalTator, api: tator.JobApi
) -> None:
    """After a fork with threads in the pool, parent and child both go on."""
    first, second, third = local_tator.launch(3).run_uids
    assert api.delete_job(first, async_req=True).get(10)
    status = in_child(lambda: api.delete_job(second, async_req=True).get(10))
    assert api.delete_job(third, async_req=True).get(10)
    assert status == 0
    assert set(local_tator.jobs.values()) == {"cancelled"}


@forks
@warns_of_threads
def test_row_56_a_handle_of_the_parent_ends_at_once_in_a_child() -> None:
    """The call goes on in the parent alone, so its outcome is unknown in the child."""
    go = threading.Event()

    def script(connection: Connection) -> None:
        go.wait(30)
        connection.send(http())

    with Peer(answering(script)) as peer:
        api = make_api(peer.host)
        handle = api.delete_job(UID, async_req=True)
        ended = AsyncResult(lambda: "done")
        ended.run()

        async def awaiting() -> object:
            return await handle

        def check() -> bool:
            for read in (handle.get, handle.result, handle.wait, lambda: asyncio.run(awaiting())):
                with pytest.raises(tator.ApiConnectionError, match="another process") as caught:
                    read()
                assert caught.value.maybe_applied
            return not handle.ready() and ended.get() == "done"

        status = in_child(check)
        go.set()
        assert handle.get(10).message == "Done."
    assert status == 0


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_row_38_a_process_ends_with_calls_in_progress(local_tator: LocalTator) -> None:
    """Threads that wait for a response neither hold up the end of a process nor make noise."""
    local_tator.delay(600)
    program = (
        "import tator, sys; api = tator.get_api(*sys.argv[1:]);"
        "handles = [api.delete_job('x', async_req=True) for _ in range(4)];"
        "handles[0].wait(0.2)"
    )
    command = [sys.executable, "-c", program, local_tator.host, local_tator.token]
    run = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    local_tator.delay(0)


def test_row_56_a_task_is_called_again_after_an_exception() -> None:
    """A thread that is hit goes on with the same task, and with the next ones."""
    calls: list[str] = []

    def struck() -> None:
        calls.append("struck")
        if len(calls) == 1:
            raise Thrown

    workers = CallThreads(1)
    workers.run(struck)
    assert submit(workers, lambda: "next").get(10) == "next"
    assert calls == ["struck", "struck"]


def test_row_56_an_interrupt_of_the_first_call_stops_no_later_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ctrl-C may come just before or after the thread is started."""
    workers = CallThreads(1)
    start = threading.Thread.start

    def interrupted_before(thread: threading.Thread) -> None:
        monkeypatch.setattr(threading.Thread, "start", interrupted_after)
        raise KeyboardInterrupt

    def interrupted_after(thread: threading.Thread) -> None:
        monkeypatch.setattr(threading.Thread, "start", start)
        start(thread)
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", interrupted_before)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            submit(workers, lambda: None)
    for number in range(3):
        assert submit(workers, lambda number=number: number).get(10) == number


def test_no_more_threads_stay_than_asked_for_when_many_start_at_once() -> None:
    """Threads for which there is no room leave their tasks to the others."""
    switching = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(20):
            workers = CallThreads(2)
            ready, handles = threading.Barrier(8), []

            def begin(
                workers: CallThreads = workers,
                ready: threading.Barrier = ready,
                handles: list[AsyncResult[Any]] = handles,
            ) -> None:
                ready.wait(10)
                handles.append(submit(workers, threading.current_thread))

            callers = [threading.Thread(target=begin) for _ in range(8)]
            for caller in callers:
                caller.start()
            for caller in callers:
                caller.join(10)
            assert len({handle.get(10) for handle in handles}) <= 2
            assert len({submit(workers, threading.current_thread).get(10) for _ in range(8)}) <= 2
    finally:
        sys.setswitchinterval(switching)


def test_row_56_a_call_that_ends_its_thread_is_an_error() -> None:
    """SystemExit in a thread ends no program, and nobody knows what became of the call."""

    def leave() -> None:
        raise SystemExit

    with pytest.raises(tator.ApiConnectionError, match="SystemExit") as caught:
        submit(CallThreads(1), leave).get(10)
    assert caught.value.maybe_applied


def test_a_wait_that_is_cancelled_as_the_call_ends_stays_cancelled() -> None:
    """The end of the call finds nobody who waits."""

    async def wait(handle: AsyncResult[int]) -> int:
        return await handle

    async def main() -> None:
        handle = AsyncResult(lambda: 1)
        waiting = asyncio.ensure_future(wait(handle))
        await asyncio.sleep(0)
        handle.run()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await asyncio.sleep(0)
        assert await handle == 1

    asyncio.run(main())
