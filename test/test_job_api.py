"""The two operations send what they should, and give what they say."""

from __future__ import annotations

import inspect
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import tator
from tator.testing import LocalTator

OPERATIONS = ["delete_job", "delete_job_group"]
FORMS = [form for name in OPERATIONS for form in (name, f"{name}_with_http_info")]


@pytest.fixture
def api(local_tator: LocalTator) -> tator.JobApi:
    """An API of a server of the test's own."""
    return tator.get_api(local_tator.host, local_tator.token)


def target(server: LocalTator, form: str) -> str:
    """An id that the operation can cancel."""
    group = server.launch()
    return group.group_id if "group" in form else group.run_uids[0]


@pytest.mark.parametrize("form", FORMS)
def test_the_request_is_what_the_page_says(
    local_tator: LocalTator, api: tator.JobApi, form: str
) -> None:
    """DELETE, the path, and three headers of ours; no body, and so no Content-Type."""
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


@pytest.mark.parametrize(
    ("operation", "model"),
    [("delete_job", tator.InlineResponse2044), ("delete_job_group", tator.InlineResponse2045)],
)
def test_the_result_is_the_model(
    local_tator: LocalTator, api: tator.JobApi, operation: str, model: type
) -> None:
    """The plain form gives the model, the other one status and headers as well."""
    plain = getattr(api, operation)(target(local_tator, operation))
    assert type(plain) is model
    assert "cancelled" in plain.message
    full = getattr(api, f"{operation}_with_http_info")(target(local_tator, operation))
    data, status, headers = full
    assert (type(data), status, headers["content-TYPE"]) == (model, 200, "application/json")
    assert (full.data, full.status, full.headers) == (data, status, headers)


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
    assert b"cancelled" in raw.read()
    raw.release_conn()

    later = call(target(local_tator, form), async_req=True).get(10)
    assert "cancelled" in (later.data if info else later).message

    raw = call(target(local_tator, form), async_req=True, _preload_content=False).get(10)
    raw = raw.data if info else raw
    assert b"cancelled" in raw.read()
    raw.release_conn()

    assert call(target(local_tator, form), _request_timeout=(3, 10.5))


@pytest.mark.parametrize("operation", OPERATIONS)
def test_data_alone_can_be_asked_for(
    local_tator: LocalTator, api: tator.JobApi, operation: str
) -> None:
    """`_return_http_data_only` makes the long form short, and does nothing to the short one."""
    for form in (operation, f"{operation}_with_http_info"):
        done = getattr(api, form)(target(local_tator, operation), _return_http_data_only=True)
        assert "cancelled" in done.message
    done = getattr(api, operation)(target(local_tator, operation), _return_http_data_only=False)
    assert "cancelled" in done.message


@pytest.mark.parametrize("form", FORMS)
def test_the_signature_is_the_promised_one(form: str) -> None:
    """One positional argument, and the options by name."""
    names = list(inspect.signature(getattr(tator.JobApi, form)).parameters)
    assert names[1] == ("group_id" if "group" in form else "run_uid")
    assert names[2:5] == ["async_req", "_preload_content", "_request_timeout"]


@pytest.mark.parametrize("form", FORMS)
def test_an_unknown_option_is_a_type_error(
    local_tator: LocalTator, api: tator.JobApi, form: str
) -> None:
    """A misspelt option is not swallowed."""
    with pytest.raises(TypeError, match="timeout"):
        getattr(api, form)("x", timeout=3)
    assert local_tator.requests == []


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("wrong", [None, 5, b"bytes", ["x"], True])
def test_ids_of_other_types_are_refused(
    local_tator: LocalTator, api: tator.JobApi, form: str, wrong: Any
) -> None:
    """What is neither a string nor a UUID is a TypeError, and nothing is sent."""
    with pytest.raises(tator.ApiTypeError, match="must be a string or a UUID"):
        getattr(api, form)(wrong)
    assert local_tator.requests == []


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "wrong", ["", ".", "..", "a/b", "..\\x", "%2e%2e", "a\nb", "\x7f", "\x85", "x" * 257, "\ud800"]
)
def test_ids_that_lead_elsewhere_are_refused(
    local_tator: LocalTator, api: tator.JobApi, form: str, wrong: str
) -> None:
    """What could name another endpoint, or nothing, is a ValueError, and nothing is sent."""
    with pytest.raises(tator.ApiValueError, match=r"run_uid|group_id"):
        getattr(api, form)(wrong)
    assert local_tator.requests == []


def test_a_uuid_is_an_id(local_tator: LocalTator, api: tator.JobApi) -> None:
    """What the uuid module gives can be used as it is."""
    (uid,) = local_tator.launch().run_uids
    assert api.delete_job(uuid.UUID(uid)).message


def test_all_else_is_encoded(local_tator: LocalTator, api: tator.JobApi) -> None:
    """An odd id arrives as one segment of UTF-8."""
    with pytest.raises(tator.ServiceException):
        api.delete_job("ä ?#&=+;{x}")
    assert local_tator.requests[0].path == "/rest/Job/%C3%A4%20%3F%23%26%3D%2B%3B%7Bx%7D"


def test_a_client_is_made_where_none_is_given(
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
    with pytest.raises(tator.ForbiddenException, match="No key was sent"):
        tator.get_api(local_tator.host).delete_job("x")
    assert "authorization" not in local_tator.requests[0].headers


def test_without_a_host_the_call_says_how_to_set_it() -> None:
    """Nothing is guessed."""
    with pytest.raises(tator.ApiValueError, match="TATOR_HOST"):
        tator.get_api().delete_job("x")


def test_threads_share_an_api(local_tator: LocalTator, api: tator.JobApi) -> None:
    """64 threads on one client get each its own answer."""
    uids = local_tator.launch(64).run_uids
    with ThreadPoolExecutor(64) as pool:
        messages = list(pool.map(lambda uid: api.delete_job(uid).message, uids))
    assert all(uid in (message or "") for uid, message in zip(uids, messages, strict=True))
