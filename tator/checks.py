"""Pure checks of values, and the one way to reject one.

Each check takes the name by which the user knows the value, and returns the value as it is kept.
No error text shows the value: it may be sensitive.
"""

from __future__ import annotations

import operator
import os
import re
import sys
from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any, NoReturn, TypeAlias, TypeVar, cast
from urllib.parse import quote, urlsplit

from tator.exceptions import ApiException, ApiTypeError, ApiValueError
from tator.masking import ProxyUrl

T = TypeVar("T")

Timeout: TypeAlias = float | tuple[float | None, float | None] | None

UNSET_HOST = "/"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})  # there is nothing that they could have done
LONGEST_WAIT = 1e6  # seconds; operating systems reject much longer waits
_LONGEST_ID = 256  # characters
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\xa0-\xff]+")
# A proxy may decode an encoded slash: `..%2FJobs%2F1` would be another endpoint.
_UNSAFE = r"[/\\%\x00-\x1f\x7f-\x9f]"
_UNRESERVED = re.compile(r"[0-9A-Za-z_~-]{1,256}")  # most IDs: nothing to check, nothing to encode


def reject(
    name: str, problem: str, kind: type[ApiException] = ApiValueError, hint: str | None = None
) -> NoReturn:
    """Raise the error for a value that can't be used: `run_uid must…`."""
    raise kind(reason=f"{name} {problem}", hint=hint) from None


def reject_type(name: str, wanted: str, value: object, hint: str | None = None) -> NoReturn:
    """Raise the error for a value of the wrong type."""
    reject(name, f"must be {wanted}, not {type(value).__name__}", ApiTypeError, hint)


def rejecting(name: str, function: Callable[..., T], *args: object) -> T:
    """Return the function's result; if it raises, reject the value `name`."""
    try:
        return function(*args)
    except ApiException:
        raise
    except (TypeError, ValueError, RecursionError) as error:
        problem: Exception = error.with_traceback(None)
    if isinstance(problem, UnicodeEncodeError):
        reject(name, "contains a character that can't be encoded (a lone surrogate)")
    kind = ApiTypeError if isinstance(problem, TypeError) else ApiValueError
    raise kind(reason=f"{name}: {problem}")


def text(name: str, value: object) -> str:
    """Accept a string."""
    if not isinstance(value, str):
        reject_type(name, "a string", value)
    return value


def boolean(name: str, value: object) -> bool:
    """Accept `True` and `False`."""
    if not isinstance(value, bool):
        reject_type(name, "True or False", value)
    return value


def integer(name: str, value: object, least: int) -> int:
    """Accept an integer, including numpy's, that is not below `least`."""
    if _is_bool(value):
        reject_type(name, "an integer", value)
    try:
        number = operator.index(value)  # type: ignore[arg-type]  # it raises TypeError
    except TypeError:
        reject_type(name, "an integer", value)
    if number < least:
        reject(name, f"must be {least} or more")
    return number


def finite(name: str, value: object) -> None:
    """Accept all but the floats that JSON does not have: `nan`, `inf` and `-inf`."""
    if isinstance(value, float) and not isfinite(value):
        reject(name, "must be a finite number")


def seconds(name: str, value: object) -> float:
    """Accept a number of seconds, including numpy's types."""
    if _is_bool(value) or not hasattr(type(value), "__float__"):
        reject_type(name, "a number of seconds", value)
    try:
        number = value if isinstance(value, (int, float)) else float(cast(Any, value))
    except (TypeError, ValueError, OverflowError):
        reject_type(name, "a number of seconds", value)
    if not 0 < number <= LONGEST_WAIT:
        reject(name, f"must be more than 0 and at most {LONGEST_WAIT:.0f} seconds")
    return number


def _is_bool(value: object) -> bool:
    # numpy's bool has another name in each of its versions.
    return type(value).__name__.startswith("bool")


def seconds_or_none(name: str, value: object) -> float | None:
    """Accept seconds, or `None` for no limit."""
    return None if value is None else seconds(name, value)


