"""LocalTator fails on demand, remembers what arrived, and plays the generation that it is told."""

from __future__ import annotations

import http.client
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from wire import Arrivals, address, send

from tator import testing
from tator.testing import LocalTator


def test_64_clients_see_consistent_results(local_tator: LocalTator) -> None:
    """Every job is cancelled once, however many ask at once."""
    uids = local_tator.launch(64).run_uids
    with ThreadPoolExecutor(64) as pool:
        statuses = list(pool.map(lambda uid: send(local_tator, f"/rest/Job/{uid}").status, uids))
    assert statuses == [200] * 64
    assert set(local_tator.jobs.values()) == {"cancelled"}
    assert len(local_tator.requests) == 64


def test_an_id_does_not_name_the_machine(local_tator: LocalTator) -> None:
    """IDs are those of `uuid1`, as on a real server, but with no address of a network card."""
    group = local_tator.launch(2)
    ids = [UUID(uid) for uid in (group.group_id, *group.run_uids)]
    assert len(set(ids)) == 3
    for each in ids:
        assert each.version == 1
        assert each.node & 1 << 40  # only addresses of many receivers have this bit


def test_requests_are_kept_unchanged(local_tator: LocalTator) -> None:
    """What arrived can be read: method, path, headers, body, and the status of the response."""
    send(local_tator, "/rest/Thing?a=1", "POST", body=b"{}", headers={"X-Name": "value"})
    (request,) = local_tator.requests
    assert (request.method, request.path, request.body) == ("POST", "/rest/Thing?a=1", b"{}")
    assert request.headers["x-name"] == "value"
    assert request.status == 404


def test_on_request_is_called_between_the_work_and_the_response(local_tator: LocalTator) -> None:
    """The function is called when the job is cancelled, before the client knows."""
    seen = []
    local_tator.on_request = lambda request: seen.append((request, local_tator.jobs))
    (uid,) = local_tator.launch().run_uids
    send(local_tator, f"/rest/Job/{uid}")
    ((request, jobs),) = seen
    assert (request.status, jobs) == (200, {uid: "cancelled"})


def test_a_delay_can_be_removed(local_tator: LocalTator) -> None:
    """`delay(0)` also sends the responses that are held back."""
    uids = local_tator.launch(2).run_uids
    arrivals = Arrivals(local_tator)
    local_tator.delay(600)
    with ThreadPoolExecutor(1) as pool:
        reply = pool.submit(send, local_tator, f"/rest/Job/{uids[0]}")
        arrivals.wait()
        local_tator.delay(0)
        assert reply.result(timeout=30).status == 200
    assert send(local_tator, f"/rest/Job/{uids[1]}").status == 200


def test_failures_have_headers_and_a_count(local_tator: LocalTator) -> None:
    """A planned failure is sent as often as it was planned, and nothing is applied."""
    (uid,) = local_tator.launch().run_uids
    local_tator.fail(503, times=2, headers={"Retry-After": "1", "server": "nginx"})
    for _ in range(2):
        reply = send(local_tator, f"/rest/Job/{uid}")
        assert (reply.status, reply.headers["Retry-After"]) == (503, "1")
        assert reply.headers.get_all("Server") == ["nginx"]
    assert local_tator.jobs[uid] == "running"
    assert send(local_tator, f"/rest/Job/{uid}").status == 200


@pytest.mark.parametrize("status", [-1, 0, 100, 199, 1000])
def test_a_status_that_no_response_has_is_rejected(local_tator: LocalTator, status: int) -> None:
    """A client would wait for another response after a 1xx."""
    with pytest.raises(ValueError, match=r"^status must be from 300 to 999$"):
        local_tator.fail(status)
    with pytest.raises(ValueError, match=r"^status must be from 200 to 999$"):
        local_tator.route("GET", "/rest/Version", None, status)


def test_a_success_is_rejected_as_a_failure(local_tator: LocalTator) -> None:
    """`fail(200)` would send an error's body with a status that says that it worked."""
    with pytest.raises(ValueError, match=r"^status must be from 300 to 999$"):
        local_tator.fail(200)
    local_tator.fail(300)
    assert [send(local_tator, "/rest/Job/x").status for _ in range(2)] == [300, 500]


