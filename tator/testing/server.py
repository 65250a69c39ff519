"""`LocalTator`: the answers of a real Tator server, given by this process."""

from __future__ import annotations

import json
import os
import re
import secrets
import socket
import ssl
import struct
import threading
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import NamedTuple
from urllib.parse import unquote
from uuid import uuid1

_PERMISSIONS = ("view_only", "can_edit", "can_transfer", "can_execute", "full_control")
_MAY_CANCEL = frozenset(_PERMISSIONS[2:])
_NOT_GONE = ("running", "cancelling")  # cancelling: another request is about to be answered
_LONGEST_PATH = 4096  # bytes
_HTML = "text/html; charset=UTF-8"
_TLS_HANDSHAKE = b"\x16"  # the first byte of a TLS connection


class Group(NamedTuple):
    """Jobs that were launched together."""

    group_id: str
    run_uids: tuple[str, ...]


@dataclass(frozen=True)
class Request:
    """A request as it arrived.

    Attributes:
        method: The HTTP method.
        path: The path, as it was sent.
        headers: The headers by lower-case name.
        body: The body in bytes.
        status: The status that it is answered with; 0 where the connection is dropped.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    status: int


@dataclass(frozen=True)
class _Answer:
    status: int
    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Fault:
    """What is done instead of the right answer, once."""

    spoil: Callable[[_Answer], _Answer | None]
    apply: bool
    cut: int = 0  # bytes of the body that are held back


class LocalTator:
    """A Tator server on a free loopback port, for tests and for trying things by hand.

    It answers deletions of jobs and groups as a real server does, and can be told to fail in the
    ways real ones do. A context manager; safe to use from many threads and clients at once. It
    runs from its making until `close()`; a forked child can be its client, the parent serves on.

    Args:
        token: The token of a user with full control. Default: a new random one.
        ssl_context: A server's `ssl.SSLContext`, to speak https. Default: http.
        port: The port. Default: a free one.

    Attributes:
        host: The URL to give to a client.
        token: The token to give to a client.
        on_request: Called with each request, on the connection's thread, when its work is done and
            before it is answered.

    Raises:
        OSError: The port is taken.
        ValueError: There is no such port.
    """

    def __init__(
        self,
        token: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        port: int = 0,
    ) -> None:
        if not 0 <= port <= 65535:
            raise ValueError("a port is from 0 to 65535")
        self.token = token or secrets.token_hex(20)
        self._ssl_context = ssl_context
        self._permissions = {self.token: "full_control"}
        self._jobs: dict[str, str] = {}
        self._groups: dict[str, tuple[str, ...]] = {}
        self._routes: dict[tuple[str, str], _Answer] = {}
        self._requests: list[Request] = []
        self._faults: deque[_Fault] = deque()
        self._delay = 0.0
        self._release = threading.Event()  # lets go of the answers that are held back
        self._state = threading.Lock()
        self._closed = threading.Event()
        self.on_request: Callable[[Request], object] | None = None
        self._connections: set[socket.socket] = set()
        self._threads: set[threading.Thread] = set()
        self._listener = socket.create_server(("127.0.0.1", port), backlog=512)
        scheme = "http" if ssl_context is None else "https"
        self.host = f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}"
        self._acceptor = threading.Thread(target=self._accept, name="LocalTator", daemon=True)
        self._acceptor.start()
        _servers.add(self)

    def __enter__(self) -> LocalTator:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop at once: open connections are cut, answers that are held back are not given."""
        if self._closed.is_set():
            return
        self._closed.set()
        self.delay(0)
        # A connection of our own is what wakes the accepting thread on every system.
        with socket.create_connection(self._listener.getsockname()):
            self._acceptor.join()
        self._listener.close()
        with self._state:
            connections, threads = list(self._connections), list(self._threads)
        for connection in connections:
            with suppress(OSError):  # it may have ended by itself
                connection.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()

    @property
    def jobs(self) -> dict[str, str]:
        """A copy of each job's state by its run_uid, `'running'` or `'cancelled'`."""
        with self._state:
            return {
                uid: "running" if state == "running" else "cancelled"
                for uid, state in self._jobs.items()
            }

    @property
    def requests(self) -> list[Request]:
        """A copy of what has arrived, in that order; an answer may still be held back."""
        with self._state:
            return list(self._requests)

    def launch(self, count: int = 1) -> Group:
        """Start jobs together.

        Args:
            count: How many.

        Returns:
            Their ids.
        """
        group = Group(str(uuid1()), tuple(str(uuid1()) for _ in range(count)))
        with self._state:
            self._groups[group.group_id] = group.run_uids
            self._jobs.update(dict.fromkeys(group.run_uids, "running"))
        return group

    def add_token(self, token: str, permission: str) -> None:
        """Make a user known.

        Args:
            token: The user's token.
            permission: `view_only`, `can_edit`, `can_transfer`, `can_execute` or `full_control`;
                the last three may cancel.

        Raises:
            ValueError: There is no such permission.
        """
        if permission not in _PERMISSIONS:
            raise ValueError(f"permission must be one of {', '.join(_PERMISSIONS)}")
        with self._state:
            self._permissions[token] = permission

    def route(self, method: str, path: str, body: object, status: int = 200) -> None:
        """Answer one more endpoint, for those who call others than these two.

        Args:
            method: The HTTP method.
            path: The whole path, without a query: `'/rest/Version'`.
            body: What to answer, as JSON.
            status: The HTTP status.
        """
        with self._state:
            self._routes[method, path] = _Answer(status, json.dumps(body).encode())

    def delay(self, seconds: float) -> None:
        """Hold back every answer from now on, and let go of those that are held back already.

        The work is done before the wait: a real server goes on with it when the client leaves.

        Args:
            seconds: How long; 0 ends it.
        """
        with self._state:
            release, self._release, self._delay = self._release, threading.Event(), seconds
        release.set()

    def fail(
        self,
        status: int,
        times: int = 1,
        headers: Mapping[str, str] | None = None,
        after_applying: bool = False,
    ) -> None:
        """Answer the next requests with an error, in the shape that the real server gives it.

        Args:
            status: The HTTP status.
            times: How many requests fail.
            headers: Headers of the answer, such as `Retry-After` or `Location`.
            after_applying: Whether the work is done nevertheless.

        Raises:
            ValueError: No answer can have this status.
        """
        if not 200 <= status <= 999:
            raise ValueError("status must be from 200 to 999")
        answer = _error(status, headers)
        self._plan(times, _Fault(lambda _: answer, after_applying))

    def drop(self, times: int = 1, after_applying: bool = False) -> None:
        """Cut the connections of the next requests instead of answering.

        Args:
            times: How many.
            after_applying: Whether the work is done before.
        """
        self._plan(times, _Fault(lambda _: None, after_applying))

    def html(self, times: int = 1) -> None:
        """Answer the next requests with 200 and a web page, as a proxy in front may; do nothing.

        Args:
            times: How many.
        """
        answer = _page(200, "Tator")
        self._plan(times, _Fault(lambda _: answer, apply=False))

    def truncate(self, times: int = 1, after_applying: bool = True) -> None:
        """Cut the answers to the next requests short.

        Args:
            times: How many.
            after_applying: Whether the work is done.
        """
        self._plan(times, _Fault(lambda answer: answer, after_applying, cut=5))

    def _plan(self, times: int, fault: _Fault) -> None:
        with self._state:
            self._faults.extend([fault] * times)

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            if self._closed.is_set():
                connection.close()
                return
            thread = threading.Thread(
                target=self._serve, args=(connection,), name="LocalTator", daemon=True
            )
            with self._state:
                self._connections.add(connection)
                self._threads = {other for other in self._threads if other.is_alive()} | {thread}
            thread.start()

    def _serve(self, raw: socket.socket) -> None:
        connection = raw
        try:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            speaks_tls = raw.recv(1, socket.MSG_PEEK) == _TLS_HANDSHAKE
            if speaks_tls != (self._ssl_context is not None):
                self._refuse_protocol(raw, speaks_tls)
                return
            if self._ssl_context is not None:
                connection = self._ssl_context.wrap_socket(
                    raw, server_side=True, do_handshake_on_connect=False
                )
                with self._state:
                    self._connections.add(connection)  # for close() to cut it in its handshake
                # close() may have looked just before: then nothing may wait any more.
                connection.setblocking(not self._closed.is_set())
                connection.do_handshake()
            _Handler(connection, self)
        except OSError:
            pass  # the client left, or close() cut the connection
        finally:
            connection.close()
            with self._state:
                self._connections -= {raw, connection}

    def _leave_to_the_parent(self) -> None:
        """Let go of everything in a forked child: what it held open would never seem closed."""
        self._state = threading.Lock()  # it may have been held at the fork, as may the event's
        self._closed = threading.Event()
        self._closed.set()
        for shared in (self._listener, *self._connections):
            with suppress(OSError):  # it was closed before
                os.close(shared.detach())

    def _refuse_protocol(self, connection: socket.socket, speaks_tls: bool) -> None:
        """Say in plain HTTP, as nginx does, that the port speaks another protocol."""
        connection.recv(1 << 16)  # what is left unread would turn the end into a reset
        title = "Bad Request" if speaks_tls else "The plain HTTP request was sent to HTTPS port"
        answer = _page(400, title).body
        head = f"HTTP/1.1 400 Bad Request\r\nContent-Type: {_HTML}\r\nConnection: close\r\n"
        connection.sendall(f"{head}Content-Length: {len(answer)}\r\n\r\n".encode() + answer)

    def _answer(self, handler: _Handler, body: bytes) -> tuple[_Answer | None, int]:
        """The answer to a request (None drops it), and how many bytes of it to hold back."""
        with self._state:
            fault = self._faults.popleft() if self._faults else _NO_FAULT
            busy: tuple[str, ...] = ()
            answer = _page(200, "Tator")
            if fault.apply:
                answer, busy = self._right_answer(handler)
            given = fault.spoil(answer)
            status = given.status if given else 0
            headers = {name.lower(): value for name, value in handler.headers.items()}
            request = Request(handler.command, handler.target, headers, body, status)
            self._requests.append(request)
            release, delay = self._release, self._delay
        if self.on_request is not None:
            self.on_request(request)
        release.wait(delay)
        with self._state:
            self._jobs.update(dict.fromkeys(busy, "cancelled"))
        return (None if self._closed.is_set() else given), fault.cut

    def _right_answer(self, handler: _Handler) -> tuple[_Answer, tuple[str, ...]]:
        """What a real server would answer, and the jobs that it cancels for it."""
        method, path = handler.command, handler.target.partition("?")[0]
        if (handler.headers["Host"] or "").partition(":")[0] not in ("127.0.0.1", "localhost"):
            return _page(400, "Bad Request"), ()
        if len(handler.target) > _LONGEST_PATH:
            return _page(414, "Request-URI Too Large"), ()
        route = self._routes.get((method, path))
        endpoint = re.fullmatch(r"/rest/(Job|JobGroup)/([^/]+)", unquote(path))
        if route is None and endpoint is None:
            return _page(404, "Not Found"), ()
        permission, refusal = self._who(handler.headers["Authorization"])
        if refusal:
            return _detail(403, refusal), ()
        if route is not None or endpoint is None:
            return route or _page(404, "Not Found"), ()
        if method != "DELETE":
            return _detail(405, f'Method "{method}" not allowed.', {"Allow": "DELETE"}), ()
        kind, uid = endpoint.groups()
        uids = (uid,) if kind == "Job" else self._groups.get(uid, ())
        left = {uid: self._jobs[uid] for uid in uids if self._jobs.get(uid, "") in _NOT_GONE}
        if not left:
            return _page(500, "Server Error"), ()
        if permission not in _MAY_CANCEL:
            return _detail(403, "Insufficient permission to modify this project."), ()
        if "cancelling" in left.values():
            return _error(400), ()
        running = tuple(left)
        self._jobs.update(dict.fromkeys(running, "cancelling"))
        if "text/html" in handler.headers.get("Accept", ""):
            return _page(500, "Server Error"), running
        what = f"Job {uid}" if kind == "Job" else f"{len(running)} jobs of group {uid}"
        return _json(200, {"message": f"{what} cancelled."}), running

    def _who(self, authorization: str | None) -> tuple[str, str | None]:
        """The permission that a request comes with, or why it is turned down."""
        scheme, *keys = (authorization or "none").split()
        if scheme.lower() != "token":
            return "", "Authentication credentials were not provided."
        if not keys:
            return "", "Invalid token header. No credentials provided."
        if len(keys) > 1:
            return "", "Invalid token header. Token string should not contain spaces."
        permission = self._permissions.get(keys[0])
        return permission or "", None if permission else "Invalid token."


