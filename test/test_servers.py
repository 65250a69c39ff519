"""Each response that real servers were seen to give, through a whole call.

One line for each: what is called, what the server responds, and what the caller gets: the class of
the error, whether the request may have been applied, the server's message, what the hint says, and
how many requests were sent. `test_meaning.py` and `test_hints.py` have the rules behind it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from peers import TOKEN, UID, Peer, answering, http, make_api
from test_meaning import (
    ANONYMOUS,
    ERROR_PAGE,
    INACTIVE,
    KUBERNETES,
    NOT_FOUND_PAGE,
    NOT_PROVIDED,
    SPACES,
    UNKNOWN_IN_AUGUST,
    body,
    failure,
)

import tator
from tator import (
    ApiException,
    BadRequestException,
    ForbiddenException,
    NotFoundException,
    RedirectException,
    ServiceException,
    TooManyRequestsException,
    UnauthorizedException,
)

BAD_REQUEST_PAGE = b"<h1>Bad Request (400)</h1>"
OUTAGE = "try again later"
UNKNOWN = "ost often the ID is unknown, or the job is already cancelled"
SERVED = {
    "Server": "nginx",
    "Vary": "Accept, Cookie",
    "Allow": "DELETE, OPTIONS",
    "X-Frame-Options": "DENY",
    "Connection": "keep-alive",
}
"""What every response of the API carries."""

Call = Callable[[tator.JobApi], Any]


def job(api: tator.JobApi) -> Any:
    return api.delete_job(UID)


def group(api: tator.JobApi) -> Any:
    return api.delete_job_group(UID)


def group_of_project(api: tator.JobApi) -> Any:
    return api.delete_job_group(UID, project=7)


def call_api(path: str, method: str = "GET", **options: Any) -> Call:
    """A call of another endpoint, with the token."""
    options = {"auth_settings": ["TokenAuth"], "response_type": object, **options}
    options["_return_http_data_only"] = True
    return lambda api: api.api_client.call_api(path, method, **options)


class Done(NamedTuple):
    """A response that is a success."""

    call: Call
    sent: bytes
    result: object
    requests: int = 1


class Failed(NamedTuple):
    """A response that is an error; without a hint if there is nothing to say."""

    call: Call
    status: int
    sent: bytes
    kind: type[ApiException]
    maybe_applied: bool
    message: str | None
    hint: str | None
    location: str | None = None
    requests: int = 1
    key: str | None = f"Token {TOKEN}"


def done(message: str, kind: type = tator.InlineResponse2044) -> tuple[bytes, object]:
    """A message as it is sent, and the model that it is read as."""
    return body(message=message), kind(message=message)


DELETED = "Job with UID 1 deleted!"
GROUP_DELETED = "Deleted 2 jobs for project 7!"
IN_GROUP = tator.InlineResponse2045
A_JOB = {"id": "x", "uid": UID, "gid": UID, "project": 7, "status": "Running", "nodes": []}

SUCCESSES = {
    "a known ID": Done(job, *done(DELETED)),
    "a workflow that the database does not know to be gone": Done(job, *done(DELETED)),
    "a group, before September 2020": Done(group, *done("Deleted.", IN_GROUP)),
    "a group with its project, today": Done(group_of_project, *done(GROUP_DELETED, IN_GROUP)),
    "a group without jobs, today": Done(
        group_of_project, *done("Deleted 0 jobs for project 7!", IN_GROUP)
    ),
    "a job that is asked for": Done(call_api(f"/rest/Job/{UID}"), body(**A_JOB), A_JOB),
    "the jobs of an unknown group": Done(
        call_api("/rest/Jobs/7", query_params={"gid": UID}), b"[]", []
    ),
    "a transcode at its own endpoint": Done(
        call_api(f"/rest/Transcode/{UID}", "DELETE"),
        body(message="Deleted."),
        {"message": "Deleted."},
    ),
    "the options of a path": Done(call_api(f"/rest/Job/{UID}", "OPTIONS"), b"{}", {}),
}

THE_OPERATIONS = {
    "unknown, before June 2020": Failed(
        job, 500, ERROR_PAGE, ServiceException, True, None, f"{UNKNOWN}; a broken database"
    ),
    "unknown, before September 2020": Failed(
        job,
        400,
        failure(UNKNOWN_IN_AUGUST),
        BadRequestException,
        True,
        UNKNOWN_IN_AUGUST,
        f"{UNKNOWN}; a broken cluster or database",
    ),
    "unknown, today": Failed(
        job,
        404,
        body(message=""),
        NotFoundException,
        False,
        None,
        f"{UNKNOWN}; a server that can't",
    ),
    "a transcode, today": Failed(
        job, 404, body(message=""), NotFoundException, False, None, "DELETE /rest/Transcode/{uid}"
    ),
    "no Redis": Failed(
        job,
        400,
        failure("Error -2 connecting to redis:6379."),
        BadRequestException,
        True,
        "Error -2 connecting to redis:6379.",
        None,
    ),
    "a group that is cancelled already, before June 2020": Failed(
        group, 500, ERROR_PAGE, ServiceException, True, None, f"{UNKNOWN}; a broken database"
    ),
    "a group that is cancelled already, before September 2020": Failed(
        group,
        400,
        failure(UNKNOWN_IN_AUGUST),
        BadRequestException,
        True,
        UNKNOWN_IN_AUGUST,
        f"{UNKNOWN}; a broken cluster or database",
    ),
    "JobGroup, today": Failed(
        group,
        404,
        NOT_FOUND_PAGE,
        NotFoundException,
        False,
        None,
        "delete_job_group(group_id, project=...)",
    ),
    "a project, before September 2020": Failed(
        group_of_project,
        404,
        NOT_FOUND_PAGE,
        NotFoundException,
        False,
        None,
        "leave out project=",
    ),
    "an unknown project, today": Failed(
        group_of_project,
        404,
        body(message=""),
        NotFoundException,
        False,
        None,
        "Most often the project is unknown, or not yours; a server that can't",
    ),
    "a group that fails midway, today": Failed(
        group_of_project, 400, failure("Failed."), BadRequestException, True, "Failed.", None
    ),
    "a job that is asked for, before September 2020": Failed(
        call_api(f"/rest/Job/{UID}"),
        405,
        body(detail="Method not allowed."),
        ApiException,
        False,
        "Method not allowed.",
        "can't show a job",
    ),
    "an unknown job that is asked for, today": Failed(
        call_api(f"/rest/Job/{UID}"), 404, body(message=""), NotFoundException, False, None, None
    ),
}

NO_TOKEN, NO_PREFIX = "No token was sent", "The token was sent without a prefix"


def credentials(words: str, key: str | None, hint: str, **parts: str) -> dict[str, Failed]:
    """The responses to a token that the server does not know: before June 2020, and since."""
    rows = ((403, body(detail=words)), (400, failure(words)))
    return {
        f"{words} {hint} {status}": Failed(
            job, status, sent, UnauthorizedException, False, words, hint, key=key
        )
        for status, sent in rows
    }


WHO_IS_ASKING = {
    **credentials(NOT_PROVIDED, None, NO_TOKEN),
    **credentials(NOT_PROVIDED, TOKEN, NO_PREFIX),
    **credentials(NOT_PROVIDED, f"Bearer {TOKEN}", "accepts no token with this prefix"),
    **credentials("Invalid token.", f"Token {TOKEN}", "Copy the token again"),
    **credentials(SPACES, "Token two words", "Copy the token again"),
    **credentials(INACTIVE, f"Token {TOKEN}", "Ask an administrator"),
    "no token and an unknown ID, before June 2020": Failed(
        job, 500, ERROR_PAGE, ServiceException, True, None, NO_TOKEN, key=None
    ),
    "no token and an unknown ID, before September 2020": Failed(
        job,
        400,
        failure(UNKNOWN_IN_AUGUST),
        BadRequestException,
        True,
        UNKNOWN_IN_AUGUST,
        NO_TOKEN,
        key=None,
    ),
    "no token and an unknown ID, today": Failed(
        job, 404, body(message=""), NotFoundException, False, None, NO_TOKEN, key=None
    ),
    "no permission, before June 2020": Failed(
        job,
        403,
        body(detail="Insufficient permission to do this."),
        ForbiddenException,
        False,
        "Insufficient permission to do this.",
        "permission to execute, or for full control",
    ),
    "no permission, before September 2020": Failed(
        job,
        403,
        body(message="Insufficient permission to do this."),
        ForbiddenException,
        False,
        "Insufficient permission to do this.",
        "permission to execute, or for full control",
    ),
    "no permission, today": Failed(
        group_of_project,
        403,
        body(message="You do not have permission to perform this action."),
        ForbiddenException,
        False,
        "You do not have permission to perform this action.",
        "permission to execute, or for full control",
    ),
    "too many requests": Failed(
        job,
        400,
        body(message="Request was throttled. Expected available in 31 seconds."),
        TooManyRequestsException,
        False,
        "Request was throttled. Expected available in 31 seconds.",
        "asks you to wait 31 s",
    ),
    "too many requests without a token": Failed(
        job,
        400,
        body(message="Request was throttled. Expected available in 31 seconds."),
        TooManyRequestsException,
        False,
        "Request was throttled. Expected available in 31 seconds.",
        NO_TOKEN,
        key=None,
    ),
    "an expired JWT": Failed(
        job,
        401,
        body(error="Authentication failed", detail="Please provide or refresh your token."),
        UnauthorizedException,
        False,
        "Please provide or refresh your token.",
        "has expired or is not valid: refresh it",
        key="Bearer eyJ0.eyJ1.x",
    ),
    "no token, with fine-grained permissions": Failed(
        job, 400, failure(ANONYMOUS), BadRequestException, True, ANONYMOUS, NO_TOKEN, key=None
    ),
}

WORK_THAT_FAILS = {
    "Kubernetes rejects": Failed(
        job, 400, failure(KUBERNETES), BadRequestException, True, KUBERNETES, None
    ),
    "a failure after the cancellation": Failed(
        job,
        400,
        failure("name 'e' is not defined"),
        BadRequestException,
        True,
        "name 'e' is not defined",
        "most often the job is cancelled",
    ),
    "a failure after the first jobs of a group": Failed(
        group,
        400,
        failure("name 'e' is not defined"),
        BadRequestException,
        True,
        "name 'e' is not defined",
        "most often some jobs of the group are cancelled",
    ),
    "an algorithm that is not registered, before June 2020": Failed(
        job,
        404,
        body(message="Algorithm x does not exist."),
        NotFoundException,
        False,
        "Algorithm x does not exist.",
        None,
    ),
    "an algorithm that is not registered, before September 2020": Failed(
        job,
        400,
        failure("Algorithm x does not exist."),
        BadRequestException,
        True,
        "Algorithm x does not exist.",
        None,
    ),
    "HTML is asked for, before June 2020": Failed(
        call_api(f"/rest/Job/{UID}", "DELETE", header_params={"Accept": "text/html"}),
        500,
        ERROR_PAGE,
        ServiceException,
        True,
        None,
        UNKNOWN,
    ),
    "another format is asked for": Failed(
        call_api(f"/rest/Job/{UID}", "DELETE", header_params={"Accept": "application/xml"}),
        406,
        body(detail="Could not satisfy the Accept header."),
        ApiException,
        False,
        "Could not satisfy the Accept header.",
        None,
    ),
    "a body that is not JSON": Failed(
        call_api(f"/rest/Job/{UID}", "DELETE", body="x"),
        400,
        failure("JSON parse error"),
        BadRequestException,
        True,
        "JSON parse error",
        None,
    ),
    "nginx stops waiting": Failed(
        job,
        504,
        b"<html>Gateway Time-out</html>",
        ServiceException,
        True,
        None,
        "check the job on the server first",
    ),
}

IN_FRONT = {
    "a path outside the API": Failed(
        call_api("/rest/Nothing", "DELETE"),
        404,
        NOT_FOUND_PAGE,
        NotFoundException,
        False,
        None,
        "There is no such path on this server: check Configuration.host (or TATOR_HOST)",
    ),
    "the login page": Failed(
        call_api("/rest/"),
        302,
        b"",
        RedirectException,
        False,
        None,
        "which is another endpoint: check Configuration.host (or TATOR_HOST)",
        location="/accounts/login/?next=/rest/",
    ),
    "another method, before June 2020": Failed(
        call_api(f"/rest/Job/{UID}", "PUT"),
        405,
        body(detail="Method not allowed."),
        ApiException,
        False,
        "Method not allowed.",
        None,
    ),
    "another method, today": Failed(
        call_api(f"/rest/Job/{UID}", "PUT"),
        400,
        failure("Operation put not found for Job."),
        BadRequestException,
        True,
        "Operation put not found for Job.",
        None,
    ),
    "another method, behind nginx": Failed(
        call_api(f"/rest/Job/{UID}", "PUT"),
        200,
        b"<html>Welcome</html>",
        tator.ApiResponseError,
        True,
        "not a valid Tator response",
        "Check that Configuration.host (or TATOR_HOST) is a Tator server",
    ),
    "a host that the server does not know": Failed(
        job,
        400,
        BAD_REQUEST_PAGE,
        BadRequestException,
        True,
        None,
        "The server does not accept this host name",
    ),
    "an ID that is too long for gunicorn": Failed(
        job, 400, b"<html>Request Line is too large</html>", BadRequestException, True, None, None
    ),
    "an ID that is too long for nginx": Failed(
        job, 414, b"<html>Request-URI Too Large</html>", ApiException, False, None, None
    ),
    "http on the port of https": Failed(
        job,
        400,
        b"<html>The plain HTTP request was sent to HTTPS port</html>",
        BadRequestException,
        True,
        None,
        "write https://",
    ),
    "http on the port of http": Failed(
        job,
        301,
        b"<html>Moved Permanently</html>",
        RedirectException,
        False,
        None,
        "set Configuration.host (or TATOR_HOST) to 'https://tator.test'",
        location=f"https://tator.test/rest/Job/{UID}",
    ),
    "the backend is down": Failed(
        job, 502, b"<html>Bad Gateway</html>", ServiceException, True, None, OUTAGE, requests=3
    ),
    "maintenance": Failed(
        job, 503, b"<html>Unavailable</html>", ServiceException, True, None, OUTAGE, requests=3
    ),
    "a wrong password": Failed(
        call_api(
            "/rest/Token", "POST", body={"username": "u", "password": "p"}, auth_settings=None
        ),
        400,
        body(non_field_errors=["Unable to log in."]),
        BadRequestException,
        True,
        "Unable to log in.",
        None,
    ),
}
ERRORS = {**THE_OPERATIONS, **WHO_IS_ASKING, **WORK_THAT_FAILS, **IN_FRONT}


@pytest.mark.parametrize("row", SUCCESSES.values(), ids=SUCCESSES)
def test_a_success_is_returned_after_one_request(row: Done) -> None:
    """Its data is read as the operation says."""
    with Peer(answering(http(200, row.sent, SERVED), keep=True)) as peer:
        assert row.call(make_api(peer.host)) == row.result
        assert len(peer.requests) == row.requests


@pytest.mark.usefixtures("no_backoff")
@pytest.mark.parametrize("row", ERRORS.values(), ids=ERRORS)
def test_an_error_says_what_is_known_and_what_to_do(row: Failed) -> None:
    """Only what may work the next time is sent again."""
    headers = SERVED if row.location is None else {**SERVED, "Location": row.location}
    with Peer(answering(http(row.status, row.sent, headers), keep=True)) as peer:
        api = make_api(peer.host, api_key={"Authorization": row.key} if row.key else {})
        api.api_client.configuration.api_key_prefix = {}
        with pytest.raises(ApiException) as caught:
            row.call(api)
        error = caught.value
        assert type(error) is row.kind
        assert (error.status, error.maybe_applied) == (row.status, row.maybe_applied)
        assert (error.attempts, len(peer.requests)) == (row.requests, row.requests)
        assert error.message == row.message or str(error.message).startswith(f"{row.message} (")
        assert (error.hint is None) is (row.hint is None)
        assert (row.hint or "") in str(error)
        assert TOKEN not in str(error)


def test_a_throttled_request_is_sent_again_when_the_server_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The words name the wait; there is no header."""
    slept: list[float] = []
    throttled = body(message="Request was throttled. Expected available in 1 second.")
    with Peer(answering(http(400, throttled, SERVED), http(200), keep=True)) as peer:
        api = make_api(peer.host, retries=0)
        with monkeypatch.context() as patch:
            patch.setattr(time, "sleep", slept.append)
            assert api.delete_job(UID).message == "Done."
        assert len(peer.requests) == 2
    assert slept[0] == 1
