"""urllib3's connection under the limits of the attempt that it works for."""

from __future__ import annotations

import errno
import socket
import ssl
import sys
import time
import weakref
from collections.abc import Mapping
from functools import partial
from math import inf
from typing import Any, cast

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util.ssltransport import SSLTransport

from tator.transport.callers import is_callers
from tator.transport.limits import Limits, TimeLeft, resolve
from tator.transport.response import Response, Stream

_PIECE = 1 << 14  # bytes sent at once
_EXPECT_A_BODY = frozenset({"PATCH", "POST", "PUT"})
_NOT_A_SOCKET = (errno.EBADF, errno.ENOTSOCK)  # the descriptor is closed, or another file


def _keep_alive_options() -> list[tuple[int, int, int]]:
    """Return the options of TCP keep-alive that this system has: 3 probes from 30 s on."""
    wanted = {"TCP_KEEPIDLE": 30, "TCP_KEEPALIVE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
    found = [
        (socket.IPPROTO_TCP, getattr(socket, name), value)
        for name, value in wanted.items()
        if hasattr(socket, name)
    ]
    return [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1), *found]


SOCKET_OPTIONS = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1), *_keep_alive_options()]


class TunnelError(OSError):
    """The proxy did not open a tunnel.

    Args:
        problem: What it did instead.
        status: The status of its response.
    """

    def __init__(self, problem: str, status: int) -> None:
        super().__init__(problem)
        self.status = status


class RawResponse(urllib3.HTTPResponse):
    """urllib3's response, which reads its body from a `Response`.

    Attributes:
        wire: That `Response`; set as soon as this object is made.
        version_string: The version as text, as newer versions of urllib3 have it.
    """

    wire: Response = cast(Response, None)
    version_string = "HTTP/1.1"

    def read_chunked(self, amt: int | None = None, decode_content: bool | None = None) -> Any:
        """Yield the body in pieces; the boundaries of the chunks are not kept."""
        while piece := self.read(amt or _PIECE, decode_content=decode_content):
            yield piece

    def release_conn(self) -> None:
        """Release the connection, unless a later response has arrived on it."""
        if getattr(self.connection, "wire", self.wire) is self.wire:
            super().release_conn()


