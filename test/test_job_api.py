"""Each operation sends what it should, and returns what the server says."""

from __future__ import annotations

import inspect
import subprocess
import sys
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from types import SimpleNamespace
from typing import Any

import pytest

import tator
from tator.testing import LocalTator

OPERATIONS = ["delete_job", "delete_job_group"]
FORMS = [form for name in OPERATIONS for form in (name, f"{name}_with_http_info")]
GROUP_FORMS = [form for form in FORMS if "group" in form]
each_generation = pytest.mark.parametrize(
    "local_tator", ["2020-05", "2020-08", "2025-06"], indirect=True
)
since_september_2020 = pytest.mark.parametrize("local_tator", ["2025-06"], indirect=True)


@pytest.fixture
def api(local_tator: LocalTator) -> tator.JobApi:
    """An API of a server of the test's own."""
    return tator.get_api(local_tator.host, local_tator.token)


def target(server: LocalTator, form: str) -> str:
    """An ID that the operation can cancel."""
    group = server.launch()
    return group.group_id if "group" in form else group.run_uids[0]


def is_confirmed(model: Any) -> bool:
    """Whether it says what the server says of a cancellation."""
    return "deleted" in model.message.lower()


def test_a_generated_model_with_the_same_name_changes_no_operation(
    local_tator: LocalTator,
) -> None:
    """Generated classes are put into `tator.models`, perhaps before the first operation is used."""
    program = (
        "import sys, tator.models\n"
        "ours = tator.models.InlineResponse2044\n"
        "tator.models.InlineResponse2044 = type('InlineResponse2044', (), {})\n"
        "host, token, uid = sys.argv[1:]\n"
        "assert type(tator.get_api(host, token).delete_job(uid)) is ours\n"
    )
    uid = local_tator.launch().run_uids[0]
    arguments = (local_tator.host, local_tator.token, uid)
    subprocess.run([sys.executable, "-c", program, *arguments], check=True)


@pytest.mark.parametrize("form", FORMS)
def test_a_request_is_what_the_page_says(
    local_tator: LocalTator, api: tator.JobApi, form: str
) -> None:
    """DELETE, the path, and three more headers; no body, and so no Content-Type."""
    uid = target(local_tator, form)
    getattr(api, form)(uid)
    (request,) = local_tator.requests
    endpoint = "JobGroup" if "group" in form else "Job"
    assert (request.method, request.path) == ("DELETE", f"/rest/{endpoint}/{uid}")
    assert request.body == b""
    assert request.headers == {
        "host": local_tator.host.removeprefix("http://"),
        "accept": "application/json",
        "accept-encoding": "identity",
        "authorization": f"Token {local_tator.token}",
        "user-agent": f"tator-python/{tator.__version__}",
    }


@each_generation
def test_a_job_is_cancelled_on_every_generation(local_tator: LocalTator, api: tator.JobApi) -> None:
    """The request is the same, and the message tells of the job."""
    one, other = local_tator.launch(2).run_uids
    assert one in str(api.delete_job(one).message)
    assert local_tator.jobs == {one: "cancelled", other: "running"}


@pytest.mark.parametrize(
    ("operation", "model"),
    [("delete_job", tator.InlineResponse2044), ("delete_job_group", tator.InlineResponse2045)],
)
def test_a_result_is_the_model(
    local_tator: LocalTator, api: tator.JobApi, operation: str, model: type
) -> None:
    """The short form gives the model, the other one status and headers as well."""
    short = getattr(api, operation)(target(local_tator, operation))
    assert type(short) is model
    assert is_confirmed(short)
    info = getattr(api, f"{operation}_with_http_info")(target(local_tator, operation))
    data, status, headers = info
    assert (type(data), status, headers["content-TYPE"]) == (model, 200, "application/json")
    assert (info.data, info.status, info.headers) == (data, status, headers)


