"""The settings, each checked when it is set."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from types import NoneType
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar, cast, overload

from tator import checks, logs
from tator._version import __version__
from tator.checks import Timeout
from tator.headers import Keys, Prefixes
from tator.masking import Secret, mask
from tator.record import Record

__all__ = ["Configuration", "Setting"]

G = TypeVar("G")  # what reading a setting gives
T = TypeVar("T")
S = TypeVar("S")  # what it may be set to

_Path: TypeAlias = "str | os.PathLike[str] | None"
_Hook: TypeAlias = "Callable[[Configuration], object] | None"


class Setting(Generic[G, S]):
    """One setting: its name, its default, and the check that each value goes through.

    Args:
        default: The value if no other is set.
        check: Takes the setting's name and a value; returns the value to keep, or rejects it.
    """

    def __init__(self, default: object, check: Callable[[str, Any], Any]) -> None:
        self.default = default
        self.check = check
        self.name: str = ""

    @property
    def unset(self) -> S:
        """The default in a signature, distinct from the same value passed by the caller."""
        return cast(S, _Unset(self.default))

    def __set_name__(self, owner: type[Configuration], name: str) -> None:
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type[Configuration]) -> Setting[G, S]: ...
    @overload
    def __get__(self, instance: Configuration, owner: type[Configuration]) -> G: ...
    def __get__(
        self, instance: Configuration | None, owner: type[Configuration]
    ) -> Setting[G, S] | G:
        if instance is None:
            return self
        value: G = instance.__dict__[self.name]
        return value

    def __set__(self, instance: Configuration, value: S) -> None:
        if isinstance(value, _Unset):
            # An inherited value stays.
            instance.__dict__.setdefault(self.name, value.default)
        else:
            self.put(instance.__dict__, value)

    def put(self, values: dict[str, Any], value: S) -> None:
        """Check a value, and store it in a configuration."""
        values[self.name] = self.check(self.name, value)


class _Unset:
    """A marker for an argument that was not passed, shown as the default value."""

    def __init__(self, default: object) -> None:
        self.default = default

    def __repr__(self) -> str:
        return repr(self.default)


class _Host(Setting[str, "str | None"]):
    """The server's URL; `None` takes it from the environment, together with the token there."""

    def put(self, values: dict[str, Any], value: str | None) -> None:
        token = None
        if value is None:
            url = os.environ.get("TATOR_HOST") or checks.UNSET_HOST
            host = self.check("environment variable TATOR_HOST", url)
            token = os.environ.get("TATOR_TOKEN") if host != checks.UNSET_HOST else None
        else:
            host = self.check(self.name, value)
        values.update({self.name: host, "_environment_token": mask(token)})


class _LogSetting(Setting[G, S]):
    """A setting of the log, which takes effect at once."""

    def put(self, values: dict[str, Any], value: S) -> None:
        new = {**values, self.name: self.check(self.name, value)}
        # The constructor sets `debug` after the file and the format.
        if new.get("debug"):
            logs.start(new["logger_file"], new["logger_format"])
        elif values.get("debug"):
            logs.stop()
        values[self.name] = new[self.name]


