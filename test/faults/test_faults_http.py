"""Rows 19 to 33, 54 and 68 of the fault matrix: broken HTTP, statuses, bodies and input."""

from __future__ import annotations

import errno
import json
import select
import socket
import ssl
import time
import tracemalloc
import warnings
import zlib
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from threading import Event
from typing import Any
from urllib.parse import unquote_to_bytes
from uuid import UUID

import pytest
from conftest import Proxy, Tls
from hypothesis import given, settings
from hypothesis import strategies as st
from peers import (
    DONE,
    TOKEN,
    UID,
    Connection,
    Peer,
    Script,
    all_at_once,
    answering,
    failure,
    http,
    make_api,
    rejected,
)
from urllib3.exceptions import InsecureRequestWarning

import tator
from tator import (
    ApiConnectionError,
    ApiException,
    ApiResponseError,
    ApiTimeoutError,
    ApiTypeError,
    ApiValueError,
    BadRequestException,
    ForbiddenException,
    NotFoundException,
    RedirectException,
    ServiceException,
    UnauthorizedException,
)
from tator.testing import LocalTator

# Broken HTTP


def head(*lines: str) -> bytes:
    return "\r\n".join(("HTTP/1.1 200 OK", *lines, "", "")).encode()


CHUNKED = head("Transfer-Encoding: chunked")
BROKEN: dict[str, tuple[bytes, type[ApiException]]] = {
    "nothing": (b"", ApiConnectionError),
    "HTTP/0.9": (DONE, ApiConnectionError),
    "HTTP/0.9 with lines": (DONE + b"\n" + DONE + b"\n", ApiResponseError),
    "SSH banner": (b"SSH-2.0-OpenSSH_9.6\r\n", ApiResponseError),
    "HTTP/2": (b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", ApiResponseError),
    "status of two digits": (b"HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\n{}", ApiResponseError),
    "status of words": (b"HTTP/1.1 OK\r\nContent-Length: 2\r\n\r\n{}", ApiResponseError),
    "status line cut": (b"HTTP/1.1 200", ApiConnectionError),
    "headers cut": (b"HTTP/1.1 200 OK\r\nServer: x\r\n", ApiConnectionError),
    "header cut": (b"HTTP/1.1 200 OK\r\nServer", ApiConnectionError),
    "70 kB status line": (b"HTTP/1.1 200 " + b"x" * 70_000 + b"\r\n\r\n", ApiResponseError),
    "70 kB header": (head("X: " + "x" * 70_000, "Content-Length: 2") + b"{}", ApiResponseError),
    "101 headers": (
        head(*(f"X-{n}: y" for n in range(100)), "Content-Length: 2") + b"{}",
        ApiResponseError,
    ),
    "header without colon": (head("Nonsense", "Content-Length: 2") + b"{}", ApiResponseError),
    "header with a space": (head("X : y", "Content-Length: 2") + b"{}", ApiResponseError),
    "folded header": (head("X: y", " z", "Content-Length: 2") + b"{}", ApiResponseError),
    "two lengths": (head("Content-Length: 2", "Content-Length: 3") + b"{}", ApiResponseError),
    "length of words": (head("Content-Length: abc") + b"{}", ApiResponseError),
    "negative length": (head("Content-Length: -2") + b"{}", ApiResponseError),
    "length of 5000 digits": (head("Content-Length: " + "9" * 5000) + b"{}", ApiResponseError),
    "short body": (head("Content-Length: 50") + DONE, ApiConnectionError),
    "chunk of words": (CHUNKED + b"zz\r\n{}\r\n", ApiResponseError),
    "chunk of Python's hexadecimal": (CHUNKED + b"0x2\r\n{}\r\n0\r\n\r\n", ApiResponseError),
    "chunk with a sign": (CHUNKED + b"+2\r\n{}\r\n0\r\n\r\n", ApiResponseError),
    "chunk with another end": (CHUNKED + b"2\r\n{}XX0\r\n\r\n", ApiResponseError),
    "last chunk cut": (CHUNKED + b"2\r\n{}\r\n0\r\n", ApiConnectionError),
    "trailer cut": (CHUNKED + b"2\r\n{}\r\n0\r\nX: y\r\n", ApiConnectionError),
    "trailer of words": (CHUNKED + b"2\r\n{}\r\n0\r\nwords\r\n\r\n", ApiResponseError),
    "unknown encoding": (head("Transfer-Encoding: gzip, chunked") + DONE, ApiResponseError),
    "NUL in a header": (head("X: \0", "Content-Length: 2") + b"{}", ApiResponseError),
    "header without a name": (head(": y", "Content-Length: 2") + b"{}", ApiResponseError),
    "204 with a length of words": (
        b"HTTP/1.1 204 No Content\r\nContent-Length: abc\r\n\r\n",
        ApiResponseError,
    ),
    "negative chunk": (CHUNKED + b"-2\r\n{}\r\n", ApiResponseError),
    "chunk cut": (CHUNKED + b"20\r\n{}", ApiConnectionError),
    "last chunk missing": (CHUNKED + b"2\r\n{}\r\n", ApiConnectionError),
    "chunked twice": (
        head("Transfer-Encoding: chunked, chunked") + b"2\r\n{}\r\n0\r\n\r\n",
        ApiResponseError,
    ),
    "NUL bytes": (bytes(64), ApiConnectionError),
    "interim responses alone": (b"HTTP/1.1 100 Continue\r\n\r\n" * 3, ApiConnectionError),
    "interim responses without end": (b"HTTP/1.1 102 Work\r\n\r\n" * 200_000, ApiResponseError),
    "switching protocols": (b"HTTP/1.1 101 Up\r\n\r\n{}", ApiResponseError),
}


@pytest.mark.usefixtures("no_backoff")
@pytest.mark.parametrize(("response", "kind"), BROKEN.values(), ids=BROKEN)
def test_row_19_broken_http_is_never_a_success(response: bytes, kind: type[ApiException]) -> None:
    """A cut response is retried, a malformed one is not; the connection is not used again."""

    def script(connection: Connection) -> None:
        connection.request()
        connection.send(response if healthy is None else http())
        if response.endswith(b"{}") and kind is not ApiConnectionError:
            connection.hang()  # the client must not send again, even if the server stays

    healthy = None
    with Peer(script) as peer:
        api = make_api(peer.host)
        error = failure(kind, api.delete_job, UID, maybe_applied=True)
        sent = 3 if kind is ApiConnectionError else 1
        assert (error.attempts, len(peer.requests), peer.connections) == (sent, sent, sent)
        healthy = True
        assert api.delete_job(UID).message == "Done."
        assert peer.connections == sent + 1


# Statuses


@pytest.mark.parametrize(
    ("status", "kind", "maybe_applied", "message"),
    [
        (400, BadRequestException, True, "The workflow could not be deleted."),
        (401, UnauthorizedException, False, "Authentication credentials were not provided."),
        (403, ForbiddenException, False, "Insufficient permission to modify this project."),
        (404, NotFoundException, False, "The algorithm does not exist."),
        (405, ApiException, False, "Method not allowed."),
        (409, ApiException, True, None),
        (413, ApiException, False, None),
        (414, ApiException, False, None),
        (500, ServiceException, True, None),
        (501, ServiceException, True, None),
    ],
)
def test_row_20_a_status_has_its_class(
    status: int, kind: type[ApiException], maybe_applied: bool, message: str | None
) -> None:
    """With the message from `message` or `detail`, and after one request."""
    with LocalTator(TOKEN) as server:
        server.fail(status)
        error = failure(kind, make_api(server.host).delete_job, UID, maybe_applied=maybe_applied)
        assert (error.status, error.shown_message, error.attempts) == (status, message or "", 1)
        assert len(server.requests) == 1
    assert error.method == "DELETE"
    assert error.url == f"{server.host}/rest/Job/{UID}"


def test_row_20_a_400_keeps_the_traceback_of_the_server_out_of_its_text() -> None:
    """`details` are in `body`, and nowhere else."""
    body = json.dumps({"message": "Failed.", "details": "Traceback: secret place"}).encode()
    with Peer(answering(http(400, body))) as peer:
        error = failure(
            BadRequestException, make_api(peer.host).delete_job, UID, maybe_applied=True
        )
    assert error.message == "Failed."
    assert "Traceback" not in str(error) + repr(error)
    assert "Traceback" in str(error.body)


def test_row_21_a_server_that_asks_to_wait_gets_another_request() -> None:
    """After about the time that the server asked for."""

    def check(status: int) -> None:
        with LocalTator(TOKEN) as server:
            server.fail(status, headers={"Retry-After": "1"})
            started = time.monotonic()
            assert make_api(server.host).delete_job(server.launch().run_uids[0]).message
            assert time.monotonic() - started >= 1
            assert len(server.requests) == 2

    all_at_once(check, [(429,), (503,)])


def test_row_21_retry_after_may_be_a_date() -> None:
    """`Retry-After` as a date, with and without a zone."""
    now = datetime.now(timezone.utc) + timedelta(seconds=2)
    dates = [format_datetime(now, usegmt=True), format_datetime(now.replace(tzinfo=None))]
    with LocalTator(TOKEN) as server:
        for date in dates:
            server.fail(503, headers={"Retry-After": date})
            api = make_api(server.host, deadline=0.5)
            error = failure(ServiceException, api.delete_job, UID, maybe_applied=True)
            assert error.attempts == 1
            assert error.retry_after is not None
            assert 0 < error.retry_after <= 2


@pytest.mark.usefixtures("no_backoff")
@pytest.mark.parametrize(
    ("value", "attempts", "seconds"),
    [
        ("86400", 1, 86400),
        ("31", 1, 31),
        ("9" * 5000, 3, None),
        ("abc", 3, None),
        ("", 3, None),
        ("0", 3, None),
        ("-5", 3, None),
        ("1.5", 3, None),
        ("1e9", 3, None),
        ("٣", 3, None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 3, None),
        ("Wed, 99 Oct 2015 07:28:00 GMT", 3, None),
        ("Wed, 21 Oct 99999 07:28:00 GMT", 3, None),
    ],
    ids=lambda value: str(value)[:30],
)
def test_row_22_an_odd_retry_after_does_not_hide_the_status(
    value: str, attempts: int, seconds: float | None
) -> None:
    """Too long: the status at once. Garbage or past: the usual backoff."""
    header = {"Retry-After": value.encode().decode("latin-1")}
    with Peer(answering(http(503, headers=header), keep=True)) as peer:
        api = make_api(peer.host)
        error = failure(ServiceException, api.delete_job, UID, maybe_applied=True, ends_by=0)
    assert (error.status, error.retry_after) == (503, seconds)
    assert (error.attempts, len(peer.requests)) == (attempts, attempts)


@pytest.mark.usefixtures("no_backoff")
@pytest.mark.parametrize(("status", "attempts"), [(502, 3), (503, 3), (504, 1)])
def test_row_23_a_gateway_that_fails_is_a_service_exception(status: int, attempts: int) -> None:
    """With an HTML page for a body; no retry after a 504, since the server is still at work."""
    with LocalTator(TOKEN) as server:
        server.fail(status, times=3)
        error = failure(ServiceException, make_api(server.host).delete_job, UID, maybe_applied=True)
        assert (error.status, error.message, error.attempts) == (status, None, attempts)
        assert "<html>" in str(error.body)
        assert len(server.requests) == attempts


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308])
@pytest.mark.parametrize("target", ["same host", "other host", "plain", "none", "broken", "token"])
def test_row_24_a_redirect_is_never_followed(status: int, target: str, tls: Tls) -> None:
    """The target sees nothing, and the error says where it pointed."""
    with (
        Peer(answering(http())) as other,
        Peer(
            answering(lambda peer: peer.send(http(status, headers=headers))), tls.server()
        ) as peer,
    ):
        location = {
            "same host": "/elsewhere",
            "other host": f"{other.host}/rest/Job/{UID}",
            "plain": f"{peer.host.replace('https:', 'http:')}/rest/Job/{UID}",
            "none": None,
            "broken": "http://[::1/\x01",
            "token": f"/?token={TOKEN}",
        }[target]
        headers = {} if location is None else {"Location": location}
        api = make_api(peer.host, ssl_ca_cert=tls.ca_file)
        error = failure(RedirectException, api.delete_job, UID, maybe_applied=False)
        assert (error.status, error.attempts) == (status, 1)
        assert (len(peer.requests), peer.connections, other.connections) == (1, 1, 0)
        if target == "other host":
            assert other.host in str(error)