class _Handler(BaseHTTPRequestHandler):
    """One connection: the standard library reads the requests, `LocalTator` answers them."""

    protocol_version = "HTTP/1.1"
    server_version = "LocalTator"
    sys_version = ""

    def __init__(self, connection: socket.socket, tator: LocalTator) -> None:
        self._tator = tator
        super().__init__(connection, None, None)  # type: ignore[arg-type]  # neither is used here

    @property
    def target(self) -> str:
        """The path and the query as they were sent; `path` has lost a leading slash of two."""
        return self.requestline.split()[1]

    def _respond(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if not re.fullmatch("[0-9]{1,18}", length):
            self.send_error(400)
            return
        answer, cut = self._tator._answer(self, self.rfile.read(int(length)))
        if answer is None:
            self.close_connection = True
            # With a linger time of nothing, closing resets the connection.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return
        self.close_connection = self.close_connection or cut > 0
        head = [f"HTTP/1.1 {answer.status} {_phrase(answer.status)}"]
        body = b""
        headers = dict(answer.headers)
        if self.command != "HEAD" and answer.status not in (204, 304):  # these have no body
            body = answer.body[: len(answer.body) - cut]
            length = str(len(answer.body))
            headers = {"Content-Type": answer.content_type, "Content-Length": length, **headers}
        head += [f"{name}: {value}" for name, value in headers.items()]
        # Head and body in one piece: two would wait for each other's acknowledgement.
        self.wfile.write("\r\n".join([*head, "", ""]).encode("latin-1") + body)

    do_DELETE = do_GET = do_HEAD = do_OPTIONS = do_PATCH = do_POST = do_PUT = _respond

    def log_message(self, format: str, *args: object) -> None:
        pass


_NO_FAULT = _Fault(lambda answer: answer, apply=True)


def _json(status: int, value: object, headers: Mapping[str, str] | None = None) -> _Answer:
    return _Answer(status, json.dumps(value).encode(), headers=headers or {})


def _detail(status: int, words: str, headers: Mapping[str, str] | None = None) -> _Answer:
    return _json(status, {"detail": words}, headers)


def _page(status: int, title: str, headers: Mapping[str, str] | None = None) -> _Answer:
    page = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
    return _Answer(status, page.encode(), _HTML, headers or {})


def _error(status: int, headers: Mapping[str, str] | None = None) -> _Answer:
    """The answer that a real server gives with a status."""
    if status in (400, 404):
        words = {400: "The workflow could not be deleted.", 404: "The algorithm does not exist."}
        details = {"details": "Traceback (most recent call last):\n  …"} if status == 400 else {}
        return _json(status, {"message": words[status], **details}, headers)
    if status in (401, 403, 405, 429):
        words = {
            401: "Authentication credentials were not provided.",
            403: "Insufficient permission to modify this project.",
            405: "Method not allowed.",
            429: "Request was throttled.",
        }
        return _detail(status, words[status], headers)
    return _page(status, "Server Error" if status == 500 else _phrase(status), headers)


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in set(HTTPStatus) else "Unknown"


_servers: weakref.WeakSet[LocalTator] = weakref.WeakSet()


def _leave_to_the_parent() -> None:
    for server in _servers:
        server._leave_to_the_parent()


with suppress(AttributeError):  # Windows does not fork
    os.register_at_fork(after_in_child=_leave_to_the_parent)
