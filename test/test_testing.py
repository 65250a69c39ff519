"""LocalTator answers as the real server does, fails on demand, and leaves nothing behind."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
import trustme

from tator import testing
from tator.testing import LocalTator, __main__

pytest_plugins = ["pytester"]


def send(
    server: LocalTator,
    path: str,
    method: str = "DELETE",
    token: str | None = None,
    **headers: str,
) -> tuple[int, str, str]:
    """Status, content type and body of the answer to one request."""
    connection = http.client.HTTPConnection(server.host.partition("//")[2], timeout=10)
    try:
        authorization = {"Authorization": token or f"Token {server.token}"}
        connection.request(method, path, headers={**authorization, **headers})
        answer = connection.getresponse()
        return answer.status, answer.getheader("Content-Type") or "", answer.read().decode()
    finally:
        connection.close()


def exchange(server: LocalTator, request: str) -> str:
    """All that comes back for the bytes of a request, until the server closes."""
    port = int(server.host.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request.encode())
        return b"".join(iter(lambda: connection.recv(4096), b"")).decode()


class Arrivals:
    """Waits for requests whose answers are held back."""

    def __init__(self, server: LocalTator) -> None:
        self._each = threading.Semaphore(0)
        server.on_request = lambda request: self._each.release()

    def wait(self, count: int = 1) -> None:
        for _ in range(count):
            assert self._each.acquire(timeout=30)


def test_a_job_is_cancelled_once(local_tator: LocalTator) -> None:
    """The first deletion of a job succeeds in JSON, the second is a page with a 500."""
    (uid,) = local_tator.launch().run_uids
    assert local_tator.jobs == {uid: "running"}
    status, kind, body = send(local_tator, f"/rest/Job/{uid}")
    assert (status, kind, list(json.loads(body))) == (200, "application/json", ["message"])
    assert local_tator.jobs == {uid: "cancelled"}
    status, kind, body = send(local_tator, f"/rest/Job/{uid}", Accept="application/json")
    assert (status, kind.partition(";")[0]) == (500, "text/html")
    assert "<title>Server Error</title>" in body


def test_a_group_is_cancelled_until_nothing_of_it_runs(local_tator: LocalTator) -> None:
    """A group with some of its jobs gone is cancelled; one with all gone is unknown."""
    group = local_tator.launch(3)
    assert send(local_tator, f"/rest/Job/{group.run_uids[1]}")[0] == 200
    assert send(local_tator, f"/rest/JobGroup/{group.group_id}")[0] == 200
    assert set(local_tator.jobs.values()) == {"cancelled"}
    assert send(local_tator, f"/rest/JobGroup/{group.group_id}")[0] == 500


def test_ids_of_the_other_kind_are_unknown(local_tator: LocalTator) -> None:
    """A run_uid is no group, a group_id no job, and nothing is cancelled by mistake."""
    group = local_tator.launch()
    assert send(local_tator, f"/rest/JobGroup/{group.run_uids[0]}")[0] == 500
    assert send(local_tator, f"/rest/Job/{group.group_id}")[0] == 500
    assert set(local_tator.jobs.values()) == {"running"}


@pytest.mark.parametrize(
    ("authorization", "words"),
    [
        ("Bearer {token}", "credentials were not provided"),
        ("{token}", "credentials were not provided"),
        ("Token wrong", "Invalid token."),
        ("Token two words", "Invalid token header"),
        ("Token ", "Invalid token header"),
    ],
)
def test_a_wrong_token_is_a_403(local_tator: LocalTator, authorization: str, words: str) -> None:
    """Whatever is wrong with a token, the answer is a 403 whose `detail` says what."""
    (uid,) = local_tator.launch().run_uids
    token = authorization.format(token=local_tator.token)
    status, kind, body = send(local_tator, f"/rest/Job/{uid}", token=token)
    assert (status, kind) == (403, "application/json")
    assert words in json.loads(body)["detail"]
    assert local_tator.jobs[uid] == "running"


def test_no_token_is_a_403(local_tator: LocalTator) -> None:
    """A request without a header for the token is answered like one with a wrong prefix."""
    head = "DELETE /rest/Job/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    answer = exchange(local_tator, head)
    assert answer.startswith("HTTP/1.1 403 ")
    assert "credentials were not provided" in answer


@pytest.mark.parametrize(
    ("permission", "status"),
    [
        ("view_only", 403),
        ("can_edit", 403),
        ("can_transfer", 200),
        ("can_execute", 200),
        ("full_control", 200),
    ],
)
def test_permissions_decide(local_tator: LocalTator, permission: str, status: int) -> None:
    """Those who may transfer, execute or control may cancel; a job that is not is a 500 to all."""
    (uid,) = local_tator.launch().run_uids
    local_tator.add_token("theirs", permission)
    assert send(local_tator, "/rest/Job/unknown", token="Token theirs")[0] == 500
    assert send(local_tator, f"/rest/Job/{uid}", token="Token theirs")[0] == status
    assert send(local_tator, f"/rest/Job/{uid}")[0] == (500 if status == 200 else 200)
    assert send(local_tator, f"/rest/Job/{uid}", token="Token theirs")[0] == 500


def test_an_unknown_permission_is_refused(local_tator: LocalTator) -> None:
    """A misspelt permission is a ValueError that names the right ones."""
    with pytest.raises(ValueError, match="full_control"):
        local_tator.add_token("theirs", "root")


@pytest.mark.parametrize(
    "path",
    [
        *("/rest/Job/", "/rest/Job/x/", "/rest/Job/x%2Fy", "/rest/rest/Job/x", "/", "/rest/Jobs"),
        "//rest/Job/x",
    ],
)
def test_other_paths_are_a_page_with_404(local_tator: LocalTator, path: str) -> None:
    """Outside the API there is a page that says "Not Found"."""
    status, kind, body = send(local_tator, path)
    assert (status, kind.partition(";")[0]) == (404, "text/html")
    assert "Not Found" in body
    assert local_tator.requests[0].path == path


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "OPTIONS"])
def test_other_methods_are_a_405(local_tator: LocalTator, method: str) -> None:
    """Another method is turned down in JSON, with a header that names the right one."""
    authorization = f"Authorization: Token {local_tator.token}\r\nConnection: close"
    head = f"{method} /rest/Job/x HTTP/1.1\r\nHost: localhost\r\n{authorization}\r\n\r\n"
    head, _, body = exchange(local_tator, head).partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 405 ")
    assert "\r\nAllow: DELETE" in head
    assert method in json.loads(body)["detail"]


def test_answers_without_a_body_have_none(local_tator: LocalTator) -> None:
    """After an answer to HEAD and after a 204, the next answer follows at once."""
    local_tator.route("DELETE", "/rest/Thing", None, status=204)
    common = f"Host: localhost\r\nAuthorization: Token {local_tator.token}"
    answers = exchange(
        local_tator,
        f"HEAD /rest/Job/x HTTP/1.1\r\n{common}\r\n\r\n"
        f"DELETE /rest/Thing HTTP/1.1\r\n{common}\r\n\r\n"
        f"DELETE /rest/Job/x HTTP/1.1\r\n{common}\r\nConnection: close\r\n\r\n",
    )
    first, second, third = answers.split("\r\n\r\n", 2)
    assert first.startswith("HTTP/1.1 405 ")
    assert second.startswith("HTTP/1.1 204 ")
    assert "Content-Length" not in second
    assert third.startswith("HTTP/1.1 500 ")


@pytest.mark.parametrize(
    "request_",
    [
        "DELETE /rest/Job/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: abc\r\n\r\n",
        "DELETE /rest/Job/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        "GET /rest/Job/x\r\n\r\n",
        "SSH-2.0-client is this\r\n\r\n",
    ],
)
def test_what_is_not_http_is_a_400(local_tator: LocalTator, request_: str) -> None:
    """A garbled request gets an answer, and the connection is closed."""
    assert "400" in exchange(local_tator, request_)


def test_odd_requests_are_turned_down(local_tator: LocalTator) -> None:
    """A wrong Host is a 400, an endless id a 414, both as pages."""
    for path, host, expected in (("x", "example.org", 400), ("x" * 10_000, "localhost", 414)):
        status, kind, _ = send(local_tator, f"/rest/Job/{path}", Host=host)
        assert (status, kind.partition(";")[0]) == (expected, "text/html")


def test_asking_for_html_hides_the_success(local_tator: LocalTator) -> None:
    """With `Accept: text/html` the answer is a 500 though the job is cancelled."""
    (uid,) = local_tator.launch().run_uids
    assert send(local_tator, f"/rest/Job/{uid}", Accept="text/html")[0] == 500
    assert local_tator.jobs[uid] == "cancelled"


def test_one_of_many_at_once_succeeds(local_tator: LocalTator) -> None:
    """Of eight deletions of one job at once, one succeeds and the others fail midway."""
    (uid,) = local_tator.launch().run_uids
    local_tator.delay(600)
    arrivals = Arrivals(local_tator)
    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(lambda _: send(local_tator, f"/rest/Job/{uid}"), range(8))
        arrivals.wait(8)
        assert local_tator.jobs == {uid: "cancelled"}
        local_tator.delay(0)
        answers = list(answers)
    assert Counter(status for status, _, _ in answers) == {200: 1, 400: 7}
    failed = next(json.loads(body) for status, _, body in answers if status == 400)
    assert set(failed) == {"message", "details"}


def test_delays_can_be_lifted(local_tator: LocalTator) -> None:
    """`delay(0)` also gives the answers that are held back, and clients may have left by then."""
    uids = local_tator.launch(2).run_uids
    arrivals = Arrivals(local_tator)
    local_tator.delay(600)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(send, local_tator, f"/rest/Job/{uids[0]}")
        port = int(local_tator.host.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as left:
            left.sendall(b"DELETE /rest/Job/x HTTP/1.1\r\nHost: localhost\r\n\r\n")
            arrivals.wait(2)
        local_tator.delay(0)
        assert answer.result(timeout=30)[0] == 200
    assert send(local_tator, f"/rest/Job/{uids[1]}")[0] == 200


def test_64_clients_see_one_truth(local_tator: LocalTator) -> None:
    """Every job is cancelled once, however many ask at once."""
    uids = local_tator.launch(64).run_uids
    with ThreadPoolExecutor(64) as pool:
        statuses = list(pool.map(lambda uid: send(local_tator, f"/rest/Job/{uid}")[0], uids))
    assert statuses == [200] * 64
    assert set(local_tator.jobs.values()) == {"cancelled"}
    assert len(local_tator.requests) == 64


def test_requests_are_kept_as_they_came(local_tator: LocalTator) -> None:
    """What arrived can be read: method, path, headers, body, and the status of the answer."""
    connection = http.client.HTTPConnection(local_tator.host.partition("//")[2])
    connection.request("POST", "/rest/Thing?a=1", b"{}", {"X-Name": "value"})
    connection.getresponse().read()
    connection.close()
    (request,) = local_tator.requests
    assert (request.method, request.path, request.body) == ("POST", "/rest/Thing?a=1", b"{}")
    assert request.headers["x-name"] == "value"
    assert request.status == 404


def test_a_connection_is_kept_alive(local_tator: LocalTator) -> None:
    """Several requests can go over one connection."""
    connection = http.client.HTTPConnection(local_tator.host.partition("//")[2])
    connection.connect()
    port = connection.sock.getsockname()
    for _ in range(3):
        connection.request("DELETE", "/rest/Job/x")
        connection.getresponse().read()
        assert connection.sock.getsockname() == port
    connection.close()


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 405, 409, 429, 500, 502, 503, 999])
def test_failures_come_in_the_servers_shapes(local_tator: LocalTator, status: int) -> None:
    """A planned failure has the status, the headers and the kind of body that a real one has."""
    (uid,) = local_tator.launch().run_uids
    local_tator.fail(status, times=2, headers={"Retry-After": "1"})
    for _ in range(2):
        came, kind, body = send(local_tator, f"/rest/Job/{uid}")
        assert came == status
        if kind == "application/json":
            assert {"message", "detail"} & set(json.loads(body))
        else:
            assert "<title>" in body
    assert local_tator.jobs[uid] == "running"
    assert send(local_tator, f"/rest/Job/{uid}")[0] == 200


@pytest.mark.parametrize("status", [0, 100, 1000])
def test_a_status_that_no_answer_has_is_refused(local_tator: LocalTator, status: int) -> None:
    """A client would wait for another answer after a 1xx."""
    with pytest.raises(ValueError, match="from 200 to 999"):
        local_tator.fail(status)


def test_a_failure_may_come_after_the_work(local_tator: LocalTator) -> None:
    """With `after_applying`, the answer is an error and the job is cancelled."""
    (uid,) = local_tator.launch().run_uids
    local_tator.fail(502, after_applying=True)
    assert send(local_tator, f"/rest/Job/{uid}")[0] == 502
    assert local_tator.jobs[uid] == "cancelled"


@pytest.mark.parametrize("applied", [False, True])
def test_connections_can_be_dropped(local_tator: LocalTator, applied: bool) -> None:
    """A dropped connection gives no answer, before or after the work."""
    (uid,) = local_tator.launch().run_uids
    local_tator.drop(after_applying=applied)
    with pytest.raises(ConnectionError):
        send(local_tator, f"/rest/Job/{uid}")
    assert local_tator.jobs[uid] == ("cancelled" if applied else "running")
    assert local_tator.requests[0].status == 0


def test_a_page_can_stand_for_success(local_tator: LocalTator) -> None:
    """`html()` answers 200 with a page, and does nothing."""
    (uid,) = local_tator.launch().run_uids
    local_tator.html()
    status, kind, body = send(local_tator, f"/rest/Job/{uid}")
    assert (status, kind.partition(";")[0], body[:6]) == (200, "text/html", "<html>")
    assert local_tator.jobs[uid] == "running"


def test_answers_can_be_cut_short(local_tator: LocalTator) -> None:
    """`truncate()` gives less of the body than was announced."""
    (uid,) = local_tator.launch().run_uids
    local_tator.truncate()
    with pytest.raises(http.client.IncompleteRead):
        send(local_tator, f"/rest/Job/{uid}")
    assert local_tator.jobs[uid] == "cancelled"


def test_an_extra_endpoint_can_be_added(local_tator: LocalTator) -> None:
    """`route()` answers one more path, for those with a token."""
    local_tator.route("GET", "/rest/Version", {"git": "abc"}, status=201)
    status, _, body = send(local_tator, "/rest/Version?x=1", "GET")
    assert (status, json.loads(body)) == (201, {"git": "abc"})
    assert send(local_tator, "/rest/Version", "GET", token="Token wrong")[0] == 403
    assert send(local_tator, "/rest/Version")[0] == 404


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """A certificate authority."""
    return trustme.CA()


@pytest.fixture
def server_context(authority: trustme.CA) -> ssl.SSLContext:
    """What a server with a certificate of the authority needs."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


