"""LocalTator responds as each of the three generations of Tator servers does."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import pytest
from wire import Arrivals, Reply, send

from tator.testing import LocalTator

MAY, AUG, NOW = "2020-05", "2020-08", "2025-06"
UNBOUND = "local variable 'project' referenced before assignment"


def on(*servers: str) -> pytest.MarkDecorator:
    """Run a test on these generations."""
    return pytest.mark.parametrize("local_tator", servers, indirect=True)


@pytest.fixture
def server(local_tator: LocalTator, request: pytest.FixtureRequest) -> str:
    """The generation that the test runs on."""
    return str(request.node.callspec.params["local_tator"])


def assert_unknown(server: str, reply: Reply) -> None:
    """The generation's response to an ID that nothing has which runs."""
    if server == MAY:
        assert (reply.status, reply.title) == (500, "Server Error")
    elif server == AUG:
        assert (reply.status, reply.json["message"]) == (400, UNBOUND)
        assert reply.json["details"].startswith("Traceback")
    else:
        assert (reply.status, reply.json) == (404, {"message": ""})


def assert_says(server: str, reply: Reply, sentence: str) -> None:
    """A sentence of the framework: 403 and `detail` in May, 400 and `message` ever since."""
    if server == MAY:
        assert (reply.status, reply.json) == (403, {"detail": sentence})
    else:
        assert (reply.status, reply.json["message"]) == (400, sentence)
        assert reply.json["details"].startswith("Traceback")


@on(MAY, AUG, NOW)
def test_a_job_is_cancelled(local_tator: LocalTator, server: str) -> None:
    """A job that runs is cancelled, with a 200 and a message that names it."""
    uid, other = local_tator.launch(2).run_uids
    reply = send(local_tator, f"/rest/Job/{uid}", headers={"Accept": "application/json"})
    name = "UID" if server == NOW else "run UID"
    assert (reply.status, reply.json) == (200, {"message": f"Job with {name} {uid} deleted!"})
    assert local_tator.jobs == {uid: "cancelled", other: "running"}


@on(MAY, AUG, NOW)
def test_an_id_without_a_running_job_is_unknown(local_tator: LocalTator, server: str) -> None:
    """Unknown, already cancelled, in upper case, a group's: all look the same."""
    group = local_tator.launch(2)
    cancelled, running = group.run_uids
    assert send(local_tator, f"/rest/Job/{cancelled}").status == 200
    for uid in ("unknown", cancelled, running.upper(), group.group_id):
        assert_unknown(server, send(local_tator, f"/rest/Job/{uid}"))
    assert local_tator.jobs[running] == "running"


@on(MAY, AUG)
def test_a_group_is_cancelled_until_nothing_of_it_runs(
    local_tator: LocalTator, server: str
) -> None:
    """A group with some jobs cancelled is a 200, one with all cancelled is unknown."""
    group, others = local_tator.launch(3), local_tator.launch()
    path = f"/rest/JobGroup/{group.group_id}"
    assert send(local_tator, f"/rest/Job/{group.run_uids[1]}").status == 200
    reply = send(local_tator, path)
    message = f"Deleted 2 jobs of group {group.group_id}!"
    assert (reply.status, reply.json) == (200, {"message": message})
    assert [local_tator.jobs[uid] for uid in group.run_uids] == ["cancelled"] * 3
    assert local_tator.jobs[others.run_uids[0]] == "running"
    assert_unknown(server, send(local_tator, path))
    assert_unknown(server, send(local_tator, f"/rest/JobGroup/{others.run_uids[0]}"))


@on(NOW)
@pytest.mark.parametrize("authorization", ["Token {token}", "Token wrong", None])
def test_there_is_no_job_group_today(local_tator: LocalTator, authorization: str | None) -> None:
    """`/rest/JobGroup` is a page that says "Not Found", whatever the token."""
    group = local_tator.launch()
    reply = send(local_tator, f"/rest/JobGroup/{group.group_id}", authorization=authorization)
    assert (reply.status, reply.title) == (404, "Not Found")
    assert set(local_tator.jobs.values()) == {"running"}


@on(NOW)
def test_a_group_is_cancelled_by_its_project(local_tator: LocalTator) -> None:
    """`/rest/Jobs/{project}?gid=` counts what it cancelled, which may be nothing."""
    group, others = local_tator.launch(2, project=7), local_tator.launch(project=7)
    assert group.project == 7
    path = f"/rest/Jobs/7?gid={group.group_id}"
    for count in (2, 0):
        reply = send(local_tator, path)
        assert (reply.status, reply.json) == (
            200,
            {"message": f"Deleted {count} jobs for project 7!"},
        )
    assert [local_tator.jobs[uid] for uid in group.run_uids] == ["cancelled"] * 2
    assert local_tator.jobs[others.run_uids[0]] == "running"


