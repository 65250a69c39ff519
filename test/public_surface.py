"""The names and signatures of all that is public.

To renew the snapshot: python test/public_surface.py, which writes test/public_surface.txt.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

SNAPSHOT = Path(__file__).with_name("public_surface.txt")
# Each with the names that are its own to give; the top gives many of them too.
MODULES = [
    *("tator", "tator.api", "tator.api.job_api", "tator.api_client", "tator.async_result"),
    *("tator.bulk", "tator.configuration", "tator.exceptions", "tator.models"),
    *("tator.models.inline_response2044", "tator.models.inline_response2045"),
    *("tator.models.model", "tator.rest", "tator.testing"),
]
PROTOCOLS = {"__await__", "__enter__", "__exit__", "__getitem__", "__init__", "__iter__", "__len__"}
MARKS = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}


def surface() -> str:
    """The snapshot: a section for each module, described where it is defined."""
    lines = []
    for name in MODULES:
        module = importlib.import_module(name)
        lines += [f"# {name}", ""]
        for label in public_names(module):
            value = getattr(module, label)
            home = getattr(value, "__module__", name)
            if home != name and home in MODULES:
                lines.append(f"{label}: see {home}")
            else:
                lines += described(label, value)
        lines.append("")
    return "\n".join(lines)


def public_names(module: Any) -> list[str]:
    """`__all__`, or else what the module defines."""
    if hasattr(module, "__all__"):
        return sorted(module.__all__)
    return sorted(
        label
        for label, value in vars(module).items()
        if not label.startswith("_")
        and getattr(value, "__module__", None) == module.__name__
        and not isinstance(value, TypeVar)
    )


def described(label: str, value: Any) -> Iterator[str]:
    """A class with its members, a function, or a value."""
    if inspect.isclass(value):
        bases = ", ".join(base.__name__ for base in value.__bases__ if base is not object)
        yield f"class {label}({bases}):" if bases else f"class {label}:"
        for member, thing in sorted(vars(value).items()):
            if not member.startswith("_") or member in PROTOCOLS:
                yield f"    {described_member(member, thing)}"
    elif callable(value):
        yield f"{label}{signature(value)}"
    else:
        yield label


def described_member(member: str, thing: Any) -> str:
    """A method, a property, or the name of what else a class has."""
    if isinstance(thing, (staticmethod, classmethod)):
        return f"{member}{signature(thing.__func__)}  # {type(thing).__name__}"
    if isinstance(thing, property):
        return f"{member}: property{'' if thing.fset else ', read-only'}"
    if inspect.isfunction(thing):
        return f"{member}{signature(thing)}"
    return f"{member}: {type(thing).__name__}"


def signature(function: Any) -> str:
    """As `inspect` has it, but the same on each version of Python."""
    found = inspect.signature(function)
    parts: list[str] = []
    for parameter in found.parameters.values():
        is_keyword = parameter.kind is inspect.Parameter.KEYWORD_ONLY
        if is_keyword and not any(part.startswith("*") for part in parts):
            parts.append("*")
        text = f"{MARKS.get(parameter.kind, '')}{parameter.name}"
        if parameter.annotation is not parameter.empty:
            text += f": {parameter.annotation}"
        if parameter.default is not parameter.empty:
            text += f" = {parameter.default!r}"
        parts.append(text)
    end = "" if found.return_annotation is found.empty else f" -> {found.return_annotation}"
    return f"({', '.join(parts)}){end}"


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))  # this tator, installed or not
    SNAPSHOT.write_text(surface(), encoding="utf-8", newline="\n")