class Connection(HTTPConnection):
    """A connection that stays within the limits of the attempt it works for.

    Attributes:
        limits: Those limits.
        wire: The last response that arrived on it: the one inside a `RawResponse`. That one itself
            refers to the pool, and a cycle would keep the pool until the garbage collector runs.
        expires: When it can no longer be used, on the monotonic clock.
    """

    limits: Limits
    wire: Response | None = None
    _thrown: OSError | None = None  # the exception of the caller's own that ended `request`
    expires = inf
    _address: Any = None  # where it connected from
    # Whether the certificate was checked. urllib3 sets it, and warns about each request without a
    # check. The client has warned once already, so this one is always true, and can't be set.
    is_verified: Any = property(lambda self: True, lambda self, value: None)  # pyright: ignore[reportAssignmentType]  # a variable in urllib3

    def __init__(self, host: str, *args: Any, **options: Any) -> None:
        super().__init__(host, *args, **options)
        self._name = host  # urllib3's `host` drops a dot at the end, which the lookup needs

    @property
    def timeout(self) -> float | None:
        """The seconds left; setting a `TimeLeft` sets the limits."""
        return self.limits.wait()

    @timeout.setter
    def timeout(self, value: float | None) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]  # theirs is a variable
        # urllib3 also sets plain numbers, which are its own defaults: they are ignored.
        if isinstance(value, TimeLeft):
            self.limits = value.limits
            self.limits.connection = self

    def set_tunnel(
        self,
        host: str,
        port: int | None = None,
        headers: Mapping[str, str] | None = None,
        scheme: str = "http",
    ) -> None:
        """Remember where the proxy must connect to."""
        super().set_tunnel(host, port, headers, scheme)
        name = host.strip("[]")
        self._tunnel_to = f"[{name}]:{port}" if ":" in name else f"{name}:{port}"
        self._tunnel_with = dict(headers or {})

    def connect(self) -> None:
        """Connect, within the connect timeout."""
        self.limits.connecting()
        super().connect()
        self.limits.connected()
        if isinstance(self.sock, (ssl.SSLSocket, SSLTransport)):
            # A connection cut without TLS's close_notify must not count as a response's end.
            self.sock.suppress_ragged_eofs = False  # type: ignore[union-attr]  # not in typeshed

    def _new_conn(self) -> socket.socket:
        # socket.create_connection has one timeout for each address, and none for the lookup.
        limits = self.limits
        addresses = resolve(self._name.strip("[]"), self.port, limits.wait())
        for index, (family, kind, protocol, _, address) in enumerate(addresses):
            addresses_left = len(addresses) - index  # each may take an equal share of the time left
            sock = None
            try:
                seconds = limits.wait() / addresses_left
                sock = socket.socket(family, kind, protocol)
                for option in self.socket_options or ():
                    sock.setsockopt(*option)
                sock.settimeout(seconds)
                sock.connect(address)
                sock.settimeout(limits.wait())
                self._address = sock.getsockname()
                sys.audit("http.client.connect", self, self.host, self.port)
                return sock
            except BaseException as error:
                if sock is not None:
                    sock.close()
                if addresses_left == 1 or not isinstance(error, OSError) or is_callers(error):
                    raise
        raise OSError("the name has no address")

    def _tunnel(self) -> None:
        # http.client's method takes the end of the connection for the end of the headers.
        lines = [f"CONNECT {self._tunnel_to} HTTP/1.1", f"Host: {self._tunnel_to}"]
        lines += [f"{name}: {value}" for name, value in self._tunnel_with.items()]
        self.send("\r\n".join([*lines, "", ""]).encode("latin-1"))
        stream = Stream(partial(_receive, self.sock, self.limits))
        response = Response(stream, "CONNECT")
        response.begin()
        problem = None
        if response.status != 200:
            problem = f"the proxy responded with {response.status} {response.reason}"
        elif not stream.is_empty:
            problem = "the proxy sent more than the headers of its response"
        if problem is not None:
            self.close()
            raise TunnelError(problem, response.status)
        self.sock.settimeout(self.limits.wait())

    def send(self, data: Any) -> None:
        """Send bytes, each piece within the time that is left."""
        for start in range(0, len(data), _PIECE):
            self.sock.settimeout(self.limits.wait())
            super().send(data[start : start + _PIECE])

    def request(  # type: ignore[override]  # as urllib3's own
        self,
        method: str,
        url: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        **options: object,
    ) -> None:
        """Send a request.

        Connecting is a separate step, and `limits.sent` is set after it: an error before that
        proves that the server has not seen the request.
        """
        try:
            if self.is_closed:
                self.connect()
            self.limits.sent = True
            self._request = (method, url)
            self._send_head_and_body(method, url, body, headers or {})
        except OSError as error:
            # If sending fails, urllib3 still reads the response, which may say why the server
            # closed the connection. If the exception is the caller's, `getresponse` raises it
            # instead.
            self._thrown = error if is_callers(error) else None
            raise

    def _send_head_and_body(
        self, method: str, url: str, body: bytes | None, headers: Mapping[str, str]
    ) -> None:
        names = {name.lower() for name in headers}
        self.putrequest(
            method,
            url,
            skip_host="host" in names,
            skip_accept_encoding="accept-encoding" in names,
        )
        if body is not None or method in _EXPECT_A_BODY:
            self.putheader("Content-Length", str(len(body or b"")))
        for name, value in headers.items():
            self.putheader(name, value)
        self.endheaders(body)

    def putheader(self, header: str | bytes, *values: Any) -> None:
        """Add a header; urllib3's method would look for its `SKIP_HEADER`, which is never here."""
        super(HTTPConnection, self).putheader(header, *values)

    def response_class(self, sock: Any, *args: object, method: str | None = None) -> Response:  # type: ignore[override]  # http.client only calls it
        """Make the response that http.client reads."""
        return Response(Stream(partial(_receive, sock, self.limits)), method)

    def getresponse(self) -> RawResponse:  # type: ignore[override]
        """Read a response up to its body.

        urllib3's own would parse the headers a second time, as if they were an email's.
        """
        if self._thrown is not None:
            raise self._thrown
        wire: Any = super(HTTPConnection, self).getresponse()
        method, url = self._request
        headers = urllib3.HTTPHeaderDict()
        for name, value in wire.headers:
            headers.add(name, value)
        response = RawResponse(
            body=wire,
            headers=headers,
            status=wire.status,
            version=wire.version,
            reason=wire.reason,
            preload_content=False,
            decode_content=False,
            original_response=wire,
            request_method=method,
            request_url=url,
        )
        response.version_string = "HTTP/1.0" if wire.version == 10 else "HTTP/1.1"
        self.wire = response.wire = wire
        return response

    @property
    def is_connected(self) -> bool:
        """Whether an idle connection can be used again."""
        try:
            return (
                self.sock is not None
                # If gevent has replaced `socket.socket` meanwhile, this one is native, and would
                # block all greenlets. If it is replaced by a function, this is a TypeError.
                and isinstance(self._plain_socket(), socket.socket)
                and time.monotonic() < self.expires
                and self._has_its_descriptor()
                and super().is_connected
            )
        except (OSError, TypeError, ValueError) as error:
            if is_callers(error):
                raise
            return False

    @property
    def is_reusable(self) -> bool:
        """Whether another request can follow, with nothing left over in the buffers of TLS."""
        sock = self.sock
        if sock is None or self.wire is None or not self.wire.leaves_connection_clean:
            return False
        if isinstance(sock, SSLTransport):
            return not (sock.sslobj.pending() or sock.incoming.pending)
        return not (isinstance(sock, ssl.SSLSocket) and sock.pending())

    def close(self) -> None:
        """Close the connection, but not a file that took over its descriptor."""
        try:
            if self.sock is not None and not self._has_its_descriptor():
                self._plain_socket().detach()
            super().close()
        except OSError as error:
            if is_callers(error):
                raise

    def _has_its_descriptor(self) -> bool:
        """Tell whether the descriptor is still this socket's.

        Other code, such as a daemon that closes all descriptors, may have closed it, and then
        opened another file or socket with the same number.
        """
        try:
            return bool(self._plain_socket().getsockname() == self._address)
        except OSError as error:
            if is_callers(error):
                raise
            # Any other error, such as EINVAL after a reset on macOS, is about this socket.
            return error.errno not in _NOT_A_SOCKET

    def _plain_socket(self) -> socket.socket:
        sock: Any = self.sock
        plain: socket.socket = sock.socket if isinstance(sock, SSLTransport) else sock
        return plain


