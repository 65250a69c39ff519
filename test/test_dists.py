"""What is built from the repository installs elsewhere and works there."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import zipfile
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SMOKE = """
import tator, tator.bulk
from tator.testing import LocalTator
with LocalTator() as server:
    uids = server.launch(2).run_uids
    api = tator.get_api(server.host, server.token)
    print(api.delete_job(uids[0]).message)
    print(len(tator.bulk.delete_jobs(api, uids[1:]).deleted))
    assert set(server.jobs.values()) == {"cancelled"}
    api.api_client.close()
print(tator.__file__, tator.__version__)
"""


@pytest.fixture(scope="module")
def dists(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the built sdist and wheel."""
    copy = tmp_path_factory.mktemp("source") / "tator"
    leave = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, copy, ignore=leave)
    out = tmp_path_factory.mktemp("dist")
    # What building needs is here already: test-requirements.txt has it.
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(copy)]
    subprocess.run(build, check=True, capture_output=True)
    return out


PATTERNS = ("*.whl", "*.tar.gz")


@pytest.fixture(scope="module")
def installed(dists: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Future[Path]]:
    """The directories that the distributions are installed into, at the same time."""

    def install(pattern: str, target: Path) -> Path:
        (dist,) = dists.glob(pattern)
        pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation"]
        subprocess.run([*pip, "--target", str(target), str(dist)], check=True, capture_output=True)
        return target

    with ThreadPoolExecutor(len(PATTERNS)) as threads:
        return {
            pattern: threads.submit(install, pattern, tmp_path_factory.mktemp("site"))
            for pattern in PATTERNS
        }


@pytest.mark.parametrize("pattern", PATTERNS)
def test_it_installs_elsewhere_and_cancels_a_job(
    installed: dict[str, Future[Path]], pattern: str, tmp_path: Path
) -> None:
    """Both distributions give a package that cancels jobs, from where it was installed."""
    target = installed[pattern].result()
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", SMOKE],
        cwd=tmp_path,
        env={"PYTHONPATH": str(target)},
        check=True,
        capture_output=True,
        text=True,
    )
    message, deleted, where = run.stdout.splitlines()
    assert "deleted" in message
    assert deleted == "1"
    assert where.startswith(str(target))
    assert not run.stderr


def test_the_wheel_holds_the_package_alone(dists: Path) -> None:
    """The wheel has the types marker and the fixture's entry point, and no tests."""
    (wheel,) = dists.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        entry_points = next(name for name in names if name.endswith("entry_points.txt"))
        assert "tator = tator.testing.pytest_plugin" in archive.read(entry_points).decode()
    assert "tator/py.typed" in names
    assert {name.split("/")[0].split("-")[0] for name in names} == {"tator"}


def test_the_sdist_has_what_building_needs(dists: Path) -> None:
    """The source distribution contains the files that setup.py reads, and the license."""
    (sdist,) = dists.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"setup.py", "requirements.txt", "README.md", "LICENSE"} <= names
