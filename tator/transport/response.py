"""Bytes → one response, read strictly; it knows a connection as "something with recv"."""

from __future__ import annotations

import re
from collections.abc import Callable
from http.client import BadStatusLine, HTTPException, IncompleteRead, RemoteDisconnected
from typing import TypeAlias

from tator.transport.limits import TooLarge

Fields: TypeAlias = "dict[str, list[str]]"  # values by name, in lower case

_PIECE = 1 << 14  # bytes; as many as an error keeps of a page, so the memory of one serves the next
_LONGEST_LINE = 1 << 16  # bytes, a CR at its end included
_MOST_HEADERS = 100
_STATUS_LINE = re.compile(r"HTTP/1\.([01]) ([1-9][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*))?")
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\0\r\n\v\f]*)")
# Compiled when the first chunk arrives, which few servers send.
_CHUNK = rb"([0-9A-Fa-f]{1,16})(?:[ \t]*|;[\t\x20-\x7e\x80-\xff]*)"
_LONGEST_NUMBER = 20  # digits


class Stream:
    """What arrives on a connection for one response; the next response has another stream.

    Args:
        recv: Takes a number of bytes, and returns up to that many; none at the end.
    """

    def __init__(self, recv: Callable[[int], bytes]) -> None:
        self._recv = recv
        self._kept = b""
        self._at = 0  # everything before it was read

    @property
    def is_empty(self) -> bool:
        """Whether everything that arrived was read."""
        return self._at == len(self._kept)

    def until(self, end: bytes) -> bytes:
        """Read up to `end`, which is dropped.

        Raises:
            RemoteDisconnected: If the connection ended first.
            HTTPException: If it is not within 64 KiB.
        """
        while True:
            kept, start = self._kept, self._at
            place = kept.find(end, start)
            if (len(kept) if place < 0 else place) - start > _LONGEST_LINE:
                raise HTTPException("a line is too long")
            if place >= 0:
                self._at = place + len(end)
                return kept[start:place]
            piece = self._recv(_PIECE)
            if not piece:
                raise RemoteDisconnected("closed before the end of the response")
            self._kept, self._at = self._kept[self._at :] + piece, 0

    def line(self) -> str:
        """Read a line that ends with CRLF, or with LF alone, as RFC 9112 permits.

        Only lines of a head and of trailers: the lines around chunks must end with CRLF.
        """
        return self.until(b"\n").removesuffix(b"\r").decode("latin-1")

    def read(self, most: int) -> bytes:
        """Read up to `most` bytes; none at the end of the connection."""
        if self.is_empty:
            return self._recv(min(most, _PIECE))
        piece = self._kept[self._at : self._at + most]
        self._at += len(piece)
        if self.is_empty:
            self._kept, self._at = b"", 0
        return piece


