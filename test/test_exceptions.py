"""Errors say what happened in one line, keep what support needs, and can be copied and pickled."""

from __future__ import annotations

import copy
import pickle
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest

import tator
from tator import exceptions
from tator.exceptions import (
    ApiAttributeError,
    ApiConnectionError,
    ApiException,
    ApiKeyError,
    ApiProxyError,
    ApiResponseError,
    ApiTimeoutError,
    ApiTlsError,
    ApiTypeError,
    ApiValueError,
    OpenApiException,
    proves_nothing_done,
)
from tator.testing import LocalTator

pytestmark = pytest.mark.fast

ALL = [
    value
    for value in map(vars(exceptions).get, exceptions.__all__)
    if isinstance(value, type) and issubclass(value, ApiException)
]
PROVE_THAT_NOTHING_WAS_DONE = {
    *("ApiTypeError", "ApiValueError", "ApiKeyError", "ApiAttributeError", "RedirectException"),
    *("UnauthorizedException", "ForbiddenException", "NotFoundException"),
    "TooManyRequestsException",
}

# As Kubernetes' own client writes an error, which Tator passes on in its message.
KUBERNETES = (
    "(500)\nReason: Internal Server Error\n"
    "HTTP response headers: HTTPHeaderDict({'Audit-Id': '1', 'Date': 'Fri, 01 May 2020'})\n"
)


class OtherSignature(ApiException):
    """A subclass as others write them."""

    def __init__(self, project: str) -> None:
        super().__init__(418, project)
        self.project = project


@pytest.mark.parametrize("kind", ALL)
def test_every_error_is_an_api_exception(kind: type[ApiException]) -> None:
    """`except ApiException` catches the whole hierarchy."""
    with pytest.raises(ApiException):
        raise kind(500, "Server Error")


def test_the_base_has_the_name_of_the_generated_clients_base() -> None:
    """Programs that catch OpenApiException catch these errors too."""
    assert issubclass(ApiException, OpenApiException)


def test_the_tree_at_the_top_of_the_module_shows_the_hierarchy() -> None:
    """Each class stands under its base."""
    branches = re.findall(r"^([│ ]*)[├└]── (\w+)", exceptions.__doc__ or "", re.MULTILINE)
    bases = ["OpenApiException"]
    for indent, name in branches:
        del bases[len(indent) // 4 + 1 :]
        assert getattr(exceptions, name).__bases__[0].__name__ == bases[-1]
        bases.append(name)
    assert {name for _, name in branches} == {kind.__name__ for kind in ALL}


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (ApiTypeError, TypeError),
        (ApiValueError, ValueError),
        (ApiTimeoutError, TimeoutError),
        (ApiKeyError, KeyError),
        (ApiAttributeError, AttributeError),
    ],
)
def test_some_errors_are_builtin_errors_too(
    kind: type[ApiException], builtin: type[Exception]
) -> None:
    """An `except` clause for Python's class catches them, and shows the reason."""
    with pytest.raises(builtin) as caught:
        raise kind("No")
    assert str(caught.value) == "No"


@pytest.mark.parametrize("kind", [ApiTimeoutError, ApiTlsError, ApiProxyError])
def test_a_missing_response_is_a_connection_error(kind: type[ApiException]) -> None:
    """Each kind of missing response is an ApiConnectionError, with status 0."""
    assert issubclass(kind, ApiConnectionError)
    assert kind(reason="No response").status == 0


def test_an_invalid_response_is_not_a_connection_error() -> None:
    """With an ApiResponseError, something did respond."""
    assert not issubclass(ApiResponseError, ApiConnectionError)


def test_a_status_that_rejects_the_request_proves_that_nothing_was_applied() -> None:
    """These are redirects and some client errors; after other statuses, the work may be applied."""
    rejecting = [status for status in range(600) if proves_nothing_done(status)]
    assert rejecting == [*range(300, 400), 401, 403, 404, 405, 406, 407, 413, 414, 429]


