"""One request over the wire, with everything that keeps its promise: the only user of urllib3.

urllib3's pools carry the bytes. What they don't promise is added here: a deadline that every
blocking operation keeps, retries that never resend what the server may still be working on, a
bounded and undecoded body, and one map from every failure to an `ApiException`.
"""

from __future__ import annotations

import codecs
import copy
import http.client
import logging
import os
import queue
import random
import re
import socket
import ssl
import sys
import threading
import time
import warnings
import weakref
from binascii import b2a_base64
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import timezone
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from operator import attrgetter
from typing import Any, NamedTuple, cast
from urllib.parse import unquote, unquote_to_bytes, urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import (
    EmptyPoolError,
    IncompleteRead,
    InsecureRequestWarning,
    NewConnectionError,
)
from urllib3.exceptions import SSLError as PoolSSLError
from urllib3.exceptions import TimeoutError as PoolTimeoutError
from urllib3.util.connection import is_connection_dropped
from urllib3.util.retry import Retry
from urllib3.util.ssl_ import create_urllib3_context
from urllib3.util.ssl_match_hostname import CertificateError
from urllib3.util.ssltransport import SSLTransport

from tator.configuration import MASK, Configuration, Secret, Timeout, veil
from tator.exceptions import (
    ApiConnectionError,
    ApiException,
    ApiProxyError,
    ApiResponseError,
    ApiTimeoutError,
    ApiTlsError,
    ApiValueError,
    is_refusal,
)
from tator.limits import LARGEST_BODY, Limits, Response, TooLarge, current, earlier, resolve

__all__ = ["ApiException", "RESTClientObject", "RESTResponse"]

_logger = logging.getLogger("tator")
_logger.addHandler(logging.NullHandler())

_PIECE = 1 << 14  # bytes read or sent at once; in chunks of one byte they take 80 times as much
_LONGEST_RETRY_AFTER = 30.0  # seconds
_LONGEST_BACKOFF = 8.0  # seconds
_RETRIED_STATUSES = frozenset({429, 502, 503})
_NOT_IDEMPOTENT = frozenset({"POST", "PATCH"})
_READING = frozenset({"GET", "HEAD", "OPTIONS"})  # there is nothing that they could have done
_MOST_HOSTS = 8
_LONGEST_WAIT = 0.1  # seconds, of one piece of a wait for a connection
_HAS_SYSTEM_PROXIES = sys.platform in ("darwin", "win32")
_TLS_SETTINGS = ("verify_ssl", "ssl_ca_cert", "cert_file", "key_file", "assert_hostname")
_settings_of_tls = attrgetter(*_TLS_SETTINGS)
_settings_of_route = attrgetter(*_TLS_SETTINGS, "proxy", "connection_pool_maxsize")
_BUDGET, _COST_OF_RETRY = 100, 10
_SHORTEST_SECRET = 4  # characters; replacing shorter ones would garble the text

# Held while a route is made, and by whoever forks: a child of a fork in the middle of an import
# would wait for ever for that import. A signal handler may call while it is held, hence the R.
_preparing = threading.RLock()
with suppress(AttributeError):  # Windows does not fork
    os.register_at_fork(
        before=_preparing.acquire,
        after_in_parent=_preparing.release,
        after_in_child=_preparing.release,
    )

# urllib3's own retries know neither the deadline nor which requests may have been carried out.
_ONE_TRY = Retry(False, redirect=False)


class RESTResponse:
    """An answer of any status.

    Attributes:
        status: The HTTP status.
        reason: The reason phrase.
        headers: The headers, read without regard to case.
        data: The body in bytes, as it was sent; empty where it is left to read from `raw`.
        raw: urllib3's response: still to be read where that was asked for, else used up.
        attempts: How many tries it took.
        maybe_applied: Whether any of them may have been carried out.
        retry_after: Seconds that the server asked to wait.
        secrets: The headers and the proxy of the request, in which they are masked.
    """

    def __init__(self, raw: urllib3.BaseHTTPResponse, data: bytes) -> None:
        self.raw = raw
        self.status = raw.status
        self.reason = raw.reason or ""
        self.headers: Mapping[str, str] = raw.headers
        self.data = data
        self.attempts = 1
        self.maybe_applied = not is_refusal(raw.status)
        self.retry_after = _retry_after(self.headers.get("Retry-After"))
        self.secrets: tuple[Mapping[str, str], str | None] = {}, None

    def without_secrets(self) -> RESTResponse:
        """A copy that shows nothing secret of the request, should the server have sent it back."""
        new = copy.copy(self)
        headers = urllib3.HTTPHeaderDict(self.headers.items())  # a recorder may have no such dict
        for secret in _secrets(*self.secrets):
            new.reason = new.reason.replace(secret, MASK)
            new.data = new.data.replace(secret.encode(), MASK.encode())
            for name, value in self.headers.items():
                if secret in value:
                    headers[name] = headers[name].replace(secret, MASK)
        new.headers = headers
        return new

    def getheaders(self) -> Mapping[str, str]:
        """The headers, read without regard to case."""
        return self.headers

    def getheader(self, name: str, default: str | None = None) -> str | None:
        """One header, or `default` where it is absent."""
        return self.headers.get(name, default)


