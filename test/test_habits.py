"""Programs, wrappers and tests as people wrote them for a generated client run as they are."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar
from unittest import mock
from urllib.parse import parse_qsl, urlsplit

import pytest

import tator
import tator.bulk
from tator.rest import ApiException
from tator.testing import LocalTator

NOWHERE = "https://tator.invalid"  # tests with a mock send nothing


def client_of(
    server: LocalTator, kind: type[tator.ApiClient] = tator.ApiClient, **settings: Any
) -> Any:
    """A client, set up as in the documentation's examples."""
    configuration = tator.Configuration()
    configuration.host = server.host
    configuration.api_key["Authorization"] = server.token
    configuration.api_key_prefix["Authorization"] = "Token"
    for name, value in settings.items():
        setattr(configuration, name, value)
    return kind(configuration)


@pytest.fixture
def nowhere() -> tator.JobApi:
    """An API of a server that does not exist."""
    configuration = tator.Configuration(host=NOWHERE)
    configuration.api_key["Authorization"] = "secret"
    configuration.api_key_prefix["Authorization"] = "Token"
    return tator.JobApi(tator.ApiClient(configuration))


class Labelled(tator.ApiClient):
    """Marks each request, by the signature that `call_api` had."""

    def call_api(
        self,
        resource_path,
        method,
        path_params=None,
        query_params=None,
        header_params=None,
        body=None,
        post_params=None,
        files=None,
        response_type=None,
        auth_settings=None,
        async_req=None,
        _return_http_data_only=None,
        collection_formats=None,
        _preload_content=True,
        _request_timeout=None,
    ):
        header_params["X-Label"] = f"{method} by the night shift"
        query_params.append(("audit", "yes"))
        return super().call_api(
            resource_path,
            method,
            path_params,
            query_params,
            header_params,
            body,
            post_params,
            files,
            response_type,
            auth_settings,
            async_req,
            _return_http_data_only,
            collection_formats,
            _preload_content,
            _request_timeout,
        )


class Counted(tator.ApiClient):
    """Counts and marks what is sent, and remembers the responses."""

    def __init__(self, configuration=None, **options):
        super().__init__(configuration, **options)
        self.seen = []

    def request(
        self,
        method,
        url,
        query_params=None,
        headers=None,
        post_params=None,
        body=None,
        _preload_content=True,
        _request_timeout=None,
    ):
        headers["X-Count"] = str(len(self.seen))
        response = super().request(
            method,
            url,
            query_params=query_params,
            headers=headers,
            post_params=post_params,
            body=body,
            _preload_content=_preload_content,
            _request_timeout=_request_timeout,
        )
        self.seen.append((method, urlsplit(url).path, response.status))
        return response


class Fresh(tator.ApiClient):
    """Takes a new token for each call, by the signature of three arguments."""

    token = ""

    def update_params_for_auth(self, headers, querys, auth_settings):
        assert auth_settings == ["TokenAuth"]
        headers["Authorization"] = f"Token {self.token}"


class Shouting(tator.ApiClient):
    """Changes what is read."""

    def deserialize(self, response, response_type):
        result = super().deserialize(response, response_type)
        result.message = result.message.upper()
        return result


class Patient(tator.JobApi):
    """Adds an option to every cancellation."""

    def delete_job_with_http_info(self, run_uid, **kwargs):
        kwargs.setdefault("_request_timeout", 0.05)
        return super().delete_job_with_http_info(run_uid, **kwargs)


@pytest.mark.parametrize("background", [False, True])
def test_a_wrapper_of_call_api_writes_into_headers_and_query(
    local_tator: LocalTator, background: bool
) -> None:
    """What an override adds is sent, and the result is what it was."""
    uid = local_tator.launch().run_uids[0]
    with client_of(local_tator, Labelled) as client:
        result = tator.JobApi(client).delete_job(uid, async_req=background)
        assert uid in (result.get(60) if background else result).message
    [request] = local_tator.requests
    assert request.headers["x-label"] == "DELETE by the night shift"
    assert request.path == f"/rest/Job/{uid}?audit=yes"