@pytest.mark.parametrize("form", FORMS)
def test_every_option_works_in_every_form(
    local_tator: LocalTator, api: tator.JobApi, form: str
) -> None:
    """Raw, asynchronous, both, and with a timeout."""
    call: Callable[..., Any] = getattr(api, form)
    info = form.endswith("info")

    raw = call(target(local_tator, form), _preload_content=False)
    raw = raw.data if info else raw
    assert raw.status == 200
    assert b"deleted" in raw.read().lower()
    raw.release_conn()

    later = call(target(local_tator, form), async_req=True).get(10)
    assert is_confirmed(later.data if info else later)

    raw = call(target(local_tator, form), async_req=True, _preload_content=False).get(10)
    assert not info or raw.headers["Content-Type"] == "application/json"
    raw = raw.data if info else raw
    assert b"deleted" in raw.read().lower()
    raw.release_conn()

    for timeout in (30, 10.5, (3, 10.5)):
        assert call(target(local_tator, form), _request_timeout=timeout)


@pytest.mark.parametrize("form", FORMS)
def test_a_timeout_of_one_call_ends_it(
    local_tator: LocalTator, api: tator.JobApi, form: str
) -> None:
    """`_request_timeout` reaches the attempt from every form."""
    local_tator.delay(60)
    with pytest.raises(tator.ApiTimeoutError):
        getattr(api, form)("x", _request_timeout=0.05)
    local_tator.delay(0)


@pytest.mark.parametrize("form", FORMS)
def test_options_may_be_none_as_in_generated_code(
    local_tator: LocalTator, api: tator.JobApi, form: str
) -> None:
    """`None` is each option's default."""
    options = {"async_req": None, "_request_timeout": None, "_return_http_data_only": None}
    done = getattr(api, form)(target(local_tator, form), **options)
    assert is_confirmed(done.data if form.endswith("info") else done)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_call_can_return_data_alone(
    local_tator: LocalTator, api: tator.JobApi, operation: str
) -> None:
    """`_return_http_data_only` makes the long form short, and does nothing to the short one."""
    for form in (operation, f"{operation}_with_http_info"):
        done = getattr(api, form)(target(local_tator, operation), _return_http_data_only=True)
        assert is_confirmed(done)
    done = getattr(api, operation)(target(local_tator, operation), _return_http_data_only=False)
    assert is_confirmed(done)


@pytest.mark.parametrize("form", FORMS)
def test_a_signature_is_as_documented(form: str) -> None:
    """One positional argument, and the options by name."""
    parameters = list(inspect.signature(getattr(tator.JobApi, form)).parameters.values())[1:]
    names = [parameter.name for parameter in parameters]
    options = ["async_req", "_preload_content", "_request_timeout", "_return_http_data_only"]
    is_group = "group" in form
    assert names == [*(("group_id", "project") if is_group else ("run_uid",)), *options]
    assert {parameter.kind for parameter in parameters[1:]} == {inspect.Parameter.KEYWORD_ONLY}


@pytest.mark.parametrize("form", FORMS)
def test_an_unknown_option_is_a_type_error(
    local_tator: LocalTator, api: tator.JobApi, form: str
) -> None:
    """A misspelled option is not swallowed."""
    with pytest.raises(TypeError, match="timeout"):
        getattr(api, form)("x", timeout=3)
    assert local_tator.requests == []


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("wrong", [None, 5, b"bytes", ["x"], True])
def test_ids_of_other_types_are_rejected(
    local_tator: LocalTator, api: tator.JobApi, form: str, wrong: Any
) -> None:
    """What is neither a string nor a UUID is a TypeError, and nothing is sent."""
    with pytest.raises(tator.ApiTypeError, match="must be a string or a UUID"):
        getattr(api, form)(wrong)
    assert local_tator.requests == []


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "wrong",
    [
        *("", " ", ".", "..", "a/b", "..\\x", "%2e%2e", "a\nb", "\x7f", "\x85", "x" * 257),
        "\ud800",
    ],
)
@pytest.mark.parametrize("options", [{}, {"async_req": True}, {"_preload_content": False}])
def test_ids_that_lead_to_another_endpoint_are_rejected(
    local_tator: LocalTator, api: tator.JobApi, form: str, wrong: str, options: Any
) -> None:
    """It is a ValueError at once, and nothing is sent."""
    with pytest.raises(tator.ApiValueError, match=r"run_uid|group_id"):
        getattr(api, form)(wrong, **options)
    assert local_tator.requests == []


def test_a_uuid_is_an_id(local_tator: LocalTator, api: tator.JobApi) -> None:
    """What the uuid module gives can be used as it is, and so can an enumeration of strings."""
    one, other = local_tator.launch(2).run_uids
    assert api.delete_job(uuid.UUID(one)).message
    named = Enum("Named", {"OTHER": other}, type=str)  # type: ignore[misc]  # made on the fly
    assert api.delete_job(named.OTHER).message


