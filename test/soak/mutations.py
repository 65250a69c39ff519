"""Mutated responses, and what h11 makes of them."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import NamedTuple

import h11

_HEADER_VALUES = [
    b"0",
    b"1",
    b"2",
    b"5, 5",
    b"-1",
    b"+5",
    b"0x10",
    b"99999999999999999999",
    b"chunked",
    b"Chunked",
    b"gzip, chunked",
    b"identity",
    b"close",
    b"keep-alive",
]
_NAMES = [b"Content-Length", b"Transfer-Encoding", b"Connection", b"X-Other", b"Content-Type"]
_BYTES = [b"\r", b"\n", b"\r\n", b"\0", b" ", b"\t", b":", b"\x0b", b"\x85", b";", b"\xff", b"0"]


class Parsed(NamedTuple):
    """A response as h11 reads it.

    Attributes:
        status: Its status.
        body: Its body.
        rest: The bytes after it.
    """

    status: int
    body: bytes
    rest: bytes


def seeds(message: str) -> list[bytes]:
    """Return well-formed responses that carry a message."""
    body = json.dumps({"message": message}).encode()
    half = len(body) // 2
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:half], body[half:]))
    chunked = b"Transfer-Encoding: chunked\r\n\r\n" + chunks
    plain = b"Server: nginx\r\nContent-Type: application/json\r\n"
    sized = b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    return [
        b"HTTP/1.1 200 OK\r\n" + plain + sized,
        b"HTTP/1.1 200 OK\r\n"
        + plain
        + b"Transfer-Encoding: chunked\r\n\r\n"
        + chunks
        + b"0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + chunked + b"0\r\nX-Trailer: yes\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n" + sized,
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body,
        b"HTTP/1.0 200 OK\r\n" + sized,
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 404 Not Found\r\n" + sized,
        b"HTTP/1.1 200 OK\n" + sized.replace(b"\r\n", b"\n", 2),
    ]


def mutated(chance: random.Random, data: bytes) -> bytes:
    """Return the bytes with up to four random changes."""
    for _ in range(chance.randint(0, 4)):
        data = chance.choice(_MUTATIONS)(chance, data)
    return data


def _place(chance: random.Random, data: bytes) -> int:
    return chance.randint(0, len(data))


def _insert(chance: random.Random, data: bytes) -> bytes:
    at = _place(chance, data)
    return data[:at] + chance.choice(_BYTES) + data[at:]


def _delete(chance: random.Random, data: bytes) -> bytes:
    at = _place(chance, data)
    return data[:at] + data[at + chance.randint(1, 4) :]


def _flip(chance: random.Random, data: bytes) -> bytes:
    at = _place(chance, data)
    return data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :]


def _header(chance: random.Random, data: bytes) -> bytes:
    line_end = data.find(b"\n") + 1
    header = chance.choice(_NAMES) + b": " + chance.choice(_HEADER_VALUES) + b"\r\n"
    return data[:line_end] + header + data[line_end:]


def _cut(chance: random.Random, data: bytes) -> bytes:
    return data[: _place(chance, data)]


def _double(chance: random.Random, data: bytes) -> bytes:
    return data + chance.choice([data, b"\r\n", b"x", data[: _place(chance, data)]])


_MUTATIONS: list[Callable[[random.Random, bytes], bytes]] = [
    _insert,
    _delete,
    _flip,
    _header,
    _cut,
    _double,
]


def as_h11_reads(data: bytes) -> Parsed | None:
    """Return the first final response of the bytes, after which the connection ends.

    `None` if h11 rejects it, or if it is cut.
    """
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
    connection.send(h11.Request(method="DELETE", target="/", headers=[("Host", "a")]))
    connection.send(h11.EndOfMessage())
    status, body = 0, b""
    try:
        connection.receive_data(data)
        ended = False
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                if ended:
                    return None
                connection.receive_data(b"")
                ended = True
            elif isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return Parsed(status, body, connection.trailing_data[0])
            elif not isinstance(event, h11.InformationalResponse):
                return None
    except h11.RemoteProtocolError:
        return None
