"""What no row of the matrix names: reused connections, raw responses, large bodies, time."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from conftest import Proxy, Tls
from peers import (
    DONE,
    TOKEN,
    UID,
    Connection,
    Peer,
    answering,
    check_large_upload,
    failure,
    http,
    make_api,
    within,
)
from urllib3.exceptions import InsecureRequestWarning

from tator import ApiProxyError, ApiTimeoutError, ApiTlsError
from tator.testing import LocalTator

# Raw responses


def test_raw_responses_do_not_use_up_the_pool() -> None:
    """Any number may be open at a time; `connection_pool_maxsize` says how many are kept."""
    with Peer(answering(http(), keep=True)) as peer:
        api = make_api(peer.host, connection_pool_maxsize=2)
        raw = [api.delete_job(UID, _preload_content=False) for _ in range(4)]
        assert api.delete_job(UID).message == "Done."
        for response in raw:
            assert response.read() == DONE
            response.release_conn()
        assert api.api_client.rest_client.idle_connections == 2
        assert api.delete_job(UID).message == "Done."
    assert (len(peer.requests), peer.connections) == (6, 5)


def test_a_raw_response_is_read_within_the_deadline() -> None:
    """The deadline of its call also ends the caller's own reading."""

    def script(connection: Connection) -> None:
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{")
        connection.hang()

    with Peer(answering(script)) as peer, within(0.3):
        api = make_api(peer.host, deadline=0.3)
        raw = api.delete_job(UID, _preload_content=False)
        with pytest.raises(Exception, match="time"):
            raw.read()
        raw.close()


def test_a_raw_response_may_have_any_length(tls: Tls, tls_proxy: Proxy) -> None:
    """The limit is for bodies that tator reads; two layers of TLS change nothing."""
    body = b"x" * (3 << 20)
    with Peer(answering(http(200, body)), tls.server()) as peer:
        for proxy in ("", f"https://{tls_proxy.authority}"):
            api = make_api(peer.host, ssl_ca_cert=tls.ca_file, proxy=proxy)
            raw = api.delete_job(UID, _preload_content=False)
            assert raw.read() == body
            raw.release_conn()


# Routes


@pytest.mark.usefixtures("no_backoff")
def test_a_changed_tls_or_proxy_setting_counts_from_the_next_call(tls: Tls) -> None:
    """A setting that an error named can be corrected on the same client."""
    with LocalTator(TOKEN, ssl_context=tls.server()) as server:
        api = make_api(server.host)
        configuration = api.api_client.configuration
        failure(ApiTlsError, api.delete_job, UID, maybe_applied=False)
        configuration.ssl_ca_cert = tls.ca_file
        assert api.delete_job(server.launch().run_uids[0]).message
        configuration.proxy = "http://127.0.0.1:9"
        failure(ApiProxyError, api.delete_job, UID, maybe_applied=False)
        configuration.proxy = ""
        configuration.assert_hostname = "other.test"
        failure(ApiTlsError, api.delete_job, UID, maybe_applied=False)
        configuration.assert_hostname = None
        assert api.delete_job(server.launch().run_uids[0]).message


def test_a_changed_host_token_or_verification_counts_from_the_next_call(tls: Tls) -> None:
    """No connection that was opened without verification is used once it is on again."""
    with (
        Peer(answering(http(), keep=True)) as plain,
        Peer(answering(http(), keep=True), tls.server()) as secure,
        Peer(answering(http(), keep=True), tls.server()) as other,
    ):
        api = make_api(plain.host)
        configuration = api.api_client.configuration
        assert api.delete_job(UID).message == "Done."
        configuration.host = secure.host + "/prefix/"
        configuration.retries = 0
        failure(ApiTlsError, api.delete_job, UID, maybe_applied=False)
        configuration.verify_ssl = False
        with pytest.warns(InsecureRequestWarning):
            assert api.delete_job(UID).message == "Done."
        configuration.verify_ssl = True
        failure(ApiTlsError, api.delete_job, UID, maybe_applied=False)
        configuration.host = other.host
        failure(ApiTlsError, api.delete_job, UID, maybe_applied=False)
        configuration.ssl_ca_cert = tls.ca_file
        configuration.api_key["Authorization"] = "second"
        assert api.delete_job(UID).message == "Done."
    assert [request.split(b" ")[1][:17] for request in secure.requests] == [b"/prefix/rest/Job/"]
    assert b"Authorization: Token second" in other.requests[0]


def test_a_client_may_change_between_many_hosts() -> None:
    """A raw response of an earlier host stays readable meanwhile."""
    with ExitStack() as stack:
        peers = [stack.enter_context(Peer(answering(http(), keep=True))) for _ in range(10)]
        api = make_api(peers[0].host)
        raw = api.delete_job(UID, _preload_content=False)
        for _ in range(2):
            for peer in peers:
                api.api_client.configuration.host = peer.host
                assert api.delete_job(UID).message == "Done."
                assert api.api_client.rest_client.idle_connections == 1
        assert raw.read() == DONE
        raw.release_conn()


# close()


def test_a_connection_released_after_the_close_is_closed() -> None:
    """A call in progress leaves no connection behind that nothing could use again."""
    arrived, go, gone = threading.Event(), threading.Event(), threading.Event()

    def script(connection: Connection) -> None:
        connection.request()
        arrived.set()
        go.wait(30)
        connection.send(http())
        connection.hang()
        gone.set()

    with Peer(script) as peer:
        api = make_api(peer.host)
        handle = api.delete_job(UID, async_req=True)
        assert arrived.wait(10)
        api.api_client.close()
        go.set()
        assert handle.get(10).message == "Done."
        assert gone.wait(10)


def test_calls_in_progress_succeed_after_the_close() -> None:
    """Also if there are more of them than connections are kept."""
    arrived, go = threading.Semaphore(0), threading.Event()

    def script(connection: Connection) -> None:
        arrived.release()
        go.wait(30)
        connection.send(http())

    with Peer(answering(script, keep=True)) as peer, ThreadPoolExecutor(6) as threads:
        api = make_api(peer.host, connection_pool_maxsize=2, deadline=None)
        calls = [threads.submit(api.delete_job, UID) for _ in range(6)]
        for _ in calls:
            assert arrived.acquire(timeout=30)
        api.api_client.close()
        go.set()
        assert [call.result(30).message for call in calls] == ["Done."] * 6
        assert api.api_client.rest_client.idle_connections == 0


# Large bodies


def test_a_server_that_does_not_read_ends_by_the_deadline(tls: Tls) -> None:
    """Sending a large body blocks once the server takes nothing more."""

    def script(connection: Connection) -> None:
        connection.peer.closing.wait(30)

    check_large_upload(script, 0.5, tls)


# Time


def test_a_clock_that_jumps_changes_no_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Timeouts follow the monotonic clock."""
    jumps = iter(range(0, 10**9, 10**5))
    monkeypatch.setattr(time, "time", lambda: next(jumps))
    with Peer(answering(http(), Connection.hang, keep=True)) as peer:
        api = make_api(peer.host, deadline=0.3)
        assert api.delete_job(UID).message == "Done."
        failure(ApiTimeoutError, api.delete_job, UID, maybe_applied=True, ends_by=0.3)


def test_a_call_without_deadline_and_timeout_waits() -> None:
    """`None` lifts each limit; the server may take its time."""
    with LocalTator(TOKEN) as server:
        api = make_api(server.host, deadline=None, timeout=None)
        server.delay(0.3)
        assert api.delete_job(server.launch().run_uids[0]).message
