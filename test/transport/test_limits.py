"""The time and bytes of one attempt, and the look-up of a name; calls are in the fault tests."""

from __future__ import annotations

import queue
import socket
import threading
import time
import traceback
from math import inf
from typing import Any

import pytest
import urllib3

from tator.transport.limits import Limits, TooLarge, family_of, resolve

pytestmark = pytest.mark.fast


def test_no_operation_begins_after_the_time_is_up() -> None:
    """A socket would be told to wait for less than no time."""
    with pytest.raises(TimeoutError, match="time is up"):
        Limits(1e-9, inf, 0).wait()
    with pytest.raises(TimeoutError, match="time is up"):
        Limits(None, time.monotonic(), 0).wait()


@pytest.mark.parametrize(
    ("timeout", "least", "most"),
    [((None, 5), 5, 5), ((None, 99), 55, 60), (30, 25, 30), (99, 55, 60), (None, 55, 60)],
)
def test_an_operation_may_take_the_shortest_of_the_limits(
    timeout: Any, least: float, most: float
) -> None:
    """Of the read timeout, the attempt's and the call's deadline."""
    assert least <= Limits(timeout, time.monotonic() + 60, 0).wait() <= most


def test_a_pair_limits_each_phase_of_an_attempt() -> None:
    """The connect timeout as a whole, and each wait for data."""
    limits = Limits((30, 50), inf, 0)
    assert limits.wait() == 50
    limits.connecting()
    assert 25 < limits.wait() <= 30
    limits.connected()
    assert limits.wait() == 50


def test_a_number_limits_the_attempt_in_all_phases() -> None:
    """Connecting and reading share it."""
    limits = Limits(30, inf, 0)
    for change in (limits.connecting, limits.connected):
        change()
        assert 25 < limits.wait() <= 30


def test_without_limits_a_wait_is_as_long_as_sockets_allow() -> None:
    """Operating systems reject an infinite one."""
    limits = Limits(None, inf, 0)
    assert limits.wait() == 1e6
    limits.connecting()
    assert limits.wait() == 1e6


def test_more_bytes_than_may_arrive_are_too_large() -> None:
    """They are counted over the whole response."""
    limits = Limits(None, inf, 10)
    limits.arrived(4)
    limits.arrived(6)
    with pytest.raises(TooLarge):
        limits.arrived(1)


def test_limits_reach_a_connection_as_urllib3s_timeout() -> None:
    """urllib3 copies its timeouts, and asks them for seconds: here come the limits themselves."""
    limits = Limits((30, 50), inf, 0)
    assert isinstance(limits, urllib3.Timeout)
    assert limits.clone() is limits
    assert limits.start_connect() == 0.0
    for left in (limits.connect_timeout, limits.read_timeout):
        assert (left, left.limits) == (50, limits)


def test_a_connection_is_closed_with_its_attempt() -> None:
    """If the attempt has one."""
    limits = Limits(None, inf, 0)
    limits.discard()
    limits.connection = connection = socket.socket()
    limits.discard()
    assert connection.fileno() == -1


@pytest.mark.parametrize(
    ("host", "family"),
    [
        ("127.0.0.1", socket.AF_INET),
        ("::1", socket.AF_INET6),
        ("localhost", None),
        ("1.2.3", None),
        ("a\0b", None),
    ],
)
def test_an_address_is_told_from_a_name(host: str, family: int | None) -> None:
    """Only a name has to be looked up."""
    assert family_of(host) == family


def test_an_address_needs_no_look_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless the resolver is replaced, or its family is not the one that is allowed."""
    assert resolve("127.0.0.1", 80, 1) == [
        (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", 80))
    ]
    assert resolve("::1", 80, 1) == [
        (socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("::1", 80, 0, 0))
    ]
    monkeypatch.setattr(urllib3.util.connection, "allowed_gai_family", lambda: socket.AF_INET)
    assert resolve("127.0.0.1", 80, 1)[0][4] == ("127.0.0.1", 80)
    with pytest.raises(socket.gaierror):
        resolve("::1", 80, 1)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args: [args])
    assert resolve("127.0.0.1", 80, 1) == [("127.0.0.1", 80, socket.AF_INET, socket.SOCK_STREAM)]


class Resolver:
    """A resolver that hangs until it is released."""

    def __init__(self, result: Any) -> None:
        self.result = result
        self.asked = 0
        self.started, self.released = threading.Event(), threading.Event()

    def __call__(self, *args: Any) -> Any:
        self.asked += 1
        self.started.set()
        self.released.wait(30)
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


@pytest.mark.parametrize("result", [["address"], [], OSError(5, "odd")], ids=str)
def test_all_who_wait_for_a_look_up_get_its_result(
    result: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Addresses, none, or the exception; the next one looks the name up again."""
    resolver = Resolver(result)
    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    results: list[Any] = []

    def wait() -> None:
        try:
            results.append(resolve("tator.test", 80, 30))
        except OSError as error:
            results.append(error)

    threads = [threading.Thread(target=wait) for _ in range(5)]
    for thread in threads:
        thread.start()
    with pytest.raises(TimeoutError, match="not resolved in time"):
        resolve("tator.test", 80, 0.01)
    resolver.released.set()
    for thread in threads:
        thread.join()
    if isinstance(result, Exception):
        assert [repr(error) for error in results] == [repr(result)] * 5
    else:
        assert results == [result] * 5
    assert resolver.asked in (1, 2)  # a thread may have begun after the end
    asked = resolver.asked
    wait()
    assert resolver.asked == asked + 1