def test_an_id_with_special_characters_is_encoded(
    local_tator: LocalTator, api: tator.JobApi
) -> None:
    """It arrives as one segment of UTF-8."""
    with pytest.raises(tator.ServiceException):
        api.delete_job("ä ?#&=+;{x}")
    assert local_tator.requests[0].path == "/rest/Job/%C3%A4%20%3F%23%26%3D%2B%3B%7Bx%7D"


class Index:
    """An integer of another library, as numpy has them."""

    def __index__(self) -> int:
        return 7


@since_september_2020
@pytest.mark.parametrize("form", GROUP_FORMS)
@pytest.mark.parametrize("project", [7, Index()])
def test_a_group_is_cancelled_with_its_project(
    local_tator: LocalTator, api: tator.JobApi, form: str, project: Any
) -> None:
    """Servers since September 2020 need the project's number, and no other job is touched."""
    group, other = local_tator.launch(2, project=7), local_tator.launch(1, project=7)
    done = getattr(api, form)(group.group_id, project=project)
    assert is_confirmed(done.data if form.endswith("info") else done)
    assert [local_tator.jobs[uid] for uid in group.run_uids] == ["cancelled"] * 2
    assert local_tator.jobs[other.run_uids[0]] == "running"
    (request,) = local_tator.requests
    assert (request.method, request.path) == ("DELETE", f"/rest/Jobs/7?gid={group.group_id}")
    assert (request.body, request.headers["accept"]) == (b"", "application/json")
    assert request.headers["authorization"] == f"Token {local_tator.token}"


@since_september_2020
def test_an_unknown_group_of_a_project_returns_as_any_success(
    local_tator: LocalTator, api: tator.JobApi
) -> None:
    """The server says how many jobs it deleted: none."""
    local_tator.launch(2, project=7)
    assert "0 jobs" in str(api.delete_job_group(str(uuid.uuid1()), project=7).message)
    assert set(local_tator.jobs.values()) == {"running"}


@since_september_2020
def test_a_group_id_with_special_characters_is_encoded_in_the_query(
    local_tator: LocalTator, api: tator.JobApi
) -> None:
    """It arrives as one value, and nothing is added to the query."""
    api.delete_job_group("g&h=1#?+ ä", project=1)
    assert local_tator.requests[0].path == "/rest/Jobs/1?gid=g%26h%3D1%23%3F%2B%20%C3%A4"


@pytest.mark.parametrize("form", GROUP_FORMS)
@pytest.mark.parametrize("project", [0, -1, True, False, "7", 7.0, b"7", [7]])
@pytest.mark.parametrize("background", [False, True])
def test_a_project_that_is_not_a_positive_integer_is_rejected(
    local_tator: LocalTator, api: tator.JobApi, form: str, project: Any, background: bool
) -> None:
    """Nothing is sent."""
    with pytest.raises(tator.ApiException, match="project") as caught:
        getattr(api, form)("g", project=project, async_req=background)
    assert isinstance(caught.value, (TypeError, ValueError))
    assert local_tator.requests == []


@pytest.mark.parametrize("group_id", [None, "", " ", ".."])
def test_row_67_a_group_of_a_project_is_never_without_its_id(
    local_tator: LocalTator, api: tator.JobApi, group_id: Any
) -> None:
    """Without it, the server would cancel every algorithm job of the project."""
    with pytest.raises(tator.ApiException, match="group_id"):
        api.delete_job_group(group_id, project=7)
    assert local_tator.requests == []


class Overriding(tator.JobApi):
    """Overrides the long forms as generated clients have them, with other defaults."""

    seen: list[Any]

    def delete_job_with_http_info(self, run_uid: Any, **options: Any) -> Any:
        self.seen.append((run_uid, options))
        return super().delete_job_with_http_info(run_uid, **options)

    def delete_job_group_with_http_info(self, group_id: Any, **options: Any) -> Any:
        self.seen.append((group_id, options))
        return super().delete_job_group_with_http_info(group_id, **options)


