"""The workers of a bulk run that uses the caller's executor."""

from __future__ import annotations

import pickle
import sys
import threading
from concurrent.futures import Executor, Future
from contextvars import Context, copy_context
from functools import lru_cache
from traceback import format_exception_only, walk_tb
from typing import Any, NamedTuple
from uuid import uuid4

from tator.api.job_api import JobApi
from tator.bulk_result import Outcome
from tator.bulk_workers import FEW_THREADS, Given, ThreadWorkers, Workers, unknown
from tator.transport.callers import package_of

_LARGEST_CHUNK = 64  # IDs that are sent to another process together
_THREADS_OF_UNKNOWN = 4  # in each task, if the number of concurrent tasks is unknown


class ExecutorWorkers(Workers):
    """The caller's executor. IDs are sent to other processes in chunks, to threads one by one.

    Args:
        api: The `JobApi` to use.
        context: The context of which each call in this process runs in a copy.
        most: The maximum number of jobs in flight.
        executor: The executor.
    """

    def __init__(self, api: JobApi, context: Context, most: int, executor: Executor) -> None:
        is_process_pool = _is_of(executor, "process", "ProcessPoolExecutor")
        tasks, threads, largest = most, 1, 1  # for threads: each ID is a task
        if is_process_pool or package_of(type(executor).__module__) == "distributed":
            tasks, threads = _share(most, getattr(executor, "_max_workers", None))
            largest = max(threads, _LARGEST_CHUNK)
        super().__init__(tasks * largest)
        self._executor = executor
        self._task = _Task(_SharedApi(api, context), uuid4().hex, threads)
        self._most_tasks = tasks
        self._next_size = threads  # of the next chunk; it grows, so that few IDs spread out
        self._largest_size = largest
        self._chunk: list[str] = []
        self._futures: dict[Future[Any], list[str]] = {}
        # Only with these two does a cancelled future prove that its work has not begun.
        is_thread_pool = _is_of(executor, "thread", "ThreadPoolExecutor")
        self._cancel_proves_unsent = is_process_pool or is_thread_pool

    @property
    def has_room(self) -> bool:
        """Whether another ID may begin."""
        # A future may still be here just after its last ID has ended.
        return not self.in_progress or (super().has_room and len(self._futures) < self._most_tasks)

    def begin(self, run_uid: str, given: Given) -> None:
        """Add an ID to the chunk, and submit the chunk if it is full."""
        super().begin(run_uid, given)
        self._chunk.append(run_uid)
        if len(self._chunk) >= self._next_size:
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
        self._next_size = min(2 * self._next_size, self._largest_size)
        given = [self.in_progress[run_uid] for run_uid in chunk]
        self.claims.update(dict.fromkeys(chunk, (threading.current_thread(),)))
        try:
            future = self._executor.submit(self._task.run, given)
        except Exception as error:
            if not self._raised_by_executor(error):
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
        """Stop, and cancel what the executor has not begun."""
        super().stop()
        for future in list(self._futures):
            future.cancel()

    def shut_down(self) -> None:
        """Stop, and end the chunk too."""
        super().shut_down()
        self.flush()

    def recover_lost(self) -> None:
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
                may_have_begun = not self._cancel_proves_unsent
                outcome = unknown("Cancelled before it ended") if may_have_begun else None
                self.note(run_uid, outcome)
        elif error := future.exception():
            self._lose(chunk, error)
        else:
            outcomes, failure = future.result()
            if failure is not None:
                self.fail(failure)
            for run_uid, outcome in zip(chunk, outcomes, strict=True):
                self.note(run_uid, outcome)
        self._futures.pop(future, None)

    def _lose(self, chunk: list[str], error: BaseException) -> None:
        words = " ".join("".join(format_exception_only(error)).split())  # with its notes
        for run_uid in chunk:
            self.note(run_uid, unknown(f"The executor failed: {words}"))

    def _raised_by_executor(self, error: Exception) -> bool:
        """Tell whether the executor raised it, rather than a signal handler of the caller."""
        *_, (frame, _) = walk_tb(error.__traceback__)
        packages = {"tator", package_of(type(self._executor).__module__), *sys.stdlib_module_names}
        return package_of(str(frame.f_globals.get("__name__"))) in packages


class _SharedApi:
    """An API that is pickled once for all the work, and unpickled once in each process.

    Attributes:
        api: The `JobApi` to use.
        context: The context of which each call runs in a copy; it is not pickled.
        stopped_run: The name of the last run that stopped: nothing more of it is sent.
        first_threads: How many threads the next chunk begins with.
    """

    def __init__(self, api: JobApi, context: Context, is_copy: bool = False) -> None:
        self.api, self.context, self.stopped_run = api, context, ""
        self.first_threads: int = FEW_THREADS
        self._is_copy = is_copy
        self._pickle: bytes | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        if self._pickle is None:
            self._pickle = pickle.dumps(self.api)
        return _unpacked, (self._pickle,)

    def sent_back(self, failure: BaseException | None) -> BaseException | None:
        """Return what the caller's code raised, in words if it can't travel to another process."""
        if failure is None or not self._is_copy:
            return failure
        try:
            pickle.loads(pickle.dumps(failure))
        except Exception:
            return RuntimeError(f"{type(failure).__name__}: {failure}")
        return failure


@lru_cache(maxsize=8)
def _unpacked(pickled: bytes) -> _SharedApi:
    return _SharedApi(pickle.loads(pickled), copy_context(), is_copy=True)


class _Task(NamedTuple):
    """What an executor calls with a chunk of IDs.

    Attributes:
        shared: The API, and what its chunks in one process share.
        run_name: A name that is unique to this run: for an equal task, Dask returns the earlier
            result.
        threads: The maximum number of threads.
    """

    shared: _SharedApi
    run_name: str
    threads: int

    def run(self, chunk: list[Given]) -> tuple[list[Outcome | None], BaseException | None]:
        """Cancel the jobs of a chunk; return the outcomes, and what the caller's code raised."""
        shared = self.shared
        if shared.stopped_run == self.run_name:
            return [None] * len(chunk), None
        threads = min(self.threads, len(chunk))
        workers = ThreadWorkers(
            shared.api, shared.context, threads if threads > 1 else 0, shared.first_threads
        )
        names = list(map(str, range(len(chunk))))  # in another process, an ID may look different
        try:
            for name, given in zip(names, chunk, strict=True):
                workers.begin(name, given)
            while len(workers.noted) < len(chunk):
                workers.wait()
            shared.first_threads = self.threads if workers.load.is_light() else FEW_THREADS
            if workers.stopped:
                shared.stopped_run = self.run_name
        finally:
            workers.shut_down()
        return [workers.noted[name] for name in names], shared.sent_back(workers.failure)


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
