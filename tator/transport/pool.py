"""The idle connections to one host, and urllib3's pool around them."""

from __future__ import annotations

import queue
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from math import inf
from typing import Any, ClassVar, cast

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from tator.transport.connection import Connection, TlsConnection


class Idle:
    """Idle connections, in place of urllib3's queue; the last one put is the first to be used.

    Each step is one operation on a list, so no interrupt can leave a lock behind. It limits the
    connections that are kept, not those in use.

    Args:
        maxsize: How many are kept.
    """

    def __init__(self, maxsize: int) -> None:
        self.maxsize: int = maxsize
        self.expiry = inf  # seconds that a connection may be idle
        self.is_bypassed: Callable[[], bool] = lambda: False
        self._connections: list[Connection] = []

    def qsize(self) -> int:
        """Return how many connections `get` can return; with a recorder there are none."""
        return 0 if self.is_bypassed() else len(self._connections)

    def empty(self) -> bool:
        """Tell whether there are none; VCR.py before 9 asks."""
        return not self.qsize()

    def get(self, block: bool = False, timeout: float | None = None) -> Connection:
        """Take a connection out.

        Raises:
            queue.Empty: If there is none; urllib3 makes a new one then.
        """
        if not self.is_bypassed():
            try:
                return self._connections.pop()
            except IndexError:
                raise queue.Empty from None
        raise queue.Empty

    def put(self, connection: Any, block: bool = False) -> None:
        """Keep a connection if another request can follow on it, else close it."""
        # urllib3 fills a new pool with `None`, in place of connections to come.
        if connection is None or connection in self._connections:
            return
        if not (isinstance(connection, Connection) and connection.is_reusable):
            connection.close()
            return
        connection.limits.connection = None
        now = time.monotonic()
        connection.expires = now + self.expiry
        self._connections.append(connection)
        try:
            while len(self._connections) > self.maxsize or self._connections[0].expires <= now:
                self._close(0)
        except IndexError:  # suppress() would cost as much as all of this method
            pass

    def retire(self) -> None:
        """Close all, now and when they are put back."""
        self.maxsize = 0
        while self._connections:
            self._close(-1)

    def _close(self, place: int) -> None:
        with suppress(IndexError):  # another thread was faster
            self._connections.pop(place).close()


class Pool(HTTPConnectionPool):
    """urllib3's pool with our connections."""

    QueueCls: Any = Idle
    _theirs: ClassVar[Any] = HTTPConnectionPool
    _their_connection: ClassVar[Any] = HTTPConnection
    _our_connection: ClassVar[Any] = Connection

    @classmethod
    def is_recorded(cls) -> bool:
        """Tell whether a recorder, such as VCR.py, put its own connections on urllib3's pools."""
        return cls._theirs.ConnectionCls is not cls._their_connection

    @property
    def ConnectionCls(self) -> Any:  # type: ignore[override]  # read-only on purpose
        """Our class of connections, or a recorder's."""
        return self._theirs.ConnectionCls if self.is_recorded() else self._our_connection

    @property
    def idle(self) -> Idle:
        """The idle connections."""
        return cast(Idle, self.pool)

    def configure_idle(self, expiry: float | None) -> None:
        """Set how long an idle connection is kept; a recorder bypasses the idle ones.

        Args:
            expiry: The seconds; `None` for no limit.
        """
        self.idle.expiry = inf if expiry is None else expiry
        is_recorded, pool = self.is_recorded, weakref.ref(self)
        # When a pool is gone, urllib3 takes its idle connections out to close them.
        self.idle.is_bypassed = lambda: is_recorded() and pool() is not None


class TlsPool(Pool, HTTPSConnectionPool):  # type: ignore[override]  # read-only, as above
    """The same over TLS."""

    _theirs = HTTPSConnectionPool
    _their_connection = HTTPSConnection
    _our_connection = TlsConnection
