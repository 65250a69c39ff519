"""Certificates and proxies for the fault tests, made once for all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from certificates import Tls
from proxies import Proxy

from tator.testing import LocalTator

PROXY_USER = "mallory"
PROXY_PASSWORD = "proxy-passw0rd-9876"


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
