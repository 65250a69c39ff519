"""What the caller's own code does in the middle of a call: it raises, or changes settings."""

from __future__ import annotations

import gc
import signal
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from certificates import Tls
from peers import (
    TOKEN,
    UID,
    Connection,
    Peer,
    answering,
    everything_shown,
    http,
    make_api,
)

import tator
from tator.exceptions import ApiTlsError

pytestmark = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no such signals here")

MAIN = threading.main_thread()


class SoftLimit(Exception):
    """As Celery's soft time limit."""


class LostLimit(ConnectionError):
    """As a program would name its time limit."""


class PipeLimit(BrokenPipeError):
    """Of a class after which urllib3 reads the response."""


class TimeLimit(TimeoutError):
    """Of a class that timeouts are."""


class ValueLimit(ValueError):
    """Of a class that strange responses cause."""


class TlsLimit(ssl.SSLError):
    """Of a class that certificates cause."""


LIMITS = [
    *(SoftLimit, LostLimit, PipeLimit, TimeLimit, ValueLimit, TlsLimit),
    # Those of Python itself, raised in the caller's own frame.
    *(TimeoutError, KeyboardInterrupt),
]
each_limit = pytest.mark.parametrize("limit", LIMITS)
# CPython leaves the closing of a socket in the middle of its handshake to the garbage collector.
leaves_a_socket = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@contextmanager
def handler_raising(limit: type[BaseException]) -> Iterator[None]:
    """SIGALRM raises this, as every recipe for time limits has it."""

    def on_alarm(*args: object) -> None:
        raise limit("the limit of the caller")

    before = signal.signal(signal.SIGALRM, on_alarm)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def strike(connection: Connection) -> None:
    """Interrupt the main thread, which waits for this peer, once it surely does."""
    connection.peer.closing.wait(0.02)  # earlier would be right too
    signal.pthread_kill(MAIN.ident or 0, signal.SIGALRM)


def struck(limit: type[BaseException], call: Callable[[], object]) -> None:
    """A call raises what the handler does, as it is, and shows no token."""
    with handler_raising(limit), pytest.raises(limit) as caught:
        call()
    assert type(caught.value) is limit
    assert caught.value.args == ("the limit of the caller",)
    assert caught.value.__cause__ is None
    assert TOKEN not in everything_shown(caught.value)


@each_limit
@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
@pytest.mark.parametrize(
    "before",
    [b"", b"HTTP/1.1 200 OK\r\nContent-", http()[:-3]],
    ids=["waiting", "head", "body"],
)
def test_row_44_a_handler_raises_while_the_response_is_awaited(
    limit: type[BaseException], secure: bool, before: bytes, tls: Tls
) -> None:
    """It passes at once, without a retry, and the next call gets its own response."""

    def script(connection: Connection) -> None:
        connection.send(before)
        strike(connection)
        connection.hang()

    with Peer(answering(script, http()), tls.server() if secure else None) as peer:
        api = make_api(peer.host, ssl_ca_cert=tls.ca_file)
        struck(limit, lambda: api.delete_job(UID))
        assert len(peer.requests) == 1
        assert api.api_client.rest_client.idle_connections == 0
        assert api.delete_job(UID).message == "Done."
    assert (len(peer.requests), peer.connections) == (2, 2)


@each_limit
def test_row_44_a_handler_raises_while_a_request_is_sent(limit: type[BaseException]) -> None:
    """Nothing is read after it, and nothing is sent again."""

    def script(connection: Connection) -> None:
        if connection.peer.connections == 1:
            connection.sock.recv(1 << 10)  # and no more, so that the client is still sending
            strike(connection)
            connection.peer.closing.wait()
        else:
            answering(http())(connection)

    with Peer(script) as peer:
        client = make_api(peer.host).api_client
        body = "x" * (16 << 20)
        with handler_raising(limit), pytest.raises(limit, match="the limit of the caller"):
            client.call_api("/rest/X", "PUT", body=body)
        assert client.call_api("/rest/X", "GET", response_type=object).data == {"message": "Done."}
        assert (len(peer.requests), peer.connections) == (1, 2)


