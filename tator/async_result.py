"""The handle that `async_req=True` returns, and the threads behind it."""

from __future__ import annotations

import multiprocessing
import os
import queue
import weakref
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, NoReturn, TypeVar, cast

from tator import threads
from tator.exceptions import ApiConnectionError
from tator.logs import logger

if TYPE_CHECKING:
    from asyncio import Future

__all__ = ["AsyncResult", "ResultNotReady"]

T = TypeVar("T")


class _FutureTimeout(FutureTimeoutError):
    """Its base is `TimeoutError` itself since Python 3.11, and no class may have a base twice."""


class ResultNotReady(multiprocessing.TimeoutError, _FutureTimeout, TimeoutError):
    """The wait timed out while the call was in progress; the call continues."""


class _Outcome(NamedTuple):
    value: Any
    error: Exception | None
    trace: TracebackType | None


def _interrupted(by: str) -> ApiConnectionError:
    return ApiConnectionError(reason=f"The thread of the call was interrupted by {by}")


class AsyncResult(Generic[T]):
    """A call in progress: use it like multiprocessing's AsyncResult or a Future, or `await` it.

    The call's deadline starts when a thread starts the call. The call runs in a copy of its
    caller's context (`contextvars`).
    """

    def __init__(self, call: Callable[[], T]) -> None:
        self._call: Callable[[], T] | None = call
        self._context = copy_context()
        self._process = os.getpid()
        self._outcome: _Outcome | None = None  # once the call has ended
        self._callbacks: list[Callable[[], object]] = []

    def run(self) -> None:
        """Make the call, on the current thread.

        It can be called again if an exception was thrown into that thread.
        """
        try:
            call, self._call = self._call, None
            if call is None:
                outcome = _Outcome(None, _interrupted("an exception"), None)
            else:
                outcome = _Outcome(self._context.run(call), None, None)
        except Exception as error:
            outcome = _Outcome(None, error, error.__traceback__)
        except BaseException as error:
            # It was thrown into the thread, or ends a program: it says nothing about the call.
            outcome = _Outcome(None, _interrupted(type(error).__name__), None)
        if self._outcome is None:
            self._outcome = outcome
        self._tell()

    def _tell(self) -> None:
        with suppress(IndexError):  # there are no more
            # Nothing that is thrown into this thread can come between pop() and `callback`.
            for callback in iter(partial(self._callbacks.pop, 0), None):
                try:
                    callback()
                except BaseException as error:
                    logger.exception("a callback of an AsyncResult raised")
                    if not isinstance(error, Exception):
                        raise  # Ctrl-C or sys.exit(): a worker goes on, the caller's thread ends

    def _add(self, callback: Callable[[], object]) -> None:
        self._callbacks.append(callback)
        if self._outcome is not None:
            self._tell()

    def _remove(self, callback: Callable[[], object]) -> None:
        with suppress(ValueError):
            self._callbacks.remove(callback)

    def _check_process(self) -> None:
        if self._process != os.getpid() and self._outcome is None:
            raise ApiConnectionError(
                reason="The call belongs to another process",
                hint="Read its result in the process that made the call.",
            )

    def wait(self, timeout: float | None = None) -> None:
        """Wait until the call has ended.

        Args:
            timeout: The longest wait, in seconds. Defaults to no limit.

        Raises:
            ApiConnectionError: If the call belongs to the parent of a forked process.
        """
        self._check_process()
        # Python 3.10 may block in a queue's get(timeout=0).
        if self._outcome is not None or (timeout is not None and timeout <= 0):
            return
        news: queue.SimpleQueue[None] = queue.SimpleQueue()
        tell = partial(news.put, None)
        self._add(tell)
        try:
            with suppress(queue.Empty):
                news.get(timeout=timeout)
        finally:
            self._remove(tell)

    def ready(self) -> bool:
        """Tell whether the call has ended, with or without success."""
        return self._outcome is not None

    done = ready

    def successful(self) -> bool:
        """Tell whether the call has ended without an error.

        Raises:
            ValueError: If it has not ended.
        """
        if self._outcome is None:
            raise ValueError("the call has not ended: wait() for it first")
        return self._outcome.error is None

    def result(self, timeout: float | None = None) -> T:
        """Return what the call returns.

        Args:
            timeout: The longest wait, in seconds. Defaults to no limit.

        Raises:
            ApiException: If the call raises one.
            ResultNotReady: If the wait times out. It is also the `TimeoutError` of
                `multiprocessing` and of `concurrent.futures`.
        """
        self.wait(timeout)
        if self._outcome is None:
            raise ResultNotReady(f"no result within {timeout} s; the call continues")
        value, error, trace = self._outcome
        if error is not None:
            try:
                # With its first traceback, which would grow with each reading.
                raise error.with_traceback(trace)
            finally:
                del self, error, trace
        return cast(T, value)

    get = result

    def add_done_callback(self, function: Callable[[AsyncResult[T]], object]) -> None:
        """Call `function` with this handle when the call has ended, on the thread that ended it.

        Raises:
            TypeError: If `asyncio.wait` calls this: it would never wake up.
        """
        if getattr(function, "__module__", None) == "asyncio.tasks":
            raise TypeError(
                "asyncio.wait does not accept a handle: pass asyncio.ensure_future(handle)"
            )
        self._add(lambda: function(self))

    def __reduce__(self) -> NoReturn:
        raise TypeError("a handle can't be pickled or copied: send its result, handle.get()")

    def __await__(self) -> Generator[Any, None, T]:
        import asyncio  # loaded already if something awaits, and slow if nothing does

        loop = asyncio.get_running_loop()
        waiter = loop.create_future()

        def wake() -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(_end_wait, waiter)

        # The waiter gets no exception: asyncio would log it if nobody awaits it any more.
        self._check_process()
        self._add(wake)
        try:
            yield from waiter
        finally:
            self._remove(wake)
        return self.result()


