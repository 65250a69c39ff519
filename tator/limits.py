"""How long one try may take and how much may arrive, kept by every operation on its socket.

urllib3 and http.client start their time limits anew with every byte, and take some cut or garbled
answers for whole ones. What is here stands below them: the limits, the stream of bytes and the
answer that are read within them, and the look-up of a name.
"""

from __future__ import annotations

import http.client
import io
import queue
import re
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, cast

from tator.configuration import Timeout

LARGEST_BODY = 1 << 20  # bytes
_LARGEST_ANSWER = 2 * LARGEST_BODY  # bytes; headers, interim answers and chunk marks included
_LONGEST_LINE = 1 << 16  # bytes
_MOST_HEADERS = 100


class TooLarge(Exception):
    """The answer is larger than any of Tator's."""


class Limits:
    """What one try may still take, and what it has done so far.

    The connection finds it in `current`, since urllib3 hands nothing of ours down to it.
    """

    def __init__(self, now: float, timeout: Timeout, ends: float | None) -> None:
        if isinstance(timeout, tuple):
            self.connect, self.silence = timeout
        else:
            self.connect, self.silence = timeout, None
            ends = earlier(ends, now, timeout)
        self.ends = ends  # when the try ends, on the monotonic clock
        self.until = ends  # when the phase that it is in ends
        self.each = self.silence  # seconds that one operation of the phase may block
        self.allowance: int | None = _LARGEST_ANSWER  # bytes that may still arrive
        self.connection: Any = None  # that is lent to the try
        self.connected = False  # a new connection was made
        self.sent = False  # the request may have left
        self.received = False  # something came back
        self.retry = False  # the failure is one that another try may mend

    def wait(self) -> float | None:
        """Seconds that the next operation may block; TimeoutError if there are none left."""
        if self.until is None:
            return self.each
        left = self.until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the time is up")
        return left if self.each is None or left < self.each else self.each


current = threading.local()  # its `limits` are those of the try that the thread is at


