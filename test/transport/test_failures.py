"""The one error mapping: every exception of the layers below becomes an error of this package."""

from __future__ import annotations

import errno
import http.client
import inspect
import os
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import pytest
import urllib3
import urllib3.exceptions
from urllib3.util.ssl_match_hostname import CertificateError

from tator.exceptions import (
    ApiConnectionError,
    ApiException,
    ApiProxyError,
    ApiResponseError,
    ApiTimeoutError,
    ApiTlsError,
    ApiValueError,
)
from tator.masking import Redactor, Secret
from tator.transport.connection import TunnelError
from tator.transport.failures import Failure, before_sending, failure_of
from tator.transport.limits import TooLarge

pytestmark = pytest.mark.fast

POOL = urllib3.HTTPConnectionPool("tator.test")
CONNECTION = urllib3.connection.HTTPConnection("tator.test")
CAUSE = OSError("a cause")
PROXY = "http://127.0.0.1:9"
NOTHING_TO_HIDE = Redactor({}, None)

# What the constructors take that need more than a text.
ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "ConnectionError": ("text", CAUSE),
    "EmptyPoolError": (POOL, "text"),
    "FullPoolError": (POOL, "text"),
    "ClosedPoolError": (POOL, "text"),
    "PoolError": (POOL, "text"),
    "RequestError": (POOL, "/", "text"),
    "MaxRetryError": (POOL, "/", CAUSE),
    "HostChangedError": (POOL, "/"),
    "ReadTimeoutError": (POOL, "/", "text"),
    "NewConnectionError": (CONNECTION, "text"),
    "NameResolutionError": ("tator.test", CONNECTION, socket.gaierror("text")),
    "ProxyError": ("text", CAUSE),
    "IncompleteRead": (1, 2),
    "InvalidChunkLength": (urllib3.HTTPResponse(), b"zz"),
    "ProxySchemeUnknown": ("ftp",),
    "HeaderParsingError": ([], b"rest"),
    "UnicodeDecodeError": ("utf-8", b"\xff", 0, 1, "text"),
    "TunnelError": ("the proxy responded with 502 Bad Gateway", 502),
}


def every_exception() -> Iterator[Any]:
    """A class, and arguments for it, of everything that the layers below may raise."""
    modules = [urllib3.exceptions, http.client, ssl, socket]
    found = {
        value
        for module in modules
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, Exception)
        if value.__module__.partition(".")[0] != "email"  # urllib3 imports one
    }
    found |= {CertificateError, ValueError, KeyError, TypeError, RecursionError, MemoryError}
    found |= {UnicodeDecodeError, AssertionError, RuntimeError, OSError, EOFError, TooLarge}
    found |= {ConnectionResetError, ConnectionRefusedError, BrokenPipeError, PermissionError}
    found |= {ImportError, AttributeError, TunnelError}
    for kind in sorted(found, key=lambda kind: (kind.__module__, kind.__name__)):
        arguments = ARGUMENTS.get(kind.__name__, ("text",))
        if kind is http.client.IncompleteRead:
            arguments = (b"", 2)
        yield pytest.param(kind, arguments, id=f"{kind.__module__}.{kind.__name__}")


def as_urllib3_wraps(error: Exception) -> Iterator[Exception]:
    """An error alone, as the argument of another, and as its cause."""
    yield error
    yield urllib3.exceptions.ProtocolError("Connection aborted.", error)
    outer = urllib3.exceptions.ProxyError("text", OSError("outer"))
    outer.__cause__ = error
    yield outer


def failure(error: BaseException, *, sent: bool, proxy: str | None = None) -> Failure:
    """What an exception means; it is not the caller's."""
    found = failure_of(error, sent, proxy, 10)
    assert found is not None
    return found


def to_error(found: Failure, redactor: Redactor = NOTHING_TO_HIDE) -> ApiException:
    return found.to_error(redactor, "DELETE", "http://tator.test/", 1, found.maybe_applied)


@pytest.mark.parametrize(("kind", "arguments"), list(every_exception()))
@pytest.mark.parametrize("proxy", [None, PROXY], ids=["direct", "proxied"])
def test_every_exception_of_the_layers_below_becomes_an_api_exception(
    kind: type[Exception], arguments: Any, proxy: str | None
) -> None:
    """The mapping has a place for each class, before the request has left and after."""
    for sent in (False, True):
        for raised in as_urllib3_wraps(kind(*arguments)):
            found = failure(raised, sent=sent, proxy=proxy)
            error = to_error(found)
            assert isinstance(error, (ApiConnectionError, ApiResponseError))
            assert isinstance(error, ApiConnectionError) or sent
            assert (error.status, error.maybe_applied, error.attempts) == (0, sent, 1)
            assert str(error).isprintable()
            assert error.__cause__ is not None
            assert error.__cause__.__traceback__ is None
            assert error.__cause__.__context__ is None
            assert (found.is_success, found.label) == (False, type(error).__name__)
            outcome = found.failed_attempt
            assert (outcome.is_retryable, outcome.sent) == (found.is_retryable, sent)
            assert (outcome.is_throttled, outcome.retry_after) == (False, None)


