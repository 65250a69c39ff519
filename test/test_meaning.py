"""What a response means is in its message first, and in its status second."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

import pytest

import tator
from tator.exceptions import message_of, proves_nothing_done
from tator.meaning import class_of_status, meaning_of, read_retry_after

pytestmark = pytest.mark.fast

TRACEBACK = "Traceback (most recent call last):\n  …"
NOT_FOUND_PAGE = b"<h1>Not Found</h1><p>The requested resource was not found on this server.</p>"
ERROR_PAGE = b"<h1>Server Error (500)</h1>"
KUBERNETES = (
    "(401)\nReason: Unauthorized\nHTTP response headers: HTTPHeaderDict({'Date': 'today'})\n"
    'HTTP response body: {"message": "Invalid token."}\n'
)
ANONYMOUS = "'AnonymousUser' object has no attribute 'groupmembership_set'"
UNKNOWN_IN_AUGUST = "local variable 'project' referenced before assignment"
IN_DOUBT, NOTHING_DONE = False, True


def body(**parts: object) -> bytes:
    return json.dumps(parts).encode()


def failure(message: str) -> bytes:
    """What servers since June 2020 send for any exception."""
    return body(message=message, details=TRACEBACK)


NOT_PROVIDED = "Authentication credentials were not provided."
SPACES = "Invalid token header. Token string should not contain spaces."
INACTIVE = "User inactive or deleted."
THROTTLED = "Request was throttled. Expected available in 1 second."

# Rows of what real servers respond with: status, body, then class, message, what is proven.
UNKNOWN_OR_CANCELLED: list[tuple[Any, ...]] = [
    (500, ERROR_PAGE, tator.ServiceException, None, IN_DOUBT),
    (400, failure(UNKNOWN_IN_AUGUST), tator.BadRequestException, UNKNOWN_IN_AUGUST, IN_DOUBT),
    (404, body(message=""), tator.NotFoundException, None, NOTHING_DONE),
    (404, NOT_FOUND_PAGE, tator.NotFoundException, None, NOTHING_DONE),
    (404, body(message="x does not exist."), tator.NotFoundException, "x does not exist.", True),
]
CREDENTIALS: list[tuple[Any, ...]] = [
    (status, sent, tator.UnauthorizedException, words, NOTHING_DONE)
    for words in (NOT_PROVIDED, "Invalid token.", SPACES, INACTIVE)
    for status, sent in ((403, body(detail=words)), (400, failure(words)), (401, failure(words)))
]
CREDENTIALS += [
    (
        401,
        body(error="Authentication failed", detail="Please provide or refresh your token."),
        tator.UnauthorizedException,
        "Please provide or refresh your token.",
        NOTHING_DONE,
    ),
    (401, b"<html>Who?</html>", tator.UnauthorizedException, None, NOTHING_DONE),
    (
        400,
        failure(ANONYMOUS),
        tator.BadRequestException,
        ANONYMOUS,
        IN_DOUBT,
    ),
]
PERMISSION: list[tuple[Any, ...]] = [
    (403, body(**{key: words}), tator.ForbiddenException, words, NOTHING_DONE)
    for key, words in (
        ("detail", "Insufficient permission to cancel this job."),
        ("message", "Insufficient permission to cancel this job."),
        ("message", "You do not have permission to perform this action."),
    )
]
WORK_THAT_FAILS: list[tuple[Any, ...]] = [
    (400, failure(words), tator.BadRequestException, words, IN_DOUBT)
    for words in (
        KUBERNETES,
        "name 'e' is not defined",
        "Error -2 connecting to redis:6379. Name or service not known.",
        "Operation put not found for job.",
    )
]
IN_FRONT: list[tuple[Any, ...]] = [
    (302, b"", tator.RedirectException, None, NOTHING_DONE),
    (301, b"<html>301 Moved Permanently</html>", tator.RedirectException, None, NOTHING_DONE),
    (400, b"<h1>Bad Request (400)</h1>", tator.BadRequestException, None, IN_DOUBT),
    (
        400,
        b"<html>The plain HTTP request was sent to HTTPS port</html>",
        tator.BadRequestException,
        None,
        IN_DOUBT,
    ),
    (405, body(detail="Not allowed."), tator.ApiException, "Not allowed.", NOTHING_DONE),
    (406, body(detail="Not acceptable."), tator.ApiException, "Not acceptable.", NOTHING_DONE),
    (407, b"<html>Proxy</html>", tator.ApiProxyError, None, NOTHING_DONE),
    (414, b"<html>Too large</html>", tator.ApiException, None, NOTHING_DONE),
    (502, b"<html>Bad Gateway</html>", tator.ServiceException, None, IN_DOUBT),
    (503, b"<html>Maintenance</html>", tator.ServiceException, None, IN_DOUBT),
    (504, b"<html>Late</html>", tator.ServiceException, None, IN_DOUBT),
    (
        400,
        body(non_field_errors=["Unable to log in."]),
        tator.BadRequestException,
        "Unable to log in.",
        IN_DOUBT,
    ),
]


@pytest.mark.parametrize(
    ("status", "data", "kind", "message", "nothing_done"),
    [*UNKNOWN_OR_CANCELLED, *CREDENTIALS, *PERMISSION, *WORK_THAT_FAILS, *IN_FRONT],
)
def test_a_response_has_its_meaning_on_every_server(
    status: int, data: bytes, kind: type, message: str | None, nothing_done: bool
) -> None:
    """The same mistake has the same class, whatever the age of the server."""
    meaning = meaning_of(status, {}, data)
    assert meaning.kind is kind
    assert meaning.nothing_done is nothing_done
    assert meaning.message == message
    assert (meaning.is_throttled, meaning.retry_after) == (False, None)
    assert meaning.is_retryable is (status in (502, 503))


@pytest.mark.parametrize(
    ("status", "headers", "data", "retry_after"),
    [
        (400, {}, body(message=THROTTLED), 1),
        (400, {}, failure("Request was throttled. Expected available in 42 seconds."), 42),
        (400, {}, body(detail="Request was throttled."), None),
        (400, {}, body(message="Request was throttled. Expected available in 0 seconds."), None),
        (400, {"Retry-After": "7"}, body(message=THROTTLED), 7),
        (429, {}, body(detail=THROTTLED), 1),
        (429, {"Retry-After": "5"}, b"<html>Slow down</html>", 5),
        (429, {}, b"", None),
    ],
)
def test_a_throttled_request_names_its_wait(
    status: int, headers: dict[str, str], data: bytes, retry_after: float | None
) -> None:
    """The header counts first, then the message; nothing was done."""
    meaning = meaning_of(status, headers, data)
    assert meaning.kind is tator.TooManyRequestsException
    assert (meaning.nothing_done, meaning.is_throttled, meaning.is_retryable) == (True,) * 3
    assert meaning.retry_after == retry_after


@pytest.mark.parametrize(
    "words",
    [
        f"{NOT_PROVIDED} ",
        f"midway: {NOT_PROVIDED}",
        NOT_PROVIDED.rstrip("."),
        NOT_PROVIDED.lower(),
        "Invalid token. Or so.",
        "Invalid token header.",
        "Kubernetes: Invalid token header. No credentials.",
        f"{INACTIVE}\n",
        f"{THROTTLED} Or later.",
        "Request was throttled. Expected available in a second.",
        "Request was throttled. Expected available in -1 seconds.",
        f"Request was throttled. Expected available in {'9' * 10} seconds.",
        f"Kubernetes: {THROTTLED}",
    ],
)
def test_a_sentence_inside_a_longer_text_proves_nothing(words: str) -> None:
    """Kubernetes' texts can contain it, long after the work began."""
    for data in (failure(words), body(detail=words)):
        meaning = meaning_of(400, {}, data)
        assert (meaning.kind, meaning.nothing_done) == (tator.BadRequestException, False)
        assert not meaning.is_retryable


