"""Each check accepts what it says, returns it as it is kept, and rejects all else by its name."""

from __future__ import annotations

import enum
import fractions
import uuid
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tator import checks
from tator.exceptions import ApiException, ApiKeyError, ApiTypeError, ApiValueError

pytestmark = pytest.mark.fast

UID = "9f1a2c3e-aaaa-11ee-8000-001122334455"
SECRET = "sesame-0123456789abcdef"


class Color(str, enum.Enum):
    """An enumeration of strings."""

    RED = "red"


class Number(enum.IntEnum):
    """An enumeration of numbers."""

    ONE = 1


class NoNumber:
    """Claims to be a number, as arrays do."""

    def __init__(self, error: type[Exception]) -> None:
        self.error = error

    def __float__(self) -> float:
        raise self.error(SECRET)


def at_least_one(name: str, value: object) -> int:
    return checks.integer(name, value, 1)


@pytest.mark.parametrize(
    ("check", "value", "kept"),
    [
        (checks.text, "", ""),
        (checks.boolean, False, False),
        (at_least_one, 1, 1),
        (at_least_one, np.int64(7), 7),
        (at_least_one, Number.ONE, 1),
        (checks.seconds, 5, 5),
        (checks.seconds, 0.001, 0.001),
        (checks.seconds, 1e6, 1e6),
        (checks.seconds, np.int64(5), 5.0),
        (checks.seconds, np.float32(0.5), 0.5),
        (checks.seconds, Decimal("1.5"), 1.5),
        (checks.seconds, fractions.Fraction(1, 2), 0.5),
        (checks.seconds_or_none, None, None),
        (checks.seconds_or_none, 300, 300),
        (checks.timeout, None, None),
        (checks.timeout, 2.5, 2.5),
        (checks.timeout, (1, None), (1, None)),
        (checks.timeout, [3, 10.5], (3, 10.5)),
        (checks.timeout, (np.int64(3), np.float64(10)), (3, 10)),
        (checks.retries, False, 0),
        (checks.retries, 0, 0),
        (checks.retries, np.int32(2), 2),
        (checks.path, None, None),
        (checks.path, "ca.pem", "ca.pem"),
        (checks.path, PurePosixPath("a/ca.pem"), "a/ca.pem"),
        (checks.hook, None, None),
        (checks.hook, print, print),
        (checks.assert_hostname, None, None),
        (checks.assert_hostname, True, None),
        (checks.assert_hostname, False, False),
        (checks.assert_hostname, "tator.example", "tator.example"),
        (checks.header_name, "X-Api_Key!#$%&'*+.^`|~9", "X-Api_Key!#$%&'*+.^`|~9"),
        (checks.header_value, "Token a\tb \xe9", "Token a\tb \xe9"),
        (checks.mapping, None, {}),
        (checks.mapping, MappingProxyType({"a": 1}), {"a": 1}),
        (checks.method, "delete", "DELETE"),
        (checks.path_segment, 5, "5"),
        (checks.path_segment, 1.5, "1.5"),
        (checks.path_segment, np.float64(1.5), "1.5"),
        (checks.path_segment, Number.ONE, "1"),
        (checks.path_segment, Color.RED, "red"),
        (checks.path_segment, uuid.UUID(UID), UID),
        (checks.path_segment, "a b;ä?#&=", "a%20b%3B%C3%A4%3F%23%26%3D"),
        (checks.path_segment, " a ", "%20a%20"),
        (checks.path_segment, "...", "..."),
        (checks.path_segment, "a" * 256, "a" * 256),
        (checks.path_segment, " " + "a" * 255, "%20" + "a" * 255),
        (checks.proxy, None, None),
        (checks.proxy, "", ""),
        (checks.proxy, "proxy.example:3128", "http://proxy.example:3128"),
        (checks.proxy, "HTTPS://Proxy.Example/", "https://proxy.example"),
        (checks.proxy, "https://me:p%40ss@[::1]:1/", "https://me:p%40ss@[::1]:1"),
        (checks.proxy, "me:p@ss@proxy.example", "http://me:p@ss@proxy.example"),
        (checks.proxy, "http://bücher.example:1", "http://xn--bcher-kva.example:1"),
    ],
)
def test_a_valid_value_is_returned_as_it_is_kept(
    check: Callable[[str, Any], Any], value: Any, kept: object
) -> None:
    """The same thing can be said in several ways."""
    assert check("name", value) == kept