def test_row_25_an_unknown_status_is_an_error_unless_it_is_2xx() -> None:
    """Tator sends neither 999 nor 600; 299 with the right JSON is a success."""
    with Peer(answering(http(999), http(299), http(600), keep=True)) as peer:
        api = make_api(peer.host)
        for status in (999, 299, 600):
            if status == 299:
                assert api.delete_job_with_http_info(UID).status == 299
            else:
                error = failure(ApiResponseError, api.delete_job, UID, maybe_applied=True)
                assert (error.status, error.attempts) == (status, 1)


# Bodies


@pytest.mark.parametrize(
    "body",
    [
        *(b"<html><title>Tator</title></html>", b"[]", b'"text"', b'{"message": 5}', b""),
        *(b"null", b"5", b"true", b'{"message": ["Done."]}', b"{", b"NaN", b"{} {}", b"   "),
    ],
)
def test_row_26_a_success_that_is_not_tators_is_an_error(body: bytes) -> None:
    """A 200 whose body says nothing of a cancellation proves none."""
    with Peer(answering(http(200, body), keep=True)) as peer:
        api = make_api(peer.host)
        for call in (api.delete_job, api.delete_job_group):
            error = failure(ApiResponseError, call, UID, maybe_applied=True)
            assert (error.status, error.attempts) == (200, 1)
            assert error.body == body.decode()
    assert len(peer.requests) == 2


