"""Rows 1 to 18, 46 to 48 and 58 to 61 of the fault matrix: between here and the server."""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from ipaddress import ip_address
from pathlib import Path
from threading import Event, Semaphore
from typing import Any

import pytest
import urllib3
from conftest import PROXY_PASSWORD, PROXY_USER, Proxy, Tls
from peers import (
    DONE,
    TOKEN,
    UID,
    Connection,
    Peer,
    Script,
    all_at_once,
    answering,
    check_large_upload,
    failure,
    http,
    make_api,
    rejected,
    within,
)
from urllib3.exceptions import InsecureRequestWarning

import tator
from tator import (
    ApiConnectionError,
    ApiProxyError,
    ApiTimeoutError,
    ApiTlsError,
    ApiValueError,
    BadRequestException,
    Configuration,
    ServiceException,
    UnauthorizedException,
)
from tator.testing import LocalTator


@contextmanager
def refused_port() -> Iterator[int]:
    """A port that refuses connections, and that nobody else can get meanwhile."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def resolve_to(monkeypatch: pytest.MonkeyPatch, *ports: int) -> None:
    """Let the name `tator.test` have one address for each of these ports of this machine."""
    real = socket.getaddrinfo

    def getaddrinfo(host: Any, *args: Any, **options: Any) -> Any:
        if host != "tator.test":
            return real(host, *args, **options)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in ports]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


# Finding and reaching the server


@pytest.mark.usefixtures("no_backoff")
def test_row_01_an_unknown_host_name_is_a_connection_error() -> None:
    """A name that nobody has (.invalid never exists) is never reached."""
    api = make_api("https://nowhere.invalid")
    error = failure(ApiConnectionError, api.delete_job, UID, maybe_applied=False)
    assert (error.status, error.attempts) == (0, 3)
    assert "Configuration.host" in str(error)


@pytest.mark.parametrize(
    "host",
    [
        *("http://a..b", "http://tator.test:65536", "http://tator.test:0", "http://tator.test:"),
        *("http://ta tor.test", " http://tator.test", "tator.test", "//tator.test", "", "http://"),
        *("file:///etc/passwd", "ftp://tator.test", "http://me:secret@tator.test"),
        *("http://tator.test/?a=1", "http://tator.test/#a", "http://tator.test\r\nX: y"),
        *("http://[::1", "http://tator.test:port", "http://" + "a" * 64 + ".test"),
    ],
)
def test_row_02_an_invalid_host_is_rejected_when_it_is_set(host: str) -> None:
    """At once, in the constructor and as an attribute."""
    rejected(ApiValueError, Configuration, host, secrets=("secret",))
    configuration = Configuration()
    rejected(ApiValueError, setattr, configuration, "host", host, secrets=("secret",))
    assert configuration.host == "/"


@pytest.mark.usefixtures("no_backoff")
def test_row_03_a_refused_port_is_a_connection_error() -> None:
    """Nobody listens: three attempts, and certain that nothing happened."""
    with refused_port() as port:
        api = make_api(f"http://127.0.0.1:{port}")
        error = failure(ApiConnectionError, api.delete_job, UID, maybe_applied=False)
    assert error.attempts == 3


def test_row_03_a_live_address_behind_a_dead_one_is_reached(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One attempt goes through all addresses of a name."""
    with refused_port() as dead, Peer(answering(http())) as peer:
        resolve_to(monkeypatch, dead, peer.port)
        with pytest.warns(InsecureRequestWarning, match="plain http"):
            assert make_api("http://tator.test", retries=0).delete_job(UID).message == "Done."
    assert len(peer.requests) == 1


@pytest.mark.usefixtures("no_backoff")
def test_row_03_all_addresses_dead_is_a_connection_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last address decides; a name without any address is the same."""
    with refused_port() as dead:
        for ports in ((dead, dead), ()):
            resolve_to(monkeypatch, *ports)
            with pytest.warns(InsecureRequestWarning, match="plain http"):
                failure(
                    ApiConnectionError,
                    make_api("http://tator.test").delete_job,
                    UID,
                    maybe_applied=False,
                )


def test_an_ipv6_host_is_reached() -> None:
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
            request = connection.recv(1 << 16)
            connection.sendall(http())
            assert handle.get(20).message == "Done."
    assert b"\r\nHost: [::1]:" in request


@contextmanager
def swallowing_port() -> Iterator[int]:
    """A port whose queue of connections is full, so that the system drops what comes."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        try:
            yield listener.getsockname()[1]
        finally:
            for filler in fillers:
                filler.close()


def test_row_04_swallowed_packets_end_by_the_connect_timeout() -> None:
    """The shortest timeout ends the attempt, and there is no other."""

    def check(limits: dict[str, Any]) -> None:
        with swallowing_port() as port:
            api = make_api(f"http://127.0.0.1:{port}", **limits)
            error = failure(ApiTimeoutError, api.delete_job, UID, maybe_applied=False, ends_by=0.2)
        assert error.attempts == 1

    all_at_once(check, [({"timeout": (0.2, None)},), ({"timeout": 0.2},), ({"deadline": 0.2},)])