@pytest.mark.parametrize(
    ("check", "value", "kind"),
    [
        (checks.text, None, ApiTypeError),
        (checks.text, b"a", ApiTypeError),
        (checks.boolean, 1, ApiTypeError),
        (checks.boolean, None, ApiTypeError),
        (at_least_one, 0, ApiValueError),
        (at_least_one, True, ApiTypeError),
        (at_least_one, np.True_, ApiTypeError),
        (at_least_one, 1.0, ApiTypeError),
        (at_least_one, "1", ApiTypeError),
        (checks.seconds, None, ApiTypeError),
        (checks.seconds, True, ApiTypeError),
        (checks.seconds, np.True_, ApiTypeError),
        (checks.seconds, "5", ApiTypeError),
        (checks.seconds, 5j, ApiTypeError),
        (checks.seconds, [5], ApiTypeError),
        (checks.seconds, np.array([1, 2]), ApiTypeError),
        (checks.seconds, NoNumber(ValueError), ApiTypeError),
        (checks.seconds, NoNumber(OverflowError), ApiTypeError),
        (checks.seconds, fractions.Fraction(10**400), ApiTypeError),
        (checks.seconds, 0, ApiValueError),
        (checks.seconds, -1, ApiValueError),
        (checks.seconds, 1e6 + 1, ApiValueError),
        (checks.seconds, 10**400, ApiValueError),
        (checks.seconds, float("nan"), ApiValueError),
        (checks.seconds, float("inf"), ApiValueError),
        (checks.timeout, True, ApiTypeError),
        (checks.timeout, (1, 2, 3), ApiValueError),
        (checks.timeout, (), ApiValueError),
        (checks.timeout, (1, "2"), ApiTypeError),
        (checks.timeout, {"connect": 1}, ApiTypeError),
        (checks.timeout, [1, -2], ApiValueError),
        (checks.retries, -1, ApiValueError),
        (checks.retries, True, ApiTypeError),
        (checks.retries, None, ApiTypeError),
        (checks.path, 5, ApiTypeError),
        (checks.path, b"a.pem", ApiTypeError),
        (checks.hook, 5, ApiTypeError),
        (checks.assert_hostname, "", ApiValueError),
        (checks.assert_hostname, 0, ApiValueError),
        (checks.header_name, 5, ApiTypeError),
        (checks.header_name, "", ApiValueError),
        (checks.header_name, "a b", ApiValueError),
        (checks.header_name, "a\n", ApiValueError),
        (checks.header_name, "ä", ApiValueError),
        (checks.header_value, None, ApiTypeError),
        (checks.header_value, "", ApiValueError),
        (checks.header_value, " \t", ApiValueError),
        (checks.header_value, "a\nb", ApiValueError),
        (checks.header_value, "a\n", ApiValueError),
        (checks.header_value, "a\rb", ApiValueError),
        (checks.header_value, "a\0b", ApiValueError),
        (checks.header_value, "a\x7fb", ApiValueError),
        (checks.header_value, "a\x85b", ApiValueError),
        (checks.header_value, "ключ", ApiValueError),
        (checks.mapping, [("a", 1)], ApiTypeError),
        (checks.mapping, "a", ApiTypeError),
        (checks.method, "", ApiValueError),
        (checks.method, "GET /", ApiValueError),
        (checks.method, "GËT", ApiValueError),
        (checks.method, 5, ApiTypeError),
        (checks.path_segment, None, ApiTypeError),
        (checks.path_segment, True, ApiTypeError),
        (checks.path_segment, b"a", ApiTypeError),
        (checks.path_segment, [1], ApiTypeError),
        (checks.path_segment, "a" * 257, ApiValueError),
        (checks.path_segment, "\ud800", ApiValueError),
        (checks.proxy, 5, ApiTypeError),
        (checks.proxy, "socks5h://proxy.example", ApiValueError),
        (checks.proxy, f"SOCKS4://me:{SECRET}@proxy.example", ApiValueError),
        (checks.proxy, "ftp://proxy.example", ApiValueError),
        (checks.proxy, f"http://me:{SECRET} x@proxy.example", ApiValueError),
        (checks.proxy, f"http://me:{SECRET}/x@proxy.example", ApiValueError),
        (checks.proxy, f"http://me:{SECRET}\ud800@proxy.example", ApiValueError),
        (checks.proxy, "http://", ApiValueError),
        (checks.proxy, "http://proxy.example:99999", ApiValueError),
        (checks.proxy, "http://proxy.example?x", ApiValueError),
    ],
)
def test_an_invalid_value_is_rejected_by_its_name(
    check: Callable[[str, Any], Any], value: Any, kind: type[ApiException]
) -> None:
    """The text begins with the name, and shows nothing of the value."""
    with pytest.raises(kind, match=r"^the_name (must|contains|has|is|: )") as caught:
        check("the_name", value)
    assert type(caught.value) is kind
    assert not caught.value.maybe_applied
    assert SECRET not in str(caught.value)


