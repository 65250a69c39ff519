"""Certificates and proxies for the fault tests, made once for all of them."""

from __future__ import annotations

import datetime
import random
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tator.testing import LocalTator

PROXY_USER = "mallory"
PROXY_PASSWORD = "proxy-passw0rd-9876"


class Tls:
    """An authority of our own, and what it certifies."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._authority = trustme.CA()
        self.ca_file = str(directory / "ca.pem")
        self._authority.cert_pem.write_to_path(self.ca_file)

    def server(
        self, *names: str, after: int = -1, until: int = 1, clients: bool = False
    ) -> ssl.SSLContext:
        """A server's context.

        Args:
            names: Whom its certificate is for. Default: 127.0.0.1.
            after: From which day on it is valid, counted from today.
            until: Until which day it is valid.
            clients: Whether a client needs a certificate too.
        """
        now = datetime.datetime.now(datetime.timezone.utc)
        certificate = self._authority.issue_cert(
            *(names or ("127.0.0.1",)),
            not_before=now + datetime.timedelta(days=after),
            not_after=now + datetime.timedelta(days=until),
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
        if clients:
            context.verify_mode = ssl.CERT_REQUIRED
            self._authority.configure_trust(context)
        return context

    def self_signed(self) -> ssl.SSLContext:
        """A server's context whose certificate nobody else has signed."""
        path = self._directory / "self-signed.pem"
        authority = trustme.CA()
        authority.private_key_pem.write_to_path(str(path))
        authority.cert_pem.write_to_path(str(path), append=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    def files(self, name: str) -> tuple[str, str]:
        """The files of a certificate and its key, for the server or the client of that name."""
        leaf = self._authority.issue_cert(name)
        certificate, key = self._directory / f"{name}.pem", self._directory / f"{name}.key"
        leaf.private_key_pem.write_to_path(str(key))
        certificate.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
        return str(certificate), str(key)


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    """The authority."""
    return Tls(tmp_path_factory.mktemp("tls"))


class Proxy:
    """A real proxy in a process of its own."""

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
        )
        while not (port_file.exists() and port_file.read_text().strip()):
            assert self._process.poll() is None
            time.sleep(0.02)
        self.authority = f"127.0.0.1:{port_file.read_text().strip()}"

    def close(self) -> None:
        """End the process."""
        self._process.terminate()
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
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A proxy that asks nobody for credentials."""
    proxy = Proxy(tmp_path_factory.mktemp("proxy"))
    yield proxy
    proxy.close()


@pytest.fixture(scope="session")
def strict_proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A proxy that asks for credentials."""
    directory = tmp_path_factory.mktemp("strict-proxy")
    proxy = Proxy(directory, "--basic-auth", f"{PROXY_USER}:{PROXY_PASSWORD}")
    yield proxy
    proxy.close()


@pytest.fixture(scope="session")
def tls_proxy(tmp_path_factory: pytest.TempPathFactory, tls: Tls) -> Iterator[Proxy]:
    """A proxy that is itself spoken to over TLS."""
    certificate, key = tls.files("127.0.0.1")
    directory = tmp_path_factory.mktemp("tls-proxy")
    proxy = Proxy(directory, "--cert-file", certificate, "--key-file", key)
    yield proxy
    proxy.close()


@pytest.fixture(params=["http", "https"])
def server(request: pytest.FixtureRequest, tls: Tls) -> Iterator[LocalTator]:
    """A server, once over http and once over https."""
    with LocalTator(ssl_context=tls.server() if request.param == "https" else None) as server:
        yield server


@pytest.fixture
def no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every backoff is as short as chance can make it."""
    monkeypatch.setattr(random, "uniform", lambda least, most: least)
