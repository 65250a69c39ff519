"""Certificates and proxies for the fault tests, made once for all of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from certificates import Tls

from tator.testing import LocalTator

PROXY_USER = "mallory"
PROXY_PASSWORD = "proxy-passw0rd-9876"


class Proxy:
    """A real proxy in a separate process."""

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


@pytest.fixture(scope="session")
def start_proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Proxy]]:
    """Starts a proxy with these options; all of them end with the session."""
    proxies: list[Proxy] = []

    def start(*options: str) -> Proxy:
        proxies.append(Proxy(tmp_path_factory.mktemp("proxy"), *options))
        return proxies[-1]

    yield start
    for proxy in proxies:
        proxy.kill()


@pytest.fixture(scope="session")
def proxy(start_proxy: Callable[..., Proxy]) -> Proxy:
    """A proxy that asks nobody for credentials."""
    return start_proxy()


@pytest.fixture(scope="session")
def strict_proxy(start_proxy: Callable[..., Proxy]) -> Proxy:
    """A proxy that asks for credentials."""
    return start_proxy("--basic-auth", f"{PROXY_USER}:{PROXY_PASSWORD}")


@pytest.fixture(scope="session")
def tls_proxy(start_proxy: Callable[..., Proxy], tls: Tls) -> Proxy:
    """A proxy that speaks TLS itself."""
    certificate, key = tls.files("127.0.0.1")
    return start_proxy("--cert-file", certificate, "--key-file", key)


@pytest.fixture(params=["http", "https"])
def server(request: pytest.FixtureRequest, tls: Tls) -> Iterator[LocalTator]:
    """A server, once over http and once over https."""
    with LocalTator(ssl_context=tls.server() if request.param == "https" else None) as server:
        yield server
