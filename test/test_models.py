"""Models hold a response's values, compare within their type, and show as dictionaries."""

from __future__ import annotations

import copy
import pickle
import pprint
from collections.abc import Callable
from datetime import datetime

import pytest

from tator.models import InlineResponse2044, InlineResponse2045
from tator.models.model import Field, Model

pytestmark = pytest.mark.fast

BOTH = [InlineResponse2044, InlineResponse2045]


class Run(Model):
    """A model with more to it than those of this package."""

    run_uid = Field(str, "uid")
    started = Field(datetime)


class NamedRun(Run):
    """One that adds a field."""

    name = Field(str)


@pytest.mark.parametrize("model", BOTH)
def test_the_message_can_be_given_read_and_set(model: type[InlineResponse2044]) -> None:
    """`message` is a property, and absent unless it is given."""
    assert model().message is None
    one = model("done")
    assert one.message == model(message="done").message == "done"
    one.message = None
    assert one.message is None


@pytest.mark.parametrize("model", BOTH)
def test_the_generated_clients_attributes_are_there(model: type[Model]) -> None:
    """Programs that read the types or the names of fields find them."""
    assert model.swagger_types == {"message": "str"}
    assert model.attribute_map == {"message": "message"}
    assert model.discriminator is None
    assert model.__base__ is Model
    assert [Model.fields, Model.swagger_types, Model.attribute_map] == [{}, {}, {}]


@pytest.mark.parametrize("model", BOTH)
def test_it_shows_as_a_dictionary(model: type[InlineResponse2044]) -> None:
    """`repr`, `str` and `to_str` are what pprint makes of the values."""
    one = model("done")
    assert one.to_dict() == {"message": "done"}
    assert repr(one) == str(one) == one.to_str() == "{'message': 'done'}"


@pytest.mark.parametrize("length", [0, 66, 67, 68, 69, 500])
def test_it_shows_as_pprint_shows_a_dictionary(length: int) -> None:
    """Long messages and models within take several lines, in the order of their names."""
    one = InlineResponse2044("word " * (length // 5) + "x" * (length % 5))
    assert one.to_str() == pprint.pformat(one.to_dict())
    batch = Batch()
    batch.by_name = {name: Run() for name in "cba"}
    assert batch.to_str() == pprint.pformat(batch.to_dict())
    assert repr(NamedRun()) == "{'name': None, 'run_uid': None, 'started': None}"


def test_equality_stays_within_the_type() -> None:
    """Equal values of one type are equal, of two types they are not."""
    assert InlineResponse2044("a") == InlineResponse2044("a")
    assert InlineResponse2044("a") != InlineResponse2044("b")
    assert InlineResponse2044("a") != InlineResponse2045("a")
    assert InlineResponse2044("a") != {"message": "a"}


def test_a_model_has_no_hash() -> None:
    """Its values may change, so a dictionary rejects it."""
    with pytest.raises(TypeError, match="unhashable"):
        hash(InlineResponse2044("a"))


@pytest.mark.parametrize(
    "duplicate", [copy.copy, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))]
)
def test_a_model_can_be_copied_and_pickled(duplicate: Callable[[Model], Model]) -> None:
    """The copy is equal to the original."""
    assert duplicate(InlineResponse2044("a")) == InlineResponse2044("a")


def test_a_notebook_shows_it_escaped() -> None:
    """The server's message can't become markup."""
    shown = InlineResponse2044("<b>")._repr_html_()
    assert "&lt;b&gt;" in shown
    assert "InlineResponse2044" in shown


class Batch(Model):
    """A model that holds others."""

    first = Field(Run)
    runs = Field(list[Run])
    by_name = Field(dict[str, Run])


def test_models_within_become_dictionaries_too() -> None:
    """`to_dict` goes all the way down, and types are named as the generated clients name them."""
    run = Run()
    run.run_uid = "x"
    batch = Batch()
    batch.first, batch.runs, batch.by_name = run, [run], {"a": run}
    plain = {"run_uid": "x", "started": None}
    assert batch.to_dict() == {"first": plain, "runs": [plain], "by_name": {"a": plain}}
    assert Batch.swagger_types == {"first": "Run", "runs": "list[Run]", "by_name": "dict(str, Run)"}


def test_a_field_may_have_another_name_in_json() -> None:
    """The attribute's name and the JSON's can differ, and subclasses add fields."""
    assert Run.attribute_map == {"run_uid": "uid", "started": "started"}
    assert NamedRun.swagger_types == {"run_uid": "str", "started": "datetime", "name": "str"}
    assert isinstance(Run.run_uid, Field)
