"""A query is written by the schema's rule for lists, and nothing empty is left out of a DELETE."""

from __future__ import annotations

import enum
from datetime import date, datetime, timezone
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

import numpy as np
import pytest

from tator import query
from tator.exceptions import ApiTypeError, ApiValueError

pytestmark = pytest.mark.fast

UID = UUID("9f1a2c3e-aaaa-11ee-8000-001122334455")


class Kind(str, enum.Enum):
    """An enumeration of strings."""

    LINE = "line"


class Number(enum.IntEnum):
    """An enumeration of numbers."""

    ONE = 1


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a b", "a b"),
        ("", ""),
        (5, "5"),
        (0.5, "0.5"),
        (np.float64(0.5), "0.5"),
        (True, "true"),
        (False, "false"),
        (Kind.LINE, "line"),
        (Number.ONE, "1"),
        (UID, str(UID)),
        (date(2020, 5, 1), "2020-05-01"),
        (datetime(2020, 5, 1, tzinfo=timezone.utc), "2020-05-01T00:00:00+00:00"),
    ],
)
def test_a_value_is_written_as_in_json(value: object, text: str) -> None:
    """Dates in ISO 8601, booleans in lower case, enumerations by their value."""
    (pair,) = query.to_pairs("query_params", {"a": value})
    assert pair == ("a", text)
    assert type(pair[1]) is str
    assert query.to_pairs("query_params", [("a", [value, value])]) == [("a", f"{text},{text}")]


@pytest.mark.parametrize(
    ("style", "pairs"),
    [
        (None, [("a", "1,2")]),
        ("csv", [("a", "1,2")]),
        ("ssv", [("a", "1 2")]),
        ("space", [("a", "1 2")]),
        ("tsv", [("a", "1\t2")]),
        ("pipes", [("a", "1|2")]),
        ("pipe", [("a", "1|2")]),
        ("multi", [("a", "1"), ("a", "2")]),
    ],
)
@pytest.mark.parametrize("kind", [list, tuple])
def test_a_list_has_the_delimiter_of_its_format(
    style: str | None, pairs: list[tuple[str, str]], kind: type
) -> None:
    """Commas if nothing else is said: of a repeated name, servers read the last value."""
    formats = {"a": style, "b": "multi"} if style else None
    assert query.to_pairs("query_params", {"a": kind([1, None, 2])}, formats) == pairs


def test_a_set_is_a_list_too() -> None:
    """In whatever order."""
    assert query.to_pairs("query_params", {"a": {1}, "b": frozenset({2})}) == [
        ("a", "1"),
        ("b", "2"),
    ]


def test_nothing_is_written_for_none_and_empty_lists() -> None:
    """An optional parameter is left out."""
    params = {"a": None, "b": [], "c": [None], "d": ()}
    assert query.to_pairs("query_params", params) == []
    assert (
        query.to_pairs("query_params", {"b": [], "c": [None]}, {"b": "multi", "c": "multi"}) == []
    )
    assert query.to_pairs("query_params", None) == query.to_pairs("query_params", []) == []


@pytest.mark.parametrize(
    ("value", "style"), [(["a,b"], "csv"), (["a b"], "ssv"), (["a\tb"], "tsv"), (["a|b"], "pipes")]
)
def test_an_item_with_its_own_delimiter_is_rejected(value: list[str], style: str) -> None:
    """The server would read two."""
    with pytest.raises(ApiValueError, match=r"^a must not have items that contain the delim"):
        query.to_pairs("query_params", {"a": value}, {"a": style})
    assert query.to_pairs("query_params", {"a": value}, {"a": "multi"}) == [("a", value[0])]


def test_an_unknown_format_is_rejected() -> None:
    """The name is in the text; in a path and in a header nothing can be repeated."""
    with pytest.raises(ApiValueError, match=r"^collection_formats has an unknown format for 'a'"):
        query.to_pairs("query_params", {"a": [1]}, {"a": "commas"})
    with pytest.raises(ApiValueError, match=r"^collection_formats has an unknown format for 'a'"):
        query.joined("a", [1], "multi")


@pytest.mark.parametrize("value", [{"a": 1}, [[1]], [{"a": 1}]])
def test_a_nested_value_is_rejected(value: object) -> None:
    """A query has no form for it."""
    with pytest.raises(
        ApiTypeError, match=r"^a must be a string, a number, a date or a list of them"
    ):
        query.to_pairs("query_params", {"a": value})


@pytest.mark.parametrize(
    "params",
    ["a=1", b"a=1", 5, ["a"], [("a",)], [("a", 1, 2)], iter([("a", 1)]), iter([])],
)
def test_params_are_a_mapping_or_a_list_of_pairs(params: Any) -> None:
    """What can be read once only would be empty the second time."""
    for function in (query.to_pairs, query.reject_empty, query.items_of):
        with pytest.raises(
            ApiTypeError, match=r"^query_params must be a mapping, or a list of pairs"
        ):
            function("query_params", params)


def test_a_name_is_a_string() -> None:
    """The text says which collection has another."""
    with pytest.raises(ApiTypeError, match=r"^a name in query_params must be a string, not int"):
        query.items_of("query_params", {5: "a"})


@pytest.mark.parametrize("value", [None, "", [], (), set(), [1, None], [""]])
def test_an_empty_value_in_a_delete_is_rejected(value: object) -> None:
    """What is left out there widens what is deleted."""
    with pytest.raises(
        ApiValueError, match=r"^query_params\['gid'\] must not be empty in a DELETE"
    ):
        query.reject_empty("query_params", [("project", 7), ("gid", value)])


@pytest.mark.parametrize("value", ["a", 0, False, [0], {"a"}, np.array(["", ""])])
def test_a_value_in_a_delete_is_accepted(value: object) -> None:
    """0 and False are values; other kinds are rejected later."""
    query.reject_empty("query_params", {"gid": value})
    query.reject_empty("query_params", None)


def test_a_query_is_percent_encoded() -> None:
    """Names and values arrive as they were given."""
    pairs = [("a b", "c&d=e#f"), ("ä", "1,2|3/4+5%6"), ("n", 5)]
    text = query.to_query(pairs)
    assert text == "a%20b=c%26d%3De%23f&%C3%A4=1%2C2%7C3%2F4%2B5%256&n=5"
    assert parse_qsl(text) == [(name, str(value)) for name, value in pairs]
    assert query.to_query(None) == query.to_query({}) == ""


def test_a_text_that_cannot_be_encoded_is_rejected() -> None:
    """The text is not shown."""
    with pytest.raises(
        ApiValueError, match=r"^query_params contains a character that can't be enc"
    ):
        query.to_query({"a": "\ud800"})