def test_it_speaks_tls(authority: trustme.CA, server_context: ssl.SSLContext) -> None:
    """With a context it is an https server."""
    client_context = ssl.create_default_context()
    authority.configure_trust(client_context)
    with LocalTator(ssl_context=server_context) as server:
        assert server.host.startswith("https://127.0.0.1:")
        address = server.host.partition("//")[2]
        connection = http.client.HTTPSConnection(address, context=client_context)
        authorization = {"Authorization": f"Token {server.token}"}
        (uid,) = server.launch().run_uids
        connection.request("DELETE", f"/rest/Job/{uid}", headers=authorization)
        assert connection.getresponse().status == 200
        connection.close()


def test_the_wrong_protocol_gets_a_page(server_context: ssl.SSLContext) -> None:
    """http on the https port is told so; TLS on the http port is no handshake."""
    with LocalTator(ssl_context=server_context) as server:
        address = server.host.partition("//")[2]
        connection = http.client.HTTPConnection(address)
        connection.request("DELETE", "/rest/Job/x")
        answer = connection.getresponse()
        assert answer.status == 400
        assert "plain HTTP request was sent to HTTPS port" in answer.read().decode()
        connection.close()
    with LocalTator() as server:
        secure = http.client.HTTPSConnection(server.host.partition("//")[2], timeout=10)
        with pytest.raises(ssl.SSLError):
            secure.connect()
        secure.close()


