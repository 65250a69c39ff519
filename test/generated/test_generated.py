"""Classes that openapi-generator wrote run on this client: every operation, option and type."""

from __future__ import annotations

import inspect
import json
import pickle
from collections.abc import Callable, Iterator
from datetime import date, datetime, timezone
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import pytest

import tator
from tator.testing import LocalTator

pytestmark = pytest.mark.generated

NOON = datetime(2020, 5, 1, 12, tzinfo=timezone.utc)
DAY = date(2020, 5, 1)
NODE = {"id": "b", "task": None, "status": None, "children": None}
JOB = {
    "id": 3,
    "uid": "u",
    "gid": None,
    "project": 7,
    "kind": "algorithm",
    "status": "Running",
    "media_ids": [1, 2],
    "nodes": [{**NODE, "id": "a", "status": "Failed", "children": [NODE]}],
    "tasks": {"first": [NODE]},
    "parameters": {"rate": "3"},
    "launched": NOON,
    "day": DAY,
    "cost": 2.0,
    "attributes": {"Depth": {"unit": "m", "at": [1, None]}},
}
JOB_AS_JSON = {
    "id": 3,
    "uid": "u",
    "gid": None,
    "project": 7,
    "kind": "algorithm",
    "status": "Running",
    "media_ids": [1, 2],
    "nodes": [{"id": "a", "status": "Failed", "children": [{"id": "b"}]}],
    "tasks": {"first": [{"id": "b"}]},
    "parameters": {"rate": "3"},
    "launched": "2020-05-01T12:00:00Z",
    "day": "2020-05-01",
    "cost": 2,
    "attributes": {"Depth": {"unit": "m", "at": [1, None]}},
    "added later": True,
}
BOX = {"id": 1, "shape": "Box", "width": 0.5, "height": 2.0}
LINE = {"id": 2, "shape": "Line", "color": "red"}


class Operation(NamedTuple):
    """A call of a generated method, its request, and its result."""

    name: str
    arguments: Callable[[Any], dict[str, Any]]
    request: str
    query: list[tuple[str, str]]
    sent: Any
    response: Any
    result: Any
    status: int = 200


def job_spec(rest: Any) -> dict[str, Any]:
    """A body with models in lists and maps, dates, enums and a name that Python reserves."""
    spec = rest.JobSpec(
        algorithm_name="tracker",
        priority="high",
        media_ids=(1, 2),
        extra_params=[rest.Parameter("rate", 2.5), rest.Parameter(name="mode", value="fast")],
        start=NOON,
        day=DAY,
        labels=["night", "deep"],
        limits={"all": rest.Stats(count=1, hours=0.5)},
    )
    spec._class = "gpu"
    return {"project": 7, "job_spec": spec}


