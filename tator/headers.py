"""Header values by name: checked when they are set, masked when they are shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

from tator import checks
from tator.masking import mask

V = TypeVar("V", bound="HeaderValues")

_OWN_NAMES = {"user-agent": "User-Agent", "cookie": "Cookie"}
_HARMLESS = frozenset({"accept", "accept-encoding", "content-type", "user-agent"})


class HeaderValues(dict[str, str]):
    """Header values, or parts of them, by header name."""

    label: ClassVar[str] = ""

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self.update(checks.mapping(self.label, values))

    @classmethod
    def checked(cls: type[V], name: str, value: Mapping[str, str] | None) -> V:
        """Return a checked copy of the values; `name` is the label."""
        return cls(value)

    def __setitem__(self, name: str, value: str) -> None:
        label = f"{self.label}[{name!r}]"
        checks.header_name(label, name)
        checks.header_value(label, value)
        super().__setitem__(name, self.kept(name, value))

    def kept(self, name: str, value: str) -> str:
        """Return what is kept of a value."""
        masked: str = mask(value)
        return masked

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
    """What stands before a token, by header name."""

    label = "api_key_prefix"

    def kept(self, name: str, value: str) -> str:
        """Return the prefix as it is: it is not sensitive."""
        return str(value)


class Headers(HeaderValues):
    """Request headers; all but the harmless ones are masked in every display."""

    label = "header"

    def __setitem__(self, name: str, value: str) -> None:
        # The client reads these two by name, and the case of header names has no meaning.
        super().__setitem__(_OWN_NAMES.get(str(name).lower(), name), value)

    def kept(self, name: str, value: str) -> str:
        """Return the value, masked unless it is harmless."""
        return str(value) if name.lower() in _HARMLESS else super().kept(name, value)
