"""The table that notebooks show, with every value escaped."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape


def html_table(caption: str, rows: Iterable[Iterable[object]]) -> str:
    """Return an HTML table.

    Args:
        caption: The text above it.
        rows: The cells of each row: strings as they are, other values as their `repr`.
    """
    body = "".join(
        "<tr>"
        + "".join(f'<td style="text-align:left">{_cell(cell)}</td>' for cell in row)
        + "</tr>"
        for row in rows
    )
    style = "text-align:left;font-weight:bold"
    return f'<table><caption style="{style}">{_cell(caption)}</caption>{body}</table>'


def _cell(value: object) -> str:
    return escape(value if isinstance(value, str) else repr(value))
