"""JSON becomes the Python types that were asked for, strictly, and back."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest

from tator.models import InlineResponse2044
from tator.models.model import Field, Model
from tator.serialization import from_json, plain, reader, to_json

UID = UUID("9f1a2c3e-aaaa-11ee-8000-001122334455")


class Run(Model):
    """A model whose field has another name in JSON."""

    run_uid = Field(str, "uid")
    started = Field(datetime)


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (str, "a", "a"),
        ("str", "a", "a"),
        (int, 5, 5),
        ("float", 5, 5),
        (float, 0.5, 0.5),
        ("bool", True, True),
        (object, None, None),
        ("object", [1, {"a": 2}], [1, {"a": 2}]),
        ("date", "2020-05-01", date(2020, 5, 1)),
        (datetime, "2020-05-01T10:20:30Z", datetime(2020, 5, 1, 10, 20, 30, tzinfo=timezone.utc)),
        (
            "datetime",
            "2020-05-01T10:20:30.5+02:00",
            datetime(2020, 5, 1, 10, 20, 30, 500000, timezone(timedelta(hours=2))),
        ),
        (list, [1, "a"], [1, "a"]),
        (dict, {"a": [1]}, {"a": [1]}),
        (list[int], [1, 2], [1, 2]),
        ("list[str]", ["a"], ["a"]),
        (dict[str, int], {"a": 1}, {"a": 1}),
        ("dict(str, int)", {"a": 1}, {"a": 1}),
        ("dict[str, list[int]]", {"a": [1]}, {"a": [1]}),
        (InlineResponse2044, {"message": "m", "later": 1}, InlineResponse2044("m")),
        ("InlineResponse2044", {}, InlineResponse2044()),
        ("list[InlineResponse2044]", [{"message": None}], [InlineResponse2044()]),
    ],
)
def test_json_is_read_as_the_type(kind: Any, value: object, expected: object) -> None:
    """Classes, generics and the generated clients' strings all name types."""
    assert reader(kind)(value) == expected


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (str, 5),
        (str, None),
        (int, True),
        (int, 0.5),
        (float, "5"),
        (bool, 1),
        (datetime, 5),
        (datetime, "yesterday"),
        (date, "2020-13-01"),
        (list[int], {"0": 1}),
        (list[int], ["a"]),
        (dict[str, int], [1]),
        (InlineResponse2044, []),
        (InlineResponse2044, "gone"),
        (InlineResponse2044, {"message": 5}),
    ],
)
def test_what_does_not_fit_is_refused(kind: Any, value: object) -> None:
    """Nothing is bent to fit: a wrong JSON type is a ValueError."""
    with pytest.raises(ValueError, match=r"."):
        reader(kind)(value)


@pytest.mark.parametrize(
    "kind",
    ["Nonsense", "list[Nonsense]", "dict(int, str)", bytes, set, dict[int, str], set[int], 5],
)
def test_unknown_types_are_refused(kind: Any) -> None:
    """A type that no answer can be read as is a TypeError, before anything is read."""
    with pytest.raises(TypeError, match="no type that an answer can be read as"):
        reader(kind)


def test_json_text_may_begin_with_a_byte_order_mark() -> None:
    """UTF-8 with and without the mark, and text, are read alike."""
    assert from_json(b'\xef\xbb\xbf{"a": "\xc3\xa4"}') == {"a": "ä"}
    assert from_json(b'{"a": "\xc3\xa4"}') == from_json('{"a": "ä"}') == {"a": "ä"}


@pytest.mark.parametrize(
    "data", [b"", b"<html>", b'{"a": "\xff"}', b"[" * 200_000, b"1" * 5000, b"NaN"]
)
def test_what_is_no_json_is_a_value_error(data: bytes) -> None:
    """Whatever the bytes, the failure is a ValueError."""
    with pytest.raises(ValueError, match=r"."):
        from_json(data)


def test_values_become_json() -> None:
    """Models go by their JSON names without what is unset; dates and UUIDs become strings."""
    started = datetime(2020, 5, 1, 10, 20, 30, tzinfo=timezone.utc)
    run = Run()
    run.run_uid = "x"
    value = {
        "run": run,
        "all": (run, None, True, 1, 0.5, "ä"),
        "day": date(2020, 5, 1),
        "at": started,
        "uid": UID,
    }
    assert json.loads(to_json(value)) == {
        "run": {"uid": "x"},
        "all": [{"uid": "x"}, None, True, 1, 0.5, "ä"],
        "day": "2020-05-01",
        "at": "2020-05-01T10:20:30+00:00",
        "uid": str(UID),
    }


@pytest.mark.parametrize("value", [object(), {1: 2}, b"bytes", {"a": {1, 2}}])
def test_what_json_lacks_is_a_type_error(value: object) -> None:
    """Nothing is turned into a string by guess."""
    with pytest.raises(TypeError, match=r"JSON"):
        plain(value)


def test_what_no_number_is_is_refused() -> None:
    """JSON has no NaN."""
    with pytest.raises(ValueError, match=r"."):
        to_json(float("nan"))
