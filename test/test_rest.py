"""The REST client that generated clients know: its requests, responses, checks and warnings."""

from __future__ import annotations

import contextlib
import gc
import inspect
import json
import logging
import os
import socket
import sys
import threading
import time
import urllib.request
import warnings
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest
import urllib3
from certificates import Tls
from peers import DONE, TOKEN, UID, Connection, Peer, answering, failure, make_api, rejected
from peers import http as response
from urllib3.exceptions import InsecureRequestWarning

import tator
from tator.exceptions import (
    ApiConnectionError,
    ApiResponseError,
    ApiTimeoutError,
    ApiTypeError,
    ApiValueError,
    NotFoundException,
    RedirectException,
    ServiceException,
)
from tator.rest import RESTClientObject, RESTResponse

MEBIBYTE = 1 << 20
SECRET = {"Authorization": f"Token {TOKEN}"}
VERBS = ["GET", "HEAD", "OPTIONS", "DELETE", "POST", "PUT", "PATCH"]


def client_of(host: str, **settings: Any) -> RESTClientObject:
    """A REST client whose calls end within 10 s, unless `settings` say otherwise."""
    settings = {"deadline": 10, "proxy": "", **settings}
    return RESTClientObject(tator.Configuration(host, **settings))


def echo(connection: Connection) -> None:
    """Respond to each request with its method and path."""
    while True:
        line = connection.request().partition(b"\r\n")[0]
        body = b"" if line.startswith(b"HEAD") else line
        connection.send(response(body=body))


def bodies_of(bodies: list[bytes]) -> Any:
    """A script that keeps the body of each request."""

    def script(connection: Connection) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.sock.recv(1 << 16)
        head, _, body = head.partition(b"\r\n\r\n")
        connection.peer.requests.append(head)
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
        while len(body) < length:
            body += connection.sock.recv(1 << 16)
        bodies.append(body)
        connection.send(response())

    return script


def test_a_response_has_the_generated_clients_methods() -> None:
    """Status, reason, data and headers, read without regard to case."""
    headers = {"X-Words": "some", "Set-Cookie": "a=1\r\nSet-Cookie: b=2"}
    with Peer(answering(response(200, headers=headers, reason="Fine"))) as peer:
        api = make_api(peer.host)
        api.delete_job(UID)
    seen = api.api_client.last_response
    assert isinstance(seen, RESTResponse)
    assert (seen.status, seen.reason, seen.data) == (200, "Fine", DONE)
    assert seen.getheader("x-words") == "some"
    assert seen.getheader("none") is None
    assert seen.getheader("none", "default") == "default"
    assert seen.getheaders()["x-words"] == "some"
    assert cast(urllib3.HTTPHeaderDict, seen.getheaders()).getlist("set-cookie") == ["a=1", "b=2"]
    assert isinstance(seen.urllib3_response, urllib3.BaseHTTPResponse)
    assert seen.urllib3_response.status == 200
    assert (seen.attempts, seen.maybe_applied) == (1, True)


def test_a_response_keeps_what_the_server_sent_back() -> None:
    """It is the caller's own data: sensitive values are masked in errors and displays alone."""
    back = response(200, f'{{"message": "{TOKEN}"}}'.encode(), {"X-Back": TOKEN}, reason=TOKEN)
    with Peer(answering(back)) as peer:
        seen = client_of(peer.host).DELETE(f"{peer.host}/x", headers=SECRET)
    assert isinstance(seen, RESTResponse)
    assert (seen.reason, seen.getheader("X-Back")) == (TOKEN, TOKEN)
    assert TOKEN in seen.data.decode()


def test_a_response_without_a_reason_has_an_empty_one() -> None:
    """It is a string in any case."""
    assert RESTResponse(urllib3.HTTPResponse(status=204)).reason == ""


@pytest.mark.usefixtures("no_backoff")
def test_a_response_counts_its_attempts() -> None:
    """What failed before the success counts, and may have been applied."""
    with Peer(answering(response(503), response(), keep=True)) as peer:
        client = client_of(peer.host, retries=1)
        before = client.retry_budget
        seen = client.DELETE(f"{peer.host}/x")
        assert isinstance(seen, RESTResponse)
        assert (seen.attempts, seen.maybe_applied) == (2, True)
        assert (before, client.retry_budget) == (100, 91)
        client.DELETE(f"{peer.host}/x")
        assert client.retry_budget == 92


