"""An operation's values → a request; an answer → a typed result or an error."""

from __future__ import annotations

import re
from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import NoneType, TracebackType
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar
from urllib.parse import quote, urlencode, urljoin

from tator._version import __version__
from tator.configuration import (
    Configuration,
    Headers,
    Timeout,
    check_timeout,
    veil,
)
from tator.exceptions import (
    ApiException,
    ApiResponseError,
    ApiTypeError,
    ApiValueError,
    class_of_status,
)
from tator.models.model import Model
from tator.rest import RESTClientObject, RESTResponse
from tator.serialization import Reader, from_json, is_uuid, plain, reader, to_json

if TYPE_CHECKING:
    from uuid import UUID

    from tator.async_result import DaemonExecutor

T = TypeVar("T")

if TYPE_CHECKING:

    class HttpInfo(NamedTuple, Generic[T]):
        """A result with the status and the headers that it came with."""

        data: T
        status: int
        headers: Mapping[str, str]

else:
    # Before Python 3.11 a named tuple could not be generic.
    HttpInfo = namedtuple("HttpInfo", ["data", "status", "headers"])

_LONGEST_IDENTIFIER = 256  # characters
_USER_AGENT = f"tator-python/{__version__}"


class ApiClient:
    """Calls endpoints of a Tator server.

    Cheap to make: threads, sockets and the TLS context come when they are first needed. Safe to
    share between threads, correct after a fork, and it pickles (its connections stay behind).
    Use it in a `with` block, or `close()` it, to close its connections early.

    Args:
        configuration: Where the server is and who asks. Default: that of
            `Configuration.get_default_copy()`.
        header_name: The name of a header to send with each request.
        header_value: Its value.
        cookie: The value of the Cookie header, if one is to be sent.

    Attributes:
        configuration: As given; changes of host, key, retries and limits count from the next call.
        last_response: The last answer, of any status, on any thread.
        rest_client: What sends the requests.

    Raises:
        ApiTypeError, ApiValueError: A header can't be sent, or a TLS file can't be used.
    """

    def __init__(
        self,
        configuration: Configuration | None = None,
        header_name: str | None = None,
        header_value: str | None = None,
        cookie: str | None = None,
    ) -> None:
        header_value, cookie = veil(header_value), veil(cookie)
        if not isinstance(configuration, (Configuration, NoneType)):
            kind = type(configuration).__name__
            raise ApiTypeError(reason=f"configuration must be a Configuration, not {kind}")
        self.configuration = configuration or Configuration.get_default_copy()
        self.default_headers = Headers({"User-Agent": _USER_AGENT})
        if header_name is not None:
            self.default_headers[header_name] = header_value or ""
        self.cookie = cookie
        self._start_afresh()

    def _start_afresh(self) -> None:
        self.last_response: RESTResponse | None = None
        self.rest_client = RESTClientObject(self.configuration)
        self._workers: DaemonExecutor | None = None

    def __enter__(self) -> ApiClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        left_behind = ("last_response", "rest_client", "_workers")
        return {name: value for name, value in vars(self).items() if name not in left_behind}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._start_afresh()

    def close(self) -> None:
        """Close the idle connections, and end the idle threads of `async_req`.

        Calls under way end as they would have. The client can still be used: it opens new ones.
        """
        self._workers = None
        self.rest_client.close()

    @property
    def default_headers(self) -> dict[str, str]:
        """The headers sent with each request; each is checked when it is set."""
        return self._default_headers

    @default_headers.setter
    def default_headers(self, value: Mapping[str, str]) -> None:
        value = veil(value)
        self._default_headers = Headers(value)

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
        value = veil(value)
        if value is None:
            self.default_headers.pop("Cookie", None)
        else:
            self.default_headers["Cookie"] = value

    def set_default_header(self, name: str, value: str) -> None:
        """Send a header with each request.

        Raises:
            ApiTypeError, ApiValueError: No header can have this name or this value.
        """
        value = veil(value)
        self.default_headers[name] = value

    def call_api(
        self,
        resource_path: str,
        method: str,
        path_params: Mapping[str, str | int | UUID] | None = None,
        query_params: Mapping[str, Any] | Sequence[tuple[str, Any]] | None = None,
        header_params: Mapping[str, str] | None = None,
        body: object = None,
        *,
        response_type: Any = None,
        auth_settings: Sequence[str] | None = None,
        async_req: bool | None = None,
        _return_http_data_only: bool | None = None,
        _preload_content: bool = True,
        _request_timeout: Timeout = None,
    ) -> Any:
        """Call any JSON endpoint.

        Args:
            resource_path: The path below the host, as a template: `'/rest/Job/{run_uid}'`.
            method: The HTTP method.
            path_params: A value for each name in the template; what could lead to another
                endpoint (empty, dots, slashes, backslashes, percent signs, control characters)
                is refused, all else is percent-encoded.
            query_params: Names and values, a mapping or pairs; a list is repeated, `None` is
                left out.
            header_params: Headers of this call; they win over the client's.
            body: What to send as JSON.
            response_type: What the answer is read as: a class, `list[X]`, `dict[str, X]`,
                `object` for any JSON, or the generated clients' strings for them. `None` expects
                no data.
            auth_settings: `['TokenAuth']` to send the token; `None` sends none.
            async_req: Whether to return an `AsyncResult` at once.
            _return_http_data_only: Whether to return the data alone, without status and headers.
            _preload_content: `False` returns urllib3's response unread, for the caller to read
                and to release.
            _request_timeout: Seconds for each try, or `(connect, read)`. Default: the
                configuration's `timeout`.

        Returns:
            `HttpInfo(data, status, headers)`, or the data alone; `data` is `None` for a 204 and
            without `response_type`, but an empty model where a model is asked for.

        Raises:
            ApiException: Anything that went wrong, see `tator.exceptions`.
        """
        header_params = veil(header_params)
        call = _Call(
            method=_refusing("method", _method, method),
            url=_url(self.configuration.host, resource_path, path_params, query_params),
            headers=self._headers(header_params, auth_settings, has_body=body is not None),
            body=None if body is None else _refusing("body", to_json, body),
            read=None
            if response_type is None
            else _refusing("response_type", reader, response_type),
            timeout=_refusing("_request_timeout", check_timeout, _request_timeout),
            preload=_preload_content,
            with_info=not _return_http_data_only,
        )
        if not async_req:
            return self._send(call)
        from tator.async_result import AsyncResult, DaemonExecutor  # half of all programs need none

        workers = self._workers
        if workers is None:
            most = self.configuration.connection_pool_maxsize
            workers = self._workers = DaemonExecutor(most)
        return AsyncResult(workers.submit(self._send, call))

    def sanitize_for_serialization(self, obj: object) -> Any:
        """A value as JSON has it: models by their JSON names, dates in ISO 8601.

        Raises:
            ApiTypeError: The value has no form in JSON.
        """
        return _refusing("value", plain, obj)

    def deserialize(self, response: RESTResponse, response_type: Any) -> Any:
        """The body of an answer, read as `response_type` (see `call_api`).

        Raises:
            ApiTypeError: There is no such type.
            ApiResponseError: The body is not JSON, or does not fit.
        """
        read = _refusing("response_type", reader, response_type)
        problem = None
        try:
            return _parse(read, response)
        except ValueError as error:
            problem = str(error)
        raise ApiResponseError(response.status, response.reason, message=problem)

    def select_header_accept(self, accepts: Sequence[str]) -> str | None:
        """The Accept header for these content types: JSON where it is among them."""
        return _json_among(accepts) or ", ".join(accepts) or None

    def select_header_content_type(self, content_types: Sequence[str]) -> str:
        """The Content-Type header for these content types: JSON where it is among them."""
        return _json_among(content_types) or next(iter(content_types), _JSON)

    def update_params_for_auth(
        self,
        headers: dict[str, str],
        querys: object,
        auth_settings: Sequence[str] | None,
    ) -> None:
        """Add what authenticates a request to its headers.

        Args:
            headers: The headers; changed in place.
            querys: Not used: Tator has no scheme that puts a key into the query.
            auth_settings: `['TokenAuth']`, or `None` for no authentication.

        Raises:
            ApiTypeError: `auth_settings` is a string.
            ApiValueError: `refresh_api_key_hook` failed.
        """
        if isinstance(auth_settings, str):
            raise ApiTypeError(reason="auth_settings must be a list such as ['TokenAuth']")
        if auth_settings:
            known = self.configuration.auth_settings()
            for scheme in auth_settings:
                if scheme in known:
                    headers[known[scheme]["key"]] = known[scheme]["value"]

    def _headers(
        self,
        header_params: Mapping[str, str] | None,
        auth_settings: Sequence[str] | None,
        has_body: bool,
    ) -> dict[str, str]:
        """The headers of one call; those named later win, whatever their case."""
        auth: dict[str, str] = {}
        self.update_params_for_auth(auth, None, auth_settings)
        by_name = {"accept": ("Accept", _JSON)}
        if has_body:
            by_name["content-type"] = ("Content-Type", _JSON)
        for layer in (self.default_headers, auth, Headers(header_params)):
            for name, value in layer.items():
                by_name[name.lower()] = (name, value)
        return dict(by_name.values())

    def _send(self, call: _Call) -> Any:
        response = self.rest_client.request(
            call.method,
            call.url,
            call.headers,
            call.body,
            timeout=call.timeout,
            preload=call.preload,
        )
        self.last_response = response
        if not 200 <= response.status < 300:
            raise self._failure(call, response)
        data: Any = response.raw
        if call.preload:
            problem = None
            try:
                data = _parse(call.read, response)
            except ValueError as error:
                problem = str(error)
            if problem is not None:
                raise self._failure(call, response, problem)
        return HttpInfo(data, response.status, response.headers) if call.with_info else data

    def _failure(
        self, call: _Call, response: RESTResponse, problem: str | None = None
    ) -> ApiException:
        """The error for an answer without success, or for one that has a problem."""
        response = response.without_secrets()
        body = response.data.decode("utf-8", "replace")
        has_key = "Authorization" in self.configuration.api_key
        kind = class_of_status(response.status) if problem is None else ApiResponseError
        return kind(
            response.status,
            response.reason,
            body=body,
            headers=response.headers,
            message=_server_message(body) if problem is None else problem,
            method=call.method,
            url=call.url,
            attempts=response.attempts,
            maybe_applied=response.maybe_applied,
            retry_after=response.retry_after,
            hint=_hint(call, response, body, problem, has_key),
        )


