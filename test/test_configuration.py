"""Settings: each is checked when it is set, belongs to one instance, and shows no secret."""

from __future__ import annotations

import copy
import logging
import pickle
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tator
from tator import Configuration
from tator.configuration import veil
from tator.testing import LocalTator

SECRET = "sesame-0123456789abcdef"
HOST = "https://tator.example"


@pytest.fixture
def tator_logger() -> Iterator[logging.Logger]:
    """The library's logger, put back as it was."""
    yield logging.getLogger("tator")
    Configuration(debug=True).debug = False


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (None, "/"),
        ("/", "/"),
        ("http://Tator.Example:8080", "http://tator.example:8080"),
        (f"{HOST}/", HOST),
        (f"{HOST}/rest", HOST),
        (f"{HOST}/rest/", HOST),
        (f"{HOST}/annotation/rest", f"{HOST}/annotation"),
        ("HTTPS://tator.example", HOST),
        ("http://[::1]:80", "http://[::1]:80"),
        ("http://bücher.example", "http://xn--bcher-kva.example"),
    ],
)
def test_a_host_is_brought_into_one_form(given: str | None, kept: str) -> None:
    """Slashes and `/rest` at the end go, a prefix stays."""
    assert Configuration(given).host == kept


@pytest.mark.parametrize(
    "host",
    [
        "http://[::1]x",
        "http://[v1.abc]",
        "http://[fe80::1%lo]",
        "http://[::::]",
        "http://[::1",
        "",
        "tator.example",
        "ftp://tator.example",
        "https://",
        f"https://user:{SECRET}@tator.example",
        f"{HOST}?token={SECRET}",
        f"{HOST}#{SECRET}",
        f"{HOST}:{SECRET}",
        f"{HOST}:",
        f"{HOST}:0",
        f"{HOST}\\a",
        f"{HOST}/a b",
        f"{HOST}\r\nX: y",
        "https://-ü" + "a" * 70,
        "https://a..b",
        "https://[::1",
    ],
)
def test_a_host_that_is_none_is_refused_without_showing_it(host: str) -> None:
    """Only an absolute http(s) URL without user info, query and fragment is a host."""
    with pytest.raises(tator.ApiValueError, match=r"^host ") as caught:
        Configuration(host)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("host", 5, TypeError),
        ("api_key", "key", TypeError),
        ("api_key", {"Authorization": 5}, TypeError),
        ("api_key", {5: "key"}, TypeError),
        ("api_key", {"a b": "key"}, ValueError),
        ("api_key", {"Authorization": ""}, ValueError),
        ("api_key", {"Authorization": "a\r\nb"}, ValueError),
        ("api_key", {"Authorization": "a\0b"}, ValueError),
        ("api_key", {"Authorization": "ключ"}, ValueError),
        ("api_key_prefix", {"Authorization": "\n"}, ValueError),
        ("refresh_api_key_hook", 5, TypeError),
        ("verify_ssl", "no", TypeError),
        ("ssl_ca_cert", 5, TypeError),
        ("cert_file", b"a.pem", TypeError),
        ("assert_hostname", True, ValueError),
        ("assert_hostname", "", ValueError),
        ("proxy", 5, TypeError),
        ("proxy", "socks5://127.0.0.1", ValueError),
        ("proxy", "http://us er@127.0.0.1", ValueError),
        ("connection_pool_maxsize", 0, ValueError),
        ("connection_pool_maxsize", True, TypeError),
        ("retries", -1, ValueError),
        ("retries", 1.5, TypeError),
        ("timeout", True, TypeError),
        ("timeout", "5", TypeError),
        ("timeout", 0, ValueError),
        ("timeout", -1, ValueError),
        ("timeout", float("nan"), ValueError),
        ("timeout", float("inf"), ValueError),
        ("timeout", (1, 2, 3), ValueError),
        ("timeout", (1, "2"), TypeError),
        ("deadline", 0, ValueError),
        ("logger_format", 5, TypeError),
        ("debug", 1, TypeError),
    ],
)
def test_a_value_that_does_not_fit_is_refused_when_it_is_set(
    name: str, value: object, error: type[Exception]
) -> None:
    """The error names the setting, and the old value stays."""
    configuration = Configuration(HOST)
    before = repr(configuration)
    with pytest.raises(error, match=name) as caught:
        setattr(configuration, name, value)
    assert isinstance(caught.value, tator.ApiException)
    assert repr(configuration) == before


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("proxy", "", ""),
        ("proxy", "127.0.0.1:3128", "http://127.0.0.1:3128"),
        ("retries", False, 0),
        ("timeout", None, None),
        ("timeout", 2.5, 2.5),
        ("timeout", (1, None), (1, None)),
        ("deadline", None, None),
        ("ssl_ca_cert", Path("ca.pem"), "ca.pem"),
        ("assert_hostname", False, False),
        ("api_key", None, {}),
    ],
)
def test_a_value_that_fits_is_kept(name: str, value: Any, kept: object) -> None:
    """A setting can be given to the constructor or be set later."""
    later = Configuration(HOST)
    setattr(later, name, value)
    assert getattr(later, name) == kept == getattr(Configuration(HOST, **{name: value}), name)