def test_a_number_that_python_does_not_write_is_rejected() -> None:
    """It has more than 4,300 digits."""
    with pytest.raises(ApiValueError, match=r"^uid: "):
        checks.path_segment("uid", 10**5000)


@pytest.mark.parametrize(
    "value", ["", " ", "\t", "\u2003", ".", "..", "a/b", "/", "a\\b", "a%2fb", "a\n", "\0", "\x85"]
)
@pytest.mark.parametrize("check", [checks.identifier, checks.path_segment])
def test_a_value_that_could_reach_another_endpoint_is_rejected(
    check: Callable[[str, object], str], value: str
) -> None:
    """Slashes and dots change the path, and proxies decode some encoded characters."""
    with pytest.raises(ApiValueError, match=r"^run_uid must not "):
        check("run_uid", value)


@pytest.mark.parametrize("value", [None, 5, b"a", True, ["a"]])
def test_an_id_that_is_not_a_string_or_a_uuid_is_rejected(value: object) -> None:
    """A number is an ID of another kind, such as a project's."""
    with pytest.raises(ApiTypeError, match=r"^run_uid must be a string or a UUID, not "):
        checks.identifier("run_uid", value)


def test_an_id_with_a_byte_order_mark_is_rejected() -> None:
    """A file of a spreadsheet begins with one, and strip() leaves it."""
    with pytest.raises(ApiValueError, match=r"^run_uid contains a byte order mark: .*utf-8-sig"):
        checks.identifier("run_uid", "\ufeff2c2f1a3e")


@pytest.mark.parametrize(
    ("value", "advice"), [("abc\n", ": strip() it"), ("a\nbc", ""), ("a\nbc\n", "")]
)
def test_the_text_for_a_header_value_with_a_line_break_at_its_end_names_strip(
    value: str, advice: str
) -> None:
    """A token that was read from a file has one."""
    with pytest.raises(ApiValueError) as caught:
        checks.header_value("api_key['Authorization']", value)
    assert str(caught.value).endswith(f"another invalid header character{advice}")


def test_an_id_is_returned_as_a_string() -> None:
    """A UUID is replaced by its text, a member of an enumeration by its value."""
    found = [checks.identifier("run_uid", value) for value in (UID, uuid.UUID(UID), Color.RED)]
    assert found == [UID, UID, "red"]
    assert {type(value) for value in found} == {str}
    assert checks.is_uuid(uuid.UUID(UID))
    assert not checks.is_uuid(UID)


def is_allowed(value: str) -> bool:
    has_other = all(char not in "/\\%" and not 0x7F <= ord(char) <= 0x9F for char in value)
    return bool(value.strip()) and value not in (".", "..") and has_other and min(value) > "\x1f"


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=256))
def test_any_other_text_is_percent_encoded(value: str) -> None:
    """What is decoded is what was given."""
    if is_allowed(value):
        segment = checks.path_segment("run_uid", value)
        assert unquote(segment) == value
        assert segment.isascii()
        assert not set(segment) & set("/?#\\ ")


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("/", "/"),
        ("http://Tator.Example:8080", "http://tator.example:8080"),
        ("https://tator.example/", "https://tator.example"),
        ("https://tator.example/rest", "https://tator.example"),
        ("https://tator.example/rest//", "https://tator.example"),
        ("https://tator.example/a/rest/", "https://tator.example/a"),
        ("https://tator.example/arrest", "https://tator.example/arrest"),
        ("https://tator.example/rest/rest", "https://tator.example/rest"),
        ("https://tator.example/ä", "https://tator.example/%C3%A4"),
        ("HTTPS://tator.example", "https://tator.example"),
        ("http://[::1]:80", "http://[::1]:80"),
        ("http://[0:0::1]", "http://[::1]"),
        ("http://tator.example.", "http://tator.example."),
        ("http://tator_1", "http://tator_1"),
        ("http://" + "a." * 126 + "a", "http://" + "a." * 126 + "a"),
        ("http://bücher.example", "http://xn--bcher-kva.example"),
    ],
)
def test_a_host_is_normalized(value: str, kept: str) -> None:
    """Slashes and `/rest` at the end go, a prefix stays, names are in ASCII."""
    assert checks.host("host", value) == kept


