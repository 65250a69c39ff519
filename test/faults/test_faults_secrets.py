"""No token shows in any error, cause, traceback, log, repr, report or notebook."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import re
import traceback
from base64 import b64encode
from typing import Any, ClassVar

import pytest
from conftest import PROXY_PASSWORD, PROXY_USER, Proxy
from peers import (
    TOKEN,
    UID,
    Connection,
    Peer,
    Script,
    answering,
    everything_shown,
    http,
    make_api,
)

import tator
from tator import ApiException
from tator.testing import LocalTator

COOKIE = "session=crumbs-1234567; theme=dark-matter-99"
SECRETS = (TOKEN, "crumbs-1234567", "dark-matter-99", PROXY_PASSWORD)


def make_secret_api(host: str, **settings: Any) -> tator.JobApi:
    """An API with a token, a cookie and a sensitive header."""
    api = make_api(host, retries=0, **settings)
    api.api_client.cookie = COOKIE
    api.api_client.set_default_header("X-Api-Key", SECRETS[1][::-1])
    return api


def percent_encoded(text: str) -> str:
    return "".join(f"%{ord(char):02x}" for char in text)


ESCAPED = b'{"message": "%s"}' % "".join(f"\\u{ord(char):04x}" for char in TOKEN).encode()
KUBERNETES = json.dumps(
    {"message": f"(500)\nHTTP response body: {json.dumps({'message': TOKEN})}"}
).encode()
# What is left of a token in each form that a display could show.
FORMS = (TOKEN, TOKEN[:8], TOKEN[-8:], TOKEN.upper(), percent_encoded(TOKEN)[:24])


def check_hidden(*shown: str) -> None:
    for text in shown:
        for secret in (*SECRETS, *FORMS, SECRETS[1][::-1]):
            assert secret not in text


def sent_back(connection: Connection) -> bytes:
    """The whole head of the request that has just been read."""
    return connection.peer.requests[-1]


ECHOES: dict[str, Script] = {
    "body of a 200": lambda peer: peer.send(http(200, sent_back(peer))),
    "body of a 400": lambda peer: peer.send(http(400, sent_back(peer))),
    "message": lambda peer: peer.send(http(403, b'{"detail": "No token ' + TOKEN.encode() + b'"}')),
    "escaped message": lambda peer: peer.send(http(400, ESCAPED)),
    "escaped message of a 200": lambda peer: peer.send(http(200, b"[" + ESCAPED + b"]")),
    "percent-encoded": lambda peer: peer.send(http(500, percent_encoded(TOKEN).encode())),
    "upper case": lambda peer: peer.send(http(500, TOKEN.upper().encode())),
    "first part": lambda peer: peer.send(http(500, b"begins with " + TOKEN[:9].encode())),
    "cut": lambda peer: peer.send(http(400, b"x" * (16 * 1024 - 9) + TOKEN.encode())),
    "name of a header": lambda peer: peer.send(http(500, headers={f"X-{TOKEN}": "a"})),
    "kubernetes": lambda peer: peer.send(http(400, KUBERNETES)),
    "cookies": lambda peer: peer.send(http(403, b'{"message": "crumbs-1234567 dark-matter-99"}')),
    "headers": lambda peer: peer.send(http(500, headers={"X-Back": f"Token {TOKEN}", "Y": COOKIE})),
    "reason": lambda peer: peer.send(http(500, reason=f"No {TOKEN}")),
    "location": lambda peer: peer.send(http(302, headers={"Location": f"http://x/?{TOKEN}"})),
    "status line": lambda peer: peer.send(f"Token {TOKEN}\r\n\r\n".encode()),
    "protocol": lambda peer: peer.send(f"{TOKEN}/1.1 200 OK\r\n\r\n".encode()),
    "header line": lambda peer: peer.send(f"HTTP/1.1 200 OK\r\n{TOKEN}\r\n\r\n".encode()),
    "length": lambda peer: peer.send(
        f"HTTP/1.1 200 OK\r\nContent-Length: {TOKEN}\r\n\r\n".encode()
    ),
    "chunk": lambda peer: peer.send(
        f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{TOKEN}\r\n".encode()
    ),
    "all of it": lambda peer: peer.send(sent_back(peer)),
    "reset": Connection.reset,
    "silence": Connection.hang,
    "short body": lambda peer: peer.send(http(200, sent_back(peer))[:-9]),
    "too large": lambda peer: peer.send(http(200, TOKEN.encode() * 99_999)),
}


@pytest.mark.parametrize("script", ECHOES.values(), ids=ECHOES)
@pytest.mark.parametrize("proxied", [False, True], ids=["direct", "proxied"])
def test_row_57_an_error_shows_no_token(
    script: Script, proxied: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Not even one that the server sends back, in any form; nor does the log, urllib3's too."""
    caplog.set_level(logging.DEBUG)
    with Peer(answering(script)) as peer:
        proxy = peer.host.replace("//", f"//{PROXY_USER}:{PROXY_PASSWORD}@") if proxied else ""
        deadline = 0.2 if script is Connection.hang else 0.5
        api = make_secret_api(peer.host, proxy=proxy, deadline=deadline)
        with pytest.raises(ApiException) as caught:
            api.delete_job(UID)
    error = caught.value
    basic = b64encode(f"{PROXY_USER}:{PROXY_PASSWORD}".encode()).decode()
    check_hidden(everything_shown(error), str(error.body), error._repr_html_(), caplog.text)
    check_hidden(str(error.message), str(error.hint), str(error.headers))
    assert basic not in everything_shown(error) + str(error.body)
    for twin in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        check_hidden(everything_shown(twin))