def test_a_wrapper_of_call_api_serves_groups_and_bulk(local_tator: LocalTator) -> None:
    """Every operation uses the override."""
    one, two = local_tator.launch(2), local_tator.launch(2)
    with client_of(local_tator, Labelled) as client:
        api = tator.JobApi(client)
        assert api.delete_job_group_with_http_info(one.group_id).status == 200
        assert len(tator.bulk.delete_jobs(api, two.run_uids, progress=False).deleted) == 2
    assert [request.headers.get("x-label") for request in local_tator.requests] == [
        "DELETE by the night shift"
    ] * 3


def test_a_wrapper_of_request_sees_each_call(local_tator: LocalTator) -> None:
    """The override gets the method, the URL and the headers, and returns the response."""
    one, two = local_tator.launch(2).run_uids
    with client_of(local_tator, Counted) as client:
        api = tator.JobApi(client)
        api.delete_job(one)
        response = api.delete_job(two, _preload_content=False)
        response.release_conn()
        assert client.seen == [
            ("DELETE", f"/rest/Job/{one}", 200),
            ("DELETE", f"/rest/Job/{two}", 200),
        ]
    assert [request.headers["x-count"] for request in local_tator.requests] == ["0", "1"]


def test_a_wrapper_of_request_sees_errors_too(local_tator: LocalTator) -> None:
    """An error passes through an override as the exception that the caller catches."""
    local_tator.fail(403)
    with client_of(local_tator, Counted) as client, pytest.raises(ApiException) as caught:
        tator.JobApi(client).delete_job("u")
    assert caught.value.status == 403
    assert client.seen == []


def test_a_wrapper_supplies_its_own_token(local_tator: LocalTator) -> None:
    """`call_api` uses an override of `update_params_for_auth` that takes three arguments."""
    uid = local_tator.launch().run_uids[0]
    with client_of(local_tator, Fresh, api_key={}) as client:
        client.token = local_tator.token
        assert uid in tator.JobApi(client).delete_job(uid).message


def test_a_wrapper_changes_what_is_read(local_tator: LocalTator) -> None:
    """`call_api` uses an override of `deserialize`."""
    uid = local_tator.launch().run_uids[0]
    with client_of(local_tator, Shouting) as client:
        assert uid.upper() in tator.JobApi(client).delete_job(uid).message


def test_a_wrapper_of_the_long_form_serves_the_short_form(local_tator: LocalTator) -> None:
    """A subclass of `JobApi` that overrides one method changes both."""
    local_tator.delay(60)
    with client_of(local_tator, retries=0) as client:
        with pytest.raises(tator.exceptions.ApiTimeoutError):
            Patient(client).delete_job("u")
        local_tator.delay(0)


class Canned:
    """The least that a response needs."""

    def __init__(self, data: str | bytes, status: int = 200) -> None:
        self.data = data
        self.status = status

    def getheaders(self) -> dict[str, str]:
        return {"Content-Type": "application/json"}


@pytest.mark.parametrize("data", ['{"message": "gone"}', b'{"message": "gone"}'])
def test_a_mock_of_the_rest_client_intercepts(nowhere: tator.JobApi, data: str | bytes) -> None:
    """The response needs three attributes; the arguments are those of a generated client."""
    with mock.patch("tator.rest.RESTClientObject.request", return_value=Canned(data)) as request:
        assert nowhere.delete_job("u").message == "gone"
        result, status, headers = nowhere.delete_job_with_http_info("u")
    assert (result.message, status, headers["Content-Type"]) == ("gone", 200, "application/json")
    assert request.call_args[0] == ("DELETE", f"{NOWHERE}/rest/Job/u")
    assert request.call_args[1]["headers"]["Authorization"] == "Token secret"


def test_a_mock_of_the_rest_client_fails(nowhere: tator.JobApi) -> None:
    """The caller gets the mock's exception itself, without a retry."""
    error = ApiException(status=500, reason="Server Error")
    with (
        mock.patch.object(tator.rest.RESTClientObject, "request", side_effect=error) as request,
        pytest.raises(ApiException) as caught,
    ):
        nowhere.delete_job("u")
    assert caught.value is error
    assert request.call_count == 1


