"""The client: what it sends, what it takes for a success, and what its errors say."""

from __future__ import annotations

import asyncio
import json
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime
from typing import Any
from uuid import UUID

import pytest
from peers import Peer, answering

import tator
from tator import ApiClient, Configuration, InlineResponse2044
from tator.testing import LocalTator

SECRET = "sesame-0123456789abcdef"
AUTH = ["TokenAuth"]


def client_of(host: str, key: str | None = SECRET, prefix: str | None = "Token") -> ApiClient:
    configuration = Configuration(host, retries=0)
    if key:
        configuration.api_key["Authorization"] = key
    if prefix:
        configuration.api_key_prefix["Authorization"] = prefix
    return ApiClient(configuration)


def answer(status: str, body: str | bytes = b"", *headers: str) -> bytes:
    data = body if isinstance(body, bytes) else body.encode()
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(data)}", "Connection: close", *headers]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + data


def told(reply: bytes, path: str = "/rest/Job/a", **auth: str | None) -> tator.ApiException:
    """The error that a deletion ends in when it is answered so."""
    with (
        Peer(answering(reply)) as peer,
        client_of(peer.host, **auth) as client,
        pytest.raises(tator.ApiException) as caught,
    ):
        client.call_api(path, "DELETE", response_type=InlineResponse2044, auth_settings=AUTH)
    assert SECRET not in repr(caught.value) + str(caught.value) + str(vars(caught.value))
    return caught.value


def test_a_deletion_sends_these_lines_and_no_others() -> None:
    """The request has no body, no Content-Type, and just the documented headers."""
    with Peer(answering(answer("204 No Content"))) as peer, client_of(peer.host) as client:
        assert tator.JobApi(client).delete_job("a bé").message is None
        line, *headers = peer.requests[0].decode().split("\r\n")
    assert line == "DELETE /rest/Job/a%20b%C3%A9 HTTP/1.1"
    sent = dict(header.split(": ", 1) for header in headers)
    assert sent.pop("Host") == peer.host.removeprefix("http://")
    assert sent.pop("User-Agent") == f"tator-python/{tator.__version__}"
    sent.pop("Accept-Encoding", None)
    assert sent == {"Accept": "application/json", "Authorization": f"Token {SECRET}"}


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (answer("204 No Content"), None),
        (answer("200 OK", "{}"), None),
        (answer("200 OK", '{"message": null}'), None),
        (answer("200 OK", '{"message": "grüß", "later": [1]}'), "grüß"),
        (answer("200 OK", b'\xef\xbb\xbf{"message": "x"}'), "x"),
        (answer("299 Odd", '{"message": "x"}'), "x"),
    ],
)
def test_these_answers_are_successes(reply: bytes, message: str | None) -> None:
    """A 204, or an object whose message is a string, null or absent."""
    with Peer(answering(reply)) as peer, client_of(peer.host) as client:
        assert tator.JobApi(client).delete_job("a") == InlineResponse2044(message)


@pytest.mark.parametrize(
    "body", ["<html>Tator</html>", "[]", '"text"', '{"message": 5}', "", "5", b"\xff", "[" * 99999]
)
def test_these_answers_with_200_are_no_success(body: str | bytes) -> None:
    """What is not Tator's answer is an error, and the work may be done."""
    error = told(answer("200 OK", body))
    assert type(error) is tator.ApiResponseError
    assert error.maybe_applied
    assert "not what Tator answers" in str(error)


