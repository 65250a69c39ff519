"""Rows 44, 45, 52, 53 and 63 to 67 of the fault matrix: what the caller does, and gets to know."""

from __future__ import annotations

import os
import signal
import socket
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import pytest
from conftest import Tls
from peers import (
    TOKEN,
    UID,
    Connection,
    Peer,
    answering,
    everything_shown,
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


@pytest.fixture(autouse=True)
def _no_resolver_left() -> Iterator[None]:
    """A look-up leaves no thread behind."""
    yield
    assert not [t for t in threading.enumerate() if t.name == "tator-resolver" and t.is_alive()]


# Signal handlers


def soft_limit(base: type[Exception]) -> type[Exception]:
    """An exception class of the caller, such as Celery's SoftTimeLimitExceeded."""
    return type("SoftLimit", (base,), {"__module__": __name__})


BASES = (Exception, ConnectionError, BrokenPipeError, TimeoutError, ValueError)
KINDS = [*map(soft_limit, BASES), ConnectionError, TimeoutError, ValueError]
KIND_IDS = [*(f"subclass of {base.__name__}" for base in BASES), *(k.__name__ for k in KINDS[5:])]


@pytest.fixture(autouse=True)
def _harmless_signal() -> Iterator[None]:
    """A signal that arrives after the call of a failed test ends nothing."""
    previous = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGUSR1, previous)


@contextmanager
def raising_handler(error: Exception) -> Iterator[None]:
    """A signal handler that raises this."""

    def handler(number: int, frame: FrameType | None) -> None:
        raise error

    previous = signal.signal(signal.SIGUSR1, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR1, previous)


def send_signal() -> None:
    os.kill(os.getpid(), signal.SIGUSR1)


class Place(NamedTuple):
    """Where a call is when the signal arrives."""

    host: str
    requests: list[bytes]
    call: Callable[[tator.JobApi], object] = lambda api: api.delete_job(UID)


@contextmanager
def waiting_for_a_response() -> Iterator[Place]:
    def script(connection: Connection) -> None:
        send_signal()
        connection.hang()

    with Peer(answering(script, http())) as peer:
        yield Place(peer.host, peer.requests)


@contextmanager
def in_a_body() -> Iterator[Place]:
    def script(connection: Connection) -> None:
        connection.send(http()[:-3])
        connection.peer.closing.wait(0.1)  # until the client reads on; earlier is right too
        send_signal()
        connection.hang()

    with Peer(answering(script, http())) as peer:
        yield Place(peer.host, peer.requests)


@contextmanager
def in_a_handshake() -> Iterator[Place]:
    def script(connection: Connection) -> None:
        connection.sock.recv(1 << 16)
        send_signal()
        connection.hang()

    with Peer(script) as peer:
        yield Place(peer.host.replace("http:", "https:"), peer.requests)


@contextmanager
def in_a_retry_delay() -> Iterator[Place]:
    def script(connection: Connection) -> None:
        connection.send(http(503, headers={"Retry-After": "20"}))
        connection.peer.closing.wait(0.1)  # until the client sleeps; earlier is right too
        send_signal()

    with Peer(answering(script, http())) as peer:
        yield Place(peer.host, peer.requests)


@contextmanager
def connecting_to_a_full_backlog() -> Iterator[Place]:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        timer = threading.Timer(0.1, send_signal)
        timer.start()
        yield Place(f"http://127.0.0.1:{listener.getsockname()[1]}", [])
        timer.join()
        for filler in fillers:
            filler.close()


@contextmanager
def in_a_handle() -> Iterator[Place]:
    def script(connection: Connection) -> None:
        send_signal()
        connection.send(http())

    with Peer(answering(script, http(), keep=True)) as peer:
        yield Place(
            peer.host, peer.requests, lambda api: api.delete_job(UID, async_req=True).get(10)
        )


PLACES = {
    place.__name__.replace("_", " "): place
    for place in (
        *(waiting_for_a_response, in_a_body, in_a_handshake, in_a_retry_delay),
        *(connecting_to_a_full_backlog, in_a_handle),
    )
}


# CPython leaves a socket that is interrupted in its handshake to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("kind", KINDS, ids=KIND_IDS)
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_row_44_what_a_signal_handler_raises_comes_through(
    place: Callable[[], Any], kind: type[Exception]
) -> None:
    """At once, as the very same object, without a retry; the next call is right."""
    error = kind("of the caller")
    with place() as where, Peer(answering(http())) as other, within(0.2):
        api = make_api(where.host, deadline=60)
        with raising_handler(error), pytest.raises(kind) as caught:
            where.call(api)
        assert caught.value is error
        assert TOKEN not in everything_shown(error)
        assert len(where.requests) <= 1
        if not where.requests:
            api.api_client.configuration.host = other.host
        assert api.delete_job(UID).message == "Done."


def test_row_44_a_signal_handler_may_make_a_call() -> None:
    """It gets its response, and so does the call that it interrupted."""
    messages: list[str | None] = []

    def handler(number: int, frame: object) -> None:
        messages.append(api.delete_job("inner").message)

    def script(connection: Connection) -> None:
        while True:
            if b"/inner " in connection.request():
                connection.send(http(200, b'{"message": "Inner."}'))
                inner.set()
            else:
                send_signal()
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