@pytest.mark.parametrize("kind", ALL)
def test_an_error_made_by_hand_is_maybe_applied_unless_its_class_proves_the_opposite(
    kind: type[ApiException],
) -> None:
    """Tests and wrappers make errors without the argument `maybe_applied`."""
    assert kind(reason="x").maybe_applied is (kind.__name__ not in PROVE_THAT_NOTHING_WAS_DONE)


@pytest.mark.parametrize(
    ("status", "maybe_applied"),
    [(None, True), (0, True), (302, False), (400, True), (404, False), (405, False), (500, True)],
)
def test_an_error_made_by_hand_is_maybe_applied_unless_its_status_proves_the_opposite(
    status: int | None, maybe_applied: bool
) -> None:
    """`ApiException` itself decides by the status."""
    error = ApiException(status=status, reason="x")
    assert (error.status, error.maybe_applied) == (status or 0, maybe_applied)
    assert ApiException(status, "x", None, not maybe_applied).maybe_applied is not maybe_applied


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("status", [0, 200, 302, 400, 403, 404, 500])
@pytest.mark.parametrize("maybe_applied", [True, False])
def test_an_error_rebuilt_from_its_args_keeps_maybe_applied(
    kind: type[ApiException], status: int, maybe_applied: bool
) -> None:
    """Celery and similar tools keep only the class and `args`."""
    error = kind(status, "Reason", maybe_applied=maybe_applied, message="m")
    rebuilt = kind(*error.args)
    assert (rebuilt.status, rebuilt.reason) == (status, "Reason")
    assert rebuilt.maybe_applied is maybe_applied
    assert rebuilt.args == error.args


def test_the_args_are_status_and_reason_if_these_imply_maybe_applied() -> None:
    """Programs print `args`, so nothing is there that need not be."""
    assert ApiException(404, "Not Found").args == (404, "Not Found")
    assert ApiException(404, "Not Found", maybe_applied=True).args == (404, "Not Found", None, True)


def test_a_string_in_place_of_the_status_is_the_reason() -> None:
    """Generated classes raise their errors with one text."""
    assert (ApiTypeError("No list").status, ApiTypeError("No list").reason) == (0, "No list")
    assert ApiException("Bad", "luck").reason == "Bad luck"


@pytest.mark.parametrize("data", [b'{"message": "m"}', '{"message": "m"}'])
def test_an_error_takes_its_parts_from_a_response(data: object) -> None:
    """Generated code gives the response, with its body in bytes or as text."""
    response = SimpleNamespace(
        status=503, reason="Busy", data=data, getheaders=lambda: {"Retry-After": "1"}
    )
    error = ApiException(http_resp=response)
    assert (error.status, error.reason, error.body) == (503, "Busy", '{"message": "m"}')
    assert error.headers == {"Retry-After": "1"}
    assert error.message == "m"
    assert error.maybe_applied
    assert ApiException(http_resp=response, message="mine").message == "mine"


def test_an_error_takes_maybe_applied_from_a_response_that_has_it() -> None:
    """An explicit argument overrides it; other objects in place of a response have no value."""
    response = SimpleNamespace(status=200, reason="OK", data=None, maybe_applied=False)
    assert not ApiResponseError(http_resp=response).maybe_applied
    assert ApiResponseError(http_resp=response, maybe_applied=True).maybe_applied
    assert ApiException(http_resp=mock.Mock(status=404, reason="x")).maybe_applied is False
    bare = ApiException(http_resp=object())
    assert (bare.status, bare.reason, bare.body, bare.headers) == (0, "", None, None)


def test_the_text_leads_with_what_support_needs() -> None:
    """The first line has status, reason, the server's message, method and URL."""
    error = ApiException(
        403, "Forbidden", message="Invalid token.", method="DELETE", url="http://h/rest/Job/x"
    )
    assert str(error) == "403 Forbidden: Invalid token. (DELETE http://h/rest/Job/x)"


