"""Rows 34 to 42 of the fault matrix: threads, forks, interrupts, long runs, and ambiguity."""

from __future__ import annotations

import gc
import itertools
import multiprocessing
import operator
import os
import pickle
import signal
import socket
import ssl
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import urllib3
from conftest import Tls
from peers import (
    TOKEN,
    UID,
    Connection,
    Peer,
    answering,
    everything_shown,
    failure,
    http,
    make_api,
    within,
)

import tator
from tator import (
    ApiException,
    ApiTimeoutError,
    BadRequestException,
    NotFoundException,
    ServiceException,
)
from tator.testing import LocalTator

forks = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")


def echo(connection: Connection) -> None:
    """Respond to each request with the ID that it asks for."""
    while True:
        path = connection.request().split(b" ")[1]
        identifier = path.rpartition(b"/")[2]
        connection.send(http(200, b'{"message": "' + identifier + b'"}'))


@pytest.fixture(params=["http", "https"])
def echoing(request: pytest.FixtureRequest, tls: Tls) -> Iterator[Peer]:
    """A peer that echoes IDs, once over http and once over https."""
    context: ssl.SSLContext | None = tls.server() if request.param == "https" else None
    with Peer(echo, context) as peer:
        yield peer


def check_echoes(api: tator.JobApi, label: str, count: int = 20) -> None:
    """As many calls, each with its own response."""
    for number in range(count):
        assert api.delete_job(f"{label}-{number}").message == f"{label}-{number}"


def test_row_34_threads_share_a_client(echoing: Peer, tls: Tls) -> None:
    """64 of them get their own responses; no more connections are kept than asked for."""
    api = make_api(echoing.host, ssl_ca_cert=tls.ca_file, connection_pool_maxsize=8)
    barrier = threading.Barrier(64)

    def work(number: int) -> None:
        barrier.wait()
        check_echoes(api, f"thread-{number}", 3)

    with ThreadPoolExecutor(64) as threads:
        list(threads.map(work, range(64)))
    assert len(echoing.requests) == 64 * 3
    assert 1 <= api.api_client.rest_client.idle_connections <= 8


def in_child(work: Callable[[], object]) -> int:
    """Fork; the child does the work and exits at once. Returns the child's process ID."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            signal.alarm(30)  # a child that hangs ends by itself
            work()
            status = 0
        finally:
            os._exit(status)
    return pid


def check_children(*pids: int) -> None:
    """Each of the children has done its work."""
    assert [os.waitpid(pid, 0)[1] for pid in pids] == [0] * len(pids)


@forks
def test_row_35_a_fork_with_a_warm_pool(echoing: Peer, tls: Tls) -> None:
    """Parent and children call at the same time, and each gets its own responses."""
    api = make_api(echoing.host, ssl_ca_cert=tls.ca_file)
    check_echoes(api, "before", 1)
    gate, opened = os.pipe()

    def call_together() -> None:
        os.close(opened)
        os.read(gate, 1)  # until the parent has forked all, and opens the gate
        check_echoes(api, "child")

    children = [in_child(call_together) for _ in range(3)]
    os.close(opened)
    check_echoes(api, "parent")
    os.close(gate)
    check_children(*children)
    check_echoes(api, "after")


@forks
def test_row_35_a_fork_with_the_async_pool_in_use(echoing: Peer, tls: Tls) -> None:
    """A child starts new threads, and the parent's calls continue."""
    api = make_api(echoing.host, ssl_ca_cert=tls.ca_file, connection_pool_maxsize=2)

    def check(label: str) -> None:
        handles = [api.delete_job(f"{label}-{number}", async_req=True) for number in range(20)]
        for number, handle in enumerate(handles):
            assert handle.get(20).message == f"{label}-{number}"

    check("before")
    running = [api.delete_job(f"running-{number}", async_req=True) for number in range(20)]
    child = in_child(lambda: check("child"))
    check("parent")
    check_children(child)
    assert [handle.get(20).message for handle in running] == [f"running-{n}" for n in range(20)]