def timeout(name: str, value: object) -> Timeout:
    """Accept seconds, or a pair (connect, read) of them; lists come from YAML and JSON."""
    if isinstance(value, (tuple, list)):
        if len(value) != 2:
            reject(name, "must be seconds, or a pair (connect, read)")
        connect, read = (seconds_or_none(name, part) for part in value)
        return connect, read
    return seconds_or_none(name, value)


def retries(name: str, value: object) -> int:
    """Accept the number of retries; `False` is 0."""
    return 0 if value is False else integer(name, value, 0)


def path(name: str, value: object) -> str | None:
    """Accept a path of the file system as a string, or `None`."""
    if value is None:
        return None
    try:
        kept = os.fspath(value)  # type: ignore[call-overload]  # it raises TypeError
    except TypeError:
        reject_type(name, "a path", value)
    return text(name, kept)


def hook(name: str, value: object) -> Any:
    """Accept a callable, or `None`."""
    if value is not None and not callable(value):
        reject(name, "must be callable with a configuration", ApiTypeError)
    return value


def assert_hostname(name: str, value: object) -> str | bool | None:
    """Accept a host name, `False` for any, and `None` or `True` for the one in the URL."""
    if value is True:
        return None
    if value is None or value is False or (isinstance(value, str) and value):
        return value
    reject(name, "must be a host name, False for any, or None for the one in the URL")


def header_name(name: str, value: object) -> str:
    """Accept the name of a header."""
    if not isinstance(value, str):
        reject(name, "must have a string as its name", ApiTypeError)
    if not _HEADER_NAME.fullmatch(value):
        reject(name, "is not a valid header name")
    return value


def header_value(name: str, value: object) -> str:
    """Accept the value of a header."""
    checked = text(name, value)
    if not checked.strip():
        reject(name, "must not be empty: set the value that the server expects")
    if not _HEADER_VALUE.fullmatch(checked):
        advice = ": strip() it" if _HEADER_VALUE.fullmatch(checked.strip()) else ""
        reject(name, f"contains a line break or another invalid header character{advice}")
    return checked


def header(label: str, name: object, value: object) -> None:
    """Accept a header, named in errors as `label[name]`."""
    # Most can be sent, and a label for each would cost more than the check.
    if not (
        isinstance(name, str)
        and isinstance(value, str)
        and _HEADER_NAME.fullmatch(name)
        and _HEADER_VALUE.fullmatch(value)
        and not value.isspace()
    ):
        header_name(f"{label}[{name!r}]", name)
        header_value(f"{label}[{name!r}]", value)


def mapping(name: str, value: object) -> Mapping[Any, Any]:
    """Accept a mapping; `None` is an empty one."""
    if type(value) is dict:  # most are, and the check below costs ten times as much
        return value
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        reject_type(name, "a mapping of names to values", value)
    return value


def method(name: str, value: object) -> str:
    """Accept an HTTP method, in any case."""
    verb = text(name, value)
    if not (verb.isascii() and verb.isalpha()):
        reject(name, "is not a valid HTTP method")
    return verb.upper()


def is_uuid(value: object) -> bool:
    """Tell whether a value is a `uuid.UUID`; if that module is not loaded, there are none."""
    uuid = sys.modules.get("uuid")
    return uuid is not None and isinstance(value, uuid.UUID)


def text_of(value: object) -> str:
    """Return the string for an ID or another scalar."""
    # For an enumeration of strings, str() would return the member's name.
    return str.__str__(value) if isinstance(value, str) else str(value)


def identifier(name: str, value: object) -> str:
    """Accept a job's or a group's ID: a string or a UUID that fits in a path."""
    if not (isinstance(value, str) or is_uuid(value)):
        reject_type(name, "a string or a UUID", value)
    uid = text_of(value)
    if uid.strip() and uid != uid.strip():
        reject(name, "must not begin or end with white space: strip() it")
    if "\ufeff" in uid:
        reject(name, "contains a byte order mark: read the file with encoding='utf-8-sig'")
    path_segment(name, uid)
    return uid


