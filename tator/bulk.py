"""Many deletions: bounded, in order, nothing lost.

result = tator.bulk.delete_jobs(api, run_uids)
result.deleted, result.failed, result.not_attempted
"""

from __future__ import annotations

import pickle
import queue
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sized
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for_futures
from contextlib import contextmanager
from functools import lru_cache, partial
from hashlib import sha256
from typing import Any, TypeAlias
from uuid import UUID

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
"""What became of one job: the server's words, or the error."""

_GRACE = 0.5  # seconds that an interrupted run waits for the answers under way
_SHOWN_REASONS, _SHOWN_IDS, _SHOWN_LENGTH = 10, 3, 300


class BulkResult(Mapping[str, Outcome]):
    """What became of many jobs: a mapping of id → outcome, in the order given.

    Attributes:
        deleted: The ids that the server says it has cancelled.
        failed: The error of each id that failed.
        not_attempted: The ids for which nothing was sent; they have no outcome.
    """

    def __init__(
        self, outcomes: Mapping[str, Outcome], not_attempted: Iterable[str] = ()
    ) -> None:
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
        return (
            f"{len(self.deleted)} cancelled, {len(self.failed)} failed,"
            f" {len(self.not_attempted)} not attempted"
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self}>"

    def _repr_html_(self) -> str:
        ids_by_reason: dict[str, list[str]] = {}
        for run_uid, error in self.failed.items():
            ids_by_reason.setdefault(_reason(error), []).append(run_uid)
        if self.not_attempted:
            ids_by_reason["Not attempted: nothing was sent."] = self.not_attempted
        groups = sorted(ids_by_reason.items(), key=lambda group: -len(group[1]))
        rows = [
            (len(ids), reason, _some(ids)) for reason, ids in groups[:_SHOWN_REASONS]
        ]
        rest = groups[_SHOWN_REASONS:]
        if rest:
            count = sum(len(ids) for _, ids in rest)
            rows.append((count, f"{len(rest)} other reasons: see .failed", ""))
        return html_table(str(self), rows)

    def raise_for_failures(self) -> None:
        """Raise one error if any job failed or was not attempted.

        Raises:
            ApiException: It counts them; its cause is the first failure.
        """
        if not self.failed and not self.not_attempted:
            return
        first = next(iter(self.failed.values()), None)
        raise ApiException(
            reason=str(self),
            maybe_applied=any(error.maybe_applied for error in self.failed.values()),
            hint="See .failed and .not_attempted of the result."
            + (f" The first failure: {_reason(first)}" if first else ""),
        ) from first

    def to_records(self) -> list[dict[str, str | int | bool | None]]:
        """One row for each id, for `pandas.DataFrame`.

        Returns:
            Dictionaries of `run_uid`; `outcome` (`"deleted"`, `"failed"` or `"not attempted"`);
            `status`, the HTTP status of a failure, 0 without an answer; `message`, the server's
            words; `error`, the whole text of a failure; `maybe_applied`, `False` where it is
            certain that the server did nothing. What does not apply is `None`.
        """
        rows: list[dict[str, str | int | bool | None]] = []
        for run_uid, outcome in self.items():
            failure = outcome if isinstance(outcome, ApiException) else None
            rows.append(
                {
                    "run_uid": run_uid,
                    "outcome": "failed" if failure else "deleted",
                    "status": failure.status if failure else None,
                    "message": outcome.message,
                    "error": str(failure) if failure else None,
                    "maybe_applied": failure.maybe_applied if failure else True,
                }
            )
        nothing = {
            "status": None,
            "message": None,
            "error": None,
            "maybe_applied": False,
        }
        return rows + [
            {"run_uid": run_uid, "outcome": "not attempted", **nothing}
            for run_uid in self.not_attempted
        ]


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
    interrupted = False
    try:
        if isinstance(run_uids, Sized):
            outcomes = dict.fromkeys(map(str, run_uids))
            total = len(outcomes)
        with _progress(progress, total) as show:
            for done, (run_uid, outcome) in enumerate(run.outcomes(outcomes), 1):
                outcomes[run_uid] = outcome
                show(done)
    except KeyboardInterrupt:
        interrupted = True
    if not interrupted:
        return _result(outcomes)
    run.abandon(outcomes)
    raise BulkInterrupted(_result(outcomes))


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
    """The work of one call: jobs go in as others come out."""

    def __init__(
        self,
        api: JobApi,
        run_uids: Iterable[str | UUID],
        max_workers: int,
        executor: Executor | None,
    ) -> None:
        if isinstance(run_uids, (str, bytes)) or not isinstance(run_uids, Iterable):
            raise ApiTypeError(
                reason=f"run_uids must be several ids, not one {type(run_uids).__name__}",
                hint="For one job write [run_uid], or call delete_job.",
            )
        if isinstance(max_workers, bool) or not isinstance(max_workers, int):
            raise ApiTypeError(reason="max_workers must be a whole number")
        if max_workers < 1:
            raise ApiValueError(reason="max_workers must be 1 or more")
        self._api = _Portable(api)
        self._run_uids = run_uids
        if executor is None or isinstance(executor, ThreadPoolExecutor):
            # More threads than connections would only wait for each other.
            max_workers = min(
                max_workers, api.api_client.configuration.connection_pool_maxsize
            )
        self._max_workers = max_workers
        self._executor = executor or DaemonExecutor(max_workers)
        self._cancel_is_proof = executor is None or _is_standard(executor)
        self._in_flight: dict[str, Future[Outcome] | None] = {}
        self._ended: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._stopped = False
        self._failure: Exception | None = None

    def outcomes(
        self, order: dict[str, Outcome | None] | None = None
    ) -> Generator[tuple[str, Outcome], None, None]:
        """The outcomes as they come; ids are put into `order` as they are drawn."""
        fresh = self._fresh(order)
        try:
            for _ in range(self._max_workers):
                self._submit_next(fresh)
            while self._in_flight:
                run_uid = self._ended.get()
                # Before the outcome is handed out: whoever gets it may take their time.
                self._submit_next(fresh)
                outcome = self._outcome(self._in_flight[run_uid])
                if outcome is not None:
                    yield run_uid, outcome
                # Only now, so that an interrupt at any point finds it here or with the caller.
                del self._in_flight[run_uid]
        finally:
            self._stop()
        if self._failure is not None:
            raise self._failure

    def abandon(self, outcomes: dict[str, Outcome | None]) -> None:
        """Stop, and fill in what became of all that was in flight."""
        self._stop()
        try:
            wait_for_futures(
                [future for future in self._in_flight.values() if future], _GRACE
            )
        except KeyboardInterrupt:
            pass
        for run_uid, future in self._in_flight.items():
            outcomes[run_uid] = self._outcome(future)

    def _fresh(
        self, order: dict[str, Outcome | None] | None
    ) -> Generator[tuple[str, str | UUID], None, None]:
        """Each id that was not there before, as a string and as it was given."""
        seen = _Seen()
        for given in self._run_uids:
            run_uid = str(given)
            if seen.add(run_uid):
                if order is not None:
                    order.setdefault(run_uid)
                yield run_uid, given

    def _submit_next(self, fresh: Iterator[tuple[str, str | UUID]]) -> None:
        if self._stopped:
            return
        try:
            pair = next(fresh, None)
        except Exception as error:
            self._failure = error
            return
        if pair is None:
            return
        run_uid, given = pair
        self._in_flight[run_uid] = None
        try:
            future = self._executor.submit(_delete, self._api, given)
        except Exception as error:
            self._stop()
            future = Future()
            future.set_exception(error)
        self._in_flight[run_uid] = future
        future.add_done_callback(partial(self._end, run_uid))

    def _end(self, run_uid: str, future: Future[Outcome]) -> None:
        """Called by the thread that ended the work on an id."""
        outcome = self._outcome(future)
        if isinstance(outcome, ApiException) and _is_about_token(outcome):
            self._stop()
        self._ended.put(run_uid)

    def _outcome(self, future: Future[Outcome] | None) -> Outcome | None:
        """What became of an id; None if nothing was sent for it."""
        if future is None or not future.done():
            return _unknown("Interrupted before the answer came")
        if future.cancelled():
            return (
                None
                if self._cancel_is_proof
                else _unknown("Given up before the answer came")
            )
        error = future.exception()
        if error is None:
            return future.result()
        return _unknown(f"The executor failed with {type(error).__name__}: {error}")

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


