"""What a user may set, checked as it is set."""

from __future__ import annotations

import copy
import logging
import os
import re
import threading
from collections.abc import Callable, Mapping
from types import NoneType
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import quote, urlsplit

from tator._version import __version__
from tator.exceptions import ApiException, ApiTypeError, ApiValueError

Timeout: TypeAlias = float | tuple[float | None, float | None] | None

MASK = "***"
_UNSET_HOST = "/"
_LONGEST_WAIT = 1e6  # seconds; the operating system refuses much longer ones
_DEFAULT_LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"


class Secret(str):
    """A string that shows as `***` wherever values are displayed; `str(secret)` is its value."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(MASK)


class _ProxyUrl(Secret):
    """A proxy's URL, of which only the user info is secret."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(re.sub(r"//.*@", f"//{MASK}@", self))


def veil(value: Any) -> Any:
    """The same value, its strings masked in every display, the locals of tracebacks included."""
    if isinstance(value, str):
        return value if isinstance(value, Secret) else Secret(value)
    if isinstance(value, bytes):
        return Secret(value.decode("latin-1"))
    if isinstance(value, Mapping):
        return {name: veil(item) for name, item in value.items()}
    return value


class _Values(dict[str, str]):
    """Header values, or parts of them, by header name; each is checked before it is kept."""

    label = ""

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        values = veil(values)
        super().__init__()
        self.update(values or {})

    def __setitem__(self, name: str, value: str) -> None:
        value = veil(value)
        raise_problem(f"{self.label}[{name!r}]", _name_problem(name) or _value_problem(value))
        super().__setitem__(name, self.kept(name, value))

    def kept(self, name: str, value: str) -> str:
        """What stays of a value, which comes masked."""
        return value

    def update(self, values: Any = (), /, **named: str) -> None:
        values, named = veil(dict(veil(values))), veil(named)
        for name, value in {**values, **named}.items():
            self[name] = value

    def setdefault(self, name: str, default: Any = None) -> str:
        default = veil(default)
        if name not in self:
            self[name] = default
        return self[name]

    def __ior__(self, values: Any) -> Any:  # type: ignore[misc]  # `|` gives a plain dict
        values = veil(values)
        self.update(values)
        return self


class _Keys(_Values):
    label = "api_key"


class _Prefixes(_Values):
    label = "api_key_prefix"

    def kept(self, name: str, value: str) -> str:
        return str(value)


class Headers(_Values):
    """Request headers; all but the harmless ones are masked in every display."""

    label = "header"

    def __setitem__(self, name: str, value: str) -> None:
        value = veil(value)
        # The client reads these two by name, and names of headers know no case.
        super().__setitem__(_OWN_NAMES.get(str(name).lower(), name), value)

    def kept(self, name: str, value: str) -> str:
        return str(value) if name.lower() in _HARMLESS_HEADERS else value


_OWN_NAMES = {"user-agent": "User-Agent", "cookie": "Cookie"}
_HARMLESS_HEADERS = frozenset({"accept", "accept-encoding", "content-type", "user-agent"})


