"""Idle connections: which are kept, for how many and for how long."""

from __future__ import annotations

import gc
import queue
import threading
import time
from collections.abc import Iterator
from math import inf
from typing import Any, ClassVar

import pytest
import urllib3
from peers import DONE, Connection, Peer, answering, http
from urllib3.connection import HTTPConnection, HTTPSConnection

from tator.transport import connection as connections
from tator.transport.limits import Limits
from tator.transport.pool import Idle, Pool, TlsPool

pytestmark = pytest.mark.fast


def get(pool: Pool, path: str = "/") -> Any:
    """An unread response."""
    return pool.urlopen(
        "GET", path, retries=False, timeout=Limits(5, inf, inf), preload_content=False
    )


def used(pool: Pool) -> connections.Connection:
    """A connection whose response was read, in no pool any more."""
    response = get(pool)
    connection = response.connection
    assert response.read() == DONE
    assert pool.idle.get() is connection
    return connection  # type: ignore[no-any-return]


@pytest.fixture
def peer() -> Iterator[Peer]:
    with Peer(answering(http(), keep=True)) as peer:
        yield peer


@pytest.fixture
def pool(peer: Peer) -> Iterator[Pool]:
    pool = Pool("127.0.0.1", peer.port, maxsize=2)
    pool.configure_idle(30)
    yield pool
    pool.idle.retire()


def test_the_connection_that_was_put_last_is_used_first(pool: Pool) -> None:
    """It is the least likely to have been forgotten on the way."""
    first, second = used(pool), used(pool)
    for connection in (first, second):
        pool.idle.put(connection)
    assert pool.idle.qsize() == 2
    assert pool.idle.get() is second
    assert pool.idle.get(block=True, timeout=5) is first
    with pytest.raises(queue.Empty):
        pool.idle.get()
    first.close()
    second.close()


def test_more_connections_than_are_kept_are_closed(pool: Pool, peer: Peer) -> None:
    """The one that was idle the longest; more may be in use at a time."""
    responses = [get(pool) for _ in range(5)]
    kept = [response.connection for response in responses]
    for response in responses:
        assert response.read() == DONE
    assert pool.idle.qsize() == 2
    assert [connection.is_closed for connection in kept] == [True, True, True, False, False]
    assert peer.connections == 5


def test_a_connection_that_is_put_twice_is_there_once(pool: Pool) -> None:
    """Two calls would share it otherwise, and could read each other's responses."""
    connection = used(pool)
    for _ in range(2):
        pool.idle.put(connection)
    assert pool.idle.qsize() == 1


def test_a_connection_that_cannot_be_reused_is_not_kept(pool: Pool) -> None:
    """The pool also keeps no unopened connection, no `None` and no connection of another class."""
    response = get(pool)
    unread = response.connection
    pool.idle.put(unread)
    assert unread.is_closed
    new = connections.Connection("127.0.0.1", 9)
    pool.idle.put(new)
    pool.idle.put(None)
    foreign = HTTPConnection("127.0.0.1", 9)
    pool.idle.put(foreign)
    assert pool.idle.qsize() == 0


def test_an_idle_connection_has_no_limits_of_an_attempt(pool: Pool) -> None:
    """An attempt that ends late must not close it, since it works for another one."""
    response = get(pool)
    connection = response.connection
    limits = connection.limits
    assert limits.connection is connection
    assert response.read() == DONE
    limits.discard()
    assert (pool.idle.qsize(), connection.is_closed) == (1, False)


@pytest.mark.parametrize(
    ("expiry", "least", "most"), [(30, 25, 30), (0.1, 0, 0.1), (None, inf, inf)]
)
def test_an_idle_connection_expires(
    pool: Pool, expiry: float | None, least: float, most: float
) -> None:
    """After the seconds that the pool keeps it, counted from each use."""
    pool.configure_idle(expiry)
    connection = used(pool)
    pool.idle.put(connection)
    assert least <= connection.expires - time.monotonic() <= most