@each_limit
def test_row_44_a_handler_raises_while_connecting(limit: type[BaseException]) -> None:
    """No connection is left behind."""
    with (
        Peer(answering(http())) as peer,
        socket.create_server(("127.0.0.1", 0), backlog=0) as listener,
        socket.socket() as first,
        socket.socket() as second,
    ):
        for filler in (first, second):  # the queue is full, so that the system drops what comes
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        api = make_api(f"http://127.0.0.1:{listener.getsockname()[1]}")

        def call() -> None:
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            api.delete_job(UID)

        struck(limit, call)
        api.api_client.configuration.host = peer.host
        assert api.delete_job(UID).message == "Done."


@each_limit
def test_row_44_a_handler_raises_while_a_name_is_looked_up(
    limit: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look-up goes on in its own thread, and serves the next call."""
    asked = threading.Event()

    def slow(*args: Any) -> Any:
        signal.pthread_kill(MAIN.ident or 0, signal.SIGALRM)
        asked.wait(30)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", peer.port))]

    with Peer(answering(http())) as peer:
        monkeypatch.setattr(socket, "getaddrinfo", slow)
        api = make_api(f"http://localhost:{peer.port}")
        struck(limit, lambda: api.delete_job(UID))
        asked.set()
        monkeypatch.undo()
        assert api.delete_job(UID).message == "Done."
    assert len(peer.requests) == 1


@each_limit
@leaves_a_socket
def test_row_44_a_handler_raises_in_a_handshake(limit: type[BaseException], tls: Tls) -> None:
    """TLS has not failed."""

    def script(connection: Connection) -> None:
        connection.sock.recv(1 << 14)
        if connection.peer.connections == 1:
            strike(connection)
        connection.hang()

    with Peer(script) as peer, Peer(answering(http()), tls.server()) as good:
        api = make_api(peer.host.replace("http:", "https:"), ssl_ca_cert=tls.ca_file)
        struck(limit, lambda: api.delete_job(UID))
        gc.collect()
        api.api_client.configuration.host = good.host
        assert api.delete_job(UID).message == "Done."
    assert peer.connections == 1


@each_limit
def test_row_44_a_handler_raises_while_a_proxy_opens_a_tunnel(
    limit: type[BaseException], tls: Tls
) -> None:
    """The proxy has not failed."""

    def script(connection: Connection) -> None:
        connection.request()
        strike(connection)
        connection.hang()

    with Peer(script) as peer, Peer(answering(http()), tls.server()) as good:
        api = make_api(good.host, ssl_ca_cert=tls.ca_file, proxy=peer.host)
        struck(limit, lambda: api.delete_job(UID))
        api.api_client.configuration.proxy = ""
        assert api.delete_job(UID).message == "Done."
    assert (len(peer.requests), len(good.requests)) == (1, 1)


@each_limit
@pytest.mark.parametrize("status", [503, 429])
def test_row_44_a_handler_raises_in_a_retry_delay(limit: type[BaseException], status: int) -> None:
    """The delay ends at once; the attempt after it is not made."""

    def script(connection: Connection) -> None:
        connection.send(http(status, headers={"Retry-After": "20"}))
        strike(connection)

    with Peer(answering(script, http(), keep=True)) as peer:
        api = make_api(peer.host, deadline=60)
        struck(limit, lambda: api.delete_job(UID))
        assert len(peer.requests) == 1
        api.api_client.configuration.deadline = 5  # less than the server asked to wait
        assert api.delete_job(UID).message == "Done."


@each_limit
def test_row_44_a_handler_raises_while_a_handle_is_read(limit: type[BaseException]) -> None:
    """The call goes on: its result can be read later."""
    go = threading.Event()

    def script(connection: Connection) -> None:
        strike(connection)
        go.wait(30)
        connection.send(http())

    with Peer(answering(script, keep=True)) as peer:
        api = make_api(peer.host)
        handle = []

        def call() -> None:
            handle.append(api.delete_job(UID, async_req=True))
            handle[0].get()

        struck(limit, call)
        go.set()
        assert handle[0].get(10).message == "Done."
    assert len(peer.requests) == 1


@each_limit
@pytest.mark.parametrize("background", [False, True])
def test_row_44_a_hook_raises(limit: type[BaseException], background: bool) -> None:
    """It reaches the caller's own line, also with `async_req`, and nothing is sent."""

    def hook(configuration: tator.Configuration) -> None:
        raise limit("the limit of the caller")

    with Peer(answering(http())) as peer:
        api = make_api(peer.host, refresh_api_key_hook=hook)
        struck(limit, lambda: api.delete_job(UID, async_req=background))
        assert peer.requests == []
        api.api_client.configuration.refresh_api_key_hook = None
        assert api.delete_job(UID).message == "Done."


@each_limit
@pytest.mark.parametrize(
    "method", ["update_params_for_auth", "sanitize_for_serialization", "request", "deserialize"]
)
def test_row_44_an_override_raises(limit: type[BaseException], method: str) -> None:
    """What a subclass raises is not translated."""

    def override(self: tator.ApiClient, *args: Any, **options: Any) -> None:
        raise limit("the limit of the caller")

    client_class = type("Strange", (tator.ApiClient,), {method: override})
    with Peer(answering(http())) as peer:
        client = client_class(make_api(peer.host).api_client.configuration)
        struck(
            limit,
            lambda: client.call_api("/rest/X", "PUT", body={}, response_type=dict),
        )
        assert len(peer.requests) == (method == "deserialize")


def test_row_53_a_call_uses_what_the_hook_left() -> None:
    """Host, token, prefix, timeouts, retries and TLS settings, all of them."""
    with (
        Peer(answering(http(), keep=True)) as old,
        Peer(answering(http(502), keep=True)) as new,
    ):

        def hook(configuration: tator.Configuration) -> None:
            calls.append(configuration)
            configuration.host = f"{new.host}/prefix"
            configuration.api_key["Authorization"] = "new-0123456789"
            configuration.api_key_prefix["Authorization"] = "Bearer"
            configuration.retries = 0

        calls: list[tator.Configuration] = []
        api = make_api(old.host, refresh_api_key_hook=hook)
        with pytest.raises(tator.ServiceException) as caught:
            api.delete_job(UID)
        assert caught.value.attempts == 1
        with pytest.raises(tator.ServiceException):
            api.delete_job(UID, async_req=True).get(10)
        assert calls == [api.api_client.configuration] * 2
    assert old.requests == []
    for request in new.requests:
        assert request.startswith(f"DELETE /prefix/rest/Job/{UID} ".encode())
        assert b"\r\nAuthorization: Bearer new-0123456789\r\n" in request + b"\r\n"


def test_row_53_a_hook_may_assign_another_configuration() -> None:
    """The call uses the new one alone."""
    with Peer(answering(http(), keep=True)) as old, Peer(answering(http(), keep=True)) as new:

        def hook(configuration: tator.Configuration) -> None:
            api.api_client.configuration = other

        other = tator.Configuration(new.host, {"Authorization": "new-0123456789"})
        api = make_api(old.host, refresh_api_key_hook=hook)
        assert api.delete_job(UID).message == "Done."
    assert old.requests == []
    assert b"\r\nAuthorization: new-0123456789\r\n" in new.requests[0] + b"\r\n"


@contextmanager
def changing(change: Callable[[int], object]) -> Iterator[None]:
    """Another thread changes settings again and again meanwhile."""
    done = threading.Event()

    def work() -> None:
        number = 0
        while not done.is_set():
            change(number)
            number += 1

    thread = threading.Thread(target=work)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        sys.setswitchinterval(interval)


def test_row_52_each_token_goes_to_its_own_server() -> None:
    """Configurations that are assigned by another thread are never mixed."""
    with (
        Peer(answering(http(), keep=True)) as one,
        Peer(answering(http(), keep=True)) as other,
    ):
        configurations = [
            make_api(
                peer.host, api_key={"Authorization": f"key-of-{peer.port}"}
            ).api_client.configuration
            for peer in (one, other)
        ]
        client = tator.ApiClient(configurations[0])
        api = tator.JobApi(client)

        def assign(number: int) -> None:
            client.configuration = configurations[number % 2]

        with changing(assign):
            for _ in range(100):
                api.delete_job(UID)
                api.delete_job(UID, async_req=True).get(10)
        client.close()
        for peer in (one, other):
            assert peer.requests
            assert all(f"key-of-{peer.port}".encode() in request for request in peer.requests)


class Assigning(tator.ApiClient):
    """Another thread assigns a configuration at the worst moment, once."""

    other: tator.Configuration | None = None

    def assign(self) -> None:
        other, self.other = self.other, None
        if other is not None:
            thread = threading.Thread(target=setattr, args=(self, "configuration", other))
            thread.start()
            thread.join()


class AssigningAfterTheToken(Assigning):
    """When the token has been read."""

    def update_params_for_auth(self, *args: Any, **options: Any) -> None:
        super().update_params_for_auth(*args, **options)
        self.assign()


class AlwaysAssigning(Assigning):
    """Another thread assigns a configuration in each reading, without end."""

    def update_params_for_auth(self, *args: Any, **options: Any) -> None:
        super().update_params_for_auth(*args, **options)
        self.other = self.configuration
        self.assign()


class AssigningBeforeTheRequest(Assigning):
    """When the request is made up."""

    def request(self, *args: Any, **options: Any) -> Any:
        self.assign()
        return super().request(*args, **options)


def test_row_52_host_and_token_are_of_one_configuration() -> None:
    """What was read before another configuration was assigned is read again."""
    with Peer(answering(http())) as old, Peer(answering(http())) as new:
        client = AssigningAfterTheToken(make_api(old.host).api_client.configuration)
        client.other = tator.Configuration(new.host, {"Authorization": "new-0123456789"})
        assert tator.JobApi(client).delete_job(UID).message == "Done."
    assert old.requests == []
    assert b"\r\nAuthorization: new-0123456789\r\n" in new.requests[0] + b"\r\n"


def test_row_52_a_token_is_not_sent_if_its_configuration_never_rests() -> None:
    """The call ends, and no token goes to a server that may not be its own."""
    with Peer(answering(http())) as peer:
        client = AlwaysAssigning(make_api(peer.host).api_client.configuration)
        with pytest.raises(tator.ApiValueError, match="configuration is assigned too often"):
            tator.JobApi(client).delete_job(UID)
    assert peer.requests == []


def test_row_52_a_request_is_sent_by_the_settings_that_it_was_made_from(tls: Tls) -> None:
    """A token for a verified server never goes to an unverified one."""
    with Peer(answering(http()), tls.self_signed()) as peer:
        client = AssigningBeforeTheRequest(make_api(peer.host, retries=0).api_client.configuration)
        client.other = tator.Configuration(peer.host, verify_ssl=False)
        with pytest.raises(ApiTlsError), pytest.warns(Warning, match="verify_ssl is off"):
            tator.JobApi(client).delete_job(UID)
        assert not client.configuration.verify_ssl
    assert peer.requests == []


def test_row_52_an_override_may_assign_a_configuration_for_each_call() -> None:
    """Then all is read once more, and every call ends."""

    class Renewing(tator.ApiClient):
        """Assigns a configuration each time that it is asked for a token."""

        def update_params_for_auth(self, headers: Any, *args: Any, **options: Any) -> None:
            self.configuration = self.configuration.get_default_copy()
            super().update_params_for_auth(headers, *args, **options)

    with Peer(answering(http())) as peer:
        tator.Configuration.set_default(make_api(peer.host).api_client.configuration)
        assert tator.JobApi(Renewing()).delete_job(UID).message == "Done."
    assert TOKEN.encode() in peer.requests[0]


@pytest.mark.filterwarnings("ignore:verify_ssl is off")
def test_row_52_no_unverified_route_is_kept_for_verified_calls(tls: Tls) -> None:
    """`verify_ssl`, toggled while first calls make their routes, is never lost on the way."""

    def toggle(number: int) -> None:
        configuration.verify_ssl = bool(number % 2)
        configuration.assert_hostname = (None, False)[number % 2]
        configuration.proxy = ("", None)[number % 2]

    with Peer(answering(http(), keep=True), tls.self_signed()) as peer:
        for _ in range(10):
            api = make_api(peer.host, retries=0)
            configuration = api.api_client.configuration
            with changing(toggle):
                for _ in range(5):
                    with suppress(ApiTlsError):
                        api.delete_job(UID)
            configuration.verify_ssl = True
            peer.requests.clear()
            with pytest.raises(ApiTlsError):
                api.delete_job(UID)
            assert peer.requests == []
            api.api_client.close()