class RESTClientObject:
    """Sends requests for one client: its pools, its TLS context and its retry budget.

    Safe to share between threads, and correct after a fork: a child makes pools of its own.
    Every setting is read at each call; a change of TLS, proxy or pool settings makes new pools.

    Args:
        configuration: Where to send to, and how patiently.

    Raises:
        ApiValueError: A CA, certificate or key file can't be used.
    """

    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration
        self._warned = False
        self._budget = _BUDGET
        self._context: ssl.SSLContext | None = None
        self._context_settings: tuple[object, ...] = ()
        self._routes: dict[str, _Route] = {}
        self._start_afresh()
        if configuration.ssl_ca_cert or configuration.cert_file or configuration.key_file:
            self._tls_context()

    def _start_afresh(self) -> None:
        # A parent's pools stay untouched: its threads may have held their locks at the fork.
        self._routes_of_parent, self._routes = self._routes, {}
        # Assigned last: whoever sees the process id sees the new routes.
        self._pid = os.getpid()

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        *,
        timeout: Timeout = None,
        preload: bool = True,
    ) -> RESTResponse:
        """Send a request, again where that is safe and useful, and give the last answer.

        Args:
            method: The HTTP method.
            url: An absolute URL, percent-encoded; it is sent as it is.
            headers: All headers but Host and Content-Length.
            body: What to send, if anything.
            timeout: Seconds for each try, or `(connect, read)`. Default: the configuration's.
            preload: Whether to read the body; `False` leaves that of a 2xx to the caller.

        Raises:
            ApiConnectionError, ApiResponseError: There was no answer, or none that can be read.
            ApiValueError: The environment names a proxy that can't be used.
        """
        settings = self.configuration
        ends = None if settings.deadline is None else time.monotonic() + settings.deadline
        timeout = settings.timeout if timeout is None else timeout
        route = self._route(url)
        if route.exposed and "Authorization" in headers:
            self._warn("The token goes over plain http, where others can read it: use https.")
        attempts = 0
        maybe_applied = False
        while True:
            attempts += 1
            started = time.monotonic()
            limits = Limits(started, timeout, ends)
            outcome = _attempt(route, method, url, headers, body, limits, preload)
            outcome.attempts = attempts
            maybe_applied = maybe_applied or (outcome.maybe_applied and method not in _READING)
            outcome.maybe_applied = maybe_applied
            if _logger.isEnabledFor(logging.DEBUG):
                came = outcome.status or type(outcome).__name__
                seconds = time.monotonic() - started
                _logger.debug("%s %s: %s in %.3f s (try %d)", method, url, came, seconds, attempts)
            pause = self._pause_before_retry(outcome, attempts, method, limits, ends)
            if pause is None:
                break
            time.sleep(pause)
            route = self._route(url)
        if isinstance(outcome, ApiException):
            outcome.method, outcome.url = method, url
            _redact(outcome, _secrets(headers, route.proxy))
            raise outcome
        outcome.secrets = headers, route.proxy
        return outcome

    def close(self) -> None:
        """Close the idle connections; a later request opens new ones."""
        with _preparing:
            routes, self._routes = self._routes, {}
        for route in routes.values():
            route.pool.retire()

    def _pause_before_retry(
        self,
        outcome: RESTResponse | ApiException,
        attempts: int,
        method: str,
        limits: Limits,
        ends: float | None,
    ) -> float | None:
        """Seconds until the next try, paid for from the budget; None if there is to be none."""
        if isinstance(outcome, RESTResponse):
            if outcome.status < 300:
                self._budget = min(_BUDGET, self._budget + 1)
            limits.retry = outcome.status in _RETRIED_STATUSES
        if not limits.retry or attempts > self.configuration.retries:
            return None
        if limits.sent and method in _NOT_IDEMPOTENT:
            return None
        # Jitter over the full range keeps many clients from coming back in step.
        backoff = random.uniform(0, min(_LONGEST_BACKOFF, 0.5 * 2 ** min(attempts - 1, 10)))
        pause = outcome.retry_after or backoff
        too_late = ends is not None and time.monotonic() + pause >= ends
        if pause > _LONGEST_RETRY_AFTER or too_late or self._budget < _COST_OF_RETRY:
            return None
        self._budget -= _COST_OF_RETRY
        return pause

    def _route(self, url: str) -> _Route:
        if self._pid != os.getpid():
            self._start_afresh()
        origin = url[: url.index("/", len("https://"))]
        settings = _settings_of_route(self.configuration)
        route = self._routes.get(origin)
        if route is None or route.settings != settings:
            with _preparing:
                route = self._routes.get(origin)
                if route is None or route.settings != settings:
                    route = self._new_route(origin, settings)
        return route

    def _new_route(self, origin: str, wanted: tuple[object, ...]) -> _Route:
        settings = self.configuration
        scheme, host, port = _split(origin)
        proxy = _proxy_for(settings, scheme, host, port)
        options: dict[str, Any] = {
            "maxsize": settings.connection_pool_maxsize,
            "timeout": None,
        }
        if scheme == "https" or not _is_loopback(host):
            codecs.lookup("idna")  # imported here, and not where ssl or a look-up needs it
        if scheme == "https" or (proxy and proxy.startswith("https:")):
            if not settings.verify_ssl:
                self._warn("verify_ssl is off: anyone on the way can read and change what is sent.")
            self._tls_context()
            # Before 2.8, urllib3 takes this one also for the proxy of a plain host.
            options["ssl_context"] = self._context
        if scheme == "https":
            options["assert_hostname"] = settings.assert_hostname
        if proxy:
            pool = _proxied_pool(proxy, self._context, scheme, host, port, options)
        else:
            pool = _POOLS[scheme](host, port, **options)
        exposed = scheme == "http" and not _is_loopback(host)
        if origin in self._routes:
            self._routes.pop(origin).pool.retire()
        while len(self._routes) >= _MOST_HOSTS:
            self._routes.pop(next(iter(self._routes))).pool.retire()
        route = _Route(pool, len(origin), proxy or None, scheme, exposed, wanted)
        self._routes[origin] = route
        return route

    def _tls_context(self) -> ssl.SSLContext:
        """The one context, made anew only where its settings have changed."""
        wanted = _settings_of_tls(self.configuration)
        if self._context is None or self._context_settings != wanted:
            self._context, self._context_settings = _new_tls_context(self.configuration), wanted
        return self._context

    def _warn(self, text: str) -> None:
        if not self._warned:
            self._warned = True
            # The line to show is the user's, however many of ours lie between.
            level, frame = 1, sys._getframe()
            while frame.f_back and frame.f_globals["__name__"].startswith("tator."):
                level, frame = level + 1, frame.f_back
            warnings.warn(text, InsecureRequestWarning, level)