def test_the_text_says_maybe_applied_and_what_to_do() -> None:
    """The attempts, the possible effect and the hint follow, each as a sentence."""
    error = ApiException(
        reason="Timed out waiting for a response",
        method="DELETE",
        url="http://h/x",
        attempts=3,
        hint="Check the job first.",
    )
    assert str(error) == (
        "Timed out waiting for a response (DELETE http://h/x, 3 attempts)."
        " The server may have applied this request. Check the job first."
    )


def test_the_text_of_an_error_without_a_request_says_nothing_about_the_server() -> None:
    """An error made by hand has no method, so no request may have been applied."""
    assert str(ApiException(500, "x")) == "500 x"
    assert str(ApiValueError(reason="run_uid must not be empty", hint="Set it.")) == (
        "run_uid must not be empty. Set it."
    )


def test_the_text_is_one_short_printable_line() -> None:
    """Line breaks, escape sequences, marks that turn text around, and length do no harm."""
    error = ApiException(
        400,
        "Bad\r\nRequest",
        message="\x1b[31mred\u202e\x00" + "long " * 1000,
        method="DELETE",
        url="http://h/" + "x\n" * 1000,
        hint="h\t" * 1000,
    )
    assert str(error).isprintable()
    assert len(str(error)) < 1400
    assert str(error).startswith("400 Bad Request: [31mred")


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ('HTTP response body: {"kind": "Status", "message": "workflow busy"}\n\n', "workflow busy"),
        ("HTTP response body: not JSON\n", "(500) Reason: Internal Server Error"),
        ('HTTP response body: ["list"]\n', "(500) Reason: Internal Server Error"),
        ('HTTP response body: {"code": 5}\n', "(500) Reason: Internal Server Error"),
        ("HTTP response body: " + "[" * 100_000, "(500) Reason: Internal Server Error"),
        ("", "(500) Reason: Internal Server Error"),
    ],
    ids=["message", "text", "list", "no message", "deep", "no body"],
)
def test_the_text_has_the_inner_message_of_kubernetes(body: str, shown: str) -> None:
    """Its headers help nobody; `message` keeps all of it."""
    error = ApiException(400, "Bad Request", message=KUBERNETES + body)
    assert str(error) == f"400 Bad Request: {shown}"
    assert error.message == KUBERNETES + body


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


def test_a_notebook_shows_the_error_escaped() -> None:
    """The server's message can't become markup."""
    shown = ApiException(400, "Bad Request", message="<script>")._repr_html_()
    assert "&lt;script&gt;" in shown
    assert "<script>" not in shown


def pickled(error: Any) -> Any:
    return pickle.loads(pickle.dumps(error))


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickled])
def test_an_error_can_be_copied_and_pickled(
    kind: type[ApiException], duplicate: Callable[[ApiException], ApiException]
) -> None:
    """The copy has all that the original has."""
    error = kind(
        503, "Busy", body="b", headers={"A": "1"}, message="m", attempts=2, maybe_applied=True
    )
    new = duplicate(error)
    assert type(new) is kind
    assert vars(new) == vars(error)
    assert str(new) == str(error)
    assert new.args == error.args


def test_a_subclass_with_another_constructor_can_be_pickled() -> None:
    """A pickle does not need the constructor's signature."""
    new = pickled(OtherSignature("mine"))
    assert (new.project, new.status) == ("mine", 418)


def test_an_error_of_a_call_can_be_pickled(local_tator: LocalTator) -> None:
    """It can be sent to another process, headers and body included."""
    local_tator.fail(400)
    with pytest.raises(tator.BadRequestException) as caught:
        tator.get_api(local_tator.host, local_tator.token).delete_job("x")
    new = pickled(caught.value)
    assert new.headers["content-type"] == "application/json"
    assert "details" in new.body
    assert str(new) == str(caught.value)
