"""The workers of a bulk run: its threads, or an executor that the caller passes."""

from __future__ import annotations

import pickle
import queue
import sys
import threading
from concurrent.futures import Executor, Future
from contextlib import suppress
from contextvars import Context, copy_context
from functools import lru_cache
from traceback import format_exception_only, walk_tb
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID, uuid4

from tator.api.job_api import JobApi
from tator.bulk_result import Outcome
from tator.exceptions import ApiConnectionError, ApiException, UnauthorizedException
from tator.transport.callers import is_callers

Given: TypeAlias = "str | UUID"

_LONGEST_WAIT = 0.5  # seconds in which no Ctrl-C may be noticed
_LARGEST_CHUNK = 32  # IDs that travel to another process together
_THREADS_OF_UNKNOWN = 4  # in each task, if the number of concurrent tasks is unknown


class Workers:
    """What a bulk run asks of those who make its calls, and where they note the outcomes.

    The thread of the run begins IDs, and takes those that have ended out again. Each step is a
    single operation on a dictionary: an interrupt between two of them loses nothing.

    Args:
        most: The most IDs in progress.

    Attributes:
        in_hand: The IDs that have begun, as they were given.
        taken: Those of them for which a request may be sent, and the thread that took each.
        known: What became of an ID; `None` if nothing was sent.
        ended: The IDs that have ended, in that order; one may be there twice.
        stopped: Whether no further request is sent.
        failure: What the caller's own code raised, such as a hook.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.in_hand: dict[str, Given] = {}
        self.taken: dict[str, tuple[threading.Thread]] = {}
        self.known: dict[str, Outcome | None] = {}
        self.ended: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.stopped: bool = False
        self.failure: Exception | None = None

    @property
    def has_room(self) -> bool:
        """Whether another ID may begin."""
        return len(self.in_hand) < self._most

    @property
    def are_busy(self) -> bool:
        """Whether a request may be in flight."""
        return any(run_uid not in self.known for run_uid in list(self.taken))

    def begin(self, run_uid: str, given: Given) -> None:
        """Begin an ID."""
        self.in_hand[run_uid] = given

    def flush(self) -> None:
        """Hold nothing back: the next ID may be long in coming."""

    def stop(self) -> None:
        """Send nothing more: what is not taken yet ends with `None`. Any thread may call this."""
        self.stopped = True

    def end(self) -> None:
        """Stop, and release the threads or the executor."""
        self.stop()

    def note(self, run_uid: str, outcome: Outcome | None) -> None:
        """Note what became of an ID unless it is known, and tell the thread of the run."""
        if isinstance(outcome, UnauthorizedException):
            self.stop()
        self.known.setdefault(run_uid, outcome)
        self.ended.put(run_uid)

    def fail(self, failure: Exception | None) -> None:
        """Stop if the caller's own code raised an exception."""
        if failure is not None:
            self.failure = failure
            self.stop()

    def take_out(self) -> tuple[str, Outcome | None]:
        """Wait until an ID has ended, and return what became of it.

        The outcome stays in `known` until the caller has stored it.
        """
        while True:
            try:
                # A Ctrl-C just before a wait, and any on Windows, is noticed when the wait ends.
                run_uid = self.ended.get(timeout=_LONGEST_WAIT)
            except queue.Empty:
                self.find_lost()
                continue
            if run_uid in self.in_hand:
                del self.in_hand[run_uid]
                self.taken.pop(run_uid, None)
                return run_uid, self.known[run_uid]

    def find_lost(self) -> None:
        """Make up for what an exception that was thrown into another thread has cut short."""


