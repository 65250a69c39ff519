"""The handle that `async_req=True` returns, and the threads behind it."""

from __future__ import annotations

import multiprocessing
import os
import queue
import threading
import weakref
from collections.abc import Callable, Generator
from concurrent.futures import Executor, Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from concurrent.futures import wait as wait_for_futures
from typing import Any, Generic, ParamSpec, TypeAlias, TypeVar

from tator.exceptions import ApiConnectionError

T = TypeVar("T")
P = ParamSpec("P")


class _FutureTimeout(FutureTimeoutError):
    """Its base is `TimeoutError` itself since Python 3.11, and no class may have a base twice."""


class ResultNotReady(multiprocessing.TimeoutError, _FutureTimeout, TimeoutError):
    """The call was still under way when the time to wait for it was up; it goes on."""


class AsyncResult(Generic[T]):
    """A call under way: read it as multiprocessing's AsyncResult, as a Future, or `await` it.

    The call's deadline runs from when a thread takes it up.
    """

    def __init__(self, future: Future[T]) -> None:
        self._future = future

    def wait(self, timeout: float | None = None) -> None:
        """Wait until the call has ended, for `timeout` seconds at most (default: no limit)."""
        wait_for_futures([self._future], timeout)

    def ready(self) -> bool:
        """Whether the call has ended, well or badly."""
        return self._future.done()

    done = ready

    def successful(self) -> bool:
        """Whether the call has ended without an error.

        Raises:
            ValueError: It has not ended.
        """
        if not self.ready():
            raise ValueError("the call has not ended: wait() for it first")
        return self._future.exception() is None

    def result(self, timeout: float | None = None) -> T:
        """What the call returns, waited for `timeout` seconds at most (default: no limit).

        Raises:
            ApiException: What the call raises.
            ResultNotReady: The time was up; a TimeoutError of multiprocessing and of futures.
        """
        self.wait(timeout)
        if not self.ready():
            raise ResultNotReady(f"no result within {timeout} s; the call goes on")
        return self._future.result()

    get = result

    def add_done_callback(self, function: Callable[[AsyncResult[T]], object]) -> None:
        """Call `function` with this handle when the call has ended, on the thread that ended it."""
        self._future.add_done_callback(lambda _: function(self))

    def __await__(self) -> Generator[Any, None, T]:
        import asyncio  # loaded already where something awaits, and slow where nothing does

        # Shielded: one who gives up waiting does not take the call from the others.
        return asyncio.shield(asyncio.wrap_future(self._future)).__await__()


_Task: TypeAlias = "tuple[Future[Any], Callable[..., Any], tuple[Any, ...], dict[str, Any]]"
_Tasks: TypeAlias = "queue.SimpleQueue[_Task | None]"


class DaemonExecutor(Executor):
    """Threads that never keep a process from ending, as ThreadPoolExecutor's do.

    They start when there is work for them, end when the executor is dropped, and a forked child
    gets its own.

    Args:
        max_workers: The most threads at a time.
    """

    def __init__(self, max_workers: int) -> None:
        self._max_workers = max_workers
        self._start_afresh()

    def _start_afresh(self) -> None:
        self._tasks: _Tasks = queue.SimpleQueue()
        # One entry for each thread that waits for work. threading's semaphore is written in Python
        # around a lock that an interrupt can leave locked.
        self._idle: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._threads = 0
        self._lock = threading.RLock()  # R: a signal handler may call meanwhile
        weakref.finalize(self, self._tasks.put, None).atexit = False
        self._pid = os.getpid()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have a thread call `fn`; its result comes through the future."""
        future: Future[T] = Future()
        self.begin(future, fn, *args, **kwargs)
        return future

    def begin(
        self, future: Future[T], fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> None:
        """Do as `submit`, with a future that the caller has made.

        Raises:
            ApiConnectionError: The system has no more threads, and there is none yet.
        """
        if self._pid != os.getpid():
            self._start_afresh()
        with self._lock:
            try:
                self._idle.get(block=False)
            except queue.Empty:
                self._start_thread()
        self._tasks.put((future, fn, args, kwargs))

    def _start_thread(self) -> None:
        if self._threads == self._max_workers:
            return
        name = f"tator-{self._threads + 1}"
        work = (self._tasks, self._idle)
        try:
            threading.Thread(target=_work, args=work, name=name, daemon=True).start()
            self._threads += 1
        except RuntimeError as error:
            if not self._threads:
                reason = f"No thread for the call: {error}"
                raise ApiConnectionError(reason=reason) from None


def _work(tasks: _Tasks, idle: queue.SimpleQueue[None]) -> None:
    while (task := tasks.get()) is not None:
        future, fn, args, kwargs = task
        if future.set_running_or_notify_cancel():
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)
                del result
        # What a caller has let go of must not live on in an idle thread.
        del task, future, fn, args, kwargs
        idle.put(None)
    tasks.put(None)
