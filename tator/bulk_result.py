"""The outcomes of many jobs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

from tator import checks
from tator.exceptions import ApiException
from tator.models.inline_response2044 import InlineResponse2044
from tator.notebook import html_table

Outcome: TypeAlias = InlineResponse2044 | ApiException
"""The outcome of one job: either the server's response or the error."""

_SHOWN_GROUPS, _SHOWN_IDS = 10, 3
_SHOWN_LENGTH, _SHOWN_ID_LENGTH = 300, 60  # characters


class BulkResult(Mapping[str, Outcome]):
    """The outcomes of many jobs: a mapping of ID → outcome, in the order given.

    You can look up a `UUID`, too.

    Attributes:
        deleted: The IDs of the jobs that were cancelled.
        failed: The error of each job that failed, by ID.
        not_attempted: The IDs for which nothing was sent; they have no outcome.
    """

    def __init__(self, outcomes: Mapping[str, Outcome], not_attempted: Iterable[str] = ()) -> None:
        self._outcomes = dict(outcomes)
        self.failed: dict[str, ApiException] = {
            run_uid: outcome
            for run_uid, outcome in outcomes.items()
            if isinstance(outcome, ApiException)
        }
        self.deleted: list[str] = [run_uid for run_uid in outcomes if run_uid not in self.failed]
        self.not_attempted: list[str] = list(not_attempted)

    def __getitem__(self, run_uid: object) -> Outcome:
        return self._outcomes[checks.text_of(run_uid)]

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
            (len(ids), _why(self.failed[ids[0]]), _first(ids)) for ids in groups[:_SHOWN_GROUPS]
        ]
        rest = sum(map(len, groups[_SHOWN_GROUPS:]))
        if rest:
            rows.append((rest, "For other reasons: see .failed", ""))
        if self.not_attempted:
            ids = self.not_attempted
            rows.append((len(ids), "Not attempted: nothing was sent.", _first(ids)))
        return html_table(str(self), rows)

    def raise_for_failures(self) -> None:
        """Raise one error if any job failed or was not attempted.

        Raises:
            ApiException: If any did. Its text has the counts, and its cause is the first failure.
        """
        if not self.failed and not self.not_attempted:
            return
        run_uid, first = next(iter(self.failed.items()), ("", None))
        raise ApiException(
            reason=f"Not all jobs were cancelled: {self}",
            maybe_applied=any(error.maybe_applied for error in self.failed.values()),
            hint=f"The first failure, {_shown_id(run_uid)}: {_why(first)}" if first else None,
        ) from first

    def to_records(self) -> list[dict[str, str | int | bool]]:
        """Return one row for each ID, for `pandas.DataFrame` and `polars.DataFrame`.

        Every column has one type, from the first row on.

        Returns:
            Dictionaries of `run_uid`; `outcome` (`"deleted"`, `"failed"` or `"not attempted"`);
            `status`, the HTTP status of a failure, otherwise 0; `message`, the server's message,
            otherwise `""`; `error`, a failure in one line, otherwise `""`; `maybe_applied`, `False`
            if it is certain that the server did nothing.
        """
        rows = [_record(run_uid, outcome) for run_uid, outcome in self.items()]
        rows += [_record(run_uid, None) for run_uid in self.not_attempted]
        return rows


class BulkInterrupted(KeyboardInterrupt):
    """`delete_jobs` was interrupted.

    Attributes:
        result: The outcomes that arrived. Jobs in flight without a response have failed with an
            `ApiConnectionError` whose `maybe_applied` is `True`.
    """

    def __init__(self, result: BulkResult) -> None:
        super().__init__(result)
        self.result = result


def _record(run_uid: str, outcome: Outcome | None) -> dict[str, str | int | bool]:
    error = outcome if isinstance(outcome, ApiException) else None
    message = outcome.message if outcome is not None else None
    kind = "not attempted" if outcome is None else "deleted" if error is None else "failed"
    return {
        "run_uid": run_uid,
        "outcome": kind,
        "status": error.status if error is not None else 0,
        "message": message or "",
        "error": str(error) if error is not None else "",
        "maybe_applied": error.maybe_applied if error is not None else outcome is not None,
    }


def _why(error: ApiException) -> str:
    """Return an error's text, without what differs from job to job."""
    said = f"{error.status} {error.reason}" if error.status else error.reason
    parts = [f"{said}: {error.shown_message}" if error.message else said]
    if error.maybe_applied:
        parts.append("The job may have been cancelled")
    if error.hint:
        parts.append(error.hint)
    text = " ".join(part if part.endswith((".", "?", "!")) else f"{part}." for part in parts)
    return text if len(text) <= _SHOWN_LENGTH else f"{text[:_SHOWN_LENGTH]}…"


def _first(ids: list[str]) -> str:
    shown = ", ".join(map(_shown_id, ids[:_SHOWN_IDS]))
    return f"{shown}, …" if len(ids) > _SHOWN_IDS else shown


def _shown_id(run_uid: str) -> str:
    """Return an ID on one line; a rejected one may be empty or long, or have white space."""
    is_plain = run_uid.isprintable() and run_uid == run_uid.strip() != ""
    text = run_uid if is_plain else repr(run_uid)
    return text if len(text) <= _SHOWN_ID_LENGTH else f"{text[:_SHOWN_ID_LENGTH]}…"
