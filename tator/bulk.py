"""Many deletions: bounded, in order, nothing lost.

result = tator.bulk.delete_jobs(api, run_uids)
result.deleted, result.failed, result.not_attempted
"""

from __future__ import annotations

import pickle
import queue
import re
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sized
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for_futures
from contextlib import closing, contextmanager, suppress
from functools import lru_cache, partial
from hashlib import sha256
from importlib import import_module
from traceback import format_exception_only
from types import NoneType
from typing import Any, TypeAlias
from uuid import UUID, uuid4

from tator.api.job_api import JobApi
from tator.async_result import DaemonExecutor
from tator.exceptions import (
    ApiConnectionError,
    ApiException,
    ApiTypeError,
    ApiValueError,
)
from tator.models import InlineResponse2044
from tator.notebook import html_table

__all__ = [
    "BulkInterrupted",
    "BulkResult",
    "Outcome",
    "delete_jobs",
    "iter_delete_jobs",
]

Outcome: TypeAlias = InlineResponse2044 | ApiException
"""What became of one job, either the server's words or the error."""

_GRACE = 0.5  # seconds that an interrupted run waits for the answers under way
_LONGEST_WAIT = 0.5  # seconds in which no Ctrl-C may be noticed
_HANDFUL = 0.004  # seconds in which outcomes gather, where this many jobs are in hand
_MANY = 32
_SHOWN_GROUPS, _SHOWN_IDS, _SHOWN_LENGTH = 10, 3, 300


class BulkResult(Mapping[str, Outcome]):
    """What became of many jobs: a mapping of id → outcome, in the order given.

    Attributes:
        deleted: The ids of the jobs that were cancelled.
        failed: The error of each that failed.
        not_attempted: The ids for which nothing was sent; they have no outcome.
    """

    def __init__(self, outcomes: Mapping[str, Outcome], not_attempted: Iterable[str] = ()) -> None:
        self._outcomes = dict(outcomes)
        self.failed = {
            run_uid: outcome
            for run_uid, outcome in outcomes.items()
            if isinstance(outcome, ApiException)
        }
        self.deleted = [run_uid for run_uid in outcomes if run_uid not in self.failed]
        self.not_attempted = list(not_attempted)

    def __getitem__(self, run_uid: str) -> Outcome:
        return self._outcomes[run_uid]

    def __iter__(self) -> Iterator[str]:
        return iter(self._outcomes)

    def __len__(self) -> int:
        return len(self._outcomes)

    def __str__(self) -> str:
        counts = [f"{len(self.deleted)} cancelled"]
        if self.failed:
            counts.append(f"{len(self.failed)} failed")
        if self.not_attempted:
            counts.append(f"{len(self.not_attempted)} not attempted")
        return ", ".join(counts)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self}>"

    def _repr_html_(self) -> str:
        alike: dict[object, list[str]] = {}
        for run_uid, error in self.failed.items():
            kind = (error.status, error.reason, error.message, error.hint, error.maybe_applied)
            alike.setdefault(kind, []).append(run_uid)
        groups = sorted(alike.values(), key=len, reverse=True)
        rows: list[tuple[object, ...]] = [
            (len(ids), _why(self.failed[ids[0]]), _some(ids)) for ids in groups[:_SHOWN_GROUPS]
        ]
        rest = sum(map(len, groups[_SHOWN_GROUPS:]))
        if rest:
            rows.append((rest, "For other reasons: see .failed", ""))
        if self.not_attempted:
            ids = self.not_attempted
            rows.append((len(ids), "Not attempted: nothing was sent.", _some(ids)))
        return html_table(str(self), rows)

    def raise_for_failures(self) -> None:
        """Raise one error if any job failed or was not attempted.

        Raises:
            ApiException: It counts them; its cause is the first failure.
        """
        if not self.failed and not self.not_attempted:
            return
        run_uid, first = next(iter(self.failed.items()), ("", None))
        raise ApiException(
            reason=f"Not all jobs were cancelled: {self}",
            maybe_applied=any(error.maybe_applied for error in self.failed.values()),
            hint=f"The first failure, {run_uid}: {_why(first)}" if first else None,
        ) from first

    def to_records(self) -> list[dict[str, str | int | bool | None]]:
        """One row for each id, for `pandas.DataFrame`; what does not apply is `None`.

        Returns:
            Dictionaries of `run_uid`; `outcome` (`"deleted"`, `"failed"` or `"not attempted"`);
            `status`, the HTTP status of a failure, 0 without an answer; `message`, the server's
            words; `error`, a failure in one line; `maybe_applied`, `False` where it is certain
            that the server did nothing.
        """
        rows: list[dict[str, str | int | bool | None]] = []
        for run_uid, outcome in self.items():
            error = outcome if isinstance(outcome, ApiException) else None
            rows.append(
                {
                    "run_uid": run_uid,
                    "outcome": "failed" if error else "deleted",
                    "status": error.status if error else None,
                    "message": outcome.message,
                    "error": str(error) if error else None,
                    "maybe_applied": error.maybe_applied if error else True,
                }
            )
        nothing = {"status": None, "message": None, "error": None, "maybe_applied": False}
        for run_uid in self.not_attempted:
            rows.append({"run_uid": run_uid, "outcome": "not attempted", **nothing})
        return rows


