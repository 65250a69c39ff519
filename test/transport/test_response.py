"""Bytes become one response, read as strictly as h11 reads it; no socket is involved."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from http.client import BadStatusLine, HTTPException, IncompleteRead, RemoteDisconnected
from typing import NamedTuple

import h11
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tator.transport.limits import TooLarge
from tator.transport.response import Response, Stream

pytestmark = pytest.mark.fast

MOST = 1 << 20
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


class Read(NamedTuple):
    """What a reader made of some bytes."""

    status: int
    reason: str
    headers: list[tuple[str, str]]
    body: bytes
    is_reusable: bool


def stream_of(pieces: Iterable[bytes]) -> Stream:
    """A stream on which these pieces arrive, and then the end of the connection."""
    rest = list(pieces)

    def recv(size: int) -> bytes:
        if not rest:
            return b""
        piece, rest[0] = rest[0][:size], rest[0][size:]
        if not rest[0]:
            del rest[0]
        return piece

    return Stream(recv)


def response_to(*pieces: bytes, method: str = "DELETE") -> Response:
    """The response in these pieces, read up to its body."""
    response = Response(stream_of(pieces), method)
    response.begin()
    return response


def by_us(*pieces: bytes, method: str = "DELETE") -> Read:
    """What our reader makes of these pieces."""
    response = response_to(*pieces, method=method)
    headers = [(name.lower(), value) for name, value in response.headers]
    body = response.read_all(MOST)
    return Read(response.status, response.reason, headers, body, response.leaves_connection_clean)


def by_h11(data: bytes, method: str = "DELETE") -> Read:
    """What h11 makes of these bytes."""
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=MOST)
    connection.send(h11.Request(method=method, target="/", headers=[("Host", "tator.test")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(data)
    connection.receive_data(b"")
    head, body = None, b""
    while not isinstance(event := connection.next_event(), h11.EndOfMessage):
        if isinstance(event, h11.Response):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif not isinstance(event, h11.InformationalResponse):
            raise h11.RemoteProtocolError("the connection ended")
    assert head is not None
    headers = [(str(name, "latin-1"), str(value, "latin-1")) for name, value in head.headers]
    is_done = connection.their_state is h11.DONE and not connection.trailing_data[0]
    return Read(head.status_code, str(head.reason, "latin-1"), headers, body, is_done)


# Why our reader rejects what h11 accepts. Each has a test below.
STRICTER: list[Callable[[bytes], object]] = [
    # Another version than 1.0 and 1.1, whose framing may differ; a status below 100.
    re.compile(rb"HTTP/(?!1\.[01] [1-9])").search,
    # Control characters in the reason and in chunk extensions: others may see a line end there.
    re.compile(rb"HTTP/1\.[01] [0-9]{3} [\t\x20-\xff]*(?![\t\x80-\xff])[\x00-\x1f\x7f]").search,
    re.compile(rb"(?m)^[0-9A-Fa-f]+[ \t]*;[^\n]*(?![\t\r])[\x00-\x1f\x7f]").search,
    re.compile(rb"(?m)^[0-9A-Fa-f]+[ \t]*;[^\n]*\r[^\n]").search,
    # Folded headers, which are obsolete.
    re.compile(rb"\n[ \t]").search,
    # A chunk of more than 16 digits, which no memory has room for.
    re.compile(rb"(?m)^[0-9A-Fa-f]{17,20}[ \t]*(;|\r)").search,
]


def is_stricter(data: bytes) -> bool:
    """Whether our reader may reject what h11 accepts."""
    return any(search(data) for search in STRICTER)


def check(data: bytes, method: str = "DELETE") -> None:
    """Compare the two readers."""
    try:
        theirs = by_h11(data, method)
    except h11.RemoteProtocolError:
        with pytest.raises((HTTPException, OSError)):
            by_us(data, method=method)
        return
    try:
        ours = by_us(data, method=method)
    except (HTTPException, OSError, TooLarge):
        assert is_stricter(data), data
        return
    assert ours[:2] == theirs[:2]
    assert ours.body == theirs.body
    # h11 rewrites the headers about framing: it merges equal lengths.
    others = [
        [item for item in headers if item[0] not in ("content-length", "transfer-encoding")]
        for headers in (ours.headers, theirs.headers)
    ]
    assert others[0] == others[1]
    assert theirs.is_reusable or not ours.is_reusable


# What is accepted, by h11 too

ACCEPTED: dict[str, bytes] = {
    "a length": OK + b"Content-Length: 2\r\n\r\n{}",
    "a length of zero": OK + b"Content-Length: 0\r\n\r\n",
    "a length with zeros before it": OK + b"Content-Length: 0002\r\n\r\n{}",
    "the same length twice": OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    "the same length twice in one header": OK + b"Content-Length: 2, 2\r\n\r\n{}",
    "no length": OK + b"\r\n{}",
    "no length, and no body": OK + b"\r\n",
    "no reason": b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\n{}",
    "an empty reason": b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\n{}",
    "a reason with a tab and Latin-1": b"HTTP/1.1 200 \tGr\xfc\xdfe\r\nContent-Length: 2\r\n\r\n{}",
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    "line feeds alone": b"HTTP/1.1 200 OK\nContent-Length: 2\n\n{}",
    "the highest status": b"HTTP/1.1 999 OK\r\nContent-Length: 2\r\n\r\n{}",
    "a header without a value": OK + b"X:\r\nContent-Length: 2\r\n\r\n{}",
    "a header with white space around it": OK + b"X: \t a \t b \t\r\nContent-Length: 2\r\n\r\n{}",
    "a header with Latin-1": OK + b"X: Gr\xfc\xdfe\r\nContent-Length: 2\r\n\r\n{}",
    "a header with every token character": OK + b"!#$%&'*+-.^_`|~09azAZ: x\r\n\r\n{}",
    "a header with a colon in its value": OK + b"X: a:b\r\nContent-Length: 2\r\n\r\n{}",
    "chunks": CHUNKED + b"1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
    "chunks in capitals": OK + b"Transfer-Encoding: CHUNKED\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "no chunk but the last": CHUNKED + b"0\r\n\r\n",
    "a chunk in hexadecimal": CHUNKED
    + b"1a\r\n"
    + b"x" * 26
    + b"\r\n1A\r\n"
    + b"y" * 26
    + b"\r\n0\r\n\r\n",
    "a chunk with zeros before it": CHUNKED + b"0002\r\n{}\r\n000\r\n\r\n",
    "a chunk with white space after it": CHUNKED + b"2 \t\r\n{}\r\n0\r\n\r\n",
    "a chunk with extensions": CHUNKED + b'2;a;b="c d"\r\n{}\r\n0;x\r\n\r\n',
    "trailers": CHUNKED + b"2\r\n{}\r\n0\r\nX: y\r\nZ: \r\n\r\n",
    "chunks and a length": OK
    + b"Transfer-Encoding: chunked\r\nContent-Length: 9\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "interim responses": b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n" * 2 + OK + b"\r\n{}",
    "204": b"HTTP/1.1 204 No\r\n\r\n",
    "204 with a length": b"HTTP/1.1 204 No\r\nContent-Length: 2\r\n\r\n{}",
    "304 with a length": b"HTTP/1.1 304 No\r\nContent-Length: 2\r\n\r\n",
    "bytes after the body": OK + b"Content-Length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\n\r\n",
    "bytes after the last chunk": CHUNKED + b"0\r\n\r\n\r\n",
}


@pytest.mark.parametrize("data", ACCEPTED.values(), ids=ACCEPTED)
@pytest.mark.parametrize("method", ["DELETE", "HEAD"])
def test_a_valid_response_is_what_h11_reads(data: bytes, method: str) -> None:
    """Status, reason, headers and body are those of h11."""
    assert by_h11(data, method).status
    assert by_us(data, method=method).status
    check(data, method)


@pytest.mark.parametrize("data", ACCEPTED.values(), ids=ACCEPTED)
def test_a_response_is_the_same_however_it_arrives(data: bytes) -> None:
    """Whole, byte by byte, and cut in two at any place."""
    whole = by_us(data)
    splits = [(data[:at], data[at:]) for at in range(1, len(data))]
    for pieces in [[data[at : at + 1] for at in range(len(data))], *splits]:
        read = by_us(*pieces)
        # What arrives after the response is not waited for; the pool looks for it at the socket.
        assert read[:4] == whole[:4]


# What is rejected, by h11 too

LENGTH = b"Content-Length: 2\r\n\r\n{}"
REJECTED: dict[str, tuple[bytes, type[Exception]]] = {
    "nothing": (b"", RemoteDisconnected),
    "a body alone": (b'{"message": "Done."}', RemoteDisconnected),
    "a banner": (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", BadStatusLine),
    "an empty line first": (b"\r\n" + OK + LENGTH, BadStatusLine),
    "a space first": (b" " + OK + LENGTH, BadStatusLine),
    "lower case": (b"http/1.1 200 OK\r\n" + LENGTH, BadStatusLine),
    "a version of one number": (b"HTTP/1 200 OK\r\n" + LENGTH, BadStatusLine),
    "a version of two digits": (b"HTTP/1.10 200 OK\r\n" + LENGTH, BadStatusLine),
    "two spaces before the status": (b"HTTP/1.1  200 OK\r\n" + LENGTH, BadStatusLine),
    "a status of two digits": (b"HTTP/1.1 20 OK\r\n" + LENGTH, BadStatusLine),
    "a status of four digits": (b"HTTP/1.1 2000 OK\r\n" + LENGTH, BadStatusLine),
    "a status with a sign": (b"HTTP/1.1 +20 OK\r\n" + LENGTH, BadStatusLine),
    "a status of other digits": (b"HTTP/1.1 2\xb20 OK\r\n" + LENGTH, BadStatusLine),
    "no status": (b"HTTP/1.1 OK\r\n" + LENGTH, BadStatusLine),
    "a NUL in the reason": (b"HTTP/1.1 200 O\0K\r\n" + LENGTH, BadStatusLine),
    "a bare CR in the reason": (b"HTTP/1.1 200 O\rK\r\n" + LENGTH, BadStatusLine),
    "two CRs after the status line": (b"HTTP/1.1 200 OK\r\r\n" + LENGTH, BadStatusLine),
    "a form feed in the reason": (b"HTTP/1.1 200 O\fK\r\n" + LENGTH, BadStatusLine),
    "a status line cut": (b"HTTP/1.1 200", RemoteDisconnected),
    "headers cut": (OK + b"Server: x\r\n", RemoteDisconnected),
    "a header cut": (OK + b"Serv", RemoteDisconnected),
    "a header without a colon": (OK + b"Nonsense\r\n" + LENGTH, HTTPException),
    "a header without a name": (OK + b": x\r\n" + LENGTH, HTTPException),
    "a space before the colon": (OK + b"X : y\r\n" + LENGTH, HTTPException),
    "a name with a space": (OK + b"X Y: z\r\n" + LENGTH, HTTPException),
    "a name in Latin-1": (OK + b"\xfc: z\r\n" + LENGTH, HTTPException),
    "a first header that is folded": (OK + b" X: y\r\n" + LENGTH, HTTPException),
    "a NUL in a header": (OK + b"X: a\0b\r\n" + LENGTH, HTTPException),
    "a bare CR in a header": (OK + b"X: a\rb\r\n" + LENGTH, HTTPException),
    "a vertical tab in a header": (OK + b"X: a\vb\r\n" + LENGTH, HTTPException),
    "a vertical tab at the end of a header": (OK + b"X: a\v\r\n" + LENGTH, HTTPException),
    "two lengths": (OK + b"Content-Length: 3\r\n" + LENGTH, HTTPException),
    "two lengths in one header": (OK + b"Content-Length: 2, 3\r\n\r\n{}", HTTPException),
    "a length and nothing": (OK + b"Content-Length: 2,\r\n\r\n{}", HTTPException),
    "an empty length": (OK + b"Content-Length:\r\n\r\n{}", HTTPException),
    "a length of words": (OK + b"Content-Length: abc\r\n\r\n{}", HTTPException),
    "a length with a sign": (OK + b"Content-Length: +2\r\n\r\n{}", HTTPException),
    "a negative length": (OK + b"Content-Length: -2\r\n\r\n{}", HTTPException),
    "a length with an underscore": (OK + b"Content-Length: 0_2\r\n\r\n{}", HTTPException),
    "a length in hexadecimal": (OK + b"Content-Length: 0x2\r\n\r\n{}", HTTPException),
    "a length with NEL after it": (OK + b"Content-Length: 2\x85\r\n\r\n{}", HTTPException),
    "a length with NBSP after it": (OK + b"Content-Length: 2\xa0\r\n\r\n{}", HTTPException),
    "a length with a separator before it": (OK + b"Content-Length: \x1c2\r\n\r\n{}", HTTPException),
    "a length of 21 digits": (OK + b"Content-Length: " + b"0" * 21 + b"\r\n\r\n", HTTPException),
    "204 with a length of words": (b"HTTP/1.1 204 No\r\nContent-Length: x\r\n\r\n", HTTPException),
    "an interim response with a length of words": (
        b"HTTP/1.1 103 Early\r\nContent-Length: x\r\n\r\n" + OK + LENGTH,
        HTTPException,
    ),
    "a short body": (OK + b"Content-Length: 3\r\n\r\n{}", IncompleteRead),
    "no body": (OK + b"Content-Length: 3\r\n\r\n", IncompleteRead),
    "an unknown encoding": (OK + b"Transfer-Encoding: gzip\r\n\r\n", HTTPException),
    "two encodings": (OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n", HTTPException),
    "chunked twice": (OK + b"Transfer-Encoding: chunked\r\n" * 2 + b"\r\n", HTTPException),
    "chunked twice in one header": (
        OK + b"Transfer-Encoding: chunked,chunked\r\n\r\n",
        HTTPException,
    ),
    "an empty encoding": (OK + b"Transfer-Encoding:\r\n\r\n", HTTPException),
    "an encoding with a vertical tab": (
        OK + b"Transfer-Encoding: \vchunked\r\n\r\n",
        HTTPException,
    ),
    "a chunk of words": (CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n", HTTPException),
    "a chunk without a size": (CHUNKED + b"\r\n{}\r\n0\r\n\r\n", HTTPException),
    "a chunk with a sign": (CHUNKED + b"+2\r\n{}\r\n0\r\n\r\n", HTTPException),
    "a negative chunk": (CHUNKED + b"-2\r\n{}\r\n0\r\n\r\n", HTTPException),
    "a chunk of Python's hexadecimal": (CHUNKED + b"0x2\r\n{}\r\n0\r\n\r\n", HTTPException),
    "a chunk with an underscore": (CHUNKED + b"0_2\r\n{}\r\n0\r\n\r\n", HTTPException),
    "a chunk with a space before it": (CHUNKED + b" 2\r\n{}\r\n0\r\n\r\n", HTTPException),
    "a chunk with a space before an extension": (
        CHUNKED + b"2 ;x\r\n{}\r\n0\r\n\r\n",
        HTTPException,
    ),
    "a chunk size with a line feed alone": (CHUNKED + b"2\n{}\r\n0\r\n\r\n", HTTPException),
    "a chunk of 21 digits": (CHUNKED + b"0" * 20 + b"2\r\n{}\r\n0\r\n\r\n", HTTPException),
    "a chunk that is longer than its size": (CHUNKED + b"2\r\n{}}\r\n0\r\n\r\n", HTTPException),
    "a chunk with another end": (CHUNKED + b"2\r\n{}XX0\r\n\r\n", HTTPException),
    "a chunk that ends with a line feed alone": (CHUNKED + b"2\r\n{}\n0\r\n\r\n", HTTPException),
    "a chunk cut": (CHUNKED + b"3\r\n{}", IncompleteRead),
    "a chunk size cut": (CHUNKED + b"3", RemoteDisconnected),
    "the end of a chunk cut": (CHUNKED + b"2\r\n{}", RemoteDisconnected),
    "no last chunk": (CHUNKED + b"2\r\n{}\r\n", RemoteDisconnected),
    "the last chunk cut": (CHUNKED + b"2\r\n{}\r\n0\r\n", RemoteDisconnected),
    "trailers cut": (CHUNKED + b"2\r\n{}\r\n0\r\nX: y\r\n", RemoteDisconnected),
    "a trailer of words": (CHUNKED + b"2\r\n{}\r\n0\r\nwords\r\n\r\n", HTTPException),
    "a length in a trailer": (
        CHUNKED + b"2\r\n{}\r\n0\r\nContent-Length: x\r\n\r\n",
        HTTPException,
    ),
    "a coding in a trailer": (
        CHUNKED + b"2\r\n{}\r\n0\r\ntransfer-encoding: x\r\n\r\n",
        HTTPException,
    ),
    "interim responses alone": (b"HTTP/1.1 100 Continue\r\n\r\n" * 3, RemoteDisconnected),
    "another protocol": (b"HTTP/1.1 101 Up\r\nUpgrade: x\r\n\r\n{}", HTTPException),
}


@pytest.mark.parametrize(("data", "kind"), REJECTED.values(), ids=REJECTED)
def test_what_h11_rejects_is_rejected(data: bytes, kind: type[Exception]) -> None:
    """A cut is told from what is malformed; neither has a body that could pass for a success."""
    with pytest.raises(h11.RemoteProtocolError):
        by_h11(data)
    for pieces in ([data], [data[at : at + 1] for at in range(len(data))]):
        with pytest.raises((HTTPException, OSError)) as caught:
            by_us(*pieces)
        assert type(caught.value) is kind


# What our reader alone rejects

STRICTLY_REJECTED = {
    "HTTP/2.0": b"HTTP/2.0 200 OK\r\n" + LENGTH,
    "HTTP/1.2": b"HTTP/1.2 200 OK\r\n" + LENGTH,
    "HTTP/0.9 with a status": b"HTTP/0.9 200 OK\r\n" + LENGTH,
    "an escape in the reason": b"HTTP/1.1 200 O\x1bK\r\n" + LENGTH,
    "a DEL in the reason": b"HTTP/1.1 200 O\x7fK\r\n" + LENGTH,
    "a folded header": OK + b"X: y\r\n z\r\n" + LENGTH,
    "a header of white space": OK + b"X: y\r\n \r\n" + LENGTH,
    "a folded trailer": CHUNKED + b"0\r\nX: y\r\n z\r\n\r\n",
    "an escape in an extension": CHUNKED + b"2;\x1b\r\n{}\r\n0\r\n\r\n",
    "a bare CR in an extension": CHUNKED + b"2;a\rb\r\n{}\r\n0\r\n\r\n",
    "a chunk of 20 digits": CHUNKED + b"0" * 19 + b"2\r\n{}\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("data", STRICTLY_REJECTED.values(), ids=STRICTLY_REJECTED)
def test_a_response_is_read_more_strictly_than_h11_reads_it(data: bytes) -> None:
    """These are all of the differences, and each is one that `STRICTER` names."""
    assert by_h11(data).status
    assert is_stricter(data)
    with pytest.raises(HTTPException):
        by_us(data)


# Anything at all

TOKENS = st.sampled_from(
    [
        *(b"\r", b"\n", b"\r\n", b" ", b"\t", b"\0", b"\v", b"\f", b"\x1c", b"\x7f", b"\x85"),
        *(b"\xa0", b":", b",", b";", b"0", b"2", b"a", b"F", b"x", b"-", b"+", b"_", b"chunked"),
        *(b"HTTP/1.1 ", b"HTTP/1.0 ", b"100", b"101", b"200", b"204", b"304", b"close"),
        *(b"Content-Length: 2\r\n", b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n"),
    ]
)


@st.composite
def mutations(draw: st.DrawFn) -> bytes:
    """A valid response with up to four places changed."""
    data = draw(st.sampled_from(list(ACCEPTED.values())))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        end = at + draw(st.integers(0, 3))
        data = data[:at] + draw(TOKENS | st.just(b"")) + data[end:]
    return data


@given(data=mutations(), method=st.sampled_from(["DELETE", "GET", "HEAD"]))
@example(data=OK + b"Content-Length: 2\x85\r\n\r\n{}", method="DELETE")
@settings(max_examples=400, deadline=None)
def test_a_mutated_response_is_what_h11_reads(data: bytes, method: str) -> None:
    """h11 is the reference: both reject it, or both read the same, or `STRICTER` says why not."""
    check(data, method)


# Reuse


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (OK + b"Content-Length: 2\r\n\r\n{}", True),
        (OK + b"Content-Length: 0\r\n\r\n", True),
        (OK + b"Connection: keep-alive\r\nContent-Length: 2\r\n\r\n{}", True),
        (OK + b"Connection: close-not\r\nContent-Length: 2\r\n\r\n{}", True),
        (OK + b"Connection: close\r\nContent-Length: 2\r\n\r\n{}", False),
        (OK + b"Connection: x , CLOSE\r\nContent-Length: 2\r\n\r\n{}", False),
        (OK + b"Connection: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", False),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n{}", False),
        (OK + b"\r\n{}", False),
        (CHUNKED + b"2\r\n{}\r\n0\r\n\r\n", True),
        (
            OK + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
            False,
        ),
        (b"HTTP/1.1 204 No\r\n\r\n", True),
        (b"HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.1 204 No\r\nContent-Length: 2\r\n\r\n", False),
        (b"HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n", False),
        (b"HTTP/1.1 304 No\r\nContent-Length: 2\r\n\r\n", True),
        (OK + b"Content-Length: 2\r\n\r\n{}\r\n", False),
        (OK + b"Content-Length: 2\r\n\r\n{}" + OK + b"\r\n", False),
        (CHUNKED + b"0\r\n\r\n\0", False),
        (b"HTTP/1.1 204 No\r\n\r\n{}", False),
    ],
)
def test_a_connection_is_reusable_only_if_the_response_allows_it(
    data: bytes, expected: bool
) -> None:
    """Bytes after a response, a claimed body, a close and an old version all forbid it."""
    assert by_us(data).is_reusable is expected


def test_a_connection_is_not_reusable_before_the_body_was_read() -> None:
    """The rest of it would be taken for the next response."""
    response = response_to(OK + LENGTH)
    assert not response.leaves_connection_clean
    assert response.read(1) == b"{"
    assert not response.leaves_connection_clean
    assert response.read(1) == b"}"
    assert response.leaves_connection_clean


def test_a_body_that_is_discarded_ends_the_connection() -> None:
    """Closing a response that was read leaves the connection alone."""
    half, whole = response_to(OK + LENGTH), response_to(OK + LENGTH)
    half.read(1)
    whole.read()
    for response in (half, whole):
        response.close()
        assert response.isclosed()
        assert response.closed
        assert response.read() == b""
    assert not half.leaves_connection_clean
    assert whole.leaves_connection_clean


def test_a_response_to_head_has_no_body() -> None:
    """Whatever its headers claim."""
    for framing in (b"Content-Length: 2\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n"):
        read = by_us(OK + framing, method="HEAD")
        assert (read.body, read.is_reusable) == (b"", True)


# Limits


def test_a_line_may_have_64_kib() -> None:
    """One byte more is rejected, also if the line has no end."""
    longest = b"X: " + b"x" * ((1 << 16) - len("X: \r")) + b"\r"
    assert by_us(OK + longest + b"\n" + LENGTH).body == b"{}"
    for data in (OK + b"X" + longest + b"\n" + LENGTH, OK + b"X" + longest):
        with pytest.raises(HTTPException, match="line is too long"):
            by_us(data)


def test_a_response_may_have_100_headers_and_100_trailers() -> None:
    """One more is rejected."""
    for start, end in ((OK, b"\r\n"), (CHUNKED + b"0\r\n", b"\r\n")):
        assert by_us(start + b"X: y\r\n" * 100 + end).status == 200
        with pytest.raises(HTTPException, match="too many headers"):
            by_us(start + b"X: y\r\n" * 101 + end)


@pytest.mark.parametrize(
    "data",
    [
        OK + b"Content-Length: 10\r\n\r\n" + b"x" * 10,
        OK + b"\r\n" + b"x" * 10,
        CHUNKED + b"5\r\nxxxxx\r\n" * 2 + b"0\r\n\r\n",
    ],
    ids=["a length", "no length", "chunks"],
)
def test_a_body_may_have_the_most_bytes_allowed(data: bytes) -> None:
    """One byte more is too large, however it is framed."""
    assert response_to(data).read_all(10) == b"x" * 10
    with pytest.raises(TooLarge):
        response_to(data).read_all(9)


def test_a_body_that_claims_to_be_too_large_is_not_read() -> None:
    """Nothing of it is waited for."""
    response = response_to(OK + b"Content-Length: 8589934592\r\n\r\n")
    with pytest.raises(TooLarge):
        response.read_all(MOST)


# Reading as urllib3, http.client and others do


def test_a_body_is_read_in_amounts() -> None:
    """As many bytes as asked for at most, and never more than there are."""
    for data in (OK + b"Content-Length: 5\r\n\r\nhello", CHUNKED + b"5\r\nhello\r\n0\r\n\r\n"):
        response = response_to(data)
        assert response.read(0) == b""
        assert [response.read(2) for _ in range(4)] == [b"he", b"ll", b"o", b""]
        assert response_to(data).read(100) == b"hello"
        assert response_to(data).read() == response_to(data).read(-1) == b"hello"
        assert response_to(data).read1(4) == b"hell"


def test_a_body_is_asked_for_in_pieces() -> None:
    """No more than the rest of it is read from the connection, and no more than 16 KiB at once."""
    asked = []
    rest = [OK + b"Content-Length: 20000\r\n\r\n", b"x" * 16384, b"x" * 3616]

    def recv(size: int) -> bytes:
        asked.append(size)
        return rest.pop(0)

    response = Response(Stream(recv))
    response.begin()
    assert len(response.read_all(MOST)) == 20000
    assert asked == [16384, 16384, 3616]


def test_a_response_shows_no_body_to_those_who_patch_http_client() -> None:
    """Sentry would leave its span open until http.client's own class has read a body."""
    response = response_to(OK + b"Content-Length: 5\r\n\r\nhello")
    assert (response.length, response.chunked) == (0, False)
    assert response.read() == b"hello"