def test_the_defaults_are_the_documented_ones() -> None:
    """Ten seconds to connect, five minutes in all, two retries, 32 connections."""
    configuration = Configuration()
    assert configuration.timeout == (10, None)
    assert (configuration.deadline, configuration.retries) == (300, 2)
    assert (configuration.connection_pool_maxsize, configuration.verify_ssl) == (32, True)


@pytest.mark.parametrize(("wrong", "near"), [("verify_tls", "verify_ssl"), ("hots", "host")])
def test_an_unknown_setting_suggests_the_near_name(wrong: str, near: str) -> None:
    """A slip of the pen is an AttributeError that names the setting meant."""
    with pytest.raises(AttributeError, match=f"did you mean '{near}'"):
        setattr(Configuration(), wrong, True)
    with pytest.raises(AttributeError, match=r"no setting 'xyzzy'$"):
        Configuration().xyzzy = 1  # type: ignore[attr-defined]


def test_a_subclass_may_have_attributes_of_its_own() -> None:
    """What a subclass declares can be set on it."""

    class Mine(Configuration):
        tenant = ""

    mine = Mine(HOST)
    mine.tenant = "a"
    assert copy.copy(mine).tenant == "a"


def test_the_environments_token_goes_only_with_the_environments_host(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """TATOR_TOKEN is never sent to a host that came from elsewhere."""
    monkeypatch.setenv("TATOR_HOST", f"{HOST}/rest")
    monkeypatch.setenv("TATOR_TOKEN", SECRET)
    configuration = Configuration()
    assert configuration.host == HOST
    assert configuration.get_api_key_with_prefix("Authorization") == f"Token {SECRET}"
    assert configuration.get_api_key_with_prefix("X-Other") is None
    configuration.api_key["Authorization"] = "own"
    assert configuration.get_api_key_with_prefix("Authorization") == "own"
    del configuration.api_key["Authorization"]
    configuration.host = "https://other.example"
    assert configuration.auth_settings() == {}
    assert Configuration(HOST).auth_settings() == {}
    monkeypatch.delenv("TATOR_HOST")
    assert Configuration().auth_settings() == {}


def test_the_environments_mistakes_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong TATOR_HOST or TATOR_TOKEN is called by its name, and the token is not shown."""
    monkeypatch.setenv("TATOR_HOST", "nonsense")
    with pytest.raises(tator.ApiValueError, match="environment variable TATOR_HOST must begin"):
        Configuration()
    monkeypatch.setenv("TATOR_HOST", HOST)
    monkeypatch.setenv("TATOR_TOKEN", f"{SECRET}\n{SECRET}")
    with pytest.raises(tator.ApiValueError, match="environment variable TATOR_TOKEN") as caught:
        Configuration().auth_settings()
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("proxy.example:3128", "http://proxy.example:3128"),
        ("https://me:p%40ss@proxy.example/", "https://me:p%40ss@proxy.example"),
        ("http://b\u00fccher.example:1", "http://xn--bcher-kva.example:1"),
        ("", ""),
    ],
)
def test_a_proxy_is_brought_into_one_form(given: str, kept: str) -> None:
    """A scheme is added, an international name is encoded, and user info stays as it is."""
    assert str(Configuration(HOST, proxy=given).proxy) == kept


def test_no_display_shows_a_secret() -> None:
    """Keys and a proxy's user info are masked in repr, str, vars, notebooks and reports."""
    configuration = Configuration(
        HOST, {"Authorization": SECRET}, proxy=f"http://me:{SECRET}@proxy.example:3128"
    )
    shown = [
        repr(configuration),
        str(configuration),
        repr(vars(configuration)),
        configuration._repr_html_(),
        configuration.to_debug_report(),
        repr(configuration.auth_settings()),
        repr(configuration.api_key),
        repr(configuration.proxy),
    ]
    assert all("***" in text and SECRET not in text for text in shown)
    assert "urllib3: " in shown[4]
    assert "proxy.example:3128" in shown[0]
    assert configuration.api_key["Authorization"] == SECRET


def test_keys_set_in_any_way_are_checked_and_masked() -> None:
    """The mapping of keys stays safe however it is changed."""
    keys = Configuration(HOST).api_key
    keys.update({"A": SECRET}, B=SECRET)
    keys |= {"C": SECRET}
    assert keys.setdefault("D", SECRET) == SECRET
    assert keys.setdefault("D", "other") == SECRET
    assert SECRET not in repr(keys)
    with pytest.raises(tator.ApiValueError):
        keys.update(E="a\nb")


def test_bytes_are_veiled_and_other_values_pass() -> None:
    """A secret is masked also where it comes as bytes."""
    assert repr(veil(SECRET.encode())) == "'***'"
    assert veil(5) == 5


@pytest.mark.parametrize(
    "duplicate",
    [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))],
    ids=["copy", "deepcopy", "pickle"],
)
def test_copies_share_nothing(duplicate: Any) -> None:
    """A copy has equal settings, its own keys, and masks them too."""
    original = Configuration(HOST, {"Authorization": SECRET}, {"Authorization": "Token"})
    other = duplicate(original)
    assert repr(other) == repr(original)
    assert other.get_api_key_with_prefix("Authorization") == f"Token {SECRET}"
    other.api_key["Authorization"] = "other"
    assert original.api_key["Authorization"] == SECRET
    assert "other" not in repr(other)


