"""`LocalTator`: a Tator server of one of three generations, in this process."""

from __future__ import annotations

import math
import operator
import os
import secrets
import ssl
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from types import TracebackType
from typing import NamedTuple
from uuid import uuid1

from tator.testing.api import Api, Job
from tator.testing.connections import Connections
from tator.testing.messages import HTML, Request, Response, json_response, page
from tator.testing.responses import GENERATIONS, KINDS

_PERMISSIONS = (
    "view_only",
    "can_edit",
    "can_transfer",
    "can_execute",
    "full_control",
    "inactive",
)
_PAGE = page(200, "Tator")
# IDs end up in recordings and pictures, so they do not name this machine's network card.
_NODE = secrets.randbits(48) | 1 << 40  # the bit that no card has


class Group(NamedTuple):
    """Jobs that were launched together."""

    group_id: str
    run_uids: tuple[str, ...]
    project: int


@dataclass(frozen=True)
class _Fault:
    """What happens to one request.

    Attributes:
        response: What is sent instead of the real response.
        apply: Whether the request is applied.
        midway: Whether only the first half of a group is cancelled.
        drop: Whether nothing is sent.
        cut: How many bytes of the body are not sent.
    """

    response: Response | None = None
    apply: bool = True
    midway: bool = False
    drop: bool = False
    cut: int = 0


_NO_FAULT = _Fault()


class _Throttle:
    """A limit on the requests in any second, or one request in a longer time."""

    def __init__(self, per_second: float) -> None:
        self._most = max(1, int(per_second))
        self._window = max(1.0, 1 / per_second)
        self._taken: deque[float] = deque()

    def wait(self, now: float) -> int:
        """Accept a request and return 0, or return the seconds until the next one is accepted."""
        while self._taken and self._taken[0] <= now - self._window:
            self._taken.popleft()
        if len(self._taken) == self._most:
            return max(1, math.ceil(self._taken[0] + self._window - now))
        self._taken.append(now)
        return 0