def test_the_short_forms_go_through_the_long_ones(local_tator: LocalTator) -> None:
    """An override is heard, and gets the options that were given."""
    api = Overriding(tator.get_api(local_tator.host, local_tator.token).api_client)
    api.seen = []
    group = local_tator.launch(2)
    api.delete_job(group.run_uids[0])
    api.delete_job_group(group.group_id, async_req=True, _request_timeout=5).get(10)
    with pytest.raises(tator.ApiException):
        api.delete_job_group("g", project=7, _preload_content=False)
    data_only = {"_return_http_data_only": True}
    assert api.seen == [
        (group.run_uids[0], data_only),
        (group.group_id, {**data_only, "async_req": True, "_request_timeout": 5}),
        ("g", {**data_only, "_preload_content": False, "project": 7}),
    ]


def test_an_api_takes_anything_that_calls_endpoints() -> None:
    """Only the generated clients' first parameters are passed to it."""
    calls: list[Any] = []
    caller = SimpleNamespace(call_api=lambda *args, **options: calls.append((args, options)))
    api = tator.JobApi(caller)
    api.delete_job("u")
    api.delete_job_group("g")
    api.delete_job_group("g", project=7)
    assert api.api_client is caller
    accept = {"Accept": "application/json"}
    assert [args for args, _ in calls] == [
        ("/rest/Job/{run_uid}", "DELETE", {"run_uid": "u"}, [], accept),
        ("/rest/JobGroup/{group_id}", "DELETE", {"group_id": "g"}, [], accept),
        ("/rest/Jobs/{project}", "DELETE", {"project": 7}, [("gid", "g")], accept),
    ]
    assert {tuple(options) for _, options in calls} == {
        (
            *("response_type", "auth_settings", "async_req", "_return_http_data_only"),
            *("_preload_content", "_request_timeout"),
        )
    }


@pytest.mark.parametrize("wrong", [tator.Configuration(), 5, "x", SimpleNamespace(call_api=5)])
def test_a_value_that_is_not_a_client_is_rejected(wrong: Any) -> None:
    """It is found when it is passed."""
    with pytest.raises(tator.ApiTypeError, match="api_client must be an ApiClient, not"):
        tator.JobApi(wrong)


def test_a_client_is_made_if_none_is_given(
    local_tator: LocalTator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`JobApi()` uses the default configuration, and that the environment."""
    monkeypatch.setenv("TATOR_HOST", local_tator.host)
    monkeypatch.setenv("TATOR_TOKEN", local_tator.token)
    assert tator.JobApi().delete_job(local_tator.launch().run_uids[0]).message
    assert tator.get_api().delete_job(local_tator.launch().run_uids[0]).message


def test_a_token_of_the_environment_goes_to_its_host_alone(
    local_tator: LocalTator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host that is given by hand is not sent the token of another."""
    monkeypatch.setenv("TATOR_HOST", "https://other.example.org")
    monkeypatch.setenv("TATOR_TOKEN", local_tator.token)
    with pytest.raises(tator.ApiException, match="No token was sent"):
        tator.get_api(local_tator.host).delete_job(local_tator.launch().run_uids[0])
    assert "authorization" not in local_tator.requests[0].headers


def test_without_a_host_a_call_says_how_to_set_it() -> None:
    """Nothing is guessed."""
    with pytest.raises(tator.ApiValueError, match="TATOR_HOST"):
        tator.get_api().delete_job("x")


def test_a_parser_knows_host_and_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without them the environment counts, which `get_api` reads."""
    monkeypatch.setenv("TATOR_HOST", "https://tator.example")
    parser = tator.get_parser(description="Cancel jobs.", prog="cancel")
    args = parser.parse_args([])
    assert (args.host, args.token) == (None, None)
    assert tator.get_api(args.host, args.token).api_client.configuration.host == (
        "https://tator.example"
    )
    args = parser.parse_args(["--host", "https://other.example", "--token", "t"])
    configuration = tator.get_api(args.host, args.token).api_client.configuration
    assert configuration.host == "https://other.example"
    assert configuration.get_api_key_with_prefix("Authorization") == "Token t"
    assert "Cancel jobs." in parser.format_help()


def test_threads_share_an_api(local_tator: LocalTator, api: tator.JobApi) -> None:
    """64 threads on one client get each its own response."""
    uids = local_tator.launch(64).run_uids
    with ThreadPoolExecutor(64) as pool:
        messages = list(pool.map(lambda uid: api.delete_job(uid).message, uids))
    assert all(uid in (message or "") for uid, message in zip(uids, messages, strict=True))
