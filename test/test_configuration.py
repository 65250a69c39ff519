"""Settings: each is checked when it is set, belongs to one instance, and shows no token."""

from __future__ import annotations

import copy
import importlib.metadata
import inspect
import logging
import pickle
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tator
from tator import Configuration
from tator.testing import LocalTator

pytestmark = pytest.mark.fast

SECRET = "sesame-0123456789abcdef"
HOST = "https://tator.example"


def hook(configuration: Configuration) -> None:
    """One that can be pickled."""


# Each setting: a value that differs from its default, and what is kept of it.
VALID: dict[str, tuple[Any, Any]] = {
    "host": (f"{HOST}/prefix/rest/", f"{HOST}/prefix"),
    "api_key": ({"Authorization": SECRET}, {"Authorization": SECRET}),
    "api_key_prefix": ({"Authorization": "Token"}, {"Authorization": "Token"}),
    "refresh_api_key_hook": (hook, hook),
    "verify_ssl": (False, False),
    "ssl_ca_cert": (Path("ca.pem"), "ca.pem"),
    "cert_file": ("cert.pem", "cert.pem"),
    "key_file": ("key.pem", "key.pem"),
    "assert_hostname": ("other.example", "other.example"),
    "proxy": ("127.0.0.1:3128", "http://127.0.0.1:3128"),
    "connection_pool_maxsize": (np.int64(1), 1),
    "keepalive_expiry": (None, None),
    "largest_response": (1, 1),
    "retries": (False, 0),
    "timeout": ([3, np.float64(10.5)], (3, 10.5)),
    "deadline": (None, None),
    "logger_file": (Path("tator.log"), "tator.log"),
    "logger_format": ("%(message)s", "%(message)s"),
    "debug": (True, True),
    "client_side_validation": (False, False),
}


@pytest.fixture(autouse=True)
def tator_logger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[logging.Logger]:
    """A test that turns the log on writes into its own folder, and leaves no handler."""
    monkeypatch.chdir(tmp_path)
    yield logging.getLogger("tator")
    Configuration(HOST, debug=True).debug = False


@pytest.mark.parametrize("name", VALID)
def test_a_setting_is_a_keyword_and_an_attribute(name: str) -> None:
    """Given to the constructor or set later, the value is the same."""
    value, kept = VALID[name]
    later = Configuration(HOST)
    assert getattr(later, name) != kept
    setattr(later, name, value)
    assert getattr(later, name) == kept
    assert getattr(Configuration(**{"host": HOST, name: value}), name) == kept


