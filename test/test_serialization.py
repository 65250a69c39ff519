"""JSON becomes the Python types that were asked for, and back: ours strictly, others' as theirs."""

from __future__ import annotations

import enum
import json
import math
import typing
import warnings
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

import tator
from tator import models
from tator.models import InlineResponse2044
from tator.models.model import Field, Model
from tator.serialization import empty, from_json, is_model, plain, reader, to_json

pytestmark = pytest.mark.fast

UID = UUID("9f1a2c3e-aaaa-11ee-8000-001122334455")
SETTINGS = tator.Configuration("https://tator.example")


class Run(Model):
    """A model whose field has another name in JSON."""

    run_uid = Field(str, "uid")
    started = Field(datetime)


class Typed(typing.TypedDict):
    """A dictionary whose types only type checkers know."""

    size: int


@dataclass
class Data:
    """A class without the dictionaries of a model."""

    size: int = 0


class Color(str, enum.Enum):
    """An enumeration of strings."""

    RED = "red"


# ruff: noqa: RUF012  # What follows has the shapes that generators write, without annotations.


class Status:
    """An enumeration, as openapi-generator writes it: no type, and nothing to choose from."""

    RUNNING = "Running"
    allowable_values = (RUNNING,)
    openapi_types: dict[str, str] = {}
    attribute_map: dict[str, str] = {}


class Node:
    """A model of swagger-codegen, with a required value."""

    swagger_types = {"uid": "str", "children": "list[Node]"}
    attribute_map = {"uid": "id", "children": "children"}

    def __init__(self, uid: Any = None, children: Any = None) -> None:
        self._uid = None
        self.discriminator = None
        self.uid = uid
        self.children = children

    @property
    def uid(self) -> Any:
        return self._uid

    @uid.setter
    def uid(self, value: Any) -> None:
        if value is None:
            raise ValueError("Invalid value for `uid`, must not be `None`")
        self._uid = value


class Job:
    """A model of openapi-generator 5, with a value of each kind."""

    openapi_types = {
        "number": "int",
        "cost": "float",
        "name": "str",
        "is_done": "bool",
        "started": "datetime",
        "day": "date",
        "status": "Status",
        "nodes": "list[Node]",
        "by_name": "dict(str, list[Node])",
        "anything": "object",
        "either": "OneOfnumberstring",
    }
    attribute_map = {**{name: name for name in openapi_types}, "is_done": "isDone"}

    def __init__(self, local_vars_configuration: Any = None, **values: Any) -> None:
        self.local_vars_configuration = local_vars_configuration
        self.discriminator = None
        for name in self.openapi_types:
            setattr(self, name, values.get(name))


class Shape:
    """A model that names its children."""

    openapi_types = {"kind": "str"}
    attribute_map = {"kind": "shapeKind"}
    discriminator_value_class_map = {
        "Box": "Box",
        "Shape": "Shape",
        "Lost": "NoSuchClass",
        "Round": "Round",
        "Foreign": "InlineResponse2044",
    }

    def __init__(self, kind: Any = None) -> None:
        self.kind = kind
        self.discriminator: Any = "kind"

    def get_real_child_model(self, data: Any) -> Any:
        return self.discriminator_value_class_map.get(data["shapeKind"])


class Box:
    """A child, which shares no class with its parent."""

    openapi_types = {"kind": "str", "width": "float"}
    attribute_map = {"kind": "shapeKind", "width": "width"}

    def __init__(self, kind: Any = None, width: Any = None) -> None:
        self.kind, self.width = kind, width
        self.discriminator = None


class Round(Shape):
    """A child that shares its parent's map, and so names itself."""


class Trusting(Shape):
    """A model that returns whatever the server names."""

    def get_real_child_model(self, data: Any) -> Any:
        return data["shapeKind"]


class Either:
    """Only a choice, without fields."""

    openapi_types: dict[str, str] = {}
    attribute_map: dict[str, str] = {}
    discriminator_value_class_map = {"Box": "Box"}

    def __init__(self) -> None:
        self.discriminator = "kind"

    def get_real_child_model(self, data: Any) -> Any:
        return self.discriminator_value_class_map.get(data["shapeKind"])


class Plain:
    """A class without a constructor."""

    swagger_types = {"name": "str"}
    attribute_map = {"name": "name"}