def test_idle_connections_that_have_expired_are_closed_when_another_is_put(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise those at the bottom would stay open as long as one is enough for all calls."""
    first, second, third, last = (used(pool) for _ in range(4))
    pool.idle.maxsize = 4
    now = time.monotonic()
    for connection, seconds in ((first, 0), (second, 1), (third, 20), (last, 31)):
        monkeypatch.setattr(time, "monotonic", lambda seconds=seconds: now + seconds)
        pool.idle.put(connection)
    monkeypatch.undo()
    closed = [connection.is_closed for connection in (first, second, third, last)]
    assert closed == [True, True, False, False]
    assert pool.idle.qsize() == 2


def test_a_retired_pool_keeps_nothing(pool: Pool) -> None:
    """It closes what is idle now, and what is put back later."""
    idle, late = used(pool), used(pool)
    pool.idle.put(idle)
    pool.idle.retire()
    pool.idle.put(late)
    assert (pool.idle.qsize(), idle.is_closed, late.is_closed) == (0, True, True)


def test_many_threads_may_use_a_pool(peer: Peer) -> None:
    """Each gets a connection that nobody else has."""
    pool = Pool("127.0.0.1", peer.port, maxsize=4)
    pool.configure_idle(None)
    in_use: list[Any] = []
    problems: list[Any] = []

    def work() -> None:
        for _ in range(30):
            response = get(pool)
            connection = response.connection
            if connection in in_use:
                problems.append(connection)
            in_use.append(connection)
            response.wire.read()
            in_use.remove(connection)
            response.release_conn()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems
    assert pool.idle.qsize() <= 4
    pool.idle.retire()


def test_a_pool_has_its_own_connections() -> None:
    """Unless a recorder replaced those of urllib3's pools."""
    assert Pool("x").ConnectionCls is connections.Connection
    assert TlsPool("x").ConnectionCls is connections.TlsConnection
    assert isinstance(Pool("x").idle, Idle)


class Recorder(HTTPConnection):
    """What VCR.py puts in place of urllib3's connections."""

    paths: ClassVar[list[str]] = []

    def request(self, method: str, url: str, *args: Any, **options: Any) -> None:
        self.paths.append(url)
        super().request(method, url, *args, **options)


def test_a_recorders_connections_are_used(
    pool: Pool, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the next request on, as long as they are there; idle ones are not used meanwhile."""
    assert get(pool, "/before").read() == DONE
    with monkeypatch.context() as patch:
        patch.setattr(urllib3.HTTPConnectionPool, "ConnectionCls", Recorder)
        patch.setattr(urllib3.HTTPSConnectionPool, "ConnectionCls", HTTPSConnection)
        assert (Pool.is_recorded(), TlsPool.is_recorded()) == (True, False)
        recorded = pool.urlopen("GET", "/recorded", retries=False)
        assert recorded.data == DONE
    assert Recorder.paths == ["/recorded"]
    assert get(pool, "/after").read() == DONE
    assert [head.split()[1] for head in peer.requests] == [b"/before", b"/recorded", b"/after"]
    assert (peer.connections, pool.idle.qsize()) == (2, 1)


def test_a_pool_that_is_dropped_beside_a_recorder_closes_its_connections(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The garbage collector may find a client of before while a recorder is there."""
    pool = Pool("127.0.0.1", peer.port, maxsize=2)
    pool.configure_idle(30)
    connection = used(pool)
    pool.idle.put(connection)
    with monkeypatch.context() as patch:
        patch.setattr(urllib3.HTTPConnectionPool, "ConnectionCls", Recorder)
        del pool
        gc.collect()
        assert connection.is_closed


def test_an_idle_connection_that_the_server_closed_is_replaced() -> None:
    """urllib3 asks before it uses one."""

    def script(connection: Connection) -> None:
        connection.request()
        connection.send(http())

    with Peer(script) as peer:
        pool = Pool("127.0.0.1", peer.port, maxsize=2)
        pool.configure_idle(None)
        for _ in range(2):
            assert get(pool).read() == DONE
            peer.join_scripts()
        assert peer.connections == 2
        pool.idle.retire()


def test_the_idle_connections_are_counted_as_get_returns_them() -> None:
    """VCR.py takes out as many as it is told of; a recorder finds none of tator's."""
    idle = Idle(2)
    assert (idle.qsize(), idle.empty()) == (0, True)
    idle.is_bypassed = lambda: True
    assert (idle.qsize(), idle.empty()) == (0, True)