def test_a_reading_method_applies_nothing() -> None:
    """There is nothing that a GET could have done."""
    with Peer(echo) as peer:
        seen = client_of(peer.host).GET(f"{peer.host}/x")
    assert isinstance(seen, RESTResponse)
    assert not seen.maybe_applied


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_is_a_method(verb: str) -> None:
    """It sends its own method, as `request` does, in any case."""
    with Peer(echo) as peer:
        client = client_of(peer.host)
        url = f"{peer.host}/a%20b"
        getattr(client, verb)(url, headers={"X-Some": "one"}, query_params=[("n", 1), ("n", "é")])
        client.request(verb.lower(), url)
        assert client.idle_connections == 1
    line = f"{verb} /a%20b?n=1&n=%C3%A9 HTTP/1.1\r\n"
    assert peer.requests[0].decode().startswith(line)
    assert "\r\nX-Some: one" in peer.requests[0].decode()
    assert peer.requests[1].decode().startswith(f"{verb} /a%20b HTTP/1.1\r\n")
    assert getattr(RESTClientObject, verb).__name__ == verb
    article = "an" if verb == "OPTIONS" else "a"
    assert str(getattr(RESTClientObject, verb).__doc__).startswith(f"Send {article} {verb} request")


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        (None, b""),
        (b"\x00\xff as it is", b"\x00\xff as it is"),
        ({"name": "grüß"}, b'{"name": "gr\\u00fc\\u00df"}'),
        ([1, None], b"[1, null]"),
        ("text", b'"text"'),
        (0, b"0"),
    ],
)
def test_a_body_is_sent_as_bytes_or_as_json(body: object, sent: bytes) -> None:
    """Bytes go as they are; any other value goes as JSON."""
    bodies: list[bytes] = []
    with Peer(bodies_of(bodies)) as peer:
        client_of(peer.host).POST(f"{peer.host}/x", body=body)
    assert bodies == [sent] or bodies == [sent.replace(b": ", b":").replace(b", ", b",")]


def test_a_body_that_is_not_json_is_rejected() -> None:
    """Nothing is sent."""
    with Peer(echo) as peer:
        rejected(ApiTypeError, client_of(peer.host).POST, f"{peer.host}/x", body=object())
    assert peer.requests == []


@pytest.mark.parametrize(
    ("arguments", "options", "kind", "words"),
    [
        (("G T", "{}/x"), {}, ApiValueError, "not a valid HTTP method"),
        (("", "{}/x"), {}, ApiValueError, "not a valid HTTP method"),
        ((5, "{}/x"), {}, ApiTypeError, "method must be a string"),
        (("GET", "/x"), {}, ApiValueError, "absolute http"),
        (("GET", "ftp://a/x"), {}, ApiValueError, "absolute http"),
        (("GET", "{}"), {}, ApiValueError, "absolute http"),
        (("GET", "{}/x y"), {}, ApiValueError, "percent-encoded"),
        (("GET", "{}/é"), {}, ApiValueError, "percent-encoded"),
        (("DELETE", "{}/x#"), {"query_params": {"gid": "1"}}, ApiValueError, "without a query"),
        (("DELETE", "{}/x?a=1"), {"query_params": {"gid": "1"}}, ApiValueError, "without a query"),
        (("GET", "{}/x\r\nA: b"), {}, ApiValueError, "percent-encoded"),
        (("GET", "http://user@127.0.0.1/x"), {}, ApiValueError, "absolute http"),
        (("GET", "http://[::1/x"), {}, ApiValueError, "absolute http"),
        (("GET", "http://[zz]/x"), {}, ApiValueError, "absolute http"),
        (("GET", "http://:80/x"), {}, ApiValueError, "absolute http"),
        (("GET", "http://a:123456/x"), {}, ApiValueError, "absolute http"),
        (("GET", None), {}, ApiTypeError, "url must be a string"),
        (("GET", "{}/x"), {"headers": {"A b": "c"}}, ApiValueError, "valid header name"),
        (("GET", "{}/x"), {"headers": {"A": "b\r\nC: d"}}, ApiValueError, "line break"),
        (("GET", "{}/x"), {"headers": {"A": " "}}, ApiValueError, "empty"),
        (("GET", "{}/x"), {"headers": {"A": 5}}, ApiTypeError, "string"),
        (("GET", "{}/x"), {"headers": [1]}, ApiTypeError, "mapping"),
        (("GET", "{}/x"), {"query_params": "a=b"}, ApiTypeError, "query_params"),
        (("GET", "{}/x"), {"query_params": [("a", "\ud800")]}, ApiValueError, "surrogate"),
        (("DELETE", "{}/x"), {"query_params": {"gid": ""}}, ApiValueError, "must not be empty"),
        (("delete", "{}/x"), {"query_params": {"gid": None}}, ApiValueError, "must not be empty"),
        (("DELETE", "{}/x"), {"query_params": {"gid": []}}, ApiValueError, "must not be empty"),
        (("DELETE", "{}/x"), {"query_params": {"g": ["a", ""]}}, ApiValueError, "empty"),
        (("POST", "{}/x"), {"post_params": {"a": "b"}}, ApiValueError, "accepts no form data"),
        (("GET", "{}/x"), {"_request_timeout": 0}, ApiValueError, "_request_timeout"),
        (("GET", "{}/x"), {"_request_timeout": (1, 2, 3)}, ApiValueError, "pair"),
        (("GET", "{}/x"), {"_request_timeout": "1"}, ApiTypeError, "_request_timeout"),
    ],
)
def test_an_argument_that_cannot_be_sent_is_rejected(
    arguments: tuple[Any, ...], options: Mapping[str, Any], kind: Any, words: str
) -> None:
    """The error names it, and nothing was sent."""
    with Peer(echo) as peer:
        method, url = arguments
        if isinstance(url, str):
            url = url.replace("{}", peer.host)
        client = client_of(peer.host)
        error = rejected(kind, client.request, method, url, **options)
        assert words in str(error)
        assert (peer.connections, client.idle_connections) == (0, 0)


