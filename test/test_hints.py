"""A hint says what to do next, for every response that real servers are known for."""

from __future__ import annotations

import json
from typing import Any

import pytest
from test_meaning import (
    ANONYMOUS,
    ERROR_PAGE,
    INACTIVE,
    NOT_FOUND_PAGE,
    NOT_PROVIDED,
    SPACES,
    THROTTLED,
    UNKNOWN_IN_AUGUST,
    body,
    failure,
)

import tator
from tator import ApiException
from tator.hints import Credentials, hint_for
from tator.meaning import meaning_of

pytestmark = pytest.mark.fast

HOST = "https://tator.example/prefix"
JOB, GROUP = "/rest/Job/uid", "/rest/JobGroup/gid"
GROUP_OF_A_PROJECT = "/rest/Jobs/7?gid=gid"
PREFIX_LINE = "configuration.api_key_prefix['Authorization'] = 'Token'"
WITH_TOKEN = Credentials(are_needed=True, sent="Token abc", are_set=True)
WITHOUT_TOKEN = Credentials(are_needed=True, sent=None, are_set=False)
WITHOUT_PREFIX = Credentials(are_needed=True, sent="abc", are_set=True)


def error_of(
    status: int,
    data: bytes = b"",
    path: str = JOB,
    method: str = "DELETE",
    headers: dict[str, str] | None = None,
) -> ApiException:
    """The error that tator makes of a response."""
    meaning = meaning_of(status, headers or {}, data)
    return meaning.kind(
        status,
        "Reason",
        body=data.decode(),
        headers=headers,
        message=meaning.message,
        method=method,
        url=HOST + path,
        retry_after=meaning.retry_after,
    )


def hint(*args: Any, credentials: Credentials = WITH_TOKEN, **options: Any) -> str | None:
    return hint_for(error_of(*args, **options), credentials)


def test_an_unknown_id_is_named_on_each_server() -> None:
    """With what else looks the same there; none of the three proves that the job is cancelled."""
    unknown = "Most often the ID is unknown, or the job is already cancelled; "
    in_may = (
        f"On servers from before June 2020, m{unknown[1:]}a broken database looks the same. On"
        " newer ones, check the job."
    )
    assert hint(500, ERROR_PAGE) == hint(500, ERROR_PAGE, GROUP) == in_may
    in_august = f"{unknown}a broken cluster or database can look the same."
    assert hint(400, failure(UNKNOWN_IN_AUGUST)) == in_august
    today = f"{unknown}a server that can't reach its cluster responds the same way."
    assert hint(404, body(message="")) == (
        f"{today} If it is a transcode, cancel it with DELETE /rest/Transcode/{{uid}}; if it is a"
        " group, call delete_job_group."
    )
    assert hint(404, body(message=""), "/rest/Transcode/uid") == today


@pytest.mark.parametrize(
    ("status", "data", "path", "method"),
    [
        (404, body(message=""), JOB, "GET"),
        (404, body(message=""), "/rest/Media/5", "DELETE"),
        (404, body(message="Algorithm x does not exist."), JOB, "DELETE"),
        (404, body(message="Algorithm x does not exist."), GROUP, "DELETE"),
        (500, ERROR_PAGE, JOB, "GET"),
        (500, ERROR_PAGE, "/rest/Media/5", "DELETE"),
        (403, body(message="No."), JOB, "GET"),
        (403, body(message="No."), "/rest/Media/5", "DELETE"),
        (403, b"<html>Blocked</html>", JOB, "DELETE"),
        (400, failure("(500)\nReason: Kubernetes is busy"), JOB, "DELETE"),
        (400, failure("Error -2 connecting to redis:6379."), JOB, "DELETE"),
        (400, failure("Operation put not found for job."), JOB, "PUT"),
        (400, b"<html>Request Header Too Large</html>", JOB, "DELETE"),
        (405, body(detail="Not allowed."), JOB, "PUT"),
        (405, body(detail="Not allowed."), GROUP, "GET"),
        (405, b"<html>Not allowed</html>", JOB, "GET"),
        (406, body(detail="Not acceptable."), JOB, "DELETE"),
        (409, b"{}", JOB, "DELETE"),
        (414, b"<html>Too large</html>", JOB, "DELETE"),
        (501, b"", JOB, "DELETE"),
    ],
)
def test_a_response_without_a_known_remedy_has_no_hint(
    status: int, data: bytes, path: str, method: str
) -> None:
    """A general hint would not help with these statuses."""
    assert hint(status, data, path, method) is None