def test_row_26_localtator_sends_such_a_page() -> None:
    """`LocalTator.html` is nginx's 200 with a web page, and does nothing."""
    with LocalTator(TOKEN) as server:
        server.html()
        uid = server.launch().run_uids[0]
        failure(ApiResponseError, make_api(server.host).delete_job, uid, maybe_applied=True)
        assert server.jobs == {uid: "running"}


@pytest.mark.parametrize(
    ("response", "message"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", None),
        (b"HTTP/1.1 204\r\nContent-Length: 0\r\n\r\n", None),
        (b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", None),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 20\r\n\r\n" + DONE, None),
        (http(200, b"{}"), None),
        (http(200, b'{"message": null}'), None),
        (http(200, b'{"message": "Done.", "new": {"a": [1]}}'), "Done."),
        (http(200, '{"message": "Größe 测试 🙂"}'.encode()), "Größe 测试 🙂"),
        (http(200, b"\xef\xbb\xbf" + DONE), "Done."),
        (http(200, b" \r\n" + DONE + b"\n"), "Done."),
        (http(200, DONE, {"Content-Type": "text/plain"}), "Done."),
        (b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + http(), "Done."),
        (b"HTTP/1.0 200 OK\n\n" + DONE, "Done."),
        (
            CHUNKED.replace(b"chunked", b"Chunked")
            + b'4\r\n{"me\r\n10;ext=1\r\nssage": "Done."}\r\n0\r\nTrailer: x\r\n\r\n',
            "Done.",
        ),
    ],
)
def test_row_27_a_success_may_have_many_forms(response: bytes, message: str | None) -> None:
    """With and without a message, and with fields that later servers may add."""
    with Peer(answering(response)) as peer:
        assert make_api(peer.host).delete_job(UID).message == message
    assert len(peer.requests) == 1


