"""JSON ↔ Python: text to typed values and back."""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Callable, Hashable
from datetime import date, datetime
from functools import lru_cache
from typing import Any, TypeAlias, cast

from tator import models
from tator.models.model import Model

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

Reader: TypeAlias = Callable[[object], Any]


def to_json(value: object) -> bytes:
    """A request body: JSON in UTF-8.

    Raises:
        TypeError, ValueError: The value has no form in JSON.
    """
    import six  # only requests with a body need it

    return six.ensure_binary(json.dumps(plain(value), allow_nan=False, separators=(",", ":")))


def plain(value: object) -> Any:
    """A value as `json.dumps` takes it: models by their JSON names, dates in ISO 8601.

    Raises:
        TypeError: The value is none of those that JSON, the models, dates and UUIDs have.
    """
    if value is None or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {_key(key): plain(item) for key, item in value.items()}
    if isinstance(value, Model):
        pairs = ((field.json_name, getattr(value, name)) for name, field in value.fields.items())
        return {json_name: plain(item) for json_name, item in pairs if item is not None}
    if is_uuid(value):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def is_uuid(value: object) -> bool:
    """Whether a value is a `uuid.UUID`; where no one imported that module, there is none."""
    uuid = sys.modules.get("uuid")
    return uuid is not None and isinstance(value, uuid.UUID)


def from_json(data: bytes | str) -> Any:
    """The value that JSON text stands for; a byte order mark is skipped.

    Raises:
        ValueError: The text is not UTF-8, or not JSON.
    """
    try:
        # json.loads would guess at UTF-16 and UTF-32 too, which no server of Tator's sends.
        text = data if isinstance(data, str) else data.removeprefix(_BYTE_ORDER_MARK).decode()
        return _decode(text)
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None


def _no_json(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


_decode = json.JSONDecoder(parse_constant=_no_json).decode  # NaN and Infinity are Python's own


@lru_cache(maxsize=256)
def reader(kind: Hashable) -> Reader:
    """The function that turns a JSON value into `kind`, and raises ValueError where it can't.

    Args:
        kind: `str`, `int`, `float`, `bool`, `list`, `dict`, `object`, `date`, `datetime`, a model
            class, `list[X]` or `dict[str, X]`, or the names of these as the generated clients write
            them: `'list[InlineResponse2044]'`, `'dict(str, int)'`.

    Raises:
        TypeError: There is no such kind.
    """
    if isinstance(kind, str):
        return _reader_of_name(kind.replace(" ", ""))
    if isinstance(kind, types.GenericAlias):
        if kind.__origin__ is list:
            return _list_of(reader(kind.__args__[0]))
        if kind.__origin__ is dict and kind.__args__[0] is str:
            return _dict_of(reader(kind.__args__[1]))
    elif isinstance(kind, type):
        if issubclass(kind, Model):
            return _model_of(kind)
        if kind in _SIMPLE:
            return _SIMPLE[kind]
    raise TypeError(f"{kind!r} is no type that an answer can be read as")


def _reader_of_name(name: str) -> Reader:
    for opening, closing, build in (("list[", "]", _list_of), *_DICTS):
        if name.startswith(opening) and name.endswith(closing):
            return build(_reader_of_name(name[len(opening) : -1]))
    simple = {kind.__name__: read for kind, read in _SIMPLE.items()}
    if name in simple:
        return simple[name]
    if name in models.__all__:
        return _model_of(getattr(models, name))
    raise TypeError(f"{name!r} is no type that an answer can be read as")


def _exactly(kind: type, *others: type) -> Reader:
    accepted = (kind, *others)

    def read(value: object) -> object:
        # bool is a subclass of int, and JSON tells them apart.
        if type(value) not in accepted:
            raise ValueError(f"{kind.__name__} expected, {type(value).__name__} found")
        return value

    return read


_read_str = _exactly(str)


def _read_datetime(value: object) -> datetime:
    from dateutil.parser import isoparse  # costs more than the rest of a call's imports

    return isoparse(_read_str(value))


_SIMPLE: dict[type, Reader] = {
    object: lambda value: value,
    str: _read_str,
    int: _exactly(int),
    float: _exactly(float, int),
    bool: _exactly(bool),
    dict: _exactly(dict),
    list: _exactly(list),
    datetime: _read_datetime,
    date: lambda value: _read_datetime(value).date(),
}


def _list_of(read: Reader) -> Reader:
    read_list = _exactly(list)
    return lambda value: [read(item) for item in read_list(value)]


def _dict_of(read: Reader) -> Reader:
    read_dict = _exactly(dict)
    return lambda value: {name: read(item) for name, item in read_dict(value).items()}


_DICTS = (("dict(str,", ")", _dict_of), ("dict[str,", "]", _dict_of))


def _model_of(cls: type[Model]) -> Reader:
    fields = [
        (name, field.json_name, reader(cast(Hashable, field.kind)))
        for name, field in cls.fields.items()
    ]
    read_dict = _exactly(dict)

    def read(value: object) -> Model:
        known = read_dict(value)
        model = cls()
        for name, json_name, read_field in fields:
            item = known.get(json_name)
            if item is not None:
                setattr(model, name, read_field(item))
        return model

    return read


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise TypeError(f"a key in JSON is a string, not {type(key).__name__}")
    return key