OPERATIONS = [
    Operation(
        "JobApi.create_job_list",
        job_spec,
        "POST /rest/Jobs/7",
        [],
        {
            "algorithm_name": "tracker",
            "priority": "high",
            "media_ids": [1, 2],
            "extra_params": [{"name": "rate", "value": 2.5}, {"name": "mode", "value": "fast"}],
            "start": "2020-05-01T12:00:00+00:00",
            "day": "2020-05-01",
            "labels": ["night", "deep"],
            "limits": {"all": {"count": 1, "hours": 0.5}},
            "class": "gpu",
        },
        [JOB_AS_JSON],
        [JOB],
        201,
    ),
    Operation(
        "JobApi.delete_job",
        lambda rest: {"run_uid": "a b"},
        "DELETE /rest/Job/a%20b",
        [],
        None,
        {"message": "Job deleted!"},
        {"message": "Job deleted!"},
    ),
    Operation(
        "JobApi.delete_job_group",
        lambda rest: {"group_id": "g"},
        "DELETE /rest/JobGroup/g",
        [],
        None,
        None,
        {"message": None},
        204,
    ),
    Operation(
        "JobApi.delete_job_list",
        lambda rest: {"project": 7, "gid": "g&h"},
        "DELETE /rest/Jobs/7",
        [("gid", "g&h")],
        None,
        {"message": "Deleted 2 jobs for project 7!"},
        {"message": "Deleted 2 jobs for project 7!"},
    ),
    Operation(
        "JobApi.get_job",
        lambda rest: {"run_uid": "u"},
        "GET /rest/Job/u",
        [],
        None,
        JOB_AS_JSON,
        JOB,
    ),
    Operation(
        "JobApi.get_job_list",
        lambda rest: {
            "project": 7,
            "status": [rest.JobStatus.RUNNING, "Failed"],
            "since": NOON,
            "day": DAY,
            "deep": True,
        },
        "GET /rest/Jobs/7",
        [
            ("status", "Running"),
            ("status", "Failed"),
            ("since", "2020-05-01T12:00:00+00:00"),
            ("day", "2020-05-01"),
            ("deep", "true"),
        ],
        None,
        [JOB_AS_JSON, JOB_AS_JSON],
        [JOB, JOB],
    ),
    Operation(
        "LocalizationApi.delete_localization_list",
        lambda rest: {
            "project": 7,
            "type": ["box", "line"],
            "localization_ids": rest.LocalizationIds([1, 2]),
        },
        "DELETE /rest/Localizations/7",
        [("type", "box line")],
        {"ids": [1, 2]},
        {"message": "Deleted 2 localizations."},
        {"message": "Deleted 2 localizations."},
    ),
    Operation(
        "LocalizationApi.get_localization",
        lambda rest: {"id": 1},
        "GET /rest/Localization/1",
        [],
        None,
        BOX,
        BOX,
    ),
    Operation(
        "LocalizationApi.get_localization_list_by_id",
        lambda rest: {"project": 7, "request_body": [1, 2, 3]},
        "PUT /rest/Localizations/7",
        [],
        [1, 2, 3],
        [BOX, LINE, {"shape": "Dot", "frame": 9}],
        [BOX, LINE, {"id": None, "shape": "Dot", "frame": 9}],
    ),
    Operation(
        "LocalizationApi.update_localization",
        lambda rest: {"id": 1, "localization": rest.Box(shape="Box", width=0)},
        "PATCH /rest/Localization/1",
        [],
        {"shape": "Box", "width": 0},
        None,
        None,
        204,
    ),
    Operation(
        "MediaApi.get_media_counts",
        lambda rest: {"project": 7},
        "GET /rest/MediaCounts/7",
        [],
        None,
        {"north": 3, "south": "4"},
        {"north": 3, "south": 4},
    ),
    Operation(
        "MediaApi.get_media_list",
        lambda rest: {
            "project": 7,
            "media_id": [1, 2],
            "tag": ["a,b", "c"],
            "section": ["north", "south"],
            "start": 0,
            "x_purpose": "review",
        },
        "GET /rest/Medias/7",
        [
            ("media_id", "1,2"),
            ("tag", "a,b"),
            ("tag", "c"),
            ("section", "north|south"),
            ("start", "0"),
        ],
        None,
        [{"id": 1, "lastEdit": "2020-05-01T12:00:00+00:00"}],
        [{"id": 1, "name": None, "fps": None, "last_edit": NOON, "section": None}],
    ),
    Operation(
        "MediaApi.get_media_stats",
        lambda rest: {"project": 7},
        "GET /rest/MediaStats/7",
        [],
        None,
        {"north": {"count": "3", "hours": 1}, "south": None},
        {"north": {"count": 3, "bytes": None, "hours": 1.0}, "south": None},
    ),
    Operation(
        "MediaApi.update_media",
        lambda rest: {
            "id": 1,
            "media_update": rest.MediaUpdate(attributes={"seen": NOON, "by": None}, archived=DAY),
        },
        "PATCH /rest/Media/1",
        [],
        {
            "attributes": {"seen": "2020-05-01T12:00:00+00:00", "by": None},
            "archived": "2020-05-01",
        },
        {"message": "Updated."},
        {"message": "Updated."},
    ),
    Operation(
        "ServerApi.get_version", lambda rest: {}, "GET /rest/Version", [], None, "0.1.0", "0.1.0"
    ),
]
each_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.name)
# These have separate tests: a picture, and a call without a token.
SPECIAL = {"MediaApi.get_frame", "ServerApi.get_health"}