class Configuration:
    """Where the server is, who asks, and how patiently.

    Every setting is an attribute and a keyword here; its value is checked when it is set. No two
    instances share anything, and copies are deep.

    Args:
        host: The server's URL, `http(s)://name[:port][/prefix]`; a trailing `/rest` is dropped.
            Default: the environment variable `TATOR_HOST`, else unset (`"/"`).
        api_key: Keys by header name: `{"Authorization": key}`. Where there is none,
            `TATOR_TOKEN` is used as `Token <value>`, but only with a host from `TATOR_HOST`.
        api_key_prefix: What stands before a key, by header name: `{"Authorization": "Token"}`.
        refresh_api_key_hook: Called with the configuration once before each call.
        verify_ssl: Whether to check the server's certificate. Default: `True`.
        ssl_ca_cert: A PEM file of trusted authorities. Default: certifi's bundle.
        cert_file: A PEM file with the client's certificate.
        key_file: A PEM file with the client's private key, without a passphrase; not needed
            where `cert_file` has it.
        assert_hostname: The name that the certificate must be for, or `False` for any.
            Default: the host's.
        proxy: The proxy's URL, `""` for none. Default: `HTTP_PROXY`, `HTTPS_PROXY` and
            `NO_PROXY`, by the standard library's rules.
        connection_pool_maxsize: Connections kept and used at most for one host, and threads
            behind `async_req`. Default: 32.
        retries: Tries after the first. Default: 2; 0 or `False` for none.
        timeout: Seconds for each try, or a pair: seconds to connect and seconds of silence while
            reading, `None` for no limit of its own. Default: `(10, None)`.
        deadline: Seconds that a whole call may take, retries and waits included; `None` for no
            limit. Default: 300.
        debug: Whether to log each try, through one handler on the logger `tator`.
        logger_file: Where `debug` writes. Default: standard error.
        logger_format: How `debug` writes, in the notation of `logging.Formatter`.

    Raises:
        ApiTypeError, ApiValueError: A setting does not fit; the message names it.
        AttributeError: An attribute was set that is no setting; the near name is suggested.
    """

    host: str
    api_key: dict[str, str]
    api_key_prefix: dict[str, str]
    refresh_api_key_hook: Callable[[Configuration], object] | None
    verify_ssl: bool
    ssl_ca_cert: str | None
    cert_file: str | None
    key_file: str | None
    assert_hostname: str | bool | None
    proxy: str | None
    connection_pool_maxsize: int
    retries: int
    timeout: Timeout
    deadline: float | None
    debug: bool
    logger_file: str | None
    logger_format: str

    _env_token: str | None

    def __init__(
        self,
        host: str | None = None,
        api_key: Mapping[str, str] | None = None,
        api_key_prefix: Mapping[str, str] | None = None,
        refresh_api_key_hook: Callable[[Configuration], object] | None = None,
        *,
        verify_ssl: bool = True,
        ssl_ca_cert: str | os.PathLike[str] | None = None,
        cert_file: str | os.PathLike[str] | None = None,
        key_file: str | os.PathLike[str] | None = None,
        assert_hostname: str | bool | None = None,
        proxy: str | None = None,
        connection_pool_maxsize: int = 32,
        retries: int = 2,
        timeout: Timeout = (10, None),
        deadline: float | None = 300,
        debug: bool = False,
        logger_file: str | os.PathLike[str] | None = None,
        logger_format: str = _DEFAULT_LOG_FORMAT,
    ) -> None:
        host, proxy, api_key = veil(host), veil(proxy), veil(api_key)
        given = locals()
        for name in _CHECKS:
            setattr(self, name, given[name])

    # Hidden from type checkers: with it, they would let any attribute pass.
    if not TYPE_CHECKING:

        def __setattr__(self, name: str, value: Any) -> None:
            value = veil(value) if name in _SECRET else value
            check = _CHECKS.get(name)
            if check is None:
                if not hasattr(type(self), name):
                    raise AttributeError(_unknown_setting(name))
                object.__setattr__(self, name, value)
                return
            checked, problem = _tried(check, value)
            from_environment = name == "host" and value is None
            raise_problem("environment variable TATOR_HOST" if from_environment else name, problem)
            if name == "host":
                has_token = from_environment and checked != _UNSET_HOST
                token = os.environ.get("TATOR_TOKEN") if has_token else None
                self.__dict__["_env_token"] = veil(token)
            was_logging, before = self.__dict__.get("debug"), self.__dict__.get(name)
            self.__dict__[name] = checked
            if name in _LOGGING and (was_logging or self.__dict__.get("debug")):
                problem = _log(self)
                if problem is not None:
                    self.__dict__[name] = before
                    _log(self)
                raise_problem("logger_file or logger_format", problem)

    def __repr__(self) -> str:
        # A debugger may show it half made, so what has not been set is left out.
        settings = ", ".join(f"{name}={value!r}" for name, value in self._settings())
        return f"{type(self).__name__}({settings})"

    def _repr_html_(self) -> str:
        from tator.notebook import html_table

        rows = [(name, repr(value)) for name, value in self._settings()]
        return html_table(type(self).__name__, rows)

    def _settings(self) -> list[tuple[str, Any]]:
        return [(name, self.__dict__[name]) for name in _CHECKS if name in self.__dict__]

    def __copy__(self) -> Configuration:
        return copy.deepcopy(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Configuration:
        # The hook belongs to its owner, and may hold what can't be copied (a lock, a session).
        memo[id(self.refresh_api_key_hook)] = self.refresh_api_key_hook
        new = type(self).__new__(type(self))
        new.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return new

    def get_api_key_with_prefix(self, name: str) -> str | None:
        """The value of the header `name` that tells the server who asks.

        Args:
            name: `'Authorization'`.

        Returns:
            Prefix and key, or `None` where no key is set.

        Raises:
            ApiValueError: `refresh_api_key_hook` failed.
        """
        self._refresh()
        key, prefix = self.api_key.get(name), self.api_key_prefix.get(name)
        if key is None:
            if name != "Authorization" or not self._env_token:
                return None
            key, prefix = self._env_token, "Token"
            raise_problem("environment variable TATOR_TOKEN", _value_problem(key))
        return Secret(f"{prefix} {key}") if prefix else key

    def auth_settings(self) -> dict[str, dict[str, str]]:
        """How requests are authenticated, by the name of the scheme; empty without a key."""
        value = self.get_api_key_with_prefix("Authorization")
        if value is None:
            return {}
        place = {"type": "api_key", "in": "header", "key": "Authorization", "value": value}
        return {"TokenAuth": place}

    def to_debug_report(self) -> str:
        """Versions and settings for a bug report, secrets masked."""
        import platform
        from importlib.metadata import version

        installed = ("urllib3", "certifi", "six", "python-dateutil")
        versions = [f"{name}: {version(name)}" for name in installed]
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
        """Keep a copy for clients that are made without a configuration; `None` forgets it.

        Raises:
            ApiTypeError: It is neither a configuration nor `None`.
        """
        global _default
        if not isinstance(configuration, (Configuration, NoneType)):
            raise ApiTypeError(reason="the default must be a Configuration, or None")
        _default = copy.deepcopy(configuration)

    @staticmethod
    def get_default_copy() -> Configuration:
        """A copy of the default, or a new configuration where none was set."""
        return Configuration() if _default is None else copy.deepcopy(_default)

    def _refresh(self) -> None:
        if self.refresh_api_key_hook is None:
            return
        refusal: Exception | None = None
        try:
            self.refresh_api_key_hook(self)
        except Exception as error:
            # The words, locals and causes of a foreign error may hold the key it was to set.
            refusal = (
                copy.copy(error)
                if isinstance(error, ApiException)
                else ApiValueError(
                    reason=f"refresh_api_key_hook failed with {type(error).__name__}",
                    hint="Nothing was sent. Call the hook by hand to see why.",
                )
            )
        if refusal is not None:
            raise refusal


def _tried(check: Callable[[Any], Any], value: object) -> tuple[Any, TypeError | ValueError | None]:
    """What a check makes of a value, or its problem with it."""
    try:
        return check(value), None
    except ApiException:
        raise
    except (TypeError, ValueError) as error:
        # Its frames hold parts of the value, which may be secret.
        return None, error.with_traceback(None)


_default: Configuration | None = None


def raise_problem(name: str, problem: TypeError | ValueError | None) -> None:
    """Refuse the setting `name`, where there is a problem with its value."""
    if problem is not None:
        refusal = ApiTypeError if isinstance(problem, TypeError) else ApiValueError
        raise refusal(reason=f"{name} {problem}")


def _name_problem(name: object) -> TypeError | ValueError | None:
    if not isinstance(name, str):
        return TypeError("must have a string for its name")
    if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
        return ValueError("has a name that no header may have")
    return None


def _value_problem(value: object) -> TypeError | ValueError | None:
    """What keeps a value out of a header; never shows the value."""
    if not isinstance(value, str):
        return TypeError(f"must be a string, not {type(value).__name__}")
    if not value.strip():
        return ValueError("is empty: set the value that the server expects")
    if not re.fullmatch(r"[\t\x20-\x7e\xa0-\xff]+", value):
        return ValueError("holds a line break or another character that no header may have")
    return None


def check_timeout(value: object) -> Timeout:
    """A timeout as it was given, if it is one.

    Raises:
        TypeError, ValueError: It is neither seconds nor a pair of them.
    """
    if value is None:
        return None
    if isinstance(value, tuple):
        if len(value) != 2:
            raise ValueError("must be seconds, or a pair (connect, read)")
        connect, read = (None if part is None else _seconds(part) for part in value)
        return connect, read
    return _seconds(value)


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"must be a number of seconds, not {type(value).__name__}")
    if not 0 < value <= _LONGEST_WAIT:
        raise ValueError(f"must be more than 0 and at most {_LONGEST_WAIT:.0f} seconds")
    return value


