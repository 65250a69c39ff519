"""JSON ↔ Python: text to typed values and back, for our models and generated ones."""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Callable
from contextlib import suppress
from datetime import date, datetime
from functools import lru_cache
from typing import Any, TypeAlias, cast

from tator import models
from tator.checks import is_uuid
from tator.models.model import Model

_BYTE_ORDER_MARK = "\ufeff"

Reader: TypeAlias = Callable[[object, Any], Any]
"""Takes a JSON value and the configuration that models of generators are made with."""


def to_json(value: object) -> bytes:
    """Return a request body: JSON in UTF-8.

    Raises:
        TypeError, ValueError: If the value can't be represented in JSON.
    """
    import six  # only requests with a body need it

    return six.ensure_binary(json.dumps(plain(value), allow_nan=False, separators=(",", ":")))


def plain(value: object) -> Any:
    """Return a value that `json.dumps` accepts: models by their JSON names, dates in ISO 8601.

    Raises:
        TypeError: If the value can't be represented in JSON.
    """
    if value is None or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {_key(key): plain(item) for key, item in value.items()}
    kind: Any = type(value)
    if is_model(kind):
        pairs = [(name, getattr(value, attr)) for attr, name, _ in _fields(kind)]
        return {name: plain(item) for name, item in pairs if item is not None}
    if is_uuid(value):
        return str(value)
    raise TypeError(f"{type(value).__name__} can't be represented in JSON{_lack_of(kind)}")


def from_json(data: bytes | str) -> Any:
    """Parse JSON text; a byte order mark is skipped.

    Raises:
        ValueError: If the text is not UTF-8, or not JSON.
    """
    try:
        # json.loads would guess at UTF-16 and UTF-32 too, which no Tator server sends.
        text = data if isinstance(data, str) else data.decode()
        return _decode(text.removeprefix(_BYTE_ORDER_MARK))
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None