class BulkInterrupted(KeyboardInterrupt):
    """`delete_jobs` was interrupted.

    Attributes:
        result: All that is known. What was under way without an answer has failed with an
            `ApiConnectionError` whose `maybe_applied` is `True`.
    """

    def __init__(self, result: BulkResult) -> None:
        super().__init__(result)
        self.result = result


def delete_jobs(
    api: JobApi,
    run_uids: Iterable[str | UUID],
    *,
    max_workers: int = 32,
    progress: bool | Callable[[int, int | None], object] | None = None,
    executor: Executor | None = None,
) -> BulkResult:
    """Cancel many jobs at once; one failure does not stop the others.

    After an answer that the token is missing or invalid nothing more is sent.

    Args:
        api: What cancels one job.
        run_uids: The ids; a repeated one is asked for once. An iterator is drawn from as the
            work goes on; what it has not given when the work stops is not in the result.
        max_workers: The most jobs in flight at a time. With threads of our own also at most the
            configuration's `connection_pool_maxsize`.
        progress: `None` shows a bar where a person watches (a terminal or a notebook) and tqdm
            is installed; `True` and `False` force it; a callable gets how many are done, and how
            many there are (`None` for an iterator).
        executor: Where the work is done, such as a process pool. Default: threads of our own.

    Raises:
        ApiTypeError, ApiValueError: An argument can't be used; nothing was sent.
        BulkInterrupted: Ctrl-C; its `result` holds all that is known.
        Exception: What `run_uids` or `progress` raised, after the work was stopped.
    """
    run = _Run(api, run_uids, max_workers, executor)
    outcomes: dict[str, Outcome | None] = {}
    total = None
    if isinstance(run_uids, Sized):
        # Kept, as some that have a length can be read only once.
        run.run_uids = list(run_uids)
        outcomes = dict.fromkeys(map(_text, run.run_uids))
        total = len(outcomes)
    try:
        with _progress(progress, total) as show, closing(run.outcomes(outcomes)) as ended:
            for done, (run_uid, outcome) in enumerate(ended, 1):
                outcomes[run_uid] = outcome
                show(done)
        return _result(outcomes)
    except KeyboardInterrupt:
        pass
    raise BulkInterrupted(run.abandon(outcomes))