@pytest.fixture
def rest(generated: Any, local_tator: LocalTator) -> Iterator[Any]:
    """The generated package, whose clients reach the test's server without being told."""
    configuration = generated.Configuration(host=local_tator.host, retries=0)
    configuration.api_key["Authorization"] = local_tator.token
    configuration.api_key_prefix["Authorization"] = "Token"
    generated.Configuration.set_default(configuration)
    return generated


def plain(value: Any) -> Any:
    """A result with its models as dictionaries."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    # Their own `to_dict` leaves models within lists within dictionaries as they are.
    return plain(value.to_dict()) if hasattr(value, "to_dict") else value


def call(rest: Any, operation: Operation, suffix: str = "", **options: Any) -> Any:
    """Call a generated method on a separate client."""
    api, _, method = operation.name.partition(".")
    with rest.ApiClient() as client:
        bound = getattr(getattr(rest, api)(client), method + suffix)
        result = bound(**operation.arguments(rest), **options)
        return result.get(60) if options.get("async_req") else result


def route(server: LocalTator, operation: Operation) -> None:
    """Let the server respond to an operation."""
    server.route(*operation.request.split(), operation.response, operation.status)


def test_every_generated_operation_has_a_test(rest: Any) -> None:
    """The table names each method that the generators wrote."""
    written = {
        f"{api}.{name.removesuffix('_with_http_info')}"
        for api, kind in inspect.getmembers(rest, inspect.isclass)
        if api.endswith("Api")
        for name in vars(kind)
        if not name.startswith("_")
    }
    assert written == {operation.name for operation in OPERATIONS} | SPECIAL


@pytest.mark.parametrize("name", ["ApiException", "ApiTypeError", "ApiClient", "Configuration"])
def test_the_generated_package_has_the_classes_of_this_client(rest: Any, name: str) -> None:
    """A program may import a class from either package."""
    assert getattr(rest, name) is getattr(tator, name, getattr(tator.exceptions, name, None))


@each_operation
def test_an_operation_sends_its_arguments_and_reads_the_response(
    rest: Any, local_tator: LocalTator, operation: Operation
) -> None:
    """The server sees the schema's query and body, and the program the schema's types."""
    route(local_tator, operation)
    assert plain(call(rest, operation)) == operation.result
    [request] = local_tator.requests
    url = urlsplit(request.path)
    assert f"{request.method} {url.path}" == operation.request
    assert parse_qsl(url.query, strict_parsing=bool(url.query)) == operation.query
    assert (json.loads(request.body) if request.body else None) == operation.sent
    assert request.headers.get("content-type") == ("application/json" if request.body else None)
    assert request.headers["authorization"] == f"Token {local_tator.token}"


@each_operation
def test_an_operation_returns_status_and_headers_too(
    rest: Any, local_tator: LocalTator, operation: Operation
) -> None:
    """The long form returns the data of the short form, the status and the headers."""
    route(local_tator, operation)
    data, status, headers = call(rest, operation, "_with_http_info")
    assert plain(data) == operation.result
    assert status == operation.status
    assert headers.get("Content-Type") == "application/json"


@each_operation
def test_an_operation_runs_in_the_background(
    rest: Any, local_tator: LocalTator, operation: Operation
) -> None:
    """The handle returns the result."""
    route(local_tator, operation)
    assert plain(call(rest, operation, async_req=True)) == operation.result


@each_operation
def test_an_operation_returns_the_raw_response(
    rest: Any, local_tator: LocalTator, operation: Operation
) -> None:
    """The program reads the response itself."""
    route(local_tator, operation)
    response = call(rest, operation, _preload_content=False)
    assert response.status == operation.status
    body = response.read()
    assert (json.loads(body) if body else None) == operation.response
    response.release_conn()


@each_operation
@pytest.mark.parametrize("background", [False, True])
def test_an_operation_fails_with_an_error_of_this_client(
    rest: Any, local_tator: LocalTator, operation: Operation, background: bool
) -> None:
    """The exception has the class, status and message that our operations raise."""
    local_tator.route(*operation.request.split(), {"message": "It is gone."}, 404)
    with pytest.raises(rest.ApiException, match="It is gone") as caught:
        call(rest, operation, async_req=background)
    assert isinstance(caught.value, tator.exceptions.NotFoundException)
    assert (caught.value.status, caught.value.message) == (404, "It is gone.")


@each_operation
@pytest.mark.parametrize("limit", [0.05, (5, 0.05)], ids=["one limit", "two limits"])
def test_an_operation_times_out(
    rest: Any, local_tator: LocalTator, operation: Operation, limit: object
) -> None:
    """Every operation passes `_request_timeout` on."""
    local_tator.delay(60)
    with pytest.raises(tator.exceptions.ApiTimeoutError):
        call(rest, operation, _request_timeout=limit)
    local_tator.delay(0)


def test_a_job_is_cancelled_by_generated_code(rest: Any, local_tator: LocalTator) -> None:
    """A 200 is read where the schema documents a 204."""
    uid = local_tator.launch().run_uids[0]
    with rest.ApiClient() as client:
        result, status, _ = rest.JobApi(client).delete_job_with_http_info(uid)
    assert (type(result), status) == (rest.Message, 200)
    assert uid in result.message
    assert local_tator.jobs[uid] == "cancelled"


def test_our_operations_run_on_the_generated_packages_client(
    rest: Any, local_tator: LocalTator
) -> None:
    """One client serves both, and each API returns its package's models."""
    one, other = local_tator.launch(2).run_uids
    with rest.ApiClient() as client:
        assert type(tator.JobApi(client).delete_job(one)) is tator.InlineResponse2044
        assert type(rest.JobApi(client).delete_job(other)) is rest.Message