def read(kind: Any, value: object) -> Any:
    return reader(kind)(value, SETTINGS)


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (str, "a", "a"),
        ("str", "a", "a"),
        (int, 5, 5),
        ("long", 5, 5),
        ("float", 5, 5),
        (float, 0.5, 0.5),
        ("bool", True, True),
        ("object", [1, {"a": 2}], [1, {"a": 2}]),
        (Any, [1, {"a": 2}], [1, {"a": 2}]),
        ("Any", 5, 5),
        (list[dict[str, Any]], [{"a": 1, "b": None}], [{"a": 1, "b": None}]),
        ("list[dict[str, Any]]", [{"a": [1]}], [{"a": [1]}]),
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
        (list[int], [1, None], [1, None]),
        ("list[str]", ["a"], ["a"]),
        (dict[str, int], {"a": 1}, {"a": 1}),
        ("dict(str, int)", {"a": 1}, {"a": 1}),
        ("dict[str, list[int]]", {"a": [1]}, {"a": [1]}),
        ("list[dict(str, list[int])]", [{"a": [1]}], [{"a": [1]}]),
        (InlineResponse2044, {"message": "m", "later": 1}, InlineResponse2044("m")),
        ("InlineResponse2044", {}, InlineResponse2044()),
        ("list[InlineResponse2044]", [{"message": None}], [InlineResponse2044()]),
    ],
)
def test_json_is_read_as_the_type(kind: Any, value: object, expected: object) -> None:
    """Classes, generics and the generated clients' strings all name types."""
    assert read(kind, value) == expected


@pytest.mark.parametrize(
    "kind",
    [
        *(str, int, float, bool, object, date, datetime, list, dict, list[int], dict[str, int]),
        *(InlineResponse2044, "list[str]", "dict(str, int)", Node, Job, Shape),
    ],
)
def test_null_is_none_for_every_type(kind: Any) -> None:
    """Servers send it for what they do not have."""
    assert read(kind, None) is None


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (str, 5),
        (int, True),
        (int, 0.5),
        (int, "5"),
        (float, "5"),
        (bool, 1),
        (datetime, 5),
        (datetime, "yesterday"),
        (datetime, "9999-12-31T24:00"),
        (date, "2020-13-01"),
        (list[int], {"0": 1}),
        (list[int], ["a"]),
        (dict[str, int], [1]),
        (dict[str, int], {"a": "b"}),
        (InlineResponse2044, []),
        (InlineResponse2044, "gone"),
        (InlineResponse2044, {"message": 5}),
    ],
)
def test_a_value_that_does_not_fit_is_rejected(kind: Any, value: object) -> None:
    """Nothing is bent to fit: a wrong JSON type is a ValueError."""
    with pytest.raises(ValueError, match=r"."):
        read(kind, value)


@pytest.mark.parametrize(
    "kind",
    [
        *("Nonsense", "list[Nonsense]", "dict(int, str)", "list[int", "", "__doc__", "json"),
        *(bytes, set, dict[int, str], set[int], 5, None, Status.allowable_values, SimpleNamespace),
        *(typing.List[int], typing.Optional[int], int | None, Color, Typed, Data),  # noqa: UP006, UP045
    ],
)
def test_an_unknown_type_is_rejected(kind: Any) -> None:
    """It is a TypeError, before anything is read."""
    told = "is not a type that a response can be read as: use object for any JSON"
    told += ", and add a class to tator.models" if isinstance(kind, str) else "$"
    with pytest.raises(TypeError, match=told):
        reader(kind)