def test_row_04_an_address_that_swallows_packets_leaves_time_for_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The addresses share the connect timeout."""
    with swallowing_port() as dead, Peer(answering(http())) as peer, within(2):
        resolve_to(monkeypatch, dead, peer.port)
        with pytest.warns(InsecureRequestWarning, match="plain http"):
            make_api("http://tator.test", timeout=(2, None)).delete_job(UID)


def reset_at_once(connection: Connection) -> None:
    connection.sock.recv(1)  # before that, nothing may have been sent
    connection.reset()


@pytest.mark.usefixtures("no_backoff")
@pytest.mark.parametrize(
    "script", [reset_at_once, answering(Connection.reset)], ids=["at once", "after the request"]
)
def test_row_05_a_reset_is_a_connection_error(script: Script) -> None:
    """Accepted, then reset: the server may have read the request."""
    with Peer(script) as peer:
        error = failure(ApiConnectionError, make_api(peer.host).delete_job, UID, maybe_applied=True)
    assert (error.attempts, peer.connections) == (3, 3)


@pytest.mark.usefixtures("no_backoff")
def test_row_05_on_localtator() -> None:
    """`LocalTator.drop` has the effect of a reset."""
    with LocalTator(TOKEN) as server:
        server.drop(times=3)
        api = make_api(server.host)
        failure(ApiConnectionError, api.delete_job, UID, maybe_applied=True)
        assert [request.status for request in server.requests] == [0, 0, 0]
        server.drop()
        assert api.delete_job(server.launch().run_uids[0]).message


# TLS


def old_tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


@pytest.mark.parametrize(
    ("fault", "advice"),
    [
        ("untrusted", "ssl_ca_cert"),
        ("self-signed", "ssl_ca_cert"),
        ("wrong host", "assert_hostname"),
        ("expired", "clock"),
        ("not yet valid", "clock"),
        ("TLS 1.1", "TLS 1.2"),
    ],
)
def test_row_06_an_untrusted_server_gets_nothing(fault: str, advice: str, tls: Tls) -> None:
    """The error says what to do, which is never to trust anyone; there is no retry."""
    context = {
        "untrusted": tls.server,
        "self-signed": tls.self_signed,
        "wrong host": lambda: tls.server("other.test", "127.0.0.2"),
        "expired": lambda: tls.server(after=-9, until=-8),
        "not yet valid": lambda: tls.server(after=8, until=9),
        "TLS 1.1": old_tls,
    }[fault]()
    ca_file = None if fault == "untrusted" else tls.ca_file
    with Peer(answering(http()), context) as peer:
        api = make_api(peer.host, ssl_ca_cert=ca_file)
        error = failure(ApiTlsError, api.delete_job, UID, maybe_applied=False)
    assert (peer.requests, peer.connections, error.attempts) == ([], 1, 1)
    assert advice in str(error)
    assert "verify_ssl" not in str(error)


def test_row_06_the_settings_that_the_error_names_help(tls: Tls) -> None:
    """The CA's file and the certificate's name make the server a trusted one."""
    with Peer(answering(http()), tls.server("other.test")) as peer:
        for name in ("other.test", False):
            api = make_api(peer.host, ssl_ca_cert=tls.ca_file, assert_hostname=name)
            assert api.delete_job(UID).message == "Done."
        api = make_api(peer.host, ssl_ca_cert=tls.ca_file, assert_hostname="third.test")
        failure(ApiTlsError, api.delete_job, UID, maybe_applied=False)


def test_row_07_https_to_a_plain_port_is_a_tls_error() -> None:
    """The hint says that the port does not speak https."""
    with LocalTator(TOKEN) as server:
        api = make_api(server.host.replace("http:", "https:"))
        error = failure(ApiTlsError, api.delete_job, UID, maybe_applied=False)
        assert (server.requests, error.attempts) == ([], 1)
    assert "speaks https" in str(error)


def test_row_07_plain_http_to_an_https_port_is_a_bad_request_with_a_hint(tls: Tls) -> None:
    """nginx responds to such a request in plain http; the hint says what to write."""
    with LocalTator(TOKEN, ssl_context=tls.server()) as server:
        api = make_api(server.host.replace("https:", "http:"))
        error = failure(BadRequestException, api.delete_job, UID, maybe_applied=True)
    assert error.attempts == 1
    assert "https://" in str(error.hint)


def test_row_08_a_handshake_without_end_is_a_timeout(tls: Tls) -> None:
    """Neither a silent server nor one that sends byte by byte outlasts the timeout."""
    # The head of a TLS record of 16 KiB, and what could be its content.
    hello = b"\x16\x03\x03\x40\x00" + bytes(1 << 14)

    def check(script: Script, limits: dict[str, Any]) -> None:
        with Peer(script) as peer:
            # To load the system's CAs takes a part of the timeout.
            host = peer.host.replace("http:", "https:")
            api = make_api(host, ssl_ca_cert=tls.ca_file, **limits)
            error = failure(ApiTimeoutError, api.delete_job, UID, maybe_applied=False, ends_by=0.2)
        assert (peer.connections, error.attempts) == (1, 1)

    scripts: list[Script] = [Connection.hang, lambda peer: peer.drip(hello)]
    limits: list[dict[str, Any]] = [{"deadline": 0.2}, {"timeout": (0.2, None)}]
    all_at_once(check, itertools.product(scripts, limits))


@pytest.mark.parametrize("setting", ["ssl_ca_cert", "cert_file", "key_file"])
@pytest.mark.parametrize("fault", ["missing", "a directory", "not PEM", "empty"])
def test_row_09_an_unusable_tls_file_is_rejected(
    setting: str, fault: str, tls: Tls, tmp_path: Path
) -> None:
    """The client is not even made, and the error names the setting."""
    path = tmp_path / "file.pem"
    if fault == "a directory":
        path.mkdir()
    elif fault != "missing":
        path.write_text("no certificate" if fault == "not PEM" else "")
    settings: dict[str, Any] = {setting: str(path)}
    if setting == "key_file":
        settings["cert_file"] = tls.files("client.test")[0]
    error = failure(ApiValueError, make_api, "https://tator.test", maybe_applied=False, **settings)
    assert setting in str(error)


def test_row_09_a_private_key_without_its_certificate_is_rejected(tls: Tls) -> None:
    """The key must belong to the certificate, which must be there."""
    certificate, _ = tls.files("client.test")
    _, other_key = tls.files("other.test")
    for settings in ({"key_file": other_key}, {"key_file": other_key, "cert_file": certificate}):
        error = failure(
            ApiValueError, make_api, "https://tator.test", maybe_applied=False, **settings
        )
        assert "key_file" in str(error)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("proxied", [False, True], ids=["direct", "proxied"])
def test_row_10_mutual_tls_lets_in_the_right_certificate_alone(
    version: ssl.TLSVersion, proxied: bool, tls: Tls, proxy: Proxy
) -> None:
    """Over TLS 1.3 a server rejects it after the request has left, so the outcome is unknown."""
    context = tls.server(clients=True)
    context.minimum_version = context.maximum_version = version
    settings: dict[str, Any] = {"ssl_ca_cert": tls.ca_file, "retries": 0}
    if proxied:
        settings["proxy"] = f"http://{proxy.authority}"
    right, wrong = tls.files("client.test"), Tls(Path(tls.ca_file).parent / "..").files("me.test")
    with Peer(answering(http()), context) as peer:
        api = make_api(peer.host, cert_file=right[0], key_file=right[1], **settings)
        assert api.delete_job(UID).message == "Done."
        for files in ({}, {"cert_file": wrong[0], "key_file": wrong[1]}):
            api = make_api(peer.host, **files, **settings)
            with pytest.raises((ApiTlsError, ApiConnectionError)) as caught:
                api.delete_job(UID)
            assert caught.value.maybe_applied is (version is ssl.TLSVersion.TLSv1_3)
            if type(caught.value) is ApiTlsError:
                assert "cert_file" in str(caught.value)
    assert len(peer.requests) == 1


@pytest.mark.usefixtures("no_backoff")
@pytest.mark.parametrize(
    "response",
    [b"HTTP/1.1 200 OK\r\n\r\n" + DONE, b"HTTP/1.1 200 OK\r\n", b"", http()[:-3]],
    ids=["unlimited body", "headers", "nothing", "body"],
)
def test_row_11_a_response_that_was_cut_is_an_error(response: bytes, tls: Tls) -> None:
    """Without TLS's close_notify, even one that looks whole may have lost its end."""
    with Peer(answering(response), tls.server()) as peer:
        api = make_api(peer.host, ssl_ca_cert=tls.ca_file)
        error = failure(ApiConnectionError, api.delete_job, UID, maybe_applied=True)
    assert (error.attempts, len(peer.requests)) == (3, 3)