class _Route(NamedTuple):
    """The way to one origin."""

    pool: _Pool
    origin_length: int
    proxy: str | None
    scheme: str
    exposed: bool
    settings: tuple[object, ...]


class _Limited(HTTPConnection):
    """A connection that keeps the limits of the try it works for."""

    answer: Response | None = None  # the last one

    def response_class(self, *args: Any, **options: Any) -> Response:  # type: ignore[override]  # http.client only calls it
        self.answer = Response(*args, **options)
        return self.answer

    def connect(self) -> None:
        limits = current.limits
        now = time.monotonic()
        limits.until, limits.each = earlier(limits.ends, now, limits.connect), None
        super().connect()
        limits.until, limits.each = limits.ends, limits.silence
        limits.connected, limits.received = True, False  # what came so far came from a proxy
        if isinstance(self.sock, (ssl.SSLSocket, SSLTransport)):
            # A cut without TLS's goodbye must not pass for the end of an answer.
            self.sock.suppress_ragged_eofs = False  # type: ignore[union-attr]  # not in typeshed

    def _new_conn(self) -> socket.socket:
        # socket.create_connection starts its timeout anew for each address, and has none for DNS.
        limits = current.limits
        addresses = resolve(self._dns_host.strip("[]"), self.port, limits.wait())
        for left in range(len(addresses), 0, -1):
            family, kind, protocol, _, address = addresses[-left]
            sock = None
            try:
                wait = limits.wait()
                sock = socket.socket(family, kind, protocol)
                for option in self.socket_options or ():
                    sock.setsockopt(*option)
                sock.settimeout(wait and wait / left)
                sock.connect(address)
                sock.settimeout(limits.wait())
                return sock
            except BaseException as error:
                if sock is not None:
                    sock.close()
                if left == 1 or not isinstance(error, OSError):
                    raise
        raise OSError("the name has no address")

    def _tunnel(self) -> None:
        try:
            super()._tunnel()
        finally:
            # Python 3.10 leaves the answer open, and the socket with it.
            (self.answer or self).close()
        self.sock.settimeout(current.limits.wait())

    def send(self, data: Any) -> None:
        limits = current.limits
        for start in range(0, len(data), _PIECE):
            self.sock.settimeout(limits.wait())
            super().send(data[start : start + _PIECE])


