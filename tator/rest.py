"""The attempts of a request, one after another under one deadline, and their result."""

from __future__ import annotations

import logging
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from math import inf
from types import FrameType
from typing import Any
from urllib.parse import urlsplit

import urllib3
from urllib3.exceptions import InsecureRequestWarning

from tator import checks, query
from tator.checks import SAFE_METHODS, Timeout
from tator.configuration import Configuration, settings_of
from tator.exceptions import ApiException
from tator.headers import Headers
from tator.logs import logger
from tator.masking import Redactor
from tator.meaning import meaning_of
from tator.record import Record
from tator.retry import RetryPolicy
from tator.serialization import to_json
from tator.transport.callers import is_callers, root_of, without_transport
from tator.transport.failures import Failure, before_sending, failure_of
from tator.transport.limits import Limits
from tator.transport.received import Received
from tator.transport.route import Route, is_loopback, key_of, make_route, read_body
from tator.transport.tls import make_context

__all__ = ["ApiException", "RESTClientObject", "RESTResponse"]

_LARGEST_MESSAGE = 1 << 20  # bytes of a body that only says what happened; Tator's have about 100
# Printable ASCII without ? and #. The host has been checked, if it is the configuration's.
_URL = re.compile(r"https?://(?:\[[0-9A-Fa-f:.]+\]|[^/?#@:\[\]\s]+)(?::[0-9]{1,5})?/[!\"$->@-~]*")


def _verb(method: str) -> Callable[..., RESTResponse | urllib3.BaseHTTPResponse]:
    def send(
        self: RESTClientObject,
        url: str,
        headers: Mapping[str, str] | None = None,
        query_params: query.Params | None = None,
        **options: Any,
    ) -> RESTResponse | urllib3.BaseHTTPResponse:
        return self.request(method, url, query_params=query_params, headers=headers, **options)

    send.__name__, send.__qualname__ = method, f"RESTClientObject.{method}"
    article = "an" if method == "OPTIONS" else "a"
    send.__doc__ = f"Send {article} {method} request; the options are those of `request`."
    return send


class RequestHeaders(Headers):
    """The headers of one request, and the snapshot of the settings that they were made from.

    The request uses that snapshot, even if another thread changes the settings meanwhile.
    """

    def __init__(self, checked: Mapping[str, str], settings: dict[str, Any]) -> None:
        dict.__init__(self, checked)
        self.settings = settings


class RESTResponse:
    """A response with a 2xx status.

    Attributes:
        status: The HTTP status.
        reason: The reason phrase.
        data: The body in bytes, as it was sent.
        urllib3_response: urllib3's response, already read.
        attempts: How many attempts were made.
        maybe_applied: Whether the server may have applied the request.
        proxy: The URL of the proxy that it came through, or `None`.
    """

    def __init__(
        self,
        resp: urllib3.BaseHTTPResponse,
        data: bytes | None = None,
        attempts: int = 1,
        maybe_applied: bool = True,
        proxy: str | None = None,
    ) -> None:
        self.urllib3_response = resp
        self.status: int = resp.status
        self.reason: str = resp.reason or ""
        self.data: bytes = resp.data if data is None else data
        self.attempts = attempts
        self.maybe_applied = maybe_applied
        self.proxy = proxy

    def getheaders(self) -> Mapping[str, str]:
        """Return the headers; their names are case-insensitive."""
        return self.urllib3_response.headers

    def getheader(self, name: str, default: str | None = None) -> str | None:
        """Return one header, or `default` if it is absent."""
        return self.urllib3_response.headers.get(name, default)