@pytest.mark.parametrize(
    ("status", "kind", "maybe_applied"),
    [
        ("400 Bad Request", tator.BadRequestException, True),
        ("401 Unauthorized", tator.UnauthorizedException, False),
        ("403 Forbidden", tator.ForbiddenException, False),
        ("404 Not Found", tator.NotFoundException, False),
        ("405 Method Not Allowed", tator.ApiException, False),
        ("409 Conflict", tator.ApiException, True),
        ("413 Too Large", tator.ApiException, False),
        ("429 Too Many Requests", tator.TooManyRequestsException, False),
        ("500 Error", tator.ServiceException, True),
        ("504 Timeout", tator.ServiceException, True),
        ("302 Found", tator.RedirectException, False),
        ("999 Odd", tator.ApiResponseError, True),
    ],
)
def test_each_status_has_its_class(
    status: str, kind: type[tator.ApiException], maybe_applied: bool
) -> None:
    """The class tells the kind of failure, `maybe_applied` whether something may have happened."""
    error = told(answer(status, '{"message": "no", "details": "Traceback"}', "X-Seen: yes"))
    assert type(error) is kind
    assert error.maybe_applied is maybe_applied
    assert (error.status, error.message, error.attempts) == (int(status[:3]), "no", 1)
    assert error.headers is not None
    assert error.headers["x-seen"] == "yes"
    assert "Traceback" in str(error.body)
    assert "Traceback" not in str(error)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('{"detail": "d"}', "d"),
        ("<h1>Server Error</h1>", None),
        ("[1]", None),
        ('{"detail": 5}', None),
    ],
)
def test_the_message_is_the_servers_words(body: str, message: str | None) -> None:
    """`detail` is read where there is no `message`; HTML has no words for a person."""
    assert told(answer("500 Error", body)).message == message


LINE = "configuration.api_key_prefix['Authorization'] = 'Token'"


@pytest.mark.parametrize(
    ("key", "prefix", "hint"),
    [
        (None, None, "No key was sent"),
        (SECRET, None, f"without a prefix. Add: {LINE}"),
        (SECRET, "Bearer", f"another prefix. Set: {LINE}"),
    ],
)
def test_a_403_says_what_is_wrong_with_the_key(
    key: str | None, prefix: str | None, hint: str
) -> None:
    """The error shows the line to add, and not the key."""
    assert hint in str(told(answer("403 Forbidden", "{}"), key=key, prefix=prefix))


def test_a_403_for_a_key_with_its_prefix_has_no_hint() -> None:
    """With the right prefix the server's words say it all."""
    assert told(answer("403 Forbidden", "{}")).hint is None
    assert told(answer("403 Forbidden", "{}"), prefix="token").hint is None


def test_a_404_about_the_algorithm_needs_no_hint() -> None:
    """The server's words say it; neither the host nor the endpoint is wrong."""
    reply = answer("404 Not Found", '{"message": "Algorithm x does not exist."}')
    assert told(reply, "/rest/JobGroup/a").hint is None


def test_a_key_that_was_sent_by_hand_is_seen(local_tator: LocalTator) -> None:
    """A header of that name in any case counts for the hint."""
    with client_of(local_tator.host) as client, pytest.raises(tator.ForbiddenException) as caught:
        client.call_api("/rest/Job/a", "DELETE", header_params={"authorization": "Token wrong"})
    assert "Copy the token again" in str(caught.value.hint)


