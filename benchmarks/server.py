"""A server that gives every request the same response, in a separate process.

One thread on a selector, as this takes a quarter less time for each request than asyncio. Where
cores are few, that time is missing from the clients that are measured.
"""

from __future__ import annotations

import os
import selectors
import socket
import ssl
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic

_PAGE_SIZE = 150_000
_END = b"\r\n\r\n"


def _response(status: str, content_type: str, body: bytes) -> bytes:
    headers = f"Server: benchmark\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}"
    return f"HTTP/1.1 {status}\r\n{headers}\r\n\r\n".encode() + body


_SUCCESS = _response("200 OK", "application/json", b'{"message": "Job successfully cancelled!"}')
_FAILURE = _response(
    "500 Internal Server Error",
    "text/html",
    b"<html><body><h1>Server Error</h1>".ljust(_PAGE_SIZE, b"."),
)


@contextmanager
def running(
    latency: float = 0.0, certificate: Path | None = None, fails: bool = False
) -> Iterator[str]:
    """Run the server.

    Args:
        latency: Seconds between a request and its response.
        certificate: A PEM file with key and chain. If set, the server speaks https.
        fails: Whether each response is an error with a large HTML page.

    Yields:
        The server's URL.
    """
    command = [sys.executable, "-m", "benchmarks.server"]
    process = subprocess.Popen(
        [*command, str(latency), str(certificate or ""), "fails" if fails else ""],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    assert process.stdin
    assert process.stdout
    try:
        with process.stdin, process.stdout:
            port = int(process.stdout.readline())
            yield f"{'https' if certificate else 'http'}://127.0.0.1:{port}"
    finally:
        process.wait()


def _serve(latency: float, certificate: str, response: bytes) -> None:
    context = None
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    print(listener.getsockname()[1], flush=True)
    threading.Thread(target=_end_with_input, daemon=True).start()
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    # The last bytes of each request: no request has a body, so a blank line ends it.
    tails: dict[socket.socket, bytes] = {}
    due: deque[tuple[float, socket.socket]] = deque()
    while True:
        timeout = max(0.0, due[0][0] - monotonic()) if due else None
        for key, _ in selector.select(timeout):
            connection = key.fileobj
            assert isinstance(connection, socket.socket)
            if connection is listener:
                if accepted := _accept(listener, context):
                    tails[accepted] = b""
                    selector.register(accepted, selectors.EVENT_READ)
                continue
            received = _receive(connection)
            if not received:
                selector.unregister(connection)
                del tails[connection]
                connection.close()
                continue
            tails[connection] = (tails[connection] + received)[-len(_END) :]
            if tails[connection] != _END:
                continue
            if latency:
                due.append((monotonic() + latency, connection))
            else:
                _send(connection, response)
        while due and due[0][0] <= monotonic():
            _send(due.popleft()[1], response)


def _accept(listener: socket.socket, context: ssl.SSLContext | None) -> socket.socket | None:
    connection, _ = listener.accept()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        return context.wrap_socket(connection, server_side=True) if context else connection
    except OSError:  # The client left.
        connection.close()
        return None


def _receive(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65536)
    except OSError:
        return b""


def _send(connection: socket.socket, response: bytes) -> None:
    with suppress(OSError):  # The client left, as the selector will say.
        connection.sendall(response)


def _end_with_input() -> None:
    """End the process when the one that started it closes the input or ends."""
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    _serve(float(sys.argv[1]), sys.argv[2], _FAILURE if sys.argv[3] else _SUCCESS)
