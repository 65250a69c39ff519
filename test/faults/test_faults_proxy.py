"""What the rows of the matrix do not name: proxies that misbehave, and their environment."""

from __future__ import annotations

import itertools
import socket
import ssl
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import Proxy, Tls
from peers import (
    DONE,
    TOKEN,
    UID,
    Connection,
    Peer,
    Script,
    all_at_once,
    answering,
    failure,
    http,
    join_resolvers,
    make_api,
)
from urllib3.exceptions import InsecureRequestWarning

from tator import (
    ApiConnectionError,
    ApiException,
    ApiProxyError,
    ApiTimeoutError,
    ApiTlsError,
    ApiValueError,
    UnauthorizedException,
)
from tator.testing import LocalTator

ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


@pytest.fixture(autouse=True)
def _no_resolver_left() -> Iterator[None]:
    """A look-up leaves no thread behind."""
    yield
    join_resolvers()


# Tunnels


def test_a_dripped_response_to_connect_ends_by_the_connect_timeout(tls: Tls) -> None:
    """A proxy that never completes its response does not outlast the limits."""

    def status(connection: Connection) -> None:
        connection.drip(b"HTTP/1.1 200 " + b"x" * 999)

    def headers(connection: Connection) -> None:
        connection.send(b"HTTP/1.1 200 OK\r\n")
        connection.drip(b"X-Slow: yes\r\n" * 99)

    def check(script: Script, limits: dict[str, Any]) -> None:
        with Peer(answering(script)) as peer:
            api = make_api("https://tator.test", proxy=peer.host, ssl_ca_cert=tls.ca_file, **limits)
            failure(ApiTimeoutError, api.delete_job, UID, maybe_applied=False, ends_by=0.2)

    limits: list[dict[str, Any]] = [{"deadline": 0.2}, {"timeout": (0.2, None)}]
    all_at_once(check, itertools.product((status, headers), limits))


def test_a_dripped_handshake_through_a_proxy_ends_by_the_deadline(tls: Tls) -> None:
    """TLS inside TLS included, which urllib3 does in separate steps."""

    def check(dripped: bytes, context: ssl.SSLContext | None) -> None:
        def script(connection: Connection) -> None:
            connection.send(ESTABLISHED)
            connection.sock.recv(1 << 16)  # the client's part of the handshake
            connection.drip(dripped)
            connection.hang()

        with Peer(answering(script), context) as peer:
            api = make_api(
                "https://tator.test", proxy=peer.host, deadline=0.2, ssl_ca_cert=tls.ca_file
            )
            failure(ApiTimeoutError, api.delete_job, UID, maybe_applied=False, ends_by=0.2)

    dripping = b"\x16\x03\x03\x40\x00" + bytes(1 << 14)
    all_at_once(check, itertools.product((b"", dripping), (None, tls.server())))


def closed_tunnel(connection: Connection) -> None:
    """Open a tunnel and end it: reading on, since the system would send a reset for what is not."""
    connection.send(ESTABLISHED)
    connection.sock.shutdown(socket.SHUT_WR)
    connection.hang()


RESPONSES_TO_CONNECT: dict[str, tuple[bytes | Script, type[ApiException]]] = {
    "nothing": (b"", ApiProxyError),
    "reset": (Connection.reset, ApiProxyError),
    "garbage": (b"SSH-2.0-OpenSSH_9.6\r\n", ApiProxyError),
    "cut": (b"HTTP/1.1 200 OK\r\nX: y", ApiProxyError),
    "an interim response": (b"HTTP/1.1 100 Continue\r\n\r\n", ApiProxyError),
    "redirect": (http(302, headers={"Location": "http://127.0.0.1:9"}), ApiProxyError),
    "established, and closed": (closed_tunnel, ApiTlsError),
    "established, and no TLS": (ESTABLISHED + http(), ApiProxyError),
    "headers without end": (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 400_000, ApiProxyError),
}


@pytest.mark.usefixtures("no_backoff")
@pytest.mark.parametrize(
    ("response", "kind"), RESPONSES_TO_CONNECT.values(), ids=RESPONSES_TO_CONNECT
)
def test_a_failed_tunnel_is_an_error(response: bytes | Script, kind: type[ApiException]) -> None:
    """No response to CONNECT makes a success, and the server has seen nothing."""
    with Peer(answering(response)) as peer:
        api = make_api("https://tator.test", proxy=peer.host)
        failure(kind, api.delete_job, UID, maybe_applied=False)
    assert all(request.startswith(b"CONNECT tator.test:443") for request in peer.requests)
    assert not [request for request in peer.requests if TOKEN.encode() in request]


def test_a_response_cut_within_two_layers_of_tls_is_an_error(tls: Tls, tls_proxy: Proxy) -> None:
    """A body without a length ends with the close_notify of the server's TLS."""
    response = b"HTTP/1.1 200 OK\r\n\r\n" + DONE
    with Peer(answering(response), tls.server()) as peer:
        api = make_api(
            peer.host,
            proxy=f"https://{tls_proxy.authority}",
            ssl_ca_cert=tls.ca_file,
            retries=0,
        )
        failure(ApiConnectionError, api.delete_job, UID, maybe_applied=True)


@pytest.mark.usefixtures("no_garbage_collection")
def test_a_socket_within_two_layers_of_tls_is_collected_with_its_client(
    tls: Tls, tls_proxy: Proxy
) -> None:
    """It does not stay until the garbage collector runs."""
    with Peer(answering(http(), keep=True), tls.server()) as peer:
        proxy = f"https://{tls_proxy.authority}"
        api = make_api(peer.host, proxy=proxy, ssl_ca_cert=tls.ca_file)
        raw: Any = api.delete_job(UID, _preload_content=False)
        outer = weakref.ref(raw.connection.sock.socket)
        assert raw.read() == DONE
        assert outer() is not None
        del api, raw
        assert outer() is None


# The environment


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("socks5h://me:hush-hush@127.0.0.1:9", "must not be a SOCKS proxy: name an HTTP proxy, or"),
        ("http://me:hush hush@127.0.0.1", "must have its user info percent-encoded"),
    ],
)
def test_an_unusable_http_proxy_names_its_variable(
    value: str, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error says the way out, and shows no password."""
    monkeypatch.setenv("HTTP_PROXY", value)
    secrets = (TOKEN, "hush-hush", "hush hush")
    with LocalTator(TOKEN) as server:
        api = make_api(server.host)
        error = failure(ApiValueError, api.delete_job, UID, maybe_applied=False, secrets=secrets)
        assert error.reason.startswith(f"environment variable HTTP_PROXY {problem}")
        assert '("" for none)' in str(error)
        assert server.requests == []
        api.api_client.configuration.proxy = ""
        assert api.delete_job(server.launch().run_uids[0]).message


def test_a_proxy_for_https_is_not_used_for_http(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each variable is for its scheme."""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    with LocalTator(TOKEN) as server:
        assert make_api(server.host).delete_job(server.launch().run_uids[0]).message


@pytest.mark.parametrize("no_proxy", ["(", "[", "::1", ",,,", "127.0.0.1:x", "\\", "*.test"])
def test_a_malformed_no_proxy_excludes_nothing(
    no_proxy: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proxy is used anyway."""
    monkeypatch.setenv("HTTP_PROXY", proxy.authority)
    monkeypatch.setenv("NO_PROXY", no_proxy)
    with LocalTator(TOKEN) as server:
        assert make_api(server.host).delete_job(server.launch().run_uids[0]).message
        assert "via" in server.requests[0].headers


def test_a_proxy_that_passes_a_wrong_token_is_not_blamed(
    server: LocalTator, proxy: Proxy, tls: Tls
) -> None:
    """The server's own error arrives through it."""
    api = make_api(server.host, ssl_ca_cert=tls.ca_file, proxy=f"http://{proxy.authority}")
    failure(UnauthorizedException, api.delete_job, UID, maybe_applied=False)


# Credentials


@pytest.mark.parametrize(
    ("user_info", "sent"),
    [
        ("me:p%40ss%3Aword", "bWU6cEBzczp3b3Jk"),
        ("me:%D0%BF%D0%B0%D1%80", "bWU60L/QsNGA"),
        ("me:пар", "bWU60L/QsNGA"),
        ("me", "bWU="),
    ],
)
def test_a_proxy_gets_the_credentials_in_utf_8(user_info: str, sent: str) -> None:
    """Whether they are percent-encoded or not."""
    with Peer(answering(http(), keep=True)) as peer:
        url = peer.host.replace("//", f"//{user_info}@")
        with pytest.warns(InsecureRequestWarning):
            assert make_api("http://tator.test", proxy=url).delete_job(UID).message == "Done."
    assert f"\r\nProxy-Authorization: Basic {sent}".encode() in peer.requests[0]
    assert peer.requests[0].startswith(b"DELETE http://tator.test/rest/Job/")
