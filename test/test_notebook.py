"""What a notebook shows is short, escaped and masked, and the example notebook runs."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import nbformat
import pytest

import tator
from tator import bulk
from tator.notebook import html_table
from tator.testing import LocalTator

ROOT = Path(__file__).parent.parent
NOTEBOOK = ROOT / "examples" / "cancel_jobs.ipynb"


def test_a_table_escapes_each_cell() -> None:
    """Strings are shown as they are, other values as their repr, and none is markup."""
    html = html_table("<h1>", [("<b>", 1, None), ({"&": "<i>"},)])
    assert "<h1>" not in html
    assert "<b>" not in html
    assert "<i>" not in html
    for shown in ("&lt;h1&gt;", ">&lt;b&gt;</td>", ">1</td>", ">None</td>", "&amp;"):
        assert shown in html
    assert html.count("<tr>") == 2


@pytest.mark.parametrize(
    "value",
    [
        tator.InlineResponse2044("<script>"),
        tator.InlineResponse2045("<script>"),
        tator.ForbiddenException(403, "Forbidden", message="<script>"),
        bulk.BulkResult({"<script>": tator.ApiException(400, "<script>", hint="<script>")}),
        tator.Configuration(logger_format="<script>"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_message_of_the_server_is_never_markup(value: Any) -> None:
    """Models, errors, bulk results and configurations show angle brackets as such."""
    html = value._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html


def test_no_display_shows_a_token(local_tator: LocalTator) -> None:
    """Neither the token nor a proxy's password is to be seen."""
    configuration = tator.Configuration(local_tator.host, {"Authorization": local_tator.token})
    configuration.proxy = "http://me:open-sesame@127.0.0.1:9"
    html = configuration._repr_html_()
    assert "***" in html
    assert local_tator.token not in html
    assert "open-sesame" not in html
    api = tator.get_api(local_tator.host, local_tator.token)
    html = bulk.delete_jobs(api, [local_tator.launch().run_uids[0], "unknown"])._repr_html_()
    assert "1 cancelled, 1 failed" in html
    assert local_tator.token not in html


def outputs_of_a_run(folder: Path) -> list[str]:
    """Everything that the cells of the example show, each output in its richest text form."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Jupyter's own modules
        from nbclient import NotebookClient

        notebook = nbformat.read(NOTEBOOK, as_version=4)
        client = NotebookClient(notebook, timeout=60, resources={"metadata": {"path": folder}})
        client.execute()
    shown = []
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            shown.append(output.get("text") or data.get("text/html") or data["text/plain"])
            assert output.output_type != "stream" or output.name == "stdout", shown[-1]
    return shown


def test_the_example_is_stored_without_outputs() -> None:
    """What a run shows differs from run to run, so the file holds none of it."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert all(not cell.get("outputs") for cell in notebook.cells)
    assert all(cell.get("execution_count") is None for cell in notebook.cells)


def test_the_example_runs_on_the_built_in_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the first cell to the last, with the bar and the table."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    shown = outputs_of_a_run(tmp_path)
    assert any("Cancelling:" in output for output in shown)
    (table,) = (output for output in shown if "298 cancelled, 2 failed</caption>" in output)
    assert table.count("<tr>") == 1
    assert "mistyped" in table
    assert "Not all jobs were cancelled" in shown[-1]


def test_the_example_runs_on_the_users_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, local_tator: LocalTator
) -> None:
    """With TATOR_HOST set it cancels the jobs of the user's list, and shows no token."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("TATOR_HOST", local_tator.host)
    monkeypatch.setenv("TATOR_TOKEN", local_tator.token)
    run_uids = local_tator.launch(5).run_uids
    (tmp_path / "run_uids.txt").write_text("\n".join(run_uids), encoding="utf-8")
    shown = outputs_of_a_run(tmp_path)
    assert any("4 cancelled, 1 failed" in output for output in shown)
    assert set(local_tator.jobs.values()) == {"cancelled"}
    assert local_tator.token not in "".join(shown)