def endlessly(start: bytes, piece: bytes) -> Script:
    def script(connection: Connection) -> None:
        connection.send(start)
        while True:
            connection.send(piece)

    return script


def gzipped_zeros(count: int) -> bytes:
    """What `gzip.compress` would make of them, in half the time."""
    runs = zlib.compressobj(wbits=31, strategy=zlib.Z_RLE)
    return runs.compress(bytes(count)) + runs.flush()


UNREADABLE: dict[str, bytes | Script] = {
    "bad UTF-8": http(200, b'{"message": "\xff"}'),
    "broken JSON": http(200, DONE[:-1]),
    "deep JSON": http(200, b"[" * 500_000),
    "a number of 100,000 digits": http(200, b'{"n": ' + b"9" * 100_000 + b"}"),
    "endless": endlessly(head(), b"x" * 65536),
    # With so much around each byte, it is what arrives that reaches a limit first.
    "endless chunks": endlessly(CHUNKED, b"1;extension=of-no-meaning\r\nx\r\n" * 2_000),
    "endless trailer": endlessly(CHUNKED + b"0\r\n", b"X: y\r\n" * 10_000),
    "endless error": endlessly(b"HTTP/1.1 500 Oh\r\n\r\n", b"x" * 65536),
    "2 MiB": http(200, b'{"message": "' + b"x" * (1 << 21) + b'"}'),
    "8 GiB claimed": endlessly(head("Content-Length: 8589934592"), b"x" * 65536),
    "chunk of 8 GiB": endlessly(CHUNKED + b"200000000\r\n", b"x" * 65536),
    "gzip bomb": http(200, gzipped_zeros(1 << 28), {"Content-Encoding": "gzip"}),
}


@pytest.mark.parametrize("response", UNREADABLE.values(), ids=UNREADABLE)
def test_row_28_a_body_that_cannot_be_read_is_an_error(response: bytes | Script) -> None:
    """And takes 5 MiB of memory at most, whatever it claims or unfolds to."""
    with Peer(answering(response)) as peer:
        api = make_api(peer.host, deadline=60)  # tracing memory takes time
        tracemalloc.start()
        try:
            error = failure(ApiResponseError, api.delete_job, UID, maybe_applied=True)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert (error.attempts, len(peer.requests)) == (1, 1)
    assert peak < 5 << 20


def test_row_28_a_body_of_just_one_mebibyte_is_read() -> None:
    """The limit is 1 MiB, and not a byte less."""
    body = b'{"message": "' + b"x" * ((1 << 20) - 15) + b'"}'
    assert len(body) == 1 << 20
    with Peer(answering(http(200, body), http(200, body + b" "), keep=True)) as peer:
        api = make_api(peer.host)
        assert len(api.delete_job(UID).message or "") == (1 << 20) - 15
        failure(ApiResponseError, api.delete_job, UID, maybe_applied=True)


# Input


@pytest.mark.parametrize("value", [None, 5, 5.0, b"a", True, ["a"], object(), UUID])
def test_row_29_an_id_of_another_type_is_rejected(value: Any) -> None:
    """Only strings and UUIDs identify a job or a group."""
    with Peer(answering(http())) as peer:
        api = make_api(peer.host)
        for call in (api.delete_job, api.delete_job_group):
            error = failure(ApiTypeError, call, value, maybe_applied=False)
            assert error.attempts == 0
    assert peer.connections == 0


