"""The operations on background jobs."""

from __future__ import annotations

from types import NoneType
from typing import TYPE_CHECKING, Any, Literal, TypedDict, overload

from tator.api_client import ApiClient, HttpInfo
from tator.configuration import Configuration, Timeout, veil
from tator.exceptions import ApiTypeError
from tator.models import InlineResponse2044, InlineResponse2045
from tator.serialization import is_uuid

if TYPE_CHECKING:
    from typing import TypeAlias, TypeVar
    from uuid import UUID

    from typing_extensions import Required, Unpack
    from urllib3 import HTTPResponse

    from tator.async_result import AsyncResult

    T = TypeVar("T")
    # What the two forms give for options that are variables.
    _Either: TypeAlias = T | AsyncResult[T] | HTTPResponse | AsyncResult[HTTPResponse]
    _EitherInfo: TypeAlias = (
        _Either[T]
        | HttpInfo[T]
        | AsyncResult[HttpInfo[T]]
        | HttpInfo[HTTPResponse]
        | AsyncResult[HttpInfo[HTTPResponse]]
    )

    class _Variable(TypedDict, total=False):
        async_req: bool | None
        _preload_content: bool
        _request_timeout: Timeout
        _return_http_data_only: bool | None

    class _Options(TypedDict, total=False):
        _request_timeout: Timeout
        _return_http_data_only: Literal[False] | None

    class _Plain(_Options, total=False):
        async_req: Literal[False] | None
        _preload_content: Literal[True]

    class _Later(_Options, total=False):
        async_req: Required[Literal[True]]
        _preload_content: Literal[True]

    class _Raw(_Options, total=False):
        async_req: Literal[False] | None
        _preload_content: Required[Literal[False]]

    class _RawLater(_Options, total=False):
        async_req: Required[Literal[True]]
        _preload_content: Required[Literal[False]]


