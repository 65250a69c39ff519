"""A response, and the error that it means if its status is not 2xx."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import urllib3

from tator.exceptions import ApiException
from tator.masking import Redactor
from tator.meaning import Meaning
from tator.record import Record
from tator.retry import FailedAttempt

_KEPT_JSON, _KEPT_OTHER = 64 << 10, 16 << 10  # characters of a body that an error keeps
# Characters masked beyond those kept. A sensitive value that lies across the end of what is
# kept is found by 8 of its characters, and these take less than this, however they are escaped.
_MARGIN = 1 << 10


class Received(Record):
    """The response to an attempt.

    Attributes:
        raw: The response.
        data: Its body.
        proxy: The proxy that it came through.
        meaning: What it means; `None` for a success.
    """

    raw: urllib3.BaseHTTPResponse
    data: bytes
    proxy: str | None
    meaning: Meaning | None = None

    @property
    def is_success(self) -> bool:
        """Whether its status is 2xx."""
        return self.meaning is None

    @property
    def label(self) -> str:
        """How the log names it."""
        return str(self.raw.status)

    @property
    def maybe_applied(self) -> bool:
        """Whether the server may have applied the request."""
        return self.meaning is None or not self.meaning.nothing_done

    @property
    def failed_attempt(self) -> FailedAttempt:
        """What the retry policy needs to know."""
        meaning = cast(Meaning, self.meaning)
        return FailedAttempt(
            is_retryable=meaning.is_retryable,
            sent=True,
            is_throttled=meaning.is_throttled,
            retry_after=meaning.retry_after,
        )

    def to_error(
        self, redactor: Redactor, method: str, url: str, attempts: int, maybe_applied: bool
    ) -> ApiException:
        """Make the error, without the sensitive values of the request."""
        meaning = cast(Meaning, self.meaning)
        message = meaning.message
        return meaning.kind(
            self.raw.status,
            redactor.text(self.raw.reason or ""),
            body=kept_body(self.data, redactor),
            headers=kept_headers(self.raw.headers, redactor),
            message=None if message is None else _kept(message, _KEPT_JSON, redactor),
            method=method,
            url=url,
            attempts=attempts,
            maybe_applied=maybe_applied,
            retry_after=meaning.retry_after,
        )


def kept_headers(headers: Mapping[str, str], redactor: Redactor) -> Mapping[str, str]:
    """Return what an error keeps of headers, without sensitive values."""
    return urllib3.HTTPHeaderDict(redactor.headers(headers))


def kept_body(data: bytes | str, redactor: Redactor) -> str:
    """Return what an error keeps of a body, without sensitive values."""
    if isinstance(data, str):
        data = data.encode()
    most = _KEPT_JSON if data.lstrip()[:1] in (b"{", b"[") else _KEPT_OTHER
    # A character has up to 4 bytes.
    return _kept(data[: 4 * (most + _MARGIN)].decode("utf-8", "replace"), most, redactor)


def _kept(text: str, most: int, redactor: Redactor) -> str:
    # Masked before it is cut, or the start of a value could stay.
    masked = redactor.text(text[: most + _MARGIN])
    return masked if len(text) <= most else masked[:most] + "…"