def _receive(sock: socket.socket, limits: Limits, size: int) -> bytes:
    # A function, since the response keeps it: with a method, connection and response would refer to
    # each other, and stay open until the garbage collector runs.
    sock.settimeout(limits.wait())
    data = sock.recv(size)
    limits.arrived(len(data))
    return data


class TlsConnection(Connection, HTTPSConnection):  # pyright: ignore[reportIncompatibleVariableOverride, reportIncompatibleMethodOverride]  # as above
    """The same over TLS."""

    def _connect_tls_proxy(self, hostname: str, sock: socket.socket) -> ssl.SSLSocket:
        """Connect to a proxy over TLS; TLS to the server follows inside of it.

        For one read from the inner TLS, urllib3 may read from the outer one any number of times,
        so each of these gets the time that is left.
        """
        outer = super()._connect_tls_proxy(hostname, sock)
        # Otherwise the socket would refer to itself, and stay open until the collector runs.
        weak_outer, weak_self = weakref.proxy(outer), weakref.proxy(self)

        def recv(size: int) -> bytes:
            weak_outer.settimeout(weak_self.limits.wait())
            return cast(bytes, weak_outer.read(size))  # which is what `recv` does on a TLS socket

        outer.recv = recv  # type: ignore[assignment, method-assign]
        return outer