@pytest.mark.parametrize(
    ("has", "lacks"), [("attribute_map", "swagger_types"), ("swagger_types", "attribute_map")]
)
def test_an_error_says_what_a_class_lacks_to_be_a_model(
    has: str, lacks: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it is named by itself, in a string, or is in a body."""
    half = type("Half", (), {has: {"a": "a"}})
    monkeypatch.setattr(models, "Half", half, raising=False)
    uses = [lambda: reader(half), lambda: reader("list[Half]"), lambda: plain(half())]
    for use in uses:
        with pytest.raises(TypeError, match=f": as a model, it needs the dictionary {lacks}$"):
            use()


def test_a_file_is_not_read_as_json() -> None:
    """The text says how to have its bytes."""
    with pytest.raises(TypeError, match="_preload_content=False"):
        reader("file")


def test_json_text_may_begin_with_a_byte_order_mark() -> None:
    """UTF-8 with and without the mark, and text, are read alike."""
    assert from_json(b'\xef\xbb\xbf{"a": "\xc3\xa4"}') == {"a": "ä"}
    assert from_json('\ufeff{"a": "ä"}') == {"a": "ä"}
    assert from_json(b'{"a": "\xc3\xa4"}') == from_json('{"a": "ä"}') == {"a": "ä"}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        "",
        b"<html>",
        b'{"a": "\xff"}',
        b"[" * 200_000,
        b"1" * 5000,
        b"NaN",
        b"-Infinity",
        b"{}{}",
    ],
    ids=range(9),
)
def test_text_that_is_not_json_is_a_value_error(data: bytes | str) -> None:
    """Whatever the bytes, the failure is a ValueError."""
    with pytest.raises(ValueError, match=r"."):
        from_json(data)


def test_a_value_becomes_json() -> None:
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
        "color": Color.RED,
    }
    assert json.loads(to_json(value)) == {
        "run": {"uid": "x"},
        "all": [{"uid": "x"}, None, True, 1, 0.5, "ä"],
        "day": "2020-05-01",
        "at": "2020-05-01T10:20:30+00:00",
        "uid": str(UID),
        "color": "red",
    }
    assert to_json([1, {"a": 2}]) == b'[1,{"a":2}]'


def test_a_generated_model_becomes_json() -> None:
    """By the names of its map, with the models within it; a type that nobody knows is sent too."""
    job = Job(
        number=5,
        is_done=False,
        day=date(2020, 5, 1),
        nodes=[Node("a"), Node("b", [Node("c")])],
        either="x",
    )
    assert plain(job) == {
        "number": 5,
        "isDone": False,
        "day": "2020-05-01",
        "nodes": [{"id": "a"}, {"id": "b", "children": [{"id": "c"}]}],
        "either": "x",
    }


@pytest.mark.parametrize("value", [object(), {1: 2}, b"bytes", {"a": {1, 2}}, Status, 5j])
def test_a_value_without_a_form_in_json_is_a_type_error(value: object) -> None:
    """Nothing is turned into a string by guess."""
    with pytest.raises(TypeError, match=r"JSON"):
        plain(value)


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_a_number_without_a_form_in_json_is_a_value_error(number: float) -> None:
    """JSON has no NaN."""
    with pytest.raises(ValueError, match=r"."):
        to_json(number)


def test_a_response_without_content_is_an_empty_model() -> None:
    """A model is made if it needs no values; for other types, the result is `None`."""
    assert empty(InlineResponse2044) == empty("InlineResponse2044") == InlineResponse2044()
    job = empty(Job, SETTINGS)
    assert (type(job), job.number, job.local_vars_configuration) == (Job, None, SETTINGS)
    assert [empty(kind) for kind in (None, str, "int", "list[str]", list[str])] == [None] * 5
    assert [empty(kind) for kind in (Node, Shape, Status)] == [None] * 3


def test_types_that_are_written_as_names_are_read_as_generated_clients_did() -> None:
    """The value is coerced; for classes, nothing is bent to fit."""
    assert (read("int", "5"), read("str", 5), read("list[float]", ["0.5"])) == (5, "5", [0.5])
    assert read("dict(str, int)", {"a": "1"}) == {"a": 1}
    assert (read("list[int]", [1.7]), read("bool", "no")) == ([1], True)
    for kind, value in ((list[int], [1.7]), (bool, "no")):
        with pytest.raises(ValueError, match="expected"):
            read(kind, value)
    with pytest.raises(ValueError, match="invalid literal"):
        read("int", "five")


def test_a_model_has_types_and_names() -> None:
    """A class with one of the two is none, nor is a model itself."""
    assert all(map(is_model, (InlineResponse2044, Node, Job, Status, Plain)))
    others = (
        *(str, Node("a"), "Node", None),
        type("NoMap", (), {"swagger_types": {}}),
        type("NoTypes", (), {"attribute_map": {}}),
        type("OddTypes", (), {"attribute_map": {}, "openapi_types": "str"}),
        type("OddMap", (), {"attribute_map": [], "openapi_types": {}}),
    )
    assert not any(map(is_model, others))


def test_a_generated_model_is_read() -> None:
    """With the coercion of its primitives, its models, enumerations and dates."""
    job = read(
        Job,
        {
            "number": "5",
            "cost": "0.5",
            "name": 7,
            "isDone": 1,
            "started": "Fri, 01 May 2020 10:20:30 GMT",
            "day": "1 May 2020",
            "status": "Running",
            "nodes": [{"id": "a", "children": [{"id": "b"}]}],
            "by_name": {"x": [{"id": "c"}]},
            "anything": {"a": [1]},
            "later": "ignored",
        },
    )
    assert type(job).__name__ == "Job"
    assert (job.number, job.cost, job.name, job.is_done) == (5, 0.5, "7", True)
    assert job.started == datetime(2020, 5, 1, 10, 20, 30, tzinfo=timezone.utc)
    assert job.day == date(2020, 5, 1)
    assert job.status == "Running"
    assert job.nodes[0].children[0].uid == "b"
    assert job.by_name["x"][0].uid == "c"
    assert job.anything == {"a": [1]}
    assert job.either is None


def test_a_value_that_has_no_other_form_stays_as_it_is() -> None:
    """As the generated clients keep it."""
    assert read(Job, {"number": [1], "cost": {"a": 1}}).number == [1]


def test_a_generated_model_gets_the_configuration_if_it_takes_one() -> None:
    """Its checks read `client_side_validation` there."""
    assert read(Job, {}).local_vars_configuration is SETTINGS
    assert not hasattr(read(Node, {"id": "a"}), "local_vars_configuration")


def test_a_generated_type_is_found_beside_its_model_or_in_our_package(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A program can put its models there; a class that is not a model does not count."""
    with pytest.raises(TypeError):
        reader("Node")
    monkeypatch.setattr(models, "Node", Node, raising=False)
    monkeypatch.setattr(models, "Odd", dict, raising=False)
    assert read("list[Node]", [{"id": "a"}])[0].uid == "a"
    with pytest.raises(TypeError):
        reader("Odd")


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        (Node, {}, "Node: Invalid value for `uid`"),
        (Node, {"id": None}, "Node: Invalid value for `uid`"),
        (Node, [], "dict expected, list found"),
        (Node, {"id": "a", "children": [{}]}, "Node: Invalid value for `uid`"),
        (Node, {"id": "a", "children": {}}, "list expected, dict found"),
        (Job, {"number": "five"}, "invalid literal"),
        (Job, {"number": math.inf}, "infinity"),
        (Job, {"started": "yesterday"}, "yesterday"),
        (Job, {"started": "9" * 20}, "is not a valid date"),
        (Job, {"started": "1" * 40 + "m"}, "is not a valid date"),
        (Job, {"started": 5}, "str expected, int found"),
        (Job, {"either": 5}, "'OneOfnumberstring' is not a type"),
        (Plain, {"name": "a"}, "Plain"),
        (Shape, {}, "Shape: 'shapeKind'"),
        (Shape, {"shapeKind": ["Box"]}, "Shape: "),
        (Shape, {"shapeKind": "Lost"}, "'NoSuchClass' is not a type"),
        (Shape, {"shapeKind": "Box", "width": "wide"}, "could not convert"),
        (Either, "Box", "dict expected, str found"),
    ],
)
def test_a_value_that_a_generated_model_rejects_is_a_value_error(
    kind: Any, value: object, words: str
) -> None:
    """Whatever its constructor, its setters or a parser of dates raise."""
    with pytest.raises(ValueError, match=r".") as caught:
        read(kind, value)
    assert words in str(caught.value)