class Picky:
    """A model of a generator, which names the value that it rejects."""

    swagger_types: ClassVar = {"uid": "str"}
    attribute_map: ClassVar = {"uid": "uid"}

    def __init__(self, uid: str | None = None) -> None:
        raise ValueError(f"{uid} is not allowed")


@pytest.mark.parametrize("kind", ["int", "float", "date", "datetime", Picky])
def test_row_57_an_error_about_a_response_of_another_type_shows_no_token(kind: Any) -> None:
    """The server sends the token back where it does not fit; no frame holds the text about it."""
    value = {"uid": TOKEN} if kind is Picky else TOKEN
    with LocalTator(TOKEN) as server:
        server.route("GET", "/rest/Echo", value)
        client = make_secret_api(server.host).api_client
        with pytest.raises(tator.ApiResponseError) as caught:
            client.call_api("/rest/Echo", "GET", response_type=kind, auth_settings=["TokenAuth"])
    assert "***" in str(caught.value.message)
    check_hidden(everything_shown(caught.value), str(caught.value.message), str(caught.value.body))


@pytest.mark.parametrize("token", [f"{TOKEN} ", f"{TOKEN}\t", f"{TOKEN} with a blank inside"])
def test_row_57_a_token_with_white_space_is_masked(token: str) -> None:
    """Copied as it was; servers strip it, or split it."""
    back = answering(
        lambda peer: peer.send(http(403, f'{{"detail": "No {token.strip()}"}}'.encode()))
    )
    with Peer(back) as peer, pytest.raises(ApiException) as caught:
        make_secret_api(peer.host, api_key={"Authorization": token}).delete_job(UID)
    check_hidden(everything_shown(caught.value), str(caught.value.body))
    assert "blank" not in everything_shown(caught.value)


def test_row_57_what_is_left_of_a_cut_body_is_masked() -> None:
    """The arguments and attributes of the cause do not include the bytes that arrived."""
    whole = http(500, TOKEN.encode() * 9)
    with (
        Peer(answering(whole[:-50])) as peer,
        pytest.raises(tator.ApiConnectionError) as caught,
    ):
        make_secret_api(peer.host).delete_job(UID)
    cause = caught.value.__cause__
    check_hidden(everything_shown(caught.value), repr(cause), repr(getattr(cause, "partial", b"")))


