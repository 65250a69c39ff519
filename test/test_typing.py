"""The type checkers accept the library and correct uses of it, and catch wrong ones."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

HERE = Path(__file__).parent / "typing"
RIGHT, WRONG = HERE / "user_code.py", HERE / "wrong_code.py"


def check(module: str, *arguments: str) -> str:
    """What a type checker prints."""
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wrong code, without what makes mypy accept it."""
    path = tmp_path_factory.mktemp("typing") / "bare.py"
    code = re.sub(r"  # type: ignore.*", "", WRONG.read_text(encoding="utf-8"))
    path.write_text(code, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def overriding(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program that overrides methods, of the page on wrapping."""
    page = (HERE.parent.parent / "docs/Wrapping.md").read_text(encoding="utf-8")
    [code] = re.findall(r"passes `mypy --strict`:\n\n```python\n(.*?)```", page, re.DOTALL)
    path = tmp_path_factory.mktemp("typing") / "overriding.py"
    path.write_text(code, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def found(bare: Path, overriding: Path) -> Iterator[dict[str, Future[str]]]:
    """What each checker finds; both run at the same time, and read the library once."""
    strict = ["--strict", "--no-error-summary", "--disable-error-code=ignore-without-code"]
    with ThreadPoolExecutor(2) as threads:
        yield {
            "mypy": threads.submit(check, "mypy", *strict, str(RIGHT), str(WRONG), str(overriding)),
            "pyright": threads.submit(
                check, "pyright", "--outputjson", str(RIGHT), str(bare), str(overriding)
            ),
        }


def lines_about(path: Path, printed: str) -> list[str]:
    """What mypy says about a file."""
    return [line for line in printed.splitlines() if Path(line.partition(":")[0]).name == path.name]


def test_mypy_accepts_the_library_and_correct_uses(found: dict[str, Future[str]]) -> None:
    """mypy in strict mode finds nothing in either, when a user's code imports both."""
    printed = found["mypy"].result()
    about_wrong_code = lines_about(WRONG, printed)
    assert [line for line in printed.splitlines() if line not in about_wrong_code] == []


def test_mypy_catches_every_wrong_use(found: dict[str, Future[str]]) -> None:
    """No `ignore` in the wrong code is without a mistake to ignore."""
    assert lines_about(WRONG, found["mypy"].result()) == []


def test_pyright_accepts_correct_uses_and_catches_every_wrong_one(
    found: dict[str, Future[str]], bare: Path
) -> None:
    """It finds nothing in ordinary code, and something in each line that mypy is to ignore."""
    code = WRONG.read_text(encoding="utf-8")
    marked = {number for number, line in enumerate(code.splitlines()) if "# type: ignore" in line}
    mistakes = {
        (mistake["file"], mistake["range"]["start"]["line"])
        for mistake in json.loads(found["pyright"].result())["generalDiagnostics"]
        if mistake["severity"] == "error"
    }
    assert mistakes == {(str(bare), number) for number in marked}
