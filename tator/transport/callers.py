"""Whose exception it is: the transport's, translated, or the caller's, passed on.

The caller's own code runs in the middle of a call: a signal handler, such as Celery's soft time
limit, or a hook. What it raises must not count as a failure of the call.
"""

from __future__ import annotations

import sys
from types import TracebackType

# Modules, and packages with all their modules, whose exception classes the transport raises.
_MODULES = frozenset({"builtins", "http.client", "socket", "ssl"})
_PACKAGES = frozenset({"tator", "urllib3"})
# Packages whose code works for the transport: an exception raised in any other is the caller's.
_RUNTIMES = frozenset({"eventlet", "gevent", "tator", "urllib3"}) | sys.stdlib_module_names
# Packages whose frames hold the headers as they are sent, the token among them.
_SENDERS = frozenset({"http", "selectors", "socket", "ssl", "urllib3"})


def is_callers(error: BaseException) -> bool:
    """Tell whether the caller's own code raised an exception.

    The transport's are `OSError`s of the standard library with an `errno`, from any frame, since a
    replaced resolver raises them too; and the classes of builtins, socket, ssl, http.client and
    urllib3, if the innermost frame is in tator, urllib3, gevent, eventlet or the standard library.
    Builtin classes that gevent throws into a greenlet can't be told from those.
    """
    if not isinstance(error, Exception):
        return True
    module = type(error).__module__
    if isinstance(error, OSError) and error.errno is not None and module in _MODULES:
        return False
    if module not in _MODULES and package_of(module) not in _PACKAGES:
        return True
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and package_of(_module(trace)) not in _RUNTIMES


def is_in_callers_code(trace: TracebackType | None) -> bool:
    """Tell whether an exception passed through a frame of the caller's own code."""
    while trace is not None:
        if package_of(_module(trace)) not in _RUNTIMES:
            return True
        trace = trace.tb_next
    return False


def without_transport(trace: TracebackType | None) -> TracebackType | None:
    """Return a traceback without the frames that hold the headers as they are sent."""
    kept = []
    while trace is not None:
        name = _module(trace)
        if package_of(name) not in _SENDERS and not name.startswith("tator.transport"):
            kept.append(trace)
        trace = trace.tb_next
    result = None
    for part in reversed(kept):
        result = TracebackType(result, part.tb_frame, part.tb_lasti, part.tb_lineno)
    return result


def root_of(error: BaseException) -> BaseException:
    """Return the exception that urllib3 wrapped in its own.

    Only that one tells whose it is: a wrapper is raised with the traceback of what is in it.
    """
    while package_of(type(error).__module__) == "urllib3":
        wrapped = [arg for arg in error.args if isinstance(arg, BaseException)]
        inner = error.__cause__ or (wrapped[0] if wrapped else None)
        if inner is None:
            break
        error = inner
    return error


def _module(trace: TracebackType) -> str:
    return str(trace.tb_frame.f_globals.get("__name__", ""))


def package_of(module: str) -> str:
    """Return the package at the top of a module's name."""
    return module.partition(".")[0]