@pytest.fixture(scope="module")
def steady() -> Any:
    """A peer for the property tests, and an API on it."""
    with Peer(answering(http(), keep=True)) as peer:
        yield peer, make_api(peer.host)


BAD = st.one_of(
    st.sampled_from(["", ".", "..", "a" * 257, "é" * 257, "../Jobs/1", "a%2Fb", "\ud800"]),
    st.sampled_from([" ", "\u2003", " a", "a ", "a\u00a0", "\ta"]),
    st.tuples(
        st.text(max_size=100),
        st.sampled_from(
            ["/", "\\", "%", "\0", "\n", "\x1f", "\x7f", "\x80", "\x9f", "\udfff", "\ufeff"]
        ),
        st.text(max_size=100),
    ).map("".join),
)


@given(run_uid=BAD)
@settings(max_examples=150, deadline=None)
def test_row_29_a_dangerous_id_is_rejected(steady: Any, run_uid: str) -> None:
    """One that could lead to another endpoint, or has white space around it; nothing is sent."""
    peer, api = steady
    before = len(peer.requests)
    error = failure(ApiValueError, api.delete_job, run_uid, maybe_applied=False)
    assert "run_uid" in str(error)
    assert len(peer.requests) == before


GOOD = st.one_of(
    st.text(
        st.characters(
            exclude_categories=["Cs", "Cc"],
            exclude_characters="/\\%\ufeff",
        ),
        min_size=1,
        max_size=256,
    ).filter(lambda text: text not in (".", "..") and text == text.strip()),
    st.sampled_from(["...", "a?b=c", "a#b", "a b", ";x=y", "~", ":@", "a&b", "+", "é" * 256]),
    st.uuids(),
)


@given(run_uid=GOOD)
@settings(max_examples=200, deadline=None)
def test_row_30_any_other_id_arrives_unchanged(steady: Any, run_uid: str | UUID) -> None:
    """Exactly one request, whose decoded last segment is the ID."""
    peer, api = steady
    before = len(peer.requests)
    assert api.delete_job(run_uid).message == "Done."
    assert len(peer.requests) == before + 1
    method, path, version = peer.requests[-1].split(b"\r\n")[0].split(b" ")
    assert (method, version) == (b"DELETE", b"HTTP/1.1")
    assert path.startswith(b"/rest/Job/")
    assert path.count(b"/") == 3
    assert not set(path) & set(b"?#")
    assert unquote_to_bytes(path.rpartition(b"/")[2]) == str(run_uid).encode()


TOKENS = ["se\r\nsame-99", "se\nsame-99", "se\0same-99", "sesame-99€", "", "  ", "se\x7fsame-99"]
ROUTES = ["api_key", "attribute", "get_api", "environment", "hook", "prefix"]


