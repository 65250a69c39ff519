"""A call under way can be waited for in every usual manner, and keeps no process alive."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import multiprocessing
import os
import subprocess
import sys
import threading
import weakref

import pytest

import tator
from tator.async_result import AsyncResult, DaemonExecutor, ResultNotReady
from tator.testing import LocalTator


@pytest.fixture
def api(local_tator: LocalTator) -> tator.JobApi:
    """An API of a server of the test's own."""
    return tator.get_api(local_tator.host, local_tator.token)


def test_the_result_can_be_got(local_tator: LocalTator, api: tator.JobApi) -> None:
    """`get` and `result` give what the call returns, as often as it is asked."""
    (uid,) = local_tator.launch().run_uids
    handle = api.delete_job(uid, async_req=True)
    assert "cancelled" in (handle.get(10).message or "")
    assert handle.result() == handle.get()
    assert handle.ready()
    assert handle.done()
    assert handle.successful()


def test_an_error_comes_with_the_result(api: tator.JobApi) -> None:
    """What the call raises is raised where the result is asked for."""
    handle = api.delete_job_group("unknown", async_req=True)
    handle.wait(10)
    assert not handle.successful()
    with pytest.raises(tator.ServiceException):
        handle.get()


def test_refusals_do_not_wait(api: tator.JobApi, local_tator: LocalTator) -> None:
    """What is refused is refused at once, by the caller's thread."""
    with pytest.raises(tator.ApiValueError):
        api.delete_job("", async_req=True)
    assert local_tator.requests == []


def test_a_wait_has_an_end(local_tator: LocalTator, api: tator.JobApi) -> None:
    """A wait that ends too early is a TimeoutError of multiprocessing and of futures."""
    local_tator.delay(60)
    handle = api.delete_job("x", async_req=True)
    handle.wait(0.01)
    assert not handle.ready()
    with pytest.raises(ValueError, match="wait"):
        handle.successful()
    futures = concurrent.futures.TimeoutError
    for error in (multiprocessing.TimeoutError, futures, TimeoutError, ResultNotReady):
        with pytest.raises(error):
            handle.get(timeout=0.01)
    local_tator.close()
    handle.wait()


def test_the_calls_own_timeout_is_told_apart(local_tator: LocalTator, api: tator.JobApi) -> None:
    """A call that ended by its deadline raises its own error, not that of the wait."""
    local_tator.delay(60)
    api.api_client.configuration.deadline = 0.2
    with pytest.raises(tator.ApiTimeoutError):
        api.delete_job("x", async_req=True).get(30)


def test_callbacks_get_the_handle(api: tator.JobApi) -> None:
    """A callback is called with the handle, also when the call has ended before."""
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


def test_it_can_be_awaited(local_tator: LocalTator, api: tator.JobApi) -> None:
    """In a running loop, `await` gives the result or raises the error."""
    (uid,) = local_tator.launch().run_uids

    async def cancel() -> str | None:
        done = await api.delete_job(uid, async_req=True)
        with pytest.raises(tator.ServiceException):
            await api.delete_job(uid, async_req=True)
        return done.message

    assert "cancelled" in (asyncio.run(cancel()) or "")


def test_one_who_gives_up_leaves_the_call_to_the_others(
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

    assert all("cancelled" in (words or "") for words in asyncio.run(main()))


def test_without_any_thread_to_be_had_the_call_is_refused(
    local_tator: LocalTator, api: tator.JobApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A system that has no thread to spare is an error of ours, and nothing was sent."""

    def start(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    (uid,) = local_tator.launch().run_uids
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        with pytest.raises(tator.ApiConnectionError, match="can't start new thread") as caught:
            api.delete_job(uid, async_req=True)
    assert not caught.value.maybe_applied
    assert "cancelled" in (api.delete_job(uid, async_req=True).get(10).message or "")
    assert len(local_tator.requests) == 1


def test_where_no_more_threads_can_be_had_those_that_are_there_do_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One thread is enough."""

    def start(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    executor = DaemonExecutor(2)
    free = threading.Event()
    first = executor.submit(free.wait, 10)
    monkeypatch.setattr(threading.Thread, "start", start)
    second = executor.submit(int)
    free.set()
    assert first.result(10)
    assert second.result(10) == 0


def test_no_more_threads_than_connections(local_tator: LocalTator, api: tator.JobApi) -> None:
    """As many calls run at a time as the pool has connections; threads that are free are used."""
    api.api_client.configuration.connection_pool_maxsize = 3
    before = set(threading.enumerate())
    uids = local_tator.launch(20).run_uids
    handles = [api.delete_job(uid, async_req=True) for uid in uids]
    assert all(handle.get(30) for handle in handles)
    after = set(threading.enumerate()) - before
    ours = [thread for thread in after if thread.name.startswith("tator-")]
    assert 1 <= len(ours) <= 3


def test_threads_end_with_their_executor() -> None:
    """Dropping the executor ends its threads, after what was handed in."""
    executor = DaemonExecutor(4)
    futures = [executor.submit(threading.current_thread) for _ in range(8)]
    threads = {future.result(10) for future in futures}
    gone = weakref.ref(executor)
    del executor, futures
    gc.collect()
    assert gone() is None
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


def test_what_was_called_is_let_go_of() -> None:
    """An idle thread keeps neither the call nor its result alive."""

    class Result:
        """Something that can be referred to weakly."""

    executor = DaemonExecutor(1)
    future = executor.submit(Result)
    result = weakref.ref(future.result(10))
    executor.submit(int).result(10)
    del future
    gc.collect()
    assert result() is None


def test_work_that_has_not_begun_can_be_cancelled() -> None:
    """A cancelled future is passed over."""
    executor = DaemonExecutor(1)
    busy = threading.Event()
    first = executor.submit(busy.wait, 10)
    second = executor.submit(int)
    assert second.cancel()
    busy.set()
    assert first.result(10)
    assert executor.submit(int).result(10) == 0


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_child_has_threads_of_its_own(local_tator: LocalTator, api: tator.JobApi) -> None:
    """After a fork with the threads warm, parent and child both go on."""
    first, second, third = local_tator.launch(3).run_uids
    assert api.delete_job(first, async_req=True).get(10)
    child = os.fork()
    if child == 0:
        done = False
        try:
            done = bool(api.delete_job(second, async_req=True).get(10))
        finally:
            os._exit(0 if done else 1)
    assert api.delete_job(third, async_req=True).get(10)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert set(local_tator.jobs.values()) == {"cancelled"}


def test_a_process_ends_with_calls_under_way(local_tator: LocalTator) -> None:
    """Threads that wait for an answer neither hold up the end of a process nor make noise."""
    local_tator.delay(600)
    program = (
        "import tator, sys; api = tator.get_api(*sys.argv[1:]);"
        "handles = [api.delete_job('x', async_req=True) for _ in range(4)];"
        "handles[0].wait(0.2)"
    )
    command = [sys.executable, "-c", program, local_tator.host, local_tator.token]
    run = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