def test_a_server_that_cannot_show_a_job_is_named_as_an_old_one() -> None:
    """What is left there is to cancel the job again."""
    told = str(hint(405, body(detail='Method "GET" not allowed.'), JOB, "GET"))
    assert told.startswith("Tator servers from before September 2020 can't show a job.")
    assert told.endswith("cancel it again.")


def test_a_lost_connection_says_what_to_do_about_the_job() -> None:
    """Only if it may be cancelled: a request that was never sent, or changes nothing, has none."""
    lost: dict[str, Any] = {
        "reason": "Connection lost: reset",
        "method": "DELETE",
        "url": HOST + JOB,
    }
    told = hint_for(tator.ApiConnectionError(**lost, maybe_applied=True), WITH_TOKEN)
    assert told == "Check it on the server, or cancel it again."
    assert hint_for(tator.ApiConnectionError(**lost, maybe_applied=False), WITH_TOKEN) is None
    lost["method"] = "GET"
    assert hint_for(tator.ApiConnectionError(**lost, maybe_applied=True), WITH_TOKEN) is None


@pytest.mark.parametrize("path", [GROUP, "/rest/JobGroup/uid"])
def test_a_404_of_a_server_without_job_groups_is_explained(path: str) -> None:
    """The hint names the argument that works there."""
    assert "delete_job_group(group_id, project=...)" in str(hint(404, NOT_FOUND_PAGE, path))


def test_a_404_of_a_server_without_projects_is_explained() -> None:
    """The hint says to leave the argument out; another request there has no group to cancel."""
    told = str(hint(404, NOT_FOUND_PAGE, GROUP_OF_A_PROJECT))
    assert told.endswith("leave out project=.")
    assert "no such path" in str(hint(404, NOT_FOUND_PAGE, GROUP_OF_A_PROJECT, "GET"))


@pytest.mark.parametrize("data", [NOT_FOUND_PAGE, b"", b"not found"])
def test_a_path_outside_the_api_points_to_the_host(data: bytes) -> None:
    """Tator itself responds with JSON."""
    told = (
        "There is no such path on this server: check Configuration.host, the resource_path of"
        " call_api, and whether servers of this age have the path."
    )
    assert hint(404, data) == told


ANY_ERROR = [
    (status, data)
    for status in (400, 401, 403, 404, 405, 409, 429, 500)
    for data in (b"<html></html>", body(message=""), failure(NOT_PROVIDED), failure(THROTTLED))
]


@pytest.mark.parametrize(("status", "data"), ANY_ERROR)
def test_a_missing_token_is_named_first(status: int, data: bytes) -> None:
    """It is the likeliest cause of any 4xx and 500."""
    told = str(hint(status, data, credentials=WITHOUT_TOKEN))
    assert told.startswith("No token was sent: pass it to tator.get_api(host, token), or set ")
    assert PREFIX_LINE in told
    assert "TATOR_TOKEN is used only with the host from TATOR_HOST" in told


@pytest.mark.parametrize(("status", "data"), ANY_ERROR)
def test_a_missing_prefix_is_named_first(status: int, data: bytes) -> None:
    """The hint has the line to add."""
    told = str(hint(status, data, credentials=WITHOUT_PREFIX))
    assert told.startswith(f"The token was sent without a prefix: add {PREFIX_LINE}.")
    assert "abc" not in told


