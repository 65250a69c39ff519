"""The one error mapping: from any exception of the transport to an `ApiException`."""

from __future__ import annotations

import http.client
import ssl

from urllib3.exceptions import IncompleteRead, NewConnectionError
from urllib3.exceptions import SSLError as Urllib3SSLError
from urllib3.exceptions import TimeoutError as Urllib3TimeoutError
from urllib3.util.ssl_match_hostname import CertificateError

from tator.exceptions import (
    ApiConnectionError,
    ApiException,
    ApiProxyError,
    ApiResponseError,
    ApiTimeoutError,
    ApiTlsError,
)
from tator.masking import Redactor
from tator.record import Record
from tator.retry import FailedAttempt
from tator.transport.callers import is_callers, is_in_callers_code, root_of
from tator.transport.connection import TunnelError
from tator.transport.limits import TooLarge

STILL_WORKING: str = "The server may still be working: check the job on the server first."
"""The hint for a response that is late; hints of a 504 say the same."""

# The other side closed the connection without TLS's close_notify.
_CUT = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
_LOST = (OSError, IncompleteRead, http.client.IncompleteRead)
_TLS = (ssl.SSLError, CertificateError, Urllib3SSLError)


class Failure(Record):
    """Why an attempt failed without a response.

    Attributes:
        kind: The class of the error.
        reason: What happened.
        hint: What to do next.
        maybe_applied: Whether the request may have left.
        is_retryable: Whether another attempt may succeed.
        cause: The exception behind it.
        proxy: The URL of the proxy that was used.
    """

    kind: type[ApiException]
    reason: str
    hint: str | None
    maybe_applied: bool
    is_retryable: bool
    cause: BaseException
    proxy: str | None

    @property
    def is_success(self) -> bool:
        """Always `False`: there was no response."""
        return False

    @property
    def label(self) -> str:
        """How the log names it."""
        return self.kind.__name__

    @property
    def failed_attempt(self) -> FailedAttempt:
        """What the retry policy needs to know."""
        return FailedAttempt(is_retryable=self.is_retryable, sent=self.maybe_applied)

    def to_error(
        self, redactor: Redactor, method: str, url: str, attempts: int, maybe_applied: bool
    ) -> ApiException:
        """Make the error, without the sensitive values of the request."""
        error = self.kind(
            reason=redactor.text(self.reason),
            hint=self.hint,
            method=method,
            url=url,
            attempts=attempts,
            maybe_applied=maybe_applied,
        )
        # The frames and the wrappers between hold the headers that were sent.
        self.cause.__traceback__ = self.cause.__context__ = self.cause.__cause__ = None
        shown = f"{self.cause} {self.cause!r} {self.cause.args}"
        error.__cause__ = self.cause if redactor.text(shown) == shown else None
        return error


def failure_of(error: BaseException, sent: bool, proxy: str | None, most: int) -> Failure | None:
    """Return the failure that an exception means; `None` for the caller's own exception.

    Args:
        error: What the attempt raised.
        sent: Whether the request may have left.
        proxy: The URL of the proxy that was used.
        most: The maximum size of the body, in bytes.
    """
    root = root_of(error)
    if is_callers(root):
        return None
    kind, reason, hint, is_retryable = _classify(error, root, sent, proxy is not None)
    if isinstance(root, TooLarge):
        reason = f"Response exceeds {most} bytes"
    return Failure(
        kind=kind,
        reason=reason,
        hint=hint,
        maybe_applied=sent,
        is_retryable=is_retryable,
        cause=root,
        proxy=proxy,
    )


class BeforeSending:
    """Translate a lack of descriptors, threads or memory while a request is built.

    What the caller's code raises meanwhile, such as an override that reads a token from a file,
    comes through.
    """

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        lacks = isinstance(error, (OSError, MemoryError, ImportError, RuntimeError))
        if error is None or not lacks or isinstance(error, ApiException):
            return
        if is_in_callers_code(error.__traceback__):
            return
        reason = f"Could not build the request: {_text_of(error)}"
        lacking = ApiConnectionError(reason=reason, maybe_applied=False)
        try:
            raise lacking
        finally:
            lacking.__context__ = None  # its frames hold the request


before_sending: BeforeSending = BeforeSending()


def _classify(
    error: BaseException, root: BaseException, sent: bool, is_proxied: bool
) -> tuple[type[ApiException], str, str | None, bool]:
    """Return class, reason, hint, and whether another attempt may succeed."""
    words = _text_of(root)
    if isinstance(root, ApiException):  # from making the route, so nothing was sent
        return type(root), root.reason, root.hint, False
    if (_is_timeout(error) or _is_timeout(root)) and not (sent and _is_network_gone(root)):
        if sent:
            return ApiTimeoutError, "Timed out waiting for a response", STILL_WORKING, False
        hint = "Check Configuration.host, or raise Configuration.timeout."
        return ApiTimeoutError, "Timed out while connecting", hint, False
    if isinstance(root, _TLS) and not (sent and isinstance(root, _CUT)):
        is_cut = isinstance(root, _CUT)
        return ApiTlsError, f"TLS connection failed: {words}", _tls_hint(root), is_cut
    if not sent and is_proxied and isinstance(root, (OSError, http.client.HTTPException)):
        hint = "Check Configuration.proxy, or HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY."
        asks_for_password = isinstance(root, TunnelError) and root.status == 407
        return ApiProxyError, f"Proxy connection failed: {words}", hint, not asks_for_password
    if not sent:
        hint = "Check Configuration.host and your network."
        return ApiConnectionError, f"Could not connect: {words}", hint, True
    if isinstance(root, _LOST):
        return ApiConnectionError, f"Connection lost: {words}", None, True
    hint = "Check that Configuration.host is a Tator server."
    return ApiResponseError, f"Could not read the response: {words}", hint, False


def _is_timeout(error: BaseException) -> bool:
    if isinstance(error, NewConnectionError):  # a kind of timeout in urllib3's hierarchy
        return False
    return isinstance(error, (TimeoutError, Urllib3TimeoutError))


def _is_network_gone(error: BaseException) -> bool:
    """Tell the system's ETIMEDOUT, after probes without a reply, from a time limit of a call."""
    return isinstance(error, OSError) and error.errno is not None


def _text_of(error: BaseException) -> str:
    told = getattr(error, "verify_message", None) or getattr(error, "strerror", None)
    return told or str(error) or type(error).__name__


def _tls_hint(error: BaseException) -> str:
    words = str(error).lower()
    if "hostname" in words or "ip address" in words:
        return (
            "If the server is the right one, set Configuration.assert_hostname to the name in"
            " its certificate."
        )
    if "expired" in words or "not yet valid" in words:
        return "Check this machine's clock, or have the server's certificate renewed."
    if "certificate verify failed" in words:
        return "If you trust the server, set Configuration.ssl_ca_cert to its CA's PEM file."
    return (
        "Check that the port of Configuration.host speaks https (TLS 1.2 or later). If the server"
        " asks for a client certificate, set cert_file and key_file."
    )