class NotToBeCopied(Exception):
    """An exception that can't be copied, as one that holds a lock."""

    def __copy__(self) -> NotToBeCopied:
        raise TypeError("cannot copy")


def test_each_who_waits_for_a_look_up_raises_a_separate_exception(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first one the look-up's own, the others copies; one that can't be copied is shared."""

    waiting = threading.Semaphore(0)

    class Queue(queue.SimpleQueue[None]):
        """What each waits on, made when it has found the look-up."""

        def __init__(self) -> None:
            waiting.release()

    monkeypatch.setattr(queue, "SimpleQueue", Queue)

    def caught(error: Exception) -> list[Exception]:
        """The exceptions of two who wait for one look-up, which fails."""
        resolver = Resolver(error)
        monkeypatch.setattr(socket, "getaddrinfo", resolver)
        found: list[Exception] = []

        def ask() -> None:
            try:
                resolve("tator.test", 80, 30)
            except Exception as error:
                found.append(error)

        threads = [threading.Thread(target=ask) for _ in range(2)]
        for thread in threads:
            thread.start()
            assert waiting.acquire(timeout=30)
        resolver.released.set()
        for thread in threads:
            thread.join()
        assert resolver.asked == 1
        return found

    cause = ValueError("why")
    error = socket.gaierror(-2, "Name or service not known")
    error.__cause__ = cause
    first, second = caught(error)
    assert (first is error) + (second is error) == 1
    for copied in (first, second):
        assert (type(copied), copied.args, copied.__cause__) == (type(error), error.args, cause)
        assert traceback.extract_tb(copied.__traceback__)[-1].name == "__call__"
    shared = NotToBeCopied("odd")
    assert caught(shared) == [shared, shared]


def test_other_names_ports_and_families_are_looked_up_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While one hangs, the others do not wait for it."""
    hanging = Resolver([])
    monkeypatch.setattr(socket, "getaddrinfo", hanging)
    with pytest.raises(TimeoutError):
        resolve("one.test", 80, 0.01)
    with pytest.raises(TimeoutError):
        resolve("two.test", 80, 0.01)
    with pytest.raises(TimeoutError):
        resolve("one.test", 81, 0.01)
    assert hanging.asked == 3
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args: [args])
    assert resolve("one.test", 80, 30)[0][0] == "one.test"
    hanging.released.set()
    for thread in threading.enumerate():
        if thread.name == "tator-resolver":
            thread.join()


def test_a_look_up_without_a_thread_fails_for_all_who_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """None of them waits for a thread that never runs; the next one starts a thread again."""
    before = threading.stack_size((1 << 47) - (1 << 21))  # no address space has room for it
    try:
        with pytest.raises(RuntimeError, match="thread"):
            resolve("localhost", 80, 30)
    finally:
        threading.stack_size(before)
    assert resolve("localhost", 80, 30)


def test_a_look_up_is_made_by_the_caller_if_no_thread_starts_any_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At the end of a program, Python 3.12 and newer start none."""

    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", start)
    assert resolve("localhost", 80, 30)


def test_a_look_up_that_is_interrupted_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one asks again."""

    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    def interrupted(*args: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", start)
    monkeypatch.setattr(socket, "getaddrinfo", interrupted)
    with pytest.raises(KeyboardInterrupt):
        resolve("tator.test", 80, 30)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args: ["address"])
    assert resolve("tator.test", 80, 30) == ["address"]


def test_what_a_replaced_resolver_raises_comes_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if its class is not an `Exception`, as with pytest.fail(), and at once."""

    def getaddrinfo(*args: Any) -> Any:
        pytest.fail("not in this test")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(pytest.fail.Exception, match="not in this test"):
        resolve("tator.test", 80, 30)


def test_the_end_of_a_forgotten_look_up_leaves_a_later_one_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those who ask meanwhile still wait for the later one, and do not begin a third."""
    native_start = threading.Thread.start
    started: list[threading.Thread] = []
    arrived: queue.SimpleQueue[threading.Event] = queue.SimpleQueue()

    def getaddrinfo(*args: Any) -> Any:
        released = threading.Event()
        arrived.put(released)
        released.wait(30)
        return ["address"]

    def start(thread: threading.Thread) -> None:
        native_start(thread)
        started.append(thread)
        if len(started) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(KeyboardInterrupt):
        resolve("tator.test", 80, 30)
    with pytest.raises(TimeoutError):
        resolve("tator.test", 80, 0.01)
    first, second = arrived.get(timeout=30), arrived.get(timeout=30)
    first.set()
    started[0].join()
    with pytest.raises(TimeoutError):
        resolve("tator.test", 80, 0.01)
    second.set()
    started[1].join()
    assert len(started) == 2
    assert arrived.empty()


def test_an_interrupt_after_a_look_up_ended_changes_no_result(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those who waited for it have it already."""
    native_start = threading.Thread.start

    def start(thread: threading.Thread) -> None:
        native_start(thread)
        thread.join()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        with pytest.raises(KeyboardInterrupt):
            resolve("localhost", 80, 30)
    assert resolve("localhost", 80, 30)
