"""The route to one origin, made from a single read of the settings."""

from __future__ import annotations

import codecs
import os
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from operator import itemgetter
from typing import Any, TypeAlias, cast
from urllib.parse import urlsplit

import urllib3
from urllib3.util.retry import Retry

from tator.record import Record
from tator.transport import tls
from tator.transport.connection import SOCKET_OPTIONS, RawResponse
from tator.transport.limits import Limits, TooLarge, family_of
from tator.transport.pool import Pool, TlsPool
from tator.transport.proxy import proxied_pool, proxy_for

# urllib3's own retries know neither the deadline nor which requests may have been applied.
_ONE_ATTEMPT = Retry(False, redirect=False)
_LONGEST_MAKING = 1.0  # seconds; certificates and imports take a tenth of it
_locks: list[Any] = []  # the lock of _lock(), once there is one
_held_by_forks: list[bool] = []  # for each fork in progress, whether it holds that lock
_SETTINGS = (*tls.SETTINGS, "proxy", "connection_pool_maxsize", "keepalive_expiry")
_read_settings = itemgetter(*_SETTINGS)

Key: TypeAlias = tuple[Any, ...]
"""What `key_of` returns: origin, process, then the values of `_SETTINGS`."""

_TLS = slice(2, 2 + len(tls.SETTINGS))  # where a `Key` has the values of `tls.SETTINGS`


class Route(Record):
    """The route to one origin.

    Attributes:
        key: The values that distinguish it from another route.
        origin: The URL of the server, without a path.
        pool: Its connections.
        context: Its TLS context, if it needs one.
        proxy: The URL of its proxy, if it has one.
    """

    key: Key
    origin: str
    pool: Pool
    context: ssl.SSLContext | None
    proxy: str | None

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        limits: Limits,
    ) -> urllib3.BaseHTTPResponse:
        """Send a request, and read the response up to its body."""
        # Our connection sets it; a recorder's does not, so the request may have left.
        limits.sent = self.pool.is_recorded()
        is_forwarded = self.proxy is not None and url.startswith("http:")
        return self.pool.urlopen(
            method,
            # The path, which urllib3 leaves as it is. A proxy for plain http needs the whole
            # URL, and urllib3 resolves `/../` in it.
            url if is_forwarded else url[len(self.origin) :],
            body,
            headers,
            retries=_ONE_ATTEMPT,
            redirect=False,
            assert_same_host=False,
            timeout=limits,
            preload_content=False,
            decode_content=False,
        )

    def retire(self) -> None:
        """Close the connections, now and when calls release them."""
        self.pool.idle.retire()


def key_of(url: str, values: Mapping[str, Any]) -> Key:
    """Return what a route is made from: origin, process, and a single read of a configuration."""
    origin = url[: url.index("/", len("https://"))]
    return (origin, os.getpid(), *_read_settings(values))


def read_body(response: urllib3.BaseHTTPResponse, most: int) -> bytes:
    """Read the whole body, and release the connection.

    Raises:
        TooLarge: If it has more than `most` bytes.
    """
    if isinstance(response, RawResponse):
        data = response.wire.read_all(most)
    else:  # a recorder's
        data = response.read(most + 1)
        if len(data) > most:
            raise TooLarge
    # The responses of VCR.py before 9.4, the last for Python 3.10, can't be released.
    getattr(response, "release_conn", lambda: None)()
    return data


def make_route(key: Key, known: Route | None) -> Route:
    """Make a route, with the TLS context of a known one if its settings are the same.

    Args:
        key: What `key_of` returned.
        known: The route that it replaces, if any.

    Raises:
        ApiValueError: If a TLS file or a proxy can't be used.
        ApiConnectionError: If this machine has no descriptors or no memory left.
    """
    origin, _, *settings = key
    values: dict[str, Any] = dict(zip(_SETTINGS, settings, strict=True))
    with _making_alone():
        parts = urlsplit(origin)
        scheme, host, port = parts.scheme, cast(str, parts.hostname), parts.port
        proxy = proxy_for(values["proxy"], scheme, host, port)
        options: dict[str, Any] = {
            "maxsize": values["connection_pool_maxsize"],
            "socket_options": SOCKET_OPTIONS,
            "port": port,
        }
        if scheme == "https" or proxy or family_of(host) is None:
            codecs.lookup("idna")  # imported here: a fork during an import would block the child
        context = None
        if scheme == "https" or (proxy and proxy.startswith("https:")):
            is_known = known is not None and known.key[_TLS] == key[_TLS]
            context = (known.context if known and is_known else None) or tls.make_context(values)
            # Before 2.8, urllib3 takes this one also for the proxy of a plain host.
            options["ssl_context"] = context
        if scheme == "https":
            options["assert_hostname"] = values["assert_hostname"]
        if proxy:
            pool = proxied_pool(proxy, context, scheme, host, options)
        else:
            pool = (TlsPool if scheme == "https" else Pool)(host, **options)
        pool.configure_idle(values["keepalive_expiry"])
        return Route(key=key, origin=origin, pool=pool, context=context, proxy=proxy)


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@contextmanager
def _making_alone() -> Iterator[None]:
    """Make one route at a time, and prevent forks meanwhile.

    A child that is forked in the middle of an import would wait for that import forever. A thread
    that waits a second for the lock continues without it: a signal handler may wait for a call of
    another thread.
    """
    lock = _lock()
    held = lock.acquire(timeout=_LONGEST_MAKING)
    try:
        yield
    finally:
        if held:
            lock.release()


def _lock() -> Any:
    # Made when it is first needed, since gevent may replace locks after this module was imported.
    if not _locks:
        _locks.append(threading.RLock())  # R: a signal handler may call meanwhile
    return _locks[0]


def _before_fork() -> None:
    _held_by_forks.append(_lock().acquire(timeout=_LONGEST_MAKING))


def _after_fork() -> None:
    if _held_by_forks.pop():
        _lock().release()


with suppress(AttributeError):  # Windows does not fork
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork
    )
