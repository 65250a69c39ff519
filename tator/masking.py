"""Sensitive values: strings that are never displayed, and how to remove them from text."""

from __future__ import annotations

import re
from array import array
from binascii import b2a_base64
from collections.abc import Iterator, Mapping
from typing import Any, SupportsIndex
from urllib.parse import unquote, unquote_to_bytes

MASK = "***"
_SHORTEST = 4  # characters; replacing shorter ones would garble the text
_PART = 8  # characters of a sensitive value that are sensitive by themselves
_SCHEMES = frozenset({"basic", "bearer", "jwt", "token"})  # prefixes that are not sensitive
_ESCAPES = 3  # layers: JSON within JSON within HTML
# Compiled when an error is masked: a program without one starts faster.
_ESCAPE = (
    r"(?i)\\u([0-9a-f]{4})|%([0-9a-f]{2})|&#x([0-9a-f]{1,6});|&#([0-9]{1,7});|&([a-z]{2,4});|\\(.)"
)
_NAMED = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}  # characters in HTML


class Secret(str):
    """A string that displays as `***`, as do its slices; `str(secret)` is its value."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(MASK)

    def __getitem__(self, key: SupportsIndex | slice) -> Secret:
        return Secret(super().__getitem__(key))


class ProxyUrl(Secret):
    """A proxy's URL, of which only the user info is sensitive."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(re.sub(r"//.*@", f"//{MASK}@", str(self)))


def mask(value: Any) -> Any:
    """Return the same value, its strings masked in every display."""
    if value is None or isinstance(value, Secret):
        return value
    if isinstance(value, str):
        return Secret(value)
    if isinstance(value, bytes):
        return Secret(value.decode("latin-1"))
    if isinstance(value, (dict, Mapping)):  # dict first: the other takes ten times as long
        return {name: mask(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [mask(item) for item in value]
    return value


def proxy_credentials(proxy: str | None) -> tuple[Secret, Secret]:
    """Return a proxy's user info in its encoded form, and the header that carries it."""
    user_info = mask((proxy or "").rpartition("@")[0].rpartition("//")[2])
    # urllib3 encodes them in Latin-1, which lacks characters of some passwords.
    basic = b2a_base64(unquote_to_bytes(user_info), newline=False).decode()
    return user_info, Secret(f"Basic {basic}" if basic else "")


class Redactor:
    """Removes the sensitive values of a request from what a server sent back.

    A value is found whole, in part (8 characters or more), escaped as in JSON, URLs or HTML, and in
    upper or lower case.

    Args:
        headers: The headers of the request; those that are `Secret` are sensitive.
        proxy: The URL of its proxy.
    """

    def __init__(self, headers: Mapping[str, str], proxy: str | None) -> None:
        self._parts: set[str] = set()
        for name, value in headers.items():
            if isinstance(value, Secret):
                for part in _cookies(value) if name.lower() == "cookie" else _words(value):
                    self._add(part)
        user_info, basic = proxy_credentials(proxy)
        for part in (user_info, unquote(user_info), unquote(user_info.partition(":")[2])):
            self._add(part)
        self._add(basic.rpartition(" ")[2])

    def _add(self, value: str) -> None:
        """Keep the parts of a value that are sensitive by themselves: each 8 characters of it."""
        text = str(value).strip().lower()
        if len(text) >= _SHORTEST:
            size = min(len(text), _PART)
            self._parts.update(text[at : at + size] for at in range(len(text) - size + 1))

    def text(self, text: str) -> str:
        """Return the text with each sensitive value replaced by `***`."""
        plain = text
        for _ in range(_ESCAPES):
            lowered = plain.lower()
            if any(part in lowered for part in self._parts):
                return self._replaced(text)
            unescaped = re.sub(_ESCAPE, _unescape, plain)
            if unescaped == plain:
                break
            plain = unescaped
        return text

    def headers(self, headers: Mapping[str, str]) -> list[tuple[str, str]]:
        """Return names and values with sensitive values replaced, in names too."""
        return [(self.text(name), self.text(value)) for name, value in headers.items()]

    def _replaced(self, text: str) -> str:
        """Replace the sensitive values of each layer of escapes, where the text has them."""
        sensitive = bytearray(len(text))  # 1 for each character to take out
        plain, places = text, array("L", range(len(text) + 1))
        for _ in range(_ESCAPES):
            for start, end in self._found(plain):
                first, last = places[start], places[end]
                sensitive[first:last] = b"\1" * (last - first)
            plain, places = _without_escapes(plain, places)
        pieces, at = [], 0
        for match in re.finditer(b"\1+", bytes(sensitive)):
            pieces += [text[at : match.start()], MASK]
            at = match.end()
        return "".join([*pieces, text[at:]])

    def _found(self, text: str) -> Iterator[tuple[int, int]]:
        # Letter by letter, since lower() makes two of some letters.
        lowered = "".join(char.lower()[:1] for char in text)
        for part in self._parts:
            at = lowered.find(part)
            while at >= 0:
                yield at, at + len(part)
                at = lowered.find(part, at + 1)


def _cookies(value: str) -> Iterator[str]:
    """Yield what is sensitive in a Cookie header: the values, not the names."""
    for cookie in value.split(";"):
        name, equals, text = cookie.partition("=")
        yield text if equals else name


def _words(value: str) -> Iterator[str]:
    """Yield what is sensitive in another header: all of it but the prefix, and each word."""
    words = value.split()
    while len(words) > 1 and words[0].lower() in _SCHEMES:  # it may be there twice
        words = words[1:]
    yield " ".join(words)
    yield from words


def _unescape(match: re.Match[str]) -> str:
    """Return the character that an escape encodes, or the text itself if it encodes none."""
    unicode, percent, hexadecimal, decimal, named, other = match.groups()
    if other is not None:
        return other
    if named is not None:
        return _NAMED.get(named.lower(), match[0])
    number = int(decimal) if decimal else int(unicode or percent or hexadecimal, 16)
    return chr(number) if number <= 0x10FFFF else match[0]


def _without_escapes(text: str, places: array[int]) -> tuple[str, array[int]]:
    """Undo one layer of escapes, and keep where each character begins in the original."""
    pieces: list[str] = []
    kept = array("L")
    at = 0
    for match in re.finditer(_ESCAPE, text):
        char = _unescape(match)
        if char == match[0]:
            continue
        start, end = match.span()
        pieces += [text[at:start], char]
        kept += places[at : start + 1]
        at = end
    return "".join([*pieces, text[at:]]), kept + places[at:]
