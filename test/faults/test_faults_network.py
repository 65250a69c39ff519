"""Rows 1 to 18 of the fault matrix: reaching the server, TLS, proxies, time, connection reuse."""

from __future__ import annotations

import socket
import ssl
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import PROXY_PASSWORD, PROXY_USER, Proxy, Tls
from peers import (
    DONE,
    TOKEN,
    UID,
    Connection,
    Peer,
    Script,
    answering,
    failure,
    http,
    make_api,
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
        if options.get("flags"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in ports]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


# Finding and reaching the server


@pytest.mark.usefixtures("no_backoff")
def test_row_01_an_unknown_host_name_is_a_connection_error() -> None:
    """A name that nobody knows (.invalid never exists) is not reached, however often tried."""
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
def test_row_02_a_host_that_is_none_is_refused_when_it_is_set(host: str) -> None:
    """The setting is refused at once, in the constructor and as an attribute."""
    if host:  # the empty one has the constructor look into the environment
        failure(ApiValueError, Configuration, host, maybe_applied=False, secrets=("secret",))
    configuration = Configuration()
    failure(
        ApiValueError,
        setattr,
        configuration,
        "host",
        host,
        maybe_applied=False,
        secrets=("secret",),
    )
    assert configuration.host == "/"


@pytest.mark.usefixtures("no_backoff")
def test_row_03_a_refused_port_is_a_connection_error() -> None:
    """Nobody listens: tried three times, and certain that nothing happened."""
    with refused_port() as port:
        api = make_api(f"http://127.0.0.1:{port}")
        error = failure(ApiConnectionError, api.delete_job, UID, maybe_applied=False)
    assert error.attempts == 3


def test_row_03_a_live_address_behind_a_dead_one_is_reached(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each address of a name is tried, in one attempt."""
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


@contextmanager
def swallowing_port() -> Iterator[int]:
    """A port whose queue of connections is full, so that the system drops what comes."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
        for filler in fillers:
            filler.close()


@pytest.mark.parametrize(
    "limits",
    [{"timeout": (0.2, None)}, {"timeout": 0.2}, {"deadline": 0.2}],
    ids=["connect", "try", "deadline"],
)
def test_row_04_swallowed_packets_end_by_the_connect_timeout(limits: dict[str, Any]) -> None:
    """Whichever limit is the shortest ends the connecting, which is not repeated."""
    with swallowing_port() as port, within(0.2):
        api = make_api(f"http://127.0.0.1:{port}", **limits)
        error = failure(ApiTimeoutError, api.delete_job, UID, maybe_applied=False)
    assert error.attempts == 1


def test_row_04_the_first_of_two_swallowing_addresses_leaves_time_for_the_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The connect timeout is shared out among the addresses."""
    with swallowing_port() as dead, Peer(answering(http())) as peer, within(0.4):
        resolve_to(monkeypatch, dead, peer.port)
        with pytest.warns(InsecureRequestWarning, match="plain http"):
            make_api("http://tator.test", timeout=(0.4, None)).delete_job(UID)


def reset_at_once(connection: Connection) -> None:
    connection.sock.recv(1)  # before that, nothing may have been sent
    connection.reset()


@pytest.mark.usefixtures("no_backoff")
@pytest.mark.parametrize(
    "script", [reset_at_once, answering(Connection.reset)], ids=["at once", "after the request"]
)
def test_row_05_a_reset_is_a_connection_error(script: Script) -> None:
    """Accepted, then reset: nobody knows whether the request was read."""
    with Peer(script) as peer:
        error = failure(ApiConnectionError, make_api(peer.host).delete_job, UID, maybe_applied=True)
    assert (error.attempts, peer.connections) == (3, 3)


@pytest.mark.usefixtures("no_backoff")
def test_row_05_on_localtator() -> None:
    """`LocalTator.drop` gives what a reset connection gives."""
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
    ("fault", "setting"),
    [
        ("untrusted", "ssl_ca_cert"),
        ("self-signed", "ssl_ca_cert"),
        ("wrong host", "assert_hostname"),
        ("expired", "verify_ssl"),
        ("not yet valid", "verify_ssl"),
        ("TLS 1.1", "TLS 1.2"),
    ],
)
def test_row_06_a_server_that_cannot_be_trusted_gets_nothing(
    fault: str, setting: str, tls: Tls
) -> None:
    """The error names the setting to use, and there is no second try."""
    context = {
        "untrusted": tls.server,
        "self-signed": tls.self_signed,
        "wrong host": lambda: tls.server("other.test", "127.0.0.2"),
        "expired": lambda: tls.server(after=-9, until=-8),
        "not yet valid": lambda: tls.server(after=8, until=9),
        "TLS 1.1": old_tls,
    }[fault]()
    authority = None if fault == "untrusted" else tls.ca_file
    with Peer(answering(http()), context) as peer:
        api = make_api(peer.host, ssl_ca_cert=authority)
        error = failure(ApiTlsError, api.delete_job, UID, maybe_applied=False)
    assert (peer.requests, peer.connections, error.attempts) == ([], 1, 1)
    assert setting in str(error)


def test_row_06_the_settings_that_the_error_names_help(tls: Tls) -> None:
    """The authority's file and the certificate's name make the server a trusted one."""
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


def test_row_07_plain_to_an_https_port_is_a_bad_request_with_a_hint(tls: Tls) -> None:
    """nginx answers such a request in plain http; the hint says what to write."""
    with LocalTator(TOKEN, ssl_context=tls.server()) as server:
        api = make_api(server.host.replace("https:", "http:"))
        error = failure(BadRequestException, api.delete_job, UID, maybe_applied=True)
    assert error.attempts == 1
    assert "https://" in str(error.hint)


@pytest.mark.parametrize("limits", [{"deadline": 0.2}, {"timeout": (0.2, None)}])
@pytest.mark.parametrize("way", ["silent", "dripping"])
def test_row_08_a_handshake_without_end_is_a_timeout(way: str, limits: dict[str, Any]) -> None:
    """A server that says hello one byte at a time, or not at all, does not outlast the limit."""
    # The head of a TLS record of 16 KiB, and what could be its content.
    hello = b"\x16\x03\x03\x40\x00" + bytes(1 << 14)
    script = Connection.hang if way == "silent" else lambda peer: peer.drip(hello)
    with Peer(script) as peer, within(0.2):
        api = make_api(peer.host.replace("http:", "https:"), **limits)
        error = failure(ApiTimeoutError, api.delete_job, UID, maybe_applied=False)
    assert (peer.connections, error.attempts) == (1, 1)


@pytest.mark.parametrize("setting", ["ssl_ca_cert", "cert_file", "key_file"])
@pytest.mark.parametrize("fault", ["missing", "a directory", "not PEM", "empty"])
def test_row_09_a_tls_file_that_cannot_be_used_is_refused(
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


def test_row_09_a_key_without_a_certificate_and_a_foreign_key_are_refused(tls: Tls) -> None:
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
    """Over TLS 1.3, where the refusal comes after the handshake, as over 1.2."""
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
            if type(caught.value) is ApiTlsError:
                assert not caught.value.maybe_applied
                assert "cert_file" in str(caught.value)
    assert len(peer.requests) == 1


@pytest.mark.usefixtures("no_backoff")
@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 200 OK\r\n\r\n" + DONE, b"HTTP/1.1 200 OK\r\n", b"", http()[:-3]],
    ids=["unlimited body", "headers", "nothing", "body"],
)
def test_row_11_an_answer_over_tls_that_was_cut_is_no_answer(answer: bytes, tls: Tls) -> None:
    """Without TLS's goodbye, even what looks like a whole answer may have lost its end."""
    with Peer(answering(answer), tls.server()) as peer:
        api = make_api(peer.host, ssl_ca_cert=tls.ca_file)
        error = failure(ApiConnectionError, api.delete_job, UID, maybe_applied=True)
    assert (error.attempts, len(peer.requests)) == (3, 3)


# Proxies


@pytest.mark.usefixtures("no_backoff")
@pytest.mark.parametrize("target", ["http://127.0.0.1:9", "https://127.0.0.1:9"])
def test_row_12_a_proxy_that_refuses_is_a_proxy_error(target: str) -> None:
    """The error names the proxy's settings."""
    with refused_port() as port:
        api = make_api(target, proxy=f"http://127.0.0.1:{port}")
        error = failure(ApiProxyError, api.delete_job, UID, maybe_applied=False)
    assert error.attempts == 3
    assert "Configuration.proxy" in str(error)


@pytest.mark.usefixtures("no_backoff")
def test_row_12_a_proxy_that_does_not_reach_the_server_is_a_proxy_error(proxy: Proxy) -> None:
    """A real proxy's 502 on CONNECT, tried three times."""
    with refused_port() as port:
        api = make_api(f"https://127.0.0.1:{port}", proxy=f"http://{proxy.authority}")
        error = failure(ApiProxyError, api.delete_job, UID, maybe_applied=False)
    assert error.attempts == 3


def test_row_12_a_proxy_that_asks_for_credentials_is_asked_once(
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
    """A deletion, and then another on the same connection, go through this proxy."""
    for uid in server.launch(2).run_uids:
        api.api_client.configuration.api_key["Authorization"] = server.token
        assert api.delete_job(uid).message
    api.api_client.close()
    assert len(server.requests) == 2
    assert proxy.saw(server.host)


def test_row_13_a_real_proxy_carries_http_and_https(
    server: LocalTator, proxy: Proxy, tls: Tls
) -> None:
    """Forwarded or tunnelled, the call succeeds."""
    url = f"http://{proxy.authority}"
    check_proxied(server, proxy, make_api(server.host, proxy=url, ssl_ca_cert=tls.ca_file))


def test_row_13_a_proxy_with_credentials_gets_them(
    server: LocalTator, strict_proxy: Proxy, tls: Tls
) -> None:
    """User and password of the URL open the proxy, and show in nothing."""
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


@pytest.mark.parametrize("exception", ["127.0.0.1", "*", "other.test, 127.0.0.1", "host:port"])
def test_row_13_no_proxy_leads_past_the_proxy(
    exception: str, server: LocalTator, tls: Tls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What NO_PROXY names is reached directly; the proxy here is a dead one."""
    with refused_port() as port:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("HTTPS_PROXY", f"127.0.0.1:{port}")
        named = server.host.partition("//")[2] if exception == "host:port" else exception
        monkeypatch.setenv("NO_PROXY", named)
        api = make_api(server.host, ssl_ca_cert=tls.ca_file)
        failure(tator.ForbiddenException, api.delete_job, UID, maybe_applied=False)
        monkeypatch.setenv("NO_PROXY", "other.test")
        api = make_api(server.host, ssl_ca_cert=tls.ca_file, retries=0)
        failure(ApiProxyError, api.delete_job, UID, maybe_applied=False)
        api = make_api(server.host, ssl_ca_cert=tls.ca_file, proxy="")
        failure(tator.ForbiddenException, api.delete_job, UID, maybe_applied=False)


# Time


@pytest.mark.parametrize(
    "limits", [{"deadline": 0.3}, {"timeout": 0.3}, {"timeout": (1, 0.3)}], ids=str
)
def test_row_14_silence_is_a_timeout(limits: dict[str, Any], server: LocalTator, tls: Tls) -> None:
    """The server is at work and says nothing: asked once, and it may well have done it."""
    server.delay(60)
    with within(0.3):
        api = make_api(server.host, ssl_ca_cert=tls.ca_file, **limits)
        error = failure(ApiTimeoutError, api.delete_job, UID, maybe_applied=True)
    assert error.attempts == 1
    server.close()
    assert len(server.requests) == 1


def test_row_14_a_timeout_of_the_call_wins_over_the_configuration() -> None:
    """`_request_timeout` as a number and as a pair."""
    with Peer(answering(Connection.hang)) as peer:
        api = make_api(peer.host, timeout=60, deadline=60)
        for limit in (0.2, (0.2, 0.2), (None, 0.2)):
            with within(0.2):
                failure(
                    ApiTimeoutError, api.delete_job, UID, maybe_applied=True, _request_timeout=limit
                )
    assert len(peer.requests) == 3


LONG = "x" * 4000


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
@pytest.mark.parametrize(
    ("sent", "dripped"),
    [
        (b"", b"HTTP/1.1 200 " + LONG.encode()),
        (b"HTTP/1.1 200 OK\r\n", b"X-Long: " + LONG.encode()),
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 90),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n", LONG.encode()),
        (b"HTTP/1.1 200 OK\r\n\r\n", LONG.encode()),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 999),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n" * 999),
        (b"HTTP/1.1 500 Oh\r\nContent-Length: 4000\r\n\r\n", LONG.encode()),
    ],
    ids=["status", "header", "headers", "body", "open body", "chunks", "trailer", "error"],
)
def test_row_15_a_dripped_answer_ends_by_the_deadline(
    secure: bool, sent: bytes, dripped: bytes, tls: Tls
) -> None:
    """However regularly bytes arrive: urllib3's timeouts start anew with each."""

    def script(connection: Connection) -> None:
        connection.send(sent)
        connection.drip(dripped)

    with Peer(answering(script), tls.server() if secure else None) as peer, within(0.3):
        api = make_api(peer.host, deadline=0.3, ssl_ca_cert=tls.ca_file)
        error = failure(ApiTimeoutError, api.delete_job, UID, maybe_applied=True)
    assert (error.attempts, len(peer.requests)) == (1, 1)


def test_row_16_a_pause_that_would_end_after_the_deadline_is_not_begun() -> None:
    """The last error comes now, not at the deadline."""
    with LocalTator(TOKEN) as server, within(0):
        server.fail(503, headers={"Retry-After": "5"})
        api = make_api(server.host, deadline=4)
        error = failure(ServiceException, api.delete_job, UID, maybe_applied=True)
        assert (error.status, error.attempts, error.retry_after) == (503, 1, 5)
        assert len(server.requests) == 1


# Connection reuse


@pytest.mark.parametrize("ending", ["FIN", "RST"])
def test_row_17_an_idle_connection_that_the_server_closed_is_replaced(
    ending: str, tls: Tls
) -> None:
    """A call after the server hung up needs no second try."""

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
def test_row_18_a_connection_closed_after_the_request_is_tried_again(lost: str, tls: Tls) -> None:
    """nginx's keep-alive race: the request on a warm connection is read, and never answered."""
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


def test_row_18_an_answer_cut_by_localtator_is_tried_again() -> None:
    """`LocalTator.truncate` gives a short body; nothing is taken for its end."""
    with LocalTator(TOKEN) as server:
        server.truncate(after_applying=False)
        assert make_api(server.host).delete_job(server.launch().run_uids[0]).message
        assert len(server.requests) == 2