def _not_json(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


_decode = json.JSONDecoder(parse_constant=_not_json).decode  # NaN and Infinity are Python's own


def is_model(kind: object) -> bool:
    """Tell whether a class is a model, ours or one that a generator wrote."""
    return (
        isinstance(kind, type)
        and isinstance(getattr(kind, "attribute_map", None), dict)
        and _types_of(kind) is not None
    )


def empty(kind: object, settings: Any = None) -> Any:
    """Return the result of a response without content: an empty model, if a model is expected."""
    if isinstance(kind, str) and kind.isidentifier() and kind not in _BY_NAME:
        kind = _model_named(kind, None)
    if not is_model(kind) or not _fields(kind):
        return None
    with suppress(ValueError):  # a model of a generator may need a value
        return _read_model(kind, {}, settings)
    return None


def reader(kind: object, owner: type | None = None) -> Reader:
    """Return the function that reads a JSON value as `kind`; it raises ValueError if it can't.

    `null` is read as `None`, whatever the kind.

    Args:
        kind: `str`, `int`, `float`, `bool`, `list`, `dict`, `object` or `Any`, `date`, `datetime`,
            a model class, `list[X]` or `dict[str, X]`, or the names of these as generated clients
            write them: `'list[InlineResponse2044]'`, `'dict(str, int)'`.
        owner: The generated model that has a field of this kind. Its fields are read leniently, as
            its generator does; without an owner, a class that a caller passes is read strictly.

    Raises:
        TypeError: If there is no such kind.
    """
    if isinstance(kind, str):
        return _reader_of_name(kind.replace(" ", ""), owner)
    if isinstance(kind, types.GenericAlias):
        if kind.__origin__ is list:
            return _list_of(reader(kind.__args__[0], owner))
        if kind.__origin__ is dict and kind.__args__[0] is str:
            return _dict_of(reader(kind.__args__[1], owner))
    elif isinstance(kind, type) or kind is Any:  # a class since Python 3.11
        return _reader_of_class(kind, owner is None)
    raise _unknown(kind)


def _unknown(kind: object) -> TypeError:
    problem = f"{kind!r} is not a type that a response can be read as"
    by_name = ", and add a class to tator.models before you name it" * isinstance(kind, str)
    return TypeError(f"{problem}{_lack_of(kind) or f': use object for any JSON{by_name}'}")


def _lack_of(kind: object) -> str:
    """Say what a class lacks to be a model, if it has one of the two dictionaries."""
    has_names = isinstance(getattr(kind, "attribute_map", None), dict)
    if not isinstance(kind, type) or has_names == (_types_of(kind) is not None):
        return ""
    lacking = "swagger_types" if has_names else "attribute_map"
    return f": as a model, it needs the dictionary {lacking}"


@lru_cache(maxsize=256)
def _reader_of_class(kind: Any, is_strict: bool) -> Reader:
    kind = object if kind is Any else kind
    if kind in _STRICT:
        return (_STRICT if is_strict else _LENIENT)[kind]
    if is_model(kind):
        return _nullable(lambda value, settings: _read_model(kind, value, settings))
    raise _unknown(kind)


def _reader_of_name(name: str, owner: type | None) -> Reader:
    for opening, closing, build in (("list[", "]", _list_of), *_DICTS):
        if name.startswith(opening) and name.endswith(closing):
            return build(_reader_of_name(name[len(opening) : -1], owner))
    if name in _BY_NAME:
        # Generated clients write types as names, and coerced what they read.
        return _reader_of_class(_BY_NAME[name], is_strict=False)
    if name == "file":
        raise TypeError("'file' is not read as JSON: pass _preload_content=False to get bytes")
    return reader(_model_named(name, owner))


def _model_named(name: str, owner: type | None) -> type:
    """Find a class by its name: beside the model that owns the field, then in `tator.models`."""
    module = owner.__module__ if owner else ""
    for place in (sys.modules.get(module), sys.modules.get(module.rpartition(".")[0]), models):
        found = getattr(place, name, None)
        if is_model(found):
            return cast(type, found)
    raise _unknown(found if _lack_of(found) else name)


def _nullable(read: Reader) -> Reader:
    return lambda value, settings: None if value is None else read(value, settings)


def _exactly(kind: type, *others: type) -> Reader:
    accepted = (kind, *others)

    def read(value: object, settings: Any) -> object:
        # bool is a subclass of int, and JSON tells them apart.
        if type(value) not in accepted:
            raise ValueError(f"{kind.__name__} expected, {type(value).__name__} found")
        return value

    return read


_read_str, _read_list, _read_dict = _exactly(str), _exactly(list), _exactly(dict)


def _read_datetime(value: object, settings: Any) -> datetime:
    from dateutil.parser import isoparse  # costs more than the rest of a call's imports

    return _parsed(isoparse, _read_str(value, settings))


def _read_any_datetime(value: object, settings: Any) -> datetime:
    from dateutil.parser import parse

    return _parsed(parse, _read_str(value, settings))


def _parsed(parse: Callable[[str], datetime], text: str) -> datetime:
    try:
        return parse(text)
    except (ArithmeticError, RuntimeWarning):  # a large number; an unknown time zone
        raise ValueError(f"{text!r} is not a valid date") from None


def _coerced(kind: Callable[[Any], Any]) -> Reader:
    """Return a reader that converts values as generated clients do, and leaves other types."""

    def read(value: object, settings: Any) -> object:
        try:
            return kind(value)
        except TypeError:
            return value
        except OverflowError as error:  # int() of an infinite float, such as 1e999
            raise ValueError(str(error)) from None

    return read


_STRICT: dict[type, Reader] = {
    object: lambda value, settings: value,
    str: _nullable(_read_str),
    int: _nullable(_exactly(int)),
    float: _nullable(_exactly(float, int)),
    bool: _nullable(_exactly(bool)),
    dict: _nullable(_read_dict),
    list: _nullable(_read_list),
    datetime: _nullable(_read_datetime),
    date: _nullable(lambda value, settings: _read_datetime(value, settings).date()),
}
# As the generated clients read the fields of their models.
_LENIENT: dict[type, Reader] = {
    **_STRICT,
    **{kind: _nullable(_coerced(kind)) for kind in (str, int, float, bool)},
    datetime: _nullable(_read_any_datetime),
    date: _nullable(lambda value, settings: _read_any_datetime(value, settings).date()),
}
_BY_NAME: dict[str, type] = {
    **{kind.__name__: kind for kind in _STRICT},
    "long": int,
    "Any": object,
}


def _list_of(read: Reader) -> Reader:
    return _nullable(
        lambda value, settings: [read(item, settings) for item in _read_list(value, settings)]
    )


def _dict_of(read: Reader) -> Reader:
    return _nullable(
        lambda value, settings: {
            name: read(item, settings) for name, item in _read_dict(value, settings).items()
        }
    )


_DICTS = (("dict(str,", ")", _dict_of), ("dict[str,", "]", _dict_of))


def _types_of(cls: type) -> dict[str, Any] | None:
    found = getattr(cls, "openapi_types", None)
    found = getattr(cls, "swagger_types", None) if found is None else found
    return found if isinstance(found, dict) else None


@lru_cache(maxsize=256)
def _fields(cls: Any) -> list[tuple[str, str, Any]]:
    """Return attribute, JSON name and kind of each field of a model."""
    if issubclass(cls, Model):
        return [(name, field.json_name, field.kind) for name, field in cls.fields.items()]
    names: dict[str, str] = cls.attribute_map
    return [(attr, names.get(attr, attr), kind) for attr, kind in (_types_of(cls) or {}).items()]


@lru_cache(maxsize=256)
def _readers(cls: Any) -> list[tuple[str, str, Reader]]:
    if issubclass(cls, Model):
        return [(attr, name, reader(kind)) for attr, name, kind in _fields(cls)]
    return [(attr, name, _reader_when_needed(kind, cls)) for attr, name, kind in _fields(cls)]


def _reader_when_needed(kind: Any, owner: type) -> Reader:
    """Return a reader that looks up its kind at the first value.

    Generators name kinds that no package defines, such as `OneOfstringnumber`.
    """

    def read(value: object, settings: Any) -> Any:
        try:
            return reader(kind, owner)(value, settings)
        except TypeError as error:
            raise ValueError(str(error)) from None

    return _nullable(read)


def _read_model(cls: Any, value: object, settings: Any) -> Any:
    if issubclass(cls, Model):
        known = _read_dict(value, settings)
        model = cls()
        for attr, name, read in _readers(cls):
            item = read(known.get(name), settings)
            if item is not None:
                setattr(model, attr, item)
        return model
    return _read_generated(cls, value, settings)


def _read_generated(cls: Any, value: object, settings: Any) -> Any:
    """Create a generated model, with its own constructor and its own checks."""
    if not _fields(cls) and not hasattr(cls, "get_real_child_model"):
        return value  # an enumeration: its class only names what the server may send
    known = _read_dict(value, settings)
    given = {
        attr: read(known[name], settings) for attr, name, read in _readers(cls) if name in known
    }
    if _takes_configuration(cls):
        given["local_vars_configuration"] = settings
    try:
        model = cls(**given)
        child = model.get_real_child_model(known) if getattr(model, "discriminator", None) else None
    except Exception as error:
        raise ValueError(f"{cls.__name__}: {error}") from None
    # The server names the child, but only among those that the model itself lists.
    children = getattr(cls, "discriminator_value_class_map", {}).values()
    if child not in children or child == cls.__name__:
        return model
    return _reader_when_needed(child, cls)(value, settings)


@lru_cache(maxsize=256)
def _takes_configuration(cls: Any) -> bool:
    """Tell whether a constructor takes the configuration, as those of openapi-generator do."""
    from inspect import signature  # only models of generators need it

    return "local_vars_configuration" in signature(cls).parameters


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise TypeError(f"a key in JSON is a string, not {type(key).__name__}")
    return key
