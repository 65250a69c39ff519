"""The type checkers accept the library and right uses of it, and catch wrong ones."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent / "typing"
WRONG = HERE / "wrong_code.py"


def mypy(*arguments: str) -> str:
    """What mypy says; nothing where all is well."""
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def pyright(path: Path) -> list[dict[str, object]]:
    """The mistakes that pyright finds."""
    command = [sys.executable, "-m", "pyright", "--outputjson", str(path)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    return [
        found
        for found in json.loads(run.stdout)["generalDiagnostics"]
        if found["severity"] == "error"
    ]


def test_mypy_accepts_the_library_and_right_uses() -> None:
    """mypy in strict mode has nothing to say about either."""
    assert mypy("-p", "tator") == ""
    assert mypy(str(HERE / "user_code.py")) == ""


def test_mypy_catches_every_wrong_use() -> None:
    """No `ignore` in the wrong code is without a mistake to ignore."""
    assert mypy("--disable-error-code=ignore-without-code", str(WRONG)) == ""


def test_pyright_accepts_right_uses() -> None:
    """pyright has nothing to say about ordinary user code."""
    assert pyright(HERE / "user_code.py") == []


def test_pyright_catches_every_wrong_use(tmp_path: Path) -> None:
    """Without the `ignore`s, pyright finds a mistake in each of their lines."""
    code = WRONG.read_text(encoding="utf-8")
    marked = {number for number, line in enumerate(code.splitlines()) if "# type: ignore" in line}
    bare = tmp_path / "bare.py"
    bare.write_text(re.sub(r"  # type: ignore.*", "", code), encoding="utf-8")
    found = {error["range"]["start"]["line"] for error in pyright(bare)}  # type: ignore[index]  # JSON
    assert found == marked
