"""The query of a URL: lists by the schema's rule, and nothing empty in a DELETE."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias
from urllib.parse import quote, urlencode

from tator import checks
from tator.exceptions import ApiTypeError
from tator.serialization import plain

Params: TypeAlias = "Mapping[str, object] | Iterable[tuple[str, object]]"
Pairs: TypeAlias = "list[tuple[str, str]]"

_LISTS = (list, tuple, set, frozenset)
# `space` and `pipe` are what openapi-generator 4 writes for two of them.
_DELIMITERS = {"csv": ",", "ssv": " ", "space": " ", "tsv": "\t", "pipes": "|", "pipe": "|"}


def to_pairs(name: str, params: Params | None, formats: Mapping[str, str] | None = None) -> Pairs:
    """Return names and values as text; `None` is left out.

    A list is separated by commas, as in Tator's schema, or as `formats` says for its name: `csv`,
    `ssv`, `tsv`, `pipes`, or `multi`, which repeats the name.
    """
    pairs: Pairs = []
    for key, value in items_of(name, params):
        if isinstance(value, _LISTS):
            pairs += _listed(key, value, (formats or {}).get(key, "csv"))
        elif value is not None:
            pairs.append((key, _text(key, value)))
    return pairs


def reject_empty(name: str, params: Params | None) -> None:
    """Reject an empty value: a DELETE whose query lacks a value deletes more."""
    for key, value in items_of(name, params):
        values = value if isinstance(value, _LISTS) else [value]
        if not values or has_empty(values):
            checks.reject(
                f"{name}[{key!r}]",
                "must not be empty in a DELETE",
                hint="Without a value, the server may delete more than you intend.",
            )


def has_empty(values: Iterable[object]) -> bool:
    """Tell whether one of the values is `None` or an empty string."""
    return any(item is None or (isinstance(item, str) and not item) for item in values)


def joined(name: str, values: Iterable[object], style: str) -> str:
    """Return the items of a list as one text."""
    if style not in _DELIMITERS:
        checks.reject("collection_formats", f"has an unknown format for {name!r}")
    items = [_text(name, value) for value in values if value is not None]
    if any(_DELIMITERS[style] in item for item in items):
        checks.reject(name, "must not have items that contain the delimiter")
    return _DELIMITERS[style].join(items)


def to_query(pairs: Params | None) -> str:
    """Return a percent-encoded query, without its question mark."""
    items = items_of("query_params", pairs)
    try:
        return urlencode([(key, str(value)) for key, value in items], quote_via=quote)
    except UnicodeEncodeError:
        pass
    checks.reject("query_params", "contains a character that can't be encoded (a lone surrogate)")


def items_of(name: str, params: object) -> list[tuple[str, object]]:
    """Return names and values of a mapping or of pairs."""
    if params is None or params == [] or params == {}:
        return []
    is_dict = type(params) is dict  # most are, and the checks below cost ten times as much
    # An iterator is empty after its first use: the next DELETE with it would have no query.
    if is_dict or not isinstance(params, (str, Iterator)):
        try:
            given: Any = params
            items = given.items() if is_dict or isinstance(given, Mapping) else given
            return [(checks.text(f"a name in {name}", key), value) for key, value in items]
        except ApiTypeError:
            raise
        except (TypeError, ValueError):
            pass
    checks.reject(name, "must be a mapping, or a list of pairs of name and value", ApiTypeError)


def _listed(name: str, values: Iterable[object], style: str) -> Pairs:
    if style == "multi":
        return [(name, _text(name, value)) for value in values if value is not None]
    text = joined(name, values, style)
    return [(name, text)] if text else []


def _text(name: str, value: object) -> str:
    scalar = plain(value)
    if isinstance(scalar, str):
        return checks.text_of(scalar)
    if not isinstance(scalar, (bool, int, float)):
        checks.reject(name, "must be a string, a number, a date or a list of them", ApiTypeError)
    checks.finite(name, scalar)
    return json.dumps(scalar)
