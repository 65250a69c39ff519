"""The outcomes of many jobs, as a mapping, as text, as rows and as a table."""

from __future__ import annotations

import enum
import pickle
import uuid

import pandas
import pytest

import tator
from tator import bulk

UID = "00000000-0000-1000-8000-000000000000"


def a_result() -> bulk.BulkResult:
    failure = tator.ServiceException(
        500,
        "Internal Server Error",
        method="DELETE",
        url="http://x/b",
        maybe_applied=True,
        hint="Already cancelled?",
    )
    outcomes = {
        "a": tator.InlineResponse2044("Cancelled."),
        "b": failure,
        "c": tator.ForbiddenException(403, "Forbidden", message="Insufficient <b>permission</b>"),
    }
    return bulk.BulkResult(outcomes, ["d"])


def test_a_result_maps_ids_to_outcomes_in_the_order_given() -> None:
    """`deleted`, `failed` and `not_attempted` hold each ID once."""
    result = a_result()
    assert list(result) == ["a", "b", "c"]
    assert len(result) == 3
    assert result.deleted == ["a"]
    assert list(result.failed) == ["b", "c"]
    assert result.not_attempted == ["d"]
    assert result.failed["b"] is result["b"]
    with pytest.raises(KeyError):
        result["d"]


def test_a_uuid_finds_the_outcome_of_its_string() -> None:
    """A member of an enumeration of strings finds the outcome of its value."""
    outcome = tator.InlineResponse2044("Cancelled.")
    result = bulk.BulkResult({UID: outcome})
    kind = enum.Enum("kind", {"WRONG_VIDEO": UID}, type=str)
    for run_uid in (UID, uuid.UUID(UID), kind.WRONG_VIDEO):
        assert result[run_uid] is outcome
        assert run_uid in result
        assert result.get(run_uid) is outcome
    assert uuid.UUID(int=1) not in result


def test_a_result_counts_in_its_text() -> None:
    """Text and repr are one short line."""
    assert str(a_result()) == "1 cancelled, 2 failed, 1 not attempted"
    assert repr(a_result()) == "<BulkResult: 1 cancelled, 2 failed, 1 not attempted>"
    assert str(bulk.BulkResult({})) == "0 cancelled"


def test_a_result_becomes_records() -> None:
    """Each ID has one row, and each column has one type from the first row on."""
    records = a_result().to_records()
    assert [tuple(record.values()) for record in records] == [
        ("a", "deleted", 0, "Cancelled.", "", True),
        ("b", "failed", 500, "", str(a_result().failed["b"]), True),
        (
            "c",
            "failed",
            403,
            "Insufficient <b>permission</b>",
            "403 Forbidden: Insufficient <b>permission</b>",
            False,
        ),
        ("d", "not attempted", 0, "", "", False),
    ]
    columns = ("run_uid", "outcome", "status", "message", "error", "maybe_applied")
    assert {tuple(record) for record in records} == {columns}
    # polars reads the type of a column from the first rows, and rejects any other later.
    assert {tuple(map(type, record.values())) for record in records} == {
        (str, str, int, str, str, bool)
    }


def test_a_success_without_a_message_has_a_record_too() -> None:
    """The message of a 204 is the empty string, as of what has no response."""
    (record,) = bulk.BulkResult({"a": tator.InlineResponse2044()}).to_records()
    assert (record["outcome"], record["message"]) == ("deleted", "")


def test_pandas_reads_each_column_with_one_type() -> None:
    """Statuses are integers, not floats with gaps."""
    frame = pandas.DataFrame(a_result().to_records())
    assert frame["status"].dtype.kind == "i"
    assert frame["maybe_applied"].dtype.kind == "b"
    assert list(frame[frame.outcome == "failed"].run_uid) == ["b", "c"]


def test_a_result_raises_one_error_for_all_failures() -> None:
    """It counts them, names the first and is raised from it; without failures there is none."""
    with pytest.raises(tator.ApiException, match="1 cancelled, 2 failed, 1 not") as caught:
        a_result().raise_for_failures()
    assert caught.value.maybe_applied
    assert "500 Internal Server Error" in str(caught.value)
    assert isinstance(caught.value.__cause__, tator.ServiceException)
    bulk.BulkResult({"a": tator.InlineResponse2044()}).raise_for_failures()