@on(NOW)
@pytest.mark.parametrize("path", ["/rest/Jobs/1?gid={}", "/rest/Jobs/7?gid=unknown"])
def test_a_group_that_is_not_in_the_project_is_zero_jobs(
    local_tator: LocalTator, path: str
) -> None:
    """An unknown group and one of another project are both "Deleted 0 jobs"."""
    group = local_tator.launch(project=7)
    reply = send(local_tator, path.format(group.group_id))
    assert (reply.status, reply.json["message"].partition(" for ")[0]) == (200, "Deleted 0 jobs")
    assert set(local_tator.jobs.values()) == {"running"}


@on(NOW)
def test_a_project_without_a_group_cancels_all_algorithm_jobs(local_tator: LocalTator) -> None:
    """Without `gid`, every algorithm job of the project is cancelled; `media_id` is ignored."""
    algorithms = local_tator.launch(2, project=7).run_uids + local_tator.launch(project=7).run_uids
    transcodes = local_tator.launch(project=7, kind="transcode").run_uids
    elsewhere = local_tator.launch(project=8).run_uids
    reply = send(local_tator, "/rest/Jobs/7?media_id=1,2")
    assert (reply.status, reply.json) == (200, {"message": "Deleted 3 jobs for project 7!"})
    jobs = local_tator.jobs
    assert {jobs[uid] for uid in algorithms} == {"cancelled"}
    assert {jobs[uid] for uid in transcodes + elsewhere} == {"running"}


@on(NOW)
def test_the_last_of_a_repeated_name_counts(local_tator: LocalTator) -> None:
    """Of two `gid`s, the second one's group is cancelled; an empty one is nobody's."""
    first, second = local_tator.launch(), local_tator.launch()
    send(local_tator, f"/rest/Jobs/1?gid={first.group_id}&gid={second.group_id}")
    assert local_tator.jobs == {first.run_uids[0]: "running", second.run_uids[0]: "cancelled"}
    assert send(local_tator, "/rest/Jobs/1?gid=").json == {
        "message": "Deleted 0 jobs for project 1!"
    }


@on(NOW)
@pytest.mark.parametrize("method", ["DELETE", "GET"])
def test_an_unknown_project_is_a_404(local_tator: LocalTator, method: str) -> None:
    """A project without jobs is unknown; one that is not a number has no endpoint."""
    assert_unknown(NOW, send(local_tator, "/rest/Jobs/99", method))
    assert send(local_tator, "/rest/Jobs/mine", method).title == "Not Found"


@on(MAY, AUG)
@pytest.mark.parametrize("path", ["/rest/Jobs/1", "/rest/Transcode/{}"])
def test_old_servers_do_not_have_the_paths_of_today(local_tator: LocalTator, path: str) -> None:
    """`/rest/Jobs` and `/rest/Transcode` are pages that say "Not Found" there."""
    (uid,) = local_tator.launch(kind="transcode").run_uids
    reply = send(local_tator, path.format(uid))
    assert (reply.status, reply.title) == (404, "Not Found")
    assert local_tator.jobs == {uid: "running"}


@on(NOW)
def test_a_job_can_be_read(local_tator: LocalTator) -> None:
    """`GET` describes a job while it runs."""
    group = local_tator.launch(project=7)
    path = f"/rest/Job/{group.run_uids[0]}"
    local_tator.add_token("theirs", "view_only")
    reply = send(local_tator, path, "GET", "Token theirs")
    assert reply.status == 200
    assert set(reply.json) == {
        *("id", "uid", "gid", "project", "user", "media_ids", "alg_id", "status", "nodes"),
    }
    assert (reply.json["uid"], reply.json["gid"]) == (group.run_uids[0], group.group_id)
    assert reply.json["project"] == 7
    send(local_tator, path)
    assert_unknown(NOW, send(local_tator, path, "GET"))


