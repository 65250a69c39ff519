"""Find turns of phrase to avoid, which `words.txt` lists with what to write instead.

It reads the pages, the comments and strings of the code, and the names, docstrings and comments of
the tests. It skips inline code, addresses, and strings without a space, which are names or values.
"""

from __future__ import annotations

import io
import json
import re
import sys
import tokenize
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PATTERNS = (
    *("*.md", "docs/**/*.md", "examples/**/*.md", "examples/**/*.ipynb"),
    *("tator/**/*.py", "examples/**/*.py", "benchmarks/**/*.py", "test/**/*.py"),
    *("*.py", ".ci/*.py", "docs/**/*.py"),
)
# At most one line break, so that no turn spans two paragraphs.
SPACE = r"(?:[^\S\n]*\n[^\S\n]*|[^\S\n]+)"
FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
NOT_PROSE = re.compile(r"(`+)[^`]+\1|\]\([^)\s]*\)|https?://[^\s)>]+|<a [^>]*>")
# Since Python 3.12, an f-string is several tokens.
F_STRING_START = getattr(tokenize, "FSTRING_START", None)
F_STRING_END = getattr(tokenize, "FSTRING_END", None)
QUOTES = re.compile(r"^[a-zA-Z]{0,2}(\"{3}|'{3}|[\"'])|(\"{3}|'{3}|[\"'])$")


class Turn(NamedTuple):
    """A turn to avoid."""

    pattern: re.Pattern[str]
    instead: str


class Allowed(NamedTuple):
    """Text that is not checked."""

    paths: str
    pattern: re.Pattern[str]


def read_list(text: str) -> tuple[list[Turn], list[Allowed]]:
    """Read the lines of `words.txt`."""
    turns, allowed = [], []
    flags = re.IGNORECASE | re.MULTILINE
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        turn, _, instead = line.partition(" -> ")
        expression = turn.replace(" ", SPACE)
        if line.startswith("allow "):
            paths, _, expression = line.removeprefix("allow ").partition(": ")
            pattern = re.compile(expression.replace(" ", SPACE), flags)
            allowed.append(Allowed(paths, pattern))
        elif instead:
            turns.append(Turn(re.compile(rf"\b(?:{expression})\b", flags), instead))
        else:
            raise SystemExit(f"words.txt: no ' -> ' in {line!r}")
    return turns, allowed


def mask(text: str) -> str:
    """Replace everything but white space, so that positions stay and no turn matches."""
    return re.sub(r"\S", "\0", text)


def masked(pattern: re.Pattern[str], text: str) -> str:
    """Mask each match of a pattern."""
    return pattern.sub(lambda match: mask(match[0]), text)


def prose_of_string(literal: str) -> str:
    """Blank the quotes and line breaks of a string literal, and mask what an f-string inserts."""
    if "f" in literal[:2].lower():
        literal = masked(re.compile(r"\{[^{}]*\}"), literal)
    literal = QUOTES.sub(lambda match: " " * len(match[0]), literal)
    return literal.replace("\\n", "  ")


def prose_of_python(source: str, is_test: bool) -> str:
    """Mask what is not prose in a module."""
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    prose = mask(source)
    before = tokenize.NEWLINE  # the type of the token before, but for comments
    name_before = ""
    f_strings: list[int] = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        start = starts[token.start[0] - 1] + token.start[1]
        end = starts[token.end[0] - 1] + token.end[1]
        kind = token.type
        if kind == F_STRING_START:
            f_strings.append(start)
            continue
        if kind == F_STRING_END:
            start, kind = f_strings.pop(), tokenize.STRING
        text, shown = source[start:end], ""
        if f_strings:
            continue
        if kind == tokenize.COMMENT:
            shown = text.replace("#", " ")
        elif kind == tokenize.STRING:
            is_statement = before in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
            if is_statement or (not is_test and " " in text):
                shown = masked(NOT_PROSE, prose_of_string(text))
        elif name_before == "def" and is_test and text.startswith("test_"):
            # No turn that minds the case matches a name, which has no capitals.
            shown = text.replace("_", " ").upper()
        if shown:
            prose = prose[:start] + shown + prose[end:]
        if kind not in (tokenize.COMMENT, tokenize.NL):
            before, name_before = kind, text
    return prose


def prose_of_code(code: str) -> str:
    """Mask what is not prose in an example, or nothing if it is not a whole program."""
    try:
        return prose_of_python(code, is_test=False)
    except (tokenize.TokenError, SyntaxError):
        return code


def prose_of_page(text: str) -> str:
    """Mask what is not prose on a page."""

    def of_block(match: re.Match[str]) -> str:
        language, code = match.groups()
        return match[0].replace(code, prose_of_code(code)) if language == "python" else match[0]

    pieces, end = [], 0
    for match in FENCE.finditer(text):
        pieces += [masked(NOT_PROSE, text[end : match.start()]), of_block(match)]
        end = match.end()
    return "".join([*pieces, masked(NOT_PROSE, text[end:])])


def prose_of_notebook(text: str) -> str:
    """The prose of a notebook's cells, on the lines where the file has it."""
    prose = [""] * len(text.splitlines())
    numbered = enumerate(line.strip().rstrip(",") for line in text.splitlines())
    for cell in json.loads(text)["cells"]:
        source = "".join(cell["source"])
        shown = prose_of_code(source) if cell["cell_type"] == "code" else prose_of_page(source)
        for raw, line in zip(cell["source"], shown.splitlines(), strict=True):
            encoded = (json.dumps(raw), json.dumps(raw, ensure_ascii=False))
            number = next(number for number, each in numbered if each in encoded)
            prose[number] = line
    return "\n".join(prose)


def prose(path: Path) -> str:
    """The text of a file, with what is not prose masked."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        return prose_of_python(text, is_test="test" in path.relative_to(ROOT).parts)
    return prose_of_notebook(text) if path.suffix == ".ipynb" else prose_of_page(text)


def findings() -> Iterator[str]:
    """Each turn that was found: file, line, the turn, and what to write instead."""
    turns, allowed = read_list(Path(__file__).with_name("words.txt").read_text(encoding="utf-8"))
    for path in sorted({path for pattern in PATTERNS for path in ROOT.glob(pattern)}):
        name = path.relative_to(ROOT).as_posix()
        if fnmatch(name, "test/reference_programs/*"):  # of another project
            continue
        text = prose(path)
        for paths, pattern in allowed:
            if fnmatch(name, paths):
                text = masked(pattern, text)
        found = [(match, turn.instead) for turn in turns for match in turn.pattern.finditer(text)]
        for match, instead in sorted(found, key=lambda each: each[0].start()):
            line = text.count("\n", 0, match.start()) + 1
            yield f"{name}:{line}: {' '.join(match[0].lower().split())!r}; write: {instead}"


if __name__ == "__main__":
    lines = list(findings())
    for line in lines:
        print(line)
    sys.exit(bool(lines))
