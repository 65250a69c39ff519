"""Cancel many jobs: a bounded number at a time, with the outcomes in order.

result = tator.bulk.delete_jobs(api, run_uids)
result.deleted, result.failed, result.not_attempted
"""

from __future__ import annotations

import queue
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sized
from concurrent.futures import Executor
from contextlib import (
    AbstractContextManager,
    closing,
    contextmanager,
    nullcontext,
    suppress,
)
from contextvars import copy_context
from hashlib import sha256
from importlib import import_module
from types import NoneType
from typing import Any
from uuid import UUID

from tator import checks
from tator.api.job_api import JobApi
from tator.bulk_executors import ExecutorWorkers
from tator.bulk_result import BulkInterrupted, BulkResult, Outcome
from tator.bulk_workers import ThreadWorkers, Workers, unknown
from tator.exceptions import ApiValueError
from tator.logs import logger

__all__ = [
    "BulkInterrupted",
    "BulkResult",
    "Outcome",
    "delete_jobs",
    "iter_delete_jobs",
]

_END: Any = object()
_GRACE = 0.5  # seconds that an interrupted run waits for what is in flight


def delete_jobs(
    api: JobApi,
    run_uids: Iterable[str | UUID],
    *,
    max_workers: int = 32,
    progress: bool | Callable[[int, int | None], object] | None = None,
    executor: Executor | None = None,
) -> BulkResult:
    """Cancel many jobs at once; one failure does not stop the others.

    If the server rejects the credentials, no more requests are sent.

    Args:
        api: The `JobApi` to use.
        run_uids: The IDs; for a repeated ID, only one request is sent. An iterator is consumed as
            the run progresses; IDs that it has not yielded when the run stops are not in the
            result.
        max_workers: The maximum number of jobs in flight. Defaults to 32.
        progress: `None` shows a bar in a terminal or a notebook, if tqdm is installed. `True`
            always shows it, and `False` never does. A callable gets the number of jobs done and the
            total (`None` for an iterator). Defaults to `None`.
        executor: The executor to use, such as a process pool. Defaults to new threads.

    Raises:
        ApiTypeError, ApiValueError: If an argument can't be used; nothing was sent.
        BulkInterrupted: If Ctrl-C was pressed; its `result` has the outcomes that arrived.
        Exception: If `run_uids`, `progress` or other code of your program raised it. The run is
            stopped first; a line at WARNING on the logger `tator` has the counts.
    """
    run = _Run(api, run_uids, max_workers, executor)
    outcomes: dict[str, Outcome | None] = {}
    total = None
    if isinstance(run_uids, Sized):
        run.run_uids = list(run_uids)  # some that have a length can be read only once
        outcomes = dict.fromkeys(map(checks.text_of, run.run_uids))
        total = len(outcomes)
    bar = _bar(progress, total)
    try:
        with bar as show, closing(run.outcomes(outcomes, raise_at_once=True)) as arriving:
            for done, (run_uid, outcome) in enumerate(arriving, 1):
                outcomes[run_uid] = outcome
                show(done)
        return _result(outcomes)
    except KeyboardInterrupt:
        pass  # raised below, where its traceback does not repeat the Ctrl-C
    except BaseException as error:
        result = run.abandon(outcomes, grace=0)
        logger.warning("delete_jobs was stopped by %s: %s", type(error).__name__, result)
        raise
    raise BulkInterrupted(run.abandon(outcomes, _GRACE))


def iter_delete_jobs(
    api: JobApi,
    run_uids: Iterable[str | UUID],
    *,
    max_workers: int = 32,
    executor: Executor | None = None,
) -> Generator[tuple[str, Outcome], None, None]:
    """Cancel many jobs at once, and yield each outcome as it arrives.

    It keeps only about 20 bytes for each ID, to recognize repeated ones. Closing the iterator stops
    the run: nothing more is sent, and it does not wait for requests in flight.

    Args:
        api: The `JobApi` to use.
        run_uids: The IDs, from an iterator of any length; for a repeated ID, only one request is
            sent.
        max_workers: As in `delete_jobs`.
        executor: As in `delete_jobs`.

    Yields:
        An ID and its outcome. If the server rejects the credentials, the IDs that were not
        attempted are left out.

    Raises:
        ApiTypeError, ApiValueError: If an argument can't be used; nothing was sent.
        Exception: If your code raised it. From your hook, or while `run_uids` was read, it is
            raised after the outcomes of all requests in flight; from a signal handler at any other
            time, at once.
    """
    return _Run(api, run_uids, max_workers, executor).outcomes()