class _LimitedTls(_Limited, HTTPSConnection):  # pyright: ignore[reportIncompatibleVariableOverride]  # as above
    """The same over TLS."""

    def _connect_tls_proxy(self, hostname: str, sock: socket.socket) -> ssl.SSLSocket:
        outer = super()._connect_tls_proxy(hostname, sock)
        receive = outer.recv

        def recv(size: int) -> bytes:
            # For one step of the TLS inside, urllib3 may ask the TLS outside any number of times.
            limits = getattr(current, "limits", None)
            if limits is not None:
                outer.settimeout(limits.wait())
            return receive(size)

        outer.recv = recv  # type: ignore[assignment, method-assign]
        return outer


class _Pool(HTTPConnectionPool):
    """The connections to one host, lent to one call at a time, the last one back first.

    urllib3 keeps them in a queue.LifoQueue, whose lock an interrupt can leave locked for ever, and
    counts places, which an interrupt can lose. Here what is lent is known by weak references: a
    connection that a call lost sight of is no longer there, and so is no longer lent.
    """

    _ours: Any = _Limited
    _theirs: Any = HTTPConnection

    def __init__(self, host: str, port: int | None = None, *, maxsize: int, **options: Any) -> None:
        super().__init__(host, port, **options)
        self._most = maxsize
        self._retired = False
        self._idle: list[Any] = []
        self._lent: weakref.WeakSet[Any] = weakref.WeakSet()
        self._lending = threading.RLock()  # R: a signal handler may call meanwhile
        self._news: queue.SimpleQueue[None] = queue.SimpleQueue()
        weakref.finalize(self, _close_all, self._idle)

    @property
    def ConnectionCls(self) -> Any:  # type: ignore[override]  # read-only on purpose
        # A recorder such as VCR.py puts its own class on urllib3's pools: let it.
        patched = super().ConnectionCls
        return self._ours if patched is self._theirs else patched

    def _get_conn(self, timeout: float | None = None) -> Any:
        ends = earlier(None, time.monotonic(), timeout)
        while (conn := self._lend()) is None:
            # In pieces: the news may have gone to a call that was interrupted.
            wait = _LONGEST_WAIT if ends is None else min(_LONGEST_WAIT, ends - time.monotonic())
            if wait <= 0:
                raise EmptyPoolError(self, "all connections are lent")
            with suppress(queue.Empty):
                self._news.get(timeout=wait)
        current.limits.connection = conn
        return conn

    def _lend(self) -> Any:
        """A connection, or None while as many are lent as there may be."""
        with self._lending:
            if not self._idle and len(self._lent) >= self._most:
                return None
            conn = self._idle.pop() if self._idle else self._new_conn()
            # Left idle by a recorder that is gone, or not yet there, or closed by the server.
            if not isinstance(conn, self.ConnectionCls):
                conn.close()
                conn = self._new_conn()
            elif is_connection_dropped(conn):
                conn.close()
            self._lent.add(conn)
        return conn

    def _validate_conn(self, conn: Any) -> None:
        # Connecting here, before the request, tells "not reached" from "answer lost"; urllib3
        # would also warn about every unverified request, where one warning has been given.
        if conn.is_closed:
            conn.connect()
        # Set here and not by the connection, which may be a recorder's.
        current.limits.sent = True

    def _put_conn(self, conn: Any) -> None:
        if conn is None or conn not in self._lent:
            return  # urllib3 has closed it, and _attempt() takes it back; or it is back already
        limits = getattr(current, "limits", None)
        if limits is not None and limits.connection is conn:
            limits.connection = None
        answer = getattr(conn, "answer", None)
        unread = answer is not None and not answer.isclosed()  # a raw response, released early
        if unread or self._retired or _has_strays(conn):
            conn.close()
        with self._lending:
            self._lent.discard(conn)
            self._idle.append(conn)
        self._tell()

    def give_up(self, conn: Any) -> None:
        """Close a lent connection on which something may still come."""
        answer = getattr(conn, "answer", None)
        if answer is not None:
            answer.close()
        conn.close()
        with self._lending:
            self._lent.discard(conn)
        self._tell()

    def _tell(self) -> None:
        if self._news.qsize() < self._most:  # nobody may be waiting
            self._news.put(None)

    def retire(self) -> None:
        """Close what no call is using, now and when calls give it back.

        urllib3's `close()` would leave calls that wait for a connection waiting for ever.
        """
        with self._lending:
            self._retired = True
            idle = self._idle.copy()
            self._idle.clear()
        _close_all(idle)


