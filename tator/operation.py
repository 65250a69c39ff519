"""One call of an operation: its arguments, checked, and the result of its response."""

from __future__ import annotations

import re
from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, NoReturn, TypeVar

from tator import checks, query
from tator.checks import Timeout, rejecting
from tator.configuration import Configuration
from tator.exceptions import ApiResponseError, ApiTypeError, ApiValueError
from tator.headers import Headers
from tator.hints import NO_MATCH, Credentials
from tator.masking import Redactor, mask
from tator.models.model import Model
from tator.record import Record
from tator.rest import RequestHeaders
from tator.serialization import empty, from_json, reader
from tator.transport.received import kept_body, kept_headers

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
    HttpInfo.__doc__ = "A result with the status and the headers that it came with."

JSON = "application/json"
_NOT_VALID = "not a valid Tator response"
_PLACE = "must have 'in': 'header', a 'key' and a 'value'"
_PATH = re.compile(r"/[!\"$->@-\[\]-z|~]*")  # without spaces, control characters, and ? # { } \


class Call(Record):
    """One call, ready to be sent: everything in it has been checked."""

    method: str
    url: str
    query: query.Pairs
    headers: RequestHeaders
    body: object
    types: Mapping[int | None, Any]  # by status; None: for any
    preload: bool
    timeout: Timeout
    with_info: bool
    needs_token: bool
    auth: Mapping[str, str]  # the headers with credentials
    has_request_auth: bool

    def credentials(self) -> Credentials:
        """Return what a hint needs to know about the token of this call."""
        named = (value for name, value in self.headers.items() if name.lower() == "authorization")
        sent = next(named, None)
        is_token_used = sent is not None and not self.has_request_auth
        settings = self.headers.settings
        has_token = bool(settings["api_key"] or settings["_environment_token"])
        is_configured = self.url.startswith(f"{settings['host']}/")
        return Credentials(
            are_needed=self.needs_token,
            sent=sent,
            are_set=has_token,
            host_setting="Configuration.host (or TATOR_HOST)" if is_configured else "_host",
            other_header=None if is_token_used else next(iter(self.auth), None),
        )

    def result(self, response: Any, deserialize: Callable[[Any, Any], Any]) -> Any:
        """Return what the caller gets for a 2xx.

        Raises:
            ApiResponseError: If it is not a valid Tator response.
        """
        data = self._data(response, deserialize) if self.preload else response
        if not self.with_info:
            return data
        headers = response.getheaders() if self.preload else response.headers
        return HttpInfo(data, response.status, headers)

    def _data(self, response: Any, deserialize: Callable[[Any, Any], Any]) -> Any:
        kind = _kind_for(response.status, self.types)
        if response.status == 204:
            return empty(kind, model_settings(self.headers.settings["client_side_validation"]))
        try:
            if kind is None:
                # It may say anything, but must be JSON.
                if response.data:
                    deserialize(response, object)
                return None
            data = deserialize(response, kind)
            if data is not None or not _is_ours(kind):
                return data
            problem: str | None = f"{_NOT_VALID} (null)"
        except ApiResponseError as error:
            # Masked before it is kept: a traceback of the error below shows this frame.
            problem = error.message and self._redactor(response).text(error.message)
        redactor = self._redactor(response)
        raise ApiResponseError(
            response.status,
            redactor.text(getattr(response, "reason", "")),
            body=kept_body(response.data, redactor),
            headers=kept_headers(response.getheaders(), redactor),
            message=problem,
            method=self.method,
            url=self.url,
            attempts=getattr(response, "attempts", 1),
            maybe_applied=self._maybe_applied(response),
        )

    def _redactor(self, response: Any) -> Redactor:
        # A response that a test makes up has only a status, data and headers.
        return Redactor(self.headers, getattr(response, "proxy", None))

    def _maybe_applied(self, response: Any) -> bool | None:
        is_safe = self.method in checks.SAFE_METHODS
        return False if is_safe else getattr(response, "maybe_applied", None)


def host_of(configured: str, given: str | None) -> str:
    """Return the server's URL: the one given for a call, or the one configured."""
    host = configured if given is None else checks.host("_host", given)
    if host == checks.UNSET_HOST:
        raise ApiValueError(
            reason="No server URL is configured",
            hint="Set TATOR_HOST, or Configuration(host='https://your-tator-server').",
        )
    return host


def path_of(template: object, path_params: object, formats: Mapping[str, str]) -> str:
    """Return the path of a template, each value in it percent-encoded."""
    path = checks.text("resource_path", template)
    for name, value in query.items_of("path_params", path_params):
        if isinstance(value, (list, tuple)):
            if query.has_empty(value):
                checks.reject(name, "must not have empty items")
            value = rejecting(name, query.joined, name, value, formats.get(name, "csv"))
        path = path.replace(f"{{{name}}}", checks.path_segment(name, value))
    if not _PATH.fullmatch(path):
        _reject_path(template, path)
    return path


