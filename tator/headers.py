"""Header values by name: checked when they are set, masked when they are shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

from tator import checks
from tator.masking import mask

V = TypeVar("V", bound="HeaderValues")

_OWN_NAMES = {"user-agent": "User-Agent", "cookie": "Cookie"}
_FRAMING = frozenset({"content-length", "transfer-encoding"})
_HARMLESS = frozenset({"accept", "accept-encoding", "content-type", "user-agent"})


class HeaderValues(dict[str, str]):
    """Header values, or parts of them, by header name."""

    label: ClassVar[str] = ""

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        if values is not None:
            self.update(checks.mapping(self.label, values))

    @classmethod
    def checked(cls: type[V], name: str, value: Mapping[str, str] | None) -> V:
        """Return a checked copy of the values; `name` is not used, since the class has a label."""
        return cls(value)

    def __setitem__(self, name: str, value: str) -> None:
        checks.header(self.label, name, value)
        super().__setitem__(*self.kept(name, value))

    def kept(self, name: str, value: str) -> tuple[str, str]:
        """Return what is kept of a name and a value."""
        return name, mask(value)

    def update(self, values: Any = (), /, **named: str) -> None:
        """Set several values."""
        for name, value in dict(values, **named).items():
            self[name] = value

    def setdefault(self, name: str, default: Any = None) -> str:
        """Set a value if there is none, and return what is there."""
        if name not in self:
            self[name] = default
        return self[name]

    def __ior__(self, values: Any) -> Any:  # type: ignore[misc]  # `|` returns a plain dict
        self.update(values)
        return self


class Keys(HeaderValues):
    """API tokens by header name."""

    label = "api_key"


class Prefixes(HeaderValues):
    """The words before tokens, by header name."""

    label = "api_key_prefix"

    def kept(self, name: str, value: str) -> tuple[str, str]:
        """Return the prefix as it is: it is not sensitive."""
        return name, str(value)


class Headers(HeaderValues):
    """Request headers; all but the harmless ones are masked in every display."""

    label = "header"

    def kept(self, name: str, value: str) -> tuple[str, str]:
        """Return the value, masked unless it is harmless."""
        lowered = name.lower()
        if lowered in _FRAMING:
            checks.reject(f"{self.label}[{name!r}]", "must not be set: tator sends the length")
        # The client reads its own two by name, and the case of header names has no meaning.
        name = _OWN_NAMES.get(lowered, name)
        return name, str(value) if lowered in _HARMLESS else mask(value)