def test_each_keyword_is_a_setting_with_its_default() -> None:
    """The signature shows the defaults, and the page of the class names each one."""
    configuration = Configuration(HOST)
    parameters = inspect.signature(Configuration).parameters
    assert list(parameters) == list(VALID)
    for name, parameter in parameters.items():
        assert re.search(rf"\n +{name}: ", Configuration.__doc__ or "")
        if name not in ("host", "api_key", "api_key_prefix"):
            assert repr(parameter.default) == repr(getattr(configuration, name))


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("host", 5, TypeError),
        ("host", "tator.example", ValueError),
        ("host", f"https://user:{SECRET}@tator.example", ValueError),
        ("api_key", "key", TypeError),
        ("api_key", {"Authorization": 5}, TypeError),
        ("api_key", {5: "key"}, TypeError),
        ("api_key", {"a b": "key"}, ValueError),
        ("api_key", {"Authorization": ""}, ValueError),
        ("api_key", {"Authorization": f"{SECRET}\r\nb"}, ValueError),
        ("api_key", {"Authorization": "a\0b"}, ValueError),
        ("api_key", {"Authorization": "ключ"}, ValueError),
        ("api_key_prefix", {"Authorization": "\n"}, ValueError),
        ("api_key_prefix", 5, TypeError),
        ("refresh_api_key_hook", 5, TypeError),
        ("verify_ssl", "no", TypeError),
        ("verify_ssl", None, TypeError),
        ("ssl_ca_cert", 5, TypeError),
        ("cert_file", b"a.pem", TypeError),
        ("key_file", True, TypeError),
        ("assert_hostname", "", ValueError),
        ("proxy", 5, TypeError),
        ("proxy", f"socks5://me:{SECRET}@127.0.0.1", ValueError),
        ("proxy", f"http://me:{SECRET} er@127.0.0.1", ValueError),
        ("connection_pool_maxsize", 0, ValueError),
        ("connection_pool_maxsize", True, TypeError),
        ("connection_pool_maxsize", None, TypeError),
        ("keepalive_expiry", 0, ValueError),
        ("keepalive_expiry", True, TypeError),
        ("largest_response", 0, ValueError),
        ("largest_response", None, TypeError),
        ("retries", -1, ValueError),
        ("retries", True, TypeError),
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
        ("deadline", "300", TypeError),
        ("logger_file", 5, TypeError),
        ("logger_format", 5, TypeError),
        ("debug", 1, TypeError),
        ("client_side_validation", 0, TypeError),
    ],
)
def test_an_invalid_value_is_rejected_when_it_is_set(
    name: str, value: object, error: type[Exception]
) -> None:
    """The error names the setting, shows nothing of the value, and the old value stays."""
    configuration = Configuration(HOST)
    before = repr(configuration)
    for reject in (
        lambda: setattr(configuration, name, value),
        lambda: Configuration(**{"host": HOST, name: value}),  # type: ignore[arg-type]
    ):
        with pytest.raises(error, match=f"^{name}") as caught:
            reject()
        assert isinstance(caught.value, tator.ApiException)
        assert not caught.value.maybe_applied
        assert SECRET not in str(caught.value)
    assert repr(configuration) == before


def test_the_defaults_are_the_documented_ones() -> None:
    """10 s to connect, 300 s in all, up to 3 attempts, 32 connections kept for 30 s, 64 MiB."""
    configuration = Configuration()
    assert configuration.host == "/"
    assert (configuration.api_key, configuration.api_key_prefix) == ({}, {})
    assert configuration.timeout == (10, None)
    assert (configuration.deadline, configuration.retries) == (300, 2)
    assert (configuration.connection_pool_maxsize, configuration.keepalive_expiry) == (32, 30)
    assert configuration.largest_response == 64 * 1024 * 1024
    assert (configuration.verify_ssl, configuration.client_side_validation) == (True, True)
    unset = ("ssl_ca_cert", "cert_file", "key_file", "assert_hostname", "proxy", "logger_file")
    assert {getattr(configuration, name) for name in unset} == {None}


@pytest.mark.parametrize(
    ("wrong", "near"), [("verify_tls", "verify_ssl"), ("hots", "host"), ("retry", "retries")]
)
def test_an_unknown_setting_suggests_the_near_name(wrong: str, near: str) -> None:
    """A slip of the pen is an AttributeError that names the setting meant."""
    with pytest.raises(AttributeError, match=f"no setting '{wrong}'; did you mean '{near}'"):
        setattr(Configuration(), wrong, True)
    with pytest.raises(TypeError, match="verify_tls"):
        Configuration(verify_tls=True)  # type: ignore[call-arg]


@pytest.mark.parametrize("wrong", ["xyzzy", "username", "password", "access_token"])
def test_an_unknown_setting_suggests_nothing_without_a_near_name(wrong: str) -> None:
    """A distant name, such as assert_hostname for username, would lead the reader astray."""
    with pytest.raises(AttributeError, match=f"no setting '{wrong}'$"):
        setattr(Configuration(), wrong, 1)


@pytest.mark.parametrize(
    "name",
    ["auth_settings", "get_api_key_with_prefix", "to_debug_report", "set_default", "__repr__"],
)
def test_a_method_cannot_be_overwritten(name: str) -> None:
    """An accident would show much later, in a call."""
    with pytest.raises(AttributeError, match=rf"^Configuration\.{name} is a method"):
        setattr(Configuration(), name, 5)
    with pytest.raises(AttributeError):
        Configuration().is_token_from_environment = True  # type: ignore[misc]