def _has_strays(connection: Any) -> bool:
    """Whether TLS holds bytes back, which urllib3's own look at the socket would not find."""
    sock = getattr(connection, "sock", None)
    if isinstance(sock, SSLTransport):
        return bool(sock.sslobj.pending() or sock.incoming.pending)
    return isinstance(sock, ssl.SSLSocket) and sock.pending() > 0


def _close_all(connections: list[Any]) -> None:
    with suppress(IndexError):
        while True:
            connections.pop().close()


class _TlsPool(_Pool, HTTPSConnectionPool):  # type: ignore[override]  # as above
    _ours = _LimitedTls
    _theirs = HTTPSConnection


_POOLS: dict[str, Any] = {"http": _Pool, "https": _TlsPool}


def _attempt(
    route: _Route,
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes | None,
    limits: Limits,
    preload: bool,
) -> RESTResponse | ApiException:
    """One try: an answer, or the error that stands for its failure."""
    outer = getattr(current, "limits", None)  # a signal handler may call while a call is on
    current.limits = limits
    try:
        forwarded = route.proxy and route.scheme == "http"
        response = route.pool.urlopen(
            method,
            # The path goes as it is: PoolManager.urlopen would resolve `/../` in it.
            url if forwarded else url[route.origin_length :],
            body,
            headers,
            retries=_ONE_TRY,
            redirect=False,
            assert_same_host=False,
            pool_timeout=cast(Any, limits.wait() if limits.ends is not None else None),
            preload_content=False,
            # A recorder's answers are whole from the start, and not all can give back a connection.
            release_conn=route.pool.ConnectionCls not in (_Limited, _LimitedTls),
            decode_content=False,
        )
        if not preload and 200 <= response.status < 300:
            limits.allowance = None
            return RESTResponse(response, b"")
        return RESTResponse(response, _read(response))
    except BaseException as error:
        if limits.connection is not None:
            route.pool.give_up(limits.connection)
        if isinstance(error, Exception):
            return _translated(error, limits, route)
        # The frames below hold the headers as they are sent.
        raise error.with_traceback(None)  # noqa: B904  # it is the same exception
    finally:
        current.limits = outer


def _read(response: urllib3.BaseHTTPResponse) -> bytes:
    """The whole body, in pieces: a length that is claimed must not be what memory is taken for."""
    data = b""
    while True:
        piece = response.read(_PIECE)
        data = data + piece if data else piece
        if len(data) > LARGEST_BODY:
            raise TooLarge
        if not piece or response.length_remaining == 0:
            break
    _release(response)
    return data


def _release(response: urllib3.BaseHTTPResponse) -> None:
    # The answers of VCR.py before 9.4, the last for Python 3.10, can't be released.
    getattr(response, "release_conn", lambda: None)()