def test_a_proxy_of_the_environment_that_sends_its_credentials_back_shows_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its password is as sensitive as that of a configured one."""
    echo = answering(lambda peer: peer.send(http(502, sent_back(peer))))
    with Peer(echo) as peer:
        url = peer.host.replace("//", f"//{PROXY_USER}:{PROXY_PASSWORD}@")
        monkeypatch.setenv("HTTP_PROXY", url)
        with pytest.raises(ApiException) as caught:
            make_secret_api(peer.host).delete_job(UID)
    shown = everything_shown(caught.value) + str(caught.value.body)
    check_hidden(shown)
    assert b64encode(f"{PROXY_USER}:{PROXY_PASSWORD}".encode()).decode() not in shown


def test_an_error_keeps_the_servers_text() -> None:
    """Only sensitive values go; several cookies that a server sets stay apart."""
    response = http(500, b"Words, not tokens.", {"Set-Cookie": "a=1\r\nSet-Cookie: b=2"})
    with Peer(answering(response)) as peer, pytest.raises(ApiException) as caught:
        make_secret_api(peer.host).delete_job(UID)
    assert caught.value.body == "Words, not tokens."
    assert caught.value.headers is not None
    assert caught.value.headers["set-cookie"] == "a=1, b=2"


def test_no_display_shows_a_token() -> None:
    """Configurations, clients, their headers and their responses."""
    with LocalTator(TOKEN) as server:
        proxy = f"http://{PROXY_USER}:{PROXY_PASSWORD}@127.0.0.1:9"
        api = make_secret_api(server.host, proxy=proxy)
        configuration = api.api_client.configuration
        configuration.proxy = ""
        api.delete_job(server.launch().run_uids[0])
        configuration.proxy = proxy
    client = api.api_client
    things: list[Any] = [
        *(configuration, client, api, client.default_headers, configuration.api_key),
        *(client.last_response, client.rest_client, client.cookie, configuration.proxy),
        configuration.auth_settings(),
    ]
    for thing in things:
        check_hidden(repr(thing))
        if hasattr(thing, "__dict__"):
            check_hidden(repr(vars(thing)))
    check_hidden(str(configuration), configuration.to_debug_report(), configuration._repr_html_())
    check_hidden(
        repr(copy.deepcopy(configuration)), repr(pickle.loads(pickle.dumps(configuration)))
    )


def test_the_log_has_one_line_for_each_attempt(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Method, URL, outcome, seconds and the number of the attempt; nothing else."""
    monkeypatch.setattr("random.uniform", lambda least, most: least)
    caplog.set_level(logging.DEBUG, "tator")
    with LocalTator(TOKEN) as server:
        server.drop()
        server.fail(503)
        make_api(server.host).delete_job(server.launch().run_uids[0])
    lines = [record.getMessage() for record in caplog.records if record.name == "tator"]
    pattern = (
        r"DELETE http://127\.0\.0\.1:\d+/rest/Job/[-\w]+: (\S+) in \d+\.\d{3} s \(attempt (\d)\)"
    )
    matches = [re.fullmatch(pattern, line) for line in lines]
    assert [match and match.groups() for match in matches] == [
        ("ApiConnectionError", "1"),
        ("503", "2"),
        ("200", "3"),
    ]


def shown_without_frames(error: BaseException) -> str:
    """What an error displays, but for the frames: the caller's own frame holds what it passed."""
    return "\n".join(
        [*traceback.format_exception(error), repr(error), repr(vars(error)), repr(error.args)]
    )


def test_a_rejected_value_is_not_shown() -> None:
    """Whatever is wrong with a token, a header, a cookie or a proxy."""
    client = make_api("http://127.0.0.1:9").api_client
    bad = f"{TOKEN}\n"
    rejected = [
        lambda: tator.Configuration(api_key={"Authorization": bad}),
        lambda: tator.Configuration(api_key={"Authorization": bad.encode()}),  # type: ignore[dict-item]
        lambda: tator.Configuration(api_key=bad),  # type: ignore[arg-type]
        lambda: tator.Configuration(proxy=f"http://me:{bad}@127.0.0.1"),
        lambda: tator.Configuration(proxy=f"socks5://me:{TOKEN}@127.0.0.1"),
        lambda: tator.Configuration(f"http://me:{TOKEN}@127.0.0.1"),
        lambda: tator.ApiClient(cookie=bad),
        lambda: tator.ApiClient(header_name="X", header_value=bad),
        lambda: client.set_default_header("X", bad),
        lambda: client.default_headers.update(X=bad),
        lambda: client.default_headers.setdefault("X", bad),
        lambda: setattr(client, "cookie", bad),
        lambda: client.configuration.api_key.update({"Authorization": bad}),
        lambda: client.call_api("/x", "GET", header_params={"X": bad}),
        lambda: tator.get_api("http://127.0.0.1:9", bad),
    ]
    for reject in rejected:
        with pytest.raises(ApiException) as caught:
            reject()
        check_hidden(shown_without_frames(caught.value))