def _end_wait(waiter: Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


class CallThreads:
    """Threads that make calls: started when there is work, ended when this object is dropped.

    A forked child gets separate threads.

    Args:
        most: The maximum number of threads.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._start_afresh()

    def _start_afresh(self) -> None:
        self._tasks: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        # Counters, as deques: each step on them is a single operation, so no interrupt can leave
        # a lock behind. A thread that ends a task takes one that waits; without any, it is idle.
        self._room = deque([None] * self._most)  # threads that may still start
        self._idle = deque[None]()  # threads that wait for a task
        self._waiting = deque[None]()  # tasks that wait for a busy thread
        weakref.finalize(self, self._tasks.put, None).atexit = False
        self._process = os.getpid()

    def run(self, task: Callable[[], object]) -> None:
        """Have a thread call `task`, which must not raise.

        Raises:
            ApiConnectionError: If no thread has started yet, and the system can't start one.
        """
        # gevent may have replaced queues meanwhile: a native one would stop all greenlets.
        if self._process != os.getpid() or type(self._tasks) is not queue.SimpleQueue:
            self._start_afresh()
        if not _take(self._idle):
            if not self._room:
                self._waiting.append(None)
            elif not self._find_thread():
                task()
                return
        self._tasks.put(task)

    def _find_thread(self) -> bool:
        """Start a thread, or leave the task to the others; `False` if the caller must do it."""
        name = f"tator-{self._most - len(self._room) + 1}"
        work = (self._tasks, self._room, self._idle, self._waiting)
        try:
            return threads.start(_work, *work, name=name)
        except RuntimeError as error:
            if len(self._room) == self._most:
                reason = f"Could not start a thread: {error}"
                raise ApiConnectionError(reason=reason, maybe_applied=False) from None
            self._waiting.append(None)
            return True


def _take(entries: deque[None]) -> bool:
    """Take an entry out; tell whether there was one."""
    try:
        entries.pop()
    except IndexError:
        return False
    return True


def _work(
    tasks: queue.SimpleQueue[Callable[[], object] | None],
    room: deque[None],
    idle: deque[None],
    waiting: deque[None],
) -> None:
    # Here, and not where the thread is started: an interrupt there would lose the room for it.
    if not _take(room):
        waiting.append(None)  # several were started at once, and this one is too many
        return
    task: Callable[[], object] | None = None
    while True:
        try:
            if task is not None:
                # An exception that was thrown into this thread cut it short: call it again.
                task()
                task = None
            # No such exception can come between get() and `task`.
            for task in iter(tasks.get, None):
                task()
                task = None  # what a caller has let go of must not live on in an idle thread
                if not _take(waiting):
                    idle.append(None)
            tasks.put(None)
            return
        except BaseException:
            continue  # it belongs to no call
