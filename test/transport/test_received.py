"""A response, and what an error keeps of it."""

from __future__ import annotations

import pytest
import urllib3

from tator.exceptions import BadRequestException, NotFoundException
from tator.masking import Redactor, Secret
from tator.meaning import meaning_of
from tator.transport.received import Received, kept_body, kept_headers

pytestmark = pytest.mark.fast

TOKEN = "sesame-0123456789abcdef"
PLAIN = Redactor({}, None)
MASKING = Redactor({"Authorization": Secret(f"Token {TOKEN}")}, None)
KIB = 1 << 10


def received(status: int, body: bytes, headers: dict[str, str] | None = None) -> Received:
    """A response with this status."""
    raw = urllib3.HTTPResponse(b"", headers or {}, status, reason=f"For {TOKEN}")
    meaning = None if status == 200 else meaning_of(status, headers or {}, body)
    return Received(raw=raw, data=body, meaning=meaning, proxy=None)


def test_a_success_may_have_been_applied() -> None:
    """It has no meaning beyond that."""
    success = received(200, b"{}")
    assert (success.is_success, success.label, success.maybe_applied) == (True, "200", True)


@pytest.mark.parametrize(
    ("status", "maybe_applied", "outcome"),
    [
        (400, True, (False, True, False, None)),
        (404, False, (False, True, False, None)),
        (429, False, (True, True, True, 7.0)),
        (503, True, (True, True, False, 7.0)),
    ],
)
def test_an_error_has_what_the_retry_policy_needs(
    status: int, maybe_applied: bool, outcome: tuple[object, ...]
) -> None:
    """Whether to retry, that it was sent, whether it is throttling, and the seconds to wait."""
    headers = {"Retry-After": "7"} if status in (429, 503) else {}
    failed = received(status, b"", headers)
    assert (failed.is_success, failed.label) == (False, str(status))
    assert failed.maybe_applied is maybe_applied
    told = failed.failed_attempt
    assert (told.is_retryable, told.sent, told.is_throttled, told.retry_after) == outcome


def test_an_error_has_what_the_response_had_without_sensitive_values() -> None:
    """Reason, body, headers and message."""
    body = b'{"message": "No ' + TOKEN.encode() + b'"}'
    failed = received(400, body, {"X-Back": TOKEN, "Retry-After": "7"})
    error = failed.to_error(MASKING, "DELETE", "http://tator.test/x", 2, True)
    assert type(error) is BadRequestException
    assert (error.status, error.reason, error.message) == (400, "For ***", "No ***")
    assert error.body == '{"message": "No ***"}'
    assert error.headers is not None
    assert error.headers["x-back"] == "***"
    assert (error.method, error.url, error.attempts) == ("DELETE", "http://tator.test/x", 2)
    assert (error.maybe_applied, error.retry_after) == (True, 7)


@pytest.mark.parametrize("length", [64 * KIB, 64 * KIB + 1])
def test_a_message_is_cut_after_64_kib(length: int) -> None:
    """The text of an error stays readable; a token at the cut is masked in whole."""
    text = "x" * (length - 4) + TOKEN
    failed = received(400, b'{"message": "' + text.encode() + b'"}')
    message = failed.to_error(MASKING, "DELETE", "http://tator.test/x", 1, True).message
    assert message == ("x" * (length - 4) + "***")[: 64 * KIB] + "…"


def test_an_error_without_reason_and_message_has_none() -> None:
    """The reason is empty, the message is `None`."""
    raw = urllib3.HTTPResponse(b"", {}, 404, reason=None)
    failed = Received(raw=raw, data=b"", meaning=meaning_of(404, {}, b""), proxy=None)
    error = failed.to_error(PLAIN, "DELETE", "http://tator.test/x", 1, False)
    assert (type(error), error.reason, error.message) == (NotFoundException, "", None)


def test_headers_are_kept_apart() -> None:
    """Several of the same name, read without regard to case."""
    headers = urllib3.HTTPHeaderDict([("Set-Cookie", "a=1"), ("Set-Cookie", f"b={TOKEN}")])
    kept = kept_headers(headers, MASKING)
    assert isinstance(kept, urllib3.HTTPHeaderDict)
    assert kept.getlist("set-cookie") == ["a=1", "b=***"]


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        ("x" * 16 * KIB, 16 * KIB),
        ("x" * 16 * KIB + "y", 16 * KIB),
        ("é" * 16 * KIB + "y", 16 * KIB),
        ("🙂" * 16 * KIB + "y", 16 * KIB),
        ("[" + "x" * (64 * KIB - 1), 64 * KIB),
        (" {" + "x" * 64 * KIB, 64 * KIB),
        ("x" * (1 << 20), 16 * KIB),
    ],
    ids=["whole", "longer", "2 bytes each", "4 bytes each", "whole JSON", "longer JSON", "1 MiB"],
)
def test_a_body_is_cut_after_16_kib_or_64_kib_of_json(body: str, kept: int) -> None:
    """An ellipsis says so; characters count, not bytes."""
    expected = body if len(body) == kept else body[:kept] + "…"
    assert kept_body(body.encode(), PLAIN) == expected
    assert kept_body(body, PLAIN) == expected


def test_a_body_that_is_not_text_is_kept() -> None:
    """What can't be decoded is replaced."""
    assert kept_body(b"a\xffb", PLAIN) == "a\ufffdb"


@pytest.mark.parametrize("at", [16 * KIB - 9, 16 * KIB - len(TOKEN), 16 * KIB - 1])
def test_a_token_at_the_cut_is_masked(at: int) -> None:
    """In whole, so that no part of it stays; the cut is still marked."""
    kept = kept_body("x" * at + TOKEN + "y" * 5000, MASKING)
    assert kept.startswith("x" * at + "***"[: 16 * KIB - at])
    assert kept.endswith("…")
    assert TOKEN[:4] not in kept
    many = kept_body(f"{TOKEN} " * 2000, MASKING)
    assert many == ("*** " * 2000)[: len(many) - 1] + "…"
