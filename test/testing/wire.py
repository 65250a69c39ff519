"""A client for the tests of LocalTator that knows nothing of the SDK."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Mapping
from typing import Any, NamedTuple

from tator.testing import LocalTator


class Reply(NamedTuple):
    """The response to one request."""

    status: int
    headers: http.client.HTTPMessage
    body: str

    @property
    def kind(self) -> str:
        return self.headers.get_content_type()

    @property
    def json(self) -> Any:
        assert self.kind == "application/json"
        return json.loads(self.body)

    @property
    def title(self) -> str:
        """The title of a web page."""
        assert self.kind == "text/html"
        return self.body.partition("<title>")[2].partition("</title>")[0]


def address(server: LocalTator) -> tuple[str, int]:
    return "127.0.0.1", int(server.host.rpartition(":")[2])


def send(
    server: LocalTator,
    path: str,
    method: str = "DELETE",
    authorization: str | None = "Token {token}",
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """Send one request on a separate connection."""
    connection = http.client.HTTPConnection(*address(server), timeout=10)
    try:
        sent = dict(headers or {})
        if authorization is not None:
            sent["Authorization"] = authorization.format(token=server.token)
        connection.request(method, path, body, sent)
        response = connection.getresponse()
        return Reply(response.status, response.headers, response.read().decode())
    finally:
        connection.close()


def exchange(server: LocalTator, request: str) -> str:
    """Send bytes, and return all that arrives until the server closes the connection."""
    with socket.create_connection(address(server), timeout=10) as connection:
        connection.sendall(request.encode())
        return b"".join(iter(lambda: connection.recv(4096), b"")).decode()


class Arrivals:
    """Waits for requests whose responses are held back."""

    def __init__(self, server: LocalTator) -> None:
        self._each = threading.Semaphore(0)
        server.on_request = lambda request: self._each.release()

    def wait(self, count: int = 1) -> None:
        for _ in range(count):
            assert self._each.acquire(timeout=10)