def iter_delete_jobs(
    api: JobApi,
    run_uids: Iterable[str | UUID],
    *,
    max_workers: int = 32,
    executor: Executor | None = None,
) -> Generator[tuple[str, Outcome], None, None]:
    """Cancel many jobs at once, and give each outcome as it comes.

    Nothing is kept but some 20 bytes for each id, by which repeated ones are known. Closing the
    iterator stops the work: nothing more is sent, what is in flight is not waited for.

    Args:
        api: What cancels one job.
        run_uids: The ids, from an iterator of any length; a repeated one is asked for once.
        max_workers: As in `delete_jobs`.
        executor: As in `delete_jobs`.

    Yields:
        An id and its outcome. Ids that are not attempted, because the token is missing or
        invalid, are left out.

    Raises:
        ApiTypeError, ApiValueError: An argument can't be used; nothing was sent.
        Exception: What `run_uids` raised, after the outcomes of all that was in flight.
    """
    return _Run(api, run_uids, max_workers, executor).outcomes()


class _Run:
    """The work of one call: as one job comes out, another goes in."""

    def __init__(
        self,
        api: JobApi,
        run_uids: Iterable[str | UUID],
        max_workers: int,
        executor: Executor | None,
    ) -> None:
        if isinstance(run_uids, (str, bytes)) or not isinstance(run_uids, Iterable):
            raise ApiTypeError(
                reason=f"run_uids must be many ids, not one {type(run_uids).__name__}",
                hint="For one job write [run_uid], or call delete_job.",
            )
        if not isinstance(api, JobApi):
            raise ApiTypeError(reason=f"api must be a JobApi, not {type(api).__name__}")
        if isinstance(max_workers, bool) or not isinstance(max_workers, int):
            raise ApiTypeError(reason="max_workers must be a whole number")
        if max_workers < 1:
            raise ApiValueError(reason="max_workers must be 1 or more")
        if not isinstance(executor, (Executor, NoneType)):
            raise ApiTypeError(
                reason="executor must be a concurrent.futures.Executor",
                hint="For a Dask cluster write executor=client.get_executor().",
            )
        self._api = _Portable(api)
        # Dask answers a task that is the same as an earlier one with the earlier result.
        self._name = uuid4().hex
        self.run_uids = run_uids
        if executor is None or isinstance(executor, ThreadPoolExecutor):
            # Threads without a connection would only wait for those that have one.
            max_workers = min(max_workers, api.api_client.configuration.connection_pool_maxsize)
        # To our own threads as much again is handed in advance, so that none waits for this one.
        self._has_advance = executor is None
        self._free = 2 * max_workers if self._has_advance else max_workers
        self._cancel_is_proof = executor is None or _proves_by_cancel(executor)
        self._executor = DaemonExecutor(max_workers) if executor is None else executor
        self._in_flight: dict[str, Future[Outcome] | None] = {}
        self._ended: queue.SimpleQueue[tuple[str, Outcome | None]] = queue.SimpleQueue()
        self._stopped = False
        self._failure: Exception | None = None

    def outcomes(
        self, order: dict[str, Outcome | None] | None = None
    ) -> Generator[tuple[str, Outcome], None, None]:
        """The outcomes as they come; ids are put into `order` as they are drawn."""
        fresh = self._fresh(order)
        try:
            self._fill(fresh)
            while self._in_flight:
                run_uid, outcome = self._next_ended()
                self._free += 1
                # Before the outcome is handed out: whoever gets it may take their time.
                self._fill(fresh)
                if outcome is not None:
                    yield run_uid, outcome
                # Only now: an interrupt at any point finds the outcome here or with the caller.
                del self._in_flight[run_uid]
        finally:
            self._stop()
            del self._executor  # threads of our own end with it
        if self._failure is not None:
            raise self._failure

    def abandon(self, outcomes: dict[str, Outcome | None]) -> BulkResult:
        """Stop, wait a moment for what is in flight, and give all that is known."""
        grace = _GRACE
        while True:
            try:
                self._stop()
                # wait() would also wait for those that were taken back before any thread saw them.
                left = [future for future in self._in_flight.values() if future]
                wait_for_futures([future for future in left if not future.done()], grace)
                for run_uid, future in self._in_flight.items():
                    outcomes[run_uid] = self._outcome(future)
                return _result(outcomes)
            except KeyboardInterrupt:  # an impatient one: the result is wanted all the same
                grace = 0

    def _fresh(
        self, order: dict[str, Outcome | None] | None
    ) -> Generator[tuple[str, str | UUID], None, None]:
        """Each id that was not there before, as a string and as it was given."""
        seen = _Seen()
        for given in self.run_uids:
            run_uid = _text(given)
            if order is not None:
                order.setdefault(run_uid)
            if seen.add(run_uid):
                yield run_uid, given

    def _fill(self, fresh: Iterator[tuple[str, str | UUID]]) -> None:
        """Submit a job, and more while no outcome waits: the next id may be long in coming."""
        while self._free and not self._stopped:
            try:
                pair = next(fresh, None)
            except Exception as error:
                self._failure = error
                pair = None
            if pair is None:
                return
            self._submit(*pair)
            if not self._ended.empty():
                return

    def _submit(self, run_uid: str, given: str | UUID) -> None:
        self._free -= 1
        task = partial(_delete, self._api, given, self._name)
        end = partial(self._end, run_uid)
        try:
            if isinstance(self._executor, DaemonExecutor):
                # Known before it can begin, so that no interrupt finds work without its future.
                future: Future[Outcome] = Future()
                future.add_done_callback(end)
                self._in_flight[run_uid] = future
                self._executor.begin(future, task)
            else:
                self._in_flight[run_uid] = None
                self._in_flight[run_uid] = future = self._executor.submit(task)
                future.add_done_callback(end)
        except Exception as error:
            self._stopped = True
            self._in_flight[run_uid] = None
            self._ended.put((run_uid, ApiConnectionError(reason=_executor_failed(error))))

    def _end(self, run_uid: str, future: Future[Outcome]) -> None:
        """Take note of an outcome, on the thread that brought it."""
        outcome = self._outcome(future)
        if isinstance(outcome, ApiException) and _is_about_token(outcome):
            self._stop()
        self._ended.put((run_uid, outcome))

    def _next_ended(self) -> tuple[str, Outcome | None]:
        if self._has_advance and self._ended.empty() and len(self._in_flight) >= _MANY:
            # Outcomes are taken by the handful: each waking of this thread stops those at work.
            time.sleep(_HANDFUL)
        # In pieces: a Ctrl-C just before a wait, and any on Windows, is noticed only when it ends.
        while True:
            with suppress(queue.Empty):
                return self._ended.get(timeout=_LONGEST_WAIT)

    def _outcome(self, future: Future[Outcome] | None) -> Outcome | None:
        """What became of a job; None if nothing was sent for it."""
        if future is None or not future.done():
            return _unknown("Interrupted before the answer came")
        if future.cancelled():
            return None if self._cancel_is_proof else _unknown("Given up before the answer came")
        error = future.exception()
        if error is None:
            return future.result()
        return _unknown(_executor_failed(error))

    def _stop(self) -> None:
        """Submit nothing more, and take back what has not begun."""
        self._stopped = True
        for future in list(self._in_flight.values()):
            if future is not None:
                future.cancel()