def _translated(error: Exception, limits: Limits, route: _Route) -> ApiException:
    """The one map from the transport's failures to ours; any exception has its place in it."""
    root = _root(error)
    sent = limits.sent
    kind: type[ApiException]
    hint = None
    if _is_timeout(error) or _is_timeout(root):
        kind = ApiTimeoutError
        if sent:
            reason = "No answer in time"
            hint = "The server may still be at work: look before you ask again."
        elif isinstance(error, EmptyPoolError):
            reason = "No free connection in time"
            hint = "Release raw responses, or raise Configuration.connection_pool_maxsize."
        else:
            reason = "No connection in time"
            hint = "Check the host, or raise Configuration.timeout."
    elif isinstance(root, (ssl.SSLError, CertificateError, PoolSSLError)) and not (
        sent and isinstance(root, _LOST)
    ):
        kind = ApiTlsError
        reason = f"No trusted TLS connection: {_words(root)}"
        hint = _tls_hint(root)
        limits.retry = isinstance(root, _LOST)
        if _REFUSED_CERTIFICATE.search(str(getattr(root, "reason", ""))) and not limits.received:
            # Over TLS 1.3 a server refuses a client's certificate only after the handshake.
            sent = sent and not limits.connected
    elif not sent:
        kind = ApiProxyError if route.proxy else ApiConnectionError
        reason = f"Can't connect: {_words(root)}"
        hint = "Check Configuration.host and your network."
        limits.retry = True
        if route.proxy:
            reason = f"The proxy failed: {_words(root)}"
            hint = "Check Configuration.proxy, or HTTP_PROXY, HTTPS_PROXY and NO_PROXY."
            limits.retry = "Tunnel connection failed: 407" not in str(root)
    elif isinstance(root, _LOST):
        kind = ApiConnectionError
        reason = f"The connection was lost: {_words(root)}"
        limits.retry = True
    else:
        kind = ApiResponseError
        reason = f"The answer can't be read: {_words(root)}"
        if isinstance(root, TooLarge):
            reason = f"The answer is larger than {LARGEST_BODY} bytes"
        hint = "Check that Configuration.host is a Tator server."
    translated = kind(reason=reason, maybe_applied=sent, hint=hint)
    # Only the root: the frames and the wrappers between hold the headers that were sent.
    root.__traceback__ = root.__context__ = None
    translated.__cause__ = root
    return translated


def _secrets(headers: Mapping[str, str], proxy: str | None) -> list[str]:
    """What no error may show, should the server send it back."""
    whole = [value for value in headers.values() if isinstance(value, Secret)]
    # The key without its prefix and a cookie without its name are as secret.
    parts = [value.rpartition(" ")[2] for value in whole]
    parts += [pair.partition("=")[2] for value in whole for pair in value.split(";")]
    user_info, authorization = _proxy_credentials(proxy or "")
    parts += [user_info, unquote(user_info), unquote(user_info.partition(":")[2])]
    parts += [authorization.rpartition(" ")[2]]
    found = {str(part) for part in (*whole, *parts) if len(part) >= _SHORTEST_SECRET}
    return sorted(found, key=len, reverse=True)


def _redact(error: ApiException, secrets: Iterable[str]) -> None:
    """Take these words out of an error; its cause goes where it has them too."""
    shown = f"{error.reason} {error.__cause__} {error.__cause__!r}"
    for secret in secrets:
        if secret in shown:
            error.reason = error.reason.replace(secret, MASK)
            error.args = (error.status, error.reason)
            error.__cause__ = None


_REFUSED_CERTIFICATE = re.compile("ALERT_.*(CERTIFICATE|UNKNOWN_CA|ACCESS_DENIED)")
_LOST = (
    ssl.SSLEOFError,
    ssl.SSLZeroReturnError,
    ssl.SSLSyscallError,
    ConnectionError,
    IncompleteRead,
    http.client.IncompleteRead,
)


def _root(error: BaseException) -> BaseException:
    while True:
        wrapped = [arg for arg in error.args if isinstance(arg, BaseException)]
        inner = error.__cause__ or (wrapped[0] if wrapped else None)
        if inner is None:
            return error
        error = inner


def _is_timeout(error: BaseException) -> bool:
    if isinstance(error, NewConnectionError):  # a kind of timeout in urllib3's family
        return False
    return isinstance(error, (TimeoutError, PoolTimeoutError, EmptyPoolError))


def _words(error: BaseException) -> str:
    told = getattr(error, "verify_message", None) or getattr(error, "strerror", None)
    return told or str(error) or type(error).__name__