def test_a_response_has_its_version_and_stays_open() -> None:
    """http.client would close the connection of one that says `will_close`."""
    for version, number in ((b"HTTP/1.0", 10), (b"HTTP/1.1", 11)):
        response = response_to(version + b" 200 OK\r\n\r\n")
        assert (response.version, response.will_close) == (number, False)
        response.flush()


def test_headers_are_read_without_regard_to_case() -> None:
    """Repeated ones are joined, as http.client does."""
    response = response_to(OK + b"X-One: a\r\nx-one: b\r\nEmpty:\r\n\r\n")
    assert response.getheader("X-ONE") == "a, b"
    assert response.getheader("Other") is None
    assert response.getheader("Other", "default") == "default"
    assert response.getheader("Empty", "default") == ""
    assert response.getheaders() == [("X-One", "a"), ("x-one", "b"), ("Empty", "")]


def test_a_bad_status_line_is_shown_in_part() -> None:
    """An error does not carry 64 KiB of garbage."""
    with pytest.raises(BadStatusLine) as caught:
        by_us(b"x" * 1000 + b"\r\n")
    assert caught.value.line == "x" * 80


def lines_of(stream: Stream) -> Iterator[bytes]:
    while True:
        yield stream.until(b"\n")


def test_a_stream_keeps_what_was_not_read() -> None:
    """Lines and bytes can be read in turn."""
    stream = stream_of([b"a\nb", b"b\ncc", b"\n", b"rest", b"more"])
    lines = lines_of(stream)
    assert next(lines) == b"a"
    assert not stream.is_empty
    assert next(lines) == b"bb"
    assert stream.read(1) == b"c"
    assert stream.read(10) == b"c"
    assert stream.is_empty
    assert next(lines) == b""
    assert [stream.read(3), stream.read(3), stream.read(10), stream.read(1)] == [
        *(b"res", b"t", b"more", b"")
    ]
