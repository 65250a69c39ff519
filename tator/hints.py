"""What to do next about an error: one or two sentences that say no more than is known."""

from __future__ import annotations

import re
from collections.abc import Callable
from math import ceil
from urllib.parse import urljoin, urlsplit

from tator import checks
from tator.exceptions import (
    ApiConnectionError,
    ApiException,
    ApiProxyError,
    ApiResponseError,
    RedirectException,
    TooManyRequestsException,
    UnauthorizedException,
)
from tator.record import Record
from tator.transport.failures import STILL_WORKING

_PREFIX_LINE = "configuration.api_key_prefix['Authorization'] = 'Token'"
# What servers with fine-grained permissions make of a request whose token they do not read.
CHECK_OR_REPEAT: str = "Check it on the server, or cancel it again."
_ANONYMOUS = "'AnonymousUser' object has no attribute"
# What an error about a response of another type begins with.
NO_MATCH = "the response does not match response_type"
_JOBS_PATH = r"/rest/(Job|JobGroup|Jobs|Transcode)/"


class Credentials(Record):
    """What a hint needs to know about the token of a request.

    Attributes:
        are_needed: Whether the operation asks for TokenAuth.
        sent: The Authorization header of the request, if any.
        are_set: Whether the configuration has a token.
        host_setting: Where the host of the request is set.
        other_header: The header that has other credentials in place of the token, if any.
    """

    are_needed: bool
    sent: str | None
    are_set: bool
    host_setting: str = "Configuration.host"
    other_header: str | None = None


def hint_for(error: ApiException, credentials: Credentials) -> str | None:
    """Return what to do next about an error; the token is first, as the likeliest cause."""
    about_token = None
    is_anonymous = (error.message or "").startswith(_ANONYMOUS)
    is_unauthorized = is_anonymous or isinstance(error, UnauthorizedException)
    if credentials.other_header is not None:
        about_token = _about_other(credentials.other_header) if is_unauthorized else None
    # 500, too: the oldest servers look the job up before they check the token, and fail with a 500.
    elif 400 <= error.status <= 500 and not isinstance(error, ApiProxyError):
        about_token = _about_token(error, credentials)
    about_response = error.hint or _about_response(error)
    if about_response == STILL_WORKING and error.method in checks.SAFE_METHODS:
        about_response = "This request changes nothing, so you can send it again."
    if is_unauthorized:
        hint = about_token or about_response
    else:
        hint = " ".join(filter(None, (about_token, about_response)))
    return hint.replace("Configuration.host", credentials.host_setting) if hint else None


def _about_other(header: str) -> str:
    return (
        f"The server does not accept the credentials in the header {header}: check their value, or"
        " pass auth_settings=['TokenAuth'] to call_api."
    )


def _about_token(error: ApiException, credentials: Credentials) -> str | None:
    if not (credentials.are_needed or isinstance(error, UnauthorizedException)):
        return None
    if credentials.sent is None and credentials.are_set and not credentials.are_needed:
        return "No token was sent: pass auth_settings=['TokenAuth'] to call_api."
    if credentials.sent is None:
        return (
            "No token was sent: pass it to tator.get_api(host, token), or set"
            f" configuration.api_key['Authorization'] and {_PREFIX_LINE} (TATOR_TOKEN is used only"
            " with the host from TATOR_HOST)."
        )
    words = credentials.sent.split()
    if len(words) == 1:
        return f"The token was sent without a prefix: add {_PREFIX_LINE}."
    if words[0].lower() == words[1].lower():
        return (
            "The token was sent with its prefix twice: leave the prefix out of"
            " configuration.api_key, or out of configuration.api_key_prefix."
        )
    return None


def _about_response(error: ApiException) -> str | None:
    if isinstance(error, ApiResponseError):
        return _about_unreadable(error)
    if isinstance(error, ApiConnectionError) and error.maybe_applied and _is_cancellation(error):
        return CHECK_OR_REPEAT
    if isinstance(error, RedirectException):
        return _about_redirect(error)
    if isinstance(error, ApiProxyError):
        return "The proxy asks for a user name and a password: put them in Configuration.proxy."
    if isinstance(error, UnauthorizedException):
        return _about_credentials(error.message or "")
    if isinstance(error, TooManyRequestsException) or error.retry_after is not None:
        return _about_waiting(error)
    about_status = _BY_STATUS.get(error.status)
    return about_status(error) if about_status else None


def _about_unreadable(error: ApiException) -> str:
    if (error.message or "").startswith(NO_MATCH):
        return "Check response_type: object accepts any JSON."
    is_safe = error.method in checks.SAFE_METHODS
    unknown_outcome = "" if is_safe else ", so it is unknown whether the request was applied"
    return (
        f"This response is not from the endpoint{unknown_outcome}. Check that Configuration.host"
        " is a Tator server."
    )