def test_a_subclass_may_have_attributes() -> None:
    """What a subclass declares can be set on it."""

    class Mine(Configuration):
        tenant = ""
        region: str

    class Yours(Mine):
        pass

    for kind in (Mine, Yours):
        mine = kind(HOST)
        mine.tenant, mine.region = "a", "b"
        assert (copy.copy(mine).tenant, copy.deepcopy(mine).region) == ("a", "b")
        told = f"{kind.__name__} has no setting 'regoin'; did you mean 'region'"
        with pytest.raises(AttributeError, match=told):
            mine.regoin = "c"  # type: ignore[attr-defined]
        with pytest.raises(AttributeError, match="'tennant'; did you mean 'tenant'"):
            mine.tennant = "c"  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match="no setting 'region'"):
        Configuration(HOST).region = "b"  # type: ignore[attr-defined]
    mine = Mine(HOST)
    assert repr(mine).startswith(f"Mine(host='{HOST}', ")


def test_a_host_of_none_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if it is set later."""
    configuration = Configuration(HOST)
    monkeypatch.setenv("TATOR_HOST", "https://other.example")
    configuration.host = None
    assert configuration.host == "https://other.example"
    monkeypatch.setenv("TATOR_HOST", "")
    assert Configuration().host == "/"


def test_the_environments_token_goes_only_with_the_environments_host(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """TATOR_TOKEN is never sent to a host from elsewhere."""
    monkeypatch.setenv("TATOR_HOST", f"{HOST}/rest")
    monkeypatch.setenv("TATOR_TOKEN", SECRET)
    configuration = Configuration()
    assert configuration.host == HOST
    assert configuration.get_api_key_with_prefix("Authorization") == f"Token {SECRET}"
    assert configuration.get_api_key_with_prefix("X-Other") is None
    assert configuration.is_token_from_environment
    configuration.api_key["Authorization"] = "own"
    assert configuration.get_api_key_with_prefix("Authorization") == "own"
    assert not configuration.is_token_from_environment
    del configuration.api_key["Authorization"]
    configuration.host = "https://other.example"
    assert configuration.auth_settings() == {}
    assert not configuration.is_token_from_environment
    assert Configuration(HOST).auth_settings() == {}
    monkeypatch.delenv("TATOR_HOST")
    assert Configuration().auth_settings() == {}


def test_an_invalid_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong TATOR_HOST or TATOR_TOKEN is called by its name, and the token is not shown."""
    monkeypatch.setenv("TATOR_HOST", "nonsense")
    with pytest.raises(tator.ApiValueError, match=r"^environment variable TATOR_HOST must begin"):
        Configuration()
    monkeypatch.setenv("TATOR_HOST", HOST)
    monkeypatch.setenv("TATOR_TOKEN", f"{SECRET}\n{SECRET}")
    with pytest.raises(tator.ApiValueError, match=r"^environment variable TATOR_TOKEN") as caught:
        Configuration().auth_settings()
    assert SECRET not in str(caught.value)


def test_the_authentication_is_a_header() -> None:
    """In the shape of the generated clients; a prefix stands before the token."""
    configuration = Configuration(HOST, {"Authorization": SECRET})
    assert configuration.get_api_key_with_prefix("Authorization") == SECRET
    configuration.api_key_prefix["Authorization"] = "Token"
    place = {"type": "api_key", "in": "header", "key": "Authorization"}
    assert configuration.auth_settings() == {"TokenAuth": {**place, "value": f"Token {SECRET}"}}


def test_a_token_by_the_name_of_its_scheme_counts_too() -> None:
    """openapi-generator 5 keeps it there; one by the header's name wins."""
    configuration = Configuration(HOST, {"TokenAuth": SECRET}, {"TokenAuth": "Token"})
    assert configuration.auth_settings()["TokenAuth"]["value"] == f"Token {SECRET}"
    configuration.api_key["Authorization"] = "other"
    assert configuration.auth_settings()["TokenAuth"]["value"] == "other"


