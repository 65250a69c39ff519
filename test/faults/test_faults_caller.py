"""Rows 44, 45, 52, 53 and 63 to 67 of the fault matrix: what the caller does, and gets to know."""

from __future__ import annotations

import functools
import gc
import re
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
    all_at_once,
    answering,
    everything_shown,
    failure,
    http,
    join_resolvers,
    make_api,
    rejected,
    within,
)

import tator
from tator import (
    ApiConnectionError,
    ApiException,
    ApiTimeoutError,
    ApiTlsError,
    ApiTypeError,
    ApiValueError,
    Configuration,
    ForbiddenException,
    NotFoundException,
    ServiceException,
    TooManyRequestsException,
    UnauthorizedException,
)
from tator.testing import LocalTator

GENERATIONS = ("2020-05", "2020-08", "2025-06")
DEAD = "http://127.0.0.1:9"
MAIN = threading.main_thread()


@pytest.fixture(autouse=True)
def _no_resolver_left() -> Iterator[None]:
    """A look-up leaves no thread behind."""
    yield
    join_resolvers()


# Signal handlers


def soft_limit(base: type[BaseException]) -> type[BaseException]:
    """An exception class of the caller, such as Celery's SoftTimeLimitExceeded."""
    return type("SoftLimit", (base,), {"__module__": __name__})


BASES = (
    *(Exception, ValueError, ssl.SSLError),
    # After the second one, urllib3 reads the response.
    *(ConnectionError, BrokenPipeError, TimeoutError),
)
# Those of Python itself are raised in the caller's own frame.
KINDS = [
    *map(soft_limit, BASES),
    *(ConnectionError, TimeoutError, ValueError, KeyboardInterrupt),
]
KIND_IDS = [
    *(f"subclass of {base.__name__}" for base in BASES),
    *(kind.__name__ for kind in KINDS[len(BASES) :]),
]
each_kind = pytest.mark.parametrize("kind", KINDS, ids=KIND_IDS)
pytestmark = pytest.mark.usefixtures("no_garbage_collection")
# CPython leaves a socket that is interrupted in its handshake to the garbage collector.
leaves_a_socket = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def _harmless_signal() -> Iterator[None]:
    """A signal that arrives after the call of a failed test ends nothing."""
    previous = signal.signal(signal.SIGALRM, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGALRM, previous)


@contextmanager
def handler(handle: Callable[..., object]) -> Iterator[None]:
    """SIGALRM calls this, as every recipe for time limits has it."""
    previous = signal.signal(signal.SIGALRM, handle)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def interrupt() -> None:
    """Send the main thread the signal."""
    signal.pthread_kill(MAIN.ident or 0, signal.SIGALRM)


def strike(connection: Connection) -> None:
    """Interrupt the main thread, which waits for this peer, once it surely does."""
    connection.peer.closing.wait(0.02)  # earlier would be right too
    interrupt()


def raises_at_once(error: BaseException, call: Callable[[], object]) -> None:
    """A call raises this very object at once, as it is, and shows no token."""
    args = error.args
    with within(0.2), pytest.raises(type(error)) as caught:
        call()
    assert caught.value is error
    assert error.args == args
    assert error.__cause__ is None
    assert TOKEN not in everything_shown(error)


@contextmanager
def handler_raising(error: BaseException) -> Iterator[None]:
    """SIGALRM raises this very object."""

    def handle(*args: object) -> None:
        raise error

    with handler(handle):
        yield


def struck(kind: type[BaseException], call: Callable[[], object]) -> None:
    """A call raises what the handler does."""
    error = kind("of the caller")
    with handler_raising(error):
        raises_at_once(error, call)


@each_kind
@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
@pytest.mark.parametrize(
    "before",
    [b"", b"HTTP/1.1 200 OK\r\nContent-", http()[:-3]],
    ids=["waiting", "head", "body"],
)
def test_row_44_a_handler_raises_while_the_response_is_awaited(
    kind: type[BaseException], secure: bool, before: bytes, tls: Tls
) -> None:
    """It passes at once, without a retry, and the next call gets its own response."""

    def script(connection: Connection) -> None:
        connection.send(before)
        strike(connection)
        connection.hang()

    with Peer(answering(script, http()), tls.server() if secure else None) as peer:
        api = make_api(peer.host, ssl_ca_cert=tls.ca_file)
        struck(kind, lambda: api.delete_job(UID))
        assert len(peer.requests) == 1
        assert api.api_client.rest_client.idle_connections == 0
        assert api.delete_job(UID).message == "Done."
    assert (len(peer.requests), peer.connections) == (2, 2)


