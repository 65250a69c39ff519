"""urllib3's connection under the limits of an attempt; most of it is in the fault tests."""

from __future__ import annotations

import gzip
import socket
import ssl
import sys
from collections.abc import Callable, Iterator
from math import inf
from pathlib import Path
from typing import Any

import pytest
from certificates import Tls
from peers import DONE, Peer, answering, http
from urllib3.util.ssl_ import create_urllib3_context

from tator.transport.connection import (
    SOCKET_OPTIONS,
    Connection,
    RawResponse,
    TlsConnection,
    TunnelError,
)
from tator.transport.limits import Limits
from tator.transport.pool import Pool

pytestmark = pytest.mark.fast


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    """The certificate authority."""
    return Tls(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def peer() -> Iterator[Peer]:
    with Peer(answering(http(), keep=True)) as peer:
        yield peer


def connection_to(peer: Peer, **options: Any) -> Connection:
    """A connection that works for an attempt."""
    connection = Connection("127.0.0.1", peer.port, **options)
    connection.timeout = Limits(10, inf, inf).connect_timeout
    return connection


def respond(connection: Connection, method: str = "GET", **options: Any) -> RawResponse:
    """Send a request, and read its response up to the body."""
    connection.request(method, "/x", **options)
    return connection.getresponse()


def test_a_request_has_the_headers_that_are_given_and_no_other(peer: Peer) -> None:
    """But for Host, Accept-Encoding, and the length of a body."""
    connection = connection_to(peer)
    assert respond(connection, headers={"X-A": "b"}).read() == DONE
    given = {"host": "tator.test", "accept-encoding": "gzip"}
    assert respond(connection, headers=given).read() == DONE
    assert respond(connection, "PUT", body=b"{}").read() == DONE
    assert respond(connection, "POST").read() == DONE
    assert respond(connection, "DELETE").read() == DONE
    connection.close()
    host = f"127.0.0.1:{peer.port}".encode()
    standard = [b"Host: " + host, b"Accept-Encoding: identity"]
    assert [head.split(b"\r\n") for head in peer.requests] == [
        [b"GET /x HTTP/1.1", *standard, b"X-A: b"],
        [b"GET /x HTTP/1.1", b"host: tator.test", b"accept-encoding: gzip"],
        [b"PUT /x HTTP/1.1", *standard, b"Content-Length: 2"],
        [b"POST /x HTTP/1.1", *standard, b"Content-Length: 0"],
        [b"DELETE /x HTTP/1.1", *standard],
    ]


def test_a_request_may_be_sent_once_the_connection_is_open(peer: Peer) -> None:
    """That tells "not reached" from "the response was lost"."""
    connection = connection_to(peer)
    connection.connect()
    assert not connection.limits.sent
    connection.request("GET", "/x")
    assert connection.limits.sent
    connection.close()


def test_a_request_that_is_cut_off_while_it_is_sent_may_have_left(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Part of it may have arrived, so nobody may say that the server has not seen it."""

    class LostWhileSending(socket.socket):
        def sendall(self, *args: Any) -> None:
            raise ConnectionResetError(104, "Connection reset by peer")

    monkeypatch.setattr(socket, "socket", LostWhileSending)
    connection = connection_to(peer)
    with pytest.raises(ConnectionResetError):
        connection.request("GET", "/x")
    assert connection.limits.sent, "the attempt claims that nothing was sent"
    connection.close()


def test_a_request_without_a_connection_was_not_sent() -> None:
    """The server can't have seen any of it."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # nobody listens here
        connection = Connection("127.0.0.1", closed.getsockname()[1])
        connection.timeout = Limits(10, inf, inf).connect_timeout
        with pytest.raises(ConnectionRefusedError):
            connection.request("GET", "/x")
    assert not connection.limits.sent, "the attempt claims that the request may have been sent"


def test_a_connection_takes_the_limits_of_each_attempt(peer: Peer) -> None:
    """urllib3 sets them as its timeout; any other value means nothing."""
    first, second = Limits(10, inf, inf), Limits(5, inf, inf)
    connection = Connection("127.0.0.1", peer.port, timeout=1)
    for limits in (first, second):
        connection.timeout = limits.connect_timeout
        assert (connection.limits, limits.connection) == (limits, connection)
    connection.timeout = 1
    assert 4 < (connection.timeout or 0) <= 5


def test_a_raw_response_is_one_of_urllib3s(peer: Peer) -> None:
    """With what those who read raw responses look at."""
    connection = connection_to(peer)
    raw = respond(connection)
    assert (raw.status, raw.reason, raw.version, raw.version_string) == (
        *(200, "Whatever", 11, "HTTP/1.1"),
    )
    assert (raw.url, raw.headers["content-length"]) == ("/x", str(len(DONE)))
    assert list(raw.read_chunked(5)) == [DONE[at : at + 5] for at in range(0, len(DONE), 5)]
    assert list(raw.read_chunked()) == []
    assert list(respond(connection).stream(100)) == [DONE]
    assert raw.retries is None
    connection.close()


def test_a_raw_response_is_not_decompressed() -> None:
    """Nothing compressed was asked for, and a small body can unfold to a huge one."""
    body = gzip.compress(DONE)
    with Peer(answering(http(200, body, {"Content-Encoding": "gzip"}))) as peer:
        connection = connection_to(peer)
        assert respond(connection).read() == body
        connection.close()


def test_a_late_release_of_a_raw_response_leaves_the_connection_alone(peer: Peer) -> None:
    """It works for another response by then."""
    pool = Pool("127.0.0.1", peer.port, maxsize=2)
    connection = connection_to(peer)
    respond(connection).read()
    working = respond(connection)
    late = RawResponse(b"", pool=pool, connection=connection)  # type: ignore[arg-type]
    late.release_conn()
    assert (pool.idle.qsize(), connection.is_closed) == (0, False)
    assert working.read() == DONE
    connection.close()


def test_a_connection_is_reusable_after_a_whole_response(peer: Peer) -> None:
    """Neither before, nor midway, nor when it was closed."""
    connection = connection_to(peer)
    assert (connection.is_reusable, connection.is_connected) == (False, False)
    raw = respond(connection)
    assert not connection.is_reusable
    raw.read()
    assert (connection.is_reusable, connection.is_connected) == (True, True)
    connection.close()
    assert (connection.is_reusable, connection.is_connected) == (False, False)
    connection.close()


class FromHandler(socket.socket):
    """A socket during whose call a signal handler raises."""

    def getsockname(self) -> Any:
        raise ConnectionError("raised by a signal handler")


class AfterReset(socket.socket):
    """A socket of a system that forgets the address of one that was reset, as macOS does."""

    def getsockname(self) -> Any:
        raise OSError(22, "Invalid argument")


def test_an_exception_of_the_caller_passes_while_a_connection_is_checked_or_closed() -> None:
    """It is not taken for a sign that the connection is dead."""
    connection = Connection("127.0.0.1", 9)
    with FromHandler() as sock:
        connection.sock = sock
        for step in (lambda: connection.is_connected, connection.close):
            with pytest.raises(ConnectionError, match="signal handler"):
                step()


def test_a_socket_without_an_address_is_closed() -> None:
    """It is closed with its connection, although the system reports an error."""
    connection = Connection("127.0.0.1", 9)
    connection.sock = sock = AfterReset()
    connection.close()
    assert sock.fileno() == -1


class FailsToClose(socket.socket):
    """A socket whose descriptor vanishes while it is closed."""

    error: Exception = OSError(9, "Bad file descriptor")

    def close(self) -> None:
        super().close()
        raise self.error


def test_a_connection_that_another_thread_closes_is_not_connected(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system's error is read as a closed connection."""

    class ClosedMeanwhile(socket.socket):
        def getsockname(self) -> Any:
            name = super().getsockname()
            if is_closing:
                self.close()
            return name

    is_closing = False
    monkeypatch.setattr(socket, "socket", ClosedMeanwhile)
    connection = connection_to(peer)
    respond(connection).read()
    assert connection.is_connected
    is_closing = True
    assert not connection.is_connected


def test_an_address_that_cannot_have_a_socket_leaves_the_next_one(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A system without IPv6 has no socket for the first address of many names."""

    class WithoutIPv6(socket.socket):
        def __init__(self, family: int = -1, *args: Any, **options: Any) -> None:
            if family == socket.AF_INET6:
                raise OSError(97, "Address family not supported by protocol")
            super().__init__(family, *args, **options)

    def getaddrinfo(host: str, port: int, *args: Any) -> Any:
        v4 = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))
        return [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", port, 0, 0)), v4]

    monkeypatch.setattr(socket, "socket", WithoutIPv6)
    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    connection = Connection("tator.test", peer.port)
    connection.timeout = Limits(10, inf, inf).connect_timeout
    assert respond(connection).read() == DONE
    connection.close()


def resolving_to(ports: list[int]) -> Callable[..., list[Any]]:
    """A resolver that finds these ports of this machine, whatever the name."""
    family, kind = socket.AF_INET, socket.SOCK_STREAM
    return lambda *args: [(family, kind, 6, "", ("127.0.0.1", port)) for port in ports]


def test_each_address_of_a_name_has_an_equal_share_of_the_time_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What one does not use is there for those after it: the last one may take all of it."""
    shares = []

    class NeverConnects(socket.socket):
        def connect(self, address: Any) -> None:
            shares.append(self.gettimeout() or 0)
            raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(socket, "socket", NeverConnects)
    monkeypatch.setattr(socket, "getaddrinfo", resolving_to([1, 2, 3]))
    connection = Connection("tator.test", 80)
    connection.timeout = Limits(120, inf, inf).connect_timeout
    with pytest.raises(ConnectionRefusedError):
        connection.connect()
    for share, most in zip(shares, (40, 60, 120), strict=True):
        assert most - 5 < share <= most


def test_a_handshake_has_all_the_time_left(tls: Tls, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not only the share of the address that it goes to."""
    context = create_urllib3_context()
    context.load_verify_locations(tls.ca_file)
    with Peer(answering(), tls.server("tator.test")) as peer:
        monkeypatch.setattr(socket, "getaddrinfo", resolving_to([peer.port, 1]))
        connection = TlsConnection("tator.test", peer.port, ssl_context=context)
        connection.timeout = Limits(120, inf, inf).connect_timeout
        connection.connect()
        assert 115 < (connection.sock.gettimeout() or 0) <= 120
        connection.close()


def test_closing_raises_no_exception() -> None:
    """Unless the caller's own code raises meanwhile."""
    connection = Connection("127.0.0.1", 9)
    connection.sock = FailsToClose()
    connection.close()
    assert connection.sock is None
    connection.sock = sock = FailsToClose()
    sock.error = ConnectionError("raised by a signal handler")
    with pytest.raises(ConnectionError, match="signal handler"):
        connection.close()


def test_a_native_socket_is_not_used_after_sockets_were_replaced(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """gevent replaces them; a native one would stop all greenlets."""
    connection = connection_to(peer)
    respond(connection).read()
    assert connection.is_connected
    with monkeypatch.context() as patch:
        patch.setattr(socket, "socket", type("Green", (), {}))
        assert not connection.is_connected
    connection.close()


def test_a_connection_tells_audit_hooks_where_it_goes(peer: Peer) -> None:
    """As http.client does."""
    seen = []

    def hook(event: str, args: Any) -> None:
        if event == "http.client.connect" and is_on:
            seen.append(args[1:])

    is_on = True
    sys.addaudithook(hook)
    connection = connection_to(peer)
    try:
        connection.connect()
    finally:
        is_on = False
        connection.close()
    assert seen == [("127.0.0.1", peer.port)]


def test_a_name_keeps_the_dot_at_its_end(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says that the name is whole; urllib3's `host` drops it, for TLS."""
    names = []

    def getaddrinfo(host: str, port: int, *args: Any) -> Any:
        names.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    connection = Connection("tator.test.", peer.port, socket_options=None)
    connection.timeout = Limits(10, inf, inf).connect_timeout
    assert respond(connection).read() == DONE
    connection.close()
    assert names == ["tator.test."]


@pytest.mark.parametrize(
    ("host", "target"),
    [
        ("tator.test", b"tator.test:443"),
        ("10.0.0.1", b"10.0.0.1:443"),
        ("::1", b"[::1]:443"),
        ("[::1]", b"[::1]:443"),
    ],
)
@pytest.mark.parametrize(
    ("response", "status", "problem"),
    [
        (http(407, b"no"), 407, "the proxy responded with 407 Whatever"),
        (b"HTTP/1.1 200 OK\r\n\r\nmore", 200, "the proxy sent more than the headers"),
    ],
)
def test_a_proxy_is_asked_for_a_tunnel(
    host: str, target: bytes, response: bytes, status: int, problem: str
) -> None:
    """It has to respond with 200, and with nothing after it."""
    with Peer(answering(response)) as peer:
        connection = TlsConnection("127.0.0.1", peer.port)
        connection.timeout = Limits(10, inf, inf).connect_timeout
        connection.set_tunnel(host, 443, {"Proxy-Authorization": "Basic x"})
        with pytest.raises(TunnelError, match=problem) as caught:
            connection.connect()
        assert connection.is_closed
    assert caught.value.status == status
    assert peer.requests == [
        b"CONNECT %b HTTP/1.1\r\nHost: %b\r\nProxy-Authorization: Basic x" % (target, target)
    ]


def test_a_tunnel_needs_no_headers() -> None:
    """A proxy without credentials."""
    with Peer(answering(http(502))) as peer:
        connection = Connection("127.0.0.1", peer.port)
        connection.timeout = Limits(10, inf, inf).connect_timeout
        connection.set_tunnel("tator.test", 80)
        with pytest.raises(TunnelError, match="502 Whatever"):
            connection.connect()
    assert peer.requests == [b"CONNECT tator.test:80 HTTP/1.1\r\nHost: tator.test:80"]


def test_a_connection_cut_without_close_notify_is_an_error(tls: Tls) -> None:
    """It must not pass for the end of a response without a length."""
    context = create_urllib3_context()
    context.load_verify_locations(tls.ca_file)
    with Peer(answering(b"HTTP/1.1 200 OK\r\n\r\n{}"), tls.server()) as peer:
        connection = TlsConnection("127.0.0.1", peer.port, ssl_context=context)
        connection.timeout = Limits(10, inf, inf).connect_timeout
        raw = respond(connection)
        with pytest.raises(ssl.SSLEOFError):
            raw.wire.read()
        connection.close()


def test_socket_options_are_those_that_the_system_has(tmp_path: Path) -> None:
    """No delay for small requests, and probes for silent connections."""
    assert (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1) in SOCKET_OPTIONS
    assert (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1) in SOCKET_OPTIONS
    with socket.socket() as sock:
        for option in SOCKET_OPTIONS:
            sock.setsockopt(*option)
