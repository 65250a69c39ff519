"""The way to an origin is made from one reading of the settings."""

from __future__ import annotations

import io
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from math import inf
from pathlib import Path
from typing import Any

import pytest
import urllib3
from peers import DONE, Peer, answering, http

import tator
from tator import ApiConnectionError, ApiValueError
from tator.transport.limits import Limits, TooLarge
from tator.transport.pool import Pool, TlsPool
from tator.transport.route import Route, is_loopback, key_of, make_route, read_body

pytestmark = pytest.mark.fast


def route_to(host: str, known: Route | None = None, **settings: Any) -> Route:
    """A route by a configuration's settings."""
    configuration = tator.Configuration(host, **settings)
    return make_route(key_of(f"{host}/rest/x", vars(configuration)), known)


def send(route: Route, path: str = "/rest/x") -> urllib3.BaseHTTPResponse:
    """The unread response to a request."""
    url = f"{route.origin}{path}"
    return route.send("GET", url, {"X-A": "b"}, None, Limits(5, inf, inf))


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("http://tator.test/rest/Job/x", "http://tator.test"),
        ("https://tator.test:8443/prefix/rest/Job/x", "https://tator.test:8443"),
        ("http://[::1]:80/", "http://[::1]:80"),
    ],
)
def test_settings_are_read_for_the_origin_of_a_url(url: str, origin: str) -> None:
    """All that a route depends on, at one time; and whose process it is."""
    configuration = tator.Configuration(
        "http://other.test", verify_ssl=False, proxy="", keepalive_expiry=5
    )
    key = key_of(url, vars(configuration).copy())
    assert key == (origin, os.getpid(), False, None, None, None, None, "", 32, 5)


def test_a_route_is_made_from_its_settings() -> None:
    """Its pool keeps as many connections, for as long, as they say."""
    plain = route_to("http://127.0.0.1:9", connection_pool_maxsize=3, keepalive_expiry=None)
    assert (type(plain.pool), plain.context, plain.proxy) == (Pool, None, None)
    assert (plain.pool.host, plain.pool.port) == ("127.0.0.1", 9)
    assert (plain.pool.idle.maxsize, plain.pool.idle.expiry) == (3, inf)
    secure = route_to("https://tator.test", assert_hostname="other.test")
    assert isinstance(secure.pool, TlsPool)
    assert (secure.pool.host, secure.pool.assert_hostname) == ("tator.test", "other.test")
    assert secure.pool.idle.expiry == 30


def test_a_context_serves_all_routes_while_its_settings_stay() -> None:
    """It takes 20 ms to make, and plain http needs none."""
    first = route_to("https://tator.test")
    assert route_to("https://other.test", first).context is first.context
    plain = route_to("http://127.0.0.1:9", first)
    assert plain.context is None
    assert route_to("https://tator.test", plain).context is not first.context
    unverified = route_to("https://tator.test", first, verify_ssl=False)
    assert unverified.context is not first.context
    proxied = route_to("http://127.0.0.1:9", first, proxy="https://proxy.test")
    assert proxied.context is first.context


def test_a_route_that_cannot_be_made_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """A TLS file, and a proxy of the environment."""
    with pytest.raises(ApiValueError, match="ssl_ca_cert"):
        route_to("https://tator.test", ssl_ca_cert="/nowhere")
    monkeypatch.setenv("HTTPS_PROXY", "socks5://proxy.test")
    with pytest.raises(ApiValueError, match="HTTPS_PROXY"):
        route_to("https://tator.test")


def test_a_request_goes_as_it_is() -> None:
    """Its path is not resolved, and a proxy for plain http gets the whole URL."""
    with Peer(answering(http(), keep=True)) as peer:
        route = route_to(peer.host)
        assert read_body(send(route, "/rest/Job/../%2E%2E?a=b"), 100) == DONE
        route.retire()
        proxied = route_to("http://127.0.0.1:9", proxy=peer.host)
        assert read_body(send(proxied), 100) == DONE
        proxied.retire()
        lines = [head.split(b"\r\n")[0] for head in peer.requests]
    assert lines == [
        b"GET /rest/Job/../%2E%2E?a=b HTTP/1.1",
        b"GET http://127.0.0.1:9/rest/x HTTP/1.1",
    ]


