"""What the tests of bulk runs share: a server whose responses wait, and Ctrl-C."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

from tator.testing import LocalTator, Request

TOKEN = "0123456789abcdef"


class Gate:
    """Holds back the responses of a `LocalTator`; the requests are applied by then.

    Attributes:
        held: How many responses it holds back.
        most_held: The most that it held back at a time.
        connections: The threads of the server that received a request, one for each connection.
    """

    def __init__(self, server: LocalTator) -> None:
        self._arrivals = threading.Semaphore(0)
        self._open = threading.Event()
        self._lock = threading.Lock()
        self.held = 0
        self.most_held = 0
        self.connections: set[int] = set()
        self._free_path = ""
        server.on_request = self._hold

    def let_through(self, run_uid: str) -> None:
        """Hold back nothing for this job."""
        self._free_path = f"/rest/Job/{run_uid}"

    def _hold(self, request: Request) -> None:
        if request.path == self._free_path:
            return
        with self._lock:
            self.connections.add(threading.get_ident())
            self.held += 1
            self.most_held = max(self.most_held, self.held)
        self._arrivals.release()
        self._open.wait(30)
        with self._lock:
            self.held -= 1

    def wait_for(self, count: int) -> None:
        """Wait until so many more requests have arrived."""
        for _ in range(count):
            assert self._arrivals.acquire(timeout=30)

    def check_no_more(self) -> None:
        """No further request arrives, as far as a moment can tell."""
        assert not self._arrivals.acquire(timeout=0.2)

    def open(self) -> None:
        """Let all responses go, now and later."""
        self._open.set()


def interrupt_when(ready: Callable[[], object]) -> threading.Thread:
    """Send this process a Ctrl-C when `ready` returns."""

    def press() -> None:
        ready()
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    return thread