@forks
def test_row_35_forks_while_threads_are_calling(echoing: Peer, tls: Tls) -> None:
    """Whatever the other threads held at the fork, the child's calls do not wait for it."""
    # Each thread has a warm connection, and the children are forked one by one: no handshake is in
    # progress at any fork, since OpenSSL has locks that nobody can release in a child.
    api = make_api(echoing.host, ssl_ca_cert=tls.ca_file, connection_pool_maxsize=4)
    warm = threading.Barrier(5)
    stop = threading.Event()

    def work(number: int) -> None:
        raw = api.delete_job(f"warm-{number}", _preload_content=False)
        warm.wait(20)
        raw.read()
        raw.release_conn()
        warm.wait(20)
        while not stop.is_set():
            check_echoes(api, f"thread-{number}", 1)

    with ThreadPoolExecutor(4) as threads:
        results = [threads.submit(work, number) for number in range(4)]
        warm.wait(20)
        warm.wait(20)
        try:
            for _ in range(10):
                check_children(in_child(lambda: check_echoes(api, "child", 2)))
        finally:
            stop.set()
    for result in results:
        result.result()


FORK_IN_AN_IMPORT = """
import os, signal, sys, threading, tator
api = tator.get_api(sys.argv[1])
api.api_client.configuration.retries = 0
importing, forked = threading.Event(), threading.Event()

class Slow:
    def find_spec(name, path=None, target=None):
        if name == "certifi":
            importing.set()
            forked.wait(0.2)  # it is not set before the import ends: the fork waits for that

def call():
    try:
        api.delete_job("x")
    except tator.ApiConnectionError:
        return
    raise SystemExit(1)

sys.meta_path.insert(0, Slow)
threading.Thread(target=call).start()
assert importing.wait(20)
pid = os.fork()
if pid == 0:
    signal.alarm(20)
    call()
    os._exit(0)
forked.set()
sys.exit(os.waitpid(pid, 0)[1])
"""


@forks
def test_row_35_a_fork_waits_for_the_imports_of_a_first_call() -> None:
    """A child of a fork in the middle of an import would wait forever for that import."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        host = f"https://127.0.0.1:{bound.getsockname()[1]}"
        subprocess.run([sys.executable, "-c", FORK_IN_AN_IMPORT, host], check=True, timeout=60)


def test_row_35_pickled_to_a_spawned_worker(echoing: Peer, tls: Tls) -> None:
    """A warm client travels; its connections stay behind."""
    api = make_api(echoing.host, ssl_ca_cert=tls.ca_file)
    check_echoes(api, "before", 1)
    assert pickle.loads(pickle.dumps(api)).delete_job("twin").message == "twin"
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as workers:
        call = operator.methodcaller("delete_job", "worker")
        assert workers.submit(call, api).result(60).message == "worker"
        call = operator.methodcaller("delete_job", "..")
        error = workers.submit(call, api).exception(60)
    assert type(error) is tator.ApiValueError
    check_echoes(api, "after", 1)


def test_row_36_a_closed_client_works_again(echoing: Peer, tls: Tls) -> None:
    """Closing ends the idle connections; the next call opens a new one."""
    with make_api(echoing.host, ssl_ca_cert=tls.ca_file).api_client as client:
        api = tator.JobApi(client)
        for number in range(1, 4):
            check_echoes(api, "open", 2)
            assert echoing.connections == number
            client.close()
            client.close()
            echoing.join_scripts()


def interrupt(connection: Connection) -> None:
    os.kill(os.getpid(), signal.SIGINT)
    connection.hang()


# A connection that is cut short as it is opened is left to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.usefixtures("no_garbage_collection")
def test_row_37_an_interrupt_at_any_line_harms_no_later_call() -> None:
    """Wherever it strikes, it comes through, and the next call gets its own response."""
    parts = (
        f"{Path(tator.__file__).parent}{os.sep}",
        *(module.__file__ for module in (urllib3.connectionpool, urllib3.connection)),
    )

    def strike(at: int) -> bool:
        """Interrupt a call at this line of it; whether it has so many."""
        lines = itertools.count()

        def trace(frame: FrameType, event: str, argument: object) -> Any:
            if not frame.f_code.co_filename.startswith(parts):
                return None
            if event == "line" and next(lines) == at:
                raise KeyboardInterrupt
            return trace

        outer = sys.gettrace()
        sys.settrace(trace)
        try:
            api.delete_job(f"struck-{at}")
        except KeyboardInterrupt:
            return True
        finally:
            sys.settrace(outer)
        return False

    with Peer(echo) as peer:
        api = make_api(peer.host, connection_pool_maxsize=2)
        check_echoes(api, "before", 1)
        for at in itertools.count():
            if not strike(at):
                break
            check_echoes(api, f"after-{at}", 1)
            assert api.api_client.rest_client.idle_connections <= 2
    assert at > 300
    gc.collect()


@pytest.mark.usefixtures("no_garbage_collection")
@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"])
def test_row_37_an_interrupt_while_reading(secure: bool, sent: bytes, tls: Tls) -> None:
    """Ctrl-C ends the call at once, and its connection; the next call works."""

    def script(connection: Connection) -> None:
        connection.send(sent)
        peer.closing.wait(0.1)  # until the client has read it; earlier would be right too
        interrupt(connection)

    answers = answering(script, http())
    with Peer(answers, tls.server() if secure else None) as peer, within(0.1):
        api = make_api(peer.host, ssl_ca_cert=tls.ca_file, connection_pool_maxsize=1)
        with pytest.raises(KeyboardInterrupt) as caught:
            api.delete_job(UID)
        assert TOKEN not in everything_shown(caught.value)
        del caught
        assert api.delete_job(UID).message == "Done."
    assert (len(peer.requests), peer.connections) == (2, 2)


@pytest.mark.usefixtures("no_garbage_collection")
def test_row_37_an_interrupt_while_waiting_for_the_next_attempt() -> None:
    """Ctrl-C ends the delay before a retry too."""

    def script(connection: Connection) -> None:
        connection.send(http(503, headers={"Retry-After": "20"}))
        peer.closing.wait(0.2)  # until the client sleeps; earlier would be right too
        os.kill(os.getpid(), signal.SIGINT)

    with Peer(answering(script, http(), keep=True)) as peer, within(0.2):
        api = make_api(peer.host, deadline=60)
        with pytest.raises(KeyboardInterrupt):
            api.delete_job(UID)
        assert api.delete_job(UID).message == "Done."
    assert len(peer.requests) == 2


# CPython leaves the closing of a socket in the midst of its handshake to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.usefixtures("no_garbage_collection")
def test_row_37_an_interrupt_while_connecting(tls: Tls) -> None:
    """Ctrl-C ends a handshake."""
    with Peer(interrupt) as peer, within(0):
        api = make_api(peer.host.replace("http:", "https:"), ssl_ca_cert=tls.ca_file)
        with pytest.raises(KeyboardInterrupt):
            api.delete_job(UID)


EXITS = {
    "end of program": "",
    "sys.exit": "sys.exit(0)",
    "in a with block": "\nwith api.api_client:\n    sys.exit(0)",
    "callback": "handles[0].add_done_callback(print)",
}


@pytest.mark.parametrize("ending", EXITS.values(), ids=EXITS)
def test_row_38_a_process_ends_with_calls_in_progress(ending: str) -> None:
    """The calls neither keep it from ending nor print anything."""
    program = f"""