class Configuration:
    """The server, the credentials, and the timeouts and retries of a call.

    Every setting is both an attribute and a keyword here; its value is checked when it is set.
    Instances share no state. Copies are deep, but share the `refresh_api_key_hook`.

    After `set_default(c)`, a configuration without a `host` starts as a copy of `c`. One with a
    `host` inherits nothing, so that no token goes to another server.

    Args:
        host: The server's URL, `http(s)://name[:port][/prefix]`; a trailing `/rest` is dropped.
            Defaults to the environment variable `TATOR_HOST`, otherwise unset (`"/"`).
        api_key: Tokens by header name: `{"Authorization": token}`. Without one, `TATOR_TOKEN`
            is used as `Token <value>`, but only with a host from `TATOR_HOST`. Defaults to `{}`.
        api_key_prefix: The word before a token, by header name: `{"Authorization": "Token"}`.
            Defaults to `{}`.
        refresh_api_key_hook: Called once at the start of each call, with the configuration, before
            anything is read from it. Its exceptions reach the caller unchanged. Defaults to `None`.
        verify_ssl: Whether to check the server's certificate. Defaults to `True`.
        ssl_ca_cert: A PEM file of trusted certificate authorities. Defaults to the environment's
            `SSL_CERT_FILE`, then `REQUESTS_CA_BUNDLE`, then certifi's bundle.
        cert_file: A PEM file with the client's certificate. Defaults to `None`.
        key_file: A PEM file with the client's private key, without a passphrase; not needed if
            `cert_file` has it. Defaults to `None`.
        assert_hostname: The name that the certificate must be for, or `False` for any.
            Defaults to the host's.
        proxy: The proxy's URL, `""` for none. Defaults to the environment's `HTTP_PROXY`,
            `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`.
        connection_pool_maxsize: The maximum number of idle connections kept for the host, and of
            threads behind `async_req`. Defaults to 32.
        keepalive_expiry: Seconds after which an idle connection is not used again; `None` for no
            limit. Defaults to 30.
        largest_response: The largest body of a 2xx response that is read, in bytes. For `DELETE`
            and for errors, the limit is 1 MiB. Defaults to 64 MiB.
        retries: Attempts after the first. Defaults to 2; 0 or `False` for none. Retries that a
            throttling server asked for do not count.
        timeout: Seconds for each attempt, or a pair: seconds to connect, and seconds without data
            while reading; `None` for no separate limit. Defaults to `(10, None)`.
        deadline: Seconds that a whole call may take, retries and delays included; `None` for no
            limit. Defaults to 300.
        logger_file: The file that `debug` writes to. Defaults to standard error.
        logger_format: The format of the lines that `debug` writes, as for `logging.Formatter`.
        debug: Whether to log each attempt, through a single, process-wide handler of the logger
            `tator`. Defaults to `False`.
        client_side_validation: Read by models and operations that openapi-generator wrote; the
            checks of this package are always on. Defaults to `True`.

    Raises:
        ApiTypeError, ApiValueError: If a value is not valid; the message names the setting.
        AttributeError: If an unknown attribute is set; the message suggests a similar name.
    """

    host: Setting[str, str | None] = _Host(checks.UNSET_HOST, checks.host)
    api_key: Setting[dict[str, str], Mapping[str, str] | None] = Setting(None, Keys.checked)
    api_key_prefix: Setting[dict[str, str], Mapping[str, str] | None] = Setting(
        None, Prefixes.checked
    )
    refresh_api_key_hook: Setting[_Hook, _Hook] = Setting(None, checks.hook)
    verify_ssl: Setting[bool, bool] = Setting(True, checks.boolean)
    ssl_ca_cert: Setting[str | None, _Path] = Setting(None, checks.path)
    cert_file: Setting[str | None, _Path] = Setting(None, checks.path)
    key_file: Setting[str | None, _Path] = Setting(None, checks.path)
    assert_hostname: Setting[str | bool | None, str | bool | None] = Setting(
        None, checks.assert_hostname
    )
    proxy: Setting[str | None, str | None] = Setting(None, checks.proxy)
    connection_pool_maxsize: Setting[int, int] = Setting(32, partial(checks.integer, least=1))
    keepalive_expiry: Setting[float | None, float | None] = Setting(30, checks.seconds_or_none)
    largest_response: Setting[int, int] = Setting(64 << 20, partial(checks.integer, least=1))
    retries: Setting[int, int] = Setting(2, checks.retries)
    timeout: Setting[Timeout, Timeout] = Setting((10, None), checks.timeout)
    deadline: Setting[float | None, float | None] = Setting(300, checks.seconds_or_none)
    logger_file: Setting[str | None, _Path] = _LogSetting(None, checks.path)
    logger_format: Setting[str, str] = _LogSetting(logs.DEFAULT_FORMAT, checks.text)
    debug: Setting[bool, bool] = _LogSetting(False, checks.boolean)
    client_side_validation: Setting[bool, bool] = Setting(True, checks.boolean)

    _environment_token: Secret | None

    def __init__(
        self,
        host: str | None = None,
        api_key: Mapping[str, str] | None = None,
        api_key_prefix: Mapping[str, str] | None = None,
        refresh_api_key_hook: _Hook = refresh_api_key_hook.unset,
        *,
        verify_ssl: bool = verify_ssl.unset,
        ssl_ca_cert: _Path = ssl_ca_cert.unset,
        cert_file: _Path = cert_file.unset,
        key_file: _Path = key_file.unset,
        assert_hostname: str | bool | None = assert_hostname.unset,
        proxy: str | None = proxy.unset,
        connection_pool_maxsize: int = connection_pool_maxsize.unset,
        keepalive_expiry: float | None = keepalive_expiry.unset,
        largest_response: int = largest_response.unset,
        retries: int = retries.unset,
        timeout: Timeout = timeout.unset,
        deadline: float | None = deadline.unset,
        logger_file: _Path = logger_file.unset,
        logger_format: str = logger_format.unset,
        debug: bool = debug.unset,
        client_side_validation: bool = client_side_validation.unset,
    ) -> None:
        if host is None and _default is not None:
            self.__dict__.update(_copied(_default).__dict__)
        else:
            self.host = host
        self.api_key = self.__dict__.get("api_key") if api_key is None else api_key
        prefixes = self.__dict__.get("api_key_prefix")
        self.api_key_prefix = prefixes if api_key_prefix is None else api_key_prefix
        self.refresh_api_key_hook = refresh_api_key_hook
        self.verify_ssl = verify_ssl
        self.ssl_ca_cert = ssl_ca_cert
        self.cert_file = cert_file
        self.key_file = key_file
        self.assert_hostname = assert_hostname
        self.proxy = proxy
        self.connection_pool_maxsize = connection_pool_maxsize
        self.keepalive_expiry = keepalive_expiry
        self.largest_response = largest_response
        self.retries = retries
        self.timeout = timeout
        self.deadline = deadline
        self.logger_file = logger_file
        self.logger_format = logger_format
        self.debug = debug
        self.client_side_validation = client_side_validation

    # Hidden from type checkers: with it, they would let any attribute pass.
    if not TYPE_CHECKING:

        def __setattr__(self, name: str, value: object) -> None:
            known = getattr(type(self), name, _Unset)
            if known is _Unset:
                kind = type(self)
                if name not in _declared(kind):
                    near = _suggestion(name, kind)
                    raise AttributeError(f"{kind.__name__} has no setting {name!r}{near}")
            elif callable(known):
                raise AttributeError(f"Configuration.{name} is a method: it can't be set")
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        # A debugger may show it half made, so what has not been set is left out.
        settings = ", ".join(f"{name}={value!r}" for name, value in self._settings())
        return f"{type(self).__name__}({settings})"

    def _repr_html_(self) -> str:
        from tator.notebook import html_table

        rows = [(name, repr(value)) for name, value in self._settings()]
        return html_table(type(self).__name__, rows)

    def _settings(self) -> list[tuple[str, Any]]:
        return [(name, self.__dict__[name]) for name in _NAMES if name in self.__dict__]

    def __copy__(self) -> Configuration:
        return _copied(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Configuration:
        # The hook belongs to its owner, and may hold what can't be copied (a lock, a session).
        hook = self.refresh_api_key_hook
        memo[id(hook)] = hook
        new = type(self).__new__(type(self))
        new.__dict__.update(_copied(self.__dict__, memo))
        return new

    def get_api_key_with_prefix(self, identifier: str) -> str | None:
        """Return the value of the header that authenticates a request.

        Args:
            identifier: The header's name, `'Authorization'`.

        Returns:
            Prefix and token, or `None` without a token.

        Raises:
            ApiValueError: If the environment's `TATOR_TOKEN` is not a valid header value.
        """
        key, prefix = self.api_key.get(identifier), self.api_key_prefix.get(identifier)
        if key is None:
            if identifier != "Authorization" or not self._environment_token:
                return None
            key, prefix = self._environment_token, "Token"
            checks.header_value("environment variable TATOR_TOKEN", key)
        return Secret(f"{prefix} {key}") if prefix else key

    @property
    def is_token_from_environment(self) -> bool:
        """Whether the token that is sent is the environment's `TATOR_TOKEN`."""
        return bool(self._environment_token) and "Authorization" not in self.api_key

    def auth_settings(self) -> dict[str, dict[str, str]]:
        """Return how requests are authenticated, by scheme; empty without a token."""
        # openapi-generator 5 keeps the token under the name of the scheme.
        is_by_scheme = "TokenAuth" in self.api_key and "Authorization" not in self.api_key
        value = self.get_api_key_with_prefix("TokenAuth" if is_by_scheme else "Authorization")
        if value is None:
            return {}
        place = {"type": "api_key", "in": "header", "key": "Authorization", "value": value}
        return {"TokenAuth": place}

    def to_debug_report(self) -> str:
        """Return versions and settings for a bug report, with sensitive values masked."""
        import platform

        installed = ("urllib3", "certifi", "six", "python-dateutil")
        versions = [f"{name}: {_version(name)}" for name in installed]
        settings = [f"{name}: {value!r}" for name, value in self._settings()]
        return "\n".join(
            [
                f"tator: {__version__}",
                f"Python: {platform.python_version()} on {platform.platform()}",
                *versions,
                *settings,
            ]
        )

    @staticmethod
    def set_default(configuration: Configuration | None) -> None:
        """Store a copy as the default for configurations without a host; `None` clears it.

        Raises:
            ApiTypeError: If it is neither a configuration nor `None`.
        """
        global _default
        if not isinstance(configuration, (Configuration, NoneType)):
            checks.reject_type("configuration", "a Configuration or None", configuration)
        _default = _copied(configuration)

    @staticmethod
    def get_default_copy() -> Configuration:
        """Return a copy of the default, or a new configuration if there is none."""
        return Configuration() if _default is None else _copied(_default)


_default: Configuration | None = None
_NAMES = tuple(name for name, value in vars(Configuration).items() if isinstance(value, Setting))


def _copied(value: T, memo: dict[int, Any] | None = None) -> T:
    from copy import deepcopy  # half of all programs copy no configuration

    return deepcopy(value, memo)


def settings_of(configuration: Configuration) -> dict[str, Any]:
    """Return a copy of all settings.

    What a subclass adds is left out: frames hold the copy, and a traceback would show a password.
    """
    values = configuration.__dict__.copy()
    if type(configuration) is Configuration:
        return values
    return {name: values[name] for name in ("_environment_token", *_NAMES)}


class Assignment(Record):
    """A configuration, and the thread that assigned it to a client, in a new object each time."""

    configuration: Configuration
    thread: int | None  # None: it was assigned when the client was made


def _declared(kind: type[Configuration]) -> list[str]:
    """Return the attributes that subclasses declare, as `name: type` or with a default."""
    names: list[str] = []
    for owner in kind.__mro__[: kind.__mro__.index(Configuration)]:
        names += getattr(owner, "__annotations__", ())
        names += (name for name, value in vars(owner).items() if not callable(value))
    return names


def _suggestion(name: str, kind: type[Configuration]) -> str:
    from difflib import get_close_matches  # only a mistake pays for it

    # With the default cutoff, 0.6, 'username' would suggest 'assert_hostname'.
    near = get_close_matches(name, [*_NAMES, *_declared(kind)], n=1, cutoff=0.65)
    return f"; did you mean {near[0]!r}?" if near else ""


def _version(name: str) -> str:
    from importlib.metadata import version

    try:
        return version(name)
    except Exception:  # a frozen program has no metadata, in one of several ways
        return "unknown"