class LocalTator:
    """A Tator server on a free loopback port, for tests and for trying things by hand.

    It responds like a real server of its generation, and can be told to fail like one. It is a
    context manager, and safe to use from many threads and clients at once. It runs until `close()`.
    A forked child can be its client; the parent keeps serving.

    Args:
        token: The token of a user with full control. Defaults to a new random one.
        ssl_context: A server-side `ssl.SSLContext`, to use https. Defaults to http.
        port: The port. Defaults to a free one.
        server: The generation: `2020-05`, `2020-08`, or `2025-06`, which is how today's servers
            respond. Defaults to `2020-05`.

    Attributes:
        host: The URL to give to a client.
        token: The token to give to a client.
        on_request: Called with each request, on the connection's thread, after it is applied and
            before the response is sent.
        clock: The function that returns the time for `throttle`, in seconds; a test can set it.
            Defaults to `time.monotonic`.

    Raises:
        OSError: If the port is taken.
        ValueError: If the port or the generation is not valid.
    """

    def __init__(
        self,
        token: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        port: int = 0,
        server: str = "2020-05",
    ) -> None:
        port = _integer("port", port, 0, 65535)
        if server not in GENERATIONS:
            raise ValueError(f"server must be one of {', '.join(GENERATIONS)}")
        self.token: str = token or secrets.token_hex(20)
        self.on_request: Callable[[Request], object] | None = None
        self._generation = GENERATIONS[server]
        self._api = Api(self._generation)
        self._api.permissions[self.token] = "full_control"
        self._requests: list[Request] = []
        self._faults: deque[_Fault] = deque()
        self._throttle: _Throttle | None = None
        self.clock: Callable[[], float] = time.monotonic
        self._delay = 0.0
        self._release = threading.Event()  # releases the responses that are held back
        self._state = threading.Lock()
        self._connections = Connections(port, ssl_context, self._respond)
        self.host: str = self._connections.url
        _servers.add(self)

    def __enter__(self) -> LocalTator:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop at once: cut open connections, and drop responses that are held back."""
        if self._connections.closed.is_set():
            return
        self._connections.closed.set()
        self.delay(0)
        self._connections.close()

    @property
    def jobs(self) -> dict[str, str]:
        """A copy of each job's state by its run_uid, `'running'` or `'cancelled'`."""
        with self._state:
            return {
                uid: "running" if job.state == "running" else "cancelled"
                for uid, job in self._api.jobs.items()
            }

    @property
    def requests(self) -> list[Request]:
        """A copy of the requests, in order of arrival; a response may still be held back."""
        with self._state:
            return list(self._requests)

    def launch(self, count: int = 1, project: int = 1, kind: str = "algorithm") -> Group:
        """Start jobs together.

        Args:
            count: How many. Defaults to 1.
            project: The number of their project. Defaults to 1.
            kind: `algorithm` or `transcode`. Defaults to `algorithm`.

        Returns:
            Their IDs, and their project.

        Raises:
            TypeError: If a number is not an integer.
            ValueError: If a number is too small, or the kind is not valid.
        """
        count = _integer("count", count, 0)
        project = _integer("project", project, 1)
        if kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}")
        group_id, *run_uids = (str(uuid1(_NODE)) for _ in range(1 + count))
        group = Group(group_id, tuple(run_uids), project)
        with self._state:
            self._api.projects.add(project)
            for uid in group.run_uids:
                self._api.jobs[uid] = Job(uid, group.group_id, project, kind)
        return group

    def add_token(self, token: str, permission: str) -> None:
        """Add a user.

        Args:
            token: The user's token.
            permission: `view_only`, `can_edit`, `can_transfer`, `can_execute`, or `full_control`.
                `can_execute` and `full_control` suffice to cancel; on servers from before September
                2020, `can_transfer` does, too. `inactive` is a user who was deactivated.

        Raises:
            ValueError: If the permission is not valid.
        """
        if permission not in _PERMISSIONS:
            raise ValueError(f"permission must be one of {', '.join(_PERMISSIONS)}")
        with self._state:
            self._api.permissions[token] = permission

    def route(
        self,
        method: str,
        path: str,
        body: object,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Add an endpoint, or replace the response of an existing one.

        A success requires a token; an error does not.

        Args:
            method: The HTTP method.
            path: The whole path, without a query: `'/rest/Version'`.
            body: The body: bytes are sent as they are, as HTML; anything else as JSON.
            status: The HTTP status. Defaults to 200.
            headers: Headers of the response, such as `Content-Type`. Defaults to none.

        Raises:
            TypeError: If the status is not an integer.
            ValueError: If no response can have this status, or no request has this path.
        """
        if not path.startswith("/") or "?" in path:
            raise ValueError("path must begin with / and have no query")
        status = _integer("status", status, 200, 999)
        html = Response(status, body, {"Content-Type": HTML}) if isinstance(body, bytes) else None
        response = (html or json_response(status, body)).with_headers(headers)
        with self._state:
            self._api.routes[method, path] = response

    def delay(self, seconds: float) -> None:
        """Hold back every response from now on, and send those that are already held back.

        Requests are applied before the wait: a real server continues even if the client
        disconnects.

        Args:
            seconds: How long to hold back each response; 0 turns this off.
        """
        with self._state:
            release, self._release, self._delay = self._release, threading.Event(), seconds
        release.set()

    def throttle(self, per_second: float | None) -> None:
        """Throttle the requests beyond this number per second, from now on.

        Args:
            per_second: The number of requests; below 1, one in a longer time. 0 or `None` turns
                this off.

        Raises:
            ValueError: If it is negative or not finite.
        """
        if per_second is not None and not 0 <= per_second < math.inf:
            raise ValueError("per_second must be 0 or more")
        with self._state:
            self._throttle = _Throttle(per_second) if per_second else None

    def fail(
        self,
        status: int,
        times: int = 1,
        headers: Mapping[str, str] | None = None,
        after_applying: bool = False,
    ) -> None:
        """Respond to the next requests with an error, in the format of the server's generation.

        Args:
            status: The HTTP status, 300 or more. For a success, use `route`.
            times: How many requests fail. Defaults to 1.
            headers: Headers of the response, such as `Retry-After` or `Location`. Defaults to none.
            after_applying: Whether the request is applied anyway. With a 400, the server fails
                midway: it cancels only the first half of a group's jobs. Defaults to False.

        Raises:
            TypeError: If a number is not an integer.
            ValueError: If no error has this status, or `times` is negative.
        """
        status = _integer("status", status, 300, 999)
        response = self._generation.error(status).with_headers(headers)
        self._plan(times, _Fault(response, after_applying, midway=status == 400))

    def drop(self, times: int = 1, after_applying: bool = False) -> None:
        """Cut the connections of the next requests instead of responding.

        Args:
            times: How many requests. Defaults to 1.
            after_applying: Whether the request is applied first. Defaults to False.
        """
        self._plan(times, _Fault(apply=after_applying, drop=True))

    def html(self, times: int = 1) -> None:
        """Respond to the next requests with 200 and a web page, as a proxy may; apply nothing.

        Args:
            times: How many requests. Defaults to 1.
        """
        self._plan(times, _Fault(_PAGE, apply=False))

    def truncate(self, times: int = 1, after_applying: bool = True) -> None:
        """Cut the bodies of the next responses short.

        Args:
            times: How many responses. Defaults to 1.
            after_applying: Whether the request is applied. Defaults to True.
        """
        self._plan(times, _Fault(apply=after_applying, cut=5))

    def _plan(self, times: int, fault: _Fault) -> None:
        with self._state:
            self._faults.extend([fault] * _integer("times", times, 0))

    def _respond(self, request: Request) -> tuple[Response | None, int]:
        """Apply a request, and choose its response (None drops it) and the bytes to hold back."""
        with self._state:
            fault = self._next_fault()
            response = _PAGE
            jobs: list[Job] = []
            if fault.apply:
                response, jobs = self._api.respond(request, fault.midway)
            sent = None if fault.drop else fault.response or response
            request = replace(request, status=sent.status if sent else 0)
            self._requests.append(request)
            release, delay = self._release, self._delay
        if self.on_request is not None:
            self.on_request(request)
        if delay:
            release.wait(delay)
        if jobs:
            with self._state:
                for job in jobs:
                    job.state = "cancelled"
        return sent, fault.cut

    def _next_fault(self) -> _Fault:
        wait = self._throttle.wait(self.clock()) if self._throttle else 0
        if wait:
            throttled = self._generation.throttled(seconds=wait, s="s" if wait > 1 else "")
            after = {"Retry-After": str(wait)} if self._generation.retry_after else None
            return _Fault(throttled.with_headers(after), apply=False)
        return self._faults.popleft() if self._faults else _NO_FAULT

    def _leave_to_the_parent(self) -> None:
        self._state = threading.Lock()  # it may have been held at the fork
        self._connections.leave_to_the_parent()


def _integer(name: str, value: object, least: int, most: float = math.inf) -> int:
    try:
        number = operator.index(value)  # type: ignore[arg-type]  # it raises TypeError
    except TypeError:
        raise TypeError(f"{name} must be an integer, not {type(value).__name__}") from None
    if not least <= number <= most:
        wanted = f"{least} or more" if most == math.inf else f"from {least} to {most}"
        raise ValueError(f"{name} must be {wanted}")
    return number


_servers: weakref.WeakSet[LocalTator] = weakref.WeakSet()


def _leave_to_the_parent() -> None:
    for server in _servers:
        server._leave_to_the_parent()


with suppress(AttributeError):  # Windows does not fork
    os.register_at_fork(after_in_child=_leave_to_the_parent)