def test_generated_calls_are_retried(rest: Any, local_tator: LocalTator) -> None:
    """A temporary failure does not reach the program."""
    local_tator.route("GET", "/rest/MediaCounts/7", {"north": 1})
    local_tator.fail(503)
    configuration = rest.Configuration.get_default_copy()
    configuration.retries = 1
    with rest.ApiClient(configuration) as client:
        assert rest.MediaApi(client).get_media_counts(7) == {"north": 1}
    assert [request.status for request in local_tator.requests] == [503, 200]


def test_an_empty_list_is_sent_as_a_body(rest: Any, local_tator: LocalTator) -> None:
    """An empty list is not the same as no body."""
    local_tator.route("PUT", "/rest/Localizations/7", [])
    with rest.ApiClient() as client:
        assert rest.LocalizationApi(client).get_localization_list_by_id(7, []) == []
    assert local_tator.requests[0].body == b"[]"


@pytest.mark.parametrize("gid", ["", None])
def test_an_empty_filter_is_rejected(rest: Any, local_tator: LocalTator, gid: str | None) -> None:
    """A filter that is empty is not left out, which would delete everything.

    Generated code itself leaves out `None`, as if the caller had not passed it.
    """
    local_tator.route("DELETE", "/rest/Jobs/7", {"message": "Deleted 900 jobs for project 7!"})
    with rest.ApiClient() as client:
        api = rest.JobApi(client)
        if gid is None:
            api.delete_job_list(7, gid=None)
            assert local_tator.requests[0].path == "/rest/Jobs/7"
        else:
            with pytest.raises(tator.exceptions.ApiValueError):
                api.delete_job_list(7, gid=gid)
            assert local_tator.requests == []


def test_a_header_parameter_is_sent(rest: Any, local_tator: LocalTator) -> None:
    """A header of the schema is sent; `None` means no header."""
    local_tator.route("GET", "/rest/Medias/7", [])
    with rest.ApiClient() as client:
        rest.MediaApi(client).get_media_list(7, x_purpose="review")
        rest.MediaApi(client).get_media_list(7, x_purpose=None)
    first, second = local_tator.requests
    assert first.headers["x-purpose"] == "review"
    assert "x-purpose" not in second.headers


