"""The law of faults for what the rows of the matrix do not name."""

from __future__ import annotations

import os
import resource
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
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
    ApiException,
    ApiProxyError,
    ApiResponseError,
    ApiTimeoutError,
    ApiTlsError,
    ApiTypeError,
    ApiValueError,
    ForbiddenException,
    ServiceException,
)
from tator.testing import LocalTator

ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"

# Time


def test_interim_answers_that_drip_end_by_the_deadline() -> None:
    """An endless row of whole 1xx answers is no answer."""

    def script(connection: Connection) -> None:
        while not connection.peer.closing.wait(0.02):
            connection.send(b"HTTP/1.1 102 Processing\r\n\r\n")

    with Peer(answering(script)) as peer, within(0.3):
        api = make_api(peer.host, deadline=0.3)
        failure(ApiTimeoutError, api.delete_job, UID, maybe_applied=True)


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\n"], ids=["status", "headers"])
def test_a_dripped_answer_to_connect_ends_by_the_connect_timeout(start: bytes) -> None:
    """A proxy that never gets to the end of its answer does not outlast the limits."""

    def script(connection: Connection) -> None:
        connection.send(start)
        connection.drip(b"X-Slow: yes\r\n" * 99 if start else b"HTTP/1.1 200 " + b"x" * 999)

    for limits in ({"deadline": 0.2}, {"timeout": (0.2, None)}):
        with Peer(answering(script)) as peer, within(0.2):
            api = make_api("https://tator.test", proxy=peer.host, **limits)
            failure(ApiTimeoutError, api.delete_job, UID, maybe_applied=False)


@pytest.mark.parametrize("secure", [False, True], ids=["http proxy", "https proxy"])
@pytest.mark.parametrize("way", ["silent", "dripping"])
def test_a_dripped_handshake_through_a_proxy_ends_by_the_deadline(
    way: str, secure: bool, tls: Tls
) -> None:
    """TLS inside TLS included, which urllib3 does in steps of its own."""

    def script(connection: Connection) -> None:
        connection.send(ESTABLISHED)
        connection.sock.recv(1 << 16)  # the client's part of the handshake
        connection.drip(b"\x16\x03\x03\x40\x00" + bytes(1 << 14) if way == "dripping" else b"")
        connection.hang()

    with Peer(answering(script), tls.server() if secure else None) as peer, within(0.2):
        api = make_api("https://tator.test", proxy=peer.host, deadline=0.2, ssl_ca_cert=tls.ca_file)
        failure(ApiTimeoutError, api.delete_job, UID, maybe_applied=False)


def test_a_resolver_that_hangs_ends_by_the_connect_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's resolver has no limit of its own."""
    released = threading.Event()
    real = socket.getaddrinfo

    def getaddrinfo(host: str, *args: Any, **options: Any) -> Any:
        if not options.get("flags"):
            released.wait(30)
        return (
            real("127.0.0.1", *args) if not options.get("flags") else real(host, *args, **options)
        )

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    try:
        for limits in ({"deadline": 0.2}, {"timeout": (0.2, None)}):
            with within(0.2):
                api = make_api("https://tator.test", **limits)
                failure(ApiTimeoutError, api.delete_job, UID, maybe_applied=False)
    finally:
        released.set()
        for thread in threading.enumerate():
            if thread.name == "tator-resolver":
                thread.join()