@pytest.mark.parametrize(
    ("route", "token"),
    [
        (route, token)
        for route in ROUTES
        for token in TOKENS
        # An environment holds no NUL, and an empty variable counts as unset.
        if route != "environment" or (token and "\0" not in token)
    ],
)
def test_row_31_a_token_that_no_header_may_have_is_rejected(
    route: str, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However it is set, before anything is sent; the error does not show it."""

    def hook(configuration: tator.Configuration) -> None:
        configuration.api_key["Authorization"] = token

    def set_token() -> None:
        if route == "api_key":
            make_api(peer.host, api_key={"Authorization": token})
        elif route == "attribute":
            make_api(peer.host).api_client.configuration.api_key = {"Authorization": token}
        elif route == "get_api":
            tator.get_api(peer.host, token)
        elif route == "environment":
            monkeypatch.setenv("TATOR_HOST", peer.host)
            monkeypatch.setenv("TATOR_TOKEN", token)
            tator.get_api().delete_job(UID)
        elif route == "hook":
            make_api(peer.host, refresh_api_key_hook=hook).delete_job(UID)
        else:
            configuration = tator.Configuration(peer.host)
            configuration.api_key_prefix["Authorization"] = token

    with Peer(answering(http())) as peer:
        shown = tuple(part for part in (token.strip(), "same-99") if part)
        with pytest.raises(ApiValueError) as caught:
            set_token()
    assert not [part for part in shown if part in str(caught.value) + repr(caught.value)]
    assert peer.connections == 0


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (True, ApiTypeError),
        (False, ApiTypeError),
        (float("nan"), ApiValueError),
        (float("inf"), ApiValueError),
        (-1, ApiValueError),
        (0, ApiValueError),
        ("5", ApiTypeError),
        ((1, 2, 3), ApiValueError),
        ((1,), ApiValueError),
        ((1, True), ApiTypeError),
        ((1, float("nan")), ApiValueError),
        ([1, 2, 3], ApiValueError),
        ({1, 2}, ApiTypeError),
        (1e300, ApiValueError),
        (10**400, ApiValueError),
    ],
    ids=lambda value: str(value)[:20],
)
def test_row_32_an_invalid_timeout_is_rejected(value: Any, kind: type[ApiException]) -> None:
    """For one call, for the configuration, and for the deadline."""
    with Peer(answering(http())) as peer:
        api = make_api(peer.host)
        options = {"_request_timeout": value}
        failure(kind, api.delete_job, UID, maybe_applied=False, **options)
        rejected(kind, make_api, peer.host, timeout=value)
        kind = ApiTypeError if isinstance(value, (tuple, list)) else kind
        rejected(kind, make_api, peer.host, deadline=value)
    assert peer.connections == 0


def test_row_33_a_token_over_plain_http_to_another_machine_warns_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The warning names the line of the user's program, and the call goes on."""
    real = socket.getaddrinfo

    def getaddrinfo(host: Any, *args: Any, **options: Any) -> Any:
        return real("127.0.0.1" if host == "tator.test" else host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with Peer(answering(http(), keep=True)) as peer:
        calls = [
            lambda: api.delete_job(UID),
            lambda: api.delete_job_group_with_http_info(UID),
            lambda: api.api_client.call_api("/x", "GET", auth_settings=["TokenAuth"]),
        ]
        for call in calls:
            api = make_api(f"http://tator.test:{peer.port}")
            with pytest.warns(InsecureRequestWarning, match="plain http") as caught:
                call()
            assert [warning.filename for warning in caught] == [__file__]
            call()  # warnings are errors here, and this one gives none
    assert len(peer.requests) == 6


def test_row_33_verify_ssl_off_warns_once(tls: Tls) -> None:
    """An expired certificate of another server is accepted, with one warning for the client."""
    with Peer(answering(http(), keep=True), tls.server("other.test", after=-9, until=-8)) as peer:
        api = make_api(peer.host, verify_ssl=False)
        with pytest.warns(InsecureRequestWarning, match="verify_ssl") as caught:
            assert api.delete_job(UID).message == "Done."
        assert [warning.filename for warning in caught] == [__file__]
        assert api.delete_job(UID).message == "Done."
    assert len(peer.requests) == 2


def test_row_33_plain_http_to_this_machine_warns_of_nothing() -> None:
    """Nobody else can read it."""
    with warnings.catch_warnings(record=True) as caught, Peer(answering(http())) as peer:
        warnings.simplefilter("always", InsecureRequestWarning)
        for host in (peer.host, peer.host.replace("127.0.0.1", "localhost")):
            assert make_api(host).delete_job(UID).message == "Done."
    assert not [w for w in caught if issubclass(w.category, InsecureRequestWarning)]


# Anything at all


LINES = st.sampled_from(
    [
        *(b"HTTP/1.1 200 OK", b"HTTP/1.1 204 No", b"HTTP/1.0 200", b"HTTP/1.1 100 Go"),
        *(b"HTTP/1.1 503 Oh", b"HTTP/1.1 301 Moved", b"Content-Length: 2", b"Content-Length: 20"),
        *(b"Transfer-Encoding: chunked", b"Content-Type: text/html", b"Connection: close"),
        *(b"Retry-After: 1", b"Location: /x", b"2", b"0", b"{}", DONE, b"", b"\xff\x00"),
    ]
)
ANYTHING = st.one_of(
    st.binary(max_size=200),
    st.lists(LINES, max_size=8).map(b"\r\n".join),
    st.lists(st.one_of(LINES, st.binary(max_size=20)), max_size=8).map(b"\r\n".join),
    st.binary(max_size=100).map(lambda body: http(200, body)),
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["message", "detail", "x"]), inner, max_size=3)
        ),
        max_leaves=8,
    ).map(lambda value: http(200, json.dumps(value).encode())),
)


@pytest.fixture(scope="module")
def fickle() -> Any:
    """A peer that sends the last of its `responses`, and an API on it that does not retry."""
    responses = [b""]
    with Peer(answering(lambda connection: connection.send(responses[-1]))) as peer:
        yield responses, make_api(peer.host, retries=0, deadline=5)


@given(response=ANYTHING)
@settings(max_examples=400, deadline=None)
def test_any_bytes_become_a_model_or_an_error(fickle: Any, response: bytes) -> None:
    """Whatever arrives, a call returns the model that it spells out, or an `ApiException`."""
    responses, api = fickle
    responses.append(response)
    outcome: Any
    try:
        outcome = api.delete_job(UID)
    except ApiException as error:
        outcome = error
    if isinstance(outcome, ApiException):
        assert outcome.attempts == 1
        assert str(outcome).isprintable()
    else:
        assert type(outcome) is tator.InlineResponse2044
        assert outcome.message is None or isinstance(outcome.message, str)
        assert response.startswith(b"HTTP/1.")