def test_closing_waits_for_nobody(server_context: ssl.SSLContext) -> None:
    """Idle, silent and delayed connections are cut, unanswered, when the server closes."""
    for context in (None, server_context):
        with LocalTator(ssl_context=context) as server:
            port = int(server.host.rpartition(":")[2])
            silent = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(3)]
            silent[0].sendall(b"\x16" if context else b"DELETE /rest/Job/x HTTP/1.1\r\n")
            if context is None:
                server.delay(600)
                arrivals = Arrivals(server)
                silent[1].sendall(b"DELETE /rest/Job/x HTTP/1.1\r\nHost: localhost\r\n\r\n")
                arrivals.wait()
        assert not [thread for thread in threading.enumerate() if thread.name == "LocalTator"]
        for connection in silent:
            with suppress(ConnectionResetError):
                assert connection.recv(1) == b""
            connection.close()
        server.close()


def test_servers_leave_nothing_behind() -> None:
    """Neither a descriptor nor a thread is left by a server that was used."""

    def use() -> tuple[int, int]:
        with LocalTator() as server:
            send(server, "/rest/Job/x")
        return len(os.listdir("/dev/fd")), threading.active_count()

    descriptors, threads = use()
    for _ in range(20):
        last = use()
    assert last[0] <= descriptors
    assert last[1] <= threads