def test_empty_forms_and_empty_queries_are_accepted() -> None:
    """Generated clients pass them; a GET may have an empty value."""
    with Peer(echo) as peer:
        client = client_of(peer.host)
        client.request("GET", f"{peer.host}/x", query_params={"a": ""}, post_params={})
        client.request("DELETE", f"{peer.host}/x", query_params=[], post_params=[])
    lines = [head.partition(b"\r\n")[0] for head in peer.requests]
    assert lines == [b"GET /x?a= HTTP/1.1", b"DELETE /x HTTP/1.1"]


def test_there_is_no_pool_manager() -> None:
    """Code that reads or replaces it hears what to set, instead of having no effect."""
    client = client_of("http://127.0.0.1:9")
    with pytest.raises(AttributeError, match=r"has no pool_manager.*Configuration"):
        client.pool_manager  # noqa: B018
    with pytest.raises(AttributeError, match="has no pool_manager"):
        client.pool_manager = urllib3.PoolManager()
    assert not hasattr(client, "pool_manager")


def test_a_pools_size_is_accepted_and_not_used() -> None:
    """Generated clients pass it."""
    configuration = tator.Configuration("http://127.0.0.1:9")
    assert RESTClientObject(configuration, pools_size=7).configuration is configuration


@pytest.mark.parametrize(("maxsize", "setting", "kept"), [(1, 32, 1), (None, 2, 2), (3, 1, 3)])
def test_as_many_connections_are_kept_as_asked_for(
    maxsize: int | None, setting: int, kept: int
) -> None:
    """More may be open at a time; `maxsize` wins over the configuration."""
    with Peer(answering(response(), keep=True)) as peer:
        configuration = tator.Configuration(peer.host, connection_pool_maxsize=setting, proxy="")
        client = RESTClientObject(configuration, maxsize=maxsize)
        raws = [client.GET(f"{peer.host}/x", _preload_content=False) for _ in range(4)]
        assert client.idle_connections == 0
        for raw in raws:
            assert isinstance(raw, urllib3.BaseHTTPResponse)
            assert raw.read() == DONE
            raw.release_conn()
        assert (peer.connections, client.idle_connections) == (4, kept)
        client.close()


def test_a_connection_is_released_once() -> None:
    """Two calls would share it otherwise, and could read each other's responses."""
    with Peer(answering(response(), keep=True)) as peer:
        client = client_of(peer.host)
        raw = client.GET(f"{peer.host}/x", _preload_content=False)
        assert isinstance(raw, urllib3.BaseHTTPResponse)
        raw.read()
        raw.release_conn()
        raw.release_conn()
        assert client.idle_connections == 1


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_raw_response_that_is_dropped_takes_no_place() -> None:
    """The next call opens a connection, and it is kept."""
    with Peer(answering(response(), keep=True)) as peer:
        client = client_of(peer.host, connection_pool_maxsize=1)
        client.GET(f"{peer.host}/x", _preload_content=False)
        gc.collect()
        client.GET(f"{peer.host}/x")
        assert client.idle_connections == 1


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.usefixtures("no_garbage_collection")
def test_the_connection_of_a_raw_response_that_is_dropped_closes_at_once() -> None:
    """It does not wait for the garbage collector, as it would if its limits referred to it."""
    with Peer(answering(response(), keep=True)) as peer:
        client = client_of(peer.host)
        raw = client.GET(f"{peer.host}/x", _preload_content=False)
        assert isinstance(raw, urllib3.HTTPResponse)
        connection = weakref.ref(raw.connection)
        del raw
        assert connection() is None
        client.close()