@pytest.mark.parametrize(
    "data",
    [
        json.dumps(NOT_PROVIDED).encode(),
        json.dumps([{"message": NOT_PROVIDED}]).encode(),
        body(error=NOT_PROVIDED),
        body(details=NOT_PROVIDED),
        body(message={"detail": NOT_PROVIDED}),
        body(message=[NOT_PROVIDED]),
        NOT_PROVIDED.encode(),
        f"<p>{NOT_PROVIDED}</p>".encode(),
    ],
)
def test_a_sentence_counts_as_message_or_detail_of_an_object_alone(data: bytes) -> None:
    """Elsewhere it may be anything."""
    meaning = meaning_of(400, {}, data)
    assert (meaning.kind, meaning.nothing_done) == (tator.BadRequestException, False)


@pytest.mark.parametrize("status", [404, 409, 500, 503])
def test_a_sentence_does_not_count_with_another_status(status: int) -> None:
    """The framework sends it with 400, 401 or 403, and throttles with 400 or 429."""
    for words in (NOT_PROVIDED, THROTTLED):
        meaning = meaning_of(status, {}, failure(words))
        assert meaning.kind is class_of_status(status)
        assert not meaning.is_throttled
        assert meaning.nothing_done is proves_nothing_done(status)


def test_a_throttling_sentence_does_not_count_with_a_403() -> None:
    """Its server did not throttle."""
    assert meaning_of(403, {}, body(detail=THROTTLED)).kind is tator.ForbiddenException