@on(NOW)
def test_the_jobs_of_a_project_can_be_listed(local_tator: LocalTator) -> None:
    """`GET` lists the algorithm jobs that run, of one group or of all."""
    group, others = local_tator.launch(2), local_tator.launch()
    local_tator.launch(kind="transcode")
    send(local_tator, f"/rest/Job/{group.run_uids[0]}")
    for query, expected in (
        (f"?gid={group.group_id}", [group.run_uids[1]]),
        ("", [group.run_uids[1], *others.run_uids]),
        ("?gid=unknown", []),
    ):
        reply = send(local_tator, f"/rest/Jobs/1{query}", "GET")
        assert (reply.status, [job["uid"] for job in reply.json]) == (200, expected)


@on(MAY, AUG)
def test_a_job_can_not_be_read_on_old_servers(local_tator: LocalTator, server: str) -> None:
    """`GET` of a job is a 405, and of an unknown ID the same as a cancellation."""
    (uid,) = local_tator.launch().run_uids
    assert send(local_tator, f"/rest/Job/{uid}", "GET").status == 405
    assert_unknown(server, send(local_tator, "/rest/Job/unknown", "GET"))


@on(MAY, AUG, NOW)
def test_a_transcode_is_cancelled_where_its_generation_has_it(
    local_tator: LocalTator, server: str
) -> None:
    """A transcode is a job on old servers, and has its own path today."""
    job, transcode = local_tator.launch(), local_tator.launch(kind="transcode")
    (uid,) = transcode.run_uids
    path = f"/rest/Job/{uid}"
    if server == NOW:
        assert_unknown(NOW, send(local_tator, path))
        assert_unknown(NOW, send(local_tator, f"/rest/Transcode/{job.run_uids[0]}"))
        path = f"/rest/Transcode/{uid}"
    reply = send(local_tator, path)
    assert reply.status == 200
    assert reply.json["message"].endswith(f"{uid} deleted!")
    assert local_tator.jobs == {job.run_uids[0]: "running", uid: "cancelled"}


@on(MAY, AUG, NOW)
@pytest.mark.parametrize(
    ("authorization", "sentence"),
    [
        (None, "Authentication credentials were not provided."),
        ("", "Authentication credentials were not provided."),
        ("{token}", "Authentication credentials were not provided."),
        ("Bearer {token}", "Authentication credentials were not provided."),
        ("Token wrong", "Invalid token."),
        ("Token two words", "Invalid token header. Token string should not contain spaces."),
        ("Token ", "Invalid token header. No credentials provided."),
        ("Token former", "User inactive or deleted."),
    ],
)
def test_a_wrong_token_is_named(
    local_tator: LocalTator, server: str, authorization: str | None, sentence: str
) -> None:
    """Whatever is wrong with a token, the framework's sentence says it; no header asks for one."""
    (uid,) = local_tator.launch().run_uids
    local_tator.add_token("former", "inactive")
    reply = send(local_tator, f"/rest/Job/{uid}", authorization=authorization)
    assert_says(server, reply, sentence)
    assert "WWW-Authenticate" not in reply.headers
    assert local_tator.jobs[uid] == "running"


@on(MAY, AUG, NOW)
def test_no_token_and_an_unknown_id_is_unknown(local_tator: LocalTator, server: str) -> None:
    """The ID is looked up before the lack of a token counts, but after a wrong token does."""
    for authorization in (None, "{token}"):
        reply = send(local_tator, "/rest/Job/unknown", authorization=authorization)
        assert_unknown(server, reply)
    assert_says(
        server, send(local_tator, "/rest/Job/x", authorization="Token wrong"), "Invalid token."
    )


@on(MAY, AUG, NOW)
@pytest.mark.parametrize(
    ("permission", "may_cancel_on"),
    [
        ("view_only", ()),
        ("can_edit", ()),
        ("can_transfer", (MAY, AUG)),
        ("can_execute", (MAY, AUG, NOW)),
        ("full_control", (MAY, AUG, NOW)),
    ],
)
def test_a_cancellation_needs_permission(
    local_tator: LocalTator, server: str, permission: str, may_cancel_on: tuple[str, ...]
) -> None:
    """Who may not cancel gets a 403 for a job that runs, and "unknown" for the others."""
    (uid,) = local_tator.launch().run_uids
    local_tator.add_token("theirs", permission)
    reply = send(local_tator, f"/rest/Job/{uid}", authorization="Token theirs")
    if server in may_cancel_on:
        assert (reply.status, local_tator.jobs[uid]) == (200, "cancelled")
    else:
        assert (reply.status, local_tator.jobs[uid]) == (403, "running")
        key, sentence = {
            MAY: ("detail", "Insufficient permission to "),
            AUG: ("message", "Insufficient permission to "),
            NOW: ("message", "You do not have permission to perform this action."),
        }[server]
        assert list(reply.json) == [key]
        assert reply.json[key].startswith(sentence)
    assert_unknown(server, send(local_tator, "/rest/Job/x", authorization="Token theirs"))


