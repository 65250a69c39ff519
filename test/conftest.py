"""What every test can rely on: a clean environment, and nothing left behind."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

import tator


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> Iterator[None]:
    """Tests that interrupt themselves work also in the background of a shell, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test sees this machine's server, token or proxy, nor a default of another test's."""
    for name in list(os.environ):
        if name in ("TATOR_HOST", "TATOR_TOKEN") or name.lower().endswith("_proxy"):
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