@each_kind
def test_row_44_a_handler_raises_while_a_request_is_sent(kind: type[BaseException]) -> None:
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
        error, body = kind("of the caller"), "x" * (16 << 20)
        with handler_raising(error), within(0.2), pytest.raises(kind) as caught:
            client.call_api("/rest/X", "PUT", body=body)
        assert caught.value is error  # not all that it shows: it would be the body, many times
        assert client.call_api("/rest/X", "GET", response_type=object).data == {"message": "Done."}
        assert (len(peer.requests), peer.connections) == (1, 2)


@each_kind
def test_row_44_a_handler_raises_while_connecting(kind: type[BaseException]) -> None:
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
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            api.delete_job(UID)

        struck(kind, call)
        api.api_client.configuration.host = peer.host
        assert api.delete_job(UID).message == "Done."


@each_kind
def test_row_44_a_handler_raises_while_a_name_is_looked_up(
    kind: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look-up goes on in its own thread, and serves the next call."""
    asked = threading.Event()

    def slow(*args: Any) -> Any:
        interrupt()
        asked.wait(30)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", peer.port))]

    with Peer(answering(http())) as peer:
        monkeypatch.setattr(socket, "getaddrinfo", slow)
        api = make_api(f"http://localhost:{peer.port}")
        struck(kind, lambda: api.delete_job(UID))
        asked.set()
        monkeypatch.undo()
        assert api.delete_job(UID).message == "Done."
    assert len(peer.requests) == 1


@each_kind
@leaves_a_socket
def test_row_44_a_handler_raises_in_a_handshake(kind: type[BaseException], tls: Tls) -> None:
    """TLS has not failed."""

    def script(connection: Connection) -> None:
        connection.sock.recv(1 << 14)
        if connection.peer.connections == 1:
            strike(connection)
        connection.hang()

    with Peer(script) as peer, Peer(answering(http()), tls.server()) as good:
        api = make_api(peer.host.replace("http:", "https:"), ssl_ca_cert=tls.ca_file)
        struck(kind, lambda: api.delete_job(UID))
        gc.collect()
        api.api_client.configuration.host = good.host
        assert api.delete_job(UID).message == "Done."
    assert peer.connections == 1


@each_kind
def test_row_44_a_handler_raises_while_a_proxy_opens_a_tunnel(
    kind: type[BaseException], tls: Tls
) -> None:
    """The proxy has not failed."""

    def script(connection: Connection) -> None:
        connection.request()
        strike(connection)
        connection.hang()

    with Peer(script) as peer, Peer(answering(http()), tls.server()) as good:
        api = make_api(good.host, ssl_ca_cert=tls.ca_file, proxy=peer.host)
        struck(kind, lambda: api.delete_job(UID))
        api.api_client.configuration.proxy = ""
        assert api.delete_job(UID).message == "Done."
    assert (len(peer.requests), len(good.requests)) == (1, 1)


@each_kind
@pytest.mark.parametrize("status", [503, 429])
def test_row_44_a_handler_raises_in_a_retry_delay(kind: type[BaseException], status: int) -> None:
    """The delay ends at once; the attempt after it is not made."""

    def script(connection: Connection) -> None:
        connection.send(http(status, headers={"Retry-After": "20"}))
        strike(connection)

    with Peer(answering(script, http(), keep=True)) as peer:
        api = make_api(peer.host, deadline=60)
        struck(kind, lambda: api.delete_job(UID))
        assert len(peer.requests) == 1
        api.api_client.configuration.deadline = 5  # less than the server asked to wait
        assert api.delete_job(UID).message == "Done."


@each_kind
def test_row_44_a_handler_raises_while_a_handle_is_read(kind: type[BaseException]) -> None:
    """The call goes on: its result can be read later."""
    go = threading.Event()

    def script(connection: Connection) -> None:
        strike(connection)
        go.wait(30)
        connection.send(http())

    with Peer(answering(script, http(), keep=True)) as peer:
        api = make_api(peer.host)
        handle = []

        def call() -> None:
            handle.append(api.delete_job(UID, async_req=True))
            handle[0].get(10)

        struck(kind, call)
        assert len(peer.requests) == 1
        go.set()
        assert handle[0].get(10).message == "Done."
        assert api.delete_job(UID).message == "Done."
    assert len(peer.requests) == 2


def test_row_44_a_signal_handler_may_make_a_call() -> None:
    """It gets its response, and so does the call that it interrupted."""
    messages: list[str | None] = []

    def script(connection: Connection) -> None:
        while True:
            if b"/inner " in connection.request():
                connection.send(http(200, b'{"message": "Inner."}'))
                inner.set()
            else:
                interrupt()
                inner.wait(30)
                connection.send(http(200, b'{"message": "Outer."}'))

    inner = threading.Event()
    with Peer(script) as peer:
        api = make_api(peer.host)
        with handler(lambda *args: messages.append(api.delete_job("inner").message)):
            assert api.delete_job("outer").message == "Outer."
        assert messages == ["Inner."]


# Hooks, overrides and resolvers


@pytest.mark.parametrize("asynchronous", [False, True], ids=["waiting", "async_req"])
@pytest.mark.parametrize(
    "error",
    [*(kind("no token") for kind in KINDS), RuntimeError("no vault"), KeyError()],
    ids=[*KIND_IDS, "RuntimeError", "KeyError"],
)
def test_row_44_what_a_hook_raises_comes_through(error: BaseException, asynchronous: bool) -> None:
    """At once, on the caller's thread, also with `async_req`; nothing was sent."""

    def hook(configuration: Configuration) -> None:
        raise error

    with Peer(answering(http())) as peer:
        api = make_api(peer.host, refresh_api_key_hook=hook)
        raises_at_once(error, lambda: api.delete_job(UID, async_req=asynchronous))
        assert peer.connections == 0
        api.api_client.configuration.refresh_api_key_hook = None
        assert api.delete_job(UID).message == "Done."


def test_row_44_a_value_that_a_hook_sets_is_checked() -> None:
    """The error is that of the setting; it does not show the token."""

    def hook(configuration: Configuration) -> None:
        configuration.api_key = TOKEN  # type: ignore[assignment]  # the fault

    with Peer(answering(http())) as peer:
        api = make_api(peer.host, refresh_api_key_hook=hook)
        error = rejected(ApiTypeError, api.delete_job, UID)
        assert "api_key" in str(error)
        assert peer.connections == 0


@each_kind
@pytest.mark.parametrize(
    "method", ["update_params_for_auth", "sanitize_for_serialization", "request", "deserialize"]
)
def test_row_44_an_override_raises(kind: type[BaseException], method: str) -> None:
    """What a subclass raises is not translated."""
    error = kind("of the caller")

    def override(self: tator.ApiClient, *args: Any, **options: Any) -> None:
        raise error

    client_class = type("Strange", (tator.ApiClient,), {method: override})
    with Peer(answering(http())) as peer:
        client = client_class(make_api(peer.host).api_client.configuration)
        raises_at_once(
            error, lambda: client.call_api("/rest/X", "PUT", body={}, response_type=dict)
        )
        assert len(peer.requests) == (method == "deserialize")


@pytest.mark.parametrize(
    "error",
    [OSError("odd"), UnicodeError("odd"), MemoryError("odd"), soft_limit(OSError)(5, "odd")],
    ids=["OSError without errno", "UnicodeError", "MemoryError", "subclass of OSError"],
)
def test_row_44_what_a_replaced_resolver_raises_comes_through(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only an OSError of the standard library with an errno is a connection error (row 61)."""
    asked = []

    def getaddrinfo(host: str, *args: Any) -> Any:
        asked.append(host)
        raise error

    api = make_api("https://tator.test")
    with monkeypatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", getaddrinfo)
        with pytest.raises(type(error), match="odd") as caught:
            api.delete_job(UID)
    assert caught.value is error
    assert asked == ["tator.test"]


# Settings that a hook changes


def test_row_53_a_call_uses_what_the_hook_left(tls: Tls) -> None:
    """Host, token, prefix and TLS settings included; the next call uses the next change."""

    def hook(configuration: Configuration) -> None:
        server = servers.pop(0)
        configuration.host = server.host
        configuration.api_key["Authorization"] = server.token
        configuration.api_key_prefix["Authorization"] = "Token"
        configuration.ssl_ca_cert = tls.ca_file

    with LocalTator("token-one") as one, LocalTator("token-two", tls.server()) as two:
        servers = [one, two, one]
        configuration = Configuration(DEAD, refresh_api_key_hook=hook)
        api = tator.JobApi(tator.ApiClient(configuration))
        for server in (one, two, one):
            uid = server.launch().run_uids[0]
            assert api.delete_job(uid).message
            assert server.jobs[uid] == "cancelled"
        assert (len(one.requests), len(two.requests)) == (2, 1)


@pytest.mark.parametrize("asynchronous", [False, True], ids=["waiting", "async_req"])
def test_row_53_a_hook_is_called_once_for_each_call(asynchronous: bool) -> None:
    """With the configuration; a path, a prefix and retries that it sets count as all else."""
    calls = []
    with Peer(answering(http())) as old, Peer(answering(http(502))) as new:

        def hook(configuration: Configuration) -> None:
            calls.append(configuration)
            configuration.host = f"{new.host}/prefix"
            configuration.api_key["Authorization"] = "new-0123456789"
            configuration.api_key_prefix["Authorization"] = "Bearer"
            configuration.retries = 0

        api = make_api(old.host, refresh_api_key_hook=hook)
        if asynchronous:
            call = api.delete_job(UID, async_req=True).get
        else:
            call = functools.partial(api.delete_job, UID)
        error = failure(ServiceException, call, maybe_applied=True)
        assert error.attempts == 1
        assert calls == [api.api_client.configuration]
        assert (old.connections, len(new.requests)) == (0, 1)
    assert new.requests[0].startswith(f"DELETE /prefix/rest/Job/{UID} ".encode())
    assert b"\r\nAuthorization: Bearer new-0123456789\r\n" in new.requests[0] + b"\r\n"


def test_row_53_limits_that_a_hook_sets_count_for_its_call() -> None:
    """Deadline and retries are read after it."""

    def hook(configuration: Configuration) -> None:
        configuration.deadline = 0.2
        configuration.retries = 0

    with Peer(answering(Connection.hang)) as peer:
        api = make_api(peer.host, refresh_api_key_hook=hook, deadline=60)
        failure(ApiTimeoutError, api.delete_job, UID, maybe_applied=True, ends_by=0.2)
    with Peer(answering(Connection.reset)) as peer:
        api = make_api(peer.host, refresh_api_key_hook=hook)
        failure(ApiConnectionError, api.delete_job, UID, maybe_applied=True)
    assert len(peer.requests) == 1


def test_row_53_a_configuration_that_a_hook_assigns_is_used() -> None:
    """The call is made with the new one alone, and its hook is not called for this call."""
    called: list[Configuration] = []

    def hook(configuration: Configuration) -> None:
        api.api_client.configuration = other

    with Peer(answering(http())) as old, Peer(answering(http())) as new:
        other = Configuration(
            new.host, {"Authorization": "new-0123456789"}, refresh_api_key_hook=called.append
        )
        api = make_api(old.host, refresh_api_key_hook=hook)
        assert api.delete_job(UID).message == "Done."
        assert called == []
        assert (old.connections, len(new.requests)) == (0, 1)
    assert b"\r\nAuthorization: new-0123456789\r\n" in new.requests[0] + b"\r\n"


# Settings that another thread changes


@contextmanager
def changing(change: Callable[[int], object]) -> Iterator[None]:
    """Another thread changes settings again and again meanwhile."""
    begun, done = threading.Event(), threading.Event()

    def work() -> None:
        number = 0
        while not done.is_set():
            change(number)
            number += 1
            begun.set()

    thread = threading.Thread(target=work)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    thread.start()
    try:
        assert begun.wait(10)
        yield
    finally:
        done.set()
        thread.join()
        sys.setswitchinterval(interval)


def test_row_52_each_server_sees_only_its_own_token() -> None:
    """URL and token come from one configuration, whatever another thread assigns meanwhile."""
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

        # Fewer than a call bears: traced, each of its readings is slower than one of these.
        left = 0

        def assign(number: int) -> None:
            nonlocal left
            if left > 0:
                left -= 1
                client.configuration = configurations[number % 2]

        with changing(assign):
            for _ in range(100):
                left = 200
                api.delete_job(UID)
                left = 200
                api.delete_job(UID, async_req=True).get(10)
        client.close()
        assert len(one.requests) + len(other.requests) == 200
        for peer in (one, other):
            assert peer.requests
            assert all(f"key-of-{peer.port}".encode() in request for request in peer.requests)


class Assigning(tator.ApiClient):
    """Another thread assigns a configuration at the worst moment, once."""

    other: Configuration | None = None

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
        client.other = Configuration(new.host, {"Authorization": "new-0123456789"})
        assert tator.JobApi(client).delete_job(UID).message == "Done."
    assert old.requests == []
    assert b"\r\nAuthorization: new-0123456789\r\n" in new.requests[0] + b"\r\n"


def test_row_52_a_token_is_not_sent_if_its_configuration_never_rests() -> None:
    """The call ends, and no token goes to a server that may not be its own."""
    with Peer(answering(http())) as peer:
        client = AlwaysAssigning(make_api(peer.host).api_client.configuration)
        with pytest.raises(ApiValueError, match="configuration is assigned too often"):
            tator.JobApi(client).delete_job(UID)
    assert peer.requests == []


def test_row_52_a_request_is_sent_by_the_settings_that_it_was_made_from(tls: Tls) -> None:
    """A token for a verified server never goes to an unverified one."""
    with Peer(answering(http()), tls.self_signed()) as peer:
        client = AssigningBeforeTheRequest(make_api(peer.host, retries=0).api_client.configuration)
        client.other = Configuration(peer.host, verify_ssl=False)
        with pytest.raises(ApiTlsError):  # and no warning that verify_ssl is off
            tator.JobApi(client).delete_job(UID)
        assert not client.configuration.verify_ssl
    assert peer.requests == []


def test_row_52_a_hint_is_about_the_settings_that_a_call_was_made_from() -> None:
    """Its host was Configuration.host then, and it had no token."""
    for status, hint in ((404, "check Configuration.host"), (401, "pass it to tator.get_api")):
        with Peer(answering(http(status, b"text"))) as peer:
            client = AssigningBeforeTheRequest(Configuration(peer.host, retries=0))
            client.other = Configuration("https://other.invalid", {"Authorization": TOKEN})
            with pytest.raises(ApiException, match=re.escape(hint)):
                client.call_api("/rest/X", "GET")


def test_row_52_a_hook_gets_the_configuration_that_it_belongs_to() -> None:
    """Even if another one is assigned just before it is called."""
    calls: list[tuple[str, Configuration]] = []

    class Swapping(tator.ApiClient):
        """Another configuration is assigned after each reading."""

        @property
        def configuration(self) -> Configuration:
            read = super().configuration
            other = second if read is first else first
            tator.ApiClient.configuration.fset(self, other)  # type: ignore[attr-defined]
            return read

    with Peer(answering(http())) as peer:
        first, second = Configuration(peer.host), Configuration(peer.host)
        first.refresh_api_key_hook = lambda given: calls.append(("first", given))
        second.refresh_api_key_hook = lambda given: calls.append(("second", given))
        Swapping(first).call_api("/rest/X", "GET")
    assert calls == [("first", first)]


def test_row_52_an_override_may_assign_a_configuration_for_each_call() -> None:
    """Then all is read once more, and every call ends."""

    class Renewing(tator.ApiClient):
        """Assigns a configuration each time that it is asked for a token."""

        def update_params_for_auth(self, headers: Any, *args: Any, **options: Any) -> None:
            self.configuration = self.configuration.get_default_copy()
            super().update_params_for_auth(headers, *args, **options)

    with Peer(answering(http())) as peer:
        Configuration.set_default(make_api(peer.host).api_client.configuration)
        assert tator.JobApi(Renewing()).delete_job(UID).message == "Done."
    assert TOKEN.encode() in peer.requests[0]


@pytest.mark.filterwarnings("ignore:verify_ssl is off")
def test_row_52_a_toggled_verify_ssl_leaves_no_unverified_route(tls: Tls) -> None:
    """A first call may go unverified only while the setting is off; the next one is verified."""

    def toggle(number: int) -> None:
        configuration.verify_ssl = bool(number % 2)
        configuration.assert_hostname = (None, False)[number % 2]
        configuration.proxy = ("", None)[number % 2]

    with Peer(answering(http(), keep=True), tls.self_signed()) as peer:
        for _ in range(30):
            api = make_api(peer.host, retries=0, ssl_ca_cert=tls.ca_file)
            configuration = api.api_client.configuration
            with changing(toggle):
                for _ in range(2):  # the first one makes a route, the next one may replace it
                    with suppress(ApiTlsError):
                        assert api.delete_job(UID).message == "Done."
            configuration.verify_ssl = True
            peer.requests.clear()
            for _ in range(2):
                failure(ApiTlsError, api.delete_job, UID, maybe_applied=False)
            assert peer.requests == []
            api.api_client.close()


# Retries


@pytest.mark.usefixtures("no_backoff")
@pytest.mark.parametrize(
    ("method", "attempts"), [("POST", 1), ("PATCH", 1), ("PUT", 3), ("GET", 3)]
)
def test_a_request_that_may_have_arrived_is_retried_if_that_is_harmless(
    method: str, attempts: int
) -> None:
    """A POST whose response is lost, or is a 503, might be applied twice."""
    busy = http(503, headers={"Connection": "close"})
    for response, kind in ((Connection.reset, ApiConnectionError), (busy, ServiceException)):
        with Peer(answering(response)) as peer:
            client = make_api(peer.host).api_client
            changes = method != "GET"
            error = failure(kind, client.call_api, "/x", method, body={}, maybe_applied=changes)
        assert (error.attempts, len(peer.requests)) == (attempts, attempts)


@pytest.mark.usefixtures("no_backoff")
def test_a_request_that_was_not_sent_is_always_retried() -> None:
    """A POST that reached nobody can be applied once at most."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        client = make_api(f"http://127.0.0.1:{bound.getsockname()[1]}").api_client
        error = failure(ApiConnectionError, client.call_api, "/x", "POST", maybe_applied=False)
    assert error.attempts == 3


@pytest.mark.parametrize("retries", [0, False])
def test_without_retries_one_request_is_sent(retries: int) -> None:
    """`False` is 0."""
    with LocalTator(TOKEN) as server:
        server.fail(503)
        api = make_api(server.host, retries=retries)
        failure(ServiceException, api.delete_job, UID, maybe_applied=True)
        assert len(server.requests) == 1


# Arguments


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
def test_an_argument_that_cannot_be_sent_is_rejected(options: dict[str, Any]) -> None:
    """The error is an `ApiException`, and nothing was sent."""
    with Peer(answering(http())) as peer:
        client = make_api(peer.host).api_client
        with pytest.raises((ApiTypeError, ApiValueError)) as caught:
            client.call_api("/x", "POST", **options)
        assert not caught.value.maybe_applied
        assert peer.connections == 0


@pytest.mark.parametrize("path", ["x", "", "//x\r\n", "/x y", "/x?a=1", "/x#a", "/{id}", "/\\x"])
def test_an_invalid_path_is_rejected(path: str) -> None:
    """A query has a separate argument, and a name in braces needs its value."""
    client = make_api(DEAD).api_client
    failure(ApiValueError, client.call_api, path, "GET", maybe_applied=False)


@pytest.mark.parametrize("method", ["", "GET /x", "G\r\nET", "gét", "G-T"])
def test_an_invalid_method_is_rejected(method: str) -> None:
    """Nothing can be smuggled in before the path."""
    client = make_api(DEAD).api_client
    failure(ApiValueError, client.call_api, "/x", method, maybe_applied=False)


def test_a_default_header_cannot_inject_another() -> None:
    """Names and values are checked when they are set."""
    client = make_api(DEAD).api_client
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


def test_a_query_cannot_inject_another() -> None:
    """Names and values arrive as they were given, and a list separated by commas."""
    with Peer(answering(http(), keep=True)) as peer:
        client = make_api(peer.host).api_client
        query = {"a": "b&c=d#e /?\r\n", "f&g": ["1", "é"], "none": None, "yes": True}
        client.call_api("/x", "GET", query_params=query, response_type=object)
    line = peer.requests[0].split(b"\r\n")[0]
    wanted = b"a=b%26c%3Dd%23e%20%2F%3F%0D%0A&f%26g=1,%C3%A9&yes=true"
    assert line.replace(b"%2C", b",") == b"GET /x?" + wanted + b" HTTP/1.1"


@pytest.mark.parametrize("value", [None, "", [], [""], [None], ["a", ""]], ids=repr)
def test_row_67_an_empty_value_in_the_query_of_a_delete_is_rejected(value: object) -> None:
    """What is left out there widens what is cancelled, by whichever way it is sent."""
    with LocalTator(TOKEN, server="2025-06") as server:
        client = make_api(server.host).api_client
        params = {"gid": value}
        for send in (
            lambda: client.call_api("/rest/Jobs/1", "DELETE", query_params=params),
            lambda: client.request("DELETE", f"{server.host}/rest/Jobs/1", query_params=params),
            lambda: client.rest_client.DELETE(
                f"{server.host}/rest/Jobs/1", query_params=[("gid", value)]
            ),
        ):
            error = failure(ApiValueError, send, maybe_applied=False)
            assert "gid" in str(error) or "query_params" in str(error)
        assert server.requests == []


@pytest.mark.parametrize("group_id", [None, "", " ", 5, []], ids=repr)
@pytest.mark.parametrize("options", [{}, {"project": 1}], ids=["JobGroup", "Jobs"])
def test_row_67_a_group_without_its_id_is_rejected(group_id: Any, options: Any) -> None:
    """Without it, a server would cancel all jobs of the project."""
    kind = ApiValueError if isinstance(group_id, str) else ApiTypeError
    with LocalTator(TOKEN, server="2025-06") as server:
        group = server.launch(3)
        api = make_api(server.host)
        failure(kind, api.delete_job_group, group_id, maybe_applied=False, **options)
        assert server.requests == []
        assert {server.jobs[uid] for uid in group.run_uids} == {"running"}


# Errors made by hand


def test_row_45_an_error_made_by_hand_may_have_been_applied_unless_it_proves_the_opposite() -> None:
    """By its class, or by its status."""
    doubtful = [
        *(ApiException(), ApiException(500), ApiException(400), ApiException("no status")),
        *(ServiceException(503), ApiTimeoutError(), ApiConnectionError(reason="lost")),
    ]
    certain = [
        *(ApiTypeError(reason="no"), ApiValueError(), ApiException(401), ForbiddenException(403)),
        *(NotFoundException(404), TooManyRequestsException(429), UnauthorizedException(401)),
    ]
    assert [error.maybe_applied for error in doubtful] == [True] * len(doubtful)
    assert [error.maybe_applied for error in certain] == [False] * len(certain)


@pytest.mark.usefixtures("no_backoff")
def test_row_45_an_error_rebuilt_from_its_args_keeps_its_doubt() -> None:
    """The 404 of a retry after a lost response proves nothing, in another process neither."""
    with LocalTator(TOKEN, server="2025-06") as server:
        api = make_api(server.host)
        uid = server.launch().run_uids[0]
        server.drop(after_applying=True)
        lost = failure(NotFoundException, api.delete_job, uid, maybe_applied=True)
        plain = failure(NotFoundException, api.delete_job, uid, maybe_applied=False)
    for error in (lost, plain):
        rebuilt = type(error)(*error.args)
        assert (rebuilt.status, rebuilt.reason) == (error.status, error.reason)
        assert rebuilt.maybe_applied is error.maybe_applied


# Servers of every generation


CREDENTIALS: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "no token": ({}, {}),
    "no prefix": ({"Authorization": TOKEN}, {}),
    "wrong token": ({"Authorization": "wrong"}, {"Authorization": "Token"}),
    "token with a space": ({"Authorization": "two words"}, {"Authorization": "Token"}),
    "Bearer": ({"Authorization": TOKEN}, {"Authorization": "Bearer"}),
}


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize(("api_key", "prefix"), CREDENTIALS.values(), ids=CREDENTIALS)
def test_row_63_credentials_that_the_server_does_not_know_are_unauthorized(
    api_key: dict[str, str], prefix: dict[str, str], generation: str
) -> None:
    """Whether it responds 400, 401 or 403; one request, and nothing was done."""
    with LocalTator(TOKEN, server=generation) as server:
        api = make_api(server.host, api_key=api_key)
        api.api_client.configuration.api_key_prefix = prefix
        uid = server.launch().run_uids[0]
        error = failure(UnauthorizedException, api.delete_job, uid, maybe_applied=False)
        assert error.hint
        assert (error.attempts, len(server.requests)) == (1, 1)
        assert server.jobs[uid] == "running"


def test_row_64_a_throttled_call_succeeds_after_the_wait() -> None:
    """It costs neither a retry nor budget, with a server of any generation."""

    def check(generation: str) -> None:
        with LocalTator(TOKEN, server=generation) as server:
            server.throttle(2)
            api = make_api(server.host, retries=0)
            uids = server.launch(3).run_uids
            with within(3):
                for uid in uids:
                    assert api.delete_job(uid).message
            statuses = [request.status for request in server.requests]
            assert api.api_client.rest_client.retry_budget == 100
        assert statuses.count(200) == 3
        assert set(statuses) <= {200, 400, 429}
        assert len(statuses) > 3

    all_at_once(check, [(generation,) for generation in GENERATIONS])


@pytest.mark.parametrize("generation", GENERATIONS)
def test_row_64_a_wait_above_thirty_seconds_is_the_callers(generation: str) -> None:
    """The error says how long the server asks to wait; nothing was done."""
    with LocalTator(TOKEN, server=generation) as server:
        server.throttle(1 / 60)
        api = make_api(server.host, deadline=None)
        first, second = server.launch(2).run_uids
        assert api.delete_job(first).message
        error = failure(TooManyRequestsException, api.delete_job, second, maybe_applied=False)
        assert error.retry_after is not None
        assert 30 < error.retry_after <= 60
        assert (error.attempts, len(server.requests)) == (1, 2)
        assert server.jobs[second] == "running"


@pytest.mark.parametrize(
    ("generation", "status", "doubt", "also"),
    [
        ("2020-05", 500, True, "database"),
        ("2020-08", 400, True, "cluster or database"),
        ("2025-06", 404, False, "cluster"),
    ],
)
def test_row_65_an_unknown_id_has_a_hint_on_each_server(
    generation: str, status: int, doubt: bool, also: str
) -> None:
    """The hint is the same for a job that is already cancelled, and names what else looks so."""
    with LocalTator(TOKEN, server=generation) as server:
        api = make_api(server.host)
        done = server.launch().run_uids[0]
        assert api.delete_job(done).message
        for uid in (UID, done):
            with pytest.raises(ApiException) as caught:
                api.delete_job(uid)
            error = caught.value
            assert (error.status, error.maybe_applied, error.attempts) == (status, doubt, 1)
            for words in ("unknown", "already cancelled", also):
                assert words in (error.hint or "")
            assert ("/rest/Transcode/" in (error.hint or "")) is (generation == "2025-06")


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 429, 500])
@pytest.mark.parametrize(
    ("api_key", "words"),
    [({}, "No token was sent"), ({"Authorization": TOKEN}, "The token was sent without a prefix")],
    ids=["no token", "no prefix"],
)
def test_row_66_a_missing_token_or_prefix_is_named_first(
    api_key: dict[str, str], words: str, status: int, generation: str
) -> None:
    """It is the likeliest cause of any 4xx and of a 500; the line to add is shown."""
    with LocalTator(TOKEN, server=generation) as server:
        server.fail(status)
        api = make_api(server.host, api_key=api_key, retries=0)
        api.api_client.configuration.api_key_prefix = {}
        with pytest.raises(ApiException) as caught:
            api.delete_job(UID)
        assert caught.value.status == status
        assert (caught.value.hint or "").startswith(words)
        assert "configuration.api_key_prefix['Authorization'] = 'Token'" in str(caught.value)
        assert len(server.requests) == 1