def test_a_forked_child_leaves_the_server_to_its_parent(local_tator: LocalTator) -> None:
    """What a child closes stays open in the parent, what the parent closes seems closed to all."""
    connection = http.client.HTTPConnection(local_tator.host.partition("//")[2], timeout=10)

    def ask() -> int:
        connection.request("DELETE", "/rest/Job/x")
        answer = connection.getresponse()
        answer.read()
        return answer.status

    assert ask() == 403
    (uid,) = local_tator.launch().run_uids
    parents, childs = socket.socketpair()
    child = os.fork()
    if child == 0:
        status, _, _ = send(local_tator, f"/rest/Job/{uid}")  # the parent answers
        local_tator.close()
        childs.send(b"%d %d" % (status, len(local_tator.jobs)))
        childs.recv(1)
        os._exit(0)
    try:
        assert parents.recv(100) == b"200 1"
        assert local_tator.jobs == {uid: "cancelled"}
        assert ask() == 403  # on the old connection
        local_tator.drop()
        with pytest.raises(ConnectionError):
            ask()
        local_tator.close()
        with pytest.raises(ConnectionRefusedError):
            send(local_tator, "/rest/Job/x")
    finally:
        connection.close()
        parents.close()
        childs.shutdown(socket.SHUT_RDWR)
        childs.close()
        assert os.waitpid(child, 0)[1] == 0


