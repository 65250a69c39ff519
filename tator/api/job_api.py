"""The operations on background jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, SupportsIndex, cast, overload

from tator import checks
from tator.api_client import ApiClient, HttpInfo
from tator.checks import Timeout
from tator.configuration import Configuration

# Not from `tator.models`, where generated classes may replace a model with the same name.
from tator.models.inline_response2044 import InlineResponse2044
from tator.models.inline_response2045 import InlineResponse2045

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from typing import Protocol
    from uuid import UUID

    from typing_extensions import Unpack
    from urllib3 import HTTPResponse

    from tator.api.options import Either, EitherInfo, Later, Plain, Raw, RawLater, Variable
    from tator.async_result import AsyncResult

    class Caller(Protocol):
        """Anything that calls endpoints as `ApiClient` does."""

        def call_api(self, *args: Any, **options: Any) -> Any:
            """Call an endpoint."""


class JobApi:
    """Cancels background jobs: transcodes and algorithm runs, each an Argo workflow on the cluster.

    A cancellation has two forms: the short one returns the model, and the `_with_http_info` form
    returns `HttpInfo(data, status, headers)`. Both take these options:

    - `async_req`: `True` returns an `AsyncResult` at once, and the call runs in a thread.
      Defaults to `False`.
    - `_preload_content`: `False` returns urllib3's response unread, for the caller to read and
      release; error statuses still raise. Defaults to `True`.
    - `_request_timeout`: seconds for each attempt, or a pair `(connect, read)`. Defaults to the
      configuration's `timeout`. The whole call ends by the configuration's `deadline` anyway.
    - `_return_http_data_only`: `True` makes the `_with_http_info` form return the data alone; the
      short one always does.

    Args:
        api_client: What makes the calls: an `ApiClient`, or anything with a `call_api` method.
            Defaults to a new client with the default configuration.
    """

    # A mock that create_autospec makes has the attributes of the class alone.
    api_client: ApiClient = cast(ApiClient, None)

    def __init__(self, api_client: ApiClient | Caller | None = None) -> None:
        if api_client is not None and not callable(getattr(api_client, "call_api", None)):
            checks.reject_type("api_client", "an ApiClient", api_client)
        client: Any = ApiClient() if api_client is None else api_client
        self.api_client = client

    @overload
    def delete_job(self, run_uid: str | UUID, **options: Unpack[Plain]) -> InlineResponse2044: ...

    @overload
    def delete_job(
        self, run_uid: str | UUID, **options: Unpack[Later]
    ) -> AsyncResult[InlineResponse2044]: ...

    @overload
    def delete_job(self, run_uid: str | UUID, **options: Unpack[Raw]) -> HTTPResponse: ...

    @overload
    def delete_job(
        self, run_uid: str | UUID, **options: Unpack[RawLater]
    ) -> AsyncResult[HTTPResponse]: ...

    @overload
    def delete_job(
        self, run_uid: str | UUID, **options: Unpack[Variable]
    ) -> Either[InlineResponse2044]: ...

    def delete_job(
        self,
        run_uid: str | UUID,
        *,
        async_req: bool | None = False,
        _preload_content: bool = True,
        _request_timeout: Timeout = None,
        _return_http_data_only: bool | None = None,
    ) -> Any:
        """Cancel one job.

        If the job is unknown or already cancelled, the response depends on the server's age: a bare
        500 until June 2020, a 400 until September 2020, and a 404 without a message since then.
        Since version 1.0 of the server, a transcode needs a different endpoint.

        Args:
            run_uid: The uuid1 that the server gave the job when it was launched.

        Returns:
            The server's message; the class explains what the options change.

        Raises:
            ApiTypeError, ApiValueError: If an argument is rejected; nothing was sent.
            ApiException: If anything else goes wrong; `maybe_applied` tells whether the job may
                have been cancelled.
        """
        options = _given(async_req, _preload_content, _request_timeout)
        return self.delete_job_with_http_info(run_uid, **options)

    @overload
    def delete_job_with_http_info(
        self, run_uid: str | UUID, **options: Unpack[Plain]
    ) -> HttpInfo[InlineResponse2044]: ...

    @overload
    def delete_job_with_http_info(
        self, run_uid: str | UUID, **options: Unpack[Later]
    ) -> AsyncResult[HttpInfo[InlineResponse2044]]: ...

    @overload
    def delete_job_with_http_info(
        self, run_uid: str | UUID, **options: Unpack[Raw]
    ) -> HttpInfo[HTTPResponse]: ...

    @overload
    def delete_job_with_http_info(
        self, run_uid: str | UUID, **options: Unpack[RawLater]
    ) -> AsyncResult[HttpInfo[HTTPResponse]]: ...

    @overload
    def delete_job_with_http_info(
        self, run_uid: str | UUID, **options: Unpack[Variable]
    ) -> EitherInfo[InlineResponse2044]: ...

    def delete_job_with_http_info(
        self,
        run_uid: str | UUID,
        *,
        async_req: bool | None = False,
        _preload_content: bool = True,
        _request_timeout: Timeout = None,
        _return_http_data_only: bool | None = None,
    ) -> Any:
        """Cancel one job as `delete_job` does, and return the status and the headers, too."""
        path_params = {"run_uid": checks.identifier("run_uid", run_uid)}
        return self.api_client.call_api(
            "/rest/Job/{run_uid}",
            "DELETE",
            path_params,
            [],
            {"Accept": "application/json"},
            response_type=InlineResponse2044,
            auth_settings=["TokenAuth"],
            async_req=async_req,
            _return_http_data_only=_return_http_data_only,
            _preload_content=_preload_content,
            _request_timeout=_request_timeout,
        )

    @overload
    def delete_job_group(
        self,
        group_id: str | UUID,
        *,
        project: SupportsIndex | None = None,
        **options: Unpack[Plain],
    ) -> InlineResponse2045: ...

    @overload
    def delete_job_group(
        self,
        group_id: str | UUID,
        *,
        project: SupportsIndex | None = None,
        **options: Unpack[Later],
    ) -> AsyncResult[InlineResponse2045]: ...

    @overload
    def delete_job_group(
        self, group_id: str | UUID, *, project: SupportsIndex | None = None, **options: Unpack[Raw]
    ) -> HTTPResponse: ...

    @overload
    def delete_job_group(
        self,
        group_id: str | UUID,
        *,
        project: SupportsIndex | None = None,
        **options: Unpack[RawLater],
    ) -> AsyncResult[HTTPResponse]: ...

    @overload
    def delete_job_group(
        self,
        group_id: str | UUID,
        *,
        project: SupportsIndex | None = None,
        **options: Unpack[Variable],
    ) -> Either[InlineResponse2045]: ...

    def delete_job_group(
        self,
        group_id: str | UUID,
        *,
        project: SupportsIndex | None = None,
        async_req: bool | None = False,
        _preload_content: bool = True,
        _request_timeout: Timeout = None,
        _return_http_data_only: bool | None = None,
    ) -> Any:
        """Cancel all jobs that were launched together.

        The server cancels them one after the other, so a large group takes time, and a failure
        midway (400) leaves some of them cancelled. Servers released since September 2020 respond
        with a 404 without `project`; older ones have no `project`.

        Args:
            group_id: The uuid1 that the server gave the group when it was launched.
            project: The number of the group's project, for servers released since September 2020.
                They respond "Deleted 0 jobs" if the group is unknown or already cancelled, which
                counts as a success. Defaults to `None`, for older servers.

        Returns:
            The server's message; the class explains what the options change.

        Raises:
            ApiTypeError, ApiValueError: If an argument is rejected; nothing was sent.
            ApiException: If anything else goes wrong; `maybe_applied` tells whether jobs may have
                been cancelled.
        """
        options = _given(async_req, _preload_content, _request_timeout)
        if project is not None:
            options["project"] = project
        return self.delete_job_group_with_http_info(group_id, **options)

    @overload
    def delete_job_group_with_http_info(
        self,
        group_id: str | UUID,
        *,
        project: SupportsIndex | None = None,
        **options: Unpack[Plain],
    ) -> HttpInfo[InlineResponse2045]: ...

    @overload
    def delete_job_group_with_http_info(
        self,
        group_id: str | UUID,
        *,
        project: SupportsIndex | None = None,
        **options: Unpack[Later],
    ) -> AsyncResult[HttpInfo[InlineResponse2045]]: ...

    @overload
    def delete_job_group_with_http_info(
        self, group_id: str | UUID, *, project: SupportsIndex | None = None, **options: Unpack[Raw]
    ) -> HttpInfo[HTTPResponse]: ...

    @overload
    def delete_job_group_with_http_info(
        self,
        group_id: str | UUID,
        *,
        project: SupportsIndex | None = None,
        **options: Unpack[RawLater],
    ) -> AsyncResult[HttpInfo[HTTPResponse]]: ...

    @overload
    def delete_job_group_with_http_info(
        self,
        group_id: str | UUID,
        *,
        project: SupportsIndex | None = None,
        **options: Unpack[Variable],
    ) -> EitherInfo[InlineResponse2045]: ...

    def delete_job_group_with_http_info(
        self,
        group_id: str | UUID,
        *,
        project: SupportsIndex | None = None,
        async_req: bool | None = False,
        _preload_content: bool = True,
        _request_timeout: Timeout = None,
        _return_http_data_only: bool | None = None,
    ) -> Any:
        """Cancel a group as `delete_job_group` does, and return the status and the headers, too."""
        uid = checks.identifier("group_id", group_id)
        path: str = "/rest/JobGroup/{group_id}"
        path_params: dict[str, str | int] = {"group_id": uid}
        query_params: list[tuple[str, str]] = []
        if project is not None:
            # Without its ID, the server would cancel every algorithm job of the project.
            path, query_params = "/rest/Jobs/{project}", [("gid", uid)]
            path_params = {"project": checks.integer("project", project, 1)}
        return self.api_client.call_api(
            path,
            "DELETE",
            path_params,
            query_params,
            {"Accept": "application/json"},
            response_type=InlineResponse2045,
            auth_settings=["TokenAuth"],
            async_req=async_req,
            _return_http_data_only=_return_http_data_only,
            _preload_content=_preload_content,
            _request_timeout=_request_timeout,
        )


def _given(async_req: bool | None, preload: bool, timeout: Timeout) -> dict[str, Any]:
    """Return the options of a short form for its long form, which may be overridden.

    Those that were not given are left out, so that the override may have its own defaults.
    """
    options: dict[str, Any] = {"_return_http_data_only": True}
    if async_req:
        options["async_req"] = async_req
    if not preload:
        options["_preload_content"] = preload
    if timeout is not None:
        options["_request_timeout"] = timeout
    return options


def get_api(host: str | None = None, token: str | None = None) -> JobApi:
    """Return a `JobApi` that is ready to use.

    Args:
        host: The server's URL. Defaults to the environment variable `TATOR_HOST`.
        token: The user's API token, without a prefix. Defaults to `TATOR_TOKEN`, but only together
            with the host from `TATOR_HOST`.

    Raises:
        ApiTypeError, ApiValueError: If the host or the token can't be used.
    """
    configuration = Configuration(host)
    if token is not None:
        configuration.api_key["Authorization"] = token
        configuration.api_key_prefix["Authorization"] = "Token"
    return JobApi(ApiClient(configuration))


def get_parser(**options: Any) -> ArgumentParser:
    """Return a command-line parser with `--host` and `--token`.

    Both default to `None`, for which `get_api` reads the environment: `args =
    tator.get_parser().parse_args(); api = tator.get_api(args.host, args.token)`.

    Args:
        options: Keyword arguments for `argparse.ArgumentParser`.
    """
    from argparse import ArgumentParser  # seldom needed

    parser = ArgumentParser(**options)
    parser.add_argument(
        "--host", help="the server's URL (default: the environment variable TATOR_HOST)"
    )
    parser.add_argument(
        "--token", help="your API token (default: TATOR_TOKEN, if the host is from TATOR_HOST)"
    )
    return parser
