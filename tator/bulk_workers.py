"""The workers of a bulk run: what it asks of them, and its threads."""

from __future__ import annotations

import queue
import threading
import time
from contextlib import suppress
from contextvars import Context
from typing import TypeAlias
from uuid import UUID

from tator.api.job_api import JobApi
from tator.bulk_result import Outcome
from tator.exceptions import ApiConnectionError, ApiException, UnauthorizedException
from tator.hints import CHECK_OR_REPEAT
from tator.transport.callers import is_callers

Given: TypeAlias = "str | UUID"

_LONGEST_WAIT = 0.5  # seconds; a Ctrl-C just before a wait is only noticed when the wait ends
FEW_THREADS: int = 2  # enough to keep one interpreter busy if the server responds at once
# A review decides whether all threads are started.
_FIRST_REVIEW = 0.003  # seconds after the start
_REVIEW_EVERY = 0.01  # seconds


class Workers:
    """What a bulk run needs from its workers, and where they note the outcomes.

    The thread of the run begins IDs, and takes out those that have ended. Each step is a
    single operation on a dictionary: an interrupt between two of them loses nothing.

    Args:
        most: The maximum number of IDs in progress.

    Attributes:
        in_progress: The IDs that have begun, as they were given.
        claims: Those of them for which a request may be sent, and the thread that took each, or
            that submitted it to an executor.
        noted: The outcome of an ID; `None` if nothing was sent.
        ended: The IDs that have ended, in that order; one may be there twice.
        stopped: Whether no further request is sent.
        failure: What the caller's own code raised, such as a hook.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.in_progress: dict[str, Given] = {}
        self.claims: dict[str, tuple[threading.Thread]] = {}
        self.noted: dict[str, Outcome | None] = {}
        self.ended: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.stopped: bool = False
        self.failure: BaseException | None = None

    @property
    def has_room(self) -> bool:
        """Whether another ID may begin."""
        return len(self.in_progress) < self._most

    @property
    def are_busy(self) -> bool:
        """Whether a request may be in flight."""
        return any(run_uid not in self.noted for run_uid in list(self.claims))

    def begin(self, run_uid: str, given: Given) -> None:
        """Begin an ID."""
        self.in_progress[run_uid] = given

    def flush(self) -> None:
        """Submit the IDs that were held back for company."""

    def stop(self) -> None:
        """Send nothing more: what is not taken yet ends with `None`. Any thread may call this."""
        self.stopped = True

    def shut_down(self) -> None:
        """Stop, and release the threads or the executor."""
        self.stop()

    def note(self, run_uid: str, outcome: Outcome | None) -> None:
        """Note what became of an ID, unless that is noted, and tell the thread of the run."""
        if isinstance(outcome, UnauthorizedException):
            self.stop()
        self.noted.setdefault(run_uid, outcome)
        self.tell(run_uid)

    def tell(self, run_uid: str) -> None:
        """Tell the thread of the run that an ID has ended."""
        self.ended.put(run_uid)

    def fail(self, failure: BaseException) -> None:
        """Stop, since the caller's own code raised an exception; the first one is kept."""
        if self.failure is None:
            self.failure = failure
        self.stop()

    def take_out(self) -> tuple[str, Outcome | None] | None:
        """Wait for an ID that has ended, and return what became of it.

        The outcome stays in `noted` until the caller has stored it. `None` means that none is
        ready; there may be room for another one now.
        """
        run_uid = self.wait()
        if run_uid not in self.in_progress:
            return None
        del self.in_progress[run_uid]
        self.claims.pop(run_uid, None)
        return run_uid, self.noted[run_uid]

    def wait(self) -> str | None:
        """Return an ID that has ended, or `None` after some time without one."""
        try:
            return self.ended.get(timeout=self.patience)
        except queue.Empty:
            self.recover_lost()
            return None

    @property
    def patience(self) -> float:
        """Seconds to wait for an ID to end. On Windows, Ctrl-C does not cut a wait short."""
        return _LONGEST_WAIT

    def recover_lost(self) -> None:
        """Make up for work that an exception thrown into another thread cut short.

        It is called when no ID has ended for some time.
        """


class _Load:
    """How much of the recent time the threads of a run have computed.

    Only one of them can compute at a time. While all wait for the server, more threads could send
    more requests.
    """

    def __init__(self) -> None:
        # By the number of the system's thread: all greenlets of one thread share its clock.
        self._computed: dict[int, float] = {}
        # The recent time begins here, with so many seconds computed by then.
        self._begin, self._computed_before = time.monotonic(), 0.0

    def measure(self) -> None:
        """Note how long this thread has computed."""
        self._computed[threading.get_native_id()] = time.thread_time()

    def is_light(self) -> bool:
        """Tell whether the threads computed for less than half of the recent time."""
        took, computed = self._recent()
        return computed < took / 2

    def drop_oldest(self) -> None:
        """Leave out the oldest eighth.

        In a much shorter time, a pause by the system would look like waiting for the server.
        """
        took, computed = self._recent()
        self._begin += took / 8
        self._computed_before += computed / 8

    def _recent(self) -> tuple[float, float]:
        """Return the length of the recent time, and the seconds computed in it."""
        computed = sum(list(self._computed.values()))
        return time.monotonic() - self._begin, computed - self._computed_before


