"""What a Tator server does with a request: permissions, jobs, and the response."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote

from tator.testing import responses
from tator.testing.messages import HTML, Request, Response, json_response, page
from tator.testing.responses import Endpoint, Generation

# Where a web browser is sent to sign in first.
_WEB_PAGES = ("/", "/rest/", "/projects/")
_PATH = re.compile(r"/rest/([A-Za-z]+)/([^/]+)")
_NAMES = ("127.0.0.1", "localhost")
_GUNICORNS_LINE, _NGINXS_LINE = 4094, 8192  # bytes
_METADATA = json_response(
    200,
    {
        "name": "Job",
        "description": "",
        "renders": ["application/json", "text/html"],
        "parses": ["application/json"],
    },
)


@dataclass
class Job:
    """A job, from its launch on.

    Attributes:
        uid: Its run_uid.
        group: Its group_id.
        project: The number of its project.
        kind: `algorithm` or `transcode`.
        state: `running`, `cancelling` while the response is held back, or `cancelled`.
    """

    uid: str
    group: str
    project: int
    kind: str
    state: str = "running"

    def to_dict(self) -> dict[str, object]:
        """Describe it as a server does."""
        return {
            "id": f"{self.kind}-{self.uid}",
            "uid": self.uid,
            "gid": self.group,
            "project": self.project,
            "user": 1,
            "media_ids": [],
            "alg_id": 1,
            "status": "Running",
            "nodes": [],
        }


class Api:
    """The jobs and users of one server. It has no lock: the caller holds one.

    Args:
        generation: How it responds.

    Attributes:
        permissions: The permission of each token.
        jobs: The jobs by run_uid.
        projects: The numbers of the projects.
        routes: More endpoints, by method and path.
    """

    def __init__(self, generation: Generation) -> None:
        self.permissions: dict[str, str] = {}
        self.jobs: dict[str, Job] = {}
        self.projects: set[int] = {1}
        self.routes: dict[tuple[str, str], Response] = {}
        self._generation = generation

    def respond(self, request: Request, midway: bool = False) -> tuple[Response, list[Job]]:
        """Do what a request asks for.

        Args:
            request: The request.
            midway: Whether to stop after the first half of a group.

        Returns:
            The response, and the jobs that are cancelled when it is sent.
        """
        path, _, query = request.path.partition("?")
        rejection = _in_front(request)
        if rejection is not None:
            return rejection, []
        route = self.routes.get((request.method, path))
        if route is not None:
            return self._respond_route(route, request), []
        if path in _WEB_PAGES:
            return Response(302, b"", {"Content-Type": HTML, "Location": f"/login?next={path}"}), []
        match = _PATH.fullmatch(unquote(path))
        endpoint = self._generation.endpoints.get(match[1]) if match else None
        if match is None or endpoint is None or not _names_one(endpoint, match[2]):
            return page(404, "Not Found"), []
        response, jobs = self._respond_endpoint(request, endpoint, match[2], query, midway)
        if endpoint.methods != ("DELETE",) and "Allow" in response.headers:
            response = response.with_headers({"Allow": ", ".join((*endpoint.methods, "OPTIONS"))})
        return response, jobs

    def _respond_route(self, route: Response, request: Request) -> Response:
        # Errors are for everyone, so that a test can serve those about credentials, too.
        if not 200 <= route.status < 300:
            return route
        permission = self._permission(request.headers)
        if permission is None:
            return self._generation.identity(sentence=responses.NO_CREDENTIALS)
        return permission if isinstance(permission, Response) else route

    def _respond_endpoint(
        self, request: Request, endpoint: Endpoint, name: str, query: str, midway: bool
    ) -> tuple[Response, list[Job]]:
        generation = self._generation
        values = parse_qs(query, keep_blank_values=True) if query else {}
        representation = _representation(request.headers.get("accept", "*/*"), values)
        if representation is None:
            return generation.not_acceptable, []
        if request.method == "OPTIONS":
            return _METADATA, []
        permission = self._permission(request.headers)
        if isinstance(permission, Response):
            return permission, []
        other_method = request.method not in endpoint.methods
        if other_method and generation.method_comes_first:
            return _other_method(generation, request), []
        jobs = self._find(endpoint, name, values)
        if jobs is None:
            return generation.unknown, []
        if permission is None:
            return generation.identity(sentence=responses.NO_CREDENTIALS), []
        if other_method:
            return _other_method(generation, request), []
        if request.body and not _is_json(request.body):
            return generation.not_json, []
        if representation == "text/html" and not generation.html_after_work:
            return generation.html, []
        if request.method == "GET":
            shown = [job.to_dict() for job in jobs]
            return json_response(200, shown if endpoint.of == "project" else shown[0]), []
        if permission not in generation.may_cancel:
            return generation.permission, []
        taken = list(_take(jobs[: (len(jobs) + 1) // 2] if midway else jobs))
        if len(taken) < len(jobs):
            return generation.midway, taken
        if representation == "text/html":
            return generation.html, taken
        return endpoint.deleted(id=name, count=len(taken)), taken

    def _permission(self, headers: Mapping[str, str]) -> str | Response | None:
        """Look up the permission of a request: None without a token, or a rejection."""
        scheme, *keys = headers.get("authorization", "none").split() or ["none"]
        if scheme.lower() != "token":
            return None
        if not keys:
            return self._generation.identity(sentence=responses.NO_TOKEN)
        if len(keys) > 1:
            return self._generation.identity(sentence=responses.TOKEN_WITH_SPACES)
        permission = self.permissions.get(keys[0])
        if permission is None:
            return self._generation.identity(sentence=responses.WRONG_TOKEN)
        if permission == "inactive":
            return self._generation.identity(sentence=responses.INACTIVE)
        return permission

    def _find(
        self, endpoint: Endpoint, name: str, values: Mapping[str, Sequence[str]]
    ) -> list[Job] | None:
        """Find the jobs that still run; None if the server knows nothing by this name."""
        project = int(name) if endpoint.of == "project" else None
        # If a name is repeated, the last value counts.
        gid = values["gid"][-1] if "gid" in values else None
        if endpoint.of == "job":
            found = [self.jobs[name]] if name in self.jobs else []
        elif endpoint.of == "group":
            found = [job for job in self.jobs.values() if job.group == name]
        else:
            found = [
                job
                for job in self.jobs.values()
                if job.project == project and gid in (None, job.group)
            ]
        found = [job for job in found if job.state != "cancelled" and job.kind in endpoint.kinds]
        if project is not None:
            return found if project in self.projects else None
        return found or None


def _in_front(request: Request) -> Response | None:
    """Reject what never reaches the API of a real server."""
    host = request.headers.get("host", "").partition(":")[0]
    if host.lower() not in _NAMES:
        return page(400, "Bad Request (400)")
    line = len(request.method) + len(request.path) + len("  HTTP/1.1")
    if line > _NGINXS_LINE:
        return page(414)
    if line > _GUNICORNS_LINE or max(map(len, request.headers.values())) > _NGINXS_LINE:
        return page(400)
    return None


def _names_one(endpoint: Endpoint, name: str) -> bool:
    return endpoint.of != "project" or re.fullmatch("[0-9]{1,18}", name) is not None


def _representation(accept: str, values: Mapping[str, Sequence[str]]) -> str | None:
    """Choose between the two that a server has, the most specific first, JSON before HTML."""
    if "format" in values:
        return {"json": "application/json", "html": "text/html"}.get(values["format"][-1])
    if accept == "application/json":
        return accept
    accepted = {part.partition(";")[0].strip().lower() for part in accept.split(",")}
    for pattern, representation in (
        ("application/json", "application/json"),
        ("text/html", "text/html"),
        ("application/*", "application/json"),
        ("text/*", "text/html"),
        ("*/*", "application/json"),
    ):
        if pattern in accepted:
            return representation
    return None


def _other_method(generation: Generation, request: Request) -> Response:
    path = request.path.partition("?")[0]
    operation = request.method.lower()
    return generation.other_method(method=request.method, operation=operation, path=path)


def _is_json(body: bytes) -> bool:
    try:
        json.loads(body)
    except ValueError:
        return False
    return True


def _take(jobs: Sequence[Job]) -> Iterator[Job]:
    """Begin to cancel jobs one after another, up to one that another request has begun."""
    for job in jobs:
        if job.state == "cancelling":
            return
        job.state = "cancelling"
        yield job