import sys, threading, tator
configuration = tator.Configuration(sys.argv[1], connection_pool_maxsize=4)
api = tator.JobApi(tator.ApiClient(configuration))
handles = [api.delete_job(str(number), async_req=True) for number in range(8)]
threading.Thread(target=api.delete_job, args=("thread",), daemon=True).start()
sys.stdin.read()
{ending}
"""
    five = threading.Semaphore(0)

    def script(connection: Connection) -> None:
        connection.request()
        five.release()
        connection.hang()

    with Peer(script) as peer:
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", program, peer.host],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for _ in range(4):
            assert five.acquire(timeout=30)
        with within(1):
            output, _ = process.communicate(b"", timeout=30)
    assert (output, process.returncode) == (b"", 0)


def quietly(connection: Connection) -> None:
    """Respond to each request, and keep nothing of it."""
    while True:
        connection.request()
        connection.peer.requests.clear()
        connection.send(http())


class Footprint:
    """What the client's side of this process holds: descriptors, threads, bytes."""

    def __init__(self) -> None:
        gc.collect()
        self.descriptors = len(os.listdir("/proc/self/fd"))
        self.threads = threading.active_count()
        library = str(Path(tator.__file__).parent)
        files = [f"{library}/*", "*/urllib3/*", "*/http/client.py", "*/ssl.py", "*/socket.py"]
        traces = [tracemalloc.Filter(True, pattern, all_frames=False) for pattern in files]
        snapshot = tracemalloc.take_snapshot().filter_traces(traces)
        self.size = sum(statistic.size for statistic in snapshot.statistics("filename"))

    def check_flat(self, before: Footprint) -> None:
        """Nothing has grown, except for what a few caches and counters need."""
        assert self.descriptors <= before.descriptors
        assert self.threads <= before.threads
        assert self.size <= before.size + 50_000


