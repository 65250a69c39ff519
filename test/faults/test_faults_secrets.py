"""Secrets show in nothing: no error, cause, traceback, log, repr, report or notebook."""

from __future__ import annotations

import copy
import logging
import pickle
import re
from base64 import b64encode
from typing import Any

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
    """An API with a token, a cookie and a secret header."""
    api = make_api(host, retries=0, **settings)
    api.api_client.cookie = COOKIE
    api.api_client.set_default_header("X-Api-Key", SECRETS[1][::-1])
    return api


def check_hidden(*shown: str) -> None:
    for text in shown:
        for secret in (*SECRETS, SECRETS[1][::-1]):
            assert secret not in text


def sent_back(connection: Connection) -> bytes:
    """The whole head of the request that has just been read."""
    return connection.peer.requests[-1]


ECHOES: dict[str, Script] = {
    "body of a 200": lambda peer: peer.send(http(200, sent_back(peer))),
    "body of a 400": lambda peer: peer.send(http(400, sent_back(peer))),
    "message": lambda peer: peer.send(http(403, b'{"detail": "No token ' + TOKEN.encode() + b'"}')),
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
def test_an_error_shows_no_secret(
    script: Script, proxied: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Not even one that the server sends back; nor does the log, down to urllib3's."""
    caplog.set_level(logging.DEBUG)
    with Peer(answering(script)) as peer:
        proxy = peer.host.replace("//", f"//{PROXY_USER}:{PROXY_PASSWORD}@") if proxied else ""
        api = make_secret_api(peer.host, proxy=proxy, deadline=0.5)
        with pytest.raises(ApiException) as caught:
            api.delete_job(UID)
    error = caught.value
    basic = b64encode(f"{PROXY_USER}:{PROXY_PASSWORD}".encode()).decode()
    check_hidden(everything_shown(error), str(error.body), error._repr_html_(), caplog.text)
    assert basic not in everything_shown(error) + str(error.body)
    for twin in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        check_hidden(everything_shown(twin))


def test_a_proxy_of_the_environment_that_sends_its_credentials_back_shows_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its password is as secret as that of a configured one."""
    echo = answering(lambda peer: peer.send(http(502, sent_back(peer))))
    with Peer(echo) as peer:
        url = peer.host.replace("//", f"//{PROXY_USER}:{PROXY_PASSWORD}@")
        monkeypatch.setenv("HTTP_PROXY", url)
        with pytest.raises(ApiException) as caught:
            make_secret_api(peer.host).delete_job(UID)
    shown = everything_shown(caught.value) + str(caught.value.body)
    check_hidden(shown)
    assert b64encode(f"{PROXY_USER}:{PROXY_PASSWORD}".encode()).decode() not in shown


def test_an_error_keeps_the_servers_own_words() -> None:
    """Only the secrets go; several cookies that a server sets stay apart."""
    answer = http(500, b"Words, not secrets.", {"Set-Cookie": "a=1\r\nSet-Cookie: b=2"})
    with Peer(answering(answer)) as peer, pytest.raises(ApiException) as caught:
        make_secret_api(peer.host).delete_job(UID)
    assert caught.value.body == "Words, not secrets."
    assert caught.value.headers is not None
    assert caught.value.headers["set-cookie"] == "a=1, b=2"


def test_nothing_that_is_displayed_shows_a_secret() -> None:
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


def test_the_log_has_one_line_for_each_try(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Method, URL, outcome, seconds and the number of the try; nothing else."""
    monkeypatch.setattr("random.uniform", lambda least, most: least)
    caplog.set_level(logging.DEBUG, "tator")
    with LocalTator(TOKEN) as server:
        server.drop()
        server.fail(503)
        make_api(server.host).delete_job(server.launch().run_uids[0])
    lines = [record.getMessage() for record in caplog.records if record.name == "tator"]
    pattern = r"DELETE http://127\.0\.0\.1:\d+/rest/Job/[-\w]+: (\S+) in \d+\.\d{3} s \(try (\d)\)"
    matches = [re.fullmatch(pattern, line) for line in lines]
    assert [match and match.groups() for match in matches] == [
        ("ApiConnectionError", "1"),
        ("503", "2"),
        ("200", "3"),
    ]


def test_a_refused_setting_shows_nothing_of_itself() -> None:
    """Whatever is wrong with a key, a header, a cookie or a proxy."""
    client = make_api("http://127.0.0.1:9").api_client
    bad = f"{TOKEN}\n"
    refusals = [
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
    for refusal in refusals:
        with pytest.raises(ApiException) as caught:
            refusal()
        check_hidden(everything_shown(caught.value))


def test_a_real_proxys_refusal_shows_no_secret(strict_proxy: Proxy) -> None:
    """A 407 page, after credentials that are wrong."""
    api = make_secret_api(
        "http://127.0.0.1:9", proxy=f"http://me:{PROXY_PASSWORD}x@{strict_proxy.authority}"
    )
    with pytest.raises(tator.ApiProxyError) as caught:
        api.delete_job(UID)
    check_hidden(everything_shown(caught.value))
