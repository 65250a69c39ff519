"""Programs in one file, without the metadata of installed packages."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipapp
from importlib.util import find_spec
from pathlib import Path

import pytest
from integrations.running import PROGRAMS, environment, run

from tator.testing import LocalTator

pytestmark = pytest.mark.integrations

BUILD_LIMIT = 120  # seconds
PARTS = ("tator", "urllib3", "certifi", "six", "dateutil")


def check(command: list[str], server: LocalTator, cwd: Path) -> None:
    """Run a packed program, which must find nothing but what was packed."""
    run_uids = server.launch(4).run_uids
    variables = environment(server)
    variables.pop("PYTHONPATH", None)
    seen = json.loads(run([*command, *run_uids], cwd, variables))
    assert "deleted" in seen["message"]
    assert seen["deleted"] == 3
    assert seen["https"] == "ApiConnectionError"
    assert "urllib3: unknown" in seen["report"]
    assert server.token not in seen["report"]
    assert set(server.jobs.values()) == {"cancelled"}


def test_a_zipapp_cancels_jobs(local_tator: LocalTator, tmp_path: Path) -> None:
    """tator and what it depends on run out of one file, certifi's bundle included."""
    source = tmp_path / "source"
    source.mkdir()
    for name in PARTS:
        spec = find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        if spec.submodule_search_locations:
            leave = shutil.ignore_patterns("__pycache__")
            shutil.copytree(Path(spec.origin).parent, source / name, ignore=leave)
        else:
            shutil.copy(spec.origin, source)
    shutil.copy(PROGRAMS / "packed.py", source / "__main__.py")
    zipapp.create_archive(source, tmp_path / "jobs.pyz")
    shutil.rmtree(source)
    # Neither the environment's packages nor the current folder are on the path.
    check([sys.executable, "-I", "-S", "jobs.pyz"], local_tator, tmp_path)


def test_a_program_frozen_by_pyinstaller_cancels_jobs(
    local_tator: LocalTator, tmp_path: Path
) -> None:
    """PyInstaller finds the modules that tator imports late, and certifi's bundle."""
    pytest.importorskip(
        "PyInstaller", reason="PyInstaller is not installed, or not for this Python"
    )
    build = [sys.executable, "-m", "PyInstaller", "--noconfirm", "--log-level", "ERROR", "--onedir"]
    found = find_spec("tator")
    assert found is not None
    assert found.origin is not None
    build += ["--paths", str(Path(found.origin).parent.parent), str(PROGRAMS / "packed.py")]
    subprocess.run(build, cwd=tmp_path, check=True, timeout=BUILD_LIMIT, capture_output=True)
    check([os.path.join("dist", "packed", "packed")], local_tator, tmp_path)
