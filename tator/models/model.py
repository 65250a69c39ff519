"""The base of the models: fields that are declared once, comparison, and display."""

from __future__ import annotations

from types import NoneType
from typing import Any, ClassVar, Generic, TypeVar, overload

T = TypeVar("T")

_LINE = 80  # characters that pprint puts on one line
_FLAT = (str, int, float, NoneType)


class Field(Generic[T]):
    """One optional field of a model.

    Args:
        kind: The type of the value.
        json_name: The name in JSON. Defaults to the attribute's name.
    """

    def __init__(self, kind: type[T], json_name: str = "") -> None:
        self.kind = kind
        self.json_name: str = json_name
        self.name: str = ""

    def __set_name__(self, owner: type[Model], name: str) -> None:
        self.name = name
        self.json_name = self.json_name or name

    @overload
    def __get__(self, instance: None, owner: type[Model]) -> Field[T]: ...
    @overload
    def __get__(self, instance: Model, owner: type[Model]) -> T | None: ...
    def __get__(self, instance: Model | None, owner: type[Model]) -> Field[T] | T | None:
        return self if instance is None else instance.__dict__.get(self.name)

    def __set__(self, instance: Model, value: T | None) -> None:
        instance.__dict__[self.name] = value


class Model:
    """The base of the models: equality within the type, and a `repr` like a plain dictionary's.

    Attributes:
        fields: The declared fields, by attribute name.
        swagger_types: Attribute name → name of its type, as in the generated clients.
        attribute_map: Attribute name → name in JSON, as in the generated clients.
        discriminator: `None`: no field names another model. Generated clients have it too.
    """

    discriminator: ClassVar[str | None] = None

    fields: ClassVar[dict[str, Field[Any]]] = {}
    swagger_types: ClassVar[dict[str, str]] = {}
    attribute_map: ClassVar[dict[str, str]] = {}

    def __init_subclass__(cls) -> None:
        declared = {name: value for name, value in vars(cls).items() if isinstance(value, Field)}
        cls.fields = {**cls.fields, **declared}
        cls.swagger_types = {name: _name_of(field.kind) for name, field in cls.fields.items()}
        cls.attribute_map = {name: field.json_name for name, field in cls.fields.items()}

    def to_dict(self) -> dict[str, Any]:
        """Return the values by attribute name; nested models become dictionaries, too."""
        return {name: _plain(getattr(self, name)) for name in self.fields}

    def to_str(self) -> str:
        """Return the values as `pprint` shows a dictionary."""
        values = dict(sorted(self.to_dict().items()))
        text = repr(values)
        if len(text) <= _LINE and all(isinstance(value, _FLAT) for value in values.values()):
            return text
        from pprint import pformat  # slow to import; it shows a short flat dictionary the same way

        return pformat(values)

    def __repr__(self) -> str:
        return self.to_str()

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self.to_dict() == other.to_dict()

    # A model's values may change, so it has no hash.
    __hash__: ClassVar[None]  # type: ignore[assignment]

    def _repr_html_(self) -> str:
        from tator.notebook import html_table

        return html_table(type(self).__name__, self.to_dict().items())


def _plain(value: Any) -> Any:
    if isinstance(value, Model):
        return value.to_dict()
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _name_of(kind: Any) -> str:
    """Return a type's name as generated clients write it: `list[Job]`, `dict(str, int)`."""
    inner = ", ".join(map(_name_of, getattr(kind, "__args__", ())))
    if not inner:
        return str(kind.__name__)
    return f"dict({inner})" if kind.__origin__ is dict else f"{kind.__name__}[{inner}]"