def test_a_value_that_a_call_rejects_is_in_no_frame() -> None:
    """A call has begun, and its tracebacks may be sent somewhere."""
    client = make_api("http://127.0.0.1:9").api_client
    with pytest.raises(tator.ApiValueError) as caught:
        client.call_api("/x", "GET", header_params={"X": f"{TOKEN}\n"})
    check_hidden(everything_shown(caught.value))


class Lab(tator.Configuration):
    """A configuration with a scheme whose value is a plain string."""

    place: ClassVar[dict[str, str]] = {"in": "header", "key": "X-Lab", "value": TOKEN}
    password: str

    def auth_settings(self) -> dict[str, dict[str, str]]:
        return {"Lab": self.place, **super().auth_settings()}


class LabClient(tator.ApiClient):
    """A client that adds a header whose value is a plain string."""

    def update_params_for_auth(self, headers: Any, querys: object, *auth: Any) -> None:
        headers["X-Lab"] = TOKEN


@pytest.mark.parametrize("kind", [tator.ApiClient, LabClient])
def test_the_token_of_another_scheme_is_in_no_frame(kind: type[tator.ApiClient]) -> None:
    """Neither in those of an error of the server, nor if the scheme is rejected."""
    with Peer(answering(http(500))) as peer:
        client = kind(Lab(peer.host, retries=0))
        with pytest.raises(tator.ServiceException) as caught:
            client.call_api("/rest/X", "GET", auth_settings=["Lab"])
        assert f"X-Lab: {TOKEN}".encode() in peer.requests[-1]
    check_hidden(everything_shown(caught.value))


def test_an_attribute_that_a_subclass_adds_is_in_no_frame() -> None:
    """It may be the value of a scheme, and frames hold the settings."""
    with Peer(answering(http(500))) as peer:
        configuration = Lab(peer.host, retries=0)
        configuration.password = TOKEN
        client = tator.ApiClient(configuration)
        for send in (
            lambda: client.call_api("/rest/X", "GET"),
            lambda: client.rest_client.GET(f"{peer.host}/rest/X"),
        ):
            with pytest.raises(tator.ServiceException) as caught:
                send()
            check_hidden(everything_shown(caught.value))
    configuration.cert_file = __file__
    with pytest.raises(tator.ApiValueError) as rejected:
        tator.ApiClient(configuration)
    check_hidden(everything_shown(rejected.value))


@pytest.mark.parametrize(
    "place",
    [
        {"in": "query", "key": "token", "value": TOKEN},
        {"in": "cookie", "key": "token", "value": TOKEN},
        {"key": "X-Lab", "value": TOKEN},
        {"in": "header", "value": TOKEN},
        {"in": "header", "key": "X-Lab"},
    ],
)
def test_a_scheme_that_is_not_a_header_is_rejected_and_not_shown(place: dict[str, str]) -> None:
    """Tator has no scheme that puts a token elsewhere, and it must not be sent as another."""
    client = tator.ApiClient(type("Odd", (Lab,), {"place": place})("http://127.0.0.1:9"))
    for schemes, told in ((["Lab"], r"auth_settings\(\)\['Lab'\] must have 'in'"), (["L"], "Lab")):
        with pytest.raises(tator.ApiValueError, match=told) as caught:
            client.call_api("/rest/X", "GET", auth_settings=schemes)
        check_hidden(everything_shown(caught.value))


def test_a_response_holds_no_token() -> None:
    """Neither the last response nor the returned one includes the request."""
    with LocalTator(TOKEN) as server:
        api = make_secret_api(server.host)
        info = api.delete_job_with_http_info(server.launch().run_uids[0])
    response = api.api_client.last_response
    assert isinstance(response, tator.rest.RESTResponse)
    check_hidden(repr(info), repr(vars(response)), repr(vars(response.urllib3_response)))
    check_hidden(*(str(value) for value in vars(response).values()))


def test_a_real_proxys_rejection_shows_no_token(strict_proxy: Proxy) -> None:
    """A 407 page, after credentials that are wrong."""
    api = make_secret_api(
        "http://127.0.0.1:9", proxy=f"http://me:{PROXY_PASSWORD}x@{strict_proxy.authority}"
    )
    with pytest.raises(tator.ApiProxyError) as caught:
        api.delete_job(UID)
    check_hidden(everything_shown(caught.value))