@on(MAY, AUG, NOW)
def test_a_failure_midway_leaves_some_of_a_group(local_tator: LocalTator, server: str) -> None:
    """A 400 after the work began has Kubernetes' text, and some jobs of the group run on."""
    group = local_tator.launch(3)
    path = f"/rest/JobGroup/{group.group_id}"
    path = f"/rest/Jobs/1?gid={group.group_id}" if server == NOW else path
    local_tator.fail(400, after_applying=True)
    reply = send(local_tator, path)
    assert (reply.status, set(reply.json)) == (400, {"message", "details"})
    status, reason, headers, body, _ = reply.json["message"].split("\n")
    assert (status, reason) == ("(500)", "Reason: Internal Server Error")
    assert headers.startswith("HTTP response headers: ")
    inner = json.loads(body.removeprefix("HTTP response body: "))
    assert inner["message"] == "The workflow could not be deleted."
    assert list(local_tator.jobs.values()) == ["cancelled", "cancelled", "running"]
    assert send(local_tator, path).json["message"].startswith("Deleted 1 jobs ")


@on(MAY, AUG, NOW)
def test_one_of_many_at_once_succeeds(local_tator: LocalTator) -> None:
    """Of eight cancellations of one job at once, one succeeds and the others fail midway."""
    (uid,) = local_tator.launch().run_uids
    local_tator.delay(600)
    arrivals = Arrivals(local_tator)
    with ThreadPoolExecutor(8) as pool:
        replies = pool.map(lambda _: send(local_tator, f"/rest/Job/{uid}"), range(8))
        arrivals.wait(8)
        assert local_tator.jobs == {uid: "cancelled"}
        local_tator.delay(0)
        came = list(replies)
    assert Counter(reply.status for reply in came) == {200: 1, 400: 7}
    assert all(set(reply.json) == {"message", "details"} for reply in came if reply.status == 400)


@on(MAY, AUG, NOW)
def test_a_group_beside_one_of_its_jobs_stops_there(local_tator: LocalTator, server: str) -> None:
    """A group's jobs go one after the other, up to one that another request is cancelling."""
    group = local_tator.launch(3)
    path = f"/rest/JobGroup/{group.group_id}"
    path = f"/rest/Jobs/1?gid={group.group_id}" if server == NOW else path
    local_tator.delay(600)
    arrivals = Arrivals(local_tator)
    with ThreadPoolExecutor(2) as pool:
        job = pool.submit(send, local_tator, f"/rest/Job/{group.run_uids[1]}")
        arrivals.wait()
        whole = pool.submit(send, local_tator, path)
        arrivals.wait()
        assert list(local_tator.jobs.values()) == ["cancelled", "cancelled", "running"]
        local_tator.delay(0)
        assert (job.result().status, whole.result().status) == (200, 400)


@on(MAY, AUG, NOW)
def test_another_method_is_rejected(local_tator: LocalTator, server: str) -> None:
    """What a path has no method for is a 405 on old servers, and a 400 today."""
    (uid,) = local_tator.launch().run_uids
    path = f"/rest/Job/{uid}"
    reply = send(local_tator, path, "PUT")
    status, key, sentence = {
        MAY: (405, "detail", 'Method "PUT" not allowed.'),
        AUG: (405, "message", 'Method "PUT" not allowed.'),
        NOW: (400, "message", f"Operation put not found for {path}"),
    }[server]
    assert (reply.status, reply.json) == (status, {key: sentence})
    assert send(local_tator, path, "HEAD").status == status
    if server == NOW:
        assert "not found for /rest/Job/x" in send(local_tator, "/rest/Job/x?a", "PUT").body
        assert send(local_tator, "/rest/Transcode/x", "GET").status == 400
    else:
        assert_unknown(server, send(local_tator, "/rest/Job/x", "PUT"))
    assert local_tator.jobs == {uid: "running"}


@on(MAY, AUG, NOW)
def test_options_is_metadata(local_tator: LocalTator) -> None:
    """`OPTIONS` of a known path is a 200 that describes it."""
    reply = send(local_tator, "/rest/Job/x", "OPTIONS")
    assert (reply.status, set(reply.json)) == (200, {"name", "description", "renders", "parses"})


