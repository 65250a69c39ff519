"""The rules of the house, so that they can't rot."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import tator

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "tator"

# Each module may import those of its own row (of a package) and of the rows above.
ORDER = [
    {"_version", "exceptions", "notebook"},
    {"models", "configuration"},
    {"serialization", "limits"},
    {"rest"},
    {"async_result"},
    {"api_client"},
    {"api"},
    {"bulk"},
]


# What has no module of its own: these look at the repository, or at the whole from outside.
TESTS_OF_THE_WHOLE = {
    *("architecture", "benchmarks", "dists", "docs", "examples", "integrations", "reference"),
    "typing",
}


def modules() -> Iterator[tuple[str, Path]]:
    """The parts of the library and their files, `testing` aside."""
    for path in sorted(PACKAGE.rglob("*.py")):
        part = path.relative_to(PACKAGE).with_suffix("").parts[0]
        if part not in ("__init__", "testing"):
            yield part, path


def imported(path: Path) -> Iterator[str]:
    """The names of the modules that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == "tator":
            yield from (f"tator.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def row(part: str) -> int:
    return next(number for number, parts in enumerate(ORDER) if part in parts)


@pytest.mark.parametrize(
    ("part", "path"), list(modules()), ids=lambda value: getattr(value, "name", None)
)
def test_imports_go_one_way(part: str, path: Path) -> None:
    """A module imports only what stands before it in the order of the house."""
    for name in imported(path):
        if name.startswith("tator."):
            other = name.split(".")[1]
            assert other == part or row(other) <= row(part), f"{path.name} imports {name}"


@pytest.mark.parametrize("library", ["urllib3", "certifi"])
def test_the_transport_alone_knows_the_library(library: str) -> None:
    """Only rest.py imports urllib3 and certifi, type annotations aside."""
    importers = {
        path.name
        for _, path in modules()
        if any(name.split(".")[0] == library for name in imported(path))
    }
    assert importers - {"job_api.py"} == {"rest.py"}
    in_job_api = "if TYPE_CHECKING:" in (PACKAGE / "api/job_api.py").read_text(encoding="utf-8")
    assert in_job_api


def test_the_library_never_imports_its_test_server() -> None:
    """Nothing outside `tator.testing` imports it, and it imports nothing of ours."""
    assert not [path for _, path in modules() if "tator.testing" in set(imported(path))]
    for path in (PACKAGE / "testing").glob("*.py"):
        names = {name for name in imported(path) if name.startswith("tator")}
        assert all(name.startswith("tator.testing") for name in names)


def test_the_public_names_are_sorted_and_there() -> None:
    """`__all__` is in order, and each of its names can be had."""
    assert tator.__all__ == sorted(tator.__all__)
    assert all(getattr(tator, name) is not None for name in tator.__all__)
    assert set(tator.__all__) <= set(dir(tator))


def test_every_exception_is_public() -> None:
    """The whole family can be had from the top."""
    assert set(tator.exceptions.__all__) <= set(tator.__all__)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("tator.api.job_api", "JobApi"),
        ("tator.api_client", "ApiClient"),
        ("tator.configuration", "Configuration"),
        ("tator.rest", "ApiException"),
        ("tator.rest", "RESTClientObject"),
        ("tator.rest", "RESTResponse"),
        ("tator.models", "InlineResponse2044"),
        ("tator.models", "InlineResponse2045"),
        ("tator.models.inline_response2044", "InlineResponse2044"),
        ("tator.models.inline_response2045", "InlineResponse2045"),
        ("tator.exceptions", "ApiTimeoutError"),
    ],
)
def test_the_deep_imports_hold(module: str, name: str) -> None:
    """What programs import from deep inside is there, and is the same as at the top."""
    value = getattr(importlib.import_module(module), name)
    assert getattr(tator, name, value) is value


def test_an_unknown_name_is_an_attribute_error() -> None:
    """The package has no other names than its own."""
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        tator.nonsense  # noqa: B018  # the access is what is tried


def test_importing_it_loads_nothing_heavy() -> None:
    """`import tator` leaves urllib3, dateutil and their like for the first call."""
    heavy = "{'urllib3', 'dateutil', 'certifi', 'six', 'ssl', 'logging', 'typing', 'http'}"
    program = f"import sys, tator; print(sorted({heavy} & set(sys.modules)))"
    run = subprocess.run(
        [sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "[]"


def test_submodules_are_attributes() -> None:
    """After `import tator`, `tator.rest.ApiException` needs no other import."""
    program = (
        "import tator; print(tator.rest.ApiException is tator.ApiException, tator.bulk.__name__)"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == ["True", "tator.bulk"]


def test_each_module_has_its_tests() -> None:
    """test/ mirrors the library, so that the tests of a module are found by its name."""
    names = {path.stem for _, path in modules()} | {path.stem for path in PACKAGE.iterdir()}
    tested = {path.stem.removeprefix("test_") for path in (ROOT / "test").glob("test_*.py")}
    assert tested <= names | TESTS_OF_THE_WHOLE
    for part, path in modules():
        assert part == "_version" or {part, path.stem} & tested, f"{path.name} has no tests"


def test_every_public_thing_is_documented() -> None:
    """Each public class and function, and each of their public methods, has a docstring."""
    bare = []
    for part, path in modules():
        if path.name == "__init__.py":
            continue
        name = ".".join(("tator", *path.relative_to(PACKAGE).with_suffix("").parts))
        module = importlib.import_module(name)
        for label, value in vars(module).items():
            if label.startswith("_") or getattr(value, "__module__", None) != name:
                continue
            if inspect.isclass(value) or inspect.isfunction(value):
                things = {label: value}
                if inspect.isclass(value):
                    things.update(
                        (f"{label}.{member}", thing)
                        for member, thing in vars(value).items()
                        if not member.startswith("_") and inspect.isfunction(thing)
                    )
                bare += [
                    f"{part}: {where}"
                    for where, thing in things.items()
                    if not inspect.getdoc(thing)
                ]
    assert not bare


def test_the_repository_names_no_machine() -> None:
    """No file shows a path of the machine that it was written on, nor where it got packages."""
    run = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if run.returncode:
        pytest.skip("not a clone")
    machine = re.compile(r"/(root|home|Users|work)/[\w.]|pypi\.org/(?!project/)|pythonhosted\.org")
    for name in filter(None, run.stdout.split("\0")):
        path = ROOT / name
        if path.suffix in (".png", ".svg") or path == Path(__file__) or not path.exists():
            continue
        assert not machine.search(path.read_text(encoding="utf-8")), name
