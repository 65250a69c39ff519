"""The peers that are not simply installed: two generated clients and the official SDK."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
_SPECIFICATION = Path(__file__).with_name("openapi.yaml")
_OFFICIAL = "tator==1.8.1"


class Unavailable(Exception):
    """A peer is not available here, for this reason."""


def generate(directory: Path) -> None:
    """Generate the clients that `directory` does not contain yet; a failure shows at import."""
    directory.mkdir(parents=True, exist_ok=True)
    package = "generated_by_openapi_generator"
    if not (directory / package).exists():
        made = directory / "openapi-generator"
        command = ["openapi-generator-cli", "generate", "-g", "python", "--package-name", package]
        if _run([*command, "-i", str(_SPECIFICATION), "-o", str(made)]):
            shutil.move(made / package, directory / package)
        shutil.rmtree(made, ignore_errors=True)
    package = "generated_by_openapi_python_client"
    if not (directory / package).exists():
        settings = directory / "openapi-python-client.yaml"
        settings.write_text("post_hooks: []\n", encoding="utf-8")
        command = ["openapi-python-client", "generate", "--meta", "none", "--config", str(settings)]
        _run([*command, "--path", str(_SPECIFICATION), "--output-path", str(directory / package)])


def official(directory: Path) -> Path:
    """Return the directory of the official SDK and its dependencies.

    Raises:
        Unavailable: If it cannot be installed.
    """
    target = directory / "official"
    if not target.exists():
        pip = [sys.executable, "-m", "pip", "install", "-q", "--target", str(target), _OFFICIAL]
        if not _run(pip):
            shutil.rmtree(target, ignore_errors=True)
            raise Unavailable(f"pip could not install {_OFFICIAL}")
    return target


def _run(command: list[str]) -> bool:
    """Whether a command from the interpreter's directory or the path succeeded."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    program = shutil.which(command[0], path=path)
    if program is None:
        return False
    done = subprocess.run([program, *command[1:]], capture_output=True, check=False)
    return done.returncode == 0
