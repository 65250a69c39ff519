"""Everything that can go wrong in a call, as one hierarchy.

OpenApiException
└── ApiException
    ├── ApiTypeError                (also TypeError)       rejected, nothing was sent
    ├── ApiValueError               (also ValueError)      rejected, nothing was sent
    ├── ApiKeyError                 (also KeyError)        for code that a generator wrote
    ├── ApiAttributeError           (also AttributeError)  for code that a generator wrote
    ├── ApiConnectionError          no response; status 0
    │   ├── ApiTimeoutError         (also TimeoutError)
    │   ├── ApiTlsError
    │   └── ApiProxyError           also a proxy's own 407
    ├── ApiResponseError            not a valid Tator response
    ├── RedirectException           3xx, never followed
    ├── BadRequestException         400
    ├── UnauthorizedException       401, and a 400 or 403 whose message is about the credentials
    ├── ForbiddenException          403
    ├── NotFoundException           404
    ├── TooManyRequestsException    429, and a 400 about throttling
    └── ServiceException            5xx
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import ClassVar

__all__ = [
    "ApiAttributeError",
    "ApiConnectionError",
    "ApiException",
    "ApiKeyError",
    "ApiProxyError",
    "ApiResponseError",
    "ApiTimeoutError",
    "ApiTlsError",
    "ApiTypeError",
    "ApiValueError",
    "BadRequestException",
    "ForbiddenException",
    "NotFoundException",
    "OpenApiException",
    "RedirectException",
    "ServiceException",
    "TooManyRequestsException",
    "UnauthorizedException",
]

_SHOWN_LENGTH = 300  # characters of each part of str(error)
_NOTHING_DONE = frozenset({401, 403, 404, 405, 406, 407, 413, 414, 429})


class OpenApiException(Exception):
    """The base of the errors, under the name that generated clients give it."""


class ApiException(OpenApiException):
    """Anything that went wrong in a call; `except ApiException` catches all of it.

    Args:
        status: The HTTP status. Defaults to 0. A string is taken as the reason.
        reason: What went wrong, in words. Defaults to "".
        http_resp: A response to take status, reason, body and headers from. Defaults to `None`.
        maybe_applied: Whether the server may have applied the request. Defaults to `True`, unless
            the class or the status proves the opposite.

    Attributes:
        status: The HTTP status of the response; 0 without a response.
        reason: The response's reason phrase, or what went wrong, in words.
        body: The response's body as text, a server traceback included; `None` without a response.
            JSON is truncated after 64 KiB, anything else after 16 KiB.
        headers: The response's headers, with case-insensitive names; `None` without a response.
        message: The server's message, or `None`.
        method: The HTTP method of the request.
        url: The URL of the request.
        attempts: How many attempts were made.
        maybe_applied: `False` only if it is certain that the server did nothing: no attempt can
            have reached it, or it rejected each one before the work began.
        retry_after: How many seconds the server asked the client to wait, or `None`.
        hint: What to do next, or `None`.
    """

    _proves_nothing_done: ClassVar[bool] = False

    def __init__(
        self,
        status: int | str | None = None,
        reason: str | None = None,
        http_resp: object = None,
        maybe_applied: bool | None = None,
        *,
        body: str | None = None,
        headers: Mapping[str, str] | None = None,
        message: str | None = None,
        method: str | None = None,
        url: str | None = None,
        attempts: int = 0,
        retry_after: float | None = None,
        hint: str | None = None,
    ) -> None:
        if isinstance(status, str):
            status, reason = None, status if reason is None else f"{status} {reason}"
        if http_resp is not None:
            status, reason, body, headers = _read_response(http_resp)
            message = _message_in(body) if message is None else message
            # A RESTResponse knows it, for all attempts.
            known = getattr(http_resp, "maybe_applied", None)
            if maybe_applied is None and isinstance(known, bool):
                maybe_applied = known
        self.status: int = status or 0
        self.reason: str = reason or ""
        self.body = body
        self.headers = headers
        self.message = message
        self.method = method
        self.url = url
        self.attempts = attempts
        assumed = not (self._proves_nothing_done or proves_nothing_done(self.status))
        self.maybe_applied: bool = assumed if maybe_applied is None else maybe_applied
        self.retry_after = retry_after
        self.hint = hint
        # Celery and similar tools keep only `args`, so they include `maybe_applied` if it differs.
        differing = () if self.maybe_applied is assumed else (None, self.maybe_applied)
        # Not super(): OSError.__init__, a base of ApiTimeoutError, would read these as errno.
        Exception.__init__(self, self.status, self.reason, *differing)

    def __str__(self) -> str:
        outcome = f"{self.status} {self.reason}" if self.status else self.reason
        if self.message:
            outcome = f"{outcome}: {self.shown_message}"
        parts = [_one_line(outcome)]
        if self.method and self.url:
            attempts = f", {self.attempts} attempts" if self.attempts > 1 else ""
            parts.append(f"({self.method} {_one_line(self.url)}{attempts})")
        error = " ".join(parts)
        advice = []
        if self.maybe_applied and self.method:
            advice.append("The server may have applied this request.")
        if self.hint:
            advice.append(_one_line(self.hint, 2 * _SHOWN_LENGTH))
        return " ".join([f"{error}.", *advice]) if advice else error

    @property
    def body(self) -> str | None:
        """The response's body as text; `None` without a response."""
        return None if self._body is None else self._body.decode("utf-8", "surrogatepass")

    @body.setter
    def body(self, value: str | None) -> None:
        # As UTF-8: the "…" of one page that is cut would double the memory of its text.
        self._body = None if value is None else value.encode("utf-8", "surrogatepass")

    @property
    def shown_message(self) -> str:
        """The message as `str(error)` shows it: for Kubernetes' text, the message inside it."""
        outer, _, body = (self.message or "").partition("HTTP response body: ")
        if body:
            import json

            with suppress(ValueError, TypeError, KeyError, RecursionError):
                return str(json.loads(body)["message"])
        return outer.partition("HTTP response headers: ")[0]

    def __repr__(self) -> str:
        shown = ("status", "reason", "message", "method", "url", "attempts", "maybe_applied")
        values = ", ".join(f"{name}={getattr(self, name)!r}" for name in shown)
        return f"{type(self).__name__}({values})"

    def _repr_html_(self) -> str:
        from html import escape

        return f"<b>{escape(type(self).__name__)}</b>: {escape(str(self))}"

    def __reduce__(self) -> tuple[object, ...]:
        # A subclass may have another constructor, so a pickle restores without calling it.
        return _restore, (type(self), self.args, self.__dict__)