def _reject_path(template: object, path: str) -> NoReturn:
    """Reject a template for its first problem.

    Values are percent-encoded, so a brace that is left in the path is one of the template.
    """
    missing = re.findall(r"\{[^{}]*\}", path)
    if missing:
        checks.reject(
            "path_params", f"has no value for {', '.join(missing)} in resource_path {template!r}"
        )
    if not path.startswith("/"):
        checks.reject("resource_path", "must begin with /, as in '/rest/Job/{run_uid}'")
    if "?" in path or "#" in path:
        checks.reject("resource_path", "must not contain ? or #: a query belongs in query_params")
    checks.reject("resource_path", "must be percent-encoded ASCII; values belong in path_params")


def query_of(method: str, query_params: Any, formats: Mapping[str, str]) -> query.Pairs:
    """Return names and values of the query; nothing may be empty in a DELETE."""
    if method == "DELETE":
        query.reject_empty("query_params", query_params)
    return rejecting("query_params", query.to_pairs, "query_params", query_params, formats)


def formats_of(collection_formats: object) -> Mapping[str, str]:
    """Return how the list of each name is written."""
    formats = checks.mapping("collection_formats", collection_formats)
    for name, style in formats.items():
        checks.text(f"collection_formats[{name!r}]", style)
    return formats


def headers_of(
    defaults: Mapping[str, str],
    layers: Iterable[Any],
    formats: Mapping[str, str],
    has_body: bool,
) -> dict[str, str]:
    """Return the headers of one call; later layers win, whatever the case of their names.

    Args:
        defaults: Those of the client, which were checked when they were set.
        layers: Further ones, which are checked here.
        formats: How the list of each name is written.
        has_body: Whether the call has a body; without one, it needs no Content-Type.
    """
    added = Headers()
    for layer in layers:
        for name, value in checks.mapping("header_params", layer).items():
            if isinstance(value, (list, tuple)):
                value = rejecting(name, query.joined, name, value, formats.get(name, "csv"))
            if value is not None:
                added[name] = value
    by_name = {"accept": ("Accept", JSON), "content-type": ("Content-Type", JSON)}
    for headers in (defaults, added):
        for name, value in headers.items():
            by_name[name.lower()] = name, value
    if not has_body:
        del by_name["content-type"]
    return dict(by_name.values())


def add_authentication(
    headers: dict[str, str], configuration: Configuration, auth_settings: Any, request_auth: Any
) -> None:
    """Add a request's credentials to its headers; see `ApiClient.update_params_for_auth`."""
    if request_auth:
        place = checks.mapping("_request_auth", request_auth)
        if place.get("in") != "header":
            checks.reject("_request_auth", _PLACE)
        name = checks.header_name("_request_auth['key']", place.get("key"))
        headers[name] = checks.header_value("_request_auth['value']", mask(place.get("value")))
        return
    schemes = () if auth_settings is None else auth_settings
    is_list = isinstance(schemes, (list, tuple))
    if not is_list or not all(isinstance(scheme, str) for scheme in schemes):
        checks.reject("auth_settings", "must be a list such as ['TokenAuth']", ApiTypeError)
    known = configuration.auth_settings() if schemes else {}
    # Generated classes list alternatives, so unknown schemes are left out, but one must be known.
    is_known = not schemes or "TokenAuth" in schemes  # which is not in `known` without a token
    for scheme in schemes:
        if scheme in known:
            place = known[scheme]
            if place.get("in") != "header" or not {"key", "value"} <= place.keys():
                del known, place  # a traceback shows this frame
                checks.reject(f"Configuration.auth_settings()[{scheme!r}]", _PLACE)
            headers[place["key"]] = place["value"]
            is_known = True
    if not is_known:
        names = ", ".join({"TokenAuth": None, **known})
        del known
        checks.reject("auth_settings", f"must name a scheme of the configuration: {names}")


def types_of(by_status: object) -> Mapping[int | None, Any]:
    """Return the type to read a response as, by its status; `None` means any status."""
    types = checks.mapping("response_types_map", by_status)
    for status, kind in types.items():
        if status is not None:
            checks.integer("a status in response_types_map", status, 100)
        if kind is not None:
            rejecting("response_type", reader, kind)
    return types


def problem_with(data: Any, kind: Any, error: Exception) -> str:
    """Say why a response with a 2xx can't be read: it is not Tator's, or the type is wrong."""
    problem = NO_MATCH
    try:
        from_json(data)
    except ValueError:
        problem = _NOT_VALID
    # Our own operations have the right type, which their callers never see.
    return f"{_NOT_VALID if _is_ours(kind) else problem} ({error})"


def _is_ours(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, Model)


def _kind_for(status: int, types: Mapping[int | None, Any]) -> Any:
    """Return the type to read a response with this status as.

    Tator's schema names a 204 where servers respond 200, so the only success that it names counts.
    """
    if status in types:
        return types[status]
    successes = [kind for named, kind in types.items() if named is None or named // 100 == 2]
    return successes[0] if len(successes) == 1 else None


def json_among(content_types: Iterable[str]) -> str | None:
    """Return the JSON content type among these, if any."""
    return JSON if JSON in (name.lower() for name in content_types) else None


@lru_cache(maxsize=2)
def model_settings(client_side_validation: bool) -> Configuration:
    """Return what generated models are created with: no model should carry the user's token."""
    return Configuration(checks.UNSET_HOST, client_side_validation=client_side_validation)