def test_a_string_is_rejected_as_a_number(local_tator: LocalTator) -> None:
    """The error names the value at once, not the request that it would have broken."""
    number: Any = "503"
    for name, call in {
        "status": lambda: local_tator.fail(number),
        "times": lambda: local_tator.drop(times=number),
        "count": lambda: local_tator.launch(number),
        "project": lambda: local_tator.launch(project=number),
        "port": lambda: LocalTator(port=number),
    }.items():
        with pytest.raises(TypeError, match=f"^{name} must be an integer, not str$"):
            call()
    with pytest.raises(TypeError, match=r"^status must be an integer, not str$"):
        local_tator.route("GET", "/rest/Version", None, number)
    assert local_tator.jobs == {}
    assert send(local_tator, "/rest/Job/x").status == 500  # no failure was planned


def test_a_number_that_is_too_small_is_rejected(local_tator: LocalTator) -> None:
    """A negative count would launch nothing, or plan nothing, without a word."""
    with pytest.raises(ValueError, match=r"^count must be 0 or more$"):
        local_tator.launch(-1)
    with pytest.raises(ValueError, match=r"^project must be 1 or more$"):
        local_tator.launch(project=0)
    with pytest.raises(ValueError, match=r"^times must be 0 or more$"):
        local_tator.fail(503, times=-1)
    assert local_tator.launch(0).run_uids == ()


@pytest.mark.parametrize("path", ["", "rest/Version", "http://localhost/rest/Version", "/rest?a=1"])
def test_a_path_that_no_request_has_is_rejected(local_tator: LocalTator, path: str) -> None:
    """A route without a leading slash, or with a query, would never be served."""
    with pytest.raises(ValueError, match=r"^path must begin with / and have no query$"):
        local_tator.route("GET", path, {})


@pytest.mark.parametrize("status", [400, 502])
def test_a_failure_may_come_after_the_work(local_tator: LocalTator, status: int) -> None:
    """With `after_applying`, the response is an error and the job is cancelled."""
    (uid,) = local_tator.launch().run_uids
    local_tator.fail(status, after_applying=True)
    assert send(local_tator, f"/rest/Job/{uid}").status == status
    assert local_tator.jobs[uid] == "cancelled"


def test_a_whole_group_is_cancelled_behind_a_gateway_that_times_out(
    local_tator: LocalTator,
) -> None:
    """The server goes on when something in front of it reports a 504."""
    group = local_tator.launch(3)
    local_tator.fail(504, after_applying=True)
    assert send(local_tator, f"/rest/JobGroup/{group.group_id}").status == 504
    assert set(local_tator.jobs.values()) == {"cancelled"}


@pytest.mark.parametrize("applied", [False, True])
def test_connections_can_be_dropped(local_tator: LocalTator, applied: bool) -> None:
    """A dropped connection gives no response, before or after the work."""
    (uid,) = local_tator.launch().run_uids
    local_tator.drop(after_applying=applied)
    with pytest.raises(ConnectionError):
        send(local_tator, f"/rest/Job/{uid}")
    assert local_tator.jobs[uid] == ("cancelled" if applied else "running")
    assert local_tator.requests[0].status == 0


def test_a_page_can_replace_a_success(local_tator: LocalTator) -> None:
    """`html()` responds with 200 and a page, and does nothing."""
    (uid,) = local_tator.launch().run_uids
    local_tator.html()
    reply = send(local_tator, f"/rest/Job/{uid}")
    assert (reply.status, reply.title) == (200, "Tator")
    assert local_tator.jobs[uid] == "running"


@pytest.mark.parametrize("applied", [False, True])
def test_responses_can_be_cut_short(local_tator: LocalTator, applied: bool) -> None:
    """`truncate()` sends less of the body than was announced."""
    (uid,) = local_tator.launch().run_uids
    local_tator.truncate(after_applying=applied)
    with pytest.raises(http.client.IncompleteRead):
        send(local_tator, f"/rest/Job/{uid}")
    assert local_tator.jobs[uid] == ("cancelled" if applied else "running")


def test_throttling_takes_so_many_in_any_second(local_tator: LocalTator) -> None:
    """What is over the limit is not applied, and is taken when a second has passed."""
    now = 100.0
    local_tator.clock = lambda: now
    uids = local_tator.launch(4).run_uids
    local_tator.throttle(2)
    local_tator.fail(503)

    def statuses(*uids: str) -> list[int]:
        return [send(local_tator, f"/rest/Job/{uid}").status for uid in uids]

    assert statuses(*uids[:3]) == [503, 200, 429]
    assert list(local_tator.jobs.values()) == ["running", "cancelled", "running", "running"]
    now += 0.75
    assert statuses(uids[2]) == [429]
    now += 0.25
    assert statuses(uids[0], uids[2], uids[3]) == [200, 200, 429]
    local_tator.throttle(None)
    assert statuses(uids[3]) == [200]
    local_tator.throttle(1)
    local_tator.throttle(0)
    assert statuses("x", "x") == [500, 500]