def test_a_date_in_an_unknown_time_zone_is_read_or_a_value_error() -> None:
    """Where warnings are errors, dateutil's is one too."""
    value = {"started": "2020-05-01 10:20:30 XYZ"}
    with pytest.raises(ValueError, match="XYZ"):
        read(Job, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert read(Job, value).started == datetime(2020, 5, 1, 10, 20, 30)


@pytest.mark.parametrize(
    ("model", "value", "kind"),
    [
        (Shape, {"shapeKind": "Box", "width": 2}, Box),
        (Shape, {"shapeKind": "Shape"}, Shape),
        (Shape, {"shapeKind": "Round"}, Round),
        (Shape, {"shapeKind": "Foreign"}, InlineResponse2044),
        (Shape, {"shapeKind": "Node"}, Shape),
        (Shape, {"shapeKind": "object"}, Shape),
        (Shape, {"shapeKind": None}, Shape),
        (Either, {"shapeKind": "Box", "width": 2}, Box),
        (Either, {"shapeKind": "Node"}, Either),
        (Trusting, {"shapeKind": "Node", "id": "a"}, Trusting),
        (Trusting, {"shapeKind": "object"}, Trusting),
        (Trusting, {"shapeKind": ["Box"]}, Trusting),
        (Trusting, {"shapeKind": "Box", "width": 2}, Box),
    ],
)
def test_a_discriminator_chooses_among_the_models_own_children(
    model: Any, value: object, kind: type
) -> None:
    """A name from the server picks no other class."""
    assert type(read(model, value)) is kind


def test_a_discriminator_that_is_unset_chooses_nothing() -> None:
    """A subclass may turn it off."""

    class Own(Shape):
        def __init__(self, kind: Any = None) -> None:
            super().__init__(kind)
            self.discriminator = None

    assert type(read(Own, {"shapeKind": "Box"})) is Own
