"""The pages are true: examples run, links resolve, commands are those that CI runs."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

import tator
from tator.testing import LocalTator

ROOT = Path(__file__).parent.parent
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *(page for part in ("docs", "examples") for page in sorted((ROOT / part).rglob("*.md"))),
]
# The comment may name the server, and how many jobs are cancelled at the end:
# `<!-- server: 2020-05 -->`, `<!-- cancels: 3 -->`, `<!-- server: 2020-05, cancels: 3 -->`.
BLOCK = re.compile(
    r"(?:<!-- (?P<comment>[^\n]*) -->\n\n?)?```python\n(?P<code>.*?)\n?```", re.DOTALL
)
COMMENT = re.compile(r"(?:server: (?P<server>[\d-]+))?(?:, )?(?:cancels: (?P<cancels>\d+))?")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
TODAY = "2025-06"
PROJECT = 7


class Example(NamedTuple):
    """A Python block of a page."""

    code: str
    server: str
    cancels: int | None


class Run(NamedTuple):
    """What became of an example, and of the jobs on its server."""

    process: subprocess.CompletedProcess[str]
    cancelled: int


def examples() -> Iterator[object]:
    """Each Python block of the pages, except those after `<!-- not run: why -->`."""
    for page in PAGES:
        for number, match in enumerate(BLOCK.finditer(page.read_text(encoding="utf-8")), 1):
            comment = match["comment"] or ""
            if comment.startswith("not run: "):
                continue
            label = f"{page.relative_to(ROOT)}-{number}"
            read = COMMENT.fullmatch(comment)
            assert read, f"{label}: {comment!r} is not a comment that this test reads"
            cancels = None if read["cancels"] is None else int(read["cancels"])
            yield pytest.param(Example(match["code"], read["server"] or TODAY, cancels), id=label)


def slugs(page: Path) -> set[str]:
    """The anchors of a page, as GitHub makes them, and those that it sets itself."""
    text = page.read_text(encoding="utf-8")
    anchors = set(re.findall(r'<a (?:id|name)="([^"]+)"', text))
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    for heading in re.findall(r"^#+ +(.+?) *$", prose, flags=re.MULTILINE):
        words = re.sub(r"[^\w\- ]", "", heading.lower())
        anchors.add(words.replace(" ", "-"))
    return anchors


def run_example(example: Example, directory: Path) -> Run:
    """Run a program beside a separate server, on which ten jobs run."""
    program = directory / "test_example.py"
    program.write_text(example.code, encoding="utf-8")
    (directory / "build/generated/tator_rest").mkdir(parents=True)  # where a generator would write
    command = [sys.executable, "-W", "error", str(program)]
    if re.search(r"^(async )?def test_", example.code, re.MULTILINE):
        options = ["-q", "-p", "no:cacheprovider", "-p", "tator.testing.pytest_plugin"]
        command = [sys.executable, "-m", "pytest", *options, str(program)]
    with LocalTator(server=example.server) as server:
        run_uid, *run_uids = server.launch(5, PROJECT).run_uids
        group = server.launch(3, PROJECT)
        transcodes = server.launch(2, PROJECT, "transcode")
        environment = {
            **os.environ,
            "TATOR_HOST": server.host,
            "TATOR_TOKEN": server.token,
            "RUN_UID": run_uid,
            "RUN_UIDS": " ".join(run_uids),
            "GROUP_ID": group.group_id,
            "PROJECT": str(PROJECT),
            "TRANSCODE_UID": transcodes.run_uids[0],
            # The plugins of this environment take longer to load than an example takes to run.
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        }
        process = subprocess.run(
            command, cwd=directory, env=environment, capture_output=True, text=True, timeout=60
        )
        return Run(process, list(server.jobs.values()).count("cancelled"))


@pytest.fixture(scope="module")
def runs(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[Example, Future[Run]]]:
    """The examples that this session tests, as many at a time as there are processors."""
    calls = [getattr(item, "callspec", None) for item in request.session.items]
    chosen = [call.params["example"] for call in calls if call and "example" in call.params]
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        yield {
            example: threads.submit(run_example, example, tmp_path_factory.mktemp("example"))
            for example in chosen
        }


@pytest.mark.parametrize("example", list(examples()))
def test_an_example_runs_unchanged(example: Example, runs: dict[Example, Future[Run]]) -> None:
    """Each example is a program that runs without an error or a warning, on the right server."""
    run = runs[example].result()
    assert run.process.returncode == 0, run.process.stdout + run.process.stderr
    assert example.cancels in (None, run.cancelled), run.process.stdout


def run_in_order(code: str, directory: Path, environment: dict[str, str]) -> None:
    """Run a block, and compare what it prints with the comments after its calls of `print`."""
    program = directory / "example.py"
    program.write_text(code, encoding="utf-8")
    run = subprocess.run(
        [sys.executable, str(program)],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr
    for comment in re.findall(r"^ *print\(.*\)  # (.+)$", code, re.MULTILINE):
        assert comment in run.stdout, code


@pytest.mark.parametrize(
    "name",
    ["README.md", "docs/Bulk.md", "docs/Errors.md", "docs/Servers.md", "docs/Wrapping.md"],
)
def test_the_examples_of_a_page_run_in_order(name: str, tmp_path: Path) -> None:
    """With the lines that `python -m tator.testing` prints, each prints what its comments say."""
    command = [sys.executable, "-m", "tator.testing", "--server", TODAY]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdout is not None
        environment = dict(os.environ)
        try:
            while "RUN_UIDS" not in environment:
                (setting,) = shlex.split(server.stdout.readline().removeprefix("export "))
                environment.update([setting.split("=", 1)])
            for match in BLOCK.finditer((ROOT / name).read_text(encoding="utf-8")):
                if not (match["comment"] or "").startswith("server: "):
                    run_in_order(match["code"], tmp_path, environment)
        finally:
            server.terminate()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_link_between_pages_resolves(page: Path) -> None:
    """Each relative link or image names a file that exists, and an anchor that the file has."""
    prose = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for link in LINK.findall(prose):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        if anchor and target.suffix == ".md":
            assert anchor in slugs(target), link


def test_the_readme_has_the_anchors_of_the_reference_page() -> None:
    """The page that this package was asked for with links to three places in the README."""
    wanted = {"documentation-for-api-endpoints", "documentation-for-models", "TokenAuth"}
    assert wanted <= slugs(ROOT / "README.md")


def test_the_readme_is_short() -> None:
    """It has at most 150 lines, and the five lines that cancel a job on the first screen."""
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 150
    assert 'print(api.delete_job(os.environ["RUN_UID"]))' in lines[:20]


def test_the_reference_has_every_public_name() -> None:
    """The API reference has each class and function, and the README each operation."""
    reference = "".join(page.read_text("utf-8") for page in (ROOT / "docs/reference").glob("*.md"))
    for name in {*tator.__all__, *tator.bulk.__all__} - {"__version__"}:
        assert re.search(rf"\b{name}$", reference, re.MULTILINE), name
    readme = (ROOT / "README.md").read_text("utf-8")
    for name in (name for name, value in vars(tator.JobApi).items() if callable(value)):
        assert name.startswith("_") or name.endswith("_info") or f"`JobApi.{name}`" in readme, name


def test_the_configuration_page_has_every_setting() -> None:
    """Each setting has its row in a table of the page."""
    page = (ROOT / "docs/Configuration.md").read_text("utf-8")
    for name in vars(tator.Configuration()):
        assert name.startswith("_") or f"\n| `{name}` |" in page, name


def test_the_errors_page_has_every_exception() -> None:
    """Each class is on the page."""
    tree = (ROOT / "docs/Errors.md").read_text("utf-8")
    for name in tator.exceptions.__all__:
        assert re.search(rf"\b{name}\b", tree), name


def test_the_page_on_generated_classes_has_the_tested_program() -> None:
    """The program that users copy is the one that the tests of generated clients run."""
    tested = (ROOT / "test/generated/use_tator_client.py").read_text("utf-8")
    program = tested.partition('"""\n\n')[2]
    assert f"```python\n{program}```" in (ROOT / "docs/GeneratedClasses.md").read_text("utf-8")


def test_ci_runs_the_commands_of_the_readme() -> None:
    """Every page has the same commands, and CI runs the one for the tests."""
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


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    """Sphinx finds each page in a menu, each link's target, and each name of the reference."""
    pytest.importorskip("sphinx", reason="docs/requirements.txt is not installed")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
    built = subprocess.run(
        [*command, ROOT / "docs", tmp_path], capture_output=True, text=True, timeout=300
    )
    assert built.returncode == 0, built.stderr