def test_a_key_that_was_kept_back_is_named(local_tator: LocalTator) -> None:
    """Whoever calls another endpoint has to say that it takes the key."""
    with client_of(local_tator.host) as client, pytest.raises(tator.ForbiddenException) as caught:
        client.call_api("/rest/Job/a", "DELETE")
    assert "auth_settings=['TokenAuth']" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("reply", "path", "hint"),
    [
        (answer("404 Not Found"), "/rest/JobGroup/a", "one by one with delete_job"),
        (answer("404 Not Found"), "/rest/Job/a", "Check Configuration.host"),
        (answer("500 Error"), "/rest/Job/a", "already gone"),
        (answer("503 Busy"), "/rest/Job/a", "try again later"),
        (answer("504 Late"), "/rest/Job/a", "still be at work"),
        (answer("400 Bad", "The plain HTTP request was sent"), "/rest/Job/a", "write https://"),
        (answer("429 Many", "", "Retry-After: 7"), "/rest/Job/a", "asks to wait 7 s"),
        (answer("301 Moved"), "/rest/Job/a", "names no target"),
        (
            answer("301 Moved", "", "Location: https://new.example/rest/Job/a"),
            "/rest/Job/a",
            "set Configuration.host to 'https://new.example'",
        ),
        (answer("301 Moved", "", "Location: http://[x"), "/rest/Job/a", "'http://[x'"),
    ],
)
def test_an_error_says_what_to_do_next(reply: bytes, path: str, hint: str) -> None:
    """Where something is known to help, the error says it."""
    assert hint in str(told(reply, path))


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        1.5,
        b"a",
        "",
        ".",
        "..",
        "a/b",
        "a\\b",
        "a%2fb",
        "a\n",
        "\0",
        "\x85",
        "a" * 257,
        "\ud800",
    ],
)
def test_a_path_value_that_could_lead_elsewhere_is_refused(
    local_tator: LocalTator, value: Any
) -> None:
    """Nothing is sent for a value that could reach another endpoint."""
    with client_of(local_tator.host) as client, pytest.raises((TypeError, ValueError)) as caught:
        client.call_api("/rest/Job/{uid}", "DELETE", {"uid": value})
    assert isinstance(caught.value, tator.ApiException)
    assert local_tator.requests == []


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"method": "GET /"}, "method"),
        ({"method": None}, "method: must be a string"),
        ({"resource_path": None}, "resource_path: must be a string"),
        ({"query_params": {"a": "\ud800"}}, "query_params: .* can't be encoded"),
        ({"method": ""}, "method"),
        ({"resource_path": "rest"}, "resource_path"),
        ({"resource_path": "/rest/{id}"}, "resource_path"),
        ({"resource_path": "/rest?a=1"}, "resource_path"),
        ({"resource_path": "/a b"}, "resource_path"),
        ({"query_params": {"a": object()}}, "query_params"),
        ({"auth_settings": "TokenAuth"}, "auth_settings must be a list"),
        ({"query_params": {"a": {"b": 1}}}, "query_params: 'a' must be a plain value"),
        ({"query_params": "a=b"}, "query_params: must be a mapping or pairs"),
        ({"header_params": {"A": "b\r\nC: d"}}, "header"),
        ({"body": object()}, "body"),
        ({"body": {5: 1}}, "body"),
        ({"body": float("nan")}, "body"),
        ({"response_type": "Nonsense"}, "response_type"),
        ({"response_type": []}, "response_type"),
        ({"_request_timeout": "5"}, "_request_timeout"),
        ({"_request_timeout": (1, 2, 3)}, "_request_timeout"),
    ],
)
def test_an_argument_that_does_not_fit_is_refused(
    local_tator: LocalTator, arguments: dict[str, Any], named: str
) -> None:
    """The error names the argument, and nothing is sent."""
    with client_of(local_tator.host) as client, pytest.raises(tator.ApiException, match=named):
        client.call_api(**{"resource_path": "/rest/X", "method": "GET", **arguments})
    assert local_tator.requests == []


def test_what_is_no_configuration_and_no_client_is_refused() -> None:
    """One thing in the place of another is found when it is handed over, not in the first call."""
    with pytest.raises(tator.ApiTypeError, match="configuration must be a Configuration, not str"):
        ApiClient("https://tator.example")  # type: ignore[arg-type]  # it is refused
    with pytest.raises(tator.ApiTypeError, match="api_client must be an ApiClient, not Conf"):
        tator.JobApi(Configuration())  # type: ignore[arg-type]  # it is refused
    with pytest.raises(tator.ApiTypeError, match="api must be a JobApi, not ApiClient"):
        tator.bulk.delete_jobs(ApiClient(), ["a"])  # type: ignore[arg-type]  # it is refused


def test_without_a_server_the_call_says_how_to_set_it() -> None:
    """An unset host is told at the first call."""
    with pytest.raises(tator.ApiValueError, match="Set TATOR_HOST"):
        tator.JobApi().delete_job("a")