@on(MAY, AUG, NOW)
@pytest.mark.parametrize(
    "accept",
    [
        *("application/json", "APPLICATION/JSON; indent=4", "application/*", "*/*"),
        *("text/html, application/json;q=0.9", "application/xml, */*;q=0.1"),
        *("application/xml, application/*, text/*",),
    ],
)
def test_json_is_given_where_it_is_accepted(local_tator: LocalTator, accept: str) -> None:
    """JSON goes before HTML, wherever it is in the list."""
    (uid,) = local_tator.launch().run_uids
    reply = send(local_tator, f"/rest/Job/{uid}", headers={"Accept": accept})
    assert (reply.status, set(reply.json)) == (200, {"message"})


@on(MAY, AUG, NOW)
@pytest.mark.parametrize(
    ("accept", "query"),
    [
        *(("text/html", ""), ("text/*", ""), ("text/html,application/xhtml+xml,*/*;q=0.8", "")),
        ("application/json", "?format=html"),
    ],
)
def test_asking_for_html_fails(
    local_tator: LocalTator, server: str, accept: str, query: str
) -> None:
    """`Accept: text/html` is a 500 in May, though the job is cancelled, and a 400 ever since."""
    (uid,) = local_tator.launch().run_uids
    reply = send(local_tator, f"/rest/Job/{uid}{query}", headers={"Accept": accept})
    assert reply.kind == "text/html"
    assert (reply.status, local_tator.jobs[uid]) == (
        (500, "cancelled") if server == MAY else (400, "running")
    )


@on(MAY, AUG, NOW)
@pytest.mark.parametrize(
    ("accept", "query"),
    [
        *(("application/xml", ""), ("", ""), ("garbage", ""), (",;=", "")),
        ("application/json", "?format=csv"),
    ],
)
def test_other_representations_are_a_406(
    local_tator: LocalTator, server: str, accept: str, query: str
) -> None:
    """What the server can't represent is a 406 in JSON, and nothing is done."""
    (uid,) = local_tator.launch().run_uids
    reply = send(local_tator, f"/rest/Job/{uid}{query}", headers={"Accept": accept})
    assert (reply.status, set(reply.json)) == (406, {"detail"})
    assert local_tator.jobs[uid] == "running"


@on(MAY, AUG, NOW)
def test_a_body_must_be_json(local_tator: LocalTator, server: str) -> None:
    """A body that can't be parsed is a 400 in JSON, and nothing is done; one that can is fine."""
    (uid,) = local_tator.launch().run_uids
    reply = send(local_tator, f"/rest/Job/{uid}?format=json", body=b"{nothing")
    assert reply.status == 400
    assert reply.json["detail" if server == MAY else "message"].startswith("JSON parse error")
    assert local_tator.jobs[uid] == "running"
    assert send(local_tator, f"/rest/Job/{uid}", body=b"{}").status == 200


@on(MAY, AUG, NOW)
def test_a_host_that_is_not_allowed_is_a_400(local_tator: LocalTator) -> None:
    """Django rejects a `Host` that is not in its list, with a page."""
    (uid,) = local_tator.launch().run_uids
    reply = send(local_tator, f"/rest/Job/{uid}", headers={"Host": "example.org"})
    assert (reply.status, reply.title) == (400, "Bad Request (400)")
    assert "<h1>Bad Request (400)</h1>" in reply.body
    assert local_tator.jobs[uid] == "running"


@on(MAY, AUG, NOW)
@pytest.mark.parametrize(
    "path",
    [
        *("/rest/Job/", "/rest/Job", "/rest/Job/{}/", "/rest/Job/x%2Fy", "/rest/rest/Job/{}"),
        *("//rest/Job/{}", "/rest/Nothing/{}", "/rest", "/rest/Jobs"),
    ],
)
def test_other_paths_are_not_found(local_tator: LocalTator, path: str) -> None:
    """A path outside of the API is a page that says so, whatever the token."""
    (uid,) = local_tator.launch().run_uids
    for authorization in ("Token {token}", None):
        reply = send(local_tator, path.format(uid), authorization=authorization)
        assert (reply.status, reply.title) == (404, "Not Found")
    assert local_tator.jobs == {uid: "running"}
    assert local_tator.requests[0].path == path.format(uid)