def test_no_display_shows_a_token() -> None:
    """Tokens and a proxy's user info are masked in repr, str, vars, notebooks and reports."""
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
    assert "proxy.example:3128" in shown[0]
    assert configuration.api_key["Authorization"] == SECRET


def test_an_incomplete_configuration_can_be_shown() -> None:
    """A debugger may look at it before it is complete."""
    assert repr(Configuration.__new__(Configuration)) == "Configuration()"


def test_a_debug_report_has_versions_and_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a frozen program's metadata lacks is unknown."""
    report = Configuration(HOST).to_debug_report().splitlines()
    assert report[0] == f"tator: {tator.__version__}"
    assert report[1].startswith("Python: 3.")
    assert f"urllib3: {importlib.metadata.version('urllib3')}" in report
    assert f"host: '{HOST}'" in report
    assert [line.split(":")[0] for line in report[6:]] == list(VALID)
    monkeypatch.setattr("sys.path", [])
    assert "urllib3: unknown" in Configuration(HOST).to_debug_report()


@pytest.mark.parametrize(
    "duplicate",
    [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))],
    ids=["copy", "deepcopy", "pickle"],
)
def test_a_copy_shares_nothing(duplicate: Any) -> None:
    """It has equal settings and tokens that it masks too."""
    settings = {name: value for name, (value, _) in VALID.items()}
    original = Configuration(**settings)
    other = duplicate(original)
    assert repr(other) == repr(original)
    assert other.get_api_key_with_prefix("Authorization") == f"Token {SECRET}"
    other.api_key["Authorization"] = "other"
    assert original.api_key["Authorization"] == SECRET
    assert "other'" not in repr(other)


def test_a_copy_keeps_a_hook_that_cannot_be_copied() -> None:
    """The hook is the user's object, and is passed on as it is."""

    class Refresher:
        def __init__(self) -> None:
            self.lock = threading.Lock()

        def __call__(self, configuration: Configuration) -> None:
            with self.lock:
                configuration.api_key["Authorization"] = "fresh"

    refresher = Refresher()
    original = Configuration(HOST, refresh_api_key_hook=refresher)
    assert copy.deepcopy(original).refresh_api_key_hook is refresher


def test_the_default_is_isolated() -> None:
    """Neither the configuration given nor a copy taken changes the default."""
    mine = Configuration(HOST, {"Authorization": "first"})
    Configuration.set_default(mine)
    mine.api_key["Authorization"] = "second"
    Configuration.get_default_copy().api_key["Authorization"] = "third"
    Configuration().api_key["Authorization"] = "fourth"
    assert tator.ApiClient().configuration.api_key["Authorization"] == "first"
    assert Configuration().api_key == {"Authorization": "first"}
    Configuration.set_default(None)
    assert Configuration.get_default_copy().host == "/"
    assert Configuration().api_key == {}


def test_a_default_of_another_kind_is_rejected() -> None:
    """The old default stays."""
    Configuration.set_default(Configuration(HOST))
    with pytest.raises(tator.ApiTypeError, match=r"must be a Configuration or None, not str$"):
        Configuration.set_default("https://tator.example")  # type: ignore[arg-type]
    assert Configuration().host == HOST


@pytest.mark.parametrize("name", VALID)
def test_a_configuration_without_a_host_inherits_each_setting(name: str) -> None:
    """It starts as a copy of the default; what it is given itself wins."""
    value, kept = VALID[name]
    Configuration.set_default(Configuration(**{"host": HOST, name: value}))
    assert getattr(Configuration(), name) == kept
    assert getattr(Configuration(deadline=7), name) == (7 if name == "deadline" else kept)
    if name != "host":
        default = getattr(Configuration(HOST), name)
        assert default != kept
        assert getattr(Configuration(**{name: default}), name) == default


def test_a_configuration_with_a_host_inherits_nothing() -> None:
    """No token travels to another server."""
    Configuration.set_default(Configuration(**{name: value for name, (value, _) in VALID.items()}))
    other = Configuration("https://other.example")
    assert other.auth_settings() == {}
    assert (other.proxy, other.verify_ssl, other.timeout) == (None, True, (10, None))
    Configuration.set_default(None)
    assert repr(other) == repr(Configuration("https://other.example"))


