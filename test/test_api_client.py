"""The client: what it sends, what it takes for a success, and what its errors say."""

from __future__ import annotations

import asyncio
import inspect
import json
import pickle
import sys
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


def response(status: str, body: str | bytes = b"", *headers: str) -> bytes:
    data = body if isinstance(body, bytes) else body.encode()
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(data)}", "Connection: close", *headers]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + data


def error_for(reply: bytes, path: str = "/rest/Job/a", **auth: str | None) -> tator.ApiException:
    """The error that a DELETE ends with if the server responds so."""
    with (
        Peer(answering(reply)) as peer,
        client_of(peer.host, **auth) as client,
        pytest.raises(tator.ApiException) as caught,
    ):
        client.call_api(path, "DELETE", response_type=InlineResponse2044, auth_settings=AUTH)
    assert SECRET not in repr(caught.value) + str(caught.value) + str(vars(caught.value))
    return caught.value


def test_a_cancellation_sends_these_lines_and_no_others() -> None:
    """The request has no body, no Content-Type, and just the documented headers."""
    with Peer(answering(response("204 No Content"))) as peer, client_of(peer.host) as client:
        assert tator.JobApi(client).delete_job("a bé").message is None
        line, *headers = peer.requests[0].decode().split("\r\n")
    assert line == "DELETE /rest/Job/a%20b%C3%A9 HTTP/1.1"
    sent = dict(header.split(": ", 1) for header in headers)
    assert sent.pop("Host") == peer.host.removeprefix("http://")
    assert sent.pop("User-Agent") == f"tator-python/{tator.__version__}"
    assert sent.pop("Accept-Encoding") == "identity"
    assert sent == {"Accept": "application/json", "Authorization": f"Token {SECRET}"}


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (response("204 No Content"), None),
        (response("200 OK", "{}"), None),
        (response("200 OK", '{"message": null}'), None),
        (response("200 OK", '{"message": "grüß", "later": [1]}'), "grüß"),
        (response("200 OK", b'\xef\xbb\xbf{"message": "x"}'), "x"),
        (response("299 Odd", '{"message": "x"}'), "x"),
    ],
)
def test_these_responses_are_successes(reply: bytes, message: str | None) -> None:
    """A 204, or an object whose message is a string, null or absent."""
    with Peer(answering(reply)) as peer, client_of(peer.host) as client:
        assert tator.JobApi(client).delete_job("a") == InlineResponse2044(message)


@pytest.mark.parametrize(
    "body",
    [
        *("<html>Tator</html>", "[]", '"text"', '{"message": 5}', "", "5", "null", b"\xff"),
        "[" * 99999,
    ],
    ids=range(9),
)
def test_these_responses_with_200_are_errors(body: str | bytes) -> None:
    """A response that is not Tator's is an error, and the server may have applied the request."""
    error = error_for(response("200 OK", body))
    assert type(error) is tator.ApiResponseError
    assert error.maybe_applied
    assert "not a valid Tator response" in str(error)


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
    error = error_for(response(status, '{"message": "no", "details": "Traceback"}', "X-Seen: yes"))
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
def test_the_message_is_the_servers(body: str, message: str | None) -> None:
    """`detail` is read if there is no `message`; HTML has no message for a person."""
    assert error_for(response("500 Error", body)).message == message


PREFIX_LINE = "configuration.api_key_prefix['Authorization'] = 'Token'"


@pytest.mark.parametrize(
    "status", ["400 Bad", "401 Unauthorized", "403 Forbidden", "404 Not Found"]
)
@pytest.mark.parametrize(
    ("key", "prefix", "hint"),
    [
        (None, None, "No token was sent"),
        (SECRET, None, f"The token was sent without a prefix: add {PREFIX_LINE}"),
        (f"Token {SECRET}", "Token", "The token was sent with its prefix twice"),
    ],
)
def test_row_66_an_error_says_first_what_is_wrong_with_the_token(
    status: str, key: str | None, prefix: str | None, hint: str
) -> None:
    """The hint shows the line to add, and not the token."""
    error = error_for(response(status, "{}"), key=key, prefix=prefix)
    assert str(error.hint).startswith(hint)
    assert hint in str(error)