def test_an_operation_without_authentication_sends_no_token(
    rest: Any, local_tator: LocalTator
) -> None:
    """If the schema lists no authentication, the client sends no token."""
    local_tator.route("GET", "/rest/Health", {})
    with (
        rest.ApiClient() as client,
        pytest.raises(tator.exceptions.UnauthorizedException),
    ):
        rest.ServerApi(client).get_health()
    assert "authorization" not in local_tator.requests[0].headers


def test_a_file_needs_the_raw_response(rest: Any, local_tator: LocalTator) -> None:
    """A program reads a picture itself; without `_preload_content=False` nothing is sent."""
    local_tator.route("GET", "/rest/GetFrame/1", "picture")
    with rest.ApiClient() as client:
        api = rest.MediaApi(client)
        with pytest.raises(tator.ApiException, match="_preload_content"):
            api.get_frame(1)
        assert local_tator.requests == []
        response = api.get_frame(1, roi=[0.5, 1], _preload_content=False)
        assert response.read() == b'"picture"'
        response.release_conn()
    [request] = local_tator.requests
    assert dict(parse_qsl(urlsplit(request.path).query)) == {"roi": "0.5,1"}
    assert request.headers["accept"] == "image/*"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "magic"}, "magic"),
        ({"uid": None}, "uid"),
        ({"project": "seven"}, "seven"),
        ({"launched": "yesterday"}, "yesterday"),
        ({"day": "2020-13-01"}, "2020-13-01"),
        ({"nodes": [{"task": "no id"}]}, "id"),
        ({"nodes": "none"}, ""),
        ({"tasks": {"first": [{}]}}, "id"),
        ({"parameters": ["rate"]}, ""),
    ],
)
def test_a_response_that_its_model_rejects_is_an_error(
    rest: Any, local_tator: LocalTator, change: dict[str, Any], words: str
) -> None:
    """The error names the value that does not fit."""
    local_tator.route("GET", "/rest/Job/u", {**JOB_AS_JSON, **change})
    with rest.ApiClient() as client, pytest.raises(tator.exceptions.ApiResponseError) as caught:
        rest.JobApi(client).get_job("u")
    assert caught.value.status == 200
    assert words in str(caught.value)


@pytest.mark.parametrize("response", [{}, {"shape": None}, {"shape": ["Box"]}, {"shape": "Box"}])
def test_an_invalid_discriminator_is_an_error(
    rest: Any, local_tator: LocalTator, response: object
) -> None:
    """No model can be chosen, or the chosen one lacks a required value."""
    local_tator.route("GET", "/rest/Localization/1", response)
    with rest.ApiClient() as client, pytest.raises(tator.exceptions.ApiResponseError):
        rest.LocalizationApi(client).get_localization(1)


@pytest.mark.parametrize("shape", ["Job", "InlineResponse2044", "object", "list[str]", "Message"])
def test_the_server_cannot_choose_another_class(
    rest: Any, local_tator: LocalTator, shape: str
) -> None:
    """If a name is not in the model's own map, the model itself is used."""
    local_tator.route("GET", "/rest/Localization/1", {"shape": shape})
    with rest.ApiClient() as client:
        found = rest.LocalizationApi(client).get_localization(1)
    assert type(found) is rest.Localization
    assert found.shape == shape


def test_a_discriminator_chooses_among_the_models_own_children(
    rest: Any, local_tator: LocalTator
) -> None:
    """Each item of a list becomes the class that it names."""
    local_tator.route("PUT", "/rest/Localizations/7", [BOX, LINE, {"shape": "Dot"}])
    with rest.ApiClient() as client:
        found = rest.LocalizationApi(client).get_localization_list_by_id(7, [1])
    assert [type(item) for item in found] == [rest.Box, rest.Line, rest.Localization]


