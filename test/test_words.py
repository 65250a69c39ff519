"""The check of words finds a turn where people read it, and nowhere else."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

CHECK = Path(__file__).parents[1] / ".ci"
LIST = r"""
# A comment.
for ever -> forever
(?-i:ids?) -> ID
refused -> rejected
allow docs/*: connection refused
"""
MODULE = '''"""Runs for ever."""

answer_for_ever = "refused"
limit = f"{ids} wait for "  # a comment ends the text
other = ("kept for "
         f"ever {ids}")
kept = "sent"  # kept for
# ever
code = "wait for", "ever after"  # connection refused
'''
TESTS = '''def test_it_waits_for_ever_for_ids() -> None:
    """It waits for `ids`."""
    text = "wait for ever"
'''
PAGE = """# For
ever

Not `for ever`, nor [for](for-ever.md), nor https://example.org/for%20ever, but ids. It ends for

ever new reasons. A connection
refused is TCP's; a value refused is ours.

```python
ids = "wait for ever"
```
"""


def check(root: Path, files: dict[str, str], words: str) -> tuple[int, list[str], str]:
    """What the check says about a repository with these files."""
    for name, text in {**files, ".ci/words.txt": words}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    shutil.copy(CHECK / "words.py", root / ".ci")
    command = [sys.executable, "-W", "error", str(root / ".ci" / "words.py")]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    return run.returncode, run.stdout.splitlines(), run.stderr


def test_turns_are_found_where_people_read(tmp_path: Path) -> None:
    """Found are prose, comments, texts and test names, each with its line and what to write."""
    lines = ["Runs\n", "for ever\n", "\n", "Runs\n"]
    cells = [
        {"cell_type": "markdown", "source": lines},
        {"cell_type": "code", "source": ["ids = 1\n", "# one of the ids"]},
    ]
    files = {
        "docs/page.md": PAGE,
        "examples/book.ipynb": json.dumps({"cells": cells}, indent=1),
        "tator/module.py": MODULE,
        "test/reference_programs/theirs.py": MODULE,
        "test/test_module.py": TESTS,
    }
    status, found, problem = check(tmp_path, files, LIST)
    assert (status, problem) == (1, "")
    assert found == [
        "docs/page.md:1: 'for ever'; write: forever",
        "docs/page.md:4: 'ids'; write: ID",
        "docs/page.md:7: 'refused'; write: rejected",
        "docs/page.md:10: 'for ever'; write: forever",
        "examples/book.ipynb:7: 'for ever'; write: forever",
        "examples/book.ipynb:16: 'ids'; write: ID",
        "tator/module.py:1: 'for ever'; write: forever",
        "tator/module.py:5: 'for ever'; write: forever",
        "tator/module.py:7: 'for ever'; write: forever",
        "tator/module.py:9: 'refused'; write: rejected",
        "test/test_module.py:1: 'for ever'; write: forever",
    ]


def test_the_list_of_the_repository_can_be_read(tmp_path: Path) -> None:
    """Each of its lines is a regular expression, and a page without turns passes."""
    words = (CHECK / "words.txt").read_text(encoding="utf-8")
    page = {"README.md": "The server cancelled the job. A connection was refused.\n"}
    assert check(tmp_path, page, words) == (0, [], "")


def test_a_line_without_a_replacement_is_reported(tmp_path: Path) -> None:
    """A turn says what to write instead, or the check ends with the line."""
    status, found, problem = check(tmp_path, {}, "for ever\n")
    assert (status, found, problem) == (1, [], "words.txt: no ' -> ' in 'for ever'\n")