@on(MAY, AUG, NOW)
@pytest.mark.parametrize("path", ["/", "/rest/", "/projects/"])
def test_web_pages_ask_to_sign_in(local_tator: LocalTator, path: str) -> None:
    """A page of the web app redirects to the one for signing in."""
    reply = send(local_tator, path, "GET")
    assert (reply.status, reply.headers["Location"]) == (302, f"/login?next={path}")


@on(MAY, AUG, NOW)
@pytest.mark.parametrize(
    ("length", "status"), [(4000, None), (4096, 400), (8100, 400), (9000, 414)]
)
def test_a_long_id_is_rejected_before_the_work(
    local_tator: LocalTator, server: str, length: int, status: int | None
) -> None:
    """An ID of 4 kB is a page of gunicorn's, one of 9 kB a page of nginx's."""
    reply = send(local_tator, f"/rest/Job/{'x' * length}")
    if status is None:
        assert_unknown(server, reply)
    else:
        assert (reply.status, reply.kind) == (status, "text/html")


@on(MAY, AUG, NOW)
def test_a_long_header_is_a_400(local_tator: LocalTator) -> None:
    """A header of 9 kB is a page with a 400, and nothing is done."""
    (uid,) = local_tator.launch().run_uids
    reply = send(local_tator, f"/rest/Job/{uid}", authorization=f"Token {'x' * 9000}")
    assert (reply.status, reply.kind) == (400, "text/html")
    assert local_tator.jobs[uid] == "running"


@on(MAY, AUG, NOW)
def test_an_encoded_id_is_decoded(local_tator: LocalTator) -> None:
    """An ID counts as it reads when it is decoded."""
    (uid,) = local_tator.launch().run_uids
    path = "/rest/Job/" + "".join(f"%{ord(letter):02x}" for letter in uid)
    assert send(local_tator, path).status == 200
    assert send(local_tator, f"/rest/Job/{quote('ä ö')}").status in (400, 404, 500)


@on(MAY, AUG, NOW)
def test_responses_have_the_headers_that_clients_read(local_tator: LocalTator, server: str) -> None:
    """A response of the API says who serves, when, what may vary, and what is allowed."""
    (uid,) = local_tator.launch().run_uids
    for headers in (
        send(local_tator, f"/rest/Job/{uid}", "OPTIONS").headers,
        send(local_tator, f"/rest/Job/{uid}").headers,
    ):
        assert headers["Server"] == "LocalTator"
        assert headers["Date"].endswith(" GMT")
        assert headers["Connection"] == "keep-alive"
        assert headers["Vary"] == "Accept, Cookie"
        assert headers["X-Frame-Options"] == "SAMEORIGIN"
        methods = "GET, DELETE, OPTIONS" if server == NOW else "DELETE, OPTIONS"
        assert headers.get_all("Allow") == [methods]


@on(MAY, AUG, NOW)
@pytest.mark.parametrize("status", [301, 401, 404, 405, 406, 409, 413, 429, 500, 502, 503, 999])
def test_planned_failures_have_the_forms_of_the_generation(
    local_tator: LocalTator, server: str, status: int
) -> None:
    """JSON with the generation's key where its API speaks, a page where something else does."""
    local_tator.fail(status)
    reply = send(local_tator, "/rest/Job/x")
    assert reply.status == status
    key = "detail" if server == MAY else "message"
    keys = {
        401: {"error", "detail"} if server == NOW else {key},
        404: {"message"},
        405: {key},
        406: {"detail"},
        429: {key},
    }
    if status in keys:
        assert set(reply.json) == keys[status]
    else:
        assert reply.title == "Server Error" if status == 500 else reply.title


@on(MAY, AUG, NOW)
def test_throttling_has_the_message_of_the_generation(local_tator: LocalTator, server: str) -> None:
    """It is a 429 with `Retry-After` in May, and a 400 without it ever since."""
    (uid,) = local_tator.launch().run_uids
    local_tator.clock = lambda: 0.0
    for per_second, seconds in ((1, "1 second"), (0.02, "50 seconds")):
        local_tator.throttle(per_second)
        send(local_tator, "/rest/Job/x")
        reply = send(local_tator, f"/rest/Job/{uid}")
        sentence = f"Request was throttled. Expected available in {seconds}."
        if server == MAY:
            assert (reply.status, reply.json) == (429, {"detail": sentence})
            assert reply.headers["Retry-After"] == seconds.split()[0]
        else:
            assert (reply.status, reply.json) == (400, {"message": sentence})
            assert "Retry-After" not in reply.headers
    assert local_tator.jobs[uid] == "running"