@pytest.mark.usefixtures("no_backoff")
@pytest.mark.parametrize("kind", [OSError, UnicodeError, RuntimeError, MemoryError])
def test_a_resolver_that_fails_oddly_is_a_connection_error(
    kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it raises, in whatever thread."""
    real = socket.getaddrinfo

    def getaddrinfo(host: str, *args: Any, **options: Any) -> Any:
        if options.get("flags"):
            return real(host, *args, **options)
        raise kind("odd")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    api = make_api("https://tator.test")
    error = failure(ApiConnectionError, api.delete_job, UID, maybe_applied=False)
    assert "odd" in str(error)


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
def test_a_server_that_does_not_read_ends_by_the_deadline(secure: bool, tls: Tls) -> None:
    """Sending a large body blocks where the server takes nothing more."""

    def script(connection: Connection) -> None:
        connection.peer.closing.wait(30)

    with Peer(script, tls.server() if secure else None) as peer:
        client = make_api(peer.host, deadline=0.5, ssl_ca_cert=tls.ca_file).api_client
        with within(0.5), pytest.raises(ApiTimeoutError) as caught:
            client.call_api("/x", "PUT", body="x" * (16 << 20))
    assert caught.value.maybe_applied


@pytest.mark.usefixtures("no_backoff")
def test_an_early_answer_to_a_large_body_is_that_answer_or_a_lost_connection() -> None:
    """A 413 before the body was read arrives, unless the system drops it with the rest."""

    def script(connection: Connection) -> None:
        connection.sock.recv(1 << 10)
        connection.send(http(413))

    with Peer(script) as peer:
        client = make_api(peer.host).api_client
        with pytest.raises(ApiException) as caught:
            client.call_api("/x", "PUT", body="x" * (4 << 20))
    assert caught.value.status in (0, 413)


def test_a_clock_that_jumps_changes_no_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits are kept on the monotonic clock."""
    jumps = iter(range(0, 10**9, 10**5))
    monkeypatch.setattr(time, "time", lambda: next(jumps))
    with Peer(answering(http(), Connection.hang, keep=True)) as peer, within(0.3):
        api = make_api(peer.host, deadline=0.3)
        assert api.delete_job(UID).message == "Done."
        failure(ApiTimeoutError, api.delete_job, UID, maybe_applied=True)


def test_without_deadline_and_timeout_a_call_waits() -> None:
    """`None` lifts each limit; the server may take its time."""
    with LocalTator(TOKEN) as server:
        api = make_api(server.host, deadline=None, timeout=None)
        server.delay(0.3)
        assert api.delete_job(server.launch().run_uids[0]).message


# The pool


def test_raw_responses_that_are_not_released_use_up_the_pool() -> None:
    """The error says what to do; once they are released, all is well."""
    with Peer(answering(http(), keep=True)) as peer, within(0.2):
        api = make_api(peer.host, connection_pool_maxsize=2)
        raw = [api.delete_job(UID, _preload_content=False) for _ in range(2)]
        error = failure(
            ApiTimeoutError, api.delete_job, UID, maybe_applied=False, _request_timeout=0.2
        )
        assert "Release raw responses" in str(error)
        for response in raw:
            assert response.read() == DONE
            response.release_conn()
        assert api.delete_job(UID).message == "Done."
    assert len(peer.requests) == 3


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
def test_a_raw_response_released_unread_spoils_no_other_call(secure: bool, tls: Tls) -> None:
    """Its rest is not taken for the next answer."""
    other = http(200, b'{"message": "Other."}')
    context = tls.server() if secure else None
    with Peer(answering(other, http(), keep=True), context) as peer:
        api = make_api(peer.host, ssl_ca_cert=tls.ca_file, connection_pool_maxsize=1, retries=0)
        raw = api.delete_job(UID, _preload_content=False)
        raw.release_conn()
        assert api.delete_job(UID).message == "Done."
    assert peer.connections == 2


def test_a_raw_response_is_read_within_the_limits() -> None:
    """What the caller reads itself ends by the deadline of its call, too."""
    part = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"

    def script(connection: Connection) -> None:
        connection.send(part)
        connection.hang()

    with Peer(answering(script)) as peer, within(0.3):
        api = make_api(peer.host, deadline=0.3)
        raw = api.delete_job(UID, _preload_content=False)
        with pytest.raises(Exception, match="time"):
            raw.read()
        raw.close()


def test_a_raw_response_may_be_of_any_length(tls: Tls, tls_proxy: Proxy) -> None:
    """The limit on bodies is for those that the library reads; through two layers of TLS too."""
    body = b"x" * (3 << 20)
    with Peer(answering(http(200, body)), tls.server()) as peer:
        for proxy in ("", f"https://{tls_proxy.authority}"):
            api = make_api(peer.host, ssl_ca_cert=tls.ca_file, proxy=proxy)
            raw = api.delete_job(UID, _preload_content=False)
            assert raw.read() == body
            raw.release_conn()


def test_a_second_answer_is_never_taken_for_the_next() -> None:
    """What a server sends unasked is dropped with its connection."""
    stray = http(200, b'{"message": "Stray."}')
    for extra in (stray, stray * 1_000):
        with Peer(answering(http() + extra, http())) as peer:
            api = make_api(peer.host)
            assert api.delete_job(UID).message == "Done."
            peer.join_scripts()
            assert api.delete_job(UID).message == "Done."


@pytest.mark.parametrize("way", ["direct", "proxied"])
def test_a_second_answer_that_tls_holds_back_is_not_taken_for_the_next(
    way: str, tls: Tls, tls_proxy: Proxy
) -> None:
    """One that came in the same record is seen neither at the socket nor in what was read."""
    head = len(http(200, b"")) + len("8192") - len("0")
    body = b'{"message": "Done."}'.ljust(8192 - head)
    answer = http(200, body)
    assert len(answer) == 8192  # what is read at once
    stray = http(200, b'{"message": "Stray."}')
    with Peer(answering(answer + stray, http(403), keep=True), tls.server()) as peer:
        proxy = f"https://{tls_proxy.authority}" if way == "proxied" else ""
        api = make_api(peer.host, ssl_ca_cert=tls.ca_file, proxy=proxy)
        assert api.delete_job(UID).message == "Done."
        failure(ForbiddenException, api.delete_job, UID, maybe_applied=False)


def test_what_is_changed_counts_from_the_next_call(tls: Tls) -> None:
    """Who mends the setting that an error named needs no new client."""
    with LocalTator(TOKEN, ssl_context=tls.server()) as server:
        api = make_api(server.host)
        configuration = api.api_client.configuration
        failure(ApiTlsError, api.delete_job, UID, maybe_applied=False)
        configuration.ssl_ca_cert = tls.ca_file
        assert api.delete_job(server.launch().run_uids[0]).message
        configuration.proxy = "http://127.0.0.1:9"
        failure(ApiProxyError, api.delete_job, UID, maybe_applied=False)
        configuration.proxy = ""
        configuration.assert_hostname = "other.test"
        failure(ApiTlsError, api.delete_job, UID, maybe_applied=False)
        configuration.assert_hostname = None
        assert api.delete_job(server.launch().run_uids[0]).message


def test_a_connection_given_back_after_the_close_is_closed() -> None:
    """A call that was under way leaves no connection behind that nothing could use again."""
    arrived, go, gone = threading.Event(), threading.Event(), threading.Event()

    def script(connection: Connection) -> None:
        connection.request()
        arrived.set()
        go.wait(30)
        connection.send(http())
        connection.hang()
        gone.set()

    with Peer(script) as peer:
        api = make_api(peer.host)
        handle = api.delete_job(UID, async_req=True)
        assert arrived.wait(10)
        api.api_client.close()
        go.set()
        assert handle.get(10).message == "Done."
        assert gone.wait(10)


def test_close_while_calls_are_under_way_and_waiting() -> None:
    """Those under way end as they would have, and those waiting get their connection."""
    arrived, go = threading.Semaphore(0), threading.Event()

    def script(connection: Connection) -> None:
        arrived.release()
        go.wait(30)
        connection.send(http())

    with Peer(answering(script, keep=True)) as peer, ThreadPoolExecutor(6) as threads:
        api = make_api(peer.host, connection_pool_maxsize=2, deadline=None)
        calls = [threads.submit(api.delete_job, UID) for _ in range(6)]
        for _ in range(2):
            assert arrived.acquire(timeout=30)
        api.api_client.close()
        go.set()
        assert [call.result(30).message for call in calls] == ["Done."] * 6


def test_more_hosts_than_are_kept() -> None:
    """The pools of hosts long unused make room, also while one of them is in use."""
    with ExitStack() as stack:
        peers = [stack.enter_context(Peer(answering(http(), keep=True))) for _ in range(10)]
        api = make_api(peers[0].host)
        raw = api.delete_job(UID, _preload_content=False)
        for _ in range(2):
            for peer in peers:
                api.api_client.configuration.host = peer.host
                assert api.delete_job(UID).message == "Done."
        assert raw.read() == DONE
        raw.release_conn()


def test_no_descriptor_left_is_a_connection_error() -> None:
    """A full table of open files is this machine's trouble, and nothing was sent."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    api = make_api("http://127.0.0.1:9", retries=0)
    free = os.open(os.devnull, os.O_RDONLY)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
    try:
        with pytest.raises(ApiConnectionError) as caught:
            api.delete_job(UID)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert "Too many open files" in str(caught.value)
    assert not caught.value.maybe_applied


def test_a_signal_handler_may_call_while_a_call_is_on() -> None:
    """The inner call is right, and so is the outer one afterwards."""
    messages: list[str | None] = []

    def handler(number: int, frame: object) -> None:
        messages.append(api.delete_job("inner").message)

    def script(connection: Connection) -> None:
        while True:
            if b"/inner " in connection.request():
                connection.send(http(200, b'{"message": "Inner."}'))
                inner.set()
            else:
                os.kill(os.getpid(), signal.SIGUSR1)
                inner.wait(30)
                connection.send(http(200, b'{"message": "Outer."}'))

    inner = threading.Event()
    previous = signal.signal(signal.SIGUSR1, handler)
    try:
        with Peer(script) as peer:
            api = make_api(peer.host)
            assert api.delete_job("outer").message == "Outer."
            assert messages == ["Inner."]
    finally:
        signal.signal(signal.SIGUSR1, previous)


# Retries of what is not idempotent


@pytest.mark.usefixtures("no_backoff")
@pytest.mark.parametrize(("method", "tries"), [("POST", 1), ("PATCH", 1), ("PUT", 3), ("GET", 3)])
def test_what_may_have_left_is_repeated_only_where_that_is_harmless(
    method: str, tries: int
) -> None:
    """A POST whose answer is lost, or a 503, might be carried out twice."""
    busy = http(503, headers={"Connection": "close"})
    for answer, kind in ((Connection.reset, ApiConnectionError), (busy, ServiceException)):
        with Peer(answering(answer)) as peer:
            client = make_api(peer.host).api_client
            doubt = method != "GET"  # reading does nothing that could be in doubt
            error = failure(kind, client.call_api, "/x", method, body={}, maybe_applied=doubt)
        assert (error.attempts, len(peer.requests)) == (tries, tries)


@pytest.mark.usefixtures("no_backoff")
def test_what_has_not_left_is_repeated_always() -> None:
    """A POST that reached nobody is tried again."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        client = make_api(f"http://127.0.0.1:{bound.getsockname()[1]}").api_client
        error = failure(ApiConnectionError, client.call_api, "/x", "POST", maybe_applied=False)
    assert error.attempts == 3


def test_retries_can_be_turned_off() -> None:
    """`retries=0` and `False` send one request."""
    for retries in (0, False):
        with LocalTator(TOKEN) as server:
            server.fail(503)
            api = make_api(server.host, retries=retries)
            failure(ServiceException, api.delete_job, UID, maybe_applied=True)
            assert len(server.requests) == 1


# The caller


def test_a_hook_that_fails_sends_nothing() -> None:
    """Its error is ours, and does not show the key that it was about to set."""

    def raises(configuration: tator.Configuration) -> None:
        raise RuntimeError(f"no key like {TOKEN}")

    def refused(configuration: tator.Configuration) -> None:
        configuration.api_key = TOKEN  # type: ignore[assignment]  # the fault

    with Peer(answering(http())) as peer:
        for hook, kind in ((raises, ApiValueError), (refused, ApiTypeError)):
            api = make_api(peer.host, refresh_api_key_hook=hook)
            error = failure(kind, api.delete_job, UID, maybe_applied=False)
            assert "refresh_api_key_hook" in str(error) or "api_key" in str(error)
            handle = api.delete_job
            failure(kind, handle, UID, maybe_applied=False, async_req=True)
    assert peer.connections == 0


def test_a_hook_that_interrupts_ends_the_call() -> None:
    """KeyboardInterrupt is nobody's error."""

    def hook(configuration: tator.Configuration) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_api("http://127.0.0.1:9", refresh_api_key_hook=hook).delete_job(UID)


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


class Loop(dict[str, Any]):
    """A mapping that contains itself."""

    def __init__(self) -> None:
        super().__init__(loop=self)


@pytest.mark.parametrize(
    "options",
    [
        {"body": nested(100_000)},
        {"body": Loop()},
        {"body": object()},
        {"body": {1: 2}},
        {"body": float("nan")},
        {"query_params": {"a": object()}},
        {"query_params": {"a": "\ud800"}},
        {"query_params": [1, 2]},
        {"query_params": 5},
        {"header_params": {"X-A": "b\r\nX-Injected: 1"}},
        {"header_params": {"X-A\r\nX-Injected": "1"}},
        {"header_params": {"X-A": "b\0"}},
        {"header_params": {"": "b"}},
        {"header_params": {"X-A": 5}},
        {"response_type": "list[Nonsense]"},
        {"response_type": 5},
        {"_request_timeout": "1"},
    ],
    ids=lambda options: "-".join(options),
)
def test_what_cannot_be_sent_is_refused(options: dict[str, Any]) -> None:
    """Whatever the caller gives, the error is ours, and nothing has left."""
    with Peer(answering(http())) as peer:
        client = make_api(peer.host).api_client
        with pytest.raises((ApiTypeError, ApiValueError)) as caught:
            client.call_api("/x", "POST", **options)
        assert not caught.value.maybe_applied
    assert peer.connections == 0


@pytest.mark.parametrize("path", ["x", "", "//x\r\n", "/x y", "/x?a=1", "/x#a", "/{id}", "/\\x"])
def test_a_path_that_is_none_is_refused(path: str) -> None:
    """A query has its own argument, and a name in braces needs its value."""
    client = make_api("http://127.0.0.1:9").api_client
    failure(ApiValueError, client.call_api, path, "GET", maybe_applied=False)


@pytest.mark.parametrize("method", ["", "GET /x", "G\r\nET", "gét", "G-T"])
def test_a_method_that_is_none_is_refused(method: str) -> None:
    """Nothing can be smuggled in before the path."""
    client = make_api("http://127.0.0.1:9").api_client
    failure(ApiValueError, client.call_api, "/x", method, maybe_applied=False)


def test_default_headers_cannot_inject() -> None:
    """Names and values are checked when they are set."""
    client = make_api("http://127.0.0.1:9").api_client
    for name, value in (("X-A", "b\r\nX-B: c"), ("X-A\n", "b"), ("X: A", "b"), ("X-A", "")):
        failure(ApiValueError, client.set_default_header, name, value, maybe_applied=False)
        with pytest.raises(ApiValueError):
            client.default_headers[name] = value
        with pytest.raises(ApiValueError):
            tator.ApiClient(client.configuration, name, value)
    with pytest.raises(ApiValueError):
        client.cookie = "a=b\r\nX: y"
    with pytest.raises(ApiValueError):
        client.user_agent = "me\nX: y"


def test_a_query_cannot_inject() -> None:
    """Names and values arrive as they were given."""
    with Peer(answering(http(), keep=True)) as peer:
        client = make_api(peer.host).api_client
        query = {"a": "b&c=d#e /?\r\n", "f&g": ["1", "é"], "none": None, "yes": True}
        client.call_api("/x", "GET", query_params=query, response_type=object)
    line = peer.requests[0].split(b"\r\n")[0]
    wanted = b"a=b%26c%3Dd%23e%20%2F%3F%0D%0A&f%26g=1&f%26g=%C3%A9&yes=true"
    assert line == b"GET /x?" + wanted + b" HTTP/1.1"


def test_settings_may_change_between_calls(tls: Tls) -> None:
    """Host, key, limits and retries count from the next call, TLS settings from the next host."""
    with (
        Peer(answering(http(), keep=True)) as plain,
        Peer(answering(http(), keep=True), tls.server()) as secure,
        Peer(answering(http(), keep=True), tls.server()) as other,
    ):
        api = make_api(plain.host)
        configuration = api.api_client.configuration
        assert api.delete_job(UID).message == "Done."
        configuration.host = secure.host + "/prefix/"
        configuration.retries = 0
        failure(ApiTlsError, api.delete_job, UID, maybe_applied=False)
        configuration.verify_ssl = False
        api.api_client.close()
        with pytest.warns(InsecureRequestWarning):
            assert api.delete_job(UID).message == "Done."
        configuration.verify_ssl = True
        configuration.host = other.host
        failure(ApiTlsError, api.delete_job, UID, maybe_applied=False)
        configuration.ssl_ca_cert = tls.ca_file
        configuration.api_key["Authorization"] = "second"
        api.api_client.close()
        assert api.delete_job(UID).message == "Done."
    assert secure.requests[0].startswith(b"DELETE /prefix/rest/Job/")
    assert b"Authorization: Token second" in other.requests[0]


# Proxies


@pytest.mark.parametrize(
    "value",
    [
        *("socks5://127.0.0.1:9", "socks5h://me:hush-hush@127.0.0.1:9", "ftp://127.0.0.1"),
        *("http://me:hush hush@127.0.0.1", "http://a..b:1", "http://me:hush-hush@127.0.0.1:x"),
        *("http://", "http://127.0.0.1:99999", "http://127.0.0.1/?hush-hush", "\x7f"),
    ],
)
def test_a_proxy_of_the_environment_that_is_none_is_refused(
    value: str, server: LocalTator, monkeypatch: pytest.MonkeyPatch, tls: Tls
) -> None:
    """The error names the variable, and shows nothing of a password in it."""
    monkeypatch.setenv("HTTP_PROXY", value)
    monkeypatch.setenv("HTTPS_PROXY", value)
    api = make_api(server.host, ssl_ca_cert=tls.ca_file)
    secrets = (TOKEN, "hush-hush", "hush hush")
    error = failure(ApiValueError, api.delete_job, UID, maybe_applied=False, secrets=secrets)
    assert "HTTP" in str(error)
    assert "_PROXY" in str(error)
    api.api_client.configuration.proxy = ""
    failure(ForbiddenException, api.delete_job, UID, maybe_applied=False)


def test_a_proxy_for_https_alone_is_not_for_http(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each variable is for its own scheme."""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    with LocalTator(TOKEN) as server:
        assert make_api(server.host).delete_job(server.launch().run_uids[0]).message


@pytest.mark.parametrize("no_proxy", ["(", "[", "::1", ",,,", "127.0.0.1:x", "\\", "*.test"])
def test_no_proxy_of_any_kind_harms_nothing(
    no_proxy: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Garbage in it excludes nothing, and the proxy is taken."""
    monkeypatch.setenv("HTTP_PROXY", proxy.authority)
    monkeypatch.setenv("NO_PROXY", no_proxy)
    with LocalTator(TOKEN) as server:
        assert make_api(server.host).delete_job(server.launch().run_uids[0]).message
        assert "via" in server.requests[0].headers


@pytest.mark.parametrize(
    ("user_info", "sent"),
    [
        ("me:p%40ss%3Aword", "bWU6cEBzczp3b3Jk"),
        ("me:%D0%BF%D0%B0%D1%80", "bWU60L/QsNGA"),
        ("me:пар", "bWU60L/QsNGA"),
        ("me", "bWU="),
    ],
)
def test_a_proxy_gets_the_credentials_as_they_are(user_info: str, sent: str) -> None:
    """Percent-encoded or not, in UTF-8."""
    with Peer(answering(http(), keep=True)) as peer:
        url = peer.host.replace("//", f"//{user_info}@")
        with pytest.warns(InsecureRequestWarning):
            assert make_api("http://tator.test", proxy=url).delete_job(UID).message == "Done."
    assert f"\r\nProxy-Authorization: Basic {sent}".encode() in peer.requests[0]
    assert peer.requests[0].startswith(b"DELETE http://tator.test/rest/Job/")


CONNECT_ANSWERS: dict[str, tuple[bytes | Script, type[ApiException]]] = {
    "nothing": (b"", ApiProxyError),
    "reset": (Connection.reset, ApiProxyError),
    "garbage": (b"SSH-2.0-OpenSSH_9.6\r\n", ApiProxyError),
    "cut": (b"HTTP/1.1 200 OK\r\nX: y", ApiTlsError),
    "an interim answer": (b"HTTP/1.1 100 Continue\r\n\r\n", ApiProxyError),
    "redirect": (http(302, headers={"Location": "http://127.0.0.1:9"}), ApiProxyError),
    "established, and closed": (ESTABLISHED, ApiTlsError),
    "established, and no TLS": (ESTABLISHED + http(), ApiTlsError),
    "headers without end": (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 400_000, ApiProxyError),
}


@pytest.mark.usefixtures("no_backoff")
@pytest.mark.parametrize(("answer", "kind"), CONNECT_ANSWERS.values(), ids=CONNECT_ANSWERS)
def test_what_a_proxy_may_answer_to_connect(
    answer: bytes | Script, kind: type[ApiException]
) -> None:
    """Nothing of it is a success, and the server has seen nothing."""
    with Peer(answering(answer)) as peer:
        api = make_api("https://tator.test", proxy=peer.host)
        with pytest.raises(ApiConnectionError) as caught:
            api.delete_job(UID)
    error = caught.value
    assert isinstance(error, (kind, ApiProxyError, ApiTlsError))
    assert not error.maybe_applied
    assert all(request.startswith(b"CONNECT tator.test:443") for request in peer.requests)
    assert not [request for request in peer.requests if TOKEN.encode() in request]


def test_a_cut_answer_through_two_layers_of_tls_is_no_answer(tls: Tls, tls_proxy: Proxy) -> None:
    """The end of a body without a length needs the goodbye of the server's TLS."""
    answer = b"HTTP/1.1 200 OK\r\n\r\n" + DONE
    with Peer(answering(answer), tls.server()) as peer:
        api = make_api(
            peer.host,
            proxy=f"https://{tls_proxy.authority}",
            ssl_ca_cert=tls.ca_file,
            retries=0,
        )
        failure(ApiConnectionError, api.delete_job, UID, maybe_applied=True)


@pytest.fixture(autouse=True)
def _no_resolver_left() -> Iterator[None]:
    yield
    assert not [t for t in threading.enumerate() if t.name == "tator-resolver" and t.is_alive()]


def test_a_large_answer_by_many_interim_answers_is_refused() -> None:
    """Headers count for the limit as bodies do."""
    interim = b"HTTP/1.1 103 Early\r\n" + b"Link: " + b"x" * 60_000 + b"\r\n\r\n"
    with Peer(answering(interim * 60 + http())) as peer:
        failure(ApiResponseError, make_api(peer.host).delete_job, UID, maybe_applied=True)