class ThreadWorkers(Workers):
    """Threads of a run. If none can be started, the thread of the run makes the calls.

    Args:
        api: What cancels one job.
        context: What each call runs in a copy of.
        threads: The most threads; with 0, the thread of the run makes the calls.
    """

    def __init__(self, api: JobApi, context: Context, threads: int) -> None:
        # Two IDs for each thread, so that a thread finds its next ID in the queue.
        super().__init__(2 * threads)
        self._api = api
        self._context = context
        self._most_threads = threads
        self._threads: list[threading.Thread] = []
        self._todo: queue.SimpleQueue[tuple[str, Given] | None] = queue.SimpleQueue()

    def begin(self, run_uid: str, given: Given) -> None:
        """Put an ID into the queue of the threads."""
        super().begin(run_uid, given)
        self._todo.put((run_uid, given))
        self._hire()

    def end(self) -> None:
        """Let the threads end once the queue is empty."""
        super().end()
        for _ in self._threads:
            self._todo.put(None)

    def find_lost(self) -> None:
        """Find the calls of threads that have died, and what they took out of the queue."""
        dead = [thread for thread in self._threads if not thread.is_alive()]
        self._threads = [thread for thread in self._threads if thread not in dead]
        for run_uid, given in self.in_hand.items() if dead else ():
            claim = self.taken.get(run_uid)
            if claim is None:
                self._todo.put((run_uid, given))
            elif claim[0] in dead:
                self.note(run_uid, unknown("The thread of the call was interrupted"))
        for _ in dead:
            self._hire()

    def _hire(self) -> None:
        """Start one more thread if it is of use; without any, make the calls here."""
        if len(self._threads) < self._most_threads and not self._todo.empty():
            name = f"tator-bulk-{len(self._threads) + 1}"
            thread = threading.Thread(target=self._work, name=name, daemon=True)
            self._threads.append(thread)
            try:
                thread.start()
            except RuntimeError as error:
                # The system has no more, or the interpreter is about to end.
                self._threads.remove(thread)
                if is_callers(error):
                    raise
        if not self._threads:
            self._todo.put(None)
            self._serve()

    def _work(self) -> None:
        # An exception that is thrown into this thread ends it; `find_lost` makes up for it.
        with suppress(BaseException):
            self._serve()

    def _serve(self) -> None:
        for run_uid, given in iter(self._todo.get, None):
            self._do(run_uid, given)

    def _do(self, run_uid: str, given: Given) -> None:
        claim = (threading.current_thread(),)
        if self.taken.setdefault(run_uid, claim) is not claim:
            return  # it is in the queue twice, and another thread was faster
        if run_uid not in self.in_hand:
            self.taken.pop(run_uid, None)  # it was that much faster
            return
        if self.stopped:
            self.note(run_uid, None)
            return
        outcome: Outcome
        try:
            outcome = self._context.copy().run(self._api.delete_job, given)
        except ApiException as error:
            outcome = error.with_traceback(None)  # its frames would be kept as long as the error
        except Exception as error:
            outcome = unknown(f"delete_job raised {type(error).__name__}")
            self.fail(error)
        self.note(run_uid, outcome)


class ExecutorWorkers(Workers):
    """Somebody's executor. To other processes IDs travel in chunks, to threads one by one.

    Args:
        api: What cancels one job.
        context: What each call runs in a copy of, in this process.
        most: The most jobs in flight.
        executor: Who does the work.
    """

    def __init__(self, api: JobApi, context: Context, most: int, executor: Executor) -> None:
        is_process_pool = _is_of(executor, "process", "ProcessPoolExecutor")
        tasks, threads, largest = most, 1, 1
        if is_process_pool or _package(type(executor).__module__) == "distributed":
            tasks, threads = _share(most, getattr(executor, "_max_workers", None))
            largest = max(threads, _LARGEST_CHUNK)
        super().__init__(tasks * largest)
        self._executor = executor
        self._task = _Task(_Portable(api, context), uuid4().hex, threads)
        self._most_tasks = tasks
        self._size = threads  # of the next chunk; it grows, so that few IDs spread out
        self._largest = largest
        self._chunk: list[str] = []
        self._futures: dict[Future[Any], list[str]] = {}
        # Only of these two does a future that was cancelled prove that its work has not begun.
        is_thread_pool = _is_of(executor, "thread", "ThreadPoolExecutor")
        self._proves_by_cancel = is_process_pool or is_thread_pool

    @property
    def has_room(self) -> bool:
        """Whether another ID may begin."""
        return super().has_room and len(self._futures) < self._most_tasks

    def begin(self, run_uid: str, given: Given) -> None:
        """Add an ID to the chunk, and submit the chunk if it is full."""
        super().begin(run_uid, given)
        self._chunk.append(run_uid)
        if len(self._chunk) >= self._size:
            self.flush()

    def flush(self) -> None:
        """Submit the chunk."""
        chunk, self._chunk = self._chunk, []
        if not chunk:
            return
        if self.stopped:
            for run_uid in chunk:
                self.note(run_uid, None)
            return
        self._size = min(2 * self._size, self._largest)
        given = [self.in_hand[run_uid] for run_uid in chunk]
        self.taken.update(dict.fromkeys(chunk, (threading.current_thread(),)))
        try:
            future = self._executor.submit(self._task.run, given)
        except Exception as error:
            if not self._is_executors(error):
                raise
            # Some executors raise after they have queued the work.
            self._lose(chunk, error)
            self.stop()
            return
        self._futures[future] = chunk
        future.add_done_callback(self._take)
        if self.stopped:  # before the future was there to be cancelled
            future.cancel()

    def stop(self) -> None:
        """Cancel also what the executor has not begun."""
        super().stop()
        for future in list(self._futures):
            future.cancel()

    def end(self) -> None:
        """Stop, and end the chunk too."""
        super().end()
        self.flush()

    def find_lost(self) -> None:
        """Find the futures whose callback was cut short."""
        for future in (future for future in list(self._futures) if future.done()):
            self._take(future)

    def _take(self, future: Future[Any]) -> None:
        """Note the outcomes of a chunk that has ended. Any thread may call this."""
        chunk = self._futures.get(future)
        if chunk is None:
            return  # another thread was faster
        if future.cancelled():
            for run_uid in chunk:
                proof = None if self._proves_by_cancel else unknown("Cancelled before it ended")
                self.note(run_uid, proof)
        elif error := future.exception():
            self._lose(chunk, error)
        else:
            outcomes, failure = future.result()
            self.fail(failure)
            for run_uid, outcome in zip(chunk, outcomes, strict=True):
                self.note(run_uid, outcome)
        self._futures.pop(future, None)

    def _lose(self, chunk: list[str], error: BaseException) -> None:
        words = " ".join("".join(format_exception_only(error)).split())  # with its notes
        for run_uid in chunk:
            self.note(run_uid, unknown(f"The executor failed: {words}"))

    def _is_executors(self, error: Exception) -> bool:
        """Tell whether the executor raised it, and not a signal handler of the caller's."""
        *_, (frame, _) = walk_tb(error.__traceback__)
        own = {"tator", _package(type(self._executor).__module__)}
        return _package(str(frame.f_globals.get("__name__"))) in own | sys.stdlib_module_names


