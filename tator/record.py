"""Named values, declared once: like a named tuple, without its cost at import time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform
else:

    def dataclass_transform(**options: object) -> Any:
        """Leave a class as it is: only type checkers read this mark."""
        return lambda kind: kind


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Record:
    """A base for classes that declare the names and types of their values.

    Each value is passed by name; one with a default in the class may be left out. Only type
    checkers check the names, and that nothing changes. Records are compared by identity.
    """

    def __init__(self, **values: Any) -> None:
        self.__dict__ = values
