"""Ordinary user code, which only the type checkers run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid1

from typing_extensions import assert_type

import tator
from tator.api_client import HttpInfo
from tator.async_result import AsyncResult
from tator.bulk import BulkResult

if TYPE_CHECKING:
    from urllib3 import HTTPResponse

api = tator.get_api("https://tator.example.org", "token")

assert_type(api.delete_job("uid"), tator.InlineResponse2044)
assert_type(api.delete_job(uuid1(), _request_timeout=(3, 10.5)), tator.InlineResponse2044)
assert_type(api.delete_job("uid").message, "str | None")
assert_type(api.delete_job_group("uid"), tator.InlineResponse2045)
assert_type(api.delete_job_group("uid", project=7), tator.InlineResponse2045)
assert_type(
    api.delete_job_group_with_http_info("uid", project=None, async_req=True),
    AsyncResult[HttpInfo[tator.InlineResponse2045]],
)
assert_type(api.delete_job("uid", async_req=True), AsyncResult[tator.InlineResponse2044])
assert_type(api.delete_job("uid", async_req=True).get(5), tator.InlineResponse2044)
assert_type(api.delete_job("uid", _preload_content=False), "HTTPResponse")
assert_type(
    api.delete_job_group("uid", async_req=True, _preload_content=False),
    "AsyncResult[HTTPResponse]",
)
assert_type(api.delete_job_with_http_info("uid"), HttpInfo[tator.InlineResponse2044])
response = api.api_client.rest_client.GET("https://tator.example.org/rest/Version")
assert_type(response.status, int)
assert_type(response.data, bytes)
assert_type(api.delete_job_with_http_info("uid").data, tator.InlineResponse2044)
assert_type(api.delete_job_group_with_http_info("uid").status, int)
assert_type(api.delete_job_with_http_info("uid", _preload_content=False), "HttpInfo[HTTPResponse]")
assert_type(
    api.delete_job_with_http_info("uid", async_req=True),
    AsyncResult[HttpInfo[tator.InlineResponse2044]],
)


def wrapped(later: bool, whole: bool) -> None:
    given = api.delete_job("uid", async_req=later, _preload_content=whole)
    if isinstance(given, tator.InlineResponse2044):
        assert_type(given.message, "str | None")
    elif isinstance(given, AsyncResult):
        assert_type(given.ready(), bool)
    else:
        assert_type(given.status, int)
    data = api.delete_job_group_with_http_info("uid", _return_http_data_only=True)
    if isinstance(data, tator.InlineResponse2045):
        assert_type(data.message, "str | None")


async def cancel() -> None:
    assert_type(await api.delete_job("uid", async_req=True), tator.InlineResponse2044)


configuration = tator.Configuration(host="https://tator.example.org", timeout=5, deadline=None)
configuration.api_key["Authorization"] = "key"
configuration.api_key_prefix["Authorization"] = "Token"
configuration.proxy = None
configuration.timeout = (3, None)
configuration.ssl_ca_cert = Path("ca.pem")
configuration.refresh_api_key_hook = lambda settings: settings.api_key.clear()
assert_type(configuration.host, str)
assert_type(configuration.ssl_ca_cert, "str | None")
assert_type(configuration.keepalive_expiry, "float | None")
assert_type(configuration.largest_response, int)
assert_type(configuration.api_key, dict[str, str])
assert_type(configuration.get_api_key_with_prefix("Authorization"), "str | None")
assert_type(tator.Configuration.get_default_copy(), tator.Configuration)
with tator.ApiClient(configuration) as client:
    result = tator.bulk.delete_jobs(tator.JobApi(client), (str(number) for number in range(3)))
    assert_type(result, BulkResult)
    assert_type(result.deleted, list[str])
    assert_type(result["uid"], "tator.InlineResponse2044 | tator.ApiException")
    for run_uid, outcome in tator.bulk.iter_delete_jobs(tator.JobApi(client), [uuid1()]):
        assert_type(run_uid, str)
        if isinstance(outcome, tator.ApiException):
            assert_type(outcome.status, int)
        else:
            assert_type(outcome.message, "str | None")

try:
    api.delete_job("uid")
except tator.ApiTimeoutError as error:
    assert_type(error.maybe_applied, bool)
    assert_type(error.retry_after, "float | None")
    assert_type(error.status, int)
    assert_type(error.reason, str)
    assert_type(error.hint, "str | None")
except (tator.UnauthorizedException, tator.TooManyRequestsException) as error:
    assert_type(error.headers, "Mapping[str, str] | None")

raise tator.ApiException(status=404, reason="x")