class _Portable:
    """An API that is pickled once for all the work, and unpickled once in each process.

    Attributes:
        api: What cancels one job.
        context: What each call runs in a copy of; it does not travel.
        stopped_run: The run of which nothing more is sent.
    """

    def __init__(self, api: JobApi, context: Context) -> None:
        self.api, self.context, self.stopped_run = api, context, ""
        self._pickle: bytes | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        if self._pickle is None:
            self._pickle = pickle.dumps(self.api)
        return _unpacked, (self._pickle,)


@lru_cache(maxsize=8)
def _unpacked(pickled: bytes) -> _Portable:
    return _Portable(pickle.loads(pickled), copy_context())


class _Task(NamedTuple):
    """What an executor calls with a chunk of IDs.

    Attributes:
        portable: What cancels one job.
        run_name: A name of this run alone: for an equal task, Dask returns the earlier result.
        threads: The most threads.
    """

    portable: _Portable
    run_name: str
    threads: int

    def run(self, chunk: list[Given]) -> tuple[list[Outcome | None], Exception | None]:
        """Cancel the jobs of a chunk; return the outcomes, and what the caller's code raised."""
        portable = self.portable
        if portable.stopped_run == self.run_name:
            return [None] * len(chunk), None
        threads = min(self.threads, len(chunk))
        workers = ThreadWorkers(portable.api, portable.context, threads if threads > 1 else 0)
        names = list(map(str, range(len(chunk))))  # two IDs may be shown alike
        try:
            for name, given in zip(names, chunk, strict=True):
                workers.begin(name, given)
            while workers.in_hand:
                workers.take_out()
            if workers.stopped:
                portable.stopped_run = self.run_name
        finally:
            workers.end()
        return [workers.known[name] for name in names], workers.failure


def unknown(reason: str) -> ApiConnectionError:
    """Return the outcome of a job that may have been cancelled."""
    return ApiConnectionError(reason=reason, maybe_applied=True)


def _share(most: int, processes: int | None) -> tuple[int, int]:
    """Return how many tasks to submit at a time, and the threads of each."""
    if processes is None:
        threads = min(most, _THREADS_OF_UNKNOWN)
        return most // threads, threads
    # One task at work in each process, and one that waits for it.
    return (2 * processes, most // processes) if processes <= most else (most, 1)


def _is_of(executor: Executor, module: str, name: str) -> bool:
    """Tell whether an executor is of a standard class, without loading that class."""
    loaded = sys.modules.get(f"concurrent.futures.{module}")
    return loaded is not None and isinstance(executor, getattr(loaded, name))


def _package(module: str) -> str:
    return module.partition(".")[0]
