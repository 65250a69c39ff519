"""The type checkers accept the library and correct uses of it, and catch wrong ones."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent / "typing"
RIGHT, WRONG = HERE / "user_code.py", HERE / "wrong_code.py"


def mypy(*arguments: str) -> str:
    """What mypy finds; nothing if all is well."""
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def pyright(*paths: Path) -> list[dict[str, Any]]:
    """The mistakes that pyright finds."""
    command = [sys.executable, "-m", "pyright", "--outputjson", *map(str, paths)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    return [
        found
        for found in json.loads(run.stdout)["generalDiagnostics"]
        if found["severity"] == "error"
    ]


def test_mypy_accepts_the_library_and_correct_uses() -> None:
    """mypy in strict mode finds nothing in either, when a user's code imports both."""
    assert mypy(str(RIGHT)) == ""


def test_mypy_catches_every_wrong_use() -> None:
    """No `ignore` in the wrong code is without a mistake to ignore."""
    assert mypy("--disable-error-code=ignore-without-code", str(WRONG)) == ""


def test_pyright_accepts_correct_uses_and_catches_every_wrong_one(tmp_path: Path) -> None:
    """It finds nothing in ordinary code, and something in each line that mypy is to ignore."""
    code = WRONG.read_text(encoding="utf-8")
    marked = {number for number, line in enumerate(code.splitlines()) if "# type: ignore" in line}
    bare = tmp_path / "bare.py"
    bare.write_text(re.sub(r"  # type: ignore.*", "", code), encoding="utf-8")
    found = {(error["file"], error["range"]["start"]["line"]) for error in pyright(RIGHT, bare)}
    assert found == {(str(bare), number) for number in marked}
