"""The words are true: examples run, links lead somewhere, commands are those that CI runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

import tator
from tator.testing import LocalTator

ROOT = Path(__file__).parent.parent
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *(page for part in ("docs", "examples") for page in sorted((ROOT / part).rglob("*.md"))),
]
BLOCK = re.compile(r"(?P<before>[^\n]*\n)?\n?```python\n(?P<code>.*?)```", re.DOTALL)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")


def examples() -> Iterator[object]:
    """Each Python block of the user's pages; one after `<!-- not run: why -->` is left out."""
    for page in PAGES:
        for number, match in enumerate(BLOCK.finditer(page.read_text(encoding="utf-8")), 1):
            if "<!-- not run:" not in (match["before"] or ""):
                label = f"{page.relative_to(ROOT)}-{number}"
                yield pytest.param(match["code"], id=label)


def slugs(page: Path) -> set[str]:
    """The anchors of a page, as GitHub makes them, and those that it sets itself."""
    text = page.read_text(encoding="utf-8")
    anchors = set(re.findall(r'<a (?:id|name)="([^"]+)"', text))
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    for heading in re.findall(r"^#+ +(.+?) *$", prose, flags=re.MULTILINE):
        words = re.sub(r"[^\w\- ]", "", heading.lower())
        anchors.add(words.replace(" ", "-"))
    return anchors


def run_example(code: str, directory: Path) -> subprocess.CompletedProcess[str]:
    """Run a program beside a server of its own."""
    program = directory / "test_example.py"
    program.write_text(code, encoding="utf-8")
    command = [sys.executable, "-W", "error", str(program)]
    if re.search(r"^(async )?def test_", code, re.MULTILINE):
        options = ["-q", "-p", "no:cacheprovider", "-p", "tator.testing.pytest_plugin"]
        command = [sys.executable, "-m", "pytest", *options, str(program)]
    with LocalTator() as server:
        group = server.launch(3)
        environment = {
            **os.environ,
            "TATOR_HOST": server.host,
            "TATOR_TOKEN": server.token,
            "RUN_UID": group.run_uids[0],
            "GROUP_ID": group.group_id,
            # The plugins of this environment take longer to load than an example takes to run.
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        }
        return subprocess.run(
            command, cwd=directory, env=environment, capture_output=True, text=True, timeout=60
        )


@pytest.fixture(scope="module")
def runs(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[subprocess.CompletedProcess[str]]]]:
    """The examples that this session tests, as many at a time as there are processors."""
    calls = [getattr(item, "callspec", None) for item in request.session.items]
    codes = [call.params["code"] for call in calls if call and "code" in call.params]
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        yield {
            code: threads.submit(run_example, code, tmp_path_factory.mktemp("example"))
            for code in codes
        }


@pytest.mark.parametrize("code", list(examples()))
def test_an_example_runs_as_it_stands(
    code: str, runs: dict[str, Future[subprocess.CompletedProcess[str]]]
) -> None:
    """Each example is a program of its own that runs without an error or a warning."""
    run = runs[code].result()
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    """Each relative link names a file that is there, and an anchor that the file has."""
    prose = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for link in LINK.findall(prose):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        if anchor and target.suffix == ".md":
            assert anchor in slugs(target), link


def test_the_anchors_of_the_reference_page_are_there() -> None:
    """What the page that this was asked for with links to can be reached in the README."""
    wanted = {"documentation-for-api-endpoints", "documentation-for-models", "TokenAuth"}
    assert wanted <= slugs(ROOT / "README.md")


def test_every_public_name_is_in_the_reference() -> None:
    """The API reference has each class and function, and the README each operation."""
    reference = "".join(page.read_text("utf-8") for page in (ROOT / "docs/reference").glob("*.md"))
    for name in {*tator.__all__, *tator.bulk.__all__} - {"__version__"}:
        assert re.search(rf"\b{name}$", reference, re.MULTILINE), name
    readme = (ROOT / "README.md").read_text("utf-8")
    for name in vars(tator.JobApi):
        assert name.startswith("_") or name.endswith("_info") or f"`JobApi.{name}`" in readme, name


def test_ci_runs_the_commands_of_the_readme() -> None:
    """Every page gives the same commands, and CI runs the one for the tests."""
    words = {str(page.relative_to(ROOT)): page.read_text(encoding="utf-8") for page in PAGES}
    install = "pip install -q -e . -r test-requirements.txt"
    tests = f"python3 -m venv .venv && .venv/bin/{install} && .venv/bin/python -m pytest"
    trial = '.venv/bin/pip install -q ".[progress]" && .venv/bin/python examples/cancel.py'
    assert f"\n{tests}\n" in words["README.md"]
    assert f"\n{tests}\n" in words["CONTRIBUTING.md"]
    assert f"\npython3 -m venv .venv && {trial}\n" in words["README.md"]
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert f"\n{install}\n" in script
    assert " -m pytest\n" in script