@pytest.mark.parametrize("sent", ["Token Token abc", "token Token abc", "Bearer bearer x"])
def test_a_prefix_that_is_there_twice_is_named_first(sent: str) -> None:
    """Nothing is stripped; the hint says where it may stand."""
    for status, data in ANY_ERROR:
        told = str(
            hint(status, data, credentials=Credentials(are_needed=True, sent=sent, are_set=True))
        )
        assert told.startswith("The token was sent with its prefix twice")
        assert "abc" not in told


def test_a_hint_about_the_response_follows_the_one_about_the_token() -> None:
    """Without a token, an unknown ID looks the same as a known one."""
    told = str(hint(404, body(message=""), credentials=WITHOUT_TOKEN))
    assert told.index("No token was sent") < told.index("already cancelled")
    told = str(hint(400, body(message=THROTTLED), credentials=WITHOUT_TOKEN))
    assert told.index("No token was sent") < told.index("asks you to wait 1 s")


@pytest.mark.parametrize("words", [NOT_PROVIDED, "Invalid token.", ANONYMOUS])
def test_an_unauthorized_request_has_one_hint(words: str) -> None:
    """What was wrong with the token is all there is to say."""
    told = str(hint(400, failure(words), credentials=WITHOUT_PREFIX))
    assert told == f"The token was sent without a prefix: add {PREFIX_LINE}."


@pytest.mark.parametrize("status", [302, 407, 502, 503, 504])
def test_other_statuses_say_nothing_of_the_token(status: int) -> None:
    """A proxy or a load balancer in front of Tator sends them."""
    assert "token" not in str(hint(status, b"", credentials=WITHOUT_TOKEN)).lower()


def test_an_operation_without_authentication_says_nothing_of_the_token() -> None:
    """Unless the server asks for it."""
    public = Credentials(are_needed=False, sent=None, are_set=False)
    assert hint(404, body(message="Gone."), credentials=public) is None
    assert "No token was sent" in str(hint(401, credentials=public))


def test_a_token_that_call_api_kept_is_named() -> None:
    """A call of another endpoint sends the token only with `auth_settings`."""
    kept = Credentials(are_needed=False, sent=None, are_set=True)
    told = hint(400, failure(NOT_PROVIDED), credentials=kept)
    assert told == "No token was sent: pass auth_settings=['TokenAuth'] to call_api."


@pytest.mark.parametrize("words", [NOT_PROVIDED, "Invalid token.", ANONYMOUS])
def test_credentials_in_another_header_are_named_if_they_are_not_accepted(words: str) -> None:
    """The token was not to be sent, so nothing is said of it."""
    other = Credentials(are_needed=True, sent=None, are_set=False, other_header="X-Lab")
    told = (
        "The server does not accept the credentials in the header X-Lab: check their value, or pass"
        " auth_settings=['TokenAuth'] to call_api."
    )
    assert hint(400, failure(words), credentials=other) == told
    assert "oken" not in str(hint(404, body(message=""), credentials=other))


@pytest.mark.parametrize(
    ("status", "data", "told"),
    [
        (403, body(detail=NOT_PROVIDED), "The server accepts no token with this prefix."),
        (400, failure(NOT_PROVIDED), "The server accepts no token with this prefix."),
        (
            400,
            failure(ANONYMOUS),
            "The server accepts no token with this prefix.",
        ),
        (403, body(detail="Invalid token."), "Copy the token again"),
        (400, failure("Invalid token."), "Copy the token again"),
        (403, body(detail=SPACES), "Copy the token again"),
        (400, failure(SPACES), "Copy the token again"),
        (403, body(detail=INACTIVE), "Ask an administrator"),
        (400, failure(INACTIVE), "Ask an administrator"),
        (
            401,
            b"<html>Who?</html>",
            "Check the token in configuration.api_key (or TATOR_TOKEN), and its prefix.",
        ),
    ],
)
def test_a_rejected_token_says_what_is_wrong_with_it(status: int, data: bytes, told: str) -> None:
    """In the same words on all servers."""
    assert str(hint(status, data)).startswith(told)