def test_a_mock_of_call_api_intercepts(nowhere: tator.JobApi) -> None:
    """Its first arguments are path, method, path parameters, query and headers, in this order."""
    gone = tator.InlineResponse2044(message="gone")
    with mock.patch("tator.ApiClient.call_api", return_value=gone) as call_api:
        assert nowhere.delete_job("u") is gone
    path, method, path_params, query_params, header_params = call_api.call_args[0]
    assert (path, method) == ("/rest/Job/{run_uid}", "DELETE")
    assert (path_params, query_params) == ({"run_uid": "u"}, [])
    assert header_params == {"Accept": "application/json"}
    assert call_api.call_args[1]["auth_settings"] == ["TokenAuth"]


def test_a_mock_of_an_operation_intercepts(nowhere: tator.JobApi) -> None:
    """The code under test gets the mock's value."""
    with mock.patch("tator.JobApi.delete_job", return_value="gone") as delete_job:
        assert nowhere.delete_job("u") == "gone"
    delete_job.assert_called_once_with("u")


def test_job_api_works_on_a_mock_client() -> None:
    """`JobApi` needs nothing of its client but `call_api`."""
    client = mock.Mock()
    api = tator.JobApi(client)
    assert api.delete_job("u") is client.call_api.return_value
    assert api.delete_job_group("g", async_req=True) is client.call_api.return_value
    assert api.api_client is client
    bare = SimpleNamespace(call_api=lambda *args, **options: (args[:3], options["async_req"]))
    assert tator.JobApi(bare).delete_job("u", async_req=True) == (
        ("/rest/Job/{run_uid}", "DELETE", {"run_uid": "u"}),
        True,
    )


def test_an_autospec_has_a_client() -> None:
    """A program that calls other endpoints is tested with it too; an unknown name is an error."""
    api = mock.create_autospec(tator.JobApi, instance=True)
    api.api_client.call_api.return_value = {"git_revision": "a1b2c3"}
    assert api.api_client.call_api("/rest/Version", "GET")["git_revision"] == "a1b2c3"
    with pytest.raises(AttributeError):
        _ = api.client


def test_an_autospec_works_in_bulk_too() -> None:
    """The autospec has the operations' signatures, and bulk accepts it."""
    api = mock.create_autospec(tator.JobApi, instance=True)

    def delete_job(run_uid: str, **_: object) -> tator.InlineResponse2044:
        if run_uid == "b":
            raise ApiException(status=404, reason="x")
        return tator.InlineResponse2044(message=run_uid)

    api.delete_job.side_effect = delete_job
    assert api.delete_job("a", async_req=False).message == "a"
    with pytest.raises(TypeError):
        api.delete_job()
    result = tator.bulk.delete_jobs(api, ["a", "b", "c"], progress=False)
    assert list(result.deleted) == ["a", "c"]
    assert result["c"].message == "c"
    assert result.failed["b"].status == 404


def cancel(api: tator.JobApi, run_uid: str) -> str:
    """Code under test, as it is written around a call."""
    try:
        return str(api.delete_job(run_uid).message)
    except ApiException as e:
        if e.status == 404:
            return f"unknown: {e.reason}"
        logging.getLogger("cancel").error("Exception when calling JobApi->delete_job: %s\n", e)
        return f"failed: {e.status} {e.body} {e.headers}"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ApiException(status=404, reason="x"), "unknown: x"),
        (ApiException(404, "x"), "unknown: x"),
        (tator.exceptions.NotFoundException(status=404, reason="x"), "unknown: x"),
        (ApiException(status=500), "failed: 500 None"),
        (ApiException(reason="lost"), "failed: 0 None"),
        (ApiException("lost"), "failed: 0 None"),
        (ApiException(), "failed: 0 None"),
        (ApiException, "failed: 0 None"),
    ],
)
def test_a_users_test_raises_an_error_made_by_hand(error: Any, said: str) -> None:
    """An error made by hand has every attribute that the code under test reads."""
    api = mock.Mock(spec=tator.JobApi)
    api.delete_job.side_effect = error
    assert cancel(api, "u").startswith(said)