def test_the_error_for_all_failures_has_no_double_periods() -> None:
    """There is one period between what failed and what to do."""
    error = tator.ServiceException(500, "Error", hint="Look.", maybe_applied=True)
    with pytest.raises(tator.ApiException) as caught:
        bulk.BulkResult({"a": error}).raise_for_failures()
    assert str(caught.value).startswith("Not all jobs were cancelled: 0 cancelled, 1 failed. ")
    assert ".." not in str(caught.value)


def test_a_result_raises_for_jobs_that_were_not_attempted() -> None:
    """Jobs for which nothing was sent still run, so that is a failure as well."""
    with pytest.raises(tator.ApiException, match="0 cancelled, 2 not attempted") as caught:
        bulk.BulkResult({}, ["a", "b"]).raise_for_failures()
    assert caught.value.__cause__ is None
    assert not caught.value.maybe_applied


def test_results_and_interrupts_pickle() -> None:
    """They travel to other processes."""
    interrupted = pickle.loads(pickle.dumps(bulk.BulkInterrupted(a_result())))
    assert interrupted.result.deleted == ["a"]
    assert interrupted.result.not_attempted == ["d"]
    assert str(interrupted) == str(a_result())


@pytest.mark.parametrize(
    ("run_uid", "shown"),
    [
        ("x" * 300, "x" * 60 + "…,"),
        ("a\nb", "&#x27;a\\nb&#x27;,"),
        ("a ", "&#x27;a &#x27;,"),
        ("\u202eb", "&#x27;\\u202eb&#x27;,"),
        ("one two", ">one two,"),
        ("", "&#x27;&#x27;,"),
    ],
)
def test_a_table_shows_a_strange_id_on_one_line(run_uid: str, shown: str) -> None:
    """It is cut, and white space and control characters can be seen."""
    html = bulk.BulkResult({}, [run_uid, "another"])._repr_html_()
    assert shown in html


def test_a_result_is_a_table_in_a_notebook() -> None:
    """The counts come first, then the reasons of failures, all of it escaped."""
    html = a_result()._repr_html_()
    assert html.index("1 cancelled, 2 failed, 1 not attempted") < html.index("500 Internal")
    assert "Insufficient &lt;b&gt;permission&lt;/b&gt;." in html
    wanted = "500 Internal Server Error. The job may have been cancelled. Already cancelled?"
    assert wanted in html
    assert "Not attempted: nothing was sent." in html


def test_a_failure_without_a_response_has_its_reason_in_the_table() -> None:
    """Status 0 is not shown."""
    error = tator.ApiConnectionError(reason="Could not connect", maybe_applied=False)
    html = bulk.BulkResult({"a": error})._repr_html_()
    assert ">Could not connect.<" in html


def test_the_table_begins_with_the_most_frequent_failure() -> None:
    """Its row names how many are alike."""
    rare, frequent = tator.ServiceException(500, "Rare"), tator.ServiceException(503, "Frequent")
    html = bulk.BulkResult({"a": rare, "b": frequent, "c": frequent})._repr_html_()
    assert html.index("Frequent") < html.index("Rare")


def test_the_table_of_many_failures_stays_short() -> None:
    """Equal failures share a row, rare ones share the last, long texts are cut."""
    alike = {
        str(number): tator.ServiceException(500, "Internal Server Error", url=f"http://x/{number}")
        for number in range(10_000)
    }
    html = bulk.BulkResult(alike)._repr_html_()
    assert "10000 failed" in html
    assert html.count("<tr>") == 1
    assert "0, 1, 2, …" in html
    apart = {
        "x" * 1000 + str(number): tator.BadRequestException(400, message=str(number) + "y" * 1000)
        for number in range(10_000)
    }
    html = bulk.BulkResult(apart)._repr_html_()
    assert html.count("<tr>") == 11
    assert "9990" in html
    assert len(html) < 10_000
