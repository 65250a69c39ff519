"""The matrix of faults and its tests belong together."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "project" / "faults.md"


def rows_of_the_page() -> list[int]:
    """The numbers in the first column."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    return [int(row[1]) for line in lines if (row := re.match(r"\| (\d+) \|", line))]


@functools.cache
def rows_of_the_tests() -> set[int]:
    """The numbers in the names of the tests, all folders included."""
    names = [
        node.name
        for path in (ROOT / "test").rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]
    return {int(row[1]) for name in names if (row := re.match(r"test_row_(\d+)_", name))}


def test_the_matrix_is_numbered_without_a_gap() -> None:
    """The number of a row is its place."""
    rows = rows_of_the_page()
    assert len(rows) >= 68
    assert rows == list(range(1, len(rows) + 1))


def test_every_row_has_a_test() -> None:
    """Each fault of the page is shown by at least one test."""
    assert sorted(set(rows_of_the_page()) - rows_of_the_tests()) == []


def test_every_numbered_test_has_a_row() -> None:
    """A test names no row that the page does not have."""
    assert sorted(rows_of_the_tests() - set(rows_of_the_page())) == []
