"""The transport: the one map of failures, the response, and the limits' small parts."""

from __future__ import annotations

import gc
import http.client
import inspect
import socket
import ssl
import warnings
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
import urllib3
import urllib3.exceptions
from peers import DONE, TOKEN, UID, Peer, answering, make_api
from peers import http as answer
from urllib3.util.ssl_match_hostname import CertificateError

import tator
from tator import rest
from tator.exceptions import (
    ApiConnectionError,
    ApiException,
    ApiProxyError,
    ApiResponseError,
    ApiTimeoutError,
    ApiTlsError,
)
from tator.limits import Limits, TooLarge

POOL = urllib3.HTTPConnectionPool("tator.test")
CONNECTION = urllib3.connection.HTTPConnection("tator.test")
CAUSE = OSError("a cause")

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
}


def failures() -> Iterator[Any]:
    """An instance of every exception class that the layers below may raise."""
    modules = [urllib3.exceptions, http.client, ssl, socket]
    found = {
        value
        for module in modules
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, Exception)
    }
    found |= {CertificateError, ValueError, KeyError, TypeError, RecursionError, MemoryError}
    found |= {UnicodeDecodeError, AssertionError, RuntimeError, OSError, EOFError, TooLarge}
    found |= {ConnectionResetError, ConnectionRefusedError, BrokenPipeError, PermissionError}
    for kind in sorted(found, key=lambda kind: (kind.__module__, kind.__name__)):
        arguments = ARGUMENTS.get(kind.__name__, ("text",))
        if kind is http.client.IncompleteRead:
            arguments = (b"", 2)
        yield pytest.param(kind, arguments, id=f"{kind.__module__}.{kind.__name__}")


def route(proxy: str | None = None) -> rest._Route:
    return rest._Route(rest._Pool("tator.test", maxsize=1), 0, proxy, "https", False, ())


def limits(*, sent: bool) -> Limits:
    given = Limits(0, None, None)
    given.sent = sent
    return given


def as_urllib3_wraps(error: Exception) -> Iterator[Exception]:
    """An error as it is, as the argument of another, and as its cause."""
    yield error
    yield urllib3.exceptions.ProtocolError("Connection aborted.", error)
    outer = urllib3.exceptions.ProxyError("text", OSError("outer"))
    outer.__cause__ = error
    yield outer


@pytest.mark.parametrize(("kind", "arguments"), list(failures()))
@pytest.mark.parametrize("proxy", [None, "http://127.0.0.1:9"], ids=["direct", "proxied"])
def test_every_exception_of_the_layers_below_becomes_one_of_ours(
    kind: type[Exception], arguments: Any, proxy: str | None
) -> None:
    """The map has a place for each class, before the request has left and after."""
    for sent in (False, True):
        for error in as_urllib3_wraps(kind(*arguments)):
            translated = rest._translated(error, limits(sent=sent), route(proxy))
            assert isinstance(translated, (ApiConnectionError, ApiResponseError))
            assert translated.status == 0
            assert translated.maybe_applied is sent
            assert str(translated).isprintable()
            assert translated.__cause__ is not None
            assert translated.__cause__.__traceback__ is None
            assert translated.__cause__.__context__ is None