def test_a_raw_response_arrives_unread_and_without_a_size_limit() -> None:
    """Its reader decides how much of it to read."""
    large = bytes(3 * MEBIBYTE)
    with Peer(answering(response(body=large))) as peer:
        client = client_of(peer.host, largest_response=1)
        raw = client.GET(f"{peer.host}/x", _preload_content=False)
        assert isinstance(raw, urllib3.BaseHTTPResponse)
        assert raw.status == 200
        assert len(raw.read()) == len(large)


@pytest.mark.parametrize(
    ("method", "status", "most"),
    [("GET", 200, 2 * MEBIBYTE), ("DELETE", 200, MEBIBYTE), ("GET", 404, MEBIBYTE)],
)
def test_a_body_has_a_largest_size(method: str, status: int, most: int) -> None:
    """The setting's for a success, and 1 MiB for an error and for any response to a DELETE."""
    size = [most]
    script = answering(lambda c: c.send(response(status, bytes(size[0]))), keep=True)
    with Peer(script) as peer:
        client = client_of(peer.host, largest_response=2 * MEBIBYTE, retries=0)
        for extra in (0, 1):
            size[0] = most + extra
            if extra:
                with pytest.raises(ApiResponseError, match="exceeds") as caught:
                    client.request(method, f"{peer.host}/x")
                assert caught.value.maybe_applied is (method == "DELETE")
            elif status == 404:
                with pytest.raises(tator.NotFoundException):
                    client.request(method, f"{peer.host}/x")
            else:
                seen = client.request(method, f"{peer.host}/x")
                assert isinstance(seen, RESTResponse)
                assert len(seen.data) == most


def test_a_change_of_a_setting_counts_from_the_next_request() -> None:
    """Retries, sizes and timeouts are read when a request begins; the connection stays."""
    with Peer(answering(response(body=bytes(10)), keep=True)) as peer:
        client = client_of(peer.host)
        client.GET(f"{peer.host}/x")
        client.configuration.largest_response = 5
        with pytest.raises(ApiResponseError):
            client.GET(f"{peer.host}/x")
        client.configuration.largest_response = 10
        client.GET(f"{peer.host}/x")
        client.configuration.timeout = 5
        client.GET(f"{peer.host}/x")
        assert peer.connections == 2


def test_a_new_configuration_counts_from_the_next_request() -> None:
    """It may be assigned at any time."""
    with Peer(echo) as peer:
        client = client_of("http://127.0.0.1:9", timeout=3)
        client.configuration = tator.Configuration(peer.host, proxy="")
        client.GET(f"{peer.host}/x")
        assert client.idle_connections == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("connection_pool_maxsize", 5),
        ("keepalive_expiry", 7),
        ("verify_ssl", False),
        ("proxy", None),
    ],
)
def test_there_is_one_route_at_a_time(name: str, value: object) -> None:
    """A change of pool, TLS or proxy settings closes its connections and makes a new route."""
    with Peer(echo) as peer:
        client = client_of(peer.host)
        client.GET(f"{peer.host}/x")
        client.GET(f"{peer.host}/x")
        assert (peer.connections, client.idle_connections) == (1, 1)
        setattr(client.configuration, name, value)
        client.GET(f"{peer.host}/x")
        assert (peer.connections, client.idle_connections) == (2, 1)


def test_another_origin_replaces_the_route() -> None:
    """The connections to the first one are closed."""
    with Peer(echo) as first, Peer(echo) as second:
        client = client_of(first.host)
        for peer in (first, second):
            client.GET(f"{peer.host}/x")
            assert client.idle_connections == 1
        first.join_scripts()
        client.GET(f"{first.host}/x")
        assert (first.connections, second.connections) == (2, 1)