def _check_deadline(value: object) -> float | None:
    return None if value is None else _seconds(value)


def _integer_from(least: int) -> Callable[[object], int]:
    def check(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"must be a whole number, not {type(value).__name__}")
        if value < least:
            raise ValueError(f"must be {least} or more")
        return value

    return check


def _check_retries(value: object) -> int:
    return 0 if value is False else _integer_from(0)(value)


def _check_bool(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"must be True or False, not {type(value).__name__}")
    return value


def _check_path(value: Any) -> str | None:
    if value is None:
        return None
    path = os.fspath(value)
    if not isinstance(path, str):
        raise TypeError("must be a path as a string")
    return path


def _check_text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"must be a string, not {type(value).__name__}")
    return value


def _check_assert_hostname(value: object) -> str | bool | None:
    if value is None or value is False or (isinstance(value, str) and value):
        return value
    raise ValueError("must be a host name, False for any, or None for the host's own")


def _check_hook(value: object) -> Any:
    if value is not None and not callable(value):
        raise TypeError("must be callable with a configuration")
    return value


def _check_values(kind: type[_Values]) -> Callable[[object], dict[str, str]]:
    def check(value: Any) -> dict[str, str]:
        if value is not None and not isinstance(value, Mapping):
            raise TypeError("must be a mapping such as {'Authorization': …}")
        return kind(value)

    return check