# Hooks and resolvers


@pytest.mark.parametrize("asynchronous", [False, True], ids=["waiting", "async_req"])
@pytest.mark.parametrize(
    "error",
    [RuntimeError("no token"), ConnectionError("no vault"), KeyError(), KeyboardInterrupt()],
    ids=lambda error: type(error).__name__,
)
def test_row_44_what_a_hook_raises_comes_through(error: BaseException, asynchronous: bool) -> None:
    """At once, on the caller's thread; nothing was sent."""

    def hook(configuration: Configuration) -> None:
        raise error

    with Peer(answering(http())) as peer:
        api = make_api(peer.host, refresh_api_key_hook=hook)
        with pytest.raises(type(error)) as caught:
            api.delete_job(UID, async_req=asynchronous)
        assert caught.value is error
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


# Settings that change


def test_row_52_a_toggled_verify_ssl_leaves_no_unverified_route(tls: Tls, tmp_path: Path) -> None:
    """A first call may go unverified only while the setting is off; the next one is verified."""
    warnings.simplefilter("ignore", InsecureRequestWarning)
    other_ca = Tls(tmp_path).ca_file
    with Peer(answering(http(), keep=True), tls.server()) as peer:
        for number in range(30):
            api = make_api(peer.host, retries=0, ssl_ca_cert=other_ca)
            configuration = api.api_client.configuration
            begun, ended = threading.Event(), threading.Event()

            def toggle(
                settings: Configuration = configuration,
                begun: threading.Event = begun,
                ended: threading.Event = ended,
            ) -> None:
                while not ended.wait(0.0005):
                    settings.verify_ssl = not settings.verify_ssl
                    begun.set()

            thread = threading.Thread(target=toggle)
            thread.start()
            assert begun.wait(10)
            try:
                assert api.delete_job(f"toggled-{number}").message == "Done."
            except ApiTlsError:
                pass
            finally:
                ended.set()
                thread.join()
            configuration.verify_ssl = True
            for _ in range(2):
                failure(ApiTlsError, api.delete_job, "verified", maybe_applied=False)
        assert not [request for request in peer.requests if b"/verified " in request]


def test_row_52_each_server_sees_only_its_own_token() -> None:
    """A call takes URL and token from one configuration, even if a thread assigns another one."""
    ended = threading.Event()
    with LocalTator("token-one") as one, LocalTator("token-two") as two:
        apis = [tator.get_api(server.host, server.token) for server in (one, two)]
        configurations = [api.api_client.configuration for api in apis]
        client = tator.ApiClient(configurations[0])
        api = tator.JobApi(client)

        def assign() -> None:
            while not ended.is_set():
                for configuration in configurations:
                    client.configuration = configuration

        thread = threading.Thread(target=assign)
        thread.start()
        try:
            for _ in range(100):
                with pytest.raises(ServiceException):  # the ID is unknown
                    api.delete_job(UID)
        finally:
            ended.set()
            thread.join()
        for server in (one, two):
            tokens = {request.headers["authorization"] for request in server.requests}
            assert tokens <= {f"Token {server.token}"}
        assert len(one.requests) + len(two.requests) == 100


def test_row_53_a_call_uses_the_settings_that_the_hook_made(tls: Tls) -> None:
    """They include host, token, prefix and TLS; the next call uses the next change."""

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


def test_row_53_limits_that_a_hook_sets_count_for_its_call() -> None:
    """Deadline and retries are read after it."""

    def hook(configuration: Configuration) -> None:
        configuration.deadline = 0.2
        configuration.retries = 0

    with Peer(answering(Connection.hang)) as peer, within(0.2):
        api = make_api(peer.host, refresh_api_key_hook=hook, deadline=60)
        failure(ApiTimeoutError, api.delete_job, UID, maybe_applied=True)
    with Peer(answering(Connection.reset)) as peer:
        api = make_api(peer.host, refresh_api_key_hook=hook)
        failure(ApiConnectionError, api.delete_job, UID, maybe_applied=True)
    assert len(peer.requests) == 1


def test_row_53_a_configuration_that_a_hook_assigns_is_used() -> None:
    """The call is made with the new one, and its hook is not called for this call."""

    def hook(configuration: Configuration) -> None:
        client.configuration = tator.get_api(server.host, server.token).api_client.configuration

    with LocalTator(TOKEN) as server:
        client = tator.ApiClient(Configuration(DEAD, refresh_api_key_hook=hook))
        assert tator.JobApi(client).delete_job(server.launch().run_uids[0]).message


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
    """The error is an `ApiTypeError` or `ApiValueError`, and nothing was sent."""
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


def test_row_45_an_error_made_by_hand_is_maybe_applied_unless_it_proves_the_opposite() -> None:
    """The proof is its class or its status."""
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
def test_row_45_an_error_rebuilt_from_its_args_keeps_maybe_applied() -> None:
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


@pytest.mark.parametrize("generation", GENERATIONS)
def test_row_64_a_throttled_call_succeeds_after_the_wait(generation: str) -> None:
    """It costs neither a retry nor budget."""
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
