"""The time and the bytes that an attempt has left, and name lookup within them."""

from __future__ import annotations

import copy
import os
import queue
import socket
import time
from math import inf
from typing import Any, TypeAlias

from urllib3.util import Timeout as Urllib3Timeout
from urllib3.util import connection

from tator import threads
from tator.checks import LONGEST_WAIT, Timeout

Addresses: TypeAlias = "list[tuple[Any, ...]]"


class TooLarge(Exception):
    """The response has more bytes than it may have."""


class TimeLeft(float):
    """The seconds left, and their limits, which `Connection.timeout` takes when urllib3 sets it."""

    limits: Limits


class Limits(Urllib3Timeout):
    """The time and the bytes that one attempt has left, and what it has done so far.

    urllib3 hands a timeout down to the connection that works for an attempt: this one.

    Args:
        timeout: Seconds for the attempt, or a pair (connect, read).
        ends: When the whole call ends, on the monotonic clock.
        allowance: Bytes that may arrive.
    """

    def __init__(self, timeout: Timeout, ends: float, allowance: float) -> None:
        super().__init__()
        self._ends = ends
        self._connect_seconds = self._read_seconds = inf
        if isinstance(timeout, tuple):
            connect, read = timeout
            self._connect_seconds = inf if connect is None else connect
            self._read_seconds = inf if read is None else read
        elif timeout is not None:
            self._ends = min(ends, time.monotonic() + timeout)
        # The phase that the read timeout limits: a reused connection never calls `connecting`.
        self._phase_ends = self._ends
        self._longest_wait = self._read_seconds  # of one operation on the socket
        self.allowance: float = allowance
        self.connection: Any = None  # that works for the attempt
        self.sent = False  # the request may have left

    def connecting(self) -> None:
        """Begin the phase that the connect timeout limits."""
        self._phase_ends = min(self._ends, time.monotonic() + self._connect_seconds)
        self._longest_wait = inf

    def connected(self) -> None:
        """End that phase."""
        self._phase_ends, self._longest_wait = self._ends, self._read_seconds

    def wait(self) -> float:
        """Return the seconds that the next operation may block.

        Raises:
            TimeoutError: If none are left.
        """
        left = self._phase_ends - time.monotonic()
        if left <= 0:
            raise TimeoutError("the time is up")
        return min(left, self._longest_wait, LONGEST_WAIT)

    def arrived(self, count: int) -> None:
        """Count bytes that arrived.

        Raises:
            TooLarge: If more arrived than is allowed.
        """
        self.allowance -= count
        if self.allowance < 0:
            raise TooLarge

    def discard(self) -> None:
        """Close the connection, unless it went back to the idle ones, which let go of it here."""
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.close()

    def clone(self) -> Limits:
        """Return these limits: urllib3 copies them for each attempt, and they are for one only."""
        return self

    def start_connect(self) -> float:
        """Do nothing: the time of an attempt has begun."""
        return 0.0

    @property
    def connect_timeout(self) -> TimeLeft:
        """What urllib3 passes to the connection before the request."""
        left = TimeLeft(self.wait())
        left.limits = self
        return left

    @property
    def read_timeout(self) -> TimeLeft:
        """What urllib3 passes to the connection before the response; `wait` knows the phase."""
        return self.connect_timeout


class _LookUp:
    """The lookup of a name, on a thread that all calls for this name wait for."""

    def __init__(self) -> None:
        self.waiting: list[queue.SimpleQueue[None]] = []
        self.result: Addresses | BaseException | None = None

    def run(self, key: tuple[Any, ...]) -> None:
        """Look the name up, and tell everyone who waits."""
        _, getaddrinfo, *args = key
        try:
            self.publish(getaddrinfo(*args, socket.SOCK_STREAM))
        except BaseException as error:  # such as pytest.fail() in a replaced getaddrinfo
            self.publish(error)
        finally:
            self.forget(key)

    def forget(self, key: tuple[Any, ...]) -> None:
        """Let the next call look the name up again, unless a later lookup is already at work."""
        if _look_ups.get(key) is self:
            _look_ups.pop(key, None)

    def publish(self, result: Addresses | BaseException) -> None:
        """Keep the first result, and tell everyone who waits."""
        if self.result is None:  # else `resolve` was interrupted after it had started `run`
            self.result = result
        for waiting in tuple(self.waiting):
            waiting.put(None)

    def wait(self, seconds: float, is_first: bool) -> Addresses:
        """Return the addresses, or raise what the lookup raised.

        Args:
            seconds: How long to wait at most.
            is_first: Whether this call began the lookup: it raises the exception itself, and the
                others raise copies, since each raise changes the traceback of what it raises.
        """
        news: queue.SimpleQueue[None] = queue.SimpleQueue()
        self.waiting.append(news)
        if self.result is None:
            try:
                news.get(timeout=seconds)
            except queue.Empty:
                self.waiting.remove(news)
                raise TimeoutError("the name was not resolved in time") from None
        if isinstance(self.result, BaseException):
            raise self.result if is_first else _copy_of(self.result)
        return self.result or []


def _copy_of(error: BaseException) -> BaseException:
    try:
        copied = copy.copy(error)
    except Exception:
        return error  # its class can't be copied
    copied.__cause__, copied.__suppress_context__ = error.__cause__, error.__suppress_context__
    return copied.with_traceback(error.__traceback__)


_look_ups: dict[tuple[Any, ...], _LookUp] = {}


def resolve(host: str, port: int, seconds: float) -> Addresses:
    """Return the addresses of a name, looked up as urllib3 does.

    The system's resolver has no time limit, so it works on a thread: one for each name.
    """
    family = connection.allowed_gai_family()
    literal = family_of(host)
    if literal is not None:
        # A lookup would load the codec of international names. A replaced resolver, such as
        # gevent's, is asked anyway, and so is the system's for a family that is not allowed.
        if family in (socket.AF_UNSPEC, literal) and socket.getaddrinfo.__module__ == "socket":
            address = (host, port) if literal == socket.AF_INET else (host, port, 0, 0)
            return [(literal, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", address)]
        return socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
    key = (os.getpid(), socket.getaddrinfo, host, port, family)
    mine = _LookUp()
    try:
        look_up = _look_ups.setdefault(key, mine)
        if look_up is mine and not threads.start(mine.run, key, name="tator-resolver"):
            mine.run(key)
    except BaseException as error:
        # Nobody else would end this lookup, and others may already be waiting for it.
        mine.forget(key)
        mine.publish(OSError(f"the name could not be looked up: {error}"))
        raise
    return look_up.wait(seconds, is_first=look_up is mine)


def family_of(host: str) -> int | None:
    """Return the family of an IP address; `None` for a name."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
        except (OSError, ValueError):
            continue
        return family
    return None