def _delete(portable: _Portable, run_uid: str | UUID) -> Outcome:
    # Returned, not raised: a raised error brings its traceback along, and Dask logs arguments.
    try:
        return portable.api.delete_job(run_uid)
    except ApiException as error:
        return error.with_traceback(None)


def _result(outcomes: Mapping[str, Outcome | None]) -> BulkResult:
    known = {
        run_uid: outcome for run_uid, outcome in outcomes.items() if outcome is not None
    }
    return BulkResult(known, [run_uid for run_uid in outcomes if run_uid not in known])


def _unknown(reason: str) -> ApiConnectionError:
    return ApiConnectionError(reason=reason, maybe_applied=True)


def _is_about_token(error: ApiException) -> bool:
    """Whether a refusal is the same for every job, since the server does not know who asks."""
    words = (error.message or "").lower()
    about_token = "token" in words or "credentials" in words
    return error.status == 401 or (error.status == 403 and about_token)


def _is_standard(executor: Executor) -> bool:
    # Of these a cancelled future proves that the work was not begun; of Dask's it does not.
    from concurrent.futures import ProcessPoolExecutor

    return isinstance(executor, (ThreadPoolExecutor, ProcessPoolExecutor))


@contextmanager
def _progress(
    progress: bool | Callable[[int, int | None], object] | None, total: int | None
) -> Iterator[Callable[[int], object]]:
    """What to call with the number of jobs that are done."""
    if callable(progress):
        yield lambda done: progress(done, total)
    elif progress is False or (progress is None and not _is_watched()):
        yield lambda done: None
    else:
        try:
            from tqdm.auto import tqdm
        except ImportError:
            if progress:
                raise ApiValueError(
                    reason="progress=True needs tqdm",
                    hint="pip install 'tator[progress]'",
                ) from None
            yield lambda done: None
            return
        with tqdm(total=total, unit="job") as bar:
            yield lambda done: bar.update()


def _is_watched() -> bool:
    """Whether standard error is a terminal, or the program a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return hasattr(shell, "kernel") or (sys.stderr is not None and sys.stderr.isatty())


def _reason(error: ApiException) -> str:
    said = f"{error.status} {error.reason}" if error.status else error.reason
    text = " ".join(
        filter(
            None, [f"{said}: {error.message}" if error.message else said, error.hint]
        )
    )
    return text if len(text) <= _SHOWN_LENGTH else text[: _SHOWN_LENGTH - 1] + "…"


def _some(ids: list[str]) -> str:
    return ", ".join(ids[:_SHOWN_IDS]) + (", …" if len(ids) > _SHOWN_IDS else "")