@pytest.mark.parametrize(
    ("error", "sent", "kind", "retried"),
    [
        (TimeoutError(), False, ApiTimeoutError, False),
        (TimeoutError(), True, ApiTimeoutError, False),
        (urllib3.exceptions.EmptyPoolError(POOL, "text"), False, ApiTimeoutError, False),
        (urllib3.exceptions.NewConnectionError(CONNECTION, "x"), False, ApiConnectionError, True),
        (ConnectionRefusedError(), False, ApiConnectionError, True),
        (socket.gaierror(), False, ApiConnectionError, True),
        (ConnectionResetError(), True, ApiConnectionError, True),
        (BrokenPipeError(), True, ApiConnectionError, True),
        (http.client.RemoteDisconnected(), True, ApiConnectionError, True),
        (http.client.IncompleteRead(b""), True, ApiConnectionError, True),
        (ssl.SSLEOFError(), True, ApiConnectionError, True),
        (ssl.SSLZeroReturnError(), True, ApiConnectionError, True),
        (ssl.SSLEOFError(), False, ApiTlsError, True),
        (ssl.SSLCertVerificationError(), False, ApiTlsError, False),
        (ssl.SSLError(), True, ApiTlsError, False),
        (CertificateError(), False, ApiTlsError, False),
        (http.client.BadStatusLine("x"), True, ApiResponseError, False),
        (http.client.LineTooLong("x"), True, ApiResponseError, False),
        (urllib3.exceptions.InvalidHeader(), True, ApiResponseError, False),
        (ValueError(), True, ApiResponseError, False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_the_map_tells_what_another_try_may_mend(
    error: Exception, sent: bool, kind: type[ApiException], retried: bool
) -> None:
    """Each kind of failure has its class, and is worth another try or not."""
    given = limits(sent=sent)
    assert type(rest._translated(error, given, route())) is kind
    assert given.retry is retried


def test_a_407_on_connect_is_not_worth_another_try() -> None:
    """Other answers of a proxy are."""
    for status, retried in ((407, False), (502, True)):
        given = limits(sent=False)
        error = OSError(f"Tunnel connection failed: {status} Whatever")
        translated = rest._translated(error, given, route("http://127.0.0.1:9"))
        assert type(translated) is ApiProxyError
        assert given.retry is retried


def alert(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, f"[SSL: {reason}] text")
    error.reason = reason
    return error


@pytest.mark.parametrize(
    ("reason", "connected", "received", "maybe_applied"),
    [
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", True, False, False),
        ("TLSV1_ALERT_UNKNOWN_CA", True, False, False),
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", True, True, True),
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", False, False, True),
        ("SSLV3_ALERT_BAD_RECORD_MAC", True, False, True),
    ],
)
def test_an_alert_about_the_certificate_of_a_new_connection_comes_before_any_work(
    reason: str, connected: bool, received: bool, maybe_applied: bool
) -> None:
    """Over TLS 1.3 it comes after the request has left; others may come after the work."""
    given = limits(sent=True)
    given.connected, given.received = connected, received
    translated = rest._translated(alert(reason), given, route())
    assert type(translated) is ApiTlsError
    assert translated.maybe_applied is maybe_applied
    assert "cert_file" in str(translated)


def test_a_response_has_the_generated_clients_methods() -> None:
    """Status, reason, data and headers, read without regard to case."""
    headers = {"X-Words": "some", "Set-Cookie": "a=1\r\nSet-Cookie: b=2"}
    with Peer(answering(answer(200, headers=headers, reason="Fine"))) as peer:
        api = make_api(peer.host)
        api.delete_job(UID)
    response = api.api_client.last_response
    assert isinstance(response, tator.rest.RESTResponse)
    assert (response.status, response.reason, response.data) == (200, "Fine", DONE)
    assert response.getheader("x-words") == "some"
    assert response.getheader("none") is None
    assert response.getheader("none", "default") == "default"
    assert response.getheaders()["x-words"] == "some"
    assert (response.attempts, response.maybe_applied, response.retry_after) == (1, True, None)


def test_a_response_without_secrets_is_a_copy() -> None:
    """The original keeps what the server has sent; what holds no secret is left alone."""
    headers = {"X-Back": f"Token {TOKEN}", "Set-Cookie": "a=1\r\nSet-Cookie: b=2"}
    back = answer(200, f'{{"message": "{TOKEN}"}}'.encode(), headers, reason=TOKEN)
    with Peer(answering(back)) as peer:
        api = make_api(peer.host)
        assert api.delete_job(UID).message == TOKEN
    response = api.api_client.last_response
    assert response is not None
    clean = response.without_secrets()
    assert (clean.reason, clean.data) == ("***", b'{"message": "***"}')
    assert clean.headers["x-back"] == "***"
    assert TOKEN in response.headers["x-back"]
    assert isinstance(clean.headers, urllib3.HTTPHeaderDict)
    assert clean.headers.getlist("set-cookie") == ["a=1", "b=2"]


def test_a_context_is_made_when_it_is_needed_and_once() -> None:
    """Plain http needs none; one serves all hosts while its settings stay."""
    client = tator.ApiClient(tator.Configuration("http://127.0.0.1:9"))
    rest_client = client.rest_client
    rest_client._route("http://127.0.0.1:9/")
    assert rest_client._context is None
    rest_client._route("https://127.0.0.1:9/")
    first = rest_client._context
    rest_client._route("https://localhost:9/")
    assert first is not None
    assert rest_client._context is first


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("10.0.0.1", False),
        ("localhost.test", False),
        ("127.0.0.1.test", False),
    ],
)
def test_loopback_is_this_machine(host: str, expected: bool) -> None:
    """A token may go there over plain http without a warning."""
    assert rest._is_loopback(host) is expected


def test_an_ipv6_host_works() -> None:
    """Brackets in the URL, none for the socket."""
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with listener:
        api = make_api(f"http://[::1]:{listener.getsockname()[1]}")
        handle = api.delete_job(UID, async_req=True)
        connection, _ = listener.accept()
        with connection:
            head = connection.recv(1 << 16)
            connection.sendall(answer())
            assert handle.get(20).message == "Done."
    assert b"\r\nHost: [::1]:" in head


def test_a_recorders_connection_class_is_used() -> None:
    """A tool that puts its own class on urllib3's pools sees the requests."""

    class Recorder(urllib3.connection.HTTPConnection):
        paths: ClassVar[list[str]] = []

        def request(self, method: str, url: str, *args: Any, **options: Any) -> None:
            self.paths.append(url)
            super().request(method, url, *args, **options)

    original = urllib3.HTTPConnectionPool.ConnectionCls
    urllib3.HTTPConnectionPool.ConnectionCls = Recorder
    try:
        with Peer(answering(answer())) as peer:
            assert make_api(peer.host).delete_job(UID).message == "Done."
    finally:
        urllib3.HTTPConnectionPool.ConnectionCls = original
    assert Recorder.paths == [f"/rest/Job/{UID}"]


def test_a_connection_that_is_given_back_twice_is_there_once() -> None:
    """Two calls would share it otherwise, and could read each other's answers."""
    with Peer(answering(answer())) as peer:
        api = make_api(peer.host)
        raw = api.delete_job(UID, _preload_content=False)
        connection = raw._connection  # type: ignore[attr-defined]  # of urllib3's own
        raw.read()
        raw.release_conn()
        pool = api.api_client.rest_client._route(f"{peer.host}/").pool
        pool._put_conn(connection)
    assert pool._idle == [connection]


def test_a_connection_that_is_lost_sight_of_is_not_lent_for_ever() -> None:
    """It takes no place in the pool once nobody has it."""
    pool = rest._Pool("tator.test", maxsize=1)
    held = pool._lend()
    assert pool._lend() is None
    del held
    gc.collect()
    assert pool._lend() is not None


def test_a_warning_made_an_error_is_raised_once() -> None:
    """Whoever asks for errors gets the warning as one, and the client stays usable."""
    api = make_api("http://tator.invalid", retries=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(urllib3.exceptions.InsecureRequestWarning):
            api.delete_job(UID)
        with pytest.raises(ApiConnectionError):
            api.delete_job(UID)