def _about_redirect(error: ApiException) -> str:
    """Say where a redirect leads, and the host to set if the same endpoint is there.

    Never a host without TLS in place of one with it: the token would be sent where others read it.
    """
    location = (error.headers or {}).get("Location")
    if not location:
        return (
            "tator does not follow redirects, and this one has no target: check Configuration.host."
        )
    url = error.url or ""
    # From "/rest/" on: a prefix of the host may be before it.
    endpoint = "".join(urlsplit(url).path.rpartition("/rest/")[1:])
    try:
        target = urljoin(url, location)
        before, _, after = target.partition("?")[0].rpartition(endpoint)
        host = None if after else checks.host("host", before)
    except ValueError:
        target, host = repr(location), None
    leads = f"tator does not follow redirects. This one leads to {target}"
    if host is None:
        return f"{leads}, which is another endpoint: check Configuration.host."
    if host.startswith("http:") and url.startswith("https:"):
        return f"{leads}, without TLS: check Configuration.host, and ask the server's operators."
    return f"{leads}: set Configuration.host to {host!r}."


def _about_credentials(message: str) -> str:
    if "refresh" in message or "Authentication failed" in message:
        return "The token has expired or is not valid: refresh it, and set it again."
    if message.startswith("Authentication credentials"):
        return (
            f"The server accepts no token with this prefix. For an API token, set {_PREFIX_LINE}."
        )
    if message.startswith("User inactive"):
        return "Ask an administrator of the server to activate the user."
    if message.startswith("Invalid token"):
        return "Copy the token again from your account: the server does not know this one."
    return "Check the token in configuration.api_key (or TATOR_TOKEN), and its prefix."


def _about_waiting(error: ApiException) -> str:
    if error.retry_after is None:
        return "There were too many requests: wait before the next one."
    return f"The server asks you to wait {ceil(error.retry_after)} s before the next request."


def _about_bad_request(error: ApiException) -> str | None:
    message, body = error.message or "", error.body or ""
    if message.startswith("local variable 'project' referenced before assignment"):
        return _unknown_or_cancelled("a broken cluster or database can look the same")
    if message.startswith("name 'e' is not defined"):
        most_often = (
            "some jobs of the group are cancelled"
            if "/rest/JobGroup/" in _path_of(error)
            else "the job is cancelled"
        )
        return (
            "Servers of this age fail like this after a cancellation, if several requests arrive at"
            f" once: most often {most_often}. Send fewer at once, for example with max_workers=1"
            " in bulk."
        )
    if message.startswith(_ANONYMOUS):
        return _about_credentials("Authentication credentials")
    if "plain http request" in body.lower():
        return "The port speaks https: write https:// in Configuration.host."
    if "<h1>Bad Request (400)</h1>" in body:
        return (
            "The server does not accept this host name: set Configuration.host to the name in the"
            " server's own settings."
        )
    return None


def _about_permission(error: ApiException) -> str | None:
    if not (_is_json(error) and _is_cancellation(error)):
        return None
    return (
        "Ask an owner of the job's project for permission to execute, or for full control:"
        " either one lets you cancel."
    )


def _about_not_found(error: ApiException) -> str | None:
    path = _path_of(error)
    if _is_json(error):
        if error.message is not None or not _is_cancellation(error):
            return None
        looks_the_same = "a server that can't reach its cluster responds the same way"
        if "/rest/Jobs/" in path:
            return f"Most often the project is unknown, or not yours; {looks_the_same}."
        unknown = _unknown_or_cancelled(looks_the_same)
        others = (
            " If it is a transcode, cancel it with DELETE /rest/Transcode/{uid}; if it is a group,"
            " call delete_job_group."
        )
        return unknown + others if "/rest/Job/" in path else unknown
    if "/rest/JobGroup/" in path:
        return (
            "Tator servers released since September 2020 have no JobGroup endpoint: call"
            " delete_job_group(group_id, project=...) with the project's number."
        )
    if error.method == "DELETE" and "/rest/Jobs/" in path:
        return (
            "Tator servers from before September 2020 cancel a group without its project: leave"
            " out project=."
        )
    return (
        "There is no such path on this server: check Configuration.host, the resource_path of"
        " call_api, and whether servers of this age have the path."
    )


def _about_method(error: ApiException) -> str | None:
    if error.method != "GET" or not (_is_json(error) and "/rest/Job/" in _path_of(error)):
        return None
    return (
        "Tator servers from before September 2020 can't show a job. To find out whether you have"
        " cancelled it, cancel it again."
    )


def _about_server_error(error: ApiException) -> str | None:
    if not _is_cancellation(error):
        return None
    when = "On servers from before June 2020, most often"
    unknown = _unknown_or_cancelled("a broken database looks the same", when)
    return f"{unknown} On newer ones, check the job."


def _about_outage(error: ApiException) -> str:
    return "The server may be down or under maintenance: try again later."


def _about_gateway_timeout(error: ApiException) -> str:
    return STILL_WORKING


_BY_STATUS: dict[int, Callable[[ApiException], str | None]] = {
    400: _about_bad_request,
    403: _about_permission,
    404: _about_not_found,
    405: _about_method,
    500: _about_server_error,
    502: _about_outage,
    503: _about_outage,
    504: _about_gateway_timeout,
}


def _unknown_or_cancelled(looks_the_same: str, when: str = "Most often") -> str:
    return f"{when} the ID is unknown, or the job is already cancelled; {looks_the_same}."


def _path_of(error: ApiException) -> str:
    return urlsplit(error.url or "").path


def _is_cancellation(error: ApiException) -> bool:
    return error.method == "DELETE" and re.search(_JOBS_PATH, _path_of(error)) is not None


def _is_json(error: ApiException) -> bool:
    """Tell whether Tator itself responded: what is in front of it sends HTML, or nothing."""
    return (error.body or "").lstrip()[:1] == "{"