class ApiTypeError(ApiException, TypeError):
    """A value of the wrong type was rejected; nothing was sent."""

    _proves_nothing_done = True


class ApiValueError(ApiException, ValueError):
    """A value was rejected; nothing was sent."""

    _proves_nothing_done = True


class ApiKeyError(ApiException, KeyError):
    """A lookup by key failed; generated packages import this name."""

    _proves_nothing_done = True


class ApiAttributeError(ApiException, AttributeError):
    """An attribute is missing; generated packages import this name."""

    _proves_nothing_done = True


class ApiConnectionError(ApiException):
    """There is no complete response: tator could not connect, or lost the connection."""


class ApiTimeoutError(ApiConnectionError, TimeoutError):
    """The response did not arrive within the time limit."""


class ApiTlsError(ApiConnectionError):
    """The TLS handshake failed, or the certificate is not trusted."""


class ApiProxyError(ApiConnectionError):
    """The proxy could not be reached, or did not let the request through."""


class ApiResponseError(ApiException):
    """A response that is not a valid Tator response: HTML with a 200, malformed, too large."""


class RedirectException(ApiException):
    """The server points elsewhere (3xx). Redirects are never followed."""

    _proves_nothing_done = True


class BadRequestException(ApiException):
    """The server failed midway, or could not read the request (400)."""


class UnauthorizedException(ApiException):
    """The credentials are missing or not valid.

    A 401, or a 400 or 403 whose message says so: servers released since June 2020 send a 400.
    """

    _proves_nothing_done = True


class ForbiddenException(ApiException):
    """The user has no permission for this (403)."""

    _proves_nothing_done = True


class NotFoundException(ApiException):
    """The server has no such job, group or path (404)."""

    _proves_nothing_done = True


class TooManyRequestsException(ApiException):
    """The server asks for fewer requests: a 429, or a 400 whose message says so."""

    _proves_nothing_done = True


class ServiceException(ApiException):
    """The server failed (5xx)."""


def proves_nothing_done(status: int) -> bool:
    """Tell whether a status proves that the server rejected the request before any work."""
    return 300 <= status < 400 or status in _NOTHING_DONE


def _read_response(
    response: object,
) -> tuple[int | None, str | None, str | None, Mapping[str, str] | None]:
    """Read what generated code reads from the response that it gives to an error."""
    data = getattr(response, "data", None)
    body = data.decode("utf-8", "replace") if isinstance(data, bytes) else data
    headers = getattr(response, "getheaders", lambda: None)()
    status, reason = getattr(response, "status", None), getattr(response, "reason", None)
    return status, reason, body, headers


def message_of(value: Mapping[str, object]) -> str | None:
    """Return the server's message, taken from its JSON object; `None` without one."""
    texts = [value.get("message"), value.get("detail"), value.get("error")]
    listed = value.get("non_field_errors")
    texts += listed[:1] if isinstance(listed, list) else []
    return next((text for text in texts if isinstance(text, str) and text), None)


def _message_in(body: object) -> str | None:
    import json

    with suppress(ValueError, TypeError, RecursionError):
        value = json.loads(str(body))
        return message_of(value) if isinstance(value, dict) else None
    return None


def _restore(
    cls: type[ApiException], args: tuple[object, ...], state: dict[str, object]
) -> ApiException:
    error = cls.__new__(cls)
    error.args = args
    error.__dict__.update(state)
    return error


def _one_line(text: str, length: int = _SHOWN_LENGTH) -> str:
    printable = "".join(char if char.isprintable() else " " for char in text[: 4 * length])
    line = " ".join(printable.split())
    return line if len(line) <= length else line[:length] + "…"