@pytest.mark.parametrize(
    "data",
    [
        body(error="Authentication failed", detail="Please provide or refresh your token."),
        body(error="Authentication failed"),
    ],
)
def test_the_hint_for_an_expired_token_is_to_refresh_it(data: bytes) -> None:
    """It does not propose another prefix."""
    told = str(
        hint(
            401,
            data,
            credentials=Credentials(are_needed=True, sent="Bearer eyJ0.eyJ1.x", are_set=True),
        )
    )
    assert told == "The token has expired or is not valid: refresh it, and set it again."


@pytest.mark.parametrize("path", [JOB, GROUP, GROUP_OF_A_PROJECT, "/rest/Transcode/uid"])
def test_a_missing_permission_says_whom_to_ask(path: str) -> None:
    """Two permissions let a user cancel on every server."""
    for key in ("detail", "message"):
        told = str(hint(403, body(**{key: "Insufficient permission to cancel."}), path))
        assert "permission to execute, or for full control" in told


@pytest.mark.parametrize(
    ("status", "data", "headers", "told"),
    [
        (400, body(message=THROTTLED), {}, "asks you to wait 1 s before"),
        (429, b"", {"Retry-After": "86400"}, "asks you to wait 86400 s before"),
        (503, b"<html></html>", {"Retry-After": "120"}, "asks you to wait 120 s before"),
        (429, b"", {}, "too many requests"),
        (400, body(detail="Request was throttled."), {}, "too many requests"),
    ],
)
def test_the_hint_names_the_wait_that_the_server_asks_for(
    status: int, data: bytes, headers: dict[str, str], told: str
) -> None:
    """The hint has the seconds, if the server names them."""
    assert told in str(hint(status, data, headers=headers))


def test_a_part_of_a_second_is_not_shown_as_zero() -> None:
    """A date may be less than a second away."""
    error = error_of(429)
    error.retry_after = 0.2
    assert "asks you to wait 1 s" in str(hint_for(error, WITH_TOKEN))


def test_a_failure_after_the_cancellation_says_that_the_job_is_cancelled() -> None:
    """Of a group, the first jobs are; fewer requests at once help."""
    told = str(hint(400, failure("name 'e' is not defined")))
    assert "most often the job is cancelled." in told
    assert "if several requests arrive at once" in told
    assert "for example with max_workers=1" in told
    told = str(hint(400, failure("name 'e' is not defined"), GROUP))
    assert "most often some jobs of the group are cancelled." in told


@pytest.mark.parametrize(
    ("status", "data", "told"),
    [
        (400, b"<h1>Bad Request (400)</h1>", "The server does not accept this host name"),
        (
            400,
            b"<html>The plain HTTP request was sent to HTTPS port</html>",
            "write https:// in Configuration.host",
        ),
        (407, b"<html>Who?</html>", "put them in Configuration.proxy"),
        (502, b"<html>Bad Gateway</html>", "try again later"),
        (503, b"<html>Maintenance</html>", "try again later"),
        (504, b"<html>Late</html>", "check the job on the server first"),
        (999, b"", "Check that Configuration.host is a Tator server."),
    ],
)
def test_the_hint_names_the_likely_source_of_a_status(status: int, data: bytes, told: str) -> None:
    """It names the setting to check, if there is one."""
    assert told in str(hint(status, data))


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_the_hint_for_a_late_response_that_changes_nothing_is_to_send_it_again(
    method: str,
) -> None:
    """There is no job to check."""
    again = "This request changes nothing, so you can send it again."
    assert hint(504, b"<html>Late</html>", "/rest/Job/uid", method) == again


