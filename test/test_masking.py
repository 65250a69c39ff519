"""Sensitive values show in nothing, and are taken out of what a server sends back."""

from __future__ import annotations

import copy
import html
import json
import pickle
import pprint
from base64 import b64encode
from typing import Any
from urllib.parse import quote

import pytest

from tator.headers import Headers
from tator.masking import ProxyUrl, Redactor, Secret, mask, proxy_credentials

pytestmark = pytest.mark.fast

TOKEN = "Sesame-0123456789abcdef"
ODD = "a\"b\\c/d&e<f>g'h=1+2%3;4,5 6:7~8"  # what escapes look different for
PROXY = "http://mallory:p%40ss%C3%A9w0rd@proxy.example:3128"


def redactor(authorization: str = f"Token {TOKEN}", proxy: str | None = None) -> Redactor:
    return Redactor(Headers({"Authorization": authorization}), proxy)


def unicode_escaped(text: str) -> str:
    return "".join(f"\\u{ord(char):04X}" for char in text)


def percent_escaped(text: str) -> str:
    return "".join(f"%{ord(char):02x}" for char in text)


def decimal_escaped(text: str) -> str:
    return "".join(f"&#{ord(char)};" for char in text)


def hexadecimal_escaped(text: str) -> str:
    return "".join(f"&#x{ord(char):X};" for char in text)


ESCAPES = [
    str,
    str.upper,
    str.lower,
    json.dumps,
    lambda text: json.dumps(json.dumps(text)),
    lambda text: html.escape(json.dumps(text)),
    lambda text: json.dumps(text).replace("/", "\\/"),
    html.escape,
    quote,
    unicode_escaped,
    percent_escaped,
    decimal_escaped,
    hexadecimal_escaped,
    lambda text: percent_escaped(text).upper(),
    lambda text: unicode_escaped(percent_escaped(text)),
]


def test_a_sensitive_string_shows_stars_and_equals_its_value() -> None:
    """Displays use `repr`; a request uses the string."""
    secret = Secret(TOKEN)
    assert repr(secret) == "'***'" == repr({"key": secret})[8:-1]
    assert secret == TOKEN == str(secret)
    assert TOKEN not in pprint.pformat([secret] * 9)


@pytest.mark.parametrize("key", [slice(8), slice(2, 80), slice(None, None, -1), 3])
def test_a_slice_of_a_sensitive_string_shows_stars(key: Any) -> None:
    """Tracebacks with local variables cut long strings before they show them."""
    assert repr(Secret(TOKEN)[key]) == "'***'"
    assert Secret(TOKEN)[key] == TOKEN[key]


@pytest.mark.parametrize(
    "duplicate", [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))]
)
@pytest.mark.parametrize("secret", [Secret(TOKEN), ProxyUrl(PROXY)])
def test_a_copy_of_a_sensitive_string_shows_stars(duplicate: Any, secret: Secret) -> None:
    """Copies and pickles stay sensitive."""
    new = duplicate(secret)
    assert (type(new), new, repr(new)) == (type(secret), secret, repr(secret))


def test_a_proxy_shows_where_it_is() -> None:
    """Only its user info is sensitive."""
    assert repr(ProxyUrl(PROXY)) == "'http://***@proxy.example:3128'"
    assert repr(ProxyUrl("http://proxy.example")) == "'http://proxy.example'"
    assert repr(ProxyUrl(PROXY)[:20]) == "'***'"


def test_masking_keeps_values_and_hides_strings() -> None:
    """Bytes, mappings and lists too; other values pass."""
    secret = Secret("a")
    assert mask(secret) is secret
    assert mask(b"a\xe9") == "aé"
    masked = mask({"X": TOKEN, "Y": [TOKEN, b"b"], "Z": (TOKEN, 5)})
    assert masked == {"X": TOKEN, "Y": [TOKEN, "b"], "Z": [TOKEN, 5]}
    assert repr(masked) == "{'X': '***', 'Y': ['***', '***'], 'Z': ['***', 5]}"
    assert [mask(5), mask(None)] == [5, None]


@pytest.mark.parametrize(
    ("proxy", "user_info", "basic"),
    [
        (None, "", ""),
        ("http://proxy.example", "", ""),
        ("http://me:word@proxy.example", "me:word", "Basic bWU6d29yZA=="),
        (
            PROXY,
            "mallory:p%40ss%C3%A9w0rd",
            f"Basic {b64encode('mallory:p@sséw0rd'.encode()).decode()}",
        ),
    ],
)
def test_a_proxys_user_info_becomes_a_header(proxy: str | None, user_info: str, basic: str) -> None:
    """In UTF-8, percent-decoded."""
    found = proxy_credentials(proxy)
    assert found == (user_info, basic)
    assert all(isinstance(value, Secret) for value in found)


@pytest.mark.parametrize("escape", ESCAPES)
@pytest.mark.parametrize("token", [TOKEN, ODD])
def test_a_token_is_found_in_each_escaped_form(escape: Any, token: str) -> None:
    """JSON, URLs and HTML escape it, one in the other, in any case."""
    escaped = escape(f"<{token}>")
    clean = redactor(f"Token {token}").text(f"The server says {escaped}, and more.")
    assert clean.startswith("The server says ")
    assert clean.endswith(", and more.")
    for form in (token, escape(token), escape(token)[3:-3], token.lower(), token.upper()):
        assert form not in clean
    assert "***" in clean