@pytest.mark.parametrize("data", [body(message="ä"), body(message="ä").decode()])
def test_a_body_may_be_bytes_or_text_and_begin_with_a_mark(data: bytes | str) -> None:
    """A recorder gives text, and some servers begin with a byte order mark."""
    marked: bytes | str = "\ufeff" + data if isinstance(data, str) else b"\xef\xbb\xbf" + data
    assert meaning_of(400, {}, data).message == meaning_of(400, {}, marked).message == "ä"


@pytest.mark.parametrize(
    "data", [b"", b"{", b'{"message": "\xff"}', b'{"a":' * 100_000, b"[]", b"5", b"null", b"NaN"]
)
def test_a_body_without_a_json_object_has_no_message(data: bytes) -> None:
    """The status says what there is to say."""
    meaning = meaning_of(400, {}, data)
    assert (meaning.kind, meaning.message) == (tator.BadRequestException, None)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"message": "m", "detail": "d", "error": "e", "non_field_errors": ["n"]}, "m"),
        ({"message": "", "detail": "d"}, "d"),
        ({"message": None, "detail": "", "error": "e"}, "e"),
        ({"message": 5, "detail": ["d"], "non_field_errors": ["n", "o"]}, "n"),
        ({"non_field_errors": []}, None),
        ({"non_field_errors": [5]}, None),
        ({"non_field_errors": "n"}, None),
        ({"details": "d"}, None),
        ({}, None),
    ],
)
def test_the_message_is_the_first_text_that_is_not_empty(
    value: dict[str, object], message: str | None
) -> None:
    """Its name depends on who in the server speaks."""
    assert message_of(value) == message


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


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("0", None),
        ("1", 1),
        ("86400", 86400),
        ("5" * 5000, None),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("²", None),
        ("Fri, 01 May 2020 00:00:00 GMT", None),
        ("Fri, 99 May 2020 00:00:00 GMT", None),
        ("Fri, 01 May 99999 00:00:00 GMT", None),
    ],
)
def test_a_retry_after_in_seconds_is_read_or_ignored(
    value: str | None, seconds: float | None
) -> None:
    """What is past, 0 or not valid asks for nothing."""
    assert read_retry_after(value) == seconds


@pytest.mark.parametrize("zone", ["GMT", "+0000", "-0000"])
def test_a_retry_after_may_be_a_date(zone: str) -> None:
    """It is in UTC, also without a zone."""
    then = format_datetime(datetime.now(timezone.utc) + timedelta(hours=1), usegmt=True)
    seconds = read_retry_after(then.replace("GMT", zone))
    assert seconds is not None
    assert 3000 < seconds <= 3600
