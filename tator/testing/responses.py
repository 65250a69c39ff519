"""The responses of each generation of Tator servers, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from tator.testing.messages import Response, json_response, page

# The sentences of Django REST framework, the same on all servers.
NO_CREDENTIALS = "Authentication credentials were not provided."
WRONG_TOKEN = "Invalid token."
NO_TOKEN = "Invalid token header. No credentials provided."
TOKEN_WITH_SPACES = "Invalid token header. Token string should not contain spaces."
INACTIVE = "User inactive or deleted."

_TRACEBACK = "Traceback (most recent call last):\n  …"
_FROM_KUBERNETES = """(500)
Reason: Internal Server Error
HTTP response headers: HTTPHeaderDict({'Content-Type': 'application/json'})
HTTP response body: {"kind": "Status", "apiVersion": "v1", "status": "Failure", \
"message": "The workflow could not be deleted.", "reason": "InternalError", "code": 500}
"""


class Sentence(NamedTuple):
    """A JSON response of one sentence.

    Attributes:
        status: The status.
        key: The sentence's key in JSON.
        text: The sentence, with `{names}` for the parts that differ.
        traceback: Whether the server's traceback comes with it, as `details`.
    """

    status: int
    key: str
    text: str = "{sentence}"
    traceback: bool = False

    def __call__(self, **values: object) -> Response:
        """Make the response."""
        said = {self.key: self.text.format(**values)}
        if self.traceback:
            said["details"] = _TRACEBACK
        return json_response(self.status, said)


class Endpoint(NamedTuple):
    """A path that a generation knows: `/rest/{name}/{of}`.

    Attributes:
        of: What its last segment names: a `job`, a `group` or a `project`.
        kinds: The kinds of jobs that it finds.
        deleted: The response to a cancellation.
        methods: The methods besides `OPTIONS`.
    """

    of: str
    kinds: tuple[str, ...]
    deleted: Sentence
    methods: tuple[str, ...] = ("DELETE",)


@dataclass(frozen=True)
class Generation:
    """How one generation responds.

    Attributes:
        endpoints: The paths of the two operations and their neighbors, by name.
        may_cancel: The permissions that suffice to cancel.
        unknown: No running job or group has this ID.
        identity: The server does not know who sent the request.
        permission: The permission is missing.
        throttled: Too many requests.
        retry_after: Whether the header of that name comes with it.
        other_method: The path does not support the method.
        method_comes_first: Whether the method is checked before the ID.
        not_acceptable: There is no such representation.
        not_json: The body can't be parsed.
        midway: The cluster failed while jobs were being deleted.
        html: What became of `Accept: text/html`.
        html_after_work: Whether the jobs are cancelled first.
        errors: More responses by status, for `LocalTator.fail`.
    """

    endpoints: Mapping[str, Endpoint]
    may_cancel: tuple[str, ...]
    unknown: Response
    identity: Sentence
    permission: Response
    throttled: Sentence
    retry_after: bool
    other_method: Sentence
    method_comes_first: bool
    not_acceptable: Response
    not_json: Response
    midway: Response
    html: Response
    html_after_work: bool
    errors: Mapping[int, Response]

    def error(self, status: int) -> Response:
        """Make this generation's response with a status."""
        known = {
            400: self.midway,
            403: self.permission,
            406: self.not_acceptable,
            500: page(500, "Server Error"),
            **self.errors,
        }
        return known.get(status) or page(status)


KINDS = ("algorithm", "transcode")
_JOB = Sentence(200, "message", "Job with UID {id} deleted!")
_OLD_JOB = Sentence(200, "message", "Job with run UID {id} deleted!")
_OLD_GROUP = Sentence(200, "message", "Deleted {count} jobs of group {id}!")
_PROJECT = Sentence(200, "message", "Deleted {count} jobs for project {id}!")
_OLD_ENDPOINTS = {
    "Job": Endpoint("job", KINDS, _OLD_JOB),
    "JobGroup": Endpoint("group", KINDS, _OLD_GROUP),
}
_THROTTLED = "Request was throttled."
_THROTTLED_FOR = f"{_THROTTLED} Expected available in {{seconds}} second{{s}}."
_NO_SUCH_METHOD = 'Method "{method}" not allowed.'
_NO_PERMISSION = "Insufficient permission to modify this project."
_NOT_JSON = "JSON parse error - Expecting value: line 1 column 1 (char 0)"
_NOT_ACCEPTABLE = Sentence(406, "detail", "Could not satisfy the request Accept header.")()
_MIDWAY = Sentence(400, "message", traceback=True)(sentence=_FROM_KUBERNETES)