def test_a_copy_keeps_a_hook_that_can_not_be_copied() -> None:
    """The hook is the user's object, and is passed on as it is."""
    lock = threading.Lock()

    def hook(configuration: Configuration) -> None:
        with lock:
            configuration.api_key["Authorization"] = "fresh"

    assert copy.deepcopy(Configuration(HOST, refresh_api_key_hook=hook)).auth_settings()


def test_the_default_is_isolated() -> None:
    """Neither the configuration given nor a copy taken changes the default."""
    mine = Configuration(HOST, {"Authorization": "first"})
    Configuration.set_default(mine)
    mine.api_key["Authorization"] = "second"
    Configuration.get_default_copy().api_key["Authorization"] = "third"
    assert tator.ApiClient().configuration.api_key["Authorization"] == "first"
    assert Configuration().api_key == {}
    Configuration.set_default(None)
    assert Configuration.get_default_copy().host == "/"
    with pytest.raises(tator.ApiTypeError, match="must be a Configuration"):
        Configuration.set_default("https://tator.example")  # type: ignore[arg-type]  # it is refused


def test_the_hook_is_called_once_before_each_request(local_tator: LocalTator) -> None:
    """A hook sees the configuration and may set the key that is sent."""
    calls = []

    def hook(configuration: Configuration) -> None:
        calls.append(configuration)
        configuration.api_key["Authorization"] = f"Token {local_tator.token}"

    configuration = Configuration(local_tator.host, refresh_api_key_hook=hook)
    api = tator.JobApi(tator.ApiClient(configuration))
    for uid in local_tator.launch(2).run_uids:
        api.delete_job(uid)
    assert calls == [configuration, configuration]


def test_a_failing_hook_sends_nothing_and_shows_no_secret(local_tator: LocalTator) -> None:
    """A foreign error of the hook becomes one of ours without its words; one of ours stays."""

    def foreign(configuration: Configuration) -> None:
        raise RuntimeError(SECRET)

    def ours(configuration: Configuration) -> None:
        raise tator.UnauthorizedException(401, "Expired")

    api = tator.JobApi(tator.ApiClient(Configuration(local_tator.host)))
    api.api_client.configuration.refresh_api_key_hook = foreign
    with pytest.raises(tator.ApiValueError, match="failed with RuntimeError") as caught:
        api.delete_job("a")
    assert SECRET not in str(caught.value)
    assert caught.value.__context__ is None
    api.api_client.configuration.refresh_api_key_hook = ours
    with pytest.raises(tator.UnauthorizedException, match="Expired"):
        api.delete_job("a")
    assert local_tator.requests == []


def test_debug_adds_one_handler_to_one_logger(tator_logger: logging.Logger, tmp_path: Path) -> None:
    """However often debug is set, one handler is there; other loggers are left alone."""
    before = list(logging.getLogger().handlers), list(logging.getLogger("urllib3").handlers)
    at_first = len(tator_logger.handlers)
    tator_logger.setLevel(logging.ERROR)
    file = tmp_path / "tator.log"
    for _ in range(3):
        configuration = Configuration(HOST, debug=True, logger_file=file, logger_format="%(msg)s")
        configuration.debug = True
    assert len(tator_logger.handlers) == at_first + 1
    tator_logger.debug("words")
    assert file.read_text() == "words\n"
    assert tator_logger.level == logging.DEBUG
    configuration.debug = False
    assert len(tator_logger.handlers) == at_first
    assert tator_logger.level == logging.ERROR
    after = list(logging.getLogger().handlers), list(logging.getLogger("urllib3").handlers)
    assert after == before


def test_a_log_that_can_not_be_written_is_refused(
    tator_logger: logging.Logger, tmp_path: Path
) -> None:
    """A directory is no log file, and a broken format no format."""
    with pytest.raises(tator.ApiValueError, match="logger_file or logger_format"):
        Configuration(HOST, debug=True, logger_file=tmp_path)
    with pytest.raises(tator.ApiValueError, match="logger_file or logger_format"):
        Configuration(HOST, debug=True, logger_format="no field")
    before = list(tator_logger.handlers), tator_logger.level
    configuration = Configuration(HOST, logger_file=tmp_path)
    with pytest.raises(tator.ApiValueError, match="logger_file or logger_format"):
        configuration.debug = True
    assert not configuration.debug
    assert (list(tator_logger.handlers), tator_logger.level) == before