def test_a_token_with_its_prefix_needs_no_hint() -> None:
    """The server's message says it all."""
    for prefix in ("Token", "token"):
        assert "token" not in str(error_for(response("403 Forbidden", "{}"), prefix=prefix).hint)


def test_a_token_that_was_sent_by_hand_is_seen(local_tator: LocalTator) -> None:
    """A header of that name in any case counts for the hint."""
    with (
        client_of(local_tator.host) as client,
        pytest.raises(tator.UnauthorizedException) as caught,
    ):
        client.call_api("/rest/Job/a", "DELETE", header_params={"authorization": "Token wrong"})
    assert "Copy the token again" in str(caught.value.hint)


def test_the_hint_names_a_token_that_was_not_sent(local_tator: LocalTator) -> None:
    """A program that calls another endpoint has to say that it takes the token."""
    local_tator.route("GET", "/rest/X", 1)
    with client_of(local_tator.host) as client, pytest.raises(tator.ApiException) as caught:
        client.call_api("/rest/X", "GET")
    assert "auth_settings=['TokenAuth']" in str(caught.value.hint)
    assert "authorization" not in local_tator.requests[0].headers


def test_an_unusable_token_of_the_environment_hides_no_error(
    local_tator: LocalTator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call that does not send it ends with the server's own error."""
    local_tator.route("GET", "/rest/X", 1)
    monkeypatch.setenv("TATOR_HOST", local_tator.host)
    monkeypatch.setenv("TATOR_TOKEN", "bad\nvalue")
    with ApiClient() as client:
        with pytest.raises(tator.UnauthorizedException):
            client.call_api("/rest/X", "GET")
        with pytest.raises(tator.ApiValueError, match="TATOR_TOKEN"):
            client.call_api("/rest/X", "GET", auth_settings=AUTH)
    assert len(local_tator.requests) == 1


@pytest.mark.parametrize(
    ("reply", "path", "hint"),
    [
        (response("500 Error"), "/rest/Job/a", "already cancelled"),
        (response("503 Busy"), "/rest/Job/a", "try again later"),
        (response("504 Late"), "/rest/Job/a", "still be working"),
        (response("400 Bad", "The plain HTTP request was sent"), "/rest/Job/a", "write https://"),
        (response("429 Many", "", "Retry-After: 77"), "/rest/Job/a", "asks you to wait 77 s"),
        (response("301 Moved"), "/rest/Job/a", "has no target"),
        (
            response("301 Moved", "", "Location: https://new.example/rest/Job/a"),
            "/rest/Job/a",
            "set Configuration.host (or TATOR_HOST) to 'https://new.example'",
        ),
    ],
)
def test_an_error_says_what_to_do_next(reply: bytes, path: str, hint: str) -> None:
    """The text ends with the hint; test_hints.py has all of them."""
    assert hint in str(error_for(reply, path))


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"method": "GET /"}, "method"),
        ({"method": None}, "method must be a string"),
        ({"method": ""}, "method"),
        ({"resource_path": None}, "resource_path must be a string"),
        ({"resource_path": "rest"}, "resource_path"),
        ({"path_params": "x"}, "path_params"),
        ({"path_params": {"uid": ".."}, "resource_path": "/rest/{uid}"}, "uid"),
        ({"query_params": {"a": "\ud800"}}, r"query_params contains .* can't be encoded"),
        ({"query_params": {"a": object()}}, "query_params"),
        ({"query_params": "a=b"}, "query_params must be a mapping"),
        ({"query_params": {"a": None}, "method": "delete"}, "query_params"),
        ({"auth_settings": "TokenAuth"}, "auth_settings must be a list"),
        ({"auth_settings": 5}, "auth_settings must be a list"),
        ({"header_params": {"A": "b\r\nC: d"}}, "header"),
        ({"header_params": {5: "b"}}, "header"),
        ({"header_params": "x"}, "header_params"),
        ({"body": object()}, "body"),
        ({"body": {5: 1}}, "body"),
        ({"body": float("nan")}, "body"),
        ({"post_params": [("a", "b")]}, "post_params and files must be empty"),
        ({"files": {"file": "x"}}, "post_params and files must be empty"),
        ({"response_type": "Nonsense"}, "response_type"),
        ({"response_type": []}, "response_type"),
        ({"response_type": "file"}, "_preload_content=False"),
        ({"response_types_map": {"200": "str"}}, "response_types_map"),
        ({"collection_formats": {"a": 5}}, "collection_formats"),
        ({"query_params": {"a": [1]}, "collection_formats": {"a": "odd"}}, "collection_formats"),
        ({"_host": "tator.example"}, "_host"),
        ({"_request_auth": {"in": "query"}}, "_request_auth"),
        ({"_request_timeout": "5"}, "_request_timeout"),
        ({"_request_timeout": (1, 2, 3)}, "_request_timeout"),
    ],
)
@pytest.mark.parametrize("background", [False, True])
def test_an_argument_that_does_not_fit_is_rejected(
    local_tator: LocalTator, arguments: dict[str, Any], named: str, background: bool
) -> None:
    """The error names the argument and is a TypeError or a ValueError; nothing is sent."""
    given = {"resource_path": "/rest/X", "method": "GET", "async_req": background, **arguments}
    with client_of(local_tator.host) as client, pytest.raises(tator.ApiException, match=named) as e:
        # What can't be encoded is found when the request is made up.
        client.call_api(**given).get(10)
    assert isinstance(e.value, (TypeError, ValueError))
    assert (e.value.maybe_applied, e.value.status) == (False, 0)
    assert local_tator.requests == []


