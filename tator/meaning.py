"""What a response means: its message first, its status second.

The same mistake is a 403, a 400 or a 404, depending on the server's age. The sentences of Django
REST framework are the same on all servers, but count only as the whole message: Kubernetes' texts
can contain "Invalid token" too.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import timezone
from email.utils import parsedate_to_datetime

from tator.exceptions import (
    ApiException,
    ApiProxyError,
    ApiResponseError,
    BadRequestException,
    ForbiddenException,
    NotFoundException,
    RedirectException,
    ServiceException,
    TooManyRequestsException,
    UnauthorizedException,
    message_of,
    proves_nothing_done,
)
from tator.record import Record
from tator.serialization import from_json

_CLASS_OF_STATUS: dict[int, type[ApiException]] = {
    400: BadRequestException,
    401: UnauthorizedException,
    403: ForbiddenException,
    404: NotFoundException,
    407: ApiProxyError,
    429: TooManyRequestsException,
}
_CLASS_OF_HUNDRED: dict[int, type[ApiException]] = {
    3: RedirectException,
    4: ApiException,
    5: ServiceException,
}
# Compiled when an error is read: a program without one starts faster.
_UNAUTHORIZED = (
    r"(?s)Authentication credentials were not provided\."
    r"|Invalid token\."
    r"|Invalid token header\. .*"
    r"|User inactive or deleted\."
)
_THROTTLED = r"Request was throttled\.(?: Expected available in ([0-9]{1,9}) seconds?\.)?"
_RETRYABLE = frozenset({429, 502, 503})


class Meaning(Record):
    """What a response means.

    Attributes:
        kind: The class of its error.
        message: The server's message, if any.
        retry_after: How many seconds the server asks the client to wait.
        nothing_done: Whether it proves that the server did nothing.
        is_throttled: Whether the server asks for fewer requests.
        is_retryable: Whether another attempt may succeed.
    """

    kind: type[ApiException]
    message: str | None
    retry_after: float | None
    nothing_done: bool
    is_throttled: bool = False
    is_retryable: bool = False


def meaning_of(status: int, headers: Mapping[str, str], body: bytes | str) -> Meaning:
    """Return what a response with a status outside 2xx means."""
    value = _json_object(body)
    message = message_of(value)
    retry_after = read_retry_after(headers.get("Retry-After"))
    if status in (400, 401, 403) and _match_whole(_UNAUTHORIZED, value):
        return Meaning(
            kind=UnauthorizedException, message=message, retry_after=retry_after, nothing_done=True
        )
    throttled = _match_whole(_THROTTLED, value) if status in (400, 429) else None
    if throttled or status == 429:
        if retry_after is None and throttled:
            retry_after = read_retry_after(throttled[1])
        return Meaning(
            kind=TooManyRequestsException,
            message=message,
            retry_after=retry_after,
            nothing_done=True,
            is_throttled=True,
            is_retryable=True,
        )
    return Meaning(
        kind=class_of_status(status),
        message=message,
        retry_after=retry_after,
        nothing_done=proves_nothing_done(status),
        is_retryable=status in _RETRYABLE,
    )


def class_of_status(status: int) -> type[ApiException]:
    """Return the class of the error for an HTTP status outside 2xx."""
    return _CLASS_OF_STATUS.get(status) or _CLASS_OF_HUNDRED.get(status // 100, ApiResponseError)


def read_retry_after(value: str | None) -> float | None:
    """Return the seconds that a Retry-After header asks for.

    `None` if it is absent, not valid, in the past or 0: a retry then uses its own backoff.
    """
    if value is None:
        return None
    if re.fullmatch(r"[0-9]{1,9}", value):
        return float(value) or None
    try:
        date = parsedate_to_datetime(value)
        # A date without a time zone is in UTC, as are all dates in HTTP.
        seconds = date.replace(tzinfo=date.tzinfo or timezone.utc).timestamp() - time.time()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return seconds if seconds > 0 else None


def _json_object(body: bytes | str) -> Mapping[str, object]:
    try:
        value = from_json(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _match_whole(pattern: str, value: Mapping[str, object]) -> re.Match[str] | None:
    """Match the whole `message` or the whole `detail`."""
    for name in ("message", "detail"):
        text = value.get(name)
        match = re.fullmatch(pattern, text) if isinstance(text, str) else None
        if match:
            return match
    return None
