"""Whose exception it is, by its class and by the frame that raised it."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Callable
from ipaddress import ip_address
from types import ModuleType, TracebackType
from typing import Any

import pytest
import urllib3
from urllib3.exceptions import LocationParseError, ProtocolError, ProxyError

from tator import ApiValueError
from tator.checks import text
from tator.transport.callers import is_callers, root_of, without_transport
from tator.transport.limits import Limits

pytestmark = pytest.mark.fast


class SoftLimit(Exception):
    """As Celery's."""


class OddConnectionError(ConnectionError):
    """A class of the caller's, under one of the standard library's."""


def raised(function: Callable[..., Any], *args: Any) -> BaseException:
    """What the function raises."""
    try:
        function(*args)
    except BaseException as error:
        return error
    raise AssertionError


def raise_here(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize(
    "error",
    [
        *(KeyboardInterrupt(), SystemExit(), GeneratorExit(), SoftLimit(), OddConnectionError(5)),
        *(ValueError("x"), TimeoutError("x"), ConnectionError("x"), OSError("x"), MemoryError()),
        *(ssl.SSLError("x"), http.client.HTTPException("x"), ProtocolError("x")),
        *(urllib3.exceptions.HTTPError("x"), ApiValueError("x"), socket.timeout("x")),  # noqa: UP041
    ],
    ids=repr,
)
def test_an_exception_raised_by_the_callers_frame_is_the_callers(error: BaseException) -> None:
    """Whatever its class is, unless it is an OSError with an errno."""
    assert is_callers(raised(raise_here, error))


@pytest.mark.parametrize(
    "error",
    [
        *(OSError(5, "x"), ConnectionResetError(104, "x"), TimeoutError(110, "x")),
        *(socket.gaierror(-2, "x"), socket.herror(1, "x"), ssl.SSLError(1, "x")),
        *(ssl.SSLCertVerificationError(1, "x"), BlockingIOError(11, "x")),
    ],
    ids=repr,
)
def test_an_oserror_with_an_errno_is_the_transports(error: BaseException) -> None:
    """From any frame, since a replaced resolver or socket raises it too."""
    assert not is_callers(raised(raise_here, error))
    assert not is_callers(error)


def test_an_oserror_of_the_callers_own_class_is_the_callers() -> None:
    """Its errno does not matter, nor where it was raised."""
    assert is_callers(OddConnectionError(104, "x"))
    assert is_callers(raised(raise_here, OddConnectionError(104, "x")))


def test_an_exception_of_the_transports_frames_is_the_transports() -> None:
    """Of the standard library, of urllib3 and of this package."""
    assert not is_callers(raised(ip_address, "x"))
    assert not is_callers(raised(urllib3.util.parse_url, "http://[::1"))
    assert not is_callers(raised(Limits(1e-9, 0, 0).wait))
    assert not is_callers(raised(text, "name", 5))
    assert type(raised(urllib3.util.parse_url, "http://[::1")) is LocationParseError


@pytest.mark.parametrize("package", ["gevent", "gevent.hub", "eventlet", "eventlet.green.socket"])
def test_an_exception_of_a_greenlet_library_is_the_transports(package: str) -> None:
    """It raises builtin classes on behalf of sockets."""
    module = ModuleType(package)
    exec("def recv(): raise TimeoutError('timed out')", vars(module))
    assert not is_callers(raised(module.recv))


def test_an_exception_that_nobody_raised_is_the_transports() -> None:
    """It has no frames."""
    assert not is_callers(TimeoutError("x"))


def test_the_root_is_what_urllib3_wrapped() -> None:
    """In an argument or as the cause, and in several layers."""
    inner = OSError(5, "x")
    caused = ProxyError("x", OSError("outer"))
    caused.__cause__ = inner
    for error in (
        inner,
        ProtocolError("x", inner),
        ProxyError("x", ProtocolError("y", inner)),
        caused,
    ):
        assert root_of(error) is inner


def test_the_root_is_never_the_context_of_an_exception() -> None:
    """A cause of an exception that is not urllib3's explains it, and is not what happened."""
    error = OSError(5, "x")
    error.__cause__ = KeyError("y")
    assert root_of(error) is error
    limit = SoftLimit(ValueError("x"))
    assert root_of(ProtocolError("x", limit)) is limit
    alone = ProtocolError("x")
    assert root_of(alone) is alone


def frames(trace: TracebackType | None) -> list[str]:
    names = []
    while trace is not None:
        names.append(trace.tb_frame.f_code.co_name)
        trace = trace.tb_next
    return names


class Handler:
    """Raises in the middle of urllib3, as a signal handler does."""

    def __str__(self) -> str:
        raise SoftLimit


def call() -> None:
    urllib3.util.parse_url(Handler())  # type: ignore[arg-type]  # whatever str() takes


def test_a_traceback_without_the_transport_has_the_callers_frames() -> None:
    """Those of the transport, of urllib3 and of sockets hold the headers as they are sent."""
    trace = raised(call).__traceback__
    names = frames(trace)
    assert names[:2] == ["raised", "call"]
    assert len(names) > 2
    kept = frames(without_transport(trace))
    assert kept[:2] == ["raised", "call"]
    assert set(kept) <= {"raised", "call", "__str__"}
    assert without_transport(None) is None
