"""Peers that misbehave: raw sockets that follow a script, and what the fault tests share."""

from __future__ import annotations

import json
import math
import re
import socket
import ssl
import struct
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import pytest
from certificates import Tls

import tator

E = TypeVar("E", bound=tator.ApiException)

TOKEN = "sesame-0123456789abcdef"
UID = "00000000-0000-1000-8000-000000000000"
DONE = json.dumps({"message": "Done."}).encode()
_OURS = str(Path(__file__).parent)
_SLACK = 1.0  # seconds after its deadline by which a call must end


class Connection:
    """One connection to a `Peer`, as its script sees it."""

    def __init__(self, peer: Peer, sock: socket.socket) -> None:
        self.peer = peer
        self.sock = sock
        self._arrived = b""

    def request(self) -> bytes:
        """Read one request, note it in `peer.requests`, and return its head.

        Raises:
            ConnectionError: The client has left.
        """
        while b"\r\n\r\n" not in self._arrived:
            self._receive()
        head, _, self._arrived = self._arrived.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        while length and len(self._arrived) < int(length[1]):
            self._receive()
        self._arrived = self._arrived[int(length[1]) if length else 0 :]
        self.peer.requests.append(head)
        return head

    def _receive(self) -> None:
        data = self.sock.recv(1 << 16)
        if not data:
            raise ConnectionAbortedError("the client has left")
        self._arrived += data

    def send(self, data: bytes) -> None:
        """Send all of it."""
        self.sock.sendall(data)

    def end_with(self, data: bytes) -> None:
        """Send all of it and the end of the connection, over TCP in the same packet.

        Else a client that sends its next request at once may still find the connection open.
        """
        if isinstance(self.sock, ssl.SSLSocket):
            self.send(data)
        else:
            self.sock.sendall(data, getattr(socket, "MSG_MORE", 0))  # Linux has it
            self.sock.shutdown(socket.SHUT_WR)

    def drip(self, data: bytes, every: float = 0.02) -> None:
        """Send it byte by byte, until the client leaves."""
        for number in range(len(data)):
            self.send(data[number : number + 1])
            if self.peer.closing.wait(every):
                return

    def hang(self) -> None:
        """Do nothing until the client leaves or the test ends."""
        while self.sock.recv(1 << 16):
            pass

    def reset(self) -> None:
        """End the connection with an RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


Script = Callable[[Connection], object]


class Peer:
    """A listening socket that runs a script for each connection, on a separate thread.

    Args:
        script: What to do with a connection; it is closed in the end.
        tls: A server's context, to speak TLS from the start.

    Attributes:
        requests: The heads of the requests that arrived, over all connections.
        connections: How many connections were accepted.
    """

    def __init__(self, script: Script, tls: ssl.SSLContext | None = None) -> None:
        self._script = script
        self._tls = tls
        self.requests: list[bytes] = []
        self.connections = 0
        self.closing = threading.Event()
        self._failures: list[BaseException] = []
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port: int = self._listener.getsockname()[1]
        self.host = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self._acceptor = threading.Thread(target=self._accept, name="peer", daemon=True)
        self._acceptor.start()

    def __enter__(self) -> Peer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.closing.set()
        with socket.create_connection(("127.0.0.1", self.port)):
            self._acceptor.join()
        self._listener.close()
        for sock in self._sockets:
            with suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
        self.join_scripts()
        if not error:
            assert not self._failures

    def join_scripts(self) -> None:
        """Wait until the script has ended, and its connection was closed, for each one so far."""
        for thread in self._threads:
            thread.join()

    def others(self) -> list[threading.Thread]:
        """The threads of all connections but the newest that is open."""
        alive = [thread for thread in self._threads if thread.is_alive()]
        return alive[:-1]

    def _accept(self) -> None:
        while True:
            sock, _ = self._listener.accept()
            if self.closing.is_set():
                sock.close()
                return
            self.connections += 1
            self._sockets.append(sock)
            thread = threading.Thread(target=self._serve, args=(sock,), daemon=True)
            self._threads = [*(t for t in self._threads if t.is_alive()), thread]
            thread.start()

    def _serve(self, sock: socket.socket) -> None:
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls:
                # Not by wrap_socket() alone: the end of the test can then cut a handshake too.
                sock = self._tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
                self._sockets.append(sock)
                sock.do_handshake()
            self._script(Connection(self, sock))
        except OSError:
            pass  # the client left
        except BaseException as error:
            self._failures.append(error)
        finally:
            sock.close()


def answering(*responses: bytes | Script, keep: bool = False) -> Script:
    """A script that sends the nth response to the nth request, and the last one to all others.

    Args:
        responses: What to send, or what to do, after a request was read.
        keep: Whether to go on with the next request on the same connection.
    """

    def script(connection: Connection) -> None:
        while True:
            connection.request()
            response = responses[min(len(connection.peer.requests), len(responses)) - 1]
            if callable(response):
                response(connection)
            elif keep:
                connection.send(response)
            else:
                connection.end_with(response)
            if not keep:
                return

    return script


def http(
    status: int = 200,
    body: bytes = DONE,
    headers: Mapping[str, str] | None = None,
    reason: str = "Whatever",
) -> bytes:
    """A well-formed response."""
    lines = [f"HTTP/1.1 {status} {reason}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def make_api(host: str, **settings: Any) -> tator.JobApi:
    """An API with a known token and a deadline of 10 s, unless `settings` say otherwise."""
    settings = {"deadline": 10, "api_key": {"Authorization": TOKEN}, **settings}
    prefix = {"Authorization": "Token"}
    configuration = tator.Configuration(host, api_key_prefix=prefix, **settings)
    return tator.JobApi(tator.ApiClient(configuration))


def failure(
    kind: type[E],
    call: Callable[..., object],
    *args: Any,
    maybe_applied: bool,
    ends_by: float = math.inf,
    secrets: tuple[str, ...] = (TOKEN,),
    **options: Any,
) -> E:
    """The error of exactly this class that a call ends with; it shows no sensitive value.

    Args:
        kind: Its class.
        call: What to call, with `args` and `options`.
        maybe_applied: What the error must say about the server.
        ends_by: The seconds that the call may take, with a margin for a busy machine.
        secrets: Text that must not be in it, its causes or the frames of their tracebacks.
    """
    with within(ends_by), pytest.raises(tator.ApiException) as caught:
        call(*args, **options)
    error = caught.value
    assert type(error) is kind, repr(error)
    assert error.maybe_applied is maybe_applied
    seen = everything_shown(error)
    assert not [secret for secret in secrets if secret in seen]
    return error


def rejected(
    kind: type[E],
    call: Callable[..., object],
    *args: Any,
    secrets: tuple[str, ...] = (TOKEN,),
    **options: Any,
) -> E:
    """The error of exactly this class that rejects a value when it is set; nothing was sent.

    Frames may hold such a value, since the caller's own frame does; the error does not show it.
    """
    with pytest.raises(tator.ApiException) as caught:
        call(*args, **options)
    error = caught.value
    assert type(error) is kind, repr(error)
    assert (error.maybe_applied, error.attempts) == (False, 0)
    seen = f"{error} {error!r} {error.args} {vars(error)} {error.__cause__!r}"
    assert not [secret for secret in secrets if secret in seen]
    return error


def everything_shown(error: BaseException) -> str:
    """All that an error, what caused it and their tracebacks with local variables display.

    The locals of the tests do not count: they hold the sensitive values that are looked for.
    """
    parts = []
    rest: list[BaseException | None] = [error]
    known: set[int] = set()
    while rest:
        current = rest.pop()
        if current is None or id(current) in known:
            continue
        known.add(id(current))
        rest += [current.__cause__, current.__context__]
        frames = current.__traceback__
        while frames and frames.tb_frame.f_code.co_filename.startswith(_OURS):
            frames = frames.tb_next
        trace = traceback.TracebackException(type(current), current, frames, capture_locals=True)
        parts += [*trace.format(), str(current), repr(current), repr(vars(current))]
        parts += [str(argument) for argument in current.args]
        headers = getattr(current, "headers", None)
        parts += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\n".join(parts)


def join_resolvers() -> None:
    """Wait until the threads that look names up have ended."""
    for thread in threading.enumerate():
        if thread.name == "tator-resolver":
            thread.join(10)
            assert not thread.is_alive()


def all_at_once(check: Callable[..., object], cases: Iterable[tuple[Any, ...]]) -> None:
    """Check cases that mostly wait, each on a separate thread; the first failure is raised.

    Args:
        check: What to call for each case.
        cases: Its arguments, once for each case.
    """
    cases = list(cases)
    with ThreadPoolExecutor(len(cases)) as executor:
        checks = [executor.submit(check, *case) for case in cases]
    for done in checks:
        done.result()


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """The block ends by then, with a margin for a busy machine."""
    started = time.monotonic()
    yield
    assert time.monotonic() - started < seconds + _SLACK


def check_large_upload(script: Script, deadline: float, tls: Tls) -> None:
    """Over http and https, one to a server with this script ends by the deadline."""
    body = "x" * (16 << 20)

    def check(context: ssl.SSLContext | None) -> None:
        with Peer(script, context) as peer:
            client = make_api(peer.host, deadline=deadline, ssl_ca_cert=tls.ca_file).api_client
            with within(deadline), pytest.raises(tator.ApiTimeoutError) as caught:
                client.call_api("/x", "PUT", body=body)
        assert caught.value.maybe_applied

    all_at_once(check, [(None,), (tls.server(),)])
