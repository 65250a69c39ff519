"""LocalTator reads what clients send, speaks TLS, survives a fork, and leaves nothing behind."""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import sys
import threading
from contextlib import suppress

import pytest
import trustme
from wire import Arrivals, address, exchange, send

from tator.testing import LocalTator

HEAD = "DELETE /rest/Job/x HTTP/1.1\r\nHost: localhost\r\n"
LAST = f"{HEAD}Connection: close\r\n\r\n"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """A certificate authority."""
    return trustme.CA()


@pytest.fixture
def server_context(authority: trustme.CA) -> ssl.SSLContext:
    """What a server with a certificate of the CA needs."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


def test_a_connection_is_kept_alive(local_tator: LocalTator) -> None:
    """Several requests can go over one connection."""
    connection = http.client.HTTPConnection(*address(local_tator))
    connection.connect()
    port = connection.sock.getsockname()
    for _ in range(3):
        connection.request("DELETE", "/rest/Job/x")
        connection.getresponse().read()
        assert connection.sock.getsockname() == port
    connection.close()


@pytest.mark.parametrize(
    ("version", "header"), [("1.1", "Connection: Close\r\n"), ("1.0", ""), ("1.0", "X: 1\r\n")]
)
def test_a_connection_is_closed_as_the_client_wants(
    local_tator: LocalTator, version: str, header: str
) -> None:
    """It is closed after the response, which says so."""
    request = f"DELETE /rest/Job/x HTTP/{version}\r\nHost: localhost\r\n{header}\r\n"
    assert "\r\nConnection: close\r\n" in exchange(local_tator, request)


def test_a_planned_header_closes_the_connection(local_tator: LocalTator) -> None:
    """`Connection: close` among the headers of a failure is meant."""
    local_tator.fail(503, headers={"connection": "close"})
    response = exchange(local_tator, f"{HEAD}\r\n")
    assert response.count("Connection: close") == 1
    assert "keep-alive" not in response


def test_http_1_0_can_be_kept_alive(local_tator: LocalTator) -> None:
    """A client of old can ask for it."""
    old = "DELETE /a HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n"
    assert exchange(local_tator, old + LAST).count("HTTP/1.1 ") == 2


def test_responses_without_a_body_have_none(local_tator: LocalTator) -> None:
    """After a response to HEAD and after a 204, the next response follows at once."""
    local_tator.route("DELETE", "/rest/Thing", None, status=204)
    common = f"Host: localhost\r\nAuthorization: Token {local_tator.token}"
    responses = exchange(
        local_tator,
        f"HEAD /rest/Job/x HTTP/1.1\r\n{common}\r\n\r\n"
        f"DELETE /rest/Thing HTTP/1.1\r\n{common}\r\n\r\n"
        f"DELETE /rest/Job/x HTTP/1.1\r\n{common}\r\nConnection: close\r\n\r\n",
    )
    first, second, third = responses.split("\r\n\r\n", 2)
    assert first.startswith("HTTP/1.1 500 ")
    assert second.startswith("HTTP/1.1 204 ")
    assert "Content-Length" not in first + second
    assert third.startswith("HTTP/1.1 500 ")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("2\r\n{}\r\n0\r\n\r\n", 200),
        ("1;name=value\r\n{\r\n1 \r\n}\r\n0\r\nX-Trailer: 1\r\n\r\n", 200),
        ("00A\r\n{not json!\r\n0\r\n\r\n", 400),
    ],
)
def test_a_chunked_body_is_read(local_tator: LocalTator, body: str, status: int) -> None:
    """Chunks are the body of their request, and not another request."""
    (uid,) = local_tator.launch().run_uids
    authorization = f"Host: localhost\r\nAuthorization: Token {local_tator.token}\r\n"
    request = f"DELETE /rest/Job/{uid} HTTP/1.1\r\n{authorization}Transfer-Encoding: Chunked\r\n"
    responses = exchange(local_tator, f"{request}\r\n{body}{LAST}")
    assert responses.startswith(f"HTTP/1.1 {status} ")
    assert responses.count("HTTP/1.1 ") == 2
    assert local_tator.requests[0].body in (b"{}", b"{not json!")


def test_a_client_that_expects_100_continue_gets_it(local_tator: LocalTator) -> None:
    """`Expect: 100-continue` gets its response before the body is sent."""
    with socket.create_connection(address(local_tator), timeout=10) as connection:
        connection.sendall(
            f"{HEAD}Expect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\n".encode()
        )
        assert connection.recv(4096) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"{}")
        assert connection.recv(4096).startswith(b"HTTP/1.1 500 ")
    assert local_tator.requests[0].body == b"{}"


@pytest.mark.parametrize(
    "request_",
    [
        *("GET /rest/Job/x\r\n\r\n", "GET /rest/Job/x HTTP/2.0\r\n\r\n", "\r\n\r\n"),
        *("SSH-2.0-client is this\r\n\r\n", "GET  HTTP/1.1\r\n\r\n"),
        *(f"{HEAD}no colon\r\n\r\n", f"{HEAD}a name: x\r\n\r\n", f"{HEAD} folded: x\r\n\r\n"),
        *(f"{HEAD}Content-Length: abc\r\n\r\n", f"{HEAD}Content-Length: -1\r\n\r\n"),
        f"{HEAD}Content-Length: {'9' * 5000}\r\n\r\n",
        f"{HEAD}Transfer-Encoding: gzip\r\n\r\n",
        f"{HEAD}Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n{{}}",
        f"{HEAD}Transfer-Encoding: chunked\r\n\r\n-1\r\n",
        f"{HEAD}Transfer-Encoding: chunked\r\n\r\n2\r\n{{}}{{}}\r\n",
        f"{HEAD}X: {'x' * 70_000}\r\n\r\n",
        f"GET /{'x' * 70_000} HTTP/1.1\r\n\r\n",
    ],
)
def test_a_request_that_is_not_http_gets_a_400(local_tator: LocalTator, request_: str) -> None:
    """A malformed request gets a page, and the connection is closed."""
    response = exchange(local_tator, request_)
    assert response.startswith("HTTP/1.1 400 Bad Request\r\n")
    assert "\r\nConnection: close\r\n" in response
    assert local_tator.requests == []


@pytest.mark.parametrize(
    "framing",
    [
        f"Content-Length: {10**12}\r\n\r\n",
        f"Content-Length: {10**12}\r\nExpect: 100-continue\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\nE8D4A51000\r\n",
    ],
)
def test_a_huge_body_is_a_413(local_tator: LocalTator, framing: str) -> None:
    """A body that would fill the memory is rejected by its size, and the connection closed."""
    response = exchange(local_tator, HEAD + framing)
    assert response.startswith("HTTP/1.1 413 ")
    assert "\r\nConnection: close\r\n" in response
    assert local_tator.requests == []


def test_a_client_that_sends_on_is_cut(local_tator: LocalTator) -> None:
    """What follows a rejected head is read for a while, and not forever."""

    def send_on(connection: socket.socket) -> None:
        while True:
            connection.sendall(bytes(1 << 20))

    with socket.create_connection(address(local_tator), timeout=10) as connection:
        connection.sendall(f"{HEAD}Content-Length: {10**12}\r\n\r\n".encode())
        with pytest.raises(ConnectionError):
            send_on(connection)


def test_a_client_may_send_on_after_a_rejection(local_tator: LocalTator) -> None:
    """What follows a rejected head is read, so that no reset overtakes the rejection."""
    with socket.create_connection(address(local_tator), timeout=10) as connection:
        connection.sendall(f"{HEAD}Content-Length: {10**12}\r\n\r\n".encode())
        assert b"".join(iter(lambda: connection.recv(4096), b"")).startswith(b"HTTP/1.1 413 ")
        for _ in range(32):
            connection.sendall(bytes(1 << 14))


def test_a_client_that_stays_after_a_rejection_is_disconnected(local_tator: LocalTator) -> None:
    """Nobody waits for long for a client that neither sends nor leaves after a rejection."""
    before = set(threading.enumerate())
    with socket.create_connection(address(local_tator), timeout=10) as connection:
        connection.sendall(b"nothing\r\n")
        assert b"".join(iter(lambda: connection.recv(4096), b"")).startswith(b"HTTP/1.1 400 ")
        for thread in set(threading.enumerate()) - before:
            thread.join(30)
            assert not thread.is_alive()


@pytest.mark.parametrize(
    "part",
    [
        *("", "DELETE /rest/Jo", HEAD, f"{HEAD}Content-Length: 5\r\n\r\n{{}}"),
        f"{HEAD}Transfer-Encoding: chunked\r\n\r\n5\r\n{{}}",
    ],
)
def test_a_client_may_leave_within_a_request(local_tator: LocalTator, part: str) -> None:
    """A request that ends too early gets no response, and did not arrive."""
    with socket.create_connection(address(local_tator), timeout=10) as connection:
        connection.sendall(part.encode())
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(4096) == b""
    assert local_tator.requests == []


def test_a_client_may_leave_before_its_response(local_tator: LocalTator) -> None:
    """The work is done anyway, and the server serves the others."""
    arrivals = Arrivals(local_tator)
    local_tator.delay(600)
    with socket.create_connection(address(local_tator)) as left:
        left.sendall(f"{HEAD}\r\n".encode())
        arrivals.wait()
    local_tator.delay(0)
    assert send(local_tator, "/rest/Job/x").status == 500


def test_it_speaks_tls(authority: trustme.CA, server_context: ssl.SSLContext) -> None:
    """With a context it is an https server."""
    client_context = ssl.create_default_context()
    authority.configure_trust(client_context)
    with LocalTator(ssl_context=server_context) as server:
        assert server.host.startswith("https://127.0.0.1:")
        connection = http.client.HTTPSConnection(*address(server), context=client_context)
        (uid,) = server.launch().run_uids
        headers = {"Authorization": f"Token {server.token}"}
        connection.request("DELETE", f"/rest/Job/{uid}", headers=headers)
        assert connection.getresponse().status == 200
        connection.close()


def test_the_wrong_protocol_gets_a_page(server_context: ssl.SSLContext) -> None:
    """http on the https port is told so; TLS on the http port fails in the handshake."""
    with LocalTator(ssl_context=server_context) as server:
        reply = send(server, "/rest/Job/x")
        assert reply.status == 400
        assert reply.title == "The plain HTTP request was sent to HTTPS port"
    with LocalTator() as server:
        secure = http.client.HTTPSConnection(*address(server), timeout=10)
        with pytest.raises(ssl.SSLError):
            secure.connect()
        secure.close()


def test_closing_does_not_wait_for_clients(server_context: ssl.SSLContext) -> None:
    """Idle, silent and delayed connections are cut, without a response, when the server closes."""
    for context in (None, server_context):
        with LocalTator(ssl_context=context) as server:
            silent = [socket.create_connection(address(server), timeout=10) for _ in range(3)]
            silent[0].sendall(b"\x16" if context else b"DELETE /rest/Job/x HTTP/1.1\r\n")
            if context is None:
                server.delay(600)
                arrivals = Arrivals(server)
                silent[1].sendall(f"{HEAD}\r\n".encode())
                arrivals.wait()
        assert not [thread for thread in threading.enumerate() if thread.name == "LocalTator"]
        for connection in silent:
            with suppress(ConnectionResetError):
                assert connection.recv(1) == b""
            connection.close()
        server.close()


def test_closing_cuts_a_handshake(authority: trustme.CA, server_context: ssl.SSLContext) -> None:
    """A client that stops in the middle of its handshake does not hold the server open."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    with (
        LocalTator(ssl_context=server_context) as server,
        socket.create_connection(address(server), timeout=10) as connection,
    ):
        with pytest.raises(ssl.SSLWantReadError):
            client.do_handshake()
        connection.sendall(outgoing.read())
        assert connection.recv(1) == b"\x16"  # the server is in its handshake
        server.close()
        with suppress(ConnectionError):
            while connection.recv(4096):
                pass