# More or less than a response


LENGTHS: dict[str, tuple[tuple[str, ...], bool]] = {
    "one": (("2",), True),
    "two that are the same": (("2", "2"), True),
    "two in one header": (("2, 2",), True),
    "two that differ": (("2", "3"), False),
    "two that differ in one header": (("2, 3",), False),
    "two that are written differently": (("2", "02"), False),
    "one and an empty one": (("2", ""), False),
    "one of words": (("two",), False),
}


@pytest.mark.parametrize(("lengths", "is_valid"), LENGTHS.values(), ids=LENGTHS)
def test_row_68_content_lengths_must_be_the_same(lengths: tuple[str, ...], is_valid: bool) -> None:
    """Two that differ are how a second response is smuggled in."""
    response = head(*(f"Content-Length: {length}" for length in lengths)) + b"{}"
    with Peer(answering(response)) as peer:
        api = make_api(peer.host)
        if is_valid:
            assert api.delete_job(UID).message is None
        else:
            error = failure(ApiResponseError, api.delete_job, UID, maybe_applied=True)
            assert error.attempts == 1
        assert len(peer.requests) == 1


LEFTOVER = http(200, b'{"message": "Leftover."}')


def assert_not_reused(api: tator.JobApi, peer: Peer) -> None:
    """The next call gets its own response, on another connection."""
    assert api.delete_job(UID).message == "Done."
    response = api.api_client.last_response
    assert response is not None
    assert (response.attempts, peer.connections) == (1, 2)


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
@pytest.mark.parametrize(
    "extra", [b"\r\n", b"\0", LEFTOVER, LEFTOVER * 1_000], ids=["CRLF", "NUL", "one", "many"]
)
def test_row_54_bytes_that_arrive_with_a_response_end_the_connection(
    extra: bytes, secure: bool, tls: Tls
) -> None:
    """They are never taken for the beginning of the next response."""

    def script(connection: Connection) -> None:
        connection.request()
        connection.send(http() + (extra if peer.connections == 1 else b""))
        connection.hang()

    with Peer(script, tls.server() if secure else None) as peer:
        api = make_api(peer.host, ssl_ca_cert=tls.ca_file, retries=0)
        assert api.delete_job(UID).message == "Done."
        assert api.api_client.rest_client.idle_connections == 0
        assert_not_reused(api, peer)


def test_row_54_bytes_that_tls_holds_back_end_the_connection(tls: Tls) -> None:
    """They are in the record of the body, and seen neither at the socket nor in what was read."""

    def script(connection: Connection) -> None:
        connection.request()
        status, _, body = http().partition(b"\r\n\r\n")
        connection.send(status + b"\r\n\r\n")
        connection.send(body + (LEFTOVER if peer.connections == 1 else b""))
        connection.hang()

    with Peer(script, tls.server()) as peer:
        api = make_api(peer.host, ssl_ca_cert=tls.ca_file, retries=0)
        assert api.delete_job(UID).message == "Done."
        assert api.api_client.rest_client.idle_connections == 0
        assert_not_reused(api, peer)


class TlsInTls:
    """A server's TLS inside the TLS of a proxy, so that one outer record can hold many inner ones.

    Args:
        connection: A connection on which the proxy has said that the tunnel is open.
        context: The server's context.
    """

    def __init__(self, connection: Connection, context: ssl.SSLContext) -> None:
        self._connection = connection
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._inner = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._step(self._inner.do_handshake)

    def request(self) -> bytes:
        """Read one request."""
        return self._step(self._inner.read)

    def send(self, *records: bytes) -> None:
        """Send inner records in one outer record."""
        for record in records:
            self._inner.write(record)
        self._connection.send(self._outgoing.read())

    def _step(self, action: Callable[[], Any]) -> Any:
        while True:
            try:
                result = action()
            except ssl.SSLWantReadError:
                self._flush()
                data = self._connection.sock.recv(1 << 16)
                if not data:
                    raise ConnectionAbortedError("the client has left") from None
                self._incoming.write(data)
            else:
                self._flush()
                return result

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._connection.send(self._outgoing.read())


RESPONSE_HEAD, RESPONSE_BODY = http()[: -len(DONE)], DONE


