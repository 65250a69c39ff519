"""The examples of docs/Integrations.md that need large libraries run as they stand."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from integrations.running import environment, run

from tator.testing import LocalTator

pytestmark = pytest.mark.integrations

PAGE = Path(__file__).parents[2] / "docs" / "Integrations.md"
BLOCK = re.compile(
    r"<!-- not run: needs ([\w-]+); tox -e integrations runs it -->\n```python\n(.*?)```", re.DOTALL
)
EXAMPLES = BLOCK.findall(PAGE.read_text(encoding="utf-8"))


@pytest.mark.parametrize("code", [code for _, code in EXAMPLES], ids=[name for name, _ in EXAMPLES])
def test_an_example_runs_unchanged(local_tator: LocalTator, code: str, tmp_path: Path) -> None:
    """Each example runs without an error, and without a word on standard error."""
    program = tmp_path / "example.py"
    program.write_text(code, encoding="utf-8")
    (run_uid,) = local_tator.launch().run_uids
    variables = environment(local_tator, RUN_UID=run_uid, DD_TRACE_ENABLED="false")
    run([sys.executable, str(program)], tmp_path, variables)


def test_no_example_is_left_out() -> None:
    """Every example of the page that the ordinary tests leave out is run here."""
    assert len(EXAMPLES) == PAGE.read_text(encoding="utf-8").count("<!-- not run:")