class _Stream(io.RawIOBase):
    """A socket's stream that gives each read the time that is left: urllib3's limits start anew
    with every byte."""

    def __init__(self, sock: socket.socket, limits: Limits) -> None:
        # A file of the socket's own keeps it open until the answer is read, as http.client expects.
        self._raw = sock.makefile("rb", buffering=0)
        self._sock = sock
        self._limits = limits

    def makefile(self, mode: str) -> io.BufferedReader:
        """What http.client reads from."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        limits = self._limits
        self._sock.settimeout(limits.wait())
        count = cast(int, self._raw.readinto(buffer))
        limits.received = limits.received or count > 0
        if limits.allowance is not None:
            limits.allowance -= count
            if limits.allowance < 0:
                raise TooLarge
        return count

    def close(self) -> None:
        super().close()
        self._raw.close()


class Response(http.client.HTTPResponse):
    """An answer whose every read keeps the limits, and whose headers are read strictly."""

    # http.client's own, unknown to typeshed.
    _method: str | None
    _check_close: Callable[[], bool]
    _close_conn: Callable[[], None]

    def __init__(self, sock: Any, *args: Any, **options: Any) -> None:
        super().__init__(_Stream(sock, current.limits), *args, **options)  # type: ignore[arg-type]  # it has makefile()

    def begin(self) -> None:
        """Read everything before the body.

        http.client's own takes a cut for the end of the headers and a length that is no number
        for none, and its parser, made for e-mail, needs a tenth of the time of a call.
        """
        version, status, reason = self._read_status()
        headers = self._read_headers()
        self.version = 10 if version == "HTTP/1.0" else 11
        self.code = self.status = status
        self.reason = reason
        self.headers = self.msg = headers
        encoding = headers["Transfer-Encoding"]
        claimed = headers["Content-Length"]
        if encoding is not None and encoding.lower() != "chunked":
            raise http.client.HTTPException("the Transfer-Encoding is unknown")
        if claimed is not None and not claimed.isdecimal():
            raise http.client.HTTPException("the Content-Length is no number")
        self.chunked = encoding is not None
        self.chunk_left = None
        self.length = None
        if status in (101, 204, 304) or self._method == "HEAD":
            self.length, self.chunked = 0, False
        elif claimed is not None and not self.chunked:
            self.length = int(claimed)
        # After a 101 it is HTTP no more, and a 204 has no body: what follows would be stray bytes.
        strays = status == 101 or (status == 204 and (encoding or claimed not in (None, "0")))
        open_end = self.length is None and not self.chunked
        self.will_close = bool(strays) or open_end or self._check_close()

    def _read_status(self) -> tuple[str, int, str]:
        while True:
            line = self._read_line()
            match = _STATUS_LINE.fullmatch(line)
            if match is None:
                raise http.client.BadStatusLine(line.strip())
            version, digits, reason = match.groups(default="")
            status = int(digits)
            if status >= 200 or status == 101:
                return version, status, reason.strip()
            # http.client skips 100 alone, though every 1xx but 101 announces another answer.
            self._read_headers()

    def _read_headers(self) -> http.client.HTTPMessage:
        headers = http.client.HTTPMessage()
        while (line := self._read_line()) not in ("\r\n", "\n"):
            match = _HEADER.fullmatch(line)
            if match is None:
                raise http.client.HTTPException("a header is garbled")
            if len(headers) >= _MOST_HEADERS:
                raise http.client.HTTPException("there are too many headers")
            headers[match[1]] = match[2].strip()
        return headers

    def _get_chunk_left(self) -> int | None:
        # http.client's own takes any bytes for the end of a chunk, and a cut for that of a trailer.
        if not self.chunk_left:
            if self.chunk_left is not None and self.fp.read(2) != b"\r\n":
                raise http.client.HTTPException("a chunk is garbled")
            line = self.fp.readline(_LONGEST_LINE)
            match = _CHUNK_SIZE.fullmatch(line)
            if match is None and line:
                raise http.client.HTTPException("the size of a chunk is no number")
            if match is None:
                raise http.client.RemoteDisconnected("closed before the last chunk")
            self.chunk_left = int(match[1], 16)
            if self.chunk_left == 0:
                self._read_headers()
                self._close_conn()
                self.chunk_left = None
        return self.chunk_left

    def _read_line(self) -> str:
        line = self.fp.readline(_LONGEST_LINE)
        if not line.endswith(b"\n"):
            if len(line) == _LONGEST_LINE:
                raise http.client.LineTooLong("header")
            raise http.client.RemoteDisconnected("closed before the end of an answer")
        return str(line, "latin-1")


_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([^\0\r\n]*)\r?\n")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(;[^\0\r\n]*)?\r?\n")
_STATUS_LINE = re.compile(r"(HTTP/1\.[0-9]) +([1-9][0-9]{2})( .*)?\r?\n")


def resolve(host: str, port: int, wait: float | None) -> list[Any]:
    """The addresses of a name, waited for in a thread: the system's resolver has no time limit."""
    try:
        flags = socket.AI_NUMERICHOST
        # As bytes, since a string would load the codec for international names.
        return socket.getaddrinfo(host.encode(), port, type=socket.SOCK_STREAM, flags=flags)
    except socket.gaierror:
        pass
    answers: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            answers.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except Exception as error:
            answers.put(error)

    threading.Thread(target=look_up, name="tator-resolver", daemon=True).start()
    try:
        answer = answers.get(timeout=wait)
    except queue.Empty:
        raise TimeoutError("the name was not resolved in time") from None
    if isinstance(answer, Exception):
        raise answer
    return cast("list[Any]", answer)


def earlier(ends: float | None, now: float, seconds: float | None) -> float | None:
    """The moment `ends`, or the one in so many seconds where that comes first."""
    if seconds is None:
        return ends
    return now + seconds if ends is None else min(ends, now + seconds)