# Proxies


@pytest.mark.usefixtures("no_backoff")
@pytest.mark.parametrize("target", ["http://127.0.0.1:9", "https://127.0.0.1:9"])
def test_row_12_a_proxy_that_nobody_runs_is_a_proxy_error(target: str) -> None:
    """The error names the proxy's settings."""
    with refused_port() as port:
        api = make_api(target, proxy=f"http://127.0.0.1:{port}")
        error = failure(ApiProxyError, api.delete_job, UID, maybe_applied=False)
    assert error.attempts == 3
    assert "Configuration.proxy" in str(error)


@pytest.mark.usefixtures("no_backoff")
def test_row_12_a_proxy_that_does_not_reach_the_server_is_a_proxy_error(proxy: Proxy) -> None:
    """A real proxy's 502 on CONNECT, in three attempts."""
    with refused_port() as port:
        api = make_api(f"https://127.0.0.1:{port}", proxy=f"http://{proxy.authority}")
        error = failure(ApiProxyError, api.delete_job, UID, maybe_applied=False)
    assert error.attempts == 3


def test_row_12_a_proxy_that_asks_for_credentials_gets_one_request(
    server: LocalTator, strict_proxy: Proxy, tls: Tls
) -> None:
    """407 on a tunnel and on a forwarded request, without credentials and with wrong ones."""
    for user_info in ("", "mallory:wrong-passw0rd@"):
        api = make_api(
            server.host,
            proxy=f"http://{user_info}{strict_proxy.authority}",
            ssl_ca_cert=tls.ca_file,
        )
        secrets = (TOKEN, "wrong-passw0rd")
        error = failure(ApiProxyError, api.delete_job, UID, maybe_applied=False, secrets=secrets)
        assert error.attempts == 1
        assert "407" in str(error)
    assert server.requests == []


def check_proxied(server: LocalTator, proxy: Proxy, api: tator.JobApi) -> None:
    """Two cancellations on one connection go through this proxy."""
    for uid in server.launch(2).run_uids:
        api.api_client.configuration.api_key["Authorization"] = server.token
        assert api.delete_job(uid).message
    api.api_client.close()
    assert len(server.requests) == 2
    assert proxy.saw(server.host)


def test_row_13_a_real_proxy_carries_http_and_https(
    server: LocalTator, proxy: Proxy, tls: Tls
) -> None:
    """Forwarded or in a tunnel, the call succeeds."""
    url = f"http://{proxy.authority}"
    check_proxied(server, proxy, make_api(server.host, proxy=url, ssl_ca_cert=tls.ca_file))


def test_row_13_a_proxy_gets_its_credentials(
    server: LocalTator, strict_proxy: Proxy, tls: Tls
) -> None:
    """User and password of the URL open the proxy, and show nowhere."""
    url = f"http://{PROXY_USER}:{PROXY_PASSWORD}@{strict_proxy.authority}"
    api = make_api(server.host, proxy=url, ssl_ca_cert=tls.ca_file)
    check_proxied(server, strict_proxy, api)
    configuration = api.api_client.configuration
    shown = [repr(configuration), str(configuration), repr(vars(configuration))]
    assert PROXY_PASSWORD not in "".join([*shown, configuration.to_debug_report()])
    with refused_port() as port:
        configuration.host = f"https://127.0.0.1:{port}"
        configuration.retries = 0
        secrets = (TOKEN, PROXY_PASSWORD)
        failure(ApiProxyError, api.delete_job, UID, maybe_applied=False, secrets=secrets)


def test_row_13_a_proxy_over_tls(server: LocalTator, tls_proxy: Proxy, tls: Tls) -> None:
    """TLS to the proxy, and through it another to the server."""
    url = f"https://{tls_proxy.authority}"
    check_proxied(server, tls_proxy, make_api(server.host, proxy=url, ssl_ca_cert=tls.ca_file))


def test_row_13_an_untrusted_proxy_gets_nothing(tls_proxy: Proxy) -> None:
    """A proxy's certificate is checked as a server's is."""
    for target in ("http://127.0.0.1:9", "https://127.0.0.1:9"):
        api = make_api(target, proxy=f"https://{tls_proxy.authority}")
        failure(ApiTlsError, api.delete_job, UID, maybe_applied=False)