@pytest.mark.parametrize(
    ("error", "sent", "kind", "is_retryable"),
    [
        (TimeoutError(), False, ApiTimeoutError, False),
        (TimeoutError(), True, ApiTimeoutError, False),
        (urllib3.exceptions.ConnectTimeoutError(), False, ApiTimeoutError, False),
        (urllib3.exceptions.ReadTimeoutError(POOL, "/", "x"), True, ApiTimeoutError, False),
        (TimeoutError(errno.ETIMEDOUT, "x"), False, ApiTimeoutError, False),
        (TimeoutError(errno.ETIMEDOUT, "x"), True, ApiConnectionError, True),
        (urllib3.exceptions.NewConnectionError(CONNECTION, "x"), False, ApiConnectionError, True),
        (ConnectionRefusedError(), False, ApiConnectionError, True),
        (socket.gaierror(), False, ApiConnectionError, True),
        (http.client.BadStatusLine("x"), False, ApiConnectionError, True),
        (RuntimeError("can't start new thread"), False, ApiConnectionError, True),
        (MemoryError(), False, ApiConnectionError, True),
        (ConnectionResetError(), True, ApiConnectionError, True),
        (BrokenPipeError(), True, ApiConnectionError, True),
        (http.client.RemoteDisconnected(), True, ApiConnectionError, True),
        (http.client.IncompleteRead(b""), True, ApiConnectionError, True),
        (urllib3.exceptions.IncompleteRead(1, 2), True, ApiConnectionError, True),
        (ssl.SSLEOFError(), True, ApiConnectionError, True),
        (ssl.SSLZeroReturnError(), True, ApiConnectionError, True),
        (ssl.SSLSyscallError(), True, ApiConnectionError, True),
        (ssl.SSLEOFError(), False, ApiTlsError, True),
        (ssl.SSLCertVerificationError(), False, ApiTlsError, False),
        (ssl.SSLError(), True, ApiTlsError, False),
        (CertificateError(), False, ApiTlsError, False),
        (urllib3.exceptions.SSLError("x"), False, ApiTlsError, False),
        (http.client.BadStatusLine("x"), True, ApiResponseError, False),
        (http.client.LineTooLong("x"), True, ApiResponseError, False),
        (urllib3.exceptions.InvalidHeader(), True, ApiResponseError, False),
        (ValueError(), True, ApiResponseError, False),
        (TooLarge(), True, ApiResponseError, False),
        (MemoryError(), True, ApiResponseError, False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_the_mapping_says_whether_to_retry(
    error: Exception, sent: bool, kind: type[ApiException], is_retryable: bool
) -> None:
    """Each kind of failure has its class, and is worth another attempt or not."""
    found = failure(error, sent=sent)
    assert (found.kind, found.is_retryable) == (kind, is_retryable)


@pytest.mark.parametrize(
    "name", sorted(set(errno.errorcode.values()) - {"EWOULDBLOCK", "ETIMEDOUT"})
)
def test_any_errno_after_the_request_is_a_lost_connection(name: str) -> None:
    """The network went away, whatever the system calls it."""
    number = getattr(errno, name)
    found = failure(OSError(number, os.strerror(number)), sent=True)
    assert (found.kind, found.is_retryable) == (ApiConnectionError, True)
    assert found.reason == f"Connection lost: {os.strerror(number)}"


def test_a_407_on_connect_is_not_retried() -> None:
    """Other responses of a proxy are."""
    for status, is_retryable in ((407, False), (502, True)):
        found = failure(TunnelError("the proxy objected", status), sent=False, proxy=PROXY)
        assert (found.kind, found.is_retryable) == (ApiProxyError, is_retryable)
        assert found.reason == "Proxy connection failed: the proxy objected"


def test_a_proxy_is_blamed_only_before_the_request_has_left() -> None:
    """And not for what is neither a connection's nor HTTP's."""
    assert failure(ConnectionResetError(), sent=False, proxy=PROXY).kind is ApiProxyError
    assert failure(http.client.BadStatusLine("x"), sent=False, proxy=PROXY).kind is ApiProxyError
    assert failure(ConnectionResetError(), sent=True, proxy=PROXY).kind is ApiConnectionError
    assert failure(MemoryError(), sent=False, proxy=PROXY).kind is ApiConnectionError
    assert failure(TimeoutError(), sent=False, proxy=PROXY).kind is ApiTimeoutError
    assert failure(ssl.SSLError(), sent=False, proxy=PROXY).kind is ApiTlsError


def test_a_value_that_is_rejected_keeps_its_error() -> None:
    """Such as a CA file that can't be read when a route is made."""
    rejected = ApiValueError(reason="Could not load x", hint="Do y.")
    found = failure(rejected, sent=False)
    assert (found.kind, found.reason, found.hint) == (ApiValueError, "Could not load x", "Do y.")
    assert (found.maybe_applied, found.is_retryable) == (False, False)


def test_a_response_that_is_too_large_says_how_large_it_may_be() -> None:
    """The number is the call's limit."""
    assert failure(TooLarge(), sent=True).reason == "Response exceeds 10 bytes"


def alert(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, f"[SSL: {reason}] text")
    error.reason = reason
    return error


@pytest.mark.parametrize("sent", [False, True])
@pytest.mark.parametrize(
    "reason",
    [
        *("TLSV13_ALERT_CERTIFICATE_REQUIRED", "TLSV1_ALERT_UNKNOWN_CA"),
        "SSLV3_ALERT_BAD_RECORD_MAC",
    ],
)
def test_an_alert_after_the_request_leaves_the_outcome_unknown(reason: str, sent: bool) -> None:
    """Over TLS 1.3 a server may reject a certificate late, and nothing proves when."""
    found = failure(alert(reason), sent=sent)
    assert (found.kind, found.maybe_applied) == (ApiTlsError, sent)
    assert "cert_file" in str(found.hint)


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        ("Hostname mismatch, certificate is not valid for 'x'", "Configuration.assert_hostname"),
        ("IP address mismatch", "Configuration.assert_hostname"),
        ("certificate verify failed: certificate has expired", "clock"),
        ("certificate verify failed: certificate is not yet valid", "clock"),
        ("certificate verify failed: self-signed certificate", "Configuration.ssl_ca_cert"),
        ("wrong version number", "speaks https"),
    ],
)
def test_a_tls_error_names_the_setting_that_helps(words: str, advice: str) -> None:
    """And never proposes to turn the verification off."""
    hint = failure(ssl.SSLError(1, words), sent=False).hint
    assert advice in str(hint)
    assert "verify_ssl" not in str(hint)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(5, "Input/output error"), "Input/output error"),
        (OSError("alone"), "alone"),
        (EOFError(), "EOFError"),
    ],
    ids=repr,
)
def test_the_reason_says_what_happened(error: Exception, words: str) -> None:
    """The system's words, the exception's, or at least its name."""
    assert failure(error, sent=False).reason == f"Could not connect: {words}"