def test_each_character_with_a_name_in_html_is_found() -> None:
    """Between them there may be less than a part that is sensitive by itself."""
    assert redactor("Token a&b<c>d\"e'f").text("|a&amp;b&lt;c&GT;d&quot;e&apos;f|") == "|***|"


@pytest.mark.parametrize("start", range(0, len(TOKEN) - 8, 3))
def test_a_part_of_a_token_is_sensitive(start: int) -> None:
    """From eight characters on, wherever it was cut."""
    for end in (start + 8, len(TOKEN)):
        assert redactor().text(f"cut {TOKEN[start:end]}|") == "cut ***|"
    assert redactor().text(f"cut {TOKEN[:7]}") == f"cut {TOKEN[:7]}"


@pytest.mark.parametrize(
    "authorization", [f"Token {TOKEN} ", f"Token {TOKEN}\t", f"Token  {TOKEN}"]
)
def test_white_space_around_a_token_does_not_hide_it(authorization: str) -> None:
    """Servers strip it before they send it back."""
    assert redactor(authorization).text(f"Unknown: {TOKEN}.") == "Unknown: ***."


def test_a_token_of_several_words_is_found_word_by_word() -> None:
    """A server that splits it sends one back."""
    clean = redactor("Token open sesame now").text("open|sesame|now|open  sesame|Token")
    assert clean == "***|***|now|***  ***|Token"


@pytest.mark.parametrize("scheme", ["Token", "Bearer", "basic", "JWT"])
def test_a_known_prefix_is_not_sensitive(scheme: str) -> None:
    """The text would not be readable without it."""
    text = f"{scheme} x: wrong {scheme.lower()} header"
    assert redactor(f"{scheme} {TOKEN}").text(text) == text


def test_a_short_value_stays() -> None:
    """Replacing three characters would garble any text."""
    assert redactor("Token abc").text("abc abcabc") == "abc abcabc"
    assert redactor("Token abcd").text("abcd ABCDE") == "*** ***E"


def test_the_values_of_cookies_are_sensitive_and_their_names_are_not() -> None:
    """`csrftoken` is what a server's text speaks of."""
    cookie = 'csrftoken=crumbs-1234567; theme="dark=matter"; lonely-value;'
    clean = Redactor(Headers({"cookie": cookie}), None).text
    assert clean("csrftoken crumbs-1234567 theme") == "csrftoken *** theme"
    assert clean("dark=matter lonely-value") == "*** ***"
    assert "crumbs" not in clean(cookie)


def test_only_masked_headers_are_sensitive() -> None:
    """A User-Agent may be sent back."""
    headers = Headers({"User-Agent": "tator-python", "X-Other": "other-value"})
    assert Redactor(headers, None).text("tator-python other-value") == "tator-python ***"


def test_a_proxys_credentials_are_found_in_each_form() -> None:
    """Encoded, decoded, and as its header has them."""
    clean = redactor(proxy=PROXY).text
    for form in ("mallory:p%40ss%C3%A9w0rd", "mallory:p@sséw0rd", "p@sséw0rd", "p%40ss%C3%A9w0rd"):
        assert clean(f"({form})") == "(***)"
    assert clean(f"({b64encode('mallory:p@sséw0rd'.encode()).decode()})") == "(***)"


def test_the_names_of_headers_are_cleaned_too() -> None:
    """A server may send a token back as the name."""
    headers = {f"X-{TOKEN}": "a", "Y": f"Token {TOKEN}", "Z": "z"}
    assert redactor().headers(headers) == [("X-***", "a"), ("Y", "Token ***"), ("Z", "z")]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "plain",
        "50 % &c. \\",
        "&#x110000;&#9999999;&nope;&zz;%zz\\u12",
        "\\u005c",
        "%2525252541",
        "İstanbul ǅ",
    ],
)
def test_a_text_without_a_sensitive_value_stays_as_it_is(text: str) -> None:
    """This includes invalid escapes, also beside a sensitive value."""
    assert redactor().text(text) == text
    assert redactor().text(f"{text}|{TOKEN}|{text}") == f"{text}|***|{text}"


def test_adjacent_values_are_masked_as_one() -> None:
    """The text does not show how many there were."""
    assert redactor().text(TOKEN * 3) == "***"
    assert redactor().text(f"{TOKEN} {TOKEN}") == "*** ***"


@pytest.mark.parametrize(
    "filler",
    [TOKEN, TOKEN[:7], "a", "\\", "\\u0061", "&amp;", "&#x61;", "%61", "&", "\\\\u0061"],
)
def test_a_large_body_is_cleaned_in_reasonable_time(filler: str) -> None:
    """With quadratic time, the test would reach its timeout."""
    body = (filler * 65536)[:65536]
    for token in (TOKEN, "a" * 2000 + TOKEN, TOKEN * 40):
        assert TOKEN not in redactor(f"Token {token}").text(f"{body} {TOKEN}")


def test_a_prefix_that_is_there_twice_does_not_belong_to_the_token() -> None:
    """Else the word would be taken out of the server's own sentence."""
    sentence = "Invalid token header. Token string should not contain spaces."
    assert redactor(f"Token Token {TOKEN}").text(sentence) == sentence
    assert redactor(f"Token Token {TOKEN}").text(f"No {TOKEN}.") == "No ***."
