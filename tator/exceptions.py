"""Everything that can go wrong in a call, as one family.

ApiException
├── ApiTypeError               (also TypeError)    refused, nothing was sent
├── ApiValueError              (also ValueError)   refused, nothing was sent
├── ApiConnectionError         no answer; status 0
│   ├── ApiTimeoutError        (also TimeoutError)
│   ├── ApiTlsError
│   └── ApiProxyError          also a proxy's own 407
├── ApiResponseError           an answer that is not Tator's
├── RedirectException          3xx, never followed
├── BadRequestException        400
├── UnauthorizedException      401
├── ForbiddenException         403
├── NotFoundException          404
├── TooManyRequestsException   429
└── ServiceException           5xx
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = [
    "ApiConnectionError",
    "ApiException",
    "ApiProxyError",
    "ApiResponseError",
    "ApiTimeoutError",
    "ApiTlsError",
    "ApiTypeError",
    "ApiValueError",
    "BadRequestException",
    "ForbiddenException",
    "NotFoundException",
    "RedirectException",
    "ServiceException",
    "TooManyRequestsException",
    "UnauthorizedException",
]

_SHOWN_LENGTH = 300


class ApiException(Exception):
    """Anything that went wrong in a call; `except ApiException` catches all of it.

    Attributes:
        status: The HTTP status of the answer; 0 where there was none.
        reason: The answer's reason phrase, or what went wrong, in words.
        body: The answer's body as text, a server traceback included; `None` without an answer.
        headers: The answer's headers, read without regard to case; `None` without an answer.
        message: The server's own words (`message` or `detail` of its JSON), else `None`.
        method: The HTTP method of the request.
        url: The URL of the request.
        attempts: How many times the request was tried.
        maybe_applied: `False` only where it is certain that the server did nothing: no try can
            have reached it, or each was refused before the work began.
        retry_after: Seconds that the server asked to wait, where it did.
        hint: What to do next, where something helps.
    """

    def __init__(
        self,
        status: int = 0,
        reason: str = "",
        *,
        body: str | None = None,
        headers: Mapping[str, str] | None = None,
        message: str | None = None,
        method: str | None = None,
        url: str | None = None,
        attempts: int = 0,
        maybe_applied: bool = False,
        retry_after: float | None = None,
        hint: str | None = None,
    ) -> None:
        # Not super(): OSError.__init__, a base of ApiTimeoutError, would read these as errno.
        Exception.__init__(self, status, reason)
        self.status = status
        self.reason = reason
        self.body = body
        self.headers = headers
        self.message = message
        self.method = method
        self.url = url
        self.attempts = attempts
        self.maybe_applied = maybe_applied
        self.retry_after = retry_after
        self.hint = hint

    def __str__(self) -> str:
        said = f"{self.status} {self.reason}" if self.status else self.reason
        if self.message:
            said = f"{said}: {self.message}"
        parts = [_one_line(said)]
        if self.method and self.url:
            tries = f", {self.attempts} attempts" if self.attempts > 1 else ""
            parts.append(f"({self.method} {_one_line(self.url)}{tries})")
        advice = ["Whether the server carried it out is not known."] if self.maybe_applied else []
        if self.hint:
            advice.append(_one_line(self.hint))
        error = " ".join(parts)
        return " ".join([f"{error}.", *advice]) if advice else error

    def __repr__(self) -> str:
        shown = ("status", "reason", "message", "method", "url", "attempts", "maybe_applied")
        values = ", ".join(f"{name}={getattr(self, name)!r}" for name in shown)
        return f"{type(self).__name__}({values})"

    def _repr_html_(self) -> str:
        from html import escape

        return f"<b>{escape(type(self).__name__)}</b>: {escape(str(self))}"

    def __reduce__(self) -> tuple[Any, ...]:
        # A subclass may have a constructor of its own, so a pickle restores without calling it.
        return _restore, (type(self), self.args, self.__dict__)


class ApiTypeError(ApiException, TypeError):
    """A value of the wrong type was refused; nothing was sent."""


class ApiValueError(ApiException, ValueError):
    """A value was refused; nothing was sent."""


class ApiConnectionError(ApiException):
    """There was no answer: the server was not reached, or the connection was lost."""


class ApiTimeoutError(ApiConnectionError, TimeoutError):
    """There was no answer in time."""


class ApiTlsError(ApiConnectionError):
    """No trusted TLS connection could be made."""


class ApiProxyError(ApiConnectionError):
    """The proxy could not be reached, or did not let the request through."""


class ApiResponseError(ApiException):
    """There was an answer, but not one of Tator's: HTML with a 200, garbled, too large."""


class RedirectException(ApiException):
    """The server points elsewhere (3xx). Redirects are never followed."""


class BadRequestException(ApiException):
    """The server failed midway, or could not read the request (400)."""


class UnauthorizedException(ApiException):
    """The server does not know who is asking (401)."""


class ForbiddenException(ApiException):
    """The token is missing, wrong or lacks the right (403); the message tells which."""


class NotFoundException(ApiException):
    """There is no such thing on the server (404)."""


class TooManyRequestsException(ApiException):
    """The server asks for fewer requests (429)."""


class ServiceException(ApiException):
    """The server failed (5xx). A 500 for a deletion most often means an unknown job."""


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
_REFUSED = frozenset({401, 403, 404, 405, 406, 407, 413, 414, 429})


def class_of_status(status: int) -> type[ApiException]:
    """The class of error that an HTTP status without success stands for."""
    return _CLASS_OF_STATUS.get(status) or _CLASS_OF_HUNDRED.get(status // 100, ApiResponseError)


def is_refusal(status: int) -> bool:
    """Whether a status proves that the server turned the request down before any work."""
    return 300 <= status < 400 or status in _REFUSED


def _restore(
    cls: type[ApiException], args: tuple[object, ...], state: dict[str, object]
) -> ApiException:
    error = cls.__new__(cls)
    error.args = args
    error.__dict__.update(state)
    return error


def _one_line(text: str) -> str:
    printable = "".join(char if char.isprintable() else " " for char in text[: 4 * _SHOWN_LENGTH])
    line = " ".join(printable.split())
    return line if len(line) <= _SHOWN_LENGTH else line[:_SHOWN_LENGTH] + "…"