def test_an_error_is_made_from_a_response() -> None:
    """The third argument of the generated clients' constructor is the response."""
    response = Canned(b'{"message": "Not now."}', 503)
    response.reason = "Service Unavailable"
    error = ApiException(http_resp=response)
    assert (error.status, error.reason) == (503, "Service Unavailable")
    assert "Not now." in str(error)
    assert "Not now." in str(error.body)
    assert error.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("error", "maybe_applied"),
    [
        (ApiException(status=404, reason="x"), False),
        (ApiException(status=403), False),
        (ApiException(status=500), True),
        (ApiException(status=400), True),
        (ApiException(reason="x"), True),
        (tator.exceptions.ApiConnectionError(reason="x"), True),
        (tator.exceptions.ApiValueError("x"), False),
    ],
)
def test_an_error_made_by_hand_has_an_unknown_outcome_unless_it_proves_otherwise(
    error: ApiException, maybe_applied: bool
) -> None:
    """The same holds once it is rebuilt from its arguments, as task queues do."""
    assert error.maybe_applied is maybe_applied
    again = type(error)(*json.loads(json.dumps(error.args)))
    assert (again.status, again.reason) == (error.status, error.reason)
    assert again.maybe_applied is maybe_applied


@pytest.mark.usefixtures("no_backoff")
def test_an_error_rebuilt_from_its_arguments_keeps_maybe_applied(local_tator: LocalTator) -> None:
    """A 404 after a lost connection stays unknown on its way through a task queue."""
    local_tator.route("DELETE", "/rest/Job/u", {"message": "Not found."}, 404)
    with client_of(local_tator) as client:
        with pytest.raises(ApiException) as certain:
            tator.JobApi(client).delete_job("u")
        local_tator.drop()
        with pytest.raises(ApiException) as unknown:
            tator.JobApi(client).delete_job("u")
    for caught, maybe_applied in ((certain, False), (unknown, True)):
        error = caught.value
        again = type(error)(*json.loads(json.dumps(error.args)))
        assert (again.status, again.reason) == (error.status, error.reason) == (404, "Not Found")
        assert again.maybe_applied is error.maybe_applied is maybe_applied


SCRIPT = """
import argparse
import sys

import tator


def main():
    parser = tator.get_parser(description="Cancel jobs.")
    parser.add_argument("run_uid", nargs="+")
    parser.add_argument("--quiet", action="store_true")
    args = parser.parse_args()
    assert isinstance(parser, argparse.ArgumentParser)
    api = tator.get_api(args.host, args.token)
    for run_uid in args.run_uid:
        response = api.delete_job(run_uid)
        if not args.quiet:
            print(response.message)


if __name__ == "__main__":
    sys.exit(main())
"""