def test_a_value_that_is_not_a_configuration_is_rejected() -> None:
    """It is found when it is passed, not in the first call."""
    with pytest.raises(tator.ApiTypeError, match="configuration must be a Configuration, not str"):
        ApiClient("https://tator.example")  # type: ignore[arg-type]  # it is rejected
    client = ApiClient()
    for wrong in (None, "https://tator.example"):
        with pytest.raises(tator.ApiTypeError, match="configuration must be a Configuration"):
            client.configuration = wrong  # type: ignore[assignment]  # it is rejected


def test_a_new_configuration_holds_from_the_next_call_on(local_tator: LocalTator) -> None:
    """It may name another server, other timeouts and retries."""
    client = client_of("https://tator.invalid")
    client.configuration = client_of(local_tator.host, local_tator.token).configuration
    local_tator.fail(503)
    with pytest.raises(tator.ServiceException) as caught:
        tator.JobApi(client).delete_job("a")
    assert caught.value.attempts == 1
    assert client.rest_client.configuration is client.configuration
    client.close()


def test_without_a_server_a_call_says_how_to_set_it() -> None:
    """An unset host is told at the first call."""
    with pytest.raises(tator.ApiValueError, match="Set TATOR_HOST"):
        tator.JobApi().delete_job("a")


def test_call_api_has_the_generated_clients_parameters() -> None:
    """In their order, so that positional arguments fit."""
    assert list(inspect.signature(ApiClient.call_api).parameters)[1:] == [
        *("resource_path", "method", "path_params", "query_params", "header_params", "body"),
        *("post_params", "files", "response_type", "auth_settings", "async_req"),
        *("_return_http_data_only", "collection_formats", "_preload_content", "_request_timeout"),
        *("_host", "_request_auth", "response_types_map"),
    ]


