"""The rules of the house, so that they can't rot."""

from __future__ import annotations

import ast
import functools
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

# A module imports only those listed before it; a package counts as one.
ORDER = [
    *(
        "_version",
        "record",
        "exceptions",
        "masking",
        "threads",
        "checks",
        "notebook",
        "models",
        "headers",
    ),
    *("logs", "configuration", "serialization", "query", "retry", "meaning", "transport", "hints"),
    *("rest", "operation", "async_result", "api_client", "api"),
    *("bulk_result", "bulk_workers", "bulk_executors", "bulk"),
]
# Within the packages.
TRANSPORT = ["callers", "limits", "response", "connection", "pool", "tls", "proxy", "route"]
TRANSPORT += ["failures", "received"]
API = ["options", "job_api", "__init__"]
MODELS = ["model", "inline_response2044", "inline_response2045", "__init__"]
LONGEST_FILE = 400  # lines


# What has no module: these look at the repository, or at the whole from outside.
TESTS_OF_THE_WHOLE = {
    *("architecture", "benchmarks", "dists", "docs", "examples", "habits", "integrations"),
    *("matrix", "public_surface", "reference", "servers", "typing", "words"),
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


@functools.cache
def imported_at_run_time(path: Path) -> list[str]:
    """The names of the modules that a file imports, those for type checkers alone aside."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in list(ast.walk(tree)):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = [ast.Pass()]
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names.append(node.module or "")
    return names


@pytest.mark.parametrize(
    ("part", "path"), list(modules()), ids=lambda value: getattr(value, "name", None)
)
def test_imports_go_one_way(part: str, path: Path) -> None:
    """A module imports only what stands before it."""
    for name in imported(path):
        if name.startswith("tator."):
            other = name.split(".")[1]
            before = ORDER[: ORDER.index(part)]
            assert other in before or other == part != path.stem, f"{path} imports {name}"


@pytest.mark.parametrize(
    ("package", "order"), [("transport", TRANSPORT), ("api", API), ("models", MODELS)]
)
def test_imports_within_a_package_go_one_way(package: str, order: list[str]) -> None:
    """The same holds there."""
    for path in (PACKAGE / package).glob("*.py"):
        for name in imported(path):
            if name.startswith(f"tator.{package}."):
                before = order[: order.index(path.stem)]
                assert name.split(".")[2] in before, f"{path} imports {name}"


@pytest.mark.parametrize("library", ["urllib3", "certifi"])
def test_the_transport_alone_knows_the_library(library: str) -> None:
    """Only rest.py and the transport import urllib3 and certifi, type annotations aside."""
    importers = {
        part
        for part, path in modules()
        if any(name.split(".")[0] == library for name in imported_at_run_time(path))
    }
    assert importers <= {"rest", "transport"}


def test_no_file_is_longer_than_400_lines() -> None:
    """400 lines at most, the embedded server included."""
    long = {
        path.name: lines
        for path in PACKAGE.rglob("*.py")
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > LONGEST_FILE
    }
    assert not long


def test_no_lock_is_made_at_import_time() -> None:
    """gevent may replace locks after the import; a native one would stop all greenlets."""
    program = (
        "import threading, _thread, sys, urllib3, logging, concurrent.futures, multiprocessing\n"
        "import queue, ssl, http.client\n"
        "made = []\n"
        "for name in ('Lock', 'RLock', 'Condition', 'Event', 'Semaphore'):\n"
        "    def counted(*a, _real=getattr(threading, name), _name=name, **k):\n"
        "        module = sys._getframe(1).f_globals.get('__name__', '')\n"
        "        made.append(module) if module.startswith('tator') else None\n"
        "        return _real(*a, **k)\n"
        "    setattr(threading, name, counted)\n"
        "import tator.bulk, tator.api.job_api, tator.rest\n"
        "print(made)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert run.stdout.strip() == "[]"


def test_the_library_never_imports_its_test_server() -> None:
    """Nothing outside `tator.testing` imports it, and it imports nothing else of the package."""
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


def is_private(name: object) -> bool:
    return isinstance(name, str) and bool(re.fullmatch(r"_[a-zA-Z]\w*|_\w*[^_]", name))


# getattr(x, "_y"), monkeypatch.setattr("x._y", ...), mock.patch.object(x, "_y")
REACHES = re.compile(r"(attr|patch|object)$")


def private_names_used(path: Path) -> Iterator[str]:
    """The private names that a test reads or sets on others' objects, or imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[object] = []
        if isinstance(node, ast.Attribute):
            is_own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            names = [] if is_own else [node.attr]
        elif isinstance(node, ast.ImportFrom):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.Call) and REACHES.search(ast.unparse(node.func)):
            texts = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
            names = [text.rpartition(".")[2] for text in texts if isinstance(text, str)]
        yield from (f"{path.name}:{node.lineno} {name}" for name in names if is_private(name))


def test_no_test_uses_a_private_name() -> None:
    """What a test needs has a public door, here and in the libraries below."""
    # Public by the protocols of IPython, named tuples, sys and os.
    allowed = {"_repr_html_", "_replace", "_asdict", "_fields", "_getframe", "_exit"}
    # Generated models have one for a name that Python reserves; tqdm has no other for its bars.
    allowed |= {"_class", "_instances"}
    used = [
        use
        for path in sorted((ROOT / "test").rglob("test_*.py"))
        for use in private_names_used(path)
        if use.partition(" ")[2] not in allowed
    ]
    assert not used


def test_an_unknown_name_is_an_attribute_error() -> None:
    """The package has no other names than its own."""
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        tator.nonsense  # noqa: B018  # the access is the test


def test_importing_it_loads_nothing_heavy() -> None:
    """`import tator` leaves urllib3, dateutil and similar for the first call."""
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
    within = {path.stem.removeprefix("test_") for path in (ROOT / "test/transport").glob("*.py")}
    for part, path in modules():
        found = {path.stem} & within if part == "transport" else {part, path.stem} & tested
        is_empty = path.name in ("_version.py", "__init__.py", "options.py")
        assert is_empty or found, f"{path} has no tests"


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