def test_values_become_the_types_of_the_schema(rest: Any, local_tator: LocalTator) -> None:
    """Models, enums, dates and numbers have the types that the generated client gave them."""
    response = {**JOB_AS_JSON, "id": "3", "cost": "2.5", "project": 7.0}
    local_tator.route("GET", "/rest/Job/u", response)
    with rest.ApiClient() as client:
        job = rest.JobApi(client).get_job("u")
    assert type(job) is rest.Job
    assert (job.id, job.cost, job.project) == (3, 2.5, 7)
    assert [type(value) for value in (job.id, job.cost, job.project)] == [int, float, int]
    assert type(job.nodes[0]) is type(job.nodes[0].children[0]) is rest.Node
    assert type(job.tasks["first"][0]) is rest.Node
    assert job.status == rest.JobStatus.RUNNING == "Running"
    assert (type(job.launched), type(job.day)) == (datetime, date)


def test_an_invalid_argument_is_rejected(rest: Any, local_tator: LocalTator) -> None:
    """The generated checks of arguments and values still apply."""
    with pytest.raises(ValueError, match="priority"):
        rest.JobSpec(algorithm_name="tracker", priority="urgent")
    with pytest.raises(ValueError, match="labels"):
        rest.JobSpec(algorithm_name="tracker", priority="low", labels=["day"])
    with pytest.raises(ValueError, match="must not be `None`"):
        rest.JobSpec(priority="low")
    with rest.ApiClient() as client:
        with pytest.raises(rest.ApiValueError, match="`run_uid`"):
            rest.JobApi(client).get_job(None)
        with pytest.raises(rest.ApiTypeError, match="surprise"):
            rest.JobApi(client).get_job("u", surprise=1)
        with pytest.raises(rest.ApiValueError):
            rest.JobApi(client).get_job("..")
    assert local_tator.requests == []


def test_client_side_validation_can_be_turned_off(rest: Any, local_tator: LocalTator) -> None:
    """The setting applies to models that a program makes and to those that are read."""
    configuration = rest.Configuration.get_default_copy()
    configuration.client_side_validation = False
    rest.Configuration.set_default(configuration)
    assert rest.JobSpec(priority="urgent").priority == "urgent"
    local_tator.route("GET", "/rest/Job/u", {"kind": "magic"})
    with rest.ApiClient() as client:
        assert rest.JobApi(client).get_job("u").kind == "magic"


def test_an_api_makes_its_own_client_from_the_default(rest: Any, local_tator: LocalTator) -> None:
    """`JobApi()` is enough once a default is set."""
    route(local_tator, OPERATIONS[4])
    api = rest.JobApi()
    assert plain(api.get_job("u")) == JOB
    api.api_client.close()


def test_models_compare_print_and_pickle(rest: Any, local_tator: LocalTator) -> None:
    """A model that was read survives a pickle, and holds no token."""
    route(local_tator, OPERATIONS[4])
    with rest.ApiClient() as client:
        job = rest.JobApi(client).get_job("u")
    copy = pickle.loads(pickle.dumps(job))
    assert copy == job != rest.Job(uid="u", project=7, kind="algorithm")
    assert "'uid': 'u'" in repr(copy)
    assert local_tator.token.encode() not in pickle.dumps(job)
    assert local_tator.token not in repr(vars(job))


def test_the_options_of_the_later_generator_work(rest: Any, local_tator: LocalTator) -> None:
    """`_headers`, `_request_auth` and `_content_type` apply to the one call."""
    if "_headers" not in inspect.getsource(rest.MediaApi):
        pytest.skip("the earlier generator did not write them")
    local_tator.add_token("second", "full_control")
    local_tator.route("PATCH", "/rest/Media/1", {})
    second = {
        "in": "header",
        "type": "api_key",
        "key": "Authorization",
        "value": "Token second",
    }
    with rest.ApiClient(header_name="X-Trace", header_value="client") as client:
        rest.MediaApi(client).update_media(
            1,
            rest.MediaUpdate(name="x"),
            _headers={"X-Trace": "call"},
            _request_auth=second,
            _content_type="application/vnd.tator+json",
        )
    [request] = local_tator.requests
    assert request.headers["x-trace"] == "call"
    assert request.headers["authorization"] == "Token second"
    assert request.headers["content-type"] == "application/vnd.tator+json"
    assert json.loads(request.body) == {"name": "x"}
