"""A proxy for the tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path


class Proxy:
    """A real proxy in a separate process; as a context manager, it ends with the block.

    Args:
        directory: Where its files go.
        options: More of its options.
    """

    def __init__(self, directory: Path, *options: str) -> None:
        self._log = directory / "proxy.log"
        port_file = directory / "port"
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "proxy", "--hostname", "127.0.0.1", "--port", "0"),
                *("--port-file", str(port_file), "--num-acceptors", "1", "--num-workers", "1"),
                *("--log-file", str(self._log), "--data-dir", str(directory), *options),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        while not (port_file.exists() and port_file.read_text().strip()):
            assert self._process.poll() is None
            time.sleep(0.02)
        self.authority = f"127.0.0.1:{port_file.read_text().strip()}"

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *raised: object) -> None:
        self.kill()

    def kill(self) -> None:
        """End it and its children at once; asked to end, it would take a second."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def saw(self, host: str) -> bool:
        """Whether a request for this server came by; the log has it once its connection ended."""
        ends = time.monotonic() + 5
        while host.partition("//")[2] not in self._log.read_text():
            if time.monotonic() > ends:
                return False
            time.sleep(0.02)
        return True