def test_any_other_endpoint_can_be_called(local_tator: LocalTator) -> None:
    """Bodies, queries and results are JSON, as values or as types."""
    local_tator.route("POST", "/rest/X/7", {"a": 1})
    with client_of(local_tator.host, local_tator.token) as client:
        result = client.call_api(
            "/rest/X/{id}",
            "post",
            {"id": 7},
            {"n": [1, 2], "m": [1, 2], "b": True, "none": None, "s": "a&b"},
            body={"when": date(2020, 5, 1), "job": InlineResponse2044("x")},
            response_type="dict(str, int)",
            auth_settings=AUTH,
            collection_formats={"m": "multi"},
        )
        assert result == ({"a": 1}, 200, result.headers)
        assert client.last_response is not None
        assert client.last_response.status == 200
        with pytest.raises(tator.UnauthorizedException):
            client.call_api("/rest/X/7", "POST", query_params=[("a", "b")])
        assert client.last_response.status == 200  # the last one with a 2xx
    first, second = local_tator.requests
    assert first.path == "/rest/X/7?n=1%2C2&m=1&m=2&b=true&s=a%26b"
    assert json.loads(first.body) == {"when": "2020-05-01", "job": {"message": "x"}}
    assert first.headers["content-type"] == "application/json"
    assert second.path == "/rest/X/7?a=b"
    assert "authorization" not in second.headers


@pytest.mark.parametrize("body", [[], {}, "text", 0, False])
def test_an_empty_body_is_sent(local_tator: LocalTator, body: object) -> None:
    """Only `None` means that there is no body."""
    local_tator.route("POST", "/rest/X", 1)
    with client_of(local_tator.host, local_tator.token) as client:
        client.call_api("/rest/X", "POST", body=body, auth_settings=AUTH)
        client.call_api(
            "/rest/X", "POST", header_params={"Content-Type": "text/json"}, auth_settings=AUTH
        )
    first, second = local_tator.requests
    assert json.loads(first.body) == body
    assert (second.body, second.headers["content-length"]) == (b"", "0")
    assert "content-type" not in second.headers