class SoftLimit(Exception):
    """The caller's."""


def test_an_exception_of_the_caller_is_not_a_failure() -> None:
    """Alone, and wrapped by urllib3."""
    limit = SoftLimit()
    for error in (limit, urllib3.exceptions.ProtocolError("x", limit), KeyboardInterrupt()):
        assert failure_of(error, True, None, 10) is None


def test_a_cause_that_shows_a_sensitive_value_is_left_out() -> None:
    """In its text or its arguments; the reason is masked, and everything else stays."""
    redactor = Redactor({"Authorization": Secret("Token sesame-0123456789")}, None)
    plain, telling = ValueError("plain"), ValueError("for sesame-0123456789")
    kept = to_error(failure(plain, sent=True), redactor)
    assert kept.__cause__ is plain
    masked = to_error(failure(telling, sent=True), redactor)
    assert masked.__cause__ is None
    assert masked.reason == "Could not read the response: for ***"
    in_arguments = ValueError("plain", ["sesame-0123456789"])
    assert to_error(failure(in_arguments, sent=True), redactor).__cause__ is None


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EMFILE, "Too many open files"),
        MemoryError("Too many open files"),
        ImportError("Too many open files"),
        RuntimeError("Too many open files"),
    ],
    ids=repr,
)
def test_a_lack_of_resources_before_a_request_is_a_connection_error(error: Exception) -> None:
    """Nothing was sent, and no trace of it stays."""
    with pytest.raises(ApiConnectionError, match="Too many open files") as caught:
        build_a_request(error)
    assert not caught.value.maybe_applied
    assert caught.value.__context__ is None


def build_a_request(error: Exception) -> None:
    """Raise an exception before a request, in a frame of this package."""
    names = {"__name__": "tator.api_client", "before_sending": before_sending, "error": error}
    exec("with before_sending: raise error", names)


def test_what_an_override_raises_before_a_request_passes() -> None:
    """It may read the token from a file, or from a program that it starts."""

    def override() -> None:
        open("/nowhere/token").close()

    names = {"__name__": "tator.api_client", "before_sending": before_sending, "call": override}
    with pytest.raises(FileNotFoundError):
        exec("with before_sending: call()", names)


def test_other_exceptions_before_a_request_pass() -> None:
    """Those that reject a value, the caller's, and success."""
    rejected = ApiValueError(reason="run_uid must not be empty")
    for error in (rejected, SoftLimit(), KeyboardInterrupt(), ValueError("x")):
        with pytest.raises(type(error)) as caught, before_sending:
            raise error
        assert caught.value is error
    with pytest.raises(OSError, match="of the caller"), before_sending:
        raise OSError("of the caller")
    with before_sending:
        pass