def path_segment(name: str, value: object) -> str:
    """Accept what fits between two slashes of a path, and return it percent-encoded."""
    if isinstance(value, bool) or not (isinstance(value, (str, int, float)) or is_uuid(value)):
        reject_type(name, "a string, a number or a UUID", value)
    if isinstance(value, str) and _UNRESERVED.fullmatch(value):
        return value
    finite(name, value)
    # Not str(): it shows the name of an enumeration's number, and rejects long ones its own way.
    segment = value if isinstance(value, str) else rejecting(name, format, value)
    if not segment.strip():
        reject(name, "must not be empty")
    if segment in (".", "..") or re.search(_UNSAFE, segment):
        reject(name, "must not be . or .., or contain / \\ % or a control character")
    if len(segment) > _LONGEST_ID:
        reject(name, f"must have at most {_LONGEST_ID} characters")
    try:
        return quote(segment, safe="")
    except UnicodeEncodeError:
        pass
    reject(name, "contains a character that can't be encoded (a lone surrogate)")


def host(name: str, value: object) -> str:
    """Accept the server's URL; a trailing slash and a trailing `/rest` are dropped."""
    if text(name, value) == UNSET_HOST:
        return UNSET_HOST
    scheme, authority, url_path = _url_parts(name, value)
    prefix = quote(url_path, safe="/%:@!$&'()*+,;=~").rstrip("/")
    return f"{scheme}://{authority}{prefix.removesuffix('/rest')}"


def proxy(name: str, value: object) -> str | None:
    """Accept a proxy's URL, `""` for none, or `None` for the environment's."""
    if value is None:
        return None
    url = text(name, value)
    if not url:
        return ""
    scheme, _, rest = url.partition("://") if "://" in url else ("http", "", url)
    if scheme.lower().startswith("socks"):
        reject(name, 'must not be a SOCKS proxy: name an HTTP proxy, or set "" for none')
    user_info, at, address = rest.rpartition("@")
    scheme, authority, _ = _url_parts(name, f"{scheme}://{address}")
    if re.search(r"[\s\x00-\x1f\x7f/?#\\\ud800-\udfff]", user_info):
        reject(name, "must have its user info percent-encoded")
    return ProxyUrl(f"{scheme}://{user_info}{at}{authority}")


def _url_parts(name: str, value: object) -> tuple[str, str, str]:
    """Return scheme, authority (in ASCII) and path of an http(s) URL with nothing else."""
    url = text(name, value)
    if not url.isprintable() or " " in url or "\\" in url:
        reject(name, "contains a space, a backslash or a character that can't be printed")
    if not url.lower().startswith(("http://", "https://")):
        reject(name, "must begin with http:// or https://")
    if "?" in url or "#" in url:
        reject(name, "must not have a query or a fragment")
    try:
        parts = urlsplit(url)
        host_name, port = parts.hostname, parts.port
    except ValueError:
        reject(name, "must have a host name, and its port must be valid")
    if "@" in parts.netloc:
        reject(name, "must not have user info: set api_key instead")
    whole = re.fullmatch(r"(\[[^]]+\]|[^:]+)(:[0-9]+)?", parts.netloc)
    if not whole or not host_name or port == 0:
        reject(name, "must have a host name, and its port must be valid")
    is_address = "[" in parts.netloc
    authority = _bracketed(name, host_name) if is_address else _ascii_name(name, host_name)
    return parts.scheme, authority if port is None else f"{authority}:{port}", parts.path


def _bracketed(name: str, address: str) -> str:
    from ipaddress import IPv6Address  # seldom needed

    if "%" in address:
        reject(name, "has a scope in its address, which a URL can't have")
    try:
        return f"[{IPv6Address(address)}]"
    except ValueError:
        pass
    reject(name, "must have a valid IPv6 address in its brackets")


def _ascii_name(name: str, host_name: str) -> str:
    try:
        ascii_name = host_name if host_name.isascii() else host_name.encode("idna").decode()
    except UnicodeError:
        ascii_name = ""
    label = "[a-z0-9_-]{1,63}"
    if len(ascii_name) > 253 or not re.fullmatch(rf"({label}\.)*{label}\.?", ascii_name):
        reject(name, "must have a valid host name")
    return ascii_name