def test_row_13_the_environment_names_the_proxy(
    server: LocalTator, strict_proxy: Proxy, tls: Tls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HTTP_PROXY and HTTPS_PROXY count, credentials included."""
    url = f"http://{PROXY_USER}:{PROXY_PASSWORD}@{strict_proxy.authority}"
    monkeypatch.setenv("HTTP_PROXY", url)
    monkeypatch.setenv("HTTPS_PROXY", url)
    check_proxied(server, strict_proxy, make_api(server.host, ssl_ca_cert=tls.ca_file))


@pytest.mark.parametrize(
    "exception",
    [
        *("127.0.0.1", "*", "other.test, 127.0.0.1", "host:port"),
        *("127.0.0.0/8", "nonsense, 10.0.0.0/8 , 127.0.0.0/24", "127.0.0.9/8"),
    ],
)
def test_row_13_no_proxy_names_what_is_reached_directly(
    exception: str, server: LocalTator, tls: Tls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names, addresses, ports and networks; the proxy of the test is dead."""
    with refused_port() as port:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("HTTPS_PROXY", f"127.0.0.1:{port}")
        named = server.host.partition("//")[2] if exception == "host:port" else exception
        monkeypatch.setenv("NO_PROXY", named)
        api = make_api(server.host, ssl_ca_cert=tls.ca_file)
        failure(UnauthorizedException, api.delete_job, UID, maybe_applied=False)
        monkeypatch.setenv("NO_PROXY", "other.test, 10.0.0.0/8, ::/0, 127.0.0.1/x")
        api = make_api(server.host, ssl_ca_cert=tls.ca_file, retries=0)
        failure(ApiProxyError, api.delete_job, UID, maybe_applied=False)
        api = make_api(server.host, ssl_ca_cert=tls.ca_file, proxy="")
        failure(UnauthorizedException, api.delete_job, UID, maybe_applied=False)


# Time


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
def test_row_14_a_response_that_never_arrives_is_a_timeout(secure: bool, tls: Tls) -> None:
    """The server is at work and sends nothing: one request, which may have been applied."""

    def check(limits: dict[str, Any]) -> None:
        with LocalTator(ssl_context=tls.server() if secure else None) as server:
            server.delay(60)
            api = make_api(server.host, ssl_ca_cert=tls.ca_file, **limits)
            error = failure(ApiTimeoutError, api.delete_job, UID, maybe_applied=True, ends_by=0.3)
        assert error.attempts == 1
        assert len(server.requests) == 1

    all_at_once(check, [({"deadline": 0.3},), ({"timeout": 0.3},), ({"timeout": (1, 0.3)},)])


def test_row_14_the_timeout_of_a_call_replaces_that_of_the_configuration() -> None:
    """`_request_timeout` as a number and as a pair."""
    with Peer(answering(Connection.hang)) as peer:
        api = make_api(peer.host, timeout=60, deadline=60)

        def check(limit: Any) -> None:
            options = {"ends_by": 0.2, "_request_timeout": limit}
            failure(ApiTimeoutError, api.delete_job, UID, maybe_applied=True, **options)

        all_at_once(check, [(0.2,), ((0.2, 0.2),), ((None, 0.2),)])
    assert len(peer.requests) == 3


LONG = "x" * 4000


DRIPS = {
    "status": (b"", b"HTTP/1.1 200 " + LONG.encode()),
    "header": (b"HTTP/1.1 200 OK\r\n", b"X-Long: " + LONG.encode()),
    "headers": (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 90),
    "body": (b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n", LONG.encode()),
    "open body": (b"HTTP/1.1 200 OK\r\n\r\n", LONG.encode()),
    "chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 999),
    "trailer": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
        b"X: y\r\n" * 999,
    ),
    "error": (b"HTTP/1.1 500 Oh\r\nContent-Length: 4000\r\n\r\n", LONG.encode()),
}


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
def test_row_15_a_dripped_response_ends_by_the_deadline(secure: bool, tls: Tls) -> None:
    """However regularly bytes arrive: urllib3's timeouts start anew with each."""

    def check(part: str) -> None:
        sent, dripped = DRIPS[part]

        def script(connection: Connection) -> None:
            connection.send(sent)
            connection.drip(dripped)

        with Peer(answering(script), tls.server() if secure else None) as peer:
            api = make_api(peer.host, deadline=0.3, ssl_ca_cert=tls.ca_file)
            error = failure(ApiTimeoutError, api.delete_job, UID, maybe_applied=True, ends_by=0.3)
        assert (error.attempts, len(peer.requests)) == (1, 1)

    all_at_once(check, [(part,) for part in DRIPS])


def test_row_15_a_server_that_reads_slowly_ends_the_call_by_the_deadline(tls: Tls) -> None:
    """Each piece of a large body is taken in time, but all of them are not."""

    def script(connection: Connection) -> None:
        while not connection.peer.closing.wait(0.05):
            connection.sock.recv(1 << 16)

    check_large_upload(script, 0.3, tls)


def test_row_16_a_backoff_that_would_end_after_the_deadline_does_not_begin() -> None:
    """The last error is raised now, not at the deadline."""
    with LocalTator(TOKEN) as server:
        server.fail(503, headers={"Retry-After": "5"})
        api = make_api(server.host, deadline=4)
        error = failure(ServiceException, api.delete_job, UID, maybe_applied=True, ends_by=0)
        assert (error.status, error.attempts, error.retry_after) == (503, 1, 5)
        assert len(server.requests) == 1


# Connection reuse


@pytest.mark.parametrize("ending", ["FIN", "RST"])
def test_row_17_an_idle_connection_that_the_server_closed_is_replaced(
    ending: str, tls: Tls
) -> None:
    """A call after the server closed it needs no retry."""

    def script(connection: Connection) -> None:
        connection.request()
        connection.send(http())
        if ending == "RST":
            connection.reset()

    for context in (None, tls.server()):
        with Peer(script, context) as peer:
            api = make_api(peer.host, retries=0, ssl_ca_cert=tls.ca_file)
            for _ in range(3):
                assert api.delete_job(UID).message == "Done."
                peer.join_scripts()
        assert (len(peer.requests), peer.connections) == (3, 3)


@pytest.mark.usefixtures("no_backoff")
@pytest.mark.parametrize("lost", ["nothing", "a part"])
def test_row_18_a_connection_closed_after_the_request_is_retried(lost: str, tls: Tls) -> None:
    """nginx's keep-alive race: a request on a warm connection is read, and has no response."""
    part = b"" if lost == "nothing" else b"HTTP/1.1 2"

    def script(connection: Connection) -> None:
        if peer.connections == 1:
            connection.request()
            connection.send(http())
            connection.request()
            connection.send(part)
        else:
            connection.request()
            connection.send(http())

    for context in (None, tls.server()):
        with Peer(script, context) as peer:
            api = make_api(peer.host, ssl_ca_cert=tls.ca_file)
            assert api.delete_job(UID).message == "Done."
            assert api.delete_job(UID).message == "Done."
            response = api.api_client.last_response
        assert response is not None
        assert (response.attempts, response.maybe_applied) == (2, True)
        assert (len(peer.requests), peer.connections) == (3, 2)


@pytest.mark.usefixtures("no_backoff")
def test_row_18_a_response_cut_by_localtator_is_retried() -> None:
    """`LocalTator.truncate` sends a short body; nothing is taken for its end."""
    with LocalTator(TOKEN) as server:
        server.truncate(after_applying=False)
        assert make_api(server.host).delete_job(server.launch().run_uids[0]).message
        assert len(server.requests) == 2


# Idle connections


def only_message(api: tator.JobApi) -> str | None:
    """The message of a call that needed one attempt."""
    message = api.delete_job(UID).message
    response = api.api_client.last_response
    assert response is not None
    assert response.attempts == 1
    return message


def test_row_46_a_connection_that_was_idle_too_long_is_not_used(
    tls: Tls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A middlebox may have forgotten it: a request on it would wait until the deadline."""
    seconds = 0.0
    real = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: real() + seconds)

    def script(connection: Connection) -> None:
        connection.request()
        connection.send(http())
        connection.hang()

    for context in (None, tls.server()):
        with Peer(script, context) as peer:
            api = make_api(peer.host, ssl_ca_cert=tls.ca_file)
            for number in (1, 2, 3):
                assert only_message(api) == "Done."
                assert peer.connections == number
                seconds += 31


@pytest.mark.parametrize(
    ("settings", "idle", "connections"),
    [
        ({}, 25, 1),
        ({"keepalive_expiry": 5}, 25, 2),
        ({"keepalive_expiry": 60}, 55, 1),
        ({"keepalive_expiry": None}, 10**6, 1),
    ],
)
def test_row_46_keepalive_expiry_sets_how_long_a_connection_may_be_idle(
    settings: dict[str, Any], idle: float, connections: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """30 s unless it says otherwise, and forever if it is `None`."""
    seconds = 0.0
    real = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: real() + seconds)
    with Peer(answering(http(), keep=True)) as peer:
        api = make_api(peer.host, **settings)
        assert only_message(api) == "Done."
        seconds += idle
        assert only_message(api) == "Done."
        assert peer.connections == connections


def socket_of(raw: Any) -> Any:
    """The socket that a raw response arrives on."""
    return raw.connection.sock


@pytest.mark.parametrize("proxied", [False, True], ids=["direct", "proxied"])
def test_row_46_tcp_keep_alive_is_on(server: LocalTator, proxied: bool, tls: Tls) -> None:
    """The system probes a silent connection after 30 s, and then every 10 s, three times."""
    api = make_api(server.host, ssl_ca_cert=tls.ca_file, proxy="")
    api.api_client.configuration.api_key["Authorization"] = server.token
    with Peer(answering(http())) as proxy:
        if proxied:
            api = make_api("http://127.0.0.1:9", proxy=proxy.host)
        raw = api.delete_job(server.launch().run_uids[0], _preload_content=False)
        options = {
            name: socket_of(raw).getsockopt(socket.IPPROTO_TCP, getattr(socket, name))
            for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT")
            if hasattr(socket, name)
        }
        assert socket_of(raw).getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert socket_of(raw).getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        raw.close()
    wanted = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
    assert options == {name: wanted[name] for name in options}


# The look-up of a name


def test_row_47_a_replaced_resolver_is_called_as_urllib3_calls_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Recipes that force IPv4 or pin a name take its arguments by position, as strings."""
    real = socket.getaddrinfo
    calls: list[tuple[Any, ...]] = []

    def v4_only(
        host: str, port: int, family: int = 0, socktype: int = 0, proto: int = 0, flags: int = 0
    ) -> Any:
        calls.append((host, port, family, socktype, proto, flags))
        return real(host, port, socket.AF_INET, socktype, proto, flags)

    with LocalTator(TOKEN) as server:
        monkeypatch.setattr(socket, "getaddrinfo", v4_only)
        port = int(server.host.rpartition(":")[2])
        for host in ("localhost", "127.0.0.1"):
            api = make_api(f"http://{host}:{port}")
            assert api.delete_job(server.launch().run_uids[0]).message
        any_family = urllib3.util.connection.allowed_gai_family()
        assert calls == [
            (host, port, any_family, socket.SOCK_STREAM, 0, 0)
            for host in ("localhost", "127.0.0.1")
        ]


def test_row_47_urllib3s_switch_for_address_families_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Programs replace `allowed_gai_family` to force IPv4."""
    real = socket.getaddrinfo
    families = []

    def getaddrinfo(host: Any, port: Any, family: int = 0, *args: Any) -> Any:
        families.append(family)
        return real(host, port, family, *args)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(urllib3.util.connection, "allowed_gai_family", lambda: socket.AF_INET)
    with Peer(answering(http())) as peer:
        assert make_api(f"http://localhost:{peer.port}").delete_job(UID).message == "Done."
        assert families == [socket.AF_INET]


@contextmanager
def hanging_resolver(
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[tuple[list[str], Semaphore, Event]]:
    """A resolver that hangs for names in `.test` until the event is set.

    Yields:
        The names that it was asked for, a semaphore that counts them, and the event.
    """
    real = socket.getaddrinfo
    released = Event()
    names: list[str] = []
    asked = Semaphore(0)

    def getaddrinfo(host: str, *args: Any) -> Any:
        if host.endswith(".test"):
            names.append(host)
            asked.release()
            released.wait(30)
        return real("127.0.0.1", *args)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    try:
        yield names, asked, released
    finally:
        released.set()
        for thread in threading.enumerate():
            if thread.name == "tator-resolver":
                thread.join()


def test_row_61_a_resolver_that_hangs_ends_by_the_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's resolver has no timeout itself."""

    def check(name: str, limits: dict[str, Any]) -> None:
        api = make_api(f"https://{name}.test", **limits)
        error = failure(ApiTimeoutError, api.delete_job, UID, maybe_applied=False, ends_by=0.2)
        assert error.attempts == 1

    with hanging_resolver(monkeypatch):
        all_at_once(check, [("one", {"deadline": 0.2}), ("two", {"timeout": (0.2, None)})])


def test_row_61_calls_share_one_look_up_of_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """In an outage, a thousand calls do not become a thousand threads."""
    warnings.simplefilter("ignore", InsecureRequestWarning)
    with (
        Peer(answering(http(), keep=True)) as peer,
        ThreadPoolExecutor(8) as threads,
        hanging_resolver(monkeypatch) as (names, asked, released),
    ):
        hosts = [f"http://{name}.test:{peer.port}" for name in ("one", "two")]
        apis = [make_api(host) for host in hosts]
        long = [threads.submit(api.delete_job, UID) for api in apis]
        assert all(asked.acquire(timeout=30) for _ in apis)
        for _ in range(5):
            short = [threads.submit(api.delete_job, UID, _request_timeout=0.05) for api in apis]
            for call in short:
                assert type(call.exception(10)) is ApiTimeoutError
        assert sorted(names) == ["one.test", "two.test"]
        released.set()
        assert [call.result(10).message for call in long] == ["Done."] * 2


@pytest.mark.usefixtures("no_backoff")
@pytest.mark.parametrize(
    ("look_up", "words"),
    [
        (lambda: _raise(OSError(errno.EIO, "odd")), "odd"),
        (lambda: _raise(socket.gaierror(socket.EAI_AGAIN, "try later")), "try later"),
        (lambda: ip_address("odd"), "odd"),
    ],
    ids=["OSError", "gaierror", "ValueError of the standard library"],
)
def test_row_61_a_look_up_that_fails_is_a_connection_error(
    look_up: Callable[[], Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each attempt asks again, and the error says what happened."""
    asked = []

    def getaddrinfo(host: str, *args: Any) -> Any:
        asked.append(host)
        return look_up()

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    api = make_api("https://tator.test")
    error = failure(ApiConnectionError, api.delete_job, UID, maybe_applied=False)
    assert words in str(error)
    assert asked == ["tator.test"] * 3


def _raise(error: Exception) -> None:
    raise error


def test_row_61_an_exception_of_the_callers_resolver_passes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is neither translated nor retried, and the next call is right."""

    def getaddrinfo(*args: Any) -> Any:
        raise RuntimeError("of the caller")

    api = make_api("https://tator.test")
    with monkeypatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", getaddrinfo)
        with pytest.raises(RuntimeError, match="of the caller"):
            api.delete_job(UID)
    with Peer(answering(http())) as peer:
        api.api_client.configuration.host = f"http://localhost:{peer.port}"
        assert api.delete_job(UID).message == "Done."


# The network goes away


def sockets_that_fail(
    monkeypatch: pytest.MonkeyPatch, method: str, number: int
) -> Callable[[], None]:
    """Let a method of connected sockets fail with this number, until the result is called."""
    is_failing = [True]

    class Failing(socket.socket):
        def fail(self) -> None:
            if is_failing and self.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE):
                raise OSError(number, os.strerror(number))

        def recv(self, *args: Any) -> bytes:
            if method == "recv":
                self.fail()
            return super().recv(*args)

        def sendall(self, *args: Any) -> None:
            if method == "sendall":
                self.fail()
            super().sendall(*args)

        def connect(self, *args: Any) -> None:
            if method == "connect":
                self.fail()
            super().connect(*args)

    monkeypatch.setattr(socket, "socket", Failing)
    return is_failing.clear


GONE = [
    *("EHOSTUNREACH", "ENETUNREACH", "ENETDOWN", "EHOSTDOWN", "ENETRESET", "ENOTCONN", "ENOBUFS"),
    *("EIO", "ECONNRESET", "ECONNABORTED", "EPIPE", "ETIMEDOUT", "EPROTO", "ESHUTDOWN"),
]


@pytest.mark.usefixtures("no_backoff")
@pytest.mark.parametrize("name", [name for name in GONE if hasattr(errno, name)])
def test_row_60_a_network_that_goes_away_is_a_connection_error(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the request the outcome is unknown, and each attempt is made on a new connection."""
    with Peer(answering(http(), keep=True)) as peer:
        recover = sockets_that_fail(monkeypatch, "recv", getattr(errno, name))
        api = make_api(peer.host)
        error = failure(ApiConnectionError, api.delete_job, UID, maybe_applied=True)
        assert error.attempts == 3
        assert error.reason == f"Connection lost: {os.strerror(getattr(errno, name))}"
        recover()
        assert only_message(api) == "Done."
    assert peer.connections == 4


@pytest.mark.usefixtures("no_backoff")
@pytest.mark.parametrize("name", ["EHOSTUNREACH", "ENETDOWN", "ENOBUFS", "EIO"])
def test_row_60_a_request_that_was_not_sent_whole_may_have_arrived(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first bytes may be on the way."""
    with Peer(answering(http())) as peer:
        sockets_that_fail(monkeypatch, "sendall", getattr(errno, name))
        error = failure(ApiConnectionError, make_api(peer.host).delete_job, UID, maybe_applied=True)
    assert (error.attempts, peer.requests) == (3, [])


@pytest.mark.usefixtures("no_backoff")
@pytest.mark.parametrize("name", ["EHOSTUNREACH", "ENETDOWN", "EADDRNOTAVAIL"])
def test_row_60_a_network_that_is_not_there_is_a_connection_error(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was sent."""
    sockets_that_fail(monkeypatch, "connect", getattr(errno, name))
    api = make_api("http://127.0.0.1:9")
    error = failure(ApiConnectionError, api.delete_job, UID, maybe_applied=False)
    assert error.attempts == 3
    assert error.reason == f"Could not connect: {os.strerror(getattr(errno, name))}"


# Descriptors


def idle_descriptor(api: tator.JobApi) -> int:
    """The descriptor of the one idle connection of a client."""
    raw = api.delete_job(UID, _preload_content=False)
    number = socket_of(raw).fileno()
    raw.read()
    raw.release_conn()
    assert api.api_client.rest_client.idle_connections == 1
    return number


@contextmanager
def idle_connection(api: tator.JobApi) -> Iterator[int]:
    """The same; whatever has the descriptor then is closed."""
    number = idle_descriptor(api)
    yield number
    with suppress(OSError):
        os.close(number)


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
def test_row_59_a_descriptor_closed_by_a_stranger_harms_no_call(secure: bool, tls: Tls) -> None:
    """A daemon closes all of them; `close()` is quiet and the next call is right."""
    with Peer(answering(http(), keep=True), tls.server() if secure else None) as peer:
        api = make_api(peer.host, ssl_ca_cert=tls.ca_file, retries=0)
        os.close(idle_descriptor(api))
        assert only_message(api) == "Done."
        os.close(idle_descriptor(api))
        api.api_client.close()
        assert only_message(api) == "Done."


def closing_other(stack: ExitStack, one: socket.socket, other: socket.socket) -> socket.socket:
    """One socket of a pair; the other is closed later."""
    stack.enter_context(other)
    return one


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("what", ["file", "pipe", "listener", "socket", "pair"])
@pytest.mark.parametrize("next_step", ["call", "close"])
def test_row_59_a_file_that_took_over_a_descriptor_is_left_alone(
    next_step: str, what: str, secure: bool, tls: Tls, tmp_path: Path
) -> None:
    """It is neither closed nor written to, and the token does not go there."""
    with (
        Peer(answering(http(), keep=True), tls.server() if secure else None) as peer,
        Peer(answering(http())) as other,
        ExitStack() as stack,
    ):
        api = make_api(peer.host, ssl_ca_cert=tls.ca_file, retries=0)
        number = stack.enter_context(idle_connection(api))
        path = tmp_path / "file"
        stranger: Any = {
            "file": lambda: path.open("w"),
            "pipe": lambda: os.fdopen(os.pipe()[1], "w"),
            "listener": lambda: socket.create_server(("127.0.0.1", 0)),
            "socket": lambda: socket.create_connection(("127.0.0.1", other.port)),
            "pair": lambda: closing_other(stack, *socket.socketpair()),
        }[what]()
        os.dup2(stranger.fileno(), number)
        identity = os.fstat(number).st_ino
        if next_step == "close":
            api.api_client.close()
        assert only_message(api) == "Done."
        assert os.fstat(number).st_ino == identity
        stranger.close()
        assert (other.requests, peer.connections) == ([], 2)
        assert not path.exists() or not path.read_bytes()


FIRST_CALLS = """
import faulthandler, resource, sys, threading
faulthandler.dump_traceback_later(30, exit=True)
import tator.bulk
{before}
kind, host, ca_file = sys.argv[1:]
configuration = tator.Configuration(host, retries=0, ssl_ca_cert=ca_file or None)
api = tator.JobApi(tator.ApiClient(configuration))
{exhaust}
try:
    {call}
except tator.ApiConnectionError as error:
    failure = error
{recover}
assert not failure.maybe_applied, failure
print(failure.reason)
print(api.delete_job("x").message)
"""
"""The first call of a process, while it lacks something, and the next one, when it has it again."""

NO_DESCRIPTORS = {
    "exhaust": """
limits = resource.getrlimit(resource.RLIMIT_NOFILE)
free = open("/dev/null").close() or __import__("os").dup(0)
__import__("os").close(free)
resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
""",
    "recover": "resource.setrlimit(resource.RLIMIT_NOFILE, limits)",
}
NO_THREADS = {
    # No address space has room for such a stack.
    "exhaust": "threading.stack_size((1 << 47) - (1 << 21))",
    "recover": "threading.stack_size(0)",
}


def first_call(host: str, call: str, ca_file: str = "", before: str = "", **lack: str) -> list[str]:
    """What a new process prints."""
    program = FIRST_CALLS.format(call=call, before=before, **lack)
    run = subprocess.run(
        [sys.executable, "-c", program, "x", host, ca_file], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert not run.stderr
    return run.stdout.splitlines()


@pytest.mark.parametrize("place", ["address", "name", "https", "proxy"])
def test_row_58_a_first_call_without_descriptors_is_a_connection_error(
    place: str, tls: Tls
) -> None:
    """Whatever it imports or opens late; nothing was sent, and the next call is right."""

    def check(call: str) -> None:
        with Peer(answering(http(), keep=True), tls.server() if place == "https" else None) as peer:
            host, before = peer.host, ""
            if place == "name":
                host = host.replace("127.0.0.1", "localhost")
            if place == "proxy":
                proxies = "HTTP_PROXY='127.0.0.1:9', NO_PROXY='127.0.0.1'"
                before = f"import os; os.environ.update({proxies})"
            ca_file = tls.ca_file if place == "https" else ""
            reason, message = first_call(host, call, ca_file, before, **NO_DESCRIPTORS)
        assert os.strerror(errno.EMFILE) in reason
        assert message == "Done."
        assert len(peer.requests) == 1

    calls = [
        "api.delete_job('x')",
        "api.delete_job_group('x')",
        "api.delete_job('x', async_req=True).get(10)",
        "raise tator.bulk.delete_jobs(api, ['x'], progress=False).failed['x']",
        "api.api_client.call_api('/x', 'GET', query_params={'a': 1}, response_type='object')",
    ]
    all_at_once(check, [(call,) for call in calls])


def test_row_58_a_first_call_without_threads_is_a_connection_error() -> None:
    """The look-up of a name, and a call in the background, need one."""
    with Peer(answering(http(), keep=True)) as peer:
        host = peer.host.replace("127.0.0.1", "localhost")
        for call in ("api.delete_job('x')", "api.delete_job('x', async_req=True).get(10)"):
            reason, message = first_call(host, call, **NO_THREADS)
            assert "thread" in reason
            assert message == "Done."
    assert len(peer.requests) == 2


def test_row_58_a_client_made_without_descriptors_is_a_connection_error(tls: Tls) -> None:
    """Its CA file can't be opened, which says nothing about the file."""
    with Peer(answering(http()), tls.server()) as peer:
        call = "tator.ApiClient(configuration)"
        reason, message = first_call(peer.host, call, tls.ca_file, **NO_DESCRIPTORS)
    assert os.strerror(errno.EMFILE) in reason
    assert message == "Done."


# The environment


def test_row_48_a_key_log_that_cannot_be_opened_is_rejected(
    tls: Tls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a call, and by a client that is made with TLS files; the error names the variable."""
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "nowhere" / "keys"))
    with Peer(answering(http()), tls.server()) as peer:
        error = failure(ApiValueError, make_api(peer.host).delete_job, UID, maybe_applied=False)
        assert "SSLKEYLOGFILE" in str(error)
        error = rejected(ApiValueError, make_api, peer.host, ssl_ca_cert=tls.ca_file)
        assert "SSLKEYLOGFILE" in str(error)
        monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
        assert make_api(peer.host, ssl_ca_cert=tls.ca_file).delete_job(UID).message == "Done."
    assert (tmp_path / "keys").read_text()


def test_the_environment_names_the_trusted_cas(
    tls: Tls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SSL_CERT_FILE, then REQUESTS_CA_BUNDLE, replace certifi's bundle; empty is unset."""
    other = Tls(tmp_path).ca_file
    with Peer(answering(http()), tls.server()) as peer:
        for variables, is_trusted in (
            ({}, False),
            ({"SSL_CERT_FILE": tls.ca_file}, True),
            ({"REQUESTS_CA_BUNDLE": tls.ca_file}, True),
            ({"SSL_CERT_FILE": "", "REQUESTS_CA_BUNDLE": tls.ca_file}, True),
            ({"SSL_CERT_FILE": tls.ca_file, "REQUESTS_CA_BUNDLE": "/nowhere"}, True),
            ({"SSL_CERT_FILE": other, "REQUESTS_CA_BUNDLE": tls.ca_file}, False),
        ):
            with monkeypatch.context() as patch:
                for name, value in variables.items():
                    patch.setenv(name, value)
                api = make_api(peer.host)
                if is_trusted:
                    assert api.delete_job(UID).message == "Done."
                else:
                    failure(ApiTlsError, api.delete_job, UID, maybe_applied=False)
        monkeypatch.setenv("SSL_CERT_FILE", other)
        assert make_api(peer.host, ssl_ca_cert=tls.ca_file).delete_job(UID).message == "Done."


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_a_directory_of_trusted_cas_is_used(
    name: str, tls: Tls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenSSL finds each by the hash that names its file."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("there is no openssl command to name the file")
    run = [openssl, "x509", "-hash", "-noout", "-in", tls.ca_file]
    hashed = subprocess.run(run, capture_output=True, text=True, check=True).stdout.strip()
    monkeypatch.setenv(name, str(tmp_path))
    with Peer(answering(http()), tls.server()) as peer:
        failure(ApiTlsError, make_api(peer.host).delete_job, UID, maybe_applied=False)
        shutil.copy(tls.ca_file, tmp_path / f"{hashed}.0")
        assert make_api(peer.host).delete_job(UID).message == "Done."


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
@pytest.mark.parametrize("fault", ["missing", "not PEM"])
def test_unusable_cas_of_the_environment_are_rejected(
    name: str, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the first https call; plain http needs none. The error names the variable."""
    path = tmp_path / "ca.pem"
    if fault == "not PEM":
        path.write_text("no certificate")
    monkeypatch.setenv(name, str(path))
    api = make_api("https://tator.test")
    error = failure(ApiValueError, api.delete_job, UID, maybe_applied=False)
    assert f"environment variable {name}" in str(error)
    with Peer(answering(http())) as peer:
        api.api_client.configuration.host = peer.host
        assert api.delete_job(UID).message == "Done."


def test_all_proxy_is_for_every_scheme_that_has_no_other(
    server: LocalTator, proxy: Proxy, tls: Tls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HTTP_PROXY and HTTPS_PROXY come first, unless they are empty."""
    monkeypatch.setenv("ALL_PROXY", f"http://{proxy.authority}")
    check_proxied(server, proxy, make_api(server.host, ssl_ca_cert=tls.ca_file))
    with refused_port() as port:
        for name in ("HTTP_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{port}")
        api = make_api(server.host, ssl_ca_cert=tls.ca_file, retries=0)
        failure(ApiProxyError, api.delete_job, UID, maybe_applied=False)
        for name in ("HTTP_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, "")
        api = make_api(server.host, ssl_ca_cert=tls.ca_file, retries=0)
        failure(UnauthorizedException, api.delete_job, UID, maybe_applied=False)
        monkeypatch.setenv("NO_PROXY", "127.0.0.0/8")
        monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{port}")
        api = make_api(server.host, ssl_ca_cert=tls.ca_file, retries=0)
        failure(UnauthorizedException, api.delete_job, UID, maybe_applied=False)


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
@pytest.mark.parametrize(
    "value",
    [
        *("socks5://127.0.0.1:9", "socks5h://me:hush-hush@127.0.0.1:9", "SOCKS4://127.0.0.1:9"),
        *("ftp://127.0.0.1", "http://me:hush hush@127.0.0.1", "http://a..b:1", "http://"),
        *("http://me:hush-hush@127.0.0.1:x", "http://127.0.0.1:99999", "\x7f"),
        "http://127.0.0.1/?hush-hush",
    ],
)
def test_an_unusable_proxy_of_the_environment_is_rejected(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch, tls: Tls
) -> None:
    """A SOCKS proxy is one; the error names the variable and the way out, and no password."""
    monkeypatch.setenv(variable, value)
    # To load the system's CAs takes longer than all the rest.
    api = make_api("https://127.0.0.1:9", retries=0, ssl_ca_cert=tls.ca_file)
    secrets = (TOKEN, "hush-hush", "hush hush")
    error = failure(ApiValueError, api.delete_job, UID, maybe_applied=False, secrets=secrets)
    assert f"environment variable {variable.upper()}" in str(error)
    assert 'Configuration.proxy ("" for none)' in str(error)
    api.api_client.configuration.proxy = ""
    failure(ApiConnectionError, api.delete_job, UID, maybe_applied=False)


def test_a_socks_proxy_is_rejected_when_it_is_set() -> None:
    """The error names the setting."""
    error = rejected(
        ApiValueError, make_api, "https://tator.test", proxy="socks5://me:hush-hush@127.0.0.1:9"
    )
    assert "proxy must not be a SOCKS proxy" in str(error)