def test_a_route_that_another_call_made_meanwhile_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two calls that begin together share one route, and its connections."""
    client = client_of("http://127.0.0.1:9", proxy=None)
    with Peer(echo) as peer:

        def getproxies() -> dict[str, str]:
            monkeypatch.undo()
            client.GET(f"{peer.host}/inner")
            return {}

        monkeypatch.setenv("no_proxy", "x.invalid")
        monkeypatch.setattr(urllib.request, "getproxies", getproxies)
        client.GET(f"{peer.host}/outer")
        assert (peer.connections, client.idle_connections) == (1, 1)


def test_close_closes_the_idle_connections() -> None:
    """A later request opens a new one; a client that sent nothing may be closed too."""
    with Peer(echo) as peer:
        client = client_of(peer.host)
        client.close()
        assert client.idle_connections == 0
        client.GET(f"{peer.host}/x")
        client.close()
        peer.join_scripts()
        assert client.idle_connections == 0
        client.close()
        client.GET(f"{peer.host}/x")
        assert (peer.connections, client.idle_connections) == (2, 1)


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
@pytest.mark.parametrize("secure", [False, True])
def test_a_forked_child_opens_its_own_connection(secure: bool, tls: Tls) -> None:
    """The parent's stays open, and is used again."""
    with Peer(echo, tls.server() if secure else None) as peer:
        client = client_of(peer.host, ssl_ca_cert=tls.ca_file)
        client.GET(f"{peer.host}/x")
        child = os.fork()
        if child == 0:
            is_right = False
            try:
                client.GET(f"{peer.host}/child")
                is_right = client.idle_connections == 1
            finally:
                os._exit(0 if is_right else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        client.GET(f"{peer.host}/x")
        assert peer.connections == 2


def test_a_file_that_cannot_be_used_is_rejected_when_the_client_is_made(tmp_path: Path) -> None:
    """And not at the first request, which may be much later."""
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate")
    for name in ("ssl_ca_cert", "cert_file"):
        configuration = tator.Configuration("https://127.0.0.1:9")
        setattr(configuration, name, str(broken))
        error = rejected(ApiValueError, RESTClientObject, configuration)
        assert name in str(error)


def test_a_client_of_a_server_with_a_private_ca_works(tmp_path: Path) -> None:
    """The CA's file is read when the client is made, and for the route."""
    tls = Tls(tmp_path)
    with Peer(echo, tls.server()) as peer:
        client = client_of(peer.host, ssl_ca_cert=tls.ca_file)
        client.GET(f"{peer.host}/x")
        assert client.idle_connections == 1
        client.close()


def warnings_of(client: RESTClientObject, url: str, *, has_token: bool) -> list[str]:
    """What a client warns of, and whether it points at the caller's line."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        headers = ["accept", "authorization"] if has_token else ["accept"]
        line = sys._getframe().f_lineno + 1
        client.warn_once(url, headers, client.configuration.verify_ssl)
    assert [(w.filename, w.lineno) for w in caught] == [(__file__, line)] * len(caught)
    assert all(w.category is InsecureRequestWarning for w in caught)
    return [str(w.message) for w in caught]


@pytest.mark.parametrize(
    ("url", "has_token", "verify_ssl", "words"),
    [
        ("http://tator.invalid/", True, True, "plain http"),
        ("http://10.0.0.1/", True, True, "plain http"),
        ("http://localhost.invalid/", True, True, "plain http"),
        ("http://127.0.0.1.invalid/", True, True, "plain http"),
        ("http://tator.invalid/", False, True, None),
        ("https://tator.invalid/", True, True, None),
        ("https://tator.invalid/", True, False, "verify_ssl is off"),
        ("https://127.0.0.1/", False, False, "verify_ssl is off"),
        ("http://127.0.0.1:80/", True, True, None),
        ("http://127.9.9.9/", True, False, None),
        ("http://[::1]:80/", True, True, None),
        ("http://localhost/", True, True, None),
    ],
)
def test_an_insecure_connection_is_warned_of_once(
    url: str, has_token: bool, verify_ssl: bool, words: str | None
) -> None:
    """A token over plain http to another machine, and https without verification."""
    client = client_of("http://127.0.0.1:9", verify_ssl=verify_ssl)
    seen = warnings_of(client, url, has_token=has_token)
    assert len(seen) == (words is not None)
    assert not words or words in seen[0]
    assert warnings_of(client, url, has_token=has_token) == []


def test_a_safe_origin_does_not_hide_the_warning_for_another() -> None:
    """Each new origin is looked at, until the one warning was given."""
    client = client_of("http://127.0.0.1:9")
    assert warnings_of(client, "https://tator.invalid/", has_token=True) == []
    assert warnings_of(client, "https://tator.invalid/x", has_token=True) == []
    assert len(warnings_of(client, "http://tator.invalid/", has_token=True)) == 1
    assert warnings_of(client, "http://other.invalid/", has_token=True) == []


def by_request(api: tator.JobApi, url: str) -> int:
    line = sys._getframe().f_lineno + 1
    api.api_client.rest_client.request("GET", url, headers=SECRET)
    return line


def by_verb(api: tator.JobApi, url: str) -> int:
    line = sys._getframe().f_lineno + 1
    api.api_client.rest_client.GET(url, headers=SECRET)
    return line


def by_operation(api: tator.JobApi, url: str) -> int:
    line = sys._getframe().f_lineno + 1
    api.delete_job(UID)
    return line


def in_background(api: tator.JobApi, url: str) -> int:
    line = sys._getframe().f_lineno + 1
    handle = api.delete_job(UID, async_req=True)
    handle.get(10)
    return line


@pytest.mark.parametrize("call", [by_request, by_verb, by_operation, in_background])
def test_the_warning_of_a_request_points_at_the_callers_line(
    call: Callable[[tator.JobApi, str], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many frames of the library are between; a second request warns of nothing."""

    def getaddrinfo(host: str, port: int, *args: Any, **options: Any) -> Any:
        address = ("127.0.0.1", port)
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", address)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with Peer(answering(response(), keep=True)) as peer:
        host = f"http://tator.invalid:{peer.port}"
        api = make_api(host)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            line = call(api, f"{host}/x")
            call(api, f"{host}/x")
    (warning,) = caught
    assert warning.category is InsecureRequestWarning
    assert (warning.filename, warning.lineno) == (__file__, line)


def test_a_warning_made_an_error_is_raised_once() -> None:
    """If warnings are errors, nothing was sent, and the client stays usable."""
    api = make_api("http://tator.invalid", retries=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(InsecureRequestWarning):
            api.delete_job(UID)
        with pytest.raises(ApiConnectionError):
            api.delete_job(UID)


def test_a_recorders_connection_class_is_used() -> None:
    """A tool that puts its own class on urllib3's pools sees the requests."""

    class Recorder(urllib3.connection.HTTPConnection):
        paths: ClassVar[list[str]] = []

        def request(self, method: str, url: str, *args: Any, **options: Any) -> None:
            self.paths.append(url)
            super().request(method, url, *args, **options)

    original = urllib3.HTTPConnectionPool.ConnectionCls
    urllib3.HTTPConnectionPool.ConnectionCls = Recorder
    try:
        with Peer(answering(response())) as peer:
            assert make_api(peer.host).delete_job(UID).message == "Done."
    finally:
        urllib3.HTTPConnectionPool.ConnectionCls = original
    assert Recorder.paths == [f"/rest/Job/{UID}"]


@pytest.mark.usefixtures("no_backoff")
def test_each_attempt_is_one_debug_line(caplog: pytest.LogCaptureFixture) -> None:
    """It has the method, the URL, the outcome and the number, and no sensitive value."""
    caplog.set_level(logging.DEBUG, "tator")
    with Peer(answering(response(503), lambda c: c.reset(), response())) as peer:
        client_of(peer.host, retries=2).DELETE(f"{peer.host}/x", headers=SECRET)
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("tator")]
    assert [line.rpartition(" (attempt ")[2] for line in lines] == ["1)", "2)", "3)"]
    assert all(line.startswith(f"DELETE {peer.host}/x: ") for line in lines)
    assert " 503 in " in lines[0]
    assert " 200 in " in lines[2]
    assert TOKEN not in "".join(lines)


def test_other_calls_wait_while_the_server_asks_for_quiet(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A call that begins meanwhile makes its first attempt after the seconds of the 429."""
    slept: list[float] = []
    others: list[Any] = []
    quiet = response(429, headers={"Retry-After": "9"})
    with Peer(answering(quiet, response(), keep=True)) as peer:
        client = client_of(peer.host, retries=0, deadline=60)

        def sleep(seconds: float) -> None:
            slept.append(seconds)
            if len(slept) == 1:
                others.append(client.DELETE(f"{peer.host}/other"))

        with monkeypatch.context() as patch:
            patch.setattr(time, "sleep", sleep)
            seen = client.DELETE(f"{peer.host}/first")
    assert isinstance(seen, RESTResponse)
    assert (seen.attempts, others[0].attempts) == (2, 1)
    assert slept[0] == 9
    assert 0 < slept[1] <= 9
    assert client.retry_budget == 100


def test_a_request_timeout_limits_each_attempt() -> None:
    """A number, or a pair, for this request alone."""
    with Peer(lambda connection: connection.hang()) as peer:
        client = client_of(peer.host, retries=0)
        for timeout in (0.05, (5, 0.05)):
            with pytest.raises(ApiTimeoutError) as caught:
                client.GET(f"{peer.host}/x", _request_timeout=timeout)
            assert caught.value.attempts == 1
        assert client.idle_connections == 0


def test_without_a_deadline_a_request_works() -> None:
    """`deadline=None` lifts the limit."""
    with Peer(echo) as peer:
        client_of(peer.host, deadline=None).GET(f"{peer.host}/x")


def test_what_the_callers_own_code_raises_passes_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """No retry; the context holds no exception of the transport; the next call works."""
    problem = LookupError("of the caller")

    def getaddrinfo(*args: Any, **options: Any) -> Any:
        raise problem

    with Peer(echo) as peer:
        client = client_of(peer.host)
        with monkeypatch.context() as patch:
            patch.setattr(socket, "getaddrinfo", getaddrinfo)
            with pytest.raises(LookupError) as caught:
                client.GET(f"{peer.host}/x")
        assert caught.value is problem
        assert problem.__context__ is None
        client.GET(f"{peer.host}/x")
        assert len(peer.requests) == 1


def test_what_the_caller_raises_within_another_of_theirs_keeps_its_context(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Their own exceptions belong together."""

    def getaddrinfo(*args: Any, **options: Any) -> Any:
        try:
            raise LookupError("first")
        except LookupError:
            raise ArithmeticError("second")  # noqa: B904

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(ArithmeticError) as caught:
        client_of("http://127.0.0.1:9").GET("http://127.0.0.1:9/x")
    assert isinstance(caught.value.__context__, LookupError)


def test_threads_share_a_client() -> None:
    """Each gets the response to its own request."""
    with Peer(echo) as peer:
        client = client_of(peer.host)
        seen: dict[int, bytes] = {}

        def work(number: int) -> None:
            for _ in range(5):
                reply = client.GET(f"{peer.host}/{number}")
                seen[number] = cast(RESTResponse, reply).data

        workers = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert seen == {number: f"GET /{number} HTTP/1.1".encode() for number in range(8)}
        assert 1 <= client.idle_connections <= 8


def test_what_the_caller_raises_within_a_failure_of_the_transport_loses_that_context(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The failure says nothing about the caller's exception, and its frames hold the headers."""

    def getaddrinfo(*args: Any, **options: Any) -> Any:
        try:
            raise OSError(5, "of the transport")
        except OSError:
            raise ArithmeticError("of the caller")  # noqa: B904

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(ArithmeticError) as caught:
        client_of("http://127.0.0.1:9").GET("http://127.0.0.1:9/x")
    assert caught.value.__context__ is None


def test_a_response_names_the_proxy_that_it_came_through() -> None:
    """Its password is masked in every display."""
    with Peer(echo) as peer:
        assert client_of(peer.host).GET(f"{peer.host}/x").proxy is None
        proxy = peer.host.replace("//", "//me:hush-hush@")
        seen = client_of("http://tator.test", proxy=proxy).GET("http://tator.test/x")
    assert str(seen.proxy) == proxy
    assert "hush" not in repr(seen.proxy)


def test_a_response_is_made_as_generated_code_makes_it() -> None:
    """From urllib3's alone, whose body it reads."""
    raw = urllib3.HTTPResponse(b"text", {"A": "b"}, status=201, reason=None, preload_content=False)
    response = RESTResponse(raw)
    assert (response.status, response.reason, response.data) == (201, "", b"text")
    assert response.getheader("a") == "b"


def test_the_signature_of_request_is_the_generated_clients() -> None:
    """Mocks and overrides have the same."""
    assert list(inspect.signature(RESTClientObject.request).parameters)[1:] == [
        *("method", "url", "query_params", "headers", "body", "post_params"),
        *("_preload_content", "_request_timeout"),
    ]


@pytest.mark.parametrize("verb", VERBS)
def test_only_a_reading_request_is_never_maybe_applied(verb: str) -> None:
    """A lost response to GET, HEAD or OPTIONS cannot have changed anything."""
    with Peer(answering(Connection.reset)) as peer:
        send = getattr(client_of(peer.host, retries=0), verb)
        is_reading = verb in ("GET", "HEAD", "OPTIONS")
        failure(ApiConnectionError, send, f"{peer.host}/x", maybe_applied=not is_reading)


@pytest.mark.usefixtures("no_backoff")
@pytest.mark.parametrize("verb", ["POST", "PATCH"])
def test_a_request_that_is_not_idempotent_is_sent_once(verb: str) -> None:
    """A request whose response was lost is not sent again, except an idempotent one such as PUT."""
    with Peer(answering(Connection.reset)) as peer:
        send = getattr(client_of(peer.host), verb)
        error = failure(ApiConnectionError, send, f"{peer.host}/x", body={}, maybe_applied=True)
        assert error.attempts == len(peer.requests) == 1
        peer.requests.clear()
        error = failure(
            ApiConnectionError,
            client_of(peer.host).PUT,
            f"{peer.host}/x",
            body={},
            maybe_applied=True,
        )
        assert error.attempts == len(peer.requests) == 3


@pytest.mark.usefixtures("no_backoff")
def test_a_success_on_retry_knows_what_may_have_been_applied() -> None:
    """`attempts` counts all of them, and doubt stays."""
    with Peer(answering(response(503), response(200))) as peer:
        success = cast(RESTResponse, client_of(peer.host).DELETE(f"{peer.host}/x"))
    assert (success.attempts, success.maybe_applied) == (2, True)
    with Peer(answering(response(502), response(404, b"{}"))) as peer:
        rest = client_of(peer.host)
        error = failure(NotFoundException, rest.DELETE, f"{peer.host}/x", maybe_applied=True)
        assert (error.attempts, rest.retry_budget) == (2, 90)


@pytest.mark.usefixtures("no_backoff")
def test_retries_cost_budget_that_successes_return() -> None:
    """A retry costs 10 of 100, a success returns 1."""
    with Peer(answering(response(503), keep=True)) as peer:
        rest = client_of(peer.host)
        assert rest.retry_budget == 100
        failure(ServiceException, rest.GET, f"{peer.host}/x", maybe_applied=False)
        assert rest.retry_budget == 80
        rest.close()
    with Peer(answering(response(), keep=True)) as peer:
        for _ in range(3):
            rest.GET(f"{peer.host}/x")
        assert rest.retry_budget == 83
        rest.close()


def test_a_redirect_is_never_followed() -> None:
    """The target sees nothing."""
    with Peer(answering(response())) as target:
        moved = response(302, b"", {"Location": f"{target.host}/x"})
        with Peer(answering(moved)) as peer:
            failure(
                RedirectException, client_of(peer.host).GET, f"{peer.host}/x", maybe_applied=False
            )
    assert target.connections == 0


def test_row_52_a_route_that_was_replaced_meanwhile_keeps_nothing() -> None:
    """Two threads that call by different settings leave one route, and no connection of another."""
    with Peer(answering(response(), keep=True)) as peer:
        rests = client_of(peer.host)
        done = threading.Event()

        def call(maxsize: int) -> None:
            while not done.is_set():
                rests.configuration.connection_pool_maxsize = maxsize
                rests.GET(f"{peer.host}/x")

        threads = [threading.Thread(target=call, args=(number,)) for number in range(1, 5)]
        for thread in threads:
            thread.start()
        for _ in range(100):
            rests.GET(f"{peer.host}/x")
        done.set()
        for thread in threads:
            thread.join()
        assert rests.idle_connections <= 4
        rests.close()
        gc.collect()  # a connection that was left open would warn
        for thread in peer.others():
            thread.join()


@pytest.mark.parametrize("name", ["Authorization", "authorization"])
def test_row_33_a_token_over_plain_http_is_warned_of_once(name: str) -> None:
    """The warning points at the caller's line; a client has one."""
    rest = client_of("http://tator.invalid", retries=0)

    def send() -> None:
        for _ in range(2):
            with pytest.raises(ApiConnectionError):
                rest.GET("http://tator.invalid/x", {name: TOKEN})

    with pytest.warns(InsecureRequestWarning, match="plain http") as caught:
        send()
    assert [warning.filename for warning in caught] == [__file__]


def test_an_error_of_the_server_has_its_message() -> None:
    """Status, message, headers and body, masked."""
    body = json.dumps({"message": f"No {TOKEN} here."}).encode()
    with Peer(answering(response(404, body, {"X-Back": TOKEN}, "Gone"))) as peer:
        error = failure(
            NotFoundException,
            client_of(peer.host).request,
            "GET",
            f"{peer.host}/x",
            headers=SECRET,
            maybe_applied=False,
        )
    assert (error.status, error.reason, error.message) == (404, "Gone", "No *** here.")
    assert error.body == '{"message": "No *** here."}'
    assert error.headers is not None
    assert error.headers["x-back"] == "***"


def test_a_raw_response_keeps_to_the_deadline() -> None:
    """What the program reads of it, later, is limited too; the rest of the client is not."""

    def script(connection: Connection) -> None:
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nx")
        connection.hang()

    with Peer(answering(script)) as peer:
        raw = client_of(peer.host, deadline=0.2).GET(f"{peer.host}/x", _preload_content=False)
        with pytest.raises(urllib3.exceptions.HTTPError):
            raw.read()
        raw.close()


def test_a_page_of_an_error_has_its_own_limit() -> None:
    """1 MiB, however large a success may be; the error says so."""
    with Peer(answering(response(500, b"x" * ((1 << 20) + 1)))) as peer:
        error = failure(
            ApiResponseError, client_of(peer.host).GET, f"{peer.host}/x", maybe_applied=False
        )
    assert "Response exceeds 1048576 bytes" in str(error)


@pytest.mark.usefixtures("no_garbage_collection")
def test_a_client_that_is_dropped_after_an_error_is_collected_at_once() -> None:
    """Its connections close then, and not when the garbage collector runs next."""
    with Peer(answering(response(404))) as peer:
        api = make_api(peer.host)
        client = weakref.ref(api.api_client)
        with contextlib.suppress(tator.NotFoundException):
            api.delete_job(UID)
        del api
        assert client() is None