@pytest.mark.parametrize(
    "value",
    [
        "",
        "//",
        "tator.example",
        "ftp://tator.example",
        "file:///etc/passwd",
        "https://",
        "https:///rest",
        f"https://user:{SECRET}@tator.example",
        f"https://tator.example?token={SECRET}",
        f"https://tator.example#{SECRET}",
        f"https://tator.example:{SECRET}",
        "https://tator.example:",
        "https://tator.example:0",
        "https://tator.example:65536",
        "https://tator.example:1:2",
        "https://tator.example\\a",
        "https://tator.example/a b",
        "https://tator.example/\ud800",
        "https://\ud800",
        "https://tator.example\r\nX: y",
        "\nhttps://tator.example",
        "https://-ü" + "a" * 70,
        "https://" + "a" * 64,
        "https://" + "a." * 127,
        "https://a..b",
        "https://a%20b",
        "https://\uff41\uff0fb",
        "https://[::1",
        "http://[::1]x",
        "http://[v1.abc]",
        "http://[fe80::1%lo]",
        "http://[::::]",
    ],
)
def test_an_invalid_host_is_rejected_without_showing_it(value: str) -> None:
    """A host is an absolute http(s) URL without user info, query and fragment."""
    with pytest.raises(ApiValueError, match=r"^host (must|contains|has) ") as caught:
        checks.host("host", value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("value", [5, None, b"https://tator.example", np.array(["/", "/"])])
def test_a_host_is_a_string(value: object) -> None:
    """An array is not even compared with one."""
    with pytest.raises(ApiTypeError, match=r"^host must be a string, not "):
        checks.host("host", value)


def test_a_rejected_value_may_come_with_a_hint() -> None:
    """The text says what must be, the hint what to do."""
    with pytest.raises(ApiKeyError) as caught:
        checks.reject("x", "must be there", ApiKeyError, "Set it.")
    assert (caught.value.reason, caught.value.hint) == ("x must be there", "Set it.")
    with pytest.raises(ApiTypeError) as of_type:
        checks.reject_type("x", "a list", 5, "Make one.")
    assert (of_type.value.reason, of_type.value.hint) == ("x must be a list, not int", "Make one.")
    assert of_type.value.__context__ is None


def failing(error: Exception) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (TypeError("no list"), ApiTypeError, "body: no list"),
        (ValueError("no date"), ApiValueError, "body: no date"),
        (RecursionError("too deep"), ApiValueError, "body: too deep"),
        (
            UnicodeEncodeError("utf-8", SECRET, 0, 1, "surrogates"),
            ApiValueError,
            "body contains a character that can't be encoded (a lone surrogate)",
        ),
        (ApiKeyError("gone"), ApiKeyError, "gone"),
    ],
)
def test_what_a_function_raises_rejects_the_value(
    error: Exception, kind: type[ApiException], text: str
) -> None:
    """The traceback's frames are removed; an error of tator stays unchanged."""
    with pytest.raises(kind) as caught:
        checks.rejecting("body", failing(error))
    assert str(caught.value) == text
    assert caught.value.__context__ is None


def test_a_function_that_succeeds_rejects_nothing() -> None:
    """Its result is the result."""
    assert checks.rejecting("body", max, 1, 2) == 2


def test_a_foreign_exception_is_not_a_rejected_value() -> None:
    """What a program's own code raises passes."""
    with pytest.raises(ZeroDivisionError):
        checks.rejecting("body", failing(ZeroDivisionError()))
    assert checks.path("cert_file", Path("a.pem")) == "a.pem"