def _old_errors(name: str) -> dict[int, Response]:
    """Return the errors of a server without Keycloak, most of them under this name."""
    return {
        401: Sentence(401, name, NO_CREDENTIALS)(),
        404: Sentence(404, "message", "The algorithm does not exist.")(),
        405: Sentence(405, name, "Method not allowed.")(),
        429: Sentence(429, name, _THROTTLED)(),
    }


MAY = Generation(
    endpoints=_OLD_ENDPOINTS,
    may_cancel=("can_transfer", "can_execute", "full_control"),
    unknown=page(500, "Server Error"),
    identity=Sentence(403, "detail"),
    permission=Sentence(403, "detail", _NO_PERMISSION)(),
    throttled=Sentence(429, "detail", _THROTTLED_FOR),
    retry_after=True,
    other_method=Sentence(405, "detail", _NO_SUCH_METHOD),
    method_comes_first=False,
    not_acceptable=_NOT_ACCEPTABLE,
    not_json=Sentence(400, "detail", _NOT_JSON)(),
    midway=_MIDWAY,
    html=page(500, "Server Error"),
    html_after_work=True,
    errors=_old_errors("detail"),
)

AUG = Generation(
    endpoints=_OLD_ENDPOINTS,
    may_cancel=("can_transfer", "can_execute", "full_control"),
    unknown=Sentence(
        400, "message", "local variable 'project' referenced before assignment", traceback=True
    )(),
    identity=Sentence(400, "message", traceback=True),
    permission=Sentence(403, "message", _NO_PERMISSION)(),
    throttled=Sentence(400, "message", _THROTTLED_FOR),
    retry_after=False,
    # Not seen on a real one.
    other_method=Sentence(405, "message", _NO_SUCH_METHOD),
    method_comes_first=False,
    not_acceptable=_NOT_ACCEPTABLE,
    not_json=Sentence(400, "message", _NOT_JSON, traceback=True)(),
    midway=_MIDWAY,
    html=page(400),
    html_after_work=False,
    errors=_old_errors("message"),
)

NOW = Generation(
    endpoints={
        "Job": Endpoint("job", ("algorithm",), _JOB, ("GET", "DELETE")),
        "Jobs": Endpoint("project", ("algorithm",), _PROJECT, ("GET", "DELETE")),
        "Transcode": Endpoint("job", ("transcode",), _JOB),
    },
    may_cancel=("can_execute", "full_control"),
    unknown=Sentence(404, "message", "")(),
    identity=Sentence(400, "message", traceback=True),
    permission=Sentence(403, "message", "You do not have permission to perform this action.")(),
    throttled=Sentence(400, "message", _THROTTLED_FOR),
    retry_after=False,
    other_method=Sentence(400, "message", "Operation {operation} not found for {path}"),
    method_comes_first=True,
    not_acceptable=_NOT_ACCEPTABLE,
    not_json=Sentence(400, "message", _NOT_JSON, traceback=True)(),
    midway=_MIDWAY,
    html=page(400),
    html_after_work=False,
    errors={
        401: json_response(
            401,
            {
                "error": "Authentication failed",
                "detail": "Please provide or refresh your token.",
            },
        ),
        404: Sentence(404, "message", "")(),
        405: Sentence(405, "message", "Method not allowed.")(),
        429: Sentence(429, "message", _THROTTLED)(),
    },
)

GENERATIONS = {"2020-05": MAY, "2020-08": AUG, "2025-06": NOW}