def _check_host(value: object) -> str:
    if value is None:
        return _check_host(os.environ.get("TATOR_HOST") or _UNSET_HOST)
    if value == _UNSET_HOST:
        return _UNSET_HOST
    scheme, authority, path = _url_parts(value)
    path = re.sub(r"(/rest)?/*$", "", quote(path, safe="/%:@!$&'()*+,;=~").rstrip("/"))
    return f"{scheme}://{authority}{path}"


def _check_proxy(value: object) -> str | None:
    if value is None:
        return None
    url = _check_text(value)
    if not url:
        return ""
    scheme, _, rest = url.partition("://") if "://" in url else ("http", "", url)
    user_info, at, address = rest.rpartition("@")
    scheme, authority, _ = _url_parts(f"{scheme}://{address}")
    if re.search(r"[\s\x00-\x1f\x7f/?#\\]", user_info):
        raise ValueError("has user info that must be percent-encoded")
    return _ProxyUrl(f"{scheme}://{user_info}{at}{authority}")


def _url_parts(value: object) -> tuple[str, str, str]:
    """Scheme, authority (in ASCII) and path of an http(s) URL without anything else."""
    url = _check_text(value)
    if re.search(r"[\s\x00-\x1f\x7f-\x9f\\]", url):
        raise ValueError("holds a space, a backslash or a control character")
    if not re.match(r"https?://", url, re.IGNORECASE):
        raise ValueError("must begin with http:// or https://")
    if "?" in url or "#" in url:
        raise ValueError("must have no query and no fragment")
    parts = _silent(urlsplit, url)
    if "@" in parts.netloc:
        raise ValueError("must have no user info: set api_key instead")
    name, port = _silent(lambda: (parts.hostname, parts.port))
    whole = re.fullmatch(r"(\[[^]]+\]|[^:]+)(:[0-9]+)?", parts.netloc)
    if not whole or not name or port == 0:
        raise ValueError("has no host name, or no valid port")
    authority = _bracketed(name) if "[" in parts.netloc else _ascii_name(name)
    return parts.scheme, authority if port is None else f"{authority}:{port}", parts.path