def test_a_connection_is_kept_after_its_response_was_read() -> None:
    """And closed if that was too large, or if the route is retired."""
    with Peer(answering(http(), keep=True)) as peer:
        route = route_to(peer.host)
        response = send(route)
        assert route.pool.idle.qsize() == 0
        assert read_body(response, len(DONE)) == DONE
        assert route.pool.idle.qsize() == 1
        too_large: Any = send(route)
        with pytest.raises(TooLarge):
            read_body(too_large, len(DONE) - 1)
        too_large.connection.limits.discard()
        assert read_body(send(route), len(DONE)) == DONE
        assert peer.connections == 2
        late = send(route)
        route.retire()
        assert read_body(late, len(DONE)) == DONE
        assert route.pool.idle.qsize() == 0


def test_a_status_is_never_followed_or_retried() -> None:
    """urllib3's own retries know neither the deadline nor the doubt."""
    for status in (301, 303, 413, 429, 503):
        headers = {"Location": "/other", "Retry-After": "1"}
        with Peer(answering(http(status, headers=headers), keep=True)) as peer:
            route = route_to(peer.host)
            response = send(route)
            assert response.status == status
            read_body(response, 100)
            route.retire()
            assert len(peer.requests) == 1


class Unreleasable:
    """A response of VCR.py before 9.4: whole, and without a connection."""

    def read(self, amount: int) -> bytes:
        return DONE[:amount]


@pytest.mark.parametrize(
    "response",
    [urllib3.HTTPResponse(io.BytesIO(DONE), preload_content=False), Unreleasable()],
    ids=["of urllib3", "of VCR.py"],
)
def test_a_recorded_response_is_read_within_its_limit(response: Any) -> None:
    """One that is larger is not cut without a word."""
    if isinstance(response, Unreleasable):
        with pytest.raises(TooLarge):
            read_body(response, len(DONE) - 1)
    assert read_body(response, len(DONE)) == DONE


def test_a_recorders_connection_may_have_sent_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not tell; it is closed after the response, since it has no expiry."""
    sent_before: list[bool] = []

    class Recorder(urllib3.connection.HTTPConnection):
        def connect(self) -> None:
            sent_before.append(limits.sent)
            super().connect()

    limits = Limits(5, inf, inf)
    with Peer(answering(http(), keep=True)) as peer:
        monkeypatch.setattr(urllib3.HTTPConnectionPool, "ConnectionCls", Recorder)
        route = route_to(peer.host)
        response = route.send("GET", f"{peer.host}/x", {}, None, limits)
        assert read_body(response, 100) == DONE
        assert route.pool.idle.qsize() == 0
    assert sent_before == [True]


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
    assert is_loopback(host) is expected


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_waits_until_a_route_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that is forked in the middle of an import would wait for it forever."""
    order: list[str] = []
    making, go = threading.Event(), threading.Event()

    def make(*args: Any) -> Any:
        making.set()
        go.wait(30)
        order.append("made")
        raise OSError(24, "Too many open files")

    def call() -> None:
        with pytest.raises(ApiConnectionError):
            route_to("https://tator.test")

    monkeypatch.setattr("tator.transport.tls.create_urllib3_context", make)
    thread = threading.Thread(target=call)
    thread.start()
    making.wait(30)
    threading.Timer(0.05, go.set).start()
    child = os.fork()
    if not child:
        os._exit(0 if order == ["made"] else 1)
    thread.join()
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_thread_waits_briefly_for_a_route_of_another_thread(tmp_path: Path) -> None:
    """A certificate file that blocks holds up neither other routes nor a fork."""
    pipe = tmp_path / "ca.pem"
    os.mkfifo(pipe)
    errors: list[BaseException] = []

    def make() -> None:
        try:
            route_to("https://tator.test", ssl_ca_cert=str(pipe))
        except ApiValueError as error:
            errors.append(error)

    thread = threading.Thread(target=make)
    thread.start()
    writer = None
    while writer is None:
        with suppress(OSError):  # until the other end is open
            writer = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    with ThreadPoolExecutor(1) as others:  # both wait for the same second
        other = others.submit(route_to, "http://127.0.0.1:9")
        child = os.fork()
        if child == 0:
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert other.result().proxy is None
    os.close(writer)
    thread.join(10)
    assert "ssl_ca_cert" in str(errors)