def test_a_default_from_the_environment_keeps_its_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as the host is the environment's."""
    monkeypatch.setenv("TATOR_HOST", HOST)
    monkeypatch.setenv("TATOR_TOKEN", SECRET)
    Configuration.set_default(Configuration(retries=0))
    assert Configuration().auth_settings()["TokenAuth"]["value"] == f"Token {SECRET}"
    assert Configuration("https://other.example").auth_settings() == {}


def test_the_hook_is_called_once_before_each_request(local_tator: LocalTator) -> None:
    """A hook sees the configuration and may set the token that is sent."""
    calls = []

    def refresh(configuration: Configuration) -> None:
        calls.append(configuration)
        configuration.api_key["Authorization"] = f"Token {local_tator.token}"

    configuration = Configuration(local_tator.host, refresh_api_key_hook=refresh)
    api = tator.JobApi(tator.ApiClient(configuration))
    for uid in local_tator.launch(2).run_uids:
        api.delete_job(uid)
    assert calls == [configuration, configuration]


@pytest.mark.parametrize("error", [RuntimeError(SECRET), tator.UnauthorizedException(401, "Old")])
def test_an_exception_of_the_hook_is_raised(local_tator: LocalTator, error: Exception) -> None:
    """It is the caller's own exception; nothing was sent."""

    def refresh(configuration: Configuration) -> None:
        raise error

    configuration = Configuration(local_tator.host, refresh_api_key_hook=refresh)
    with pytest.raises(type(error)) as caught:
        tator.JobApi(tator.ApiClient(configuration)).delete_job("a")
    assert caught.value is error
    assert local_tator.requests == []


def test_debug_adds_one_handler_to_one_logger(tator_logger: logging.Logger, tmp_path: Path) -> None:
    """However often debug is set, one handler is there; other loggers are left alone."""
    logger = tator_logger
    before = list(logging.getLogger().handlers), list(logging.getLogger("urllib3").handlers)
    at_first = len(logger.handlers)
    logger.setLevel(logging.ERROR)
    file = tmp_path / "tator.log"
    for _ in range(3):
        configuration = Configuration(HOST, debug=True, logger_file=file, logger_format="%(msg)s")
        configuration.debug = True
    assert len(logger.handlers) == at_first + 1
    logger.debug("words")
    assert file.read_text() == "words\n"
    assert logger.level == logging.DEBUG
    configuration.debug = False
    assert len(logger.handlers) == at_first
    assert logger.level == logging.ERROR
    logger.setLevel(logging.NOTSET)
    after = list(logging.getLogger().handlers), list(logging.getLogger("urllib3").handlers)
    assert after == before


def test_a_log_setting_takes_effect_at_once(tator_logger: logging.Logger, tmp_path: Path) -> None:
    """While debug is on, the next line goes to the new file in the new format."""
    configuration = Configuration(HOST, debug=True, logger_file="a", logger_format="%(message)s")
    tator_logger.debug("one")
    configuration.logger_file = tmp_path / "b"
    configuration.logger_format = "-%(message)s"
    tator_logger.debug("two")
    assert [(tmp_path / name).read_text() for name in "ab"] == ["one\n", "-two\n"]


def test_a_log_setting_does_nothing_without_debug(tmp_path: Path) -> None:
    """Another configuration's log goes on, and no file is made."""
    logging_one = Configuration(HOST, debug=True, logger_file="a", logger_format="%(message)s")
    quiet = Configuration(HOST, logger_file=tmp_path / "b")
    quiet.debug = False
    logging.getLogger("tator").debug("one")
    assert logging_one.debug
    assert (tmp_path / "a").read_text() == "one\n"
    assert not (tmp_path / "b").exists()


def test_a_log_that_cannot_be_written_is_rejected(
    tator_logger: logging.Logger, tmp_path: Path
) -> None:
    """A directory is not a log file, and a text without a field is not a format."""
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
