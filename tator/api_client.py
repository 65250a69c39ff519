"""The client: turns a call into a request, and its response into a result."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tator import checks, operation, query
from tator._version import __version__
from tator.checks import Timeout, rejecting
from tator.configuration import Assignment, Configuration, settings_of
from tator.exceptions import ApiException, ApiResponseError
from tator.headers import Headers
from tator.hints import hint_for
from tator.masking import mask
from tator.operation import Call, HttpInfo
from tator.rest import RequestHeaders, RESTClientObject, RESTResponse
from tator.serialization import from_json, plain, reader
from tator.transport.failures import before_sending

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

    from tator.async_result import CallThreads

__all__ = ["ApiClient", "HttpInfo"]

_USER_AGENT = f"tator-python/{__version__}"
_MOST_READINGS = 1000  # of the settings for one call


class ApiClient:
    """Calls endpoints of a Tator server.

    Cheap to create: threads, sockets and the TLS context are created when they are first needed.
    Safe to share between threads and after a fork. It can be pickled, without its connections. Use
    it in a `with` block, or `close()` it, to close its connections early.

    Args:
        configuration: The server, the token and the timeouts. Defaults to
            `Configuration.get_default_copy()`.
        header_name: The name of a header to send with each request. Defaults to `None`.
        header_value: Its value. Defaults to `None`.
        cookie: The value of the Cookie header to send. Defaults to `None`.

    Attributes:
        last_response: The last response with a 2xx status, on any thread.
        rest_client: The object that sends the requests.

    Raises:
        ApiTypeError, ApiValueError: If a header can't be sent, or a TLS file can't be used.
    """

    def __init__(
        self,
        configuration: Configuration | None = None,
        header_name: str | None = None,
        header_value: str | None = None,
        cookie: str | None = None,
    ) -> None:
        self._default_headers = Headers({"User-Agent": _USER_AGENT})
        if header_name is not None:
            self.set_default_header(header_name, header_value or "")
        self.cookie = cookie
        if configuration is None:
            configuration = Configuration.get_default_copy()
        self._start_afresh(_checked(configuration))

    def _start_afresh(self, configuration: Configuration) -> None:
        # One object, so that both values change at once; if it is the same, nothing was assigned.
        self._assigned = Assignment(configuration=configuration, thread=None)
        self.last_response: RESTResponse | BaseHTTPResponse | None = None
        self.rest_client: RESTClientObject = RESTClientObject(configuration)
        self._workers: CallThreads | None = None

    def __enter__(self) -> ApiClient:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        left_behind = ("last_response", "rest_client", "_workers")
        return {name: value for name, value in vars(self).items() if name not in left_behind}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._start_afresh(state["_assigned"].configuration)

    def close(self) -> None:
        """Close the idle connections, and end the idle threads of `async_req`.

        Calls in progress end as usual. You can still use the client: it then opens new connections.
        """
        self._workers = None
        self.rest_client.close()

    @property
    def configuration(self) -> Configuration:
        """The settings, read when a call begins.

        To change several together while other threads make calls, assign a new configuration.
        """
        return self._assigned.configuration

    @configuration.setter
    def configuration(self, value: Configuration) -> None:
        self._assigned = Assignment(configuration=_checked(value), thread=threading.get_ident())
        self.rest_client.configuration = value

    @property
    def client_side_validation(self) -> bool:
        """Read by operations that openapi-generator wrote; see `Configuration`."""
        return self.configuration.client_side_validation

    @property
    def default_headers(self) -> dict[str, str]:
        """The headers sent with each request; each is checked when it is set."""
        return self._default_headers

    @default_headers.setter
    def default_headers(self, value: Mapping[str, str]) -> None:
        self._default_headers = Headers.checked("default_headers", value)

    @property
    def user_agent(self) -> str:
        """The User-Agent header; set it to name your program to the server's operators."""
        return self.default_headers["User-Agent"]

    @user_agent.setter
    def user_agent(self, value: str) -> None:
        self.default_headers["User-Agent"] = value

    @property
    def cookie(self) -> str | None:
        """The Cookie header, if one is sent."""
        return self.default_headers.get("Cookie")

    @cookie.setter
    def cookie(self, value: str | None) -> None:
        if value is None:
            self.default_headers.pop("Cookie", None)
        else:
            self.default_headers["Cookie"] = value

    def set_default_header(self, header_name: str, header_value: str) -> None:
        """Send a header with each request.

        Raises:
            ApiTypeError, ApiValueError: If no header can have this name or this value.
        """
        self.default_headers[header_name] = header_value

    def call_api(
        self,
        resource_path: str,
        method: str,
        path_params: Any = None,
        query_params: Any = None,
        header_params: Any = None,
        body: object = None,
        post_params: object = None,
        files: object = None,
        response_type: Any = None,
        auth_settings: Any = None,
        async_req: bool | None = None,
        _return_http_data_only: bool | None = None,
        collection_formats: Mapping[str, str] | None = None,
        _preload_content: bool = True,
        _request_timeout: Timeout = None,
        _host: str | None = None,
        _request_auth: Mapping[str, str] | None = None,
        response_types_map: Mapping[int, Any] | None = None,
    ) -> Any:
        """Call any JSON endpoint, with the arguments of generated clients.

        Args:
            resource_path: The path below the host, as a template: `'/rest/Job/{run_uid}'`.
            method: The HTTP method.
            path_params: A value for each name in the template, as a mapping or pairs. A value that
                could lead to another endpoint (empty, dots, slashes, backslashes, percent signs,
                control characters) is rejected; anything else is percent-encoded.
            query_params: Names and values, as a mapping or pairs. A list is joined with commas.
                `None` is left out, but a DELETE rejects it, as it rejects every empty value.
            header_params: Headers for this call; they override the client's.
            body: What to send as JSON.
            post_params, files: Must be empty: no Tator endpoint accepts form data.
            response_type: The type to read the response as: a class, `list[X]`, `dict[str, X]`,
                `object` for any JSON, or the generated clients' strings for them. `None` expects no
                data.
            auth_settings: Known schemes: `['TokenAuth']` to send the token; `None` sends none.
            async_req: Whether to return an `AsyncResult` at once.
            _return_http_data_only: Whether to return the data alone, without status and headers.
            collection_formats: How a list is written: `csv`, `multi`, `ssv`, `tsv` or `pipes`.
            _preload_content: `False` returns urllib3's response unread, for the caller to read
                and to release.
            _request_timeout: Seconds for each attempt, or `(connect, read)`. Defaults to the
                configuration's `timeout`.
            _host: Another server for this call. It gets the token of `api_key`, not `TATOR_TOKEN`.
            _request_auth: The credentials for this call, in place of `auth_settings`:
                `{'in': 'header', 'key': …, 'value': …}`.
            response_types_map: Status → `response_type`, as openapi-generator 5 passes it.

        Returns:
            `HttpInfo(data, status, headers)`, or the data alone. Without `response_type`, `data` is
            `None`. For a 204, it is an empty model if `response_type` is a model, otherwise `None`.

        Raises:
            ApiException: If anything goes wrong; see `tator.exceptions`.
        """
        header_params, _request_auth = mask(header_params), mask(_request_auth)
        configuration = self.configuration
        hook = configuration.refresh_api_key_hook
        if hook is not None:
            hook(configuration)
        with before_sending:
            if post_params or files:
                checks.reject("post_params and files", "must be empty: Tator accepts no form data")
            formats = operation.formats_of(collection_formats)
            by_status = {None: response_type} if response_types_map is None else response_types_map
            types = operation.types_of(by_status) if _preload_content else {}
            path = operation.path_of(resource_path, path_params, formats)
            method = checks.method("method", method)
            pairs = operation.query_of(method, query_params, formats)
            body = None if body is None else self.sanitize_for_serialization(body)
            host, auth, settings = self._read_settings(_host, auth_settings, _request_auth)
            # A copy, since another thread may set a default header meanwhile.
            headers = operation.headers_of(
                self.default_headers.copy(), (auth, header_params), formats, body is not None
            )
            call = Call(
                method=method,
                url=host + path,
                query=pairs,
                headers=RequestHeaders(headers, settings),
                body=body,
                types=types,
                preload=_preload_content,
                timeout=checks.timeout("_request_timeout", _request_timeout),
                with_info=not _return_http_data_only,
                needs_token=bool(auth_settings or _request_auth),
                auth=auth,
                has_request_auth=bool(_request_auth),
            )
            if async_req:
                return self._send_later(call)
        return self._send(call)

    def request(
        self,
        method: str,
        url: str,
        query_params: query.Params | None = None,
        headers: Mapping[str, str] | None = None,
        post_params: object = None,
        body: object = None,
        _preload_content: bool = True,
        _request_timeout: Timeout = None,
    ) -> Any:
        """Send a request through `rest_client`; every call uses this method.

        The arguments are those of `RESTClientObject.request`.

        Raises:
            ApiException: If anything goes wrong, including a status outside 2xx.
        """
        return self.rest_client.request(
            method,
            url,
            query_params=query_params,
            headers=headers,
            post_params=post_params,
            body=body,
            _preload_content=_preload_content,
            _request_timeout=_request_timeout,
        )

    def sanitize_for_serialization(self, obj: object) -> Any:
        """Return a value ready for JSON: models by their JSON names, dates in ISO 8601.

        Raises:
            ApiTypeError: If the value can't be represented in JSON.
        """
        return rejecting("body", plain, obj)

    def deserialize(self, response: Any, response_type: Any) -> Any:
        """Return the body of a response, read as `response_type` (see `call_api`).

        Args:
            response: Anything whose `data` is JSON, as bytes or text. `null` is read as `None`.
            response_type: The type to read it as.

        Raises:
            ApiTypeError: If there is no such type.
            ApiResponseError: If the body is not JSON, or does not match the type.
        """
        read = rejecting("response_type", reader, response_type)
        try:
            settings = operation.model_settings(self.configuration.client_side_validation)
            return read(from_json(response.data), settings)
        except (ValueError, RecursionError) as error:
            problem = operation.problem_with(response.data, response_type, error)
        status, reason = getattr(response, "status", 0), getattr(response, "reason", "")
        raise ApiResponseError(status, reason, message=problem)

    def select_header_accept(self, accepts: Sequence[str]) -> str | None:
        """Return the Accept header for these content types: JSON if it is among them."""
        return operation.json_among(accepts) or ", ".join(accepts) or None

    def select_header_content_type(
        self, content_types: Sequence[str], method: str | None = None, body: object = None
    ) -> str:
        """Return the Content-Type header for these content types: JSON if it is among them."""
        return operation.json_among(content_types) or next(iter(content_types), operation.JSON)

    def update_params_for_auth(
        self,
        headers: dict[str, str],
        querys: object,
        auth_settings: Sequence[str] | None,
        request_auth: Mapping[str, str] | None = None,
    ) -> None:
        """Add a request's credentials to its headers.

        Args:
            headers: The headers; changed in place.
            querys: Not used: Tator has no scheme that puts a token into the query.
            auth_settings: `['TokenAuth']`, or `None` for no authentication.
            request_auth: The credentials for the request, in place of `auth_settings`.

        Raises:
            ApiTypeError, ApiValueError: If an argument does not have one of these forms.
        """
        operation.add_authentication(headers, self.configuration, auth_settings, request_auth)

    def warn_once(self) -> None:
        """Warn once for each client, if others can read or change what is sent."""
        configuration = self.configuration
        headers = [scheme["key"] for scheme in configuration.auth_settings().values()]
        self.rest_client.warn_once(f"{configuration.host}/", headers, configuration.verify_ssl)

    def _read_settings(
        self, host: str | None, auth_settings: Any, request_auth: Mapping[str, str] | None
    ) -> tuple[str, dict[str, str], dict[str, Any]]:
        """Return the host, the authentication and all settings of one configuration.

        If another thread assigns a new configuration meanwhile, everything is read again.
        """
        # Subclasses may override update_params_for_auth with the three arguments it had in 2020.
        more = (request_auth,) if request_auth else ()
        for _ in range(_MOST_READINGS):
            before = self._assigned
            is_foreign = host is not None and self.configuration.is_token_from_environment
            auth: dict[str, str] = {}
            self.update_params_for_auth(auth, None, None if is_foreign else auth_settings, *more)
            auth = mask(auth)
            after = self._assigned
            # This thread may assign one, in an override that is asked for a token.
            if after is before or after.thread == threading.get_ident():
                settings = settings_of(after.configuration)
                return operation.host_of(settings["host"], host), auth, settings
        checks.reject("configuration", "is assigned too often by other threads")

    def _send_later(self, call: Call) -> Any:
        from tator.async_result import AsyncResult, CallThreads  # half of all programs need none

        # On this thread, so that the warning points at the caller's line.
        settings = call.headers.settings
        self.rest_client.warn_once(call.url, call.headers, settings["verify_ssl"])
        workers = self._workers
        if workers is None:
            workers = self._workers = CallThreads(settings["connection_pool_maxsize"])
        handle: AsyncResult[Any] = AsyncResult(lambda: self._send(call))
        workers.run(handle.run)
        return handle

    def _send(self, call: Call) -> Any:
        try:
            response = self.request(
                call.method,
                call.url,
                query_params=call.query,
                headers=call.headers,
                post_params=[],
                body=call.body,
                _preload_content=call.preload,
                _request_timeout=call.timeout,
            )
            self.last_response = response
            return call.result(response, self.deserialize)
        except ApiException as error:
            error.hint = hint_for(error, call.credentials())
            raise


def _checked(configuration: object) -> Configuration:
    if not isinstance(configuration, Configuration):
        checks.reject_type("configuration", "a Configuration", configuration)
    return configuration