def test_closing_may_meet_the_start_of_a_handshake(server_context: ssl.SSLContext) -> None:
    """A thread that is about to begin a handshake when the server closes ends without a word."""
    switching = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for _ in range(100):
            with LocalTator(ssl_context=server_context) as server:
                clients = [socket.create_connection(address(server)) for _ in range(6)]
                for client in clients:
                    client.sendall(b"\x16")
            for client in clients:
                client.close()
    finally:
        sys.setswitchinterval(switching)


def test_servers_leave_nothing_behind() -> None:
    """Neither a descriptor nor a thread is left by a server that was used."""

    def use() -> tuple[int, int]:
        with LocalTator() as server:
            send(server, "/rest/Job/x")
        return len(os.listdir("/dev/fd")), threading.active_count()

    descriptors, threads = use()
    for _ in range(20):
        last = use()
    assert last[0] <= descriptors
    assert last[1] <= threads


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_child_leaves_the_server_to_its_parent(local_tator: LocalTator) -> None:
    """What a child closes stays open in the parent, what the parent closes seems closed to all."""
    connection = http.client.HTTPConnection(*address(local_tator), timeout=10)

    def ask() -> int:
        connection.request("DELETE", "/rest/Job/x")
        response = connection.getresponse()
        response.read()
        return response.status

    assert ask() == 500
    (uid,) = local_tator.launch().run_uids
    parents, childs = socket.socketpair()
    child = os.fork()
    if child == 0:
        status = send(local_tator, f"/rest/Job/{uid}").status  # the parent responds
        local_tator.close()
        childs.send(b"%d %d" % (status, len(local_tator.jobs)))
        childs.recv(1)
        os._exit(0)
    try:
        assert parents.recv(100) == b"200 1"
        assert local_tator.jobs == {uid: "cancelled"}
        assert ask() == 500  # on the old connection
        local_tator.drop()
        with pytest.raises(ConnectionError):
            ask()
        local_tator.close()
        with pytest.raises(ConnectionRefusedError):
            send(local_tator, "/rest/Job/x")
    finally:
        connection.close()
        parents.close()
        childs.shutdown(socket.SHUT_RDWR)
        childs.close()
        assert os.waitpid(child, 0)[1] == 0