def _tls_hint(error: BaseException) -> str:
    words = str(error).lower()
    if "hostname" in words or "ip address" in words:
        return (
            "If the server is the right one, set Configuration.assert_hostname to the name in"
            " its certificate."
        )
    if "expired" in words or "not yet valid" in words:
        return (
            "Check this machine's clock, or have the server's certificate renewed."
            " Configuration.verify_ssl = False would take it, and let others read the token."
        )
    if "certificate verify failed" in words:
        return "If you trust the server, set Configuration.ssl_ca_cert to its authority's PEM file."
    return (
        "Check that the port of Configuration.host speaks https (TLS 1.2 or later); a server that"
        " asks for a client certificate needs cert_file and key_file."
    )


def _new_tls_context(settings: Configuration) -> ssl.SSLContext:
    context = create_urllib3_context()
    bundle = settings.ssl_ca_cert
    if bundle is None:
        import certifi  # its resources are slow to import, and plain http needs none

        bundle = certifi.where()
    if settings.key_file and not settings.cert_file:
        raise ApiValueError(reason="key_file needs a cert_file beside it")
    setting = "ssl_ca_cert"
    problem = None
    try:
        context.load_verify_locations(bundle)
        if settings.cert_file:
            setting = "key_file" if settings.key_file else "cert_file"
            # Without a password, OpenSSL would stop and ask for one at the terminal.
            context.load_cert_chain(settings.cert_file, settings.key_file, password="")
    except (OSError, ValueError) as error:
        problem = _words(error)
    if problem is not None:
        raise ApiValueError(
            reason=f"{setting} can't be used: {problem}",
            hint="It must be a readable PEM file; a key must be without a passphrase.",
        )
    if not settings.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _proxy_for(settings: Configuration, scheme: str, host: str, port: int | None) -> str | None:
    """The URL of the proxy to take, by the configuration or by the standard library's rules."""
    if settings.proxy is not None:
        return settings.proxy
    if not (_HAS_SYSTEM_PROXIES or any(name.lower().endswith("_proxy") for name in os.environ)):
        return None
    import urllib.request  # costs half as much as urllib3, and is seldom needed

    if urllib.request.proxy_bypass(host if port is None else f"{host}:{port}"):
        return None
    proxy = veil(urllib.request.getproxies().get(scheme))
    if not proxy:
        return None
    try:
        return Configuration(host="/", proxy=proxy).proxy
    except ApiValueError as error:
        problem = error.reason
    raise ApiValueError(
        reason=f"environment variable {scheme.upper()}_PROXY: {problem}",
        hint='Mend the variable, or set Configuration.proxy ("" for none).',
    )


def _proxied_pool(
    proxy: str,
    context: ssl.SSLContext | None,
    scheme: str,
    host: str,
    port: int | None,
    options: dict[str, Any],
) -> _Pool:
    _, authorization = _proxy_credentials(proxy)
    manager = urllib3.ProxyManager(
        re.sub(r"//.*@", "//", proxy),
        proxy_headers={"Proxy-Authorization": authorization} if authorization else None,
        proxy_ssl_context=context,
        **options,
    )
    manager.pool_classes_by_scheme = _POOLS
    return cast(_Pool, manager.connection_from_host(host, port, scheme))


def _proxy_credentials(proxy: str) -> tuple[str, str]:
    """User and password as they stand in a proxy's URL, and the header that carries them."""
    user_info = veil(proxy.rpartition("@")[0].rpartition("//")[2])
    # urllib3 encodes them in Latin-1, which not every password is in.
    basic = b2a_base64(unquote_to_bytes(user_info), newline=False).decode()
    return user_info, Secret(f"Basic {basic}" if basic else "")


def _split(origin: str) -> tuple[str, str, int | None]:
    parts = urlsplit(origin)
    return parts.scheme, cast(str, parts.hostname), parts.port


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _retry_after(value: str | None) -> float | None:
    """Seconds that a Retry-After header asks for; None where it is absent, past or garbage."""
    if value is None:
        return None
    if re.fullmatch(r"[0-9]{1,9}", value):
        return float(value) or None
    try:
        date = parsedate_to_datetime(value)
        # A date without a zone is meant as all dates of HTTP are: in UTC.
        seconds = date.replace(tzinfo=date.tzinfo or timezone.utc).timestamp() - time.time()
    except (ValueError, TypeError, OverflowError):
        return None
    return seconds if seconds > 0 else None
