"""What every test can rely on: a clean environment, and nothing left behind."""

from __future__ import annotations

import gc
import os
import random
import signal
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from gates import TOKEN, Gate

import tator
from tator.testing import LocalTator

if TYPE_CHECKING:
    from certificates import Tls


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Under coverage, no test throws exceptions into threads.

    One can strike within coverage's tracer, and leave its lock locked for all threads.
    """
    for item in items:
        if "coverage" in sys.modules and item.get_closest_marker("untraced"):
            item.add_marker(pytest.mark.skip(reason="coverage's own lock may stay locked"))


def pytest_collection_finish() -> None:
    """The tests themselves stay until the end: no collection of garbage looks at them again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> Iterator[None]:
    """Tests that interrupt themselves work also in the background of a shell, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test sees this machine's server, token, CAs or proxy, nor the default of another test."""
    names = ("TATOR_HOST", "TATOR_TOKEN", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "SSLKEYLOGFILE")
    for name in list(os.environ):
        if name in names or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    yield
    tator.Configuration.set_default(None)


@pytest.fixture(autouse=True)
def _no_threads_left() -> Iterator[None]:
    """A test ends the threads that would keep a process from ending."""
    before = set(threading.enumerate())
    yield
    left = [
        thread
        for thread in threading.enumerate()
        if thread not in before and thread.is_alive() and not thread.daemon
    ]
    assert not left


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    """The certificate authority."""
    from certificates import Tls  # not every environment of tox has what it needs

    return Tls(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def no_garbage_collection() -> Iterator[None]:
    """Python drops what a signal handler raises while the garbage collector runs a finalizer."""
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every backoff is as short as chance can make it."""
    monkeypatch.setattr(random, "uniform", lambda least, most: least)


@pytest.fixture
def server() -> Iterator[LocalTator]:
    """A server with a known token."""
    with LocalTator(TOKEN) as local_tator:
        yield local_tator


@pytest.fixture
def api(server: LocalTator) -> Iterator[tator.JobApi]:
    """An API of that server."""
    api = tator.get_api(server.host, TOKEN)
    yield api
    api.api_client.close()


@pytest.fixture
def gate(server: LocalTator) -> Iterator[Gate]:
    """Holds back the responses of that server."""
    gate = Gate(server)
    yield gate
    gate.open()