def test_a_model_that_a_program_made_is_read_and_sent(
    local_tator: LocalTator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A class of the generated shape, by itself or by its name in `tator.models`."""

    class Thing:
        """As swagger-codegen writes it."""

        swagger_types = {"size": "int"}  # noqa: RUF012  # as it is written
        attribute_map = {"size": "theSize"}  # noqa: RUF012  # as it is written

        def __init__(self, size: int | None = None) -> None:
            self.size = size
            self.discriminator = None

    monkeypatch.setattr("tator.models.Thing", Thing, raising=False)
    local_tator.route("POST", "/rest/X", {"theSize": "5"})
    with client_of(local_tator.host, local_tator.token) as client:
        for kind in (Thing, "Thing"):
            data = client.call_api(
                "/rest/X", "POST", body=Thing(3), response_type=kind, auth_settings=AUTH
            ).data
            assert (type(data), data.size) == (Thing, 5)
    assert [request.body for request in local_tator.requests] == [b'{"theSize":3}'] * 2


def test_a_host_of_one_call_gets_the_configured_token_alone(
    local_tator: LocalTator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment's token belongs to the environment's host."""
    local_tator.route("GET", "/rest/X", 1)
    with client_of("https://tator.invalid", local_tator.token) as client:
        assert client.call_api("/rest/X", "GET", auth_settings=AUTH, _host=local_tator.host).status
    monkeypatch.setenv("TATOR_HOST", "https://tator.invalid")
    monkeypatch.setenv("TATOR_TOKEN", local_tator.token)
    with ApiClient() as client, pytest.raises(tator.UnauthorizedException):
        client.call_api("/rest/X", "GET", auth_settings=AUTH, _host=local_tator.host)
    assert ["authorization" in request.headers for request in local_tator.requests] == [True, False]


def test_request_auth_takes_the_place_of_the_token(local_tator: LocalTator) -> None:
    """It is not shown in an error either."""
    local_tator.route("GET", "/rest/X", 1)
    place = {"in": "header", "key": "Authorization", "value": f"Token {SECRET}"}
    with (
        client_of(local_tator.host, local_tator.token) as client,
        pytest.raises(tator.UnauthorizedException) as caught,
    ):
        client.call_api("/rest/X", "GET", auth_settings=AUTH, _request_auth=place)
    assert local_tator.requests[0].headers["authorization"] == f"Token {SECRET}"
    assert SECRET not in str(caught.value) + repr(vars(caught.value))


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


def test_default_headers_may_change_while_others_call(local_tator: LocalTator) -> None:
    """Each call takes a copy."""
    local_tator.route("GET", "/rest/X", 1)
    client = client_of(local_tator.host, local_tator.token)
    done = threading.Event()

    def change() -> None:
        number = 0
        while not done.is_set():
            client.set_default_header(f"X-{number % 50}", "x")
            client.default_headers.pop(f"X-{(number + 25) % 50}", None)
            number += 1

    thread = threading.Thread(target=change)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    thread.start()
    try:
        for _ in range(200):
            client.call_api("/rest/X", "GET", auth_settings=AUTH)
    finally:
        done.set()
        thread.join()
        sys.setswitchinterval(interval)
        client.close()


def test_the_clients_headers_are_masked_and_checked() -> None:
    """A default header's value is not shown; one that can't be sent is rejected."""
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
    first, second, third = local_tator.launch(3).run_uids
    tator.JobApi(client).delete_job(first)
    assert tator.JobApi(client).delete_job(second, async_req=True).get(10).message
    other = pickle.loads(pickle.dumps(client))
    assert other.last_response is None
    assert other.rest_client.idle_connections == 0
    tator.JobApi(other).delete_job(third)
    client.close()
    other.close()
    assert [request.headers["user-agent"] for request in local_tator.requests] == ["mine"] * 3


def test_a_closed_client_works_again(local_tator: LocalTator) -> None:
    """After `close()` the next call opens new connections and starts new threads."""
    uids = local_tator.launch(4).run_uids
    with client_of(local_tator.host, local_tator.token) as client:
        tator.JobApi(client).delete_job(uids[0])
        tator.JobApi(client).delete_job(uids[1], async_req=True).get(10)
        assert client.rest_client.idle_connections >= 1
    assert client.rest_client.idle_connections == 0
    tator.JobApi(client).delete_job(uids[2])
    tator.JobApi(client).delete_job(uids[3], async_req=True).get(10)
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


def test_a_raw_response_is_left_unread(local_tator: LocalTator) -> None:
    """`_preload_content=False` gives urllib3's response; error statuses still raise."""
    (uid,) = local_tator.launch().run_uids
    with client_of(local_tator.host, local_tator.token) as client:
        raw = tator.JobApi(client).delete_job(uid, _preload_content=False)
        assert "message" in json.loads(raw.read())
        raw.release_conn()
        assert client.last_response is raw
        with pytest.raises(tator.ServiceException):
            tator.JobApi(client).delete_job(uid, _preload_content=False)


def test_a_file_is_read_by_the_program(local_tator: LocalTator) -> None:
    """The type `'file'` of generated clients needs `_preload_content=False`, and no more."""
    local_tator.route("GET", "/rest/GetFrame/1", "picture")
    with client_of(local_tator.host, local_tator.token) as client:
        raw = client.call_api(
            "/rest/GetFrame/1",
            "GET",
            response_type="file",
            auth_settings=AUTH,
            _preload_content=False,
            _return_http_data_only=True,
        )
        assert raw.read() == b'"picture"'
        raw.release_conn()


def test_threads_share_a_client(local_tator: LocalTator) -> None:
    """Each thread gets the response to its own request."""
    uids = local_tator.launch(64).run_uids
    with client_of(local_tator.host, local_tator.token) as client:
        api = tator.JobApi(client)
        with ThreadPoolExecutor(16) as pool:
            results = list(pool.map(api.delete_job, uids))
    assert all(uid in str(result.message) for uid, result in zip(uids, results, strict=True))
    assert set(local_tator.jobs.values()) == {"cancelled"}


def test_values_are_turned_into_json_and_back(local_tator: LocalTator) -> None:
    """The generated clients' helpers are there, with errors of this package."""
    local_tator.route("GET", "/rest/X", "2020-05-01T00:00:00")
    with client_of(local_tator.host, local_tator.token) as client:
        uid = UUID(int=1)
        assert client.sanitize_for_serialization([uid, None]) == [str(uid), None]
        with pytest.raises(tator.ApiTypeError):
            client.sanitize_for_serialization(object())
        client.call_api("/rest/X", "GET", auth_settings=AUTH)
        last = client.last_response
        assert last is not None
        assert client.deserialize(last, "datetime") == datetime(2020, 5, 1)
        with pytest.raises(tator.ApiResponseError) as caught:
            client.deserialize(last, int)
        assert (caught.value.status, caught.value.reason) == (200, "OK")
        with pytest.raises(tator.ApiTypeError):
            client.deserialize(last, "Nonsense")


@pytest.mark.parametrize("data", ["[1]", b"[1]"])
def test_deserialize_needs_only_data(data: str | bytes) -> None:
    """As programs make such a response in their tests; `null` is `None` for every type."""

    class Canned:
        """A response with nothing but a body."""

        def __init__(self, data: str | bytes) -> None:
            self.data = data

    client = ApiClient()
    assert client.deserialize(Canned(data), "list[int]") == [1]
    assert client.deserialize(Canned("null"), InlineResponse2044) is None
    with pytest.raises(tator.ApiResponseError, match="response does not match response_type"):
        client.deserialize(Canned(data), int)
    with pytest.raises(tator.ApiResponseError, match="nested too deeply"):
        client.deserialize(Canned("[" * 100_000), object)


def test_a_response_that_does_not_match_its_type_says_so(local_tator: LocalTator) -> None:
    """The hint is about `response_type`, not about the host; nothing was applied by a GET."""
    local_tator.route("GET", "/rest/X", {"a": 1})
    local_tator.route("POST", "/rest/X", {"a": 1})
    with client_of(local_tator.host, local_tator.token) as client:
        for method in ("GET", "POST"):
            with pytest.raises(tator.ApiResponseError) as caught:
                client.call_api("/rest/X", method, response_type="list[int]", auth_settings=AUTH)
            told = str(caught.value)
            assert "the response does not match response_type (list expected, dict found)" in told
            assert told.endswith("Check response_type: object accepts any JSON.")
            assert caught.value.maybe_applied is (method == "POST")
            assert ("applied" in told) is (method == "POST")


def test_a_late_get_can_be_sent_again(local_tator: LocalTator) -> None:
    """It changes nothing, so there is no job to check."""
    local_tator.route("GET", "/rest/X", {})
    local_tator.delay(60)
    with client_of(local_tator.host, local_tator.token) as client:
        with pytest.raises(tator.ApiTimeoutError) as caught:
            client.call_api("/rest/X", "GET", auth_settings=AUTH, _request_timeout=(5, 0.05))
        told = "This request changes nothing, so you can send it again."
        assert (caught.value.hint, caught.value.maybe_applied) == (told, False)
        with pytest.raises(tator.ApiTimeoutError, match="check the job on the server first"):
            client.call_api("/rest/X", "PUT", auth_settings=AUTH, _request_timeout=(5, 0.05))
    local_tator.delay(0)


def test_an_error_of_a_host_of_one_call_names_its_argument(local_tator: LocalTator) -> None:
    """The configured host has nothing to do with it."""
    client = client_of("http://127.0.0.1:9", local_tator.token)
    with pytest.raises(tator.NotFoundException, match=r"check _host, the resource_path of"):
        client.call_api("/rest/Y", "GET", auth_settings=AUTH, _host=local_tator.host)


@pytest.mark.parametrize("token", [None, "0123456789abcdef"])
def test_a_misspelled_scheme_is_rejected_before_anything_is_sent(
    local_tator: LocalTator, token: str | None
) -> None:
    """The error names the schemes that there are, with a token or without one."""
    client = tator.get_api(local_tator.host, token).api_client
    with pytest.raises(tator.ApiValueError, match=r"auth_settings .* TokenAuth$"):
        client.call_api("/rest/X", "GET", auth_settings=["Token"])
    assert local_tator.requests == []


def test_a_scheme_of_a_subclass_is_sent(local_tator: LocalTator) -> None:
    """Beside Tator's, whether it has a token or not; the error for another name has both."""

    class Lab(tator.Configuration):
        def auth_settings(self) -> dict[str, dict[str, str]]:
            place = {"type": "api_key", "in": "header", "key": "X-Lab", "value": "7"}
            return {**super().auth_settings(), "LabAuth": place}

    with ApiClient(Lab(local_tator.host)) as client:
        for schemes in (["LabAuth"], ["TokenAuth", "LabAuth"], ["TokenAuth"], [], None):
            with pytest.raises(tator.NotFoundException):
                client.call_api("/rest/X", "GET", auth_settings=schemes)
        with pytest.raises(tator.ApiValueError, match=r"TokenAuth, LabAuth$"):
            client.call_api("/rest/X", "GET", auth_settings=["labauth"])
    sent = [request.headers.get("x-lab") for request in local_tator.requests]
    assert sent == ["7", "7", None, None, None]


def test_an_error_names_the_header_with_other_credentials(local_tator: LocalTator) -> None:
    """Those of the call or of another scheme; a header of the client can hold the token."""

    class Lab(tator.Configuration):
        def auth_settings(self) -> dict[str, dict[str, str]]:
            return {"Lab": {"in": "header", "key": "X-Lab", "value": "7"}}

    local_tator.route("GET", "/rest/X", 1)
    places = [{"in": "header", "key": key, "value": "Key 7"} for key in ("X-Key", "Authorization")]
    with ApiClient(Lab(local_tator.host)) as client:
        told = []
        for options in (
            {"auth_settings": ["Lab"]},
            *({"_request_auth": place} for place in places),
        ):
            with pytest.raises(tator.UnauthorizedException) as caught:
                client.call_api("/rest/X", "GET", **options)
            told.append(str(caught.value.hint).partition(": check")[0])
        client.set_default_header("authorization", "7")
        with pytest.raises(tator.UnauthorizedException, match="without a prefix"):
            client.call_api("/rest/X", "GET", auth_settings=["Lab"])
    start = "The server does not accept the credentials in the header"
    assert told == [f"{start} {name}" for name in ("X-Lab", "X-Key", "Authorization")]


def test_headers_for_content_types_prefer_json() -> None:
    """JSON is chosen wherever it is among them."""
    client = ApiClient()
    assert client.select_header_accept(["text/html", "Application/JSON"]) == "application/json"
    assert client.select_header_accept(["a/b", "c/d"]) == "a/b, c/d"
    assert client.select_header_accept([]) is None
    assert client.select_header_content_type([]) == "application/json"
    assert client.select_header_content_type(["a/b", "application/json"]) == "application/json"
    assert client.select_header_content_type(["a/b"], "POST", {}) == "a/b"


def test_only_known_schemes_authenticate() -> None:
    """Without any of them, a call would be sent as nobody."""
    headers: dict[str, str] = {}
    client = client_of("http://127.0.0.1:9")
    with pytest.raises(tator.ApiValueError, match="auth_settings"):
        client.update_params_for_auth(headers, None, ["Other"])
    assert headers == {}
    client.update_params_for_auth(headers, [], AUTH)
    assert headers == {"Authorization": f"Token {SECRET}"}


def test_client_side_validation_is_the_configurations() -> None:
    """Generated operations read it on the client."""
    assert ApiClient().client_side_validation is True
    assert not ApiClient(Configuration(client_side_validation=False)).client_side_validation


def test_credentials_of_the_proxy_that_a_call_used_are_masked() -> None:
    """Even if the client was closed, or has another proxy, when its response is read."""

    class Closing(ApiClient):
        def request(self, *args: Any, **options: Any) -> Any:
            response = super().request(*args, **options)
            self.close()
            return response

    with Peer(answering(response("200 OK", '{"message": 1, "by": "me:hush-hush"}'))) as peer:
        proxy = peer.host.replace("//", "//me:hush-hush@")
        client = Closing(Configuration("http://tator.test", proxy=proxy))
        with pytest.raises(tator.ApiResponseError) as caught:
            client.call_api("/rest/Job/a", "DELETE", response_type=InlineResponse2044)
    assert caught.value.body == '{"message": 1, "by": "***"}'


def test_a_warning_can_be_requested_before_the_first_call() -> None:
    """Bulk asks for it once, on the thread of its caller."""
    client = client_of("http://tator.invalid")
    with pytest.warns(Warning, match="plain http"):
        client.warn_once()
    client.warn_once()