def test_any_other_endpoint_can_be_called(local_tator: LocalTator) -> None:
    """Bodies, queries and results are JSON, as values or as types."""
    local_tator.route("POST", "/rest/X/7", {"a": 1})
    with client_of(local_tator.host, local_tator.token) as client:
        result = client.call_api(
            "/rest/X/{id}",
            "post",
            {"id": 7},
            {"n": [1, 2], "b": True, "none": None, "s": "a&b"},
            body={"when": date(2020, 5, 1), "job": InlineResponse2044("x")},
            response_type="dict(str, int)",
            auth_settings=AUTH,
        )
        assert result == ({"a": 1}, 200, result.headers)
        with pytest.raises(tator.ForbiddenException):
            client.call_api("/rest/X/7", "POST", query_params=[("a", "b")])
        assert client.last_response is not None
        assert client.last_response.status == 403
    first, second = local_tator.requests
    assert first.path == "/rest/X/7?n=1&n=2&b=true&s=a%26b"
    assert json.loads(first.body) == {"when": "2020-05-01", "job": {"message": "x"}}
    assert first.headers["content-type"] == "application/json"
    assert second.path == "/rest/X/7?a=b"
    assert "authorization" not in second.headers


@pytest.mark.parametrize(("kind", "data"), [(None, None), ("list[str]", None), ("datetime", None)])
def test_an_answer_without_content_gives_no_data(kind: str | None, data: None) -> None:
    """Only a model can stand for a 204; with no type asked for, an empty 200 is fine too."""
    for status in ["204 No Content"] if kind else ["204 No Content", "200 OK"]:
        with Peer(answering(answer(status))) as peer, client_of(peer.host) as client:
            assert client.call_api("/rest/X", "GET", response_type=kind).data is data


def test_headers_of_one_call_win(local_tator: LocalTator) -> None:
    """A call's header replaces the client's, whatever the case of its name."""
    local_tator.route("GET", "/rest/X", 1)
    configuration = Configuration(
        local_tator.host, {"Authorization": local_tator.token}, {"Authorization": "Token"}
    )
    client = ApiClient(configuration, "X-A", "client", cookie="a=b")
    client.set_default_header("X-B", "client")
    client.user_agent = "mine"
    assert (client.user_agent, client.cookie) == ("mine", "a=b")
    client.call_api(
        "/rest/X",
        "GET",
        header_params={"x-a": "call", "ACCEPT": "text/json"},
        auth_settings=AUTH,
    )
    client.cookie = None
    assert client.cookie is None
    client.call_api("/rest/X", "GET", auth_settings=AUTH)
    client.close()
    first, second = (request.headers for request in local_tator.requests)
    assert (first["x-a"], first["x-b"], first["accept"]) == ("call", "client", "text/json")
    assert (first["user-agent"], first["cookie"]) == ("mine", "a=b")
    assert (second["x-a"], second["accept"]) == ("client", "application/json")
    assert "cookie" not in second


def test_the_clients_headers_are_masked_and_checked() -> None:
    """What a default header holds is not shown; a broken one is refused."""
    client = ApiClient(header_name="X-Key", header_value=SECRET, cookie=SECRET)
    assert SECRET not in repr(client.default_headers) + repr(vars(client))
    with pytest.raises(tator.ApiValueError):
        ApiClient(header_name="X-Key")
    with pytest.raises(tator.ApiValueError):
        client.set_default_header("X Y", "z")
    client.default_headers = {"X-Other": SECRET}
    assert SECRET not in repr(client.default_headers) + repr(vars(client))
    with pytest.raises(tator.ApiValueError) as caught:
        client.default_headers = {"X-Other": f"{SECRET}\n"}
    assert SECRET not in str(caught.value)


def test_user_agent_and_cookie_have_one_name() -> None:
    """In whichever case they are set, the client's own properties read and change them."""
    client = ApiClient()
    client.set_default_header("user-agent", "mine")
    client.set_default_header("COOKIE", "a=b")
    assert (client.user_agent, client.cookie) == ("mine", "a=b")
    client.cookie = None
    assert client.default_headers == {"User-Agent": "mine"}