class JobApi:
    """Cancels background jobs: transcodes and algorithm runs, each an Argo workflow on the cluster.

    Every operation has two forms: the plain one returns the model, the one `_with_http_info`
    returns `HttpInfo(data, status, headers)`. All of them take these options:

    - `async_req`: `True` returns an `AsyncResult` at once, and the call goes on in a thread.
      Default: `False`.
    - `_preload_content`: `False` returns urllib3's response unread, for the caller to read and
      release; error statuses still raise. Default: `True`.
    - `_request_timeout`: seconds for each try, or a pair `(connect, read)`. Default: the
      configuration's `timeout`. The whole call ends by the configuration's `deadline` anyway.
    - `_return_http_data_only`: `True` makes the form `_with_http_info` return the data alone.

    Args:
        api_client: What carries the calls. Default: a new client with the default configuration.
    """

    def __init__(self, api_client: ApiClient | None = None) -> None:
        if not isinstance(api_client, (ApiClient, NoneType)):
            kind = type(api_client).__name__
            raise ApiTypeError(reason=f"api_client must be an ApiClient, not {kind}")
        self.api_client = ApiClient() if api_client is None else api_client

    @overload
    def delete_job(self, run_uid: str | UUID, **options: Unpack[_Plain]) -> InlineResponse2044: ...

    @overload
    def delete_job(
        self, run_uid: str | UUID, **options: Unpack[_Later]
    ) -> AsyncResult[InlineResponse2044]: ...

    @overload
    def delete_job(self, run_uid: str | UUID, **options: Unpack[_Raw]) -> HTTPResponse: ...

    @overload
    def delete_job(
        self, run_uid: str | UUID, **options: Unpack[_RawLater]
    ) -> AsyncResult[HTTPResponse]: ...

    @overload
    def delete_job(
        self, run_uid: str | UUID, **options: Unpack[_Variable]
    ) -> _Either[InlineResponse2044]: ...

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

        The server answers an unknown job, and one already cancelled, with a bare 500.

        Args:
            run_uid: The uuid1 that the server gave the job when it was launched.

        Returns:
            The server's words; with options, see the class.

        Raises:
            ApiTypeError, ApiValueError: Refused; nothing was sent.
            ApiException: All else that can go wrong; `maybe_applied` tells whether the job may
                be cancelled nevertheless.
        """
        return self.api_client.call_api(
            "/rest/Job/{run_uid}",
            "DELETE",
            {"run_uid": _identifier("run_uid", run_uid)},
            response_type=InlineResponse2044,
            auth_settings=["TokenAuth"],
            async_req=async_req,
            _return_http_data_only=True,
            _preload_content=_preload_content,
            _request_timeout=_request_timeout,
        )

    @overload
    def delete_job_with_http_info(
        self, run_uid: str | UUID, **options: Unpack[_Plain]
    ) -> HttpInfo[InlineResponse2044]: ...

    @overload
    def delete_job_with_http_info(
        self, run_uid: str | UUID, **options: Unpack[_Later]
    ) -> AsyncResult[HttpInfo[InlineResponse2044]]: ...

    @overload
    def delete_job_with_http_info(
        self, run_uid: str | UUID, **options: Unpack[_Raw]
    ) -> HttpInfo[HTTPResponse]: ...

    @overload
    def delete_job_with_http_info(
        self, run_uid: str | UUID, **options: Unpack[_RawLater]
    ) -> AsyncResult[HttpInfo[HTTPResponse]]: ...

    @overload
    def delete_job_with_http_info(
        self, run_uid: str | UUID, **options: Unpack[_Variable]
    ) -> _EitherInfo[InlineResponse2044]: ...

    def delete_job_with_http_info(
        self,
        run_uid: str | UUID,
        *,
        async_req: bool | None = False,
        _preload_content: bool = True,
        _request_timeout: Timeout = None,
        _return_http_data_only: bool | None = None,
    ) -> Any:
        """Do as `delete_job`, and return status and headers too."""
        return self.api_client.call_api(
            "/rest/Job/{run_uid}",
            "DELETE",
            {"run_uid": _identifier("run_uid", run_uid)},
            response_type=InlineResponse2044,
            auth_settings=["TokenAuth"],
            async_req=async_req,
            _return_http_data_only=_return_http_data_only,
            _preload_content=_preload_content,
            _request_timeout=_request_timeout,
        )

    @overload
    def delete_job_group(
        self, group_id: str | UUID, **options: Unpack[_Plain]
    ) -> InlineResponse2045: ...

    @overload
    def delete_job_group(
        self, group_id: str | UUID, **options: Unpack[_Later]
    ) -> AsyncResult[InlineResponse2045]: ...

    @overload
    def delete_job_group(self, group_id: str | UUID, **options: Unpack[_Raw]) -> HTTPResponse: ...

    @overload
    def delete_job_group(
        self, group_id: str | UUID, **options: Unpack[_RawLater]
    ) -> AsyncResult[HTTPResponse]: ...

    @overload
    def delete_job_group(
        self, group_id: str | UUID, **options: Unpack[_Variable]
    ) -> _Either[InlineResponse2045]: ...

    def delete_job_group(
        self,
        group_id: str | UUID,
        *,
        async_req: bool | None = False,
        _preload_content: bool = True,
        _request_timeout: Timeout = None,
        _return_http_data_only: bool | None = None,
    ) -> Any:
        """Cancel all jobs that were launched together.

        The server cancels them one after the other, so a large group takes time, and a failure
        midway (400) leaves some of them cancelled. Servers since September 2020 have no such
        endpoint and answer 404.

        Args:
            group_id: The uuid1 that the server gave the group when it was launched.

        Returns:
            The server's words; with options, see the class.

        Raises:
            ApiTypeError, ApiValueError: Refused; nothing was sent.
            ApiException: All else that can go wrong; `maybe_applied` tells whether jobs may be
                cancelled nevertheless.
        """
        return self.api_client.call_api(
            "/rest/JobGroup/{group_id}",
            "DELETE",
            {"group_id": _identifier("group_id", group_id)},
            response_type=InlineResponse2045,
            auth_settings=["TokenAuth"],
            async_req=async_req,
            _return_http_data_only=True,
            _preload_content=_preload_content,
            _request_timeout=_request_timeout,
        )

    @overload
    def delete_job_group_with_http_info(
        self, group_id: str | UUID, **options: Unpack[_Plain]
    ) -> HttpInfo[InlineResponse2045]: ...

    @overload
    def delete_job_group_with_http_info(
        self, group_id: str | UUID, **options: Unpack[_Later]
    ) -> AsyncResult[HttpInfo[InlineResponse2045]]: ...

    @overload
    def delete_job_group_with_http_info(
        self, group_id: str | UUID, **options: Unpack[_Raw]
    ) -> HttpInfo[HTTPResponse]: ...

    @overload
    def delete_job_group_with_http_info(
        self, group_id: str | UUID, **options: Unpack[_RawLater]
    ) -> AsyncResult[HttpInfo[HTTPResponse]]: ...

    @overload
    def delete_job_group_with_http_info(
        self, group_id: str | UUID, **options: Unpack[_Variable]
    ) -> _EitherInfo[InlineResponse2045]: ...

    def delete_job_group_with_http_info(
        self,
        group_id: str | UUID,
        *,
        async_req: bool | None = False,
        _preload_content: bool = True,
        _request_timeout: Timeout = None,
        _return_http_data_only: bool | None = None,
    ) -> Any:
        """Do as `delete_job_group`, and return status and headers too."""
        return self.api_client.call_api(
            "/rest/JobGroup/{group_id}",
            "DELETE",
            {"group_id": _identifier("group_id", group_id)},
            response_type=InlineResponse2045,
            auth_settings=["TokenAuth"],
            async_req=async_req,
            _return_http_data_only=_return_http_data_only,
            _preload_content=_preload_content,
            _request_timeout=_request_timeout,
        )


def get_api(host: str | None = None, token: str | None = None) -> JobApi:
    """A `JobApi` that is ready to use.

    Args:
        host: The server's URL. Default: the environment variable `TATOR_HOST`.
        token: The user's API token, without a prefix. Default: `TATOR_TOKEN`, but only together
            with the host from `TATOR_HOST`.

    Raises:
        ApiTypeError, ApiValueError: The host or the token can't be used.
    """
    host, token = veil(host), veil(token)
    configuration = Configuration(host)
    if token is not None:
        configuration.api_key["Authorization"] = token
        configuration.api_key_prefix["Authorization"] = "Token"
    return JobApi(ApiClient(configuration))


def _identifier(name: str, value: str | UUID) -> str | UUID:
    if not (isinstance(value, str) or is_uuid(value)):
        raise ApiTypeError(reason=f"{name} must be a string or a UUID, not {type(value).__name__}")
    return value