class RESTClientObject:
    """Sends requests for one client, over one route at a time, with one retry budget.

    Safe to share between threads and after a fork: a child process makes a separate route. Every
    setting is read when a request begins; a change of host, TLS, proxy or pool settings makes a new
    route.

    Args:
        configuration: The server, the timeouts and the retries.
        pools_size: Not used; generated clients pass it. Defaults to 4.
        maxsize: The number of idle connections to keep. Defaults to the configuration's
            `connection_pool_maxsize`.

    Attributes:
        configuration: As given.

    Raises:
        ApiValueError: If a CA, certificate or key file can't be used.
    """

    def __init__(
        self, configuration: Configuration, pools_size: int = 4, maxsize: int | None = None
    ) -> None:
        self.configuration = configuration
        self._maxsize = maxsize
        self._policy = RetryPolicy()
        self._route: Route | None = None
        self._has_warned = False
        self._safe_origin = "none"  # the last for which there was nothing to warn of
        if configuration.ssl_ca_cert or configuration.cert_file or configuration.key_file:
            make_context(settings_of(configuration))  # only to reject files that can't be used

    @property
    def pool_manager(self) -> Any:
        """Does not exist: there is one pool, which is replaced when settings change."""
        raise AttributeError(_NO_POOL_MANAGER)

    @pool_manager.setter
    def pool_manager(self, value: object) -> None:
        raise AttributeError(_NO_POOL_MANAGER)

    @property
    def idle_connections(self) -> int:
        """How many connections are kept for the next requests."""
        return self._route.pool.idle.qsize() if self._route else 0

    @property
    def retry_budget(self) -> int:
        """The tokens that are left for retries, up to 100; a retry costs 10."""
        return self._policy.budget

    def request(
        self,
        method: str,
        url: str,
        query_params: query.Params | None = None,
        headers: Mapping[str, str] | None = None,
        body: object = None,
        post_params: object = None,
        _preload_content: bool = True,
        _request_timeout: Timeout = None,
    ) -> RESTResponse | urllib3.BaseHTTPResponse:
        """Send a request, retry it if that is safe and useful, and return the response.

        Args:
            method: The HTTP method.
            url: An absolute URL, percent-encoded, without a query.
            query_params: Names and values for the query. Defaults to none.
            headers: All headers but Host and Content-Length. Defaults to none.
            body: Bytes to send as they are, or a value to send as JSON. Defaults to none.
            post_params: Must be empty: no Tator endpoint accepts form data.
            _preload_content: Whether to read the body. Defaults to `True`.
            _request_timeout: Seconds for each attempt, or `(connect, read)`. Defaults to the
                configuration's `timeout`.

        Returns:
            A `RESTResponse`, or with `_preload_content=False` urllib3's response, unread.

        Raises:
            ApiTypeError, ApiValueError: If an argument or a setting can't be used; nothing was
                sent.
            ApiException: If anything else goes wrong, including a status outside 2xx.
        """
        method = checks.method("method", method)
        if isinstance(headers, RequestHeaders):
            settings = headers.settings
        else:
            settings = settings_of(self.configuration)
            headers = Headers(headers)
        if post_params:
            checks.reject("post_params", "must be empty: Tator accepts no form data")
        if method == "DELETE":
            query.reject_empty("query_params", query_params)
        url = _with_query(url, query_params)
        if body is not None and not isinstance(body, bytes):
            with before_sending:
                body = checks.rejecting("body", to_json, body)
        call = _Request(
            method=method,
            url=url,
            headers=headers,
            body=body,
            preload=_preload_content,
            values=settings,
            timeout=checks.timeout("_request_timeout", _request_timeout),
        )
        self.warn_once(url, headers, settings["verify_ssl"])
        result = self._result(call)
        if not isinstance(result, ApiException):
            return result
        try:
            raise result
        # Its traceback holds this frame, and the client would live until the collector runs.
        finally:
            del result

    GET = _verb("GET")
    HEAD = _verb("HEAD")
    OPTIONS = _verb("OPTIONS")
    DELETE = _verb("DELETE")
    POST = _verb("POST")
    PUT = _verb("PUT")
    PATCH = _verb("PATCH")

    def close(self) -> None:
        """Close the idle connections; a later request opens new ones."""
        route, self._route = self._route, None
        if route is not None:
            route.retire()

    def warn_once(self, url: str, headers: Iterable[str], is_verified: bool) -> None:
        """Warn once for each client, if others can read or change what is sent.

        Args:
            url: Where the request goes.
            headers: The names of its headers.
            is_verified: Whether the server's certificate is checked.

        Raises:
            InsecureRequestWarning: If warnings are errors.
        """
        if self._has_warned or (is_verified and url.startswith(self._safe_origin)):
            return
        parts = urlsplit(url)
        problem = None
        if parts.scheme == "https" and not is_verified:
            problem = "verify_ssl is off: anyone on the network can read and change what is sent."
        elif parts.scheme == "https" or is_loopback(parts.hostname or ""):
            self._safe_origin = f"{parts.scheme}://{parts.netloc}/"
        elif any(name.lower() == "authorization" for name in headers):
            problem = "The token is sent over plain http, where others can read it: use https."
        if problem is not None:
            self._has_warned = True
            # The line to show is the user's, however many frames of this package are between.
            level, frame = 1, sys._getframe()
            while frame.f_back and _is_ours(frame):
                level, frame = level + 1, frame.f_back
            warnings.warn(problem, InsecureRequestWarning, level)

    def _result(self, call: _Request) -> RESTResponse | urllib3.BaseHTTPResponse | ApiException:
        """Make attempts until one succeeds or no more are allowed."""
        deadline = call.values["deadline"]
        ends = inf if deadline is None else time.monotonic() + deadline
        policy = self._policy
        attempts = retries = 0
        maybe_applied = False
        while True:
            # The server may have asked another call of this client to wait.
            quiet = policy.quiet_seconds(ends)
            if quiet:
                time.sleep(quiet)
            attempts += 1
            started = time.monotonic()
            received = self._attempt(call, ends)
            if logger.isEnabledFor(logging.DEBUG):
                label = received.label
                took = time.monotonic() - started
                logger.debug(
                    "%s %s: %s in %.3f s (attempt %d)", call.method, call.url, label, took, attempts
                )
            maybe_applied |= received.maybe_applied and call.method not in SAFE_METHODS
            if isinstance(received, Received) and received.is_success:
                policy.succeeded()
                if not call.preload:
                    return received.raw
                return RESTResponse(
                    received.raw, received.data, attempts, maybe_applied, received.proxy
                )
            failed = received.failed_attempt
            delay = policy.seconds_until_retry(
                failed, call.method, retries, call.values["retries"], ends
            )
            if delay is None:
                redactor = Redactor(call.headers, received.proxy)
                return received.to_error(redactor, call.method, call.url, attempts, maybe_applied)
            retries += not failed.costs_nothing
            # A signal handler's traceback may show this frame, and the response a token.
            del received
            time.sleep(delay)

    def _attempt(self, call: _Request, ends: float) -> Received | Failure:
        """Make one attempt; exceptions from the caller's own code pass through."""
        most = call.values["largest_response"] if call.method != "DELETE" else _LARGEST_MESSAGE
        timeout = call.values["timeout"] if call.timeout is None else call.timeout
        # Headers and the framing of chunks count, too: otherwise, they could go on forever.
        limits = Limits(timeout, ends, 2 * max(most, _LARGEST_MESSAGE))
        proxy = None
        try:
            route = self._get_route(call)
            proxy = route.proxy
            raw = route.send(call.method, call.url, call.headers, call.body, limits)
            if not 200 <= raw.status < 300:
                most = _LARGEST_MESSAGE
                data = read_body(raw, most)
                meaning = meaning_of(raw.status, raw.headers, data)
                return Received(raw=raw, data=data, meaning=meaning, proxy=proxy)
            if call.preload:
                return Received(raw=raw, data=read_body(raw, most), proxy=proxy)
            # From now on, the caller owns the connection, and may read any number of bytes.
            limits.allowance, limits.connection = inf, None
            return Received(raw=raw, data=b"", proxy=proxy)
        except BaseException as error:
            limits.discard()
            root = root_of(error)
            failure = failure_of(error, limits.sent, proxy, most)
            if failure is not None:
                return failure
        # The caller's own exception. Frames of the transport hold the headers, so it is raised
        # without them, and without an exception of the transport that was handled before it.
        if root.__context__ is not None and not is_callers(root.__context__):
            root.__context__ = None
        try:
            raise root.with_traceback(without_transport(root.__traceback__))
        finally:
            del root

    def _get_route(self, call: _Request) -> Route:
        values = call.values
        if self._maxsize is not None:
            values = {**values, "connection_pool_maxsize": self._maxsize}
        key = key_of(call.url, values)
        route = self._route
        if route is None or route.key != key:
            new = make_route(key, route)
            # Another thread may have made it meanwhile.
            current = self._route
            if current is not None and current.key == key:
                return current
            self._route = new
            # After a fork, it is the parent's: this closes only the child's copies of its sockets.
            if current is not None:
                current.retire()
            return new
        return route


class _Request(Record):
    """One request, ready to be sent."""

    method: str
    url: str
    headers: Headers
    body: bytes | None
    preload: bool
    values: dict[str, Any]  # one reading of the configuration
    timeout: Timeout


def _is_ours(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).startswith("tator.")


def _with_query(url: object, params: query.Params | None) -> str:
    if not _URL.fullmatch(checks.text("url", url)):
        checks.reject("url", "must be an absolute http(s) URL, percent-encoded, without a query")
    pairs = checks.rejecting("query_params", query.to_pairs, "query_params", params)
    return f"{url}?{query.to_query(pairs)}" if pairs else str(url)


_NO_POOL_MANAGER = (
    "RESTClientObject has no pool_manager: set proxy, ssl_ca_cert, connection_pool_maxsize and"
    " similar settings on the Configuration"
)