def test_a_client_pickles(local_tator: LocalTator) -> None:
    """Settings and headers travel, connections stay behind."""
    client = client_of(local_tator.host, local_tator.token)
    client.user_agent = "mine"
    first, second = local_tator.launch(2).run_uids
    tator.JobApi(client).delete_job(first)
    other = pickle.loads(pickle.dumps(client))
    assert other.last_response is None
    tator.JobApi(other).delete_job(second)
    client.close()
    other.close()
    assert [request.headers["user-agent"] for request in local_tator.requests] == ["mine"] * 2


def test_a_closed_client_works_again(local_tator: LocalTator) -> None:
    """After `close()` the next call opens new connections."""
    first, second = local_tator.launch(2).run_uids
    with client_of(local_tator.host, local_tator.token) as client:
        tator.JobApi(client).delete_job(first)
    tator.JobApi(client).delete_job(second)
    client.close()
    assert set(local_tator.jobs.values()) == {"cancelled"}


def test_a_client_starts_no_thread_until_one_is_needed(local_tator: LocalTator) -> None:
    """Only `async_req` needs threads, and its handle can be awaited."""
    before = threading.active_count()
    client = client_of(local_tator.host, local_tator.token)
    assert threading.active_count() == before
    api = tator.JobApi(client)
    first, second = local_tator.launch(2).run_uids

    async def cancel() -> InlineResponse2044:
        return await api.delete_job(first, async_req=True)

    assert asyncio.run(cancel()).message
    assert api.delete_job(second, async_req=True).get(10).message
    client.close()


def test_the_raw_answer_is_left_unread(local_tator: LocalTator) -> None:
    """`_preload_content=False` gives urllib3's response; error statuses still raise."""
    (uid,) = local_tator.launch().run_uids
    with client_of(local_tator.host, local_tator.token) as client:
        raw = tator.JobApi(client).delete_job(uid, _preload_content=False)
        assert "message" in json.loads(raw.read())
        raw.release_conn()
        with pytest.raises(tator.ServiceException):
            tator.JobApi(client).delete_job(uid, _preload_content=False)


def test_threads_share_a_client(local_tator: LocalTator) -> None:
    """Each thread gets the answer to its own request."""
    uids = local_tator.launch(64).run_uids
    with client_of(local_tator.host, local_tator.token) as client:
        api = tator.JobApi(client)
        with ThreadPoolExecutor(16) as pool:
            assert all(answer.message for answer in pool.map(api.delete_job, uids))
    assert set(local_tator.jobs.values()) == {"cancelled"}


def test_values_are_turned_into_json_and_back(local_tator: LocalTator) -> None:
    """The generated clients' helpers are there, with errors of the family."""
    local_tator.route("GET", "/rest/X", "2020-05-01T00:00:00")
    with client_of(local_tator.host, local_tator.token) as client:
        uid = UUID(int=1)
        assert client.sanitize_for_serialization([uid, None]) == [str(uid), None]
        with pytest.raises(tator.ApiTypeError):
            client.sanitize_for_serialization(object())
        client.call_api("/rest/X", "GET", auth_settings=AUTH)
        response = client.last_response
        assert response is not None
        assert client.deserialize(response, "datetime") == datetime(2020, 5, 1)
        with pytest.raises(tator.ApiResponseError):
            client.deserialize(response, int)
        with pytest.raises(tator.ApiTypeError):
            client.deserialize(response, "Nonsense")


def test_headers_for_content_types_prefer_json() -> None:
    """JSON is chosen wherever it is offered."""
    client = ApiClient()
    assert client.select_header_accept(["text/html", "Application/JSON"]) == "application/json"
    assert client.select_header_accept(["a/b", "c/d"]) == "a/b, c/d"
    assert client.select_header_accept([]) is None
    assert client.select_header_content_type([]) == "application/json"
    assert client.select_header_content_type(["a/b"]) == "a/b"


def test_only_known_schemes_authenticate() -> None:
    """A scheme that is not Tator's adds nothing."""
    headers: dict[str, str] = {}
    client = client_of("http://127.0.0.1:9")
    client.update_params_for_auth(headers, None, ["Other"])
    assert headers == {}
    client.update_params_for_auth(headers, None, AUTH)
    assert headers == {"Authorization": f"Token {SECRET}"}
