"""The sockets of a `LocalTator`: connections, TLS, forks, requests in and responses out."""

from __future__ import annotations

import os
import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from email.utils import formatdate
from typing import BinaryIO

from tator.testing.messages import Request, Response, page, phrase

# The response to a request (None drops the connection), and how many bytes to hold back.
Respond = Callable[[Request], tuple[Response | None, int]]

_LONGEST_LINE = 1 << 16  # bytes
_LARGEST_BODY = 1 << 26  # bytes
_TLS_HANDSHAKE = b"\x16"  # the first byte of a TLS connection
_RESET = struct.pack("ii", 1, 0)  # with a linger time of 0, closing resets the connection
_REQUEST_LINE = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+) (\S+) HTTP/1\.([01])")
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):(.*)")
_CHUNK_SIZE = re.compile(r"([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?")


class MalformedError(Exception):
    """What arrived is not a request that can be read; `status` says why."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Connections:
    """A listening port, a thread that accepts, and one thread for each connection.

    Args:
        port: The port; 0 takes a free one.
        ssl_context: The server's context, or None for plain http.
        respond: Called with each request, on its connection's thread.

    Attributes:
        url: The address for clients.
        closed: Set when responses are no longer sent.
    """

    def __init__(self, port: int, ssl_context: ssl.SSLContext | None, respond: Respond) -> None:
        self.closed: threading.Event = threading.Event()
        self._ssl_context = ssl_context
        self._respond = respond
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads: set[threading.Thread] = set()
        self._listener = socket.create_server(("127.0.0.1", port), backlog=512)
        scheme = "http" if ssl_context is None else "https"
        self.url: str = f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}"
        self._acceptor = threading.Thread(target=self._accept, name="LocalTator", daemon=True)
        self._acceptor.start()

    def close(self) -> None:
        """Cut every connection, and wait for the threads; `closed` is set already."""
        # A connection to itself is what wakes the accepting thread on every system.
        with socket.create_connection(self._listener.getsockname()):
            self._acceptor.join()
        self._listener.close()
        with self._lock:
            connections, threads = list(self._open), list(self._threads)
        for connection in connections:
            with suppress(OSError):  # it may have ended by itself
                # An SSL socket's own shutdown takes TLS away under a thread in its handshake.
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
        for thread in threads:
            thread.join()

    def leave_to_the_parent(self) -> None:
        """Release every socket in a forked child, where an open one would never seem closed."""
        self.closed = threading.Event()  # the lock within may have been held at the fork
        self.closed.set()
        for shared in (self._listener, *self._open):
            with suppress(OSError):  # it was closed before
                os.close(shared.detach())

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            if self.closed.is_set():
                connection.close()
                return
            thread = threading.Thread(
                target=self._serve, args=(connection,), name="LocalTator", daemon=True
            )
            with self._lock:
                self._open.add(connection)
                self._threads = {other for other in self._threads if other.is_alive()} | {thread}
            thread.start()

    def _serve(self, raw: socket.socket) -> None:
        connection = raw
        try:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            speaks_tls = raw.recv(1, socket.MSG_PEEK) == _TLS_HANDSHAKE
            if speaks_tls != (self._ssl_context is not None):
                # In plain HTTP, as nginx does.
                plain = "The plain HTTP request was sent to HTTPS port"
                _send_last(raw, page(400, None if speaks_tls else plain))
                return
            if self._ssl_context is not None:
                connection = self._ssl_context.wrap_socket(
                    raw, server_side=True, do_handshake_on_connect=False
                )
                with self._lock:
                    self._open.add(connection)  # for close() to cut it in its handshake
                # close() may have looked just before: then nothing may wait any more.
                connection.setblocking(not self.closed.is_set())
                connection.do_handshake()
            with connection.makefile("rb") as stream:
                self._serve_requests(connection, stream)
        except MalformedError as error:
            with suppress(OSError):
                _send_last(connection, page(error.status))
        except (OSError, EOFError):
            pass  # the client left, or close() cut the connection
        finally:
            connection.close()
            with self._lock:
                self._open -= {raw, connection}

    def _serve_requests(self, connection: socket.socket, stream: BinaryIO) -> None:
        keep_alive = True
        while keep_alive:
            request, keep_alive = read_request(
                stream, lambda: connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            )
            response, cut = self._respond(request)
            if response is None or self.closed.is_set():
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                return
            keep_alive = keep_alive and not cut and response.headers.get("Connection") != "close"
            without_body = request.method == "HEAD" or response.status in (204, 304)
            # Head and body in one piece: two would wait for each other's acknowledgment.
            connection.sendall(_encode(response, keep_alive, without_body, cut))


def read_request(stream: BinaryIO, proceed: Callable[[], object]) -> tuple[Request, bool]:
    """Read one request, and whether the connection can be kept for another.

    Args:
        stream: What the client sends.
        proceed: Called before the body is read, if the client waits for permission to send it.

    Raises:
        MalformedError: If it can't be read.
        EOFError: If the client left.
    """
    line = _REQUEST_LINE.fullmatch(_read_line(stream))
    if line is None:
        raise MalformedError(400)
    method, path, minor = line.groups()
    headers = {}
    while text := _read_line(stream):
        header = _HEADER.fullmatch(text)
        if header is None:
            raise MalformedError(400)
        headers[header[1].lower()] = header[2].strip(" \t")
    body = _read_body(stream, headers, proceed)
    connection = headers.get("connection", "keep-alive" if minor == "1" else "close")
    options = [option.strip(" \t").lower() for option in connection.split(",")]
    return Request(method, path, headers, body), "close" not in options


def _read_body(stream: BinaryIO, headers: dict[str, str], proceed: Callable[[], object]) -> bytes:
    length = headers.get("content-length", "0")
    coding = headers.get("transfer-encoding")
    if not re.fullmatch("[0-9]{1,18}", length):
        raise MalformedError(400)
    if coding is not None and (coding.lower() != "chunked" or "content-length" in headers):
        raise MalformedError(400)
    if int(length) > _LARGEST_BODY:
        raise MalformedError(413)
    if headers.get("expect", "").lower() == "100-continue":
        proceed()
    return _read_exactly(stream, int(length)) if coding is None else _read_chunks(stream)


def _read_chunks(stream: BinaryIO) -> bytes:
    body = bytearray()
    while True:
        match = _CHUNK_SIZE.fullmatch(_read_line(stream))
        if match is None:
            raise MalformedError(400)
        size = int(match[1], 16)
        if len(body) + size > _LARGEST_BODY:
            raise MalformedError(413)
        if size == 0:
            break
        body += _read_exactly(stream, size)
        if _read_line(stream):
            raise MalformedError(400)
    while _read_line(stream):
        pass  # trailers say nothing that is used here
    return bytes(body)


def _read_line(stream: BinaryIO) -> str:
    line = stream.readline(_LONGEST_LINE)
    if len(line) == _LONGEST_LINE:
        raise MalformedError(400)
    if not line.endswith(b"\n"):
        raise EOFError
    return line.rstrip(b"\r\n").decode("latin-1")


def _read_exactly(stream: BinaryIO, count: int) -> bytes:
    data = stream.read(count) if count else b""
    if len(data) < count:
        raise EOFError
    return data


def _encode(
    response: Response, keep_alive: bool, without_body: bool = False, cut: int = 0
) -> bytes:
    """Write a response as bytes; `cut` of the announced bytes are missing."""
    headers = {
        "Server": "LocalTator",
        "Date": formatdate(usegmt=True),
        "Connection": "keep-alive" if keep_alive else "close",
    }
    body = b""
    if not without_body:
        headers["Content-Length"] = str(len(response.body))
        body = response.body[: len(response.body) - cut]
    headers.update(response.headers)
    lines = [f"HTTP/1.1 {response.status} {phrase(response.status)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def _send_last(connection: socket.socket, response: Response) -> None:
    """Send a response to what was not read to its end, and let it arrive before closing."""
    connection.sendall(_encode(response, keep_alive=False))
    connection.shutdown(socket.SHUT_WR)
    # Closing with bytes unread would reset the connection, and the response with it.
    connection.settimeout(1)
    for _ in range(256):
        if not connection.recv(1 << 16):
            break