def test_the_port_can_be_chosen() -> None:
    """A server can take a port that was free a moment ago, and its token can be given."""
    with LocalTator() as server:
        port = int(server.host.rpartition(":")[2])
    with LocalTator("secret", port=port) as server:
        assert server.host.endswith(f":{port}")
        assert server.token == "secret"


def test_the_package_has_no_other_names() -> None:
    """What is not there is an AttributeError."""
    with pytest.raises(AttributeError, match="RemoteTator"):
        testing.RemoteTator  # noqa: B018  # the access is what is tried


def test_the_plugin_loads_nothing() -> None:
    """pytest loads the plugin in every session, so it imports neither a server nor the SDK."""
    program = (
        "import sys, tator.testing.pytest_plugin;"
        "print({'http.server', 'urllib3', 'tator.testing.server', 'tator.rest'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.stdout.strip() == "set()"


def test_each_test_has_a_server_of_its_own(pytester: pytest.Pytester) -> None:
    """The fixture starts afresh for every test."""
    pytester.makepyfile(
        """
        hosts = set()

        def test_one(local_tator):
            local_tator.launch()
            assert len(local_tator.jobs) == 1

        def test_two(local_tator):
            assert local_tator.jobs == {}
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=2)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_started_by_hand_it_says_what_to_paste(tmp_path: Path, number: signal.Signals) -> None:
    """`python -m tator.testing` prints exports and ids, logs requests, and ends cleanly."""
    command = [sys.executable, "-m", "tator.testing", "--jobs", "2", "--token", "secret"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        host = process.stdout.readline().strip().removeprefix("export TATOR_HOST=")
        assert process.stdout.readline() == "export TATOR_TOKEN=secret\n"
        assert process.stdout.readline().startswith("export GROUP_ID=")
        uid = process.stdout.readline().strip().removeprefix("export RUN_UID=")
        assert process.stdout.readline().startswith("# job:   ")
        connection = http.client.HTTPConnection(host.partition("//")[2])
        connection.request("DELETE", f"/rest/Job/{uid}", headers={"Authorization": "Token secret"})
        assert connection.getresponse().status == 200
        connection.close()
        assert process.stderr.readline() == f"DELETE /rest/Job/{uid} 200\n"
        process.send_signal(number)
        assert process.wait(10) == 0
        assert process.stderr.read() == ""


def test_its_command_says_which_port_is_taken(
    local_tator: LocalTator, capsys: pytest.CaptureFixture[str]
) -> None:
    """A port that can't be had is named, without a traceback."""
    port = local_tator.host.rpartition(":")[2]
    with pytest.raises(SystemExit, match="2"):
        __main__.main(["--port", port])
    assert f"port {port} can't be used: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--port", "99999", "port 99999 can't be used"),
        ("--jobs", "-1", "must be a whole number"),
        ("--token", "a b", "must be printable ASCII"),
    ],
)
def test_its_command_says_which_option_is_wrong(
    option: str, value: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A value that no server can have is named, without a traceback."""
    with pytest.raises(SystemExit, match="2"):
        __main__.main([option, value])
    assert words in capsys.readouterr().err


def test_its_command_ends_with_a_signal(capsys: pytest.CaptureFixture[str]) -> None:
    """The command serves until a signal comes, and puts the handlers back."""
    before = signal.getsignal(signal.SIGTERM)

    def use_and_stop() -> None:
        said = ""
        while "RUN_UID" not in said:
            said += capsys.readouterr().out
        host = said.splitlines()[0].removeprefix("export TATOR_HOST=http://")
        connection = http.client.HTTPConnection(host)
        connection.request("DELETE", "/rest/Job/x")
        connection.getresponse().read()
        connection.close()
        os.kill(os.getpid(), signal.SIGTERM)

    user = threading.Thread(target=use_and_stop)
    user.start()
    __main__.main(["--jobs", "1", "--token", "mine"])
    user.join()
    assert signal.getsignal(signal.SIGTERM) is before
    assert capsys.readouterr().err == "DELETE /rest/Job/x 403\n"