class Response:
    """One response, with the methods that http.client and urllib3 call on http.client's class.

    Args:
        stream: Where it arrives.
        method: The method of the request.

    Attributes:
        status, reason, version: Its status line; `version` is 10 or 11.
        headers: Names and values, in order.
        chunked, length: Not those of this response, but always those of one without a body.
            http.client does not read them, but libraries that patch it do: Sentry would keep its
            span open until http.client's own class has read a body.
        will_close: Always `False`: with `True`, http.client would close the connection before the
            body is read. What happens to it then depends on `leaves_connection_clean`.
    """

    will_close = False
    chunked = False
    length = 0

    def __init__(self, stream: Stream, method: str | None = None) -> None:
        self._stream = stream
        self._is_head = method == "HEAD"
        self._keeps_alive = False
        self._is_after_chunk = False  # the CRLF that ends its data is not read yet
        self.status: int = 0
        self.reason: str = ""
        self.version: int = 11
        self.headers: list[tuple[str, str]] = []
        self._by_name: Fields = {}
        self._chunked = False
        # Bytes of the body, or of its current chunk. None: before the first chunk, after the last
        # one, and if the body ends only with the connection.
        self._left: int | None = None
        self._is_read = False

    def begin(self) -> None:
        """Read everything before the body; interim responses are skipped."""
        while True:
            status_line = self._stream.line()
            match = _STATUS_LINE.fullmatch(status_line)
            if match is None:
                raise BadStatusLine(status_line[:80])
            minor, digits, self.reason = match.groups(default="")
            self.status, self.version = int(digits), 10 + int(minor)
            self.headers, self._by_name = self._read_headers()
            length, is_chunked = _framing(self._by_name)
            if self.status == 101:
                raise HTTPException("the server switched to a protocol that was not requested")
            if self.status >= 200:
                break
        self._begin_body(length, is_chunked)

    def _read_headers(self) -> tuple[list[tuple[str, str]], Fields]:
        headers: list[tuple[str, str]] = []
        by_name: Fields = {}
        while line := self._stream.line():
            match = _HEADER.fullmatch(line)
            if match is None:
                raise HTTPException("a header is malformed")
            if len(headers) == _MOST_HEADERS:
                raise HTTPException("there are too many headers")
            name, value = match[1], match[2].rstrip(" \t")
            headers.append((name, value))
            by_name.setdefault(name.lower(), []).append(value)
        return headers, by_name

    def _begin_body(self, length: int | None, is_chunked: bool) -> None:
        """Find out how the body ends, and whether the connection stays open after it."""
        options = [option.lower() for option in _items(self._by_name, "connection")]
        may_follow = self.version == 11 and "close" not in options
        if self._is_head or self.status == 304:
            self._left = 0
        elif self.status == 204:
            # It has no body, whatever it claims: what follows belongs to no response.
            self._left, may_follow = 0, may_follow and not (is_chunked or length)
        elif is_chunked:
            # Beside a length it may be an attempt to smuggle another response.
            self._chunked, may_follow = True, may_follow and length is None
        else:
            self._left, may_follow = length, may_follow and length is not None
        self._keeps_alive = may_follow
        self._is_read = self._left == 0

    def read_all(self, most: int) -> bytes:
        """Read the whole body.

        Raises:
            TooLarge: If it has more than `most` bytes.
        """
        if not self._chunked and self._left is not None and self._left > most:
            raise TooLarge
        pieces = []
        while piece := self.read(_PIECE):
            pieces.append(piece)
            most -= len(piece)
            if most < 0:
                raise TooLarge
        return b"".join(pieces)

    def read(self, amount: int | None = None) -> bytes:
        """Read up to `amount` bytes of the body, or all of it without an amount.

        Raises:
            IncompleteRead: If the connection ends before the body does.
            HTTPException: If a chunk is malformed.
        """
        if amount is None or amount < 0:
            return b"".join(iter(lambda: self.read(_PIECE), b""))
        if self._is_read or not amount:
            return b""
        if self._chunked and not self._left:
            self._next_chunk()
            if self._is_read:
                return b""
        piece = self._stream.read(amount if self._left is None else min(amount, self._left))
        if self._left is None:
            self._is_read = not piece
            return piece
        if not piece:
            raise IncompleteRead(b"", self._left)
        self._left -= len(piece)
        self._is_read = self._left == 0 and not self._chunked
        return piece

    read1 = read

    def _next_chunk(self) -> None:
        """Read up to the data of the next chunk, or to the end of the trailers."""
        # The data of each chunk ends with a CRLF.
        if self._is_after_chunk and self._stream.until(b"\r\n"):
            raise HTTPException("a chunk is longer than its size")
        match = re.fullmatch(_CHUNK, self._stream.until(b"\r\n"))
        if match is None:
            raise HTTPException("the size of a chunk is not a number")
        self._is_after_chunk, self._left = True, int(match[1], 16)
        if self._left == 0:
            # Headers may follow the last chunk. They are dropped, but malformed ones are rejected.
            _framing(self._read_headers()[1])
            self._left, self._is_read = None, True

    def isclosed(self) -> bool:
        """Tell whether there is nothing left to read."""
        return self._is_read

    @property
    def closed(self) -> bool:
        """Whether there is nothing left to read."""
        return self._is_read

    @property
    def leaves_connection_clean(self) -> bool:
        """Whether another request can follow: nothing is left to read, and the server agrees.

        Bytes left in the stream were sent after this response, but before any other request, so
        they are the response to none.
        """
        return self._is_read and self._keeps_alive and self._stream.is_empty

    def close(self) -> None:
        """Read no more; a connection with a body half read is not used again."""
        if not self._is_read:
            self._is_read, self._keeps_alive = True, False

    def flush(self) -> None:
        """Do nothing: urllib3 calls it on what it reads from."""

    def getheader(self, name: str, default: str | None = None) -> str | None:
        """Return the values of a header, joined by commas; `default` if it is absent."""
        values = self._by_name.get(name.lower())
        return default if values is None else ", ".join(values)

    def getheaders(self) -> list[tuple[str, str]]:
        """Return names and values, in order."""
        return self.headers


def _items(fields: Fields, name: str) -> list[str]:
    """Return the items of a header that is a comma-separated list."""
    if name not in fields:
        return []
    # Bare strip() would drop other characters, too, and turn "2\x85" into a number.
    return [item.strip(" \t") for value in fields[name] for item in value.split(",")]


def _framing(fields: Fields) -> tuple[int | None, bool]:
    """Return the length that the headers claim, and whether the body has chunks.

    Raises:
        HTTPException: If they are malformed, among the trailers too.
    """
    encodings = [value.lower() for value in fields.get("transfer-encoding", [])]
    lengths = set(_items(fields, "content-length"))
    if encodings and encodings != ["chunked"]:
        raise HTTPException("the Transfer-Encoding is unknown")
    if len(lengths) > 1 or not all(map(_is_number, lengths)):
        raise HTTPException("the Content-Length is not a single number")
    return int(lengths.pop()) if lengths else None, bool(encodings)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER
