"""Programs in separate processes, for libraries that patch the whole process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from tator.testing import LocalTator

PROGRAMS = Path(__file__).parent / "programs"
LIMIT = 60  # seconds


def environment(server: LocalTator, **variables: str) -> dict[str, str]:
    """The variables of a process that cancels jobs on a server."""
    return {
        **os.environ,
        "TATOR_HOST": server.host,
        "TATOR_TOKEN": server.token,
        "PYTHONWARNINGS": "ignore",  # what these libraries warn of at their import
        **variables,
    }


def run(command: list[str], cwd: Path, variables: dict[str, str]) -> str:
    """Run a command, and return what it printed; it and its children end within a minute."""
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=LIMIT)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert process.returncode == 0, out + err
    assert not err.strip(), err
    return out


def run_program(name: str, server: LocalTator, *args: str, **variables: str) -> Any:
    """Run one of the programs, and return the JSON that it printed.

    Args:
        name: The program.
        server: The server whose address and token it gets.
        args: Its arguments.
        variables: More environment variables.
    """
    command = [sys.executable, str(PROGRAMS / f"{name}.py"), *args]
    return json.loads(run(command, Path.cwd(), environment(server, **variables)))