class _Call(NamedTuple):
    """One call, ready to be sent: nothing in it is refused any more."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes | None
    read: Reader | None
    timeout: Timeout
    preload: bool
    with_info: bool


_JSON = "application/json"


def _refusing(name: str, function: Callable[..., T], *args: object) -> T:
    """The function's result; where it raises, the value `name` is refused."""
    problem: Exception
    try:
        return function(*args)
    except (TypeError, ValueError, RecursionError) as error:
        problem = error.with_traceback(None)
    if isinstance(problem, UnicodeEncodeError):
        problem = ValueError("holds a character that can't be encoded (a lone surrogate)")
    refusal = ApiTypeError if isinstance(problem, TypeError) else ApiValueError
    raise refusal(reason=f"{name}: {problem}")


def _method(method: str) -> str:
    if not (_text(method).isascii() and method.isalpha()):
        raise ValueError("is no HTTP method")
    return method.upper()


def _text(value: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"must be a string, not {type(value).__name__}")
    return value


def _url(
    host: str,
    template: str,
    path_params: Mapping[str, object] | None,
    query_params: Mapping[str, Any] | Iterable[tuple[str, Any]] | None,
) -> str:
    if host == "/":
        raise ApiValueError(
            reason="No server is set",
            hint="Set TATOR_HOST, or Configuration(host='https://your-tator-server').",
        )
    path = _refusing("resource_path", _text, template)
    for name, value in (path_params or {}).items():
        path = path.replace(f"{{{name}}}", _refusing(name, _path_segment, value))
    if not re.fullmatch(r"/[!-~]*", path) or any(char in path for char in "?#{}\\"):
        raise ApiValueError(
            reason="resource_path must begin with / and be percent-encoded, without a query",
            hint="Give each {name} in it a value in path_params, and a query in query_params.",
        )
    query = _refusing("query_params", _query, query_params) if query_params else ""
    return f"{host}{path}?{query}" if query else f"{host}{path}"


