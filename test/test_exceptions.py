"""Errors say what happened in one line, keep what support needs, and travel."""

from __future__ import annotations

import copy
import pickle

import pytest

import tator
from tator import exceptions
from tator.exceptions import (
    ApiConnectionError,
    ApiException,
    ApiProxyError,
    ApiResponseError,
    ApiTimeoutError,
    ApiTlsError,
    ApiTypeError,
    ApiValueError,
    class_of_status,
    is_refusal,
)
from tator.testing import LocalTator

ALL = [getattr(exceptions, name) for name in exceptions.__all__]


class OtherSignature(ApiException):
    """A subclass as others write them."""

    def __init__(self, project: str) -> None:
        super().__init__(418, project)
        self.project = project


@pytest.mark.parametrize("kind", ALL)
def test_every_error_is_an_api_exception(kind: type[ApiException]) -> None:
    """`except ApiException` catches the whole family."""
    with pytest.raises(ApiException):
        raise kind(500, "Server Error")


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [(ApiTypeError, TypeError), (ApiValueError, ValueError), (ApiTimeoutError, TimeoutError)],
)
def test_some_are_builtin_errors_too(kind: type[ApiException], builtin: type[Exception]) -> None:
    """What Python has a name for is caught by that name as well."""
    with pytest.raises(builtin):
        raise kind(reason="No")


@pytest.mark.parametrize("kind", [ApiTimeoutError, ApiTlsError, ApiProxyError])
def test_no_answer_is_a_connection_error(kind: type[ApiException]) -> None:
    """Each kind of missing answer is an ApiConnectionError, with status 0."""
    assert issubclass(kind, ApiConnectionError)
    assert kind(reason="No answer").status == 0


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (101, "ApiResponseError"),
        (200, "ApiResponseError"),
        (301, "RedirectException"),
        (308, "RedirectException"),
        (400, "BadRequestException"),
        (401, "UnauthorizedException"),
        (403, "ForbiddenException"),
        (404, "NotFoundException"),
        (405, "ApiException"),
        (407, "ApiProxyError"),
        (409, "ApiException"),
        (429, "TooManyRequestsException"),
        (500, "ServiceException"),
        (504, "ServiceException"),
        (999, "ApiResponseError"),
    ],
)
def test_each_status_has_its_class(status: int, name: str) -> None:
    """The class tells what the status means."""
    assert class_of_status(status) is getattr(tator, name)


def test_refusals_prove_that_nothing_happened() -> None:
    """Redirects and the statuses that turn a request down are refusals; others may be work."""
    refused = [status for status in range(200, 600) if is_refusal(status)]
    assert refused == [*range(300, 400), 401, 403, 404, 405, 406, 407, 413, 414, 429]


def test_the_text_leads_with_what_support_needs() -> None:
    """Status, reason, the server's words, method and URL stand in one line."""
    error = ApiException(
        403, "Forbidden", message="Invalid token.", method="DELETE", url="http://h/rest/Job/x"
    )
    assert str(error) == "403 Forbidden: Invalid token. (DELETE http://h/rest/Job/x)"


def test_the_text_tells_what_may_have_happened_and_what_to_do() -> None:
    """Several tries, the doubt and the hint follow, each as a sentence."""
    error = ApiException(
        reason="No answer in time",
        method="DELETE",
        url="http://h/x",
        attempts=3,
        maybe_applied=True,
        hint="Look before you ask again.",
    )
    text = str(error)
    assert text.startswith("No answer in time (DELETE http://h/x, 3 attempts)")
    assert "carried it out is not known" in text
    assert text.endswith("Look before you ask again.")


def test_the_text_is_one_short_printable_line() -> None:
    """Line breaks, escape sequences, marks that turn text around, and length do no harm."""
    error = ApiException(
        400, "Bad\r\nRequest", message="\x1b[31mred\u202e\x00" + "long " * 1000, url="x"
    )
    assert str(error).isprintable()
    assert len(str(error)) < 400


def test_the_body_and_the_headers_stay_out_of_the_text() -> None:
    """A server's traceback can be read in `body` and nowhere else."""
    error = ApiException(400, "Bad Request", body="Traceback", headers={"Server": "nginx"})
    assert "Traceback" not in str(error) + repr(error)
    assert "nginx" not in str(error) + repr(error)


def test_the_repr_shows_the_fields() -> None:
    """`repr` is for those who debug."""
    shown = repr(ApiException(404, "Not Found", attempts=1))
    assert shown.startswith("ApiException(status=404, reason='Not Found', message=None")
    assert "maybe_applied=False" in shown


def test_a_notebook_shows_it_escaped() -> None:
    """What the server said can't become markup."""
    shown = ApiException(400, "Bad Request", message="<script>")._repr_html_()
    assert "&lt;script&gt;" in shown
    assert "<script>" not in shown


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize(
    "travel", [copy.copy, copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))]
)
def test_errors_travel(kind: type[ApiException], travel: object) -> None:
    """Copies and pickles have all that the original has."""
    error = kind(
        503, "Busy", body="b", headers={"A": "1"}, message="m", attempts=2, maybe_applied=True
    )
    new = travel(error)  # type: ignore[operator]  # one of three functions
    assert type(new) is kind
    assert vars(new) == vars(error)
    assert str(new) == str(error)
    assert new.args == error.args


def test_a_subclass_of_someone_elses_travels_too() -> None:
    """A pickle does not need the constructor's signature."""
    new = pickle.loads(pickle.dumps(OtherSignature("mine")))
    assert (new.project, new.status) == ("mine", 418)


def test_a_real_error_travels(local_tator: LocalTator) -> None:
    """What a call raised can be sent to another process."""
    local_tator.fail(400)
    with pytest.raises(tator.BadRequestException) as caught:
        tator.get_api(local_tator.host, local_tator.token).delete_job("x")
    new = pickle.loads(pickle.dumps(caught.value))
    assert new.headers["content-type"] == "application/json"
    assert "details" in new.body
    assert str(new) == str(caught.value)


def test_an_answer_without_a_right_class_is_a_response_error() -> None:
    """ApiResponseError is no connection error: something did answer."""
    assert not issubclass(ApiResponseError, ApiConnectionError)