def _bracketed(name: str) -> str:
    from ipaddress import IPv6Address  # seldom needed

    if "%" in name:
        raise ValueError("has a scope in its address, which no URL may have")
    return f"[{_silent(IPv6Address, name)}]"


def _ascii_name(name: str) -> str:
    try:
        ascii_name = name.encode("idna").decode() if not name.isascii() else name
    except UnicodeError:
        ascii_name = ""
    if len(ascii_name) > 253 or not re.fullmatch(
        r"([a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}\.?", ascii_name
    ):
        raise ValueError("has no valid host name")
    return ascii_name


def _silent(parse: Callable[..., Any], *args: object) -> Any:
    try:
        return parse(*args)
    except ValueError:
        pass
    # The standard library's words may quote what it could not parse.
    raise ValueError("has no valid host name or port")


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "host": _check_host,
    "api_key": _check_values(_Keys),
    "api_key_prefix": _check_values(_Prefixes),
    "refresh_api_key_hook": _check_hook,
    "verify_ssl": _check_bool,
    "ssl_ca_cert": _check_path,
    "cert_file": _check_path,
    "key_file": _check_path,
    "assert_hostname": _check_assert_hostname,
    "proxy": _check_proxy,
    "connection_pool_maxsize": _integer_from(1),
    "retries": _check_retries,
    "timeout": check_timeout,
    "deadline": _check_deadline,
    "logger_file": _check_path,
    "logger_format": _check_text,
    "debug": _check_bool,
}
_SECRET = ("host", "api_key", "proxy")
_LOGGING = ("logger_file", "logger_format", "debug")


def _unknown_setting(name: str) -> str:
    from difflib import get_close_matches  # only a mistake pays for it

    near = get_close_matches(name, _CHECKS, n=1)
    return f"Configuration has no setting {name!r}" + (
        f"; did you mean {near[0]!r}?" if near else ""
    )


_handler: logging.Handler | None = None
_level_without = logging.NOTSET  # the logger's level as it is without our handler
_handler_lock = threading.Lock()


def _log(configuration: Configuration) -> ValueError | None:
    """Point the one handler that is ours where the configuration says, or take it away.

    Returns:
        What keeps it from that, if anything does.
    """
    global _handler, _level_without
    logger = logging.getLogger("tator")
    with _handler_lock:
        if _handler is not None:
            logger.removeHandler(_handler)
            _handler.close()
            _handler = None
            logger.setLevel(_level_without)
        if configuration.debug:
            path = configuration.logger_file
            try:
                formatter = logging.Formatter(configuration.logger_format)
                _handler = logging.FileHandler(path) if path else logging.StreamHandler()
            except (OSError, ValueError) as error:
                return ValueError(f"can't be used: {error}")
            _handler.setFormatter(formatter)
            logger.addHandler(_handler)
            _level_without = logger.level
            logger.setLevel(logging.DEBUG)
    return None