@pytest.mark.parametrize(
    "records",
    [
        (http() + LEFTOVER,),
        (http(), LEFTOVER),
        (RESPONSE_HEAD, RESPONSE_BODY + LEFTOVER),
        (RESPONSE_HEAD, RESPONSE_BODY, LEFTOVER),
    ],
    ids=["one record", "two records", "body and more", "three records"],
)
def test_row_54_bytes_that_tls_in_tls_holds_back_end_the_connection(
    records: tuple[bytes, ...], tls: Tls
) -> None:
    """They are in the buffers of either layer."""
    inner_context = tls.server()

    def script(connection: Connection) -> None:
        connection.request()
        connection.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        inner = TlsInTls(connection, inner_context)
        inner.request()
        inner.send(*(records if peer.connections == 1 else (http(),)))
        connection.hang()

    with Peer(script, tls.server()) as peer:
        api = make_api("https://127.0.0.1:9", proxy=peer.host, ssl_ca_cert=tls.ca_file, retries=0)
        assert api.delete_job(UID).message == "Done."
        assert api.api_client.rest_client.idle_connections == 0
        assert_not_reused(api, peer)


@pytest.mark.parametrize("way", ["http", "https", "TLS in TLS"])
def test_row_54_bytes_that_arrive_later_end_the_connection(
    way: str, tls: Tls, tls_proxy: Proxy
) -> None:
    """A whole response that nobody asked for, while the connection is idle."""
    go = Event()

    def script(connection: Connection) -> None:
        connection.request()
        connection.send(http())
        if peer.connections == 1:
            go.wait(30)
            connection.send(LEFTOVER)
        connection.hang()

    with Peer(script, None if way == "http" else tls.server()) as peer:
        proxy = f"https://{tls_proxy.authority}" if way == "TLS in TLS" else ""
        api = make_api(peer.host, ssl_ca_cert=tls.ca_file, retries=0, proxy=proxy)
        raw: Any = api.delete_job(UID, _preload_content=False)
        sock = raw.connection.sock
        assert raw.read() == DONE
        assert api.api_client.rest_client.idle_connections == 1
        go.set()
        assert select.select([sock], [], [], 30)[0]
        assert_not_reused(api, peer)


def test_row_54_a_raw_response_released_unread_ends_the_connection(tls: Tls) -> None:
    """The rest of it is not taken for the next response."""
    for context in (None, tls.server()):
        with Peer(answering(LEFTOVER, http(), keep=True), context) as peer:
            api = make_api(peer.host, ssl_ca_cert=tls.ca_file, retries=0)
            raw = api.delete_job(UID, _preload_content=False)
            raw.release_conn()
            assert_not_reused(api, peer)


def test_row_54_a_late_release_of_a_raw_response_harms_nobody() -> None:
    """Its connection works for another response by then, and no third call may get it."""
    with Peer(answering(http(), keep=True)) as peer:
        api = make_api(peer.host)
        first = api.delete_job(UID, _preload_content=False)
        first.read()
        first.release_conn()
        second = api.delete_job(UID, _preload_content=False)
        first.release_conn()
        first.close()
        assert api.delete_job(UID).message == "Done."
        assert second.read() == DONE
        second.release_conn()
        assert (api.api_client.rest_client.idle_connections, peer.connections) == (2, 2)


# Interim responses and early ones


def test_interim_responses_that_drip_end_by_the_deadline() -> None:
    """An endless row of whole 1xx responses does not count as a response."""

    def script(connection: Connection) -> None:
        while not connection.peer.closing.wait(0.02):
            connection.send(b"HTTP/1.1 102 Processing\r\n\r\n")

    with Peer(answering(script)) as peer:
        api = make_api(peer.host, deadline=0.3)
        failure(ApiTimeoutError, api.delete_job, UID, maybe_applied=True, ends_by=0.3)


def test_a_large_response_made_of_interim_ones_is_rejected() -> None:
    """Headers count toward the limit as bodies do."""
    interim = b"HTTP/1.1 103 Early\r\n" + b"Link: " + b"x" * 60_000 + b"\r\n\r\n"
    with Peer(answering(interim * 60 + http())) as peer:
        failure(ApiResponseError, make_api(peer.host).delete_job, UID, maybe_applied=True)


def test_a_response_before_the_whole_request_was_read_is_that_response(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A server that rejects a large body responds, and closes the connection for the rest of it."""

    class Broken(socket.socket):
        def sendall(self, *args: Any) -> None:
            super().sendall(*args)
            if self.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE):  # one of the client's
                raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    too_large = http(413, b'{"message": "Too large."}')
    with Peer(answering(too_large, http())) as peer:
        monkeypatch.setattr(socket, "socket", Broken)
        client = make_api(peer.host).api_client
        error = failure(ApiException, client.call_api, "/x", "DELETE", maybe_applied=False)
        assert (error.status, error.message, error.attempts) == (413, "Too large.", 1)
        raw: Any = tator.JobApi(client).delete_job(UID, _preload_content=False)
        assert (raw.url, raw.read()) == (f"/rest/Job/{UID}", DONE)