def _path_segment(value: object) -> str:
    if isinstance(value, bool) or not (isinstance(value, (str, int)) or is_uuid(value)):
        raise TypeError(f"must be a string or a UUID, not {type(value).__name__}")
    # An enumeration of strings stands for its value, which `str` would not give.
    text = value if isinstance(value, str) else str(value)
    # A proxy may decode an encoded slash: `..%2FJobs%2F1` would be another endpoint.
    if text in ("", ".", "..") or re.search(r"[/\\%\x00-\x1f\x7f-\x9f]", text):
        raise ValueError("must not be empty or dots, nor hold / \\ % or a control character")
    if len(text) > _LONGEST_IDENTIFIER:
        raise ValueError(f"must have at most {_LONGEST_IDENTIFIER} characters")
    return quote(text, safe="")


def _query(params: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> str:
    pairs = []
    if isinstance(params, str):
        raise TypeError("must be a mapping or pairs, not a string")
    for name, value in params.items() if isinstance(params, Mapping) else params:
        for item in value if isinstance(value, (list, tuple)) else [value]:
            if item is not None:
                text = plain(item)
                if not isinstance(text, (str, int, float)):
                    raise TypeError(f"{name!r} must be a plain value or a list of them")
                pairs.append((name, str(text).lower() if isinstance(text, bool) else text))
    return urlencode(pairs, quote_via=quote)


def _json_among(content_types: Sequence[str]) -> str | None:
    return _JSON if _JSON in (name.lower() for name in content_types) else None


def _parse(read: Reader | None, response: RESTResponse) -> Any:
    """What a 2xx stands for; ValueError where that is no success of Tator's."""
    if response.status == 204:
        return _empty(read)
    if read is None and not response.data:
        return None
    try:
        value = from_json(response.data)
        return None if read is None else read(value)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not what Tator answers ({error})") from None


def _empty(read: Reader | None) -> Model | None:
    """What an answer without content gives: an empty model where one is expected."""
    try:
        value = read({}) if read else None
    except ValueError:
        return None
    return value if isinstance(value, Model) else None


def _server_message(body: str) -> str | None:
    try:
        value = from_json(body)
    except ValueError:
        return None
    words = [value.get("message"), value.get("detail")] if isinstance(value, dict) else []
    return next((word for word in words if isinstance(word, str)), None)


def _hint(
    call: _Call, response: RESTResponse, body: str, problem: str | None, has_key: bool
) -> str | None:
    """What to do next, as far as an answer tells."""
    status = response.status
    if problem is not None:
        return "Nothing shows that it was done. Check that Configuration.host is a Tator server."
    if status in (401, 403):
        sent = (value for name, value in call.headers.items() if name.lower() == "authorization")
        return _auth_hint(next(sent, None), has_key, (_server_message(body) or "").lower())
    if 300 <= status < 400:
        target = response.getheader("Location")
        return _redirect_hint(call.url, target)
    if status == 400 and "plain http request" in body.lower():
        return "The port speaks https: write https:// in Configuration.host."
    if status == 404 and "does not exist" in (_server_message(body) or ""):
        return None  # the algorithm, the server's words say; the endpoint is there
    if status == 404 and "/rest/JobGroup/" in call.url:
        return (
            "Tator servers since September 2020 have no JobGroup: cancel its jobs one by one with"
            " delete_job."
        )
    if status == 404:
        return "Check Configuration.host and the identifier."
    if status == 500 and call.method == "DELETE":
        return "Most often this means that the identifier is unknown, or that it is already gone."
    if status == 504:
        return "The server may still be at work: look before you ask again."
    if status in (502, 503) and response.retry_after is None:
        return "The server is down, or busy with maintenance: try again later."
    if response.retry_after is not None:
        return f"The server asks to wait {response.retry_after:.0f} s before the next request."
    return None


def _auth_hint(authorization: str | None, has_key: bool, words: str) -> str | None:
    if authorization is None and has_key:
        return "No key was sent: call_api sends it with auth_settings=['TokenAuth']."
    if authorization is None:
        return (
            "No key was sent: set configuration.api_key['Authorization']. TATOR_TOKEN is used only"
            " with the host from TATOR_HOST."
        )
    if " " not in authorization:
        return "The key was sent without a prefix. Add: " + _PREFIX_LINE
    if not authorization.lower().startswith("token "):
        return "Tator expects another prefix. Set: " + _PREFIX_LINE
    if "invalid token" in words:
        return "Copy the token again from your account on the server: this one is not known there."
    return None


_PREFIX_LINE = "configuration.api_key_prefix['Authorization'] = 'Token'"


def _redirect_hint(url: str, location: str | None) -> str:
    """Where a redirect points, and the host that would lead there."""
    if not location:
        return "Redirects are not followed, and this one names no target: check Configuration.host."
    try:
        target = urljoin(url, location)
        host = Configuration(host=target.partition("/rest/")[0].partition("?")[0]).host
    except ValueError:
        return f"Redirects are not followed. It points to {location!r}: check Configuration.host."
    return f"Redirects are not followed. It points to {target}: set Configuration.host to {host!r}."