@pytest.mark.parametrize("per_second", [-1, float("nan"), float("inf")])
def test_an_invalid_rate_is_rejected(local_tator: LocalTator, per_second: float) -> None:
    """A rate is a finite number, 0 or more."""
    with pytest.raises(ValueError, match="per_second must be 0 or more"):
        local_tator.throttle(per_second)


def test_an_endpoint_can_be_added(local_tator: LocalTator) -> None:
    """`route()` serves one more path, to those with a token."""
    local_tator.route("GET", "/rest/Version", {"git": "abc"}, status=201)
    reply = send(local_tator, "/rest/Version?x=1", "GET", headers={"Accept": "text/csv"})
    assert (reply.status, reply.json) == (201, {"git": "abc"})
    for authorization in ("Token wrong", "{token}", None):
        assert send(local_tator, "/rest/Version", "GET", authorization).status == 403
    assert send(local_tator, "/rest/Version").status == 404


def test_a_route_wins_over_what_is_there(local_tator: LocalTator) -> None:
    """A routed error is for everyone, so that tests can use any response of a server."""
    (uid,) = local_tator.launch().run_uids
    words = {"error": "Authentication failed", "detail": "Please provide or refresh your token."}
    local_tator.route("DELETE", f"/rest/Job/{uid}", words, 401, {"vary": "Origin"})
    for authorization in ("Bearer jwt", "Token wrong", None):
        reply = send(local_tator, f"/rest/Job/{uid}", authorization=authorization)
        assert (reply.status, reply.json) == (401, words)
        assert reply.headers.get_all("Vary") == ["Origin"]
    assert local_tator.jobs[uid] == "running"


def test_a_route_sends_bytes_as_they_are(local_tator: LocalTator) -> None:
    """Bytes are HTML, unless a header says otherwise; a string is JSON."""
    local_tator.route("GET", "/a", b"<h1>502</h1>", 502)
    local_tator.route("GET", "/b", b"1,2", headers={"content-type": "text/csv"})
    local_tator.route("GET", "/c", "text")
    page, table, text = (send(local_tator, path, "GET") for path in ("/a", "/b", "/c"))
    assert (page.kind, page.body) == ("text/html", "<h1>502</h1>")
    assert (table.headers.get_all("Content-Type"), table.body) == (["text/csv"], "1,2")
    assert (text.kind, text.body) == ("application/json", '"text"')


def test_an_unknown_permission_is_rejected(local_tator: LocalTator) -> None:
    """A misspelled permission is a ValueError that names the right ones."""
    with pytest.raises(ValueError, match="full_control"):
        local_tator.add_token("theirs", "root")


def test_an_unknown_kind_of_job_is_rejected(local_tator: LocalTator) -> None:
    """A misspelled kind is a ValueError that names the right ones."""
    with pytest.raises(ValueError, match="algorithm, transcode"):
        local_tator.launch(kind="transcodes")
    assert local_tator.jobs == {}


def test_an_unknown_generation_is_rejected() -> None:
    """A misspelled generation is a ValueError that names the right ones, and starts nothing."""
    before = threading.active_count()
    with pytest.raises(ValueError, match="2020-05, 2020-08, 2025-06"):
        LocalTator(server="2021-01")
    assert threading.active_count() == before


@pytest.mark.parametrize("port", [-1, 65536])
def test_an_invalid_port_is_rejected(port: int) -> None:
    """A port out of range is a ValueError."""
    with pytest.raises(ValueError, match="from 0 to 65535"):
        LocalTator(port=port)


def test_port_and_token_can_be_chosen() -> None:
    """A server can take a port that was free a moment ago, and its token can be given."""
    with LocalTator() as server:
        _, port = address(server)
    with LocalTator("secret", port=port) as server:
        assert server.host.endswith(f":{port}")
        assert server.token == "secret"


def test_the_package_has_no_other_names() -> None:
    """What is not there is an AttributeError."""
    with pytest.raises(AttributeError, match="RemoteTator"):
        testing.RemoteTator  # noqa: B018  # the access is the test