class _Portable:
    """An API that is pickled once for all the work, and unpickled once in each process."""

    def __init__(self, api: JobApi) -> None:
        self.api = api
        self._pickle: bytes | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        if self._pickle is None:
            self._pickle = pickle.dumps(self.api)
        return _unpacked, (self._pickle,)


@lru_cache(maxsize=8)
def _unpacked(pickled: bytes) -> _Portable:
    return _Portable(pickle.loads(pickled))


class _Seen:
    """The ids that were there before, in some 20 bytes each: a set takes five times as much."""

    def __init__(self) -> None:
        self._digests = [b""] * 4096

    def add(self, run_uid: str) -> bool:
        """Whether the id is new."""
        digest = sha256(run_uid.encode("utf-8", "surrogatepass")).digest()[:16]
        place = int.from_bytes(digest[:2], "big") % len(self._digests)
        if digest in self._digests[place]:
            return False
        self._digests[place] += digest
        return True


def _text(run_uid: object) -> str:
    # An enumeration of strings shows as its member's name, and stands for its value.
    return str.__str__(run_uid) if isinstance(run_uid, str) else str(run_uid)


def _delete(portable: _Portable, run_uid: str | UUID, run: str) -> Outcome:
    # Returned, not raised: a raised error brings its traceback along, and Dask logs arguments.
    try:
        return portable.api.delete_job(run_uid)
    except ApiException as error:
        return error.with_traceback(None)