class ThreadWorkers(Workers):
    """Threads of a run. If none can be started, the thread of the run makes the calls.

    The run begins with a few: if the server responds at once, more would only wait for each other.
    All are started when the few mostly wait for the server.

    Args:
        api: The `JobApi` to use.
        context: The context of which each call runs in a copy.
        threads: The maximum number of threads; with 0, the thread of the run makes the calls.
        at_first: The maximum number of threads at first.

    Attributes:
        wanted_threads: The current maximum number of threads.
    """

    def __init__(
        self, api: JobApi, context: Context, threads: int, at_first: int = FEW_THREADS
    ) -> None:
        # Two IDs for each thread, so that a thread finds its next ID in the queue.
        super().__init__(2 * threads)
        self._api = api
        self._context = context
        self._most_threads = threads
        self.wanted_threads: int = min(at_first, threads)
        self._threads: list[threading.Thread] = []
        self._todo: queue.SimpleQueue[tuple[str, Given] | None] = queue.SimpleQueue()
        self._idle: queue.SimpleQueue[None] = queue.SimpleQueue()  # told by a thread without an ID
        self.load: _Load = _Load()
        self._next_review = time.monotonic() + _FIRST_REVIEW
        self._ended_lately = 0  # IDs, since the last review
        self._most_for_now = self.wanted_threads  # IDs in progress, until all threads are started

    @property
    def _can_grow(self) -> bool:
        return self.wanted_threads < self._most_threads

    @property
    def has_room(self) -> bool:
        """Whether another ID may begin.

        Until all threads are started, no more are in progress than ended between two reviews, or
        than there are threads: while the next ID is awaited, nothing adds threads for the others.
        """
        if self._can_grow:
            return len(self.in_progress) < self._most_for_now
        return super().has_room

    @property
    def patience(self) -> float:
        """Seconds until the next review, if threads can be added."""
        if self._can_grow:
            return max(self._next_review - time.monotonic(), 0)
        return super().patience

    def wait(self) -> str | None:
        """Return an ID that has ended, if there is one; add threads if they would help."""
        if not self._can_grow:
            return super().wait()
        run_uid = None
        try:
            run_uid = self.ended.get_nowait()
            self._ended_lately += 1
        except queue.Empty:
            # Python 3.10 may block in a queue's get(timeout=0).
            if patience := self.patience:
                # Not for each outcome: to be woken costs both threads time.
                with suppress(queue.Empty):
                    self._idle.get(timeout=patience)
        if not self.patience:
            self._review()
        return run_uid

    def _review(self) -> None:
        """Start all threads if the few mostly wait; if not, set the most IDs in progress."""
        self._most_for_now = max(self.wanted_threads, self._ended_lately)
        self._ended_lately = 0
        if self.load.is_light():
            self.wanted_threads = self._most_threads
            for _ in range(self._most_threads):
                self._hire()
        self.load.drop_oldest()
        self._next_review = time.monotonic() + _REVIEW_EVERY

    def begin(self, run_uid: str, given: Given) -> None:
        """Put an ID into the queue of the threads."""
        super().begin(run_uid, given)
        self._todo.put((run_uid, given))
        self._hire()

    def shut_down(self) -> None:
        """Let the threads end once the queue is empty."""
        super().shut_down()
        for _ in self._threads:
            self._todo.put(None)

    def recover_lost(self) -> None:
        """Queue again, or note as unknown, what threads that have died left behind."""
        dead = [thread for thread in self._threads if not thread.is_alive()]
        self._threads = [thread for thread in self._threads if thread not in dead]
        for run_uid, given in self.in_progress.items() if dead else ():
            claim = self.claims.get(run_uid)
            if claim is None:
                self._todo.put((run_uid, given))
            elif claim[0] in dead:
                self.note(run_uid, unknown("The thread of the call was interrupted"))
        for _ in dead:
            self._hire()

    def _hire(self) -> None:
        """Start one more thread if it would help; if none can be started, make the calls here."""
        if len(self._threads) < self.wanted_threads and not self._todo.empty():
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
            self._todo.put(None)  # so that _serve() ends
            self._serve()

    def _work(self) -> None:
        # An exception that is thrown into this thread ends it; `recover_lost` makes up for it.
        with suppress(BaseException):
            self._serve()

    def _serve(self) -> None:
        for run_uid, given in iter(self._next, None):
            self._do(run_uid, given)

    def _next(self) -> tuple[str, Given] | None:
        try:
            return self._todo.get_nowait()
        except queue.Empty:
            if self._idle.empty():
                self._idle.put(None)
            return self._todo.get()

    def _do(self, run_uid: str, given: Given) -> None:
        claim = (threading.current_thread(),)  # a new tuple: `is` tells it from all other claims
        if self.claims.setdefault(run_uid, claim) is not claim:
            return  # it was queued twice, and another thread has it
        if run_uid not in self.in_progress:
            self.claims.pop(run_uid, None)  # it was queued twice, and has been taken out since
            return
        if self.stopped:
            self.note(run_uid, None)
            return
        outcome: Outcome
        try:
            outcome = self._context.copy().run(self._api.delete_job, given)
        except ApiException as error:
            outcome = error.with_traceback(None)  # its frames would be kept as long as the error
        except (Exception, SystemExit) as error:
            outcome = unknown(f"delete_job raised {type(error).__name__}")
            self.fail(error)
        self.load.measure()
        self.note(run_uid, outcome)


def unknown(reason: str) -> ApiConnectionError:
    """Return the outcome of a job that may have been cancelled."""
    return ApiConnectionError(reason=reason, maybe_applied=True, hint=CHECK_OR_REPEAT)