class _Run:
    """The work of one call: as one job ends, another begins."""

    def __init__(
        self,
        api: JobApi,
        run_uids: Iterable[str | UUID],
        max_workers: int,
        executor: Executor | None,
    ) -> None:
        if not callable(getattr(api, "delete_job", None)):
            checks.reject_type("api", "a JobApi", api)
        _check_ids(run_uids)
        most = checks.integer("max_workers", max_workers, 1)
        if not isinstance(executor, (Executor, NoneType)):
            hint = "For a Dask cluster, write executor=client.get_executor()."
            checks.reject_type("executor", "a concurrent.futures.Executor", executor, hint)
        # On this thread, so that the warning points at the caller's line.
        getattr(getattr(api, "api_client", None), "warn_once", lambda: None)()
        self.run_uids = run_uids
        context = copy_context()
        self._workers: Workers = (
            ThreadWorkers(api, context, most)
            if executor is None
            else ExecutorWorkers(api, context, most, executor)
        )
        self._seen = _Seen()

    def outcomes(
        self, order: dict[str, Outcome | None] | None = None, raise_at_once: bool = False
    ) -> Generator[tuple[str, Outcome], None, None]:
        """Yield the outcomes as they arrive.

        Args:
            order: Where IDs are stored as they are read.
            raise_at_once: Whether an exception from the caller's own code is raised at once, and
                not after the outcomes.
        """
        workers = self._workers
        try:
            source = iter(self.run_uids)
            self._fill(source, order)
            while workers.in_progress and not (raise_at_once and workers.failure is not None):
                pair = workers.take_out()
                # Before the outcome is yielded: the caller may take long to ask for the next one.
                self._fill(source, order)
                if pair is None:
                    continue
                run_uid, outcome = pair
                if outcome is not None:
                    yield run_uid, outcome
                # Only now has the caller stored it: an interrupt before would lose it.
                workers.noted.pop(run_uid, None)
        finally:
            workers.shut_down()
        if workers.failure is not None:
            raise workers.failure

    def abandon(self, outcomes: dict[str, Outcome | None], grace: float) -> BulkResult:
        """Stop, wait a moment for requests in flight, and return the outcomes that arrived."""
        workers = self._workers
        while True:
            try:
                workers.shut_down()
                gives_up = time.monotonic() + grace
                while workers.are_busy and (left := gives_up - time.monotonic()) > 0:
                    with suppress(queue.Empty):  # what has ended is in `noted`, too
                        workers.ended.get(timeout=left)
                for run_uid in [*workers.in_progress, *workers.noted]:
                    if run_uid in workers.noted:
                        outcomes[run_uid] = workers.noted[run_uid]
                    elif run_uid in workers.claims:
                        outcomes[run_uid] = unknown("Interrupted before the response arrived")
                return _result(outcomes)
            except KeyboardInterrupt:  # a second one: return the result without waiting
                grace = 0

    def _fill(self, source: Iterator[str | UUID], order: dict[str, Outcome | None] | None) -> None:
        """Begin jobs until there is no room, no ID is left, or an outcome waits to be yielded."""
        workers = self._workers
        while workers.has_room and not workers.stopped and workers.failure is None:
            try:
                given = next(source, _END)
                if given is _END:
                    break
                run_uid = checks.text_of(given)
            except Exception as error:
                workers.failure = error  # what is in flight goes on
                break
            if order is not None:
                order.setdefault(run_uid)
            if self._seen.add(run_uid):
                # A subclass of str, such as an enumeration's, may be unknown in another process.
                workers.begin(run_uid, run_uid if isinstance(given, str) else given)
            if not workers.ended.empty():
                return
        workers.flush()


class _Seen:
    """The IDs seen so far, in about 20 bytes each: a set takes five times as much.

    Each place holds digests in one piece. That an ID's digest is found across two of them is as
    unlikely as that two IDs share one.
    """

    def __init__(self) -> None:
        self._digests = [b""] * 4096

    def add(self, run_uid: str) -> bool:
        """Tell whether the ID is new."""
        digest = sha256(run_uid.encode("utf-8", "surrogatepass")).digest()[:16]
        place = int.from_bytes(digest[:2], "big") % len(self._digests)
        if digest in self._digests[place]:
            return False
        self._digests[place] += digest
        return True


def _check_ids(run_uids: object) -> None:
    hint = "For one job, write [run_uid], or call delete_job."
    are_many = isinstance(run_uids, Iterable) and not isinstance(run_uids, (str, bytes))
    if hasattr(run_uids, "columns"):
        are_many, hint = False, "Pass the column with the IDs, such as frame['run_uid']."
    if not are_many:
        checks.reject_type("run_uids", "an iterable of IDs", run_uids, hint)


def _result(outcomes: Mapping[str, Outcome | None]) -> BulkResult:
    attempted = {run_uid: outcome for run_uid, outcome in outcomes.items() if outcome is not None}
    return BulkResult(attempted, [run_uid for run_uid in outcomes if run_uid not in attempted])


def _bar(
    progress: bool | Callable[[int, int | None], object] | None, total: int | None
) -> AbstractContextManager[Callable[[int], object]]:
    """Return a context with what to call, as jobs finish, with their number."""
    if callable(progress):
        return nullcontext(lambda done: progress(done, total))
    if not isinstance(progress, (bool, NoneType)):
        checks.reject_type("progress", "True, False, None or a callable", progress)
    tqdm = _tqdm() if progress or (progress is None and _is_watched()) else None
    if progress and tqdm is None:
        raise ApiValueError(reason="progress needs tqdm", hint="Install it: pip install tqdm")
    if tqdm is None:
        return nullcontext(lambda done: None)
    return _shown(tqdm, total)


@contextmanager
def _shown(tqdm: Any, total: int | None) -> Iterator[Callable[[int], object]]:
    with tqdm(total=total, desc="Cancelling", unit="job") as bar:
        yield lambda done: bar.update()


def _tqdm() -> Any:
    try:
        return import_module("tqdm.auto").tqdm
    except ImportError:
        return None


def _is_watched() -> bool:
    """Tell whether standard error is a terminal, or this program runs in a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return hasattr(shell, "kernel") or (sys.stderr is not None and sys.stderr.isatty())