def _result(outcomes: Mapping[str, Outcome | None]) -> BulkResult:
    known = {run_uid: outcome for run_uid, outcome in outcomes.items() if outcome is not None}
    return BulkResult(known, [run_uid for run_uid in outcomes if run_uid not in known])


def _executor_failed(error: BaseException) -> str:
    return f"The executor failed: {format_exception_only(error)[-1].strip()}"


def _unknown(reason: str) -> ApiConnectionError:
    return ApiConnectionError(reason=reason, maybe_applied=True)


def _is_about_token(error: ApiException) -> bool:
    """Whether a refusal is the same for every job, since the server does not know who asks."""
    about_token = _ABOUT_TOKEN.search(error.message or "")
    return error.status == 401 or (error.status == 403 and about_token is not None)


_ABOUT_TOKEN = re.compile(
    r"(invalid|missing|expired) token"
    r"|(token|credentials) (is |was |were |has )?(invalid|missing|expired|not provided)",
    re.IGNORECASE,
)


def _proves_by_cancel(executor: Executor) -> bool:
    """Whether work whose future could be cancelled was never begun; Dask's may have been."""
    from concurrent.futures import ProcessPoolExecutor

    return isinstance(executor, (ThreadPoolExecutor, ProcessPoolExecutor))


@contextmanager
def _progress(
    progress: bool | Callable[[int, int | None], object] | None, total: int | None
) -> Iterator[Callable[[int], object]]:
    """What to call with the number of jobs that are done."""
    if callable(progress):
        yield lambda done: progress(done, total)
        return
    if not isinstance(progress, (bool, NoneType)):
        raise ApiTypeError(reason="progress must be True, False, None or a callable")
    tqdm = _tqdm() if progress or (progress is None and _is_watched()) else None
    if progress and tqdm is None:
        raise ApiValueError(reason="progress needs tqdm", hint="Install it: pip install tqdm")
    if tqdm is None:
        yield lambda done: None
        return
    with tqdm(total=total, desc="Cancelling", unit="job") as bar:
        yield lambda done: bar.update()


def _tqdm() -> Any:
    try:
        return import_module("tqdm.auto").tqdm
    except ImportError:
        return None


def _is_watched() -> bool:
    """Whether standard error is a terminal, or this a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return hasattr(shell, "kernel") or (sys.stderr is not None and sys.stderr.isatty())


def _why(error: ApiException) -> str:
    """An error without what differs from job to job."""
    said = f"{error.status} {error.reason}" if error.status else error.reason
    parts = [f"{said}: {error.message}" if error.message else said]
    if error.maybe_applied:
        parts.append("Whether it was cancelled is not known")
    if error.hint:
        parts.append(error.hint)
    text = " ".join(part if part.endswith((".", "?", "!")) else f"{part}." for part in parts)
    return text if len(text) <= _SHOWN_LENGTH else f"{text[:_SHOWN_LENGTH]}…"


def _some(ids: list[str]) -> str:
    shown = ", ".join(run_uid[:_SHOWN_LENGTH] for run_uid in ids[:_SHOWN_IDS])
    return f"{shown}, …" if len(ids) > _SHOWN_IDS else shown