@pytest.mark.parametrize("by", ["arguments", "environment"])
def test_a_script_begins_with_the_parser(local_tator: LocalTator, tmp_path: Path, by: str) -> None:
    """Server and token come from the command line, or else from the environment."""
    uids = local_tator.launch(2).run_uids
    script = tmp_path / "cancel.py"
    script.write_text(SCRIPT, encoding="utf-8")
    options = ["--host", local_tator.host, "--token", local_tator.token]
    environment = {"TATOR_HOST": local_tator.host, "TATOR_TOKEN": local_tator.token}
    done = subprocess.run(
        [sys.executable, "-W", "error", script, *uids, *(options if by == "arguments" else [])],
        env={
            **os.environ,
            "PYTHONPATH": str(Path(tator.__file__).parent.parent),
            **(environment if by == "environment" else {}),
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [uid for uid, line in zip(uids, lines, strict=True) if uid in line] == list(uids)
    assert set(local_tator.jobs.values()) == {"cancelled"}


def test_a_program_starts_all_calls_and_then_waits(local_tator: LocalTator) -> None:
    """Handles are collected, and asked one after the other."""
    uids = local_tator.launch(8).run_uids
    with client_of(local_tator) as client:
        api = tator.JobApi(client)
        threads = [api.delete_job(uid, async_req=True) for uid in uids]
        messages = [thread.get().message for thread in threads]
    assert all(uid in message for uid, message in zip(uids, messages, strict=True))


def test_a_program_shares_one_api_between_threads(local_tator: LocalTator) -> None:
    """An executor's map over a bound method."""
    uids = local_tator.launch(8).run_uids
    with client_of(local_tator) as client, ThreadPoolExecutor(4) as executor:
        results = list(executor.map(tator.JobApi(client).delete_job, uids))
    assert {type(result) for result in results} == {tator.InlineResponse2044}


def test_a_program_reads_raw_responses(local_tator: LocalTator) -> None:
    """The raw response is urllib3's: `data`, `status`, `headers`."""
    uid = local_tator.launch().run_uids[0]
    with client_of(local_tator) as client:
        response = tator.JobApi(client).delete_job(uid, _preload_content=False)
        assert uid in json.loads(response.data.decode("utf-8"))["message"]
    assert (response.status, response.headers["Content-Type"]) == (200, "application/json")


def test_a_program_sets_a_default_and_reads_everything(local_tator: LocalTator) -> None:
    """The default configuration, a default header, the user agent, the last response."""
    uid = local_tator.launch().run_uids[0]
    configuration = tator.Configuration()
    configuration.host = local_tator.host
    configuration.api_key = {"Authorization": local_tator.token}
    configuration.api_key_prefix = {"Authorization": "Token"}
    tator.Configuration.set_default(configuration)
    api = tator.JobApi()
    api.api_client.set_default_header("X-Team", "ops")
    api.api_client.user_agent = "nightly/1"
    data, status, headers = api.delete_job_with_http_info(run_uid=uid, _request_timeout=(3, 30))
    assert (data.to_dict(), status) == ({"message": data.message}, 200)
    assert headers["content-type"] == "application/json"
    assert json.loads(api.api_client.last_response.data)["message"] == data.message
    api.api_client.close()
    sent = local_tator.requests[0].headers
    assert (sent["x-team"], sent["user-agent"]) == ("ops", "nightly/1")


def test_a_program_calls_an_endpoint_by_the_rest_client(local_tator: LocalTator) -> None:
    """The verbs take an absolute URL, and raise what the operations raise."""
    local_tator.route("GET", "/rest/Version", {"version": "0.0.5"})
    with client_of(local_tator) as client:
        headers: dict[str, str] = {}
        client.update_params_for_auth(headers, [], ["TokenAuth"])
        url = f"{local_tator.host}/rest/Version"
        response = client.rest_client.GET(url, headers=headers, query_params=[("full", 1)])
        assert (response.status, json.loads(response.data)) == (200, {"version": "0.0.5"})
        assert response.getheader("content-type") == "application/json"
        with pytest.raises(ApiException) as caught:
            client.rest_client.DELETE(url, headers=headers)
    assert caught.value.status == 404
    assert local_tator.requests[0].path == "/rest/Version?full=1"


def test_a_hook_without_effect_is_rejected(nowhere: tator.JobApi) -> None:
    """A program that replaces urllib3's pools gets an error that names the hook."""
    with pytest.raises(AttributeError, match="pool_manager"):
        nowhere.api_client.rest_client.pool_manager = mock.Mock()


class Media:
    """A model as swagger-codegen shapes it."""

    swagger_types: ClassVar = {"id": "int", "name": "str", "kind": "str", "parts": "list[Media]"}
    attribute_map: ClassVar = {"id": "id", "name": "mediaName", "kind": "kind", "parts": "parts"}

    def __init__(self, id=None, name=None, kind=None, parts=None):
        self._kind = None
        self.discriminator = None
        self.id = id
        self.name = name
        self.parts = parts
        if kind is not None:
            self.kind = kind

    @property
    def kind(self):
        return self._kind

    @kind.setter
    def kind(self, kind):
        allowed_values = ["video", "image"]
        if kind not in allowed_values:
            raise ValueError(f"Invalid value for `kind` ({kind}), must be one of {allowed_values}")
        self._kind = kind


class MediaApi:
    """An API as swagger-codegen 2 and 3 call the client, with every argument in its place."""

    def __init__(self, api_client=None):
        if api_client is None:
            api_client = tator.ApiClient()
        self.api_client = api_client

    def get_medias(self, project, **kwargs):
        kwargs["_return_http_data_only"] = True
        return self.get_medias_with_http_info(project, **kwargs)

    def get_medias_with_http_info(self, project, **kwargs):
        params = kwargs
        collection_formats = {}
        path_params = {"project": project}
        query_params = []
        for name, collection_format in (("media_id", "csv"), ("tag", "multi"), ("name", "pipes")):
            if name in params:
                query_params.append((name, params[name]))
                collection_formats[name] = collection_format
        if "section" in params:
            query_params.append(("section", params["section"]))
        header_params = {}
        header_params["Accept"] = self.api_client.select_header_accept(["application/json"])
        form_params = []
        local_var_files = {}
        return self.api_client.call_api(
            "/rest/Medias/{project}",
            "GET",
            path_params,
            query_params,
            header_params,
            None,
            form_params,
            local_var_files,
            "list[Media]",
            ["TokenAuth"],
            params.get("async_req"),
            params.get("_return_http_data_only"),
            collection_formats,
            params.get("_preload_content", True),
            params.get("_request_timeout"),
        )

    def create_media(self, project, body, **kwargs):
        header_params = {}
        header_params["Accept"] = self.api_client.select_header_accept(["application/json"])
        header_params["Content-Type"] = self.api_client.select_header_content_type(
            ["application/json"]
        )
        return self.api_client.call_api(
            "/rest/Medias/{project}",
            "POST",
            {"project": project},
            [],
            header_params,
            body=body,
            post_params=kwargs.get("form", []),
            files=kwargs.get("files", {}),
            response_type="Media",
            auth_settings=["TokenAuth"],
            async_req=kwargs.get("async_req"),
            _return_http_data_only=True,
            _preload_content=kwargs.get("_preload_content", True),
            _request_timeout=kwargs.get("_request_timeout"),
            collection_formats={},
        )


class LaterMediaApi(MediaApi):
    """An API as openapi-generator 5 calls the client."""

    def get_medias_with_http_info(self, project, **kwargs):
        local_var_params = kwargs
        collection_formats = {}
        query_params = []
        for name, collection_format in (("media_id", "csv"), ("tag", "multi"), ("name", "pipes")):
            if local_var_params.get(name) is not None:
                query_params.append((name, local_var_params[name]))
                collection_formats[name] = collection_format
        if local_var_params.get("section") is not None:
            query_params.append(("section", local_var_params["section"]))
        header_params = dict(local_var_params.get("_headers", {}))
        header_params["Accept"] = self.api_client.select_header_accept(["application/json"])
        return self.api_client.call_api(
            "/rest/Medias/{project}",
            "GET",
            {"project": project},
            query_params,
            header_params,
            body=None,
            post_params=[],
            files={},
            response_types_map={200: "list[Media]", 404: "InlineResponse2044"},
            auth_settings=["TokenAuth"],
            async_req=local_var_params.get("async_req"),
            _return_http_data_only=local_var_params.get("_return_http_data_only"),
            _preload_content=local_var_params.get("_preload_content", True),
            _request_timeout=local_var_params.get("_request_timeout"),
            _host=local_var_params.get("_host"),
            collection_formats=collection_formats,
            _request_auth=local_var_params.get("_request_auth"),
        )


@pytest.fixture
def medias(local_tator: LocalTator, monkeypatch: pytest.MonkeyPatch) -> LocalTator:
    """A server with media, and their model in `tator.models`."""
    monkeypatch.setattr("tator.models.Media", Media, raising=False)
    media = {"id": "5", "mediaName": "dive", "kind": "video", "parts": [{"id": 6}]}
    local_tator.route("GET", "/rest/Medias/7", [media])
    local_tator.route("POST", "/rest/Medias/7", media, 201)
    return local_tator


both = pytest.mark.parametrize("kind", [MediaApi, LaterMediaApi])


@both
@pytest.mark.parametrize("background", [False, True])
def test_an_api_of_a_generators_shape_reads_its_models(
    medias: LocalTator, kind: type[MediaApi], background: bool
) -> None:
    """Lists of nested models have the types that a generated client gave them."""
    with client_of(medias) as client:
        result = kind(client).get_medias(7, async_req=background)
        [media] = result.get(60) if background else result
        _, status, headers = kind(client).get_medias_with_http_info(7)
    assert (type(media), media.id, media.name, media.kind) == (Media, 5, "dive", "video")
    assert [(type(part), part.id) for part in media.parts] == [(Media, 6)]
    assert (status, headers["Content-Type"]) == (200, "application/json")


@both
def test_an_api_of_a_generators_shape_sends_lists_by_their_formats(
    medias: LocalTator, kind: type[MediaApi]
) -> None:
    """Commas are the default; `multi` repeats the name and `pipes` joins with a bar."""
    lists = {"media_id": [1, 2], "tag": ["a", "b"], "name": ["c", "d"], "section": ["e", "f"]}
    with client_of(medias) as client:
        kind(client).get_medias(7, **lists)
        with pytest.raises(tator.exceptions.ApiValueError):
            kind(client).get_medias(7, media_id=["1,2", "3"])
    [request] = medias.requests
    assert parse_qsl(urlsplit(request.path).query) == [
        ("media_id", "1,2"),
        ("tag", "a"),
        ("tag", "b"),
        ("name", "c|d"),
        ("section", "e,f"),
    ]
    assert request.headers["authorization"] == f"Token {medias.token}"


@both
def test_an_api_of_a_generators_shape_fails_with_our_errors(
    medias: LocalTator, kind: type[MediaApi]
) -> None:
    """The status, the message, and a value that the model rejects."""
    medias.route("GET", "/rest/Medias/7", [{"kind": "magic"}])
    medias.route("GET", "/rest/Medias/8", {"message": "No such project."}, 404)
    with client_of(medias) as client:
        with pytest.raises(tator.exceptions.ApiResponseError, match="magic"):
            kind(client).get_medias(7)
        with pytest.raises(ApiException, match=r"No such project\.") as caught:
            kind(client).get_medias(8)
    assert caught.value.status == 404


def test_an_api_of_a_generators_shape_sends_its_models(medias: LocalTator) -> None:
    """A body has the schema's names and no `None`; an empty form is accepted."""
    with client_of(medias) as client:
        media = Media(name="dive", kind="video", parts=[Media(id=6)])
        assert MediaApi(client).create_media(7, media).id == 5
    [request] = medias.requests
    assert json.loads(request.body) == {
        "mediaName": "dive",
        "kind": "video",
        "parts": [{"id": 6}],
    }
    assert request.headers["content-type"] == "application/json"


@pytest.mark.parametrize("given", [{"form": [("name", "dive")]}, {"files": {"file": "dive.mp4"}}])
def test_a_form_is_rejected_with_an_error(medias: LocalTator, given: dict[str, Any]) -> None:
    """No endpoint takes a form or a file, so a program that passes one gets an error."""
    with client_of(medias) as client, pytest.raises((TypeError, ValueError)) as caught:
        MediaApi(client).create_media(7, Media(), **given)
    assert isinstance(caught.value, ApiException)
    assert medias.requests == []


def test_the_later_options_apply_to_one_call(medias: LocalTator) -> None:
    """Host, token and header apply to that call alone."""
    medias.add_token("second", "full_control")
    auth = {"in": "header", "type": "api_key", "key": "Authorization", "value": "Token second"}
    with client_of(medias) as client:
        api = LaterMediaApi(client)
        api.get_medias(7, _request_auth=auth, _headers={"X-Trace": "1"})
        client.configuration.host = NOWHERE
        api.get_medias(7, _host=medias.host)
    first, second = (request.headers for request in medias.requests)
    assert (first["authorization"], first["x-trace"]) == ("Token second", "1")
    assert second["authorization"] == f"Token {medias.token}"
    assert "x-trace" not in second