@pytest.mark.parametrize(("method", "doubt"), [("GET", False), ("DELETE", True), ("POST", True)])
def test_only_a_request_that_changes_something_may_have_been_applied(
    method: str, doubt: bool
) -> None:
    """The hint about a response that is not Tator's has the doubt, or not."""
    told = str(hint(999, b"", JOB, method))
    assert told.startswith("This response is not from the endpoint")
    assert ("applied" in told) is doubt


def test_a_host_of_one_call_is_named_as_its_argument() -> None:
    """The configured host is not the one to check."""
    here = Credentials(are_needed=True, sent="Token abc", are_set=True, host_setting="_host")
    told = str(hint(404, NOT_FOUND_PAGE, credentials=here))
    assert "check _host, the resource_path" in told
    told = str(hint(301, b"", headers={"Location": f"https://new{JOB}"}, credentials=here))
    assert told.endswith("set _host to 'https://new'.")


@pytest.mark.parametrize(
    ("location", "host"),
    [
        ("https://new.example/rest/Job/uid", "https://new.example"),
        ("https://new.example:8443/a/b/rest/Job/uid", "https://new.example:8443/a/b"),
        ("//new.example/rest/Job/uid?x=1", "https://new.example"),
        ("/auth/rest/Job/uid", "https://tator.example/auth"),
    ],
)
def test_a_redirect_to_the_same_endpoint_proposes_its_host(location: str, host: str) -> None:
    """With that host, the next call gets there without a redirect."""
    told = str(hint(301, b"", headers={"Location": location}))
    assert told.endswith(f"set Configuration.host to {host!r}.")


@pytest.mark.parametrize(
    "location",
    [
        "/accounts/login/?next=/rest/Job/uid",
        "https://sso.example/?next=https://tator.example/rest/Job/uid",
        "https://sso.example/auth/realms/tator?redirect_uri=/rest/Job/uid",
        "https://sso.example/#/rest/Job/uid",
        "https://new.example/rest/Job/other",
        "https://new.example/rest/Job/uid/",
        "https://new.example/",
        "/",
        "ftp://new.example/rest/Job/uid",
        "https://user:word@new.example/rest/Job/uid",
        "https://new.example:99999/rest/Job/uid",
        "http://[x",
    ],
)
def test_a_redirect_elsewhere_proposes_no_host(location: str) -> None:
    """A login page would take the token."""
    told = str(hint(302, b"", headers={"Location": location}))
    assert told.endswith("which is another endpoint: check Configuration.host.")
    assert location.rpartition("/")[2] in told


def test_a_redirect_from_https_to_http_proposes_no_host() -> None:
    """The token would be sent where others can read it; https instead of http is proposed."""
    here, there = f"{HOST}{JOB}", f"{HOST}{JOB}".replace("https:", "http:")
    told = str(hint(301, b"", headers={"Location": there}))
    assert told == (
        f"tator does not follow redirects. This one leads to {there}, without TLS: check"
        " Configuration.host, and ask the server's operators."
    )
    plain = error_of(301, headers={"Location": here})
    plain.url = there
    assert f"set Configuration.host to '{HOST}'" in str(hint_for(plain, WITH_TOKEN))


def test_a_redirect_without_a_target_says_so() -> None:
    """There is nothing to show."""
    for headers in (None, {}, {"Location": ""}):
        assert "no target: check Configuration.host" in str(hint(301, b"", headers=headers))


def test_an_error_keeps_the_hint_that_it_was_made_with() -> None:
    """What went wrong before a response knows better."""
    error: ApiException = tator.ApiTlsError(reason="x", hint="Set it.", method="DELETE", url=HOST)
    assert hint_for(error, WITHOUT_TOKEN) == "Set it."
    assert hint_for(tator.ApiConnectionError(reason="x"), WITHOUT_TOKEN) is None
    error = tator.ApiResponseError(200, "OK", body=json.dumps("x"))
    assert "it is unknown whether the request was applied." in str(hint_for(error, WITHOUT_TOKEN))