def check_footprint(tls: Tls, clients: int, calls: int) -> None:
    with Peer(quietly) as peer, Peer(quietly, tls.server()) as secure:
        api = make_api(peer.host, connection_pool_maxsize=4)

        def make_and_drop(count: int) -> None:
            for number in range(count):
                short = make_api(peer.host if number % 10 else secure.host, ssl_ca_cert=tls.ca_file)
                if number % 3 == 0:
                    assert short.delete_job(UID).message == "Done."
                if number % 30 == 0:
                    assert short.delete_job(UID, async_req=True).get(20).message == "Done."

        def call(count: int) -> None:
            for number in range(count):
                if number % 10 == 0:
                    with pytest.raises(ApiException):
                        api.delete_job("..")
                if number % 100 == 0:
                    api.delete_job(UID, _preload_content=False).release_conn()
                assert api.delete_job(UID).message == "Done."

        make_and_drop(31)
        call(101)
        tracemalloc.start()
        try:
            settle(peer, secure)
            before = Footprint()
            make_and_drop(clients)
            call(calls)
            settle(peer, secure)
            Footprint().check_flat(before)
        finally:
            tracemalloc.stop()


def settle(*peers: Peer) -> None:
    """Wait until each peer has seen its dropped connections end: one stays open at most."""
    gc.collect()
    for peer in peers:
        for thread in peer.others():
            thread.join(60)
            assert not thread.is_alive()


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="descriptors are counted on Linux")
def test_row_39_a_long_run_leaves_nothing_behind_in_short(tls: Tls) -> None:
    """Clients made and dropped, and calls on one: descriptors, threads and memory stay flat."""
    check_footprint(tls, clients=300, calls=2_000)


@pytest.mark.soak
@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="descriptors are counted on Linux")
def test_row_39_a_long_run_leaves_nothing_behind(tls: Tls) -> None:
    """10,000 clients and 100,000 calls."""
    check_footprint(tls, clients=10_000, calls=100_000)


@pytest.mark.usefixtures("no_backoff")
def test_row_40_an_outage_is_not_made_worse_by_retries() -> None:
    """1,000 calls to a server that fails make 1,010 requests: the budget pays for ten retries."""
    up = threading.Event()
    answers = answering(
        lambda connection: connection.send(http(200 if up.is_set() else 503)), keep=True
    )
    with Peer(answers) as peer:
        api = make_api(peer.host)
        for _ in range(1_000):
            with pytest.raises(ServiceException):
                api.delete_job(UID)
        assert len(peer.requests) == 1_010
        assert api.api_client.rest_client.retry_budget < 10
        up.set()
        for _ in range(10):
            api.delete_job(UID)
        up.clear()
        peer.requests.clear()
        for _ in range(10):
            with pytest.raises(ServiceException):
                api.delete_job(UID)
        assert len(peer.requests) == 11  # ten successes have paid for one more


@pytest.mark.usefixtures("no_backoff")
@pytest.mark.parametrize("fault", ["drop", "truncate"])
@pytest.mark.parametrize(
    ("status", "kind"),
    [(404, NotFoundException), (400, BadRequestException), (500, ServiceException)],
)
def test_row_41_success_is_never_invented(
    fault: str, status: int, kind: type[ApiException]
) -> None:
    """Applied, the response lost, the retry rejected: that error, and it may have been applied."""
    with LocalTator(TOKEN) as server:
        uid = server.launch().run_uids[0]
        getattr(server, fault)(after_applying=True)
        if status != 500:  # the server's own status for a job that is not running
            server.fail(status)
        error = failure(kind, make_api(server.host).delete_job, uid, maybe_applied=True)
        assert (error.status, error.attempts) == (status, 2)
        assert server.jobs == {uid: "cancelled"}
        assert "The server may have applied this request." in str(error)


def test_row_42_a_group_cancelled_without_a_response_may_be_applied() -> None:
    """The server cancels the group and sends nothing, so the call times out."""
    with LocalTator(TOKEN) as server:
        group = server.launch(3)
        server.delay(60)
        api = make_api(server.host, deadline=0.3)
        cancel, group_id = api.delete_job_group, group.group_id
        error = failure(ApiTimeoutError, cancel, group_id, maybe_applied=True, ends_by=0.3)
        assert error.attempts == 1
        assert "cancelled" in server.jobs.values()
        server.close()
        assert len(server.requests) == 1
